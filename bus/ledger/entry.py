"""A row of the log: one fact that was received, sent or made here, with all that is needed to fold it again."""

from enum import IntEnum

import msgspec


class Kind(IntEnum):
    IN = 1
    """An event taken from a lane."""
    OUT = 2
    """An event for a lane; the relay sends it."""
    LOCAL = 3
    """A clerk's act, a timer, a refusal told by a receipt, or a held row applied after all."""


class Entry(msgspec.Struct, frozen=True, gc=False, array_like=True, kw_only=True):
    """What the Merkle leaf is taken over, as it stands.

    In and out rows keep the record's head (see `bus.envelope`) and value exactly as on the wire; local rows keep the
    encoded command in `value`, its name in `type`, and in `head` the trace that it belongs to; where an event was
    applied as it was repaired, that event. `facts` is what `decide` answered, once and for all (law 6).
    """

    row: int
    kind: Kind
    stream: str
    subject: str
    type: str
    recorded_ms: int
    head: bytes = b""
    value: bytes = b""
    outcome: str = ""
    code: str = ""
    reason: str = ""
    facts: bytes = b""
    lane: str = ""
    incarnation: int = 0
    number: int = 0
    lane_hash: bytes = b""
    place: tuple[str, int, int] | None = None
    """Topic, partition and offset that an in row came from."""
    id: str = ""
    actor: str = ""
    acted_ms: int = 0
    cause: int = 0
    """The row that a local row settles (a held one), else 0."""


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Entry).decode
