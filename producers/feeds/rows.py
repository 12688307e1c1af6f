"""What CSV and XES have in common: rows of named texts, each with its line."""

from typing import NamedTuple


class Row(NamedTuple):
    """One event, or one application: the line it ends in (CSV) or begins in (XES), and its texts by column."""

    line: int
    values: dict[str, str]
