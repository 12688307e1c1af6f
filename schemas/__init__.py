"""The contracts: event types, their ids, codec, compatibility and catalogue."""

from schemas._generate import generate, models_drifted
from schemas._record import Event, Instant, Int, Long, Record
from schemas._source import SchemaError

__all__ = ["Event", "Instant", "Int", "Long", "Record", "SchemaError", "generate", "models_drifted"]
