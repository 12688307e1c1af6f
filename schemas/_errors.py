"""What can go wrong between an event and its bytes; each error says what is to be done with the event."""


class CodecError(Exception):
    """An event that cannot be encoded or decoded."""


class Invalid(CodecError):
    """Data that does not fit its schema, on encoding: the caller mends it.

    Values are not told, except times: they may be personal.

    Attributes:
        field: dotted path of what is wrong, with `[n]` in arrays; empty for the event itself.
        reason: what is wrong, and what would be right.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field or 'event'}: {reason}")
        self.field = field
        self.reason = reason

    def inside(self, part: str) -> "Invalid":
        """The same error as seen from around: the field is a part of `part`."""
        joint = "." if self.field and not self.field.startswith("[") else ""
        return Invalid(f"{part}{joint}{self.field}", self.reason)


class BadPayload(CodecError):
    """Bytes that are no event of the schema they name: the event is parked."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownSchema(CodecError):
    """The writer's schema is not known here: the event waits while it is fetched by `digest`, or by `id` if None."""

    def __init__(self, id: int, digest: bytes | None) -> None:  # noqa: A002 - the word of the wire format
        super().__init__(f"schema {id} ({digest.hex() if digest else 'no digest given'}) is not known here")
        self.id = id
        self.digest = digest


class NewerContract(CodecError):
    """The writer's schema is known, but no model here reads it: the event waits for a newer version of the program."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason
