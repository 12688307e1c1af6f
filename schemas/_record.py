"""What the generated models are made of: their base classes and the ranges of Avro's scalars."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

Int = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
"""Avro `int`: 32 bits, signed."""

Long = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""Avro `long`: 64 bits, signed."""

Instant = Annotated[datetime, Meta(tz=True)]
"""Avro `timestamp-millis`: an aware instant of whole milliseconds; decoded as UTC."""


class Record(Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """A record of a contract, typed as its Avro schema says. Instances never change."""


class Event(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record that travels on its own: one of the event types."""
