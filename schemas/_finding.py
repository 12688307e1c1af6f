"""What the linter and the checks say."""

from msgspec import Struct


class Finding(Struct, frozen=True, order=True):
    """One thing that is wrong with the contracts: where, by which rule, and what would be right."""

    where: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} ({self.rule})"
