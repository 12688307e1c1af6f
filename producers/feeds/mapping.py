"""The mapping file: which column of a log is what, and what its activities mean for a case."""

from enum import StrEnum
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from yaml import YAMLError

from jurisdictions import read_yaml
from producers.feeds.files import FeedError
from producers.feeds.plans import CaseStep

PACKAGED: Final = Path(__file__).parent / "mappings" / "receipt.yaml"
"""For the receipt phase of a Dutch municipality's permits (CoSeLoG project, 4TU.ResearchData)."""


class Undecided(StrEnum):
    """What becomes of a case that was accepted and whose decision is not in the log."""

    OPEN = "open"
    APPROVE = "approve"


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of columns; defaults are those of XES's standard extensions."""

    case: str = "case:concept:name"
    activity: str = "concept:name"
    at: str = "time:timestamp"
    resource: str = "org:resource"
    lifecycle: str = "lifecycle:transition"


class LogMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to read one kind of event log.

    `lifecycles`: transitions that count as done; others are passed over, and so is the question where the log has no
    such column. `timezone`: for times without an offset; without it they are an error. `keep`: columns of the
    submission that are kept with the case. `unknown`: what to do with an activity that `steps` does not name.
    `grouped`: the events of a case follow one another; then only one case is in memory at a time.
    """

    steps: dict[str, CaseStep]
    columns: Columns = Columns()
    lifecycles: tuple[str, ...] = ("complete",)
    timezone: str | None = None
    keep: tuple[str, ...] = ()
    unknown: Literal["refuse", "ignore"] = "refuse"
    undecided: Undecided = Undecided.OPEN
    grouped: bool = True

    def __post_init__(self) -> None:
        if CaseStep.SUBMIT not in self.steps.values():
            raise ValueError("no activity is mapped to `submit`")
        if self.timezone is not None:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError("`timezone` is unknown; one like Asia/Shanghai would be right") from None


def load_mapping(path: Path = PACKAGED) -> LogMapping:
    """Read a mapping file.

    Raises:
        FeedError: it is no such file; says the field.
        OSError: it can't be read.
    """
    try:
        return msgspec.convert(read_yaml(path.read_text("utf-8")), LogMapping)
    except (YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        expected = "a mapping like the packaged mappings/receipt.yaml"
        raise FeedError(path.name, f"is no mapping ({' '.join(str(error).split())})", expected) from None
