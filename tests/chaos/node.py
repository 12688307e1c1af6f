"""A node whose clock somebody else sets: the program itself, with a clock that is off by what a file says.

`python -m tests.chaos.node CODE FILE`: the file holds whole seconds, and may be replaced at any time. No setting of the program
knows of it.
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import kuayu.node
from bus import SystemClock
from kuayu.settings import Settings


class WrongClock(SystemClock):
    """The machine's clock, and what the file says on top of it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=int(self._file.read_text()))


def main(code: str, clock: str) -> int:
    setattr(kuayu.node, "SystemClock", lambda: WrongClock(Path(clock)))  # noqa: B010 - it is imported there, not made
    return kuayu.node.run(code, (), Settings())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
