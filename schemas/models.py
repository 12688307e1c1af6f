"""Typed models of all contracts. Generated from the .avsc files by `python -m schemas generate`: never edit."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field

from schemas._record import Event, Instant, Int, Long, Record

__all__ = [
    "EVENTS",
]


EVENTS: Mapping[str, type[Event]] = {
}
"""The model of each event type, by the full name of its schema."""
