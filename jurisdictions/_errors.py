"""The one error of bad values."""


class Invalid(ValueError):
    """A value that breaks a rule.

    It names the field, what is wrong and what would be right. The value itself is never repeated: people
    type citizen numbers into the wrong field, and messages end up in logs.

    Attributes:
        field: the name of the field, as the caller knows it.
        value_problem: what is wrong with the value.
        expected: what would be right.
    """

    def __init__(self, field: str, value_problem: str, expected: str) -> None:
        super().__init__(field, value_problem, expected)
        self.field = field
        self.value_problem = value_problem
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.field}: {self.value_problem}; expected {self.expected}"
