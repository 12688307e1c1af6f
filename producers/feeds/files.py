"""Files as they come in: plain or gzipped, read in pieces and bounded, with errors that say where."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, cast

MAX_BYTES: Final = 1 << 30
"""Bytes of a file once it is unpacked; a small file that unpacks to more is meant to hurt."""
MAX_LINE: Final = 1 << 20
"""Bytes of a line: what is longer is no line."""
MAX_COLUMN: Final = 100
MAX_PROBLEM: Final = 300
"""Characters of the name of a column, and of what is said of a file: both may repeat what stands in it."""
_CHUNK: Final = 1 << 16
_GZIP_MAGIC: Final = b"\x1f\x8b"


class FeedError(ValueError):
    """A file can't be used. Says where, what is wrong and what would be right, and repeats no personal value.

    Attributes:
        line: line of the file, from 1; None where it is about the whole file.
        column: column or field, or an empty string.
    """

    def __init__(
        self, file: str, problem: str, expected: str, *, line: int | None = None, column: str = ""
    ) -> None:
        problem, column = problem[:MAX_PROBLEM], column[:MAX_COLUMN]
        where = [file, *([] if line is None else [f"line {line}"]), *([column] if column else [])]
        super().__init__(f"{', '.join(where)}: {problem}; {expected} would be right")
        self.file = file
        self.line = line
        self.column = column
        self.problem = problem
        self.expected = expected


class Feed:
    """An open file, a context manager. Whether it is gzipped is told by its content, not by its name."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        """`max_bytes` bounds what the file unpacks to.

        Raises:
            OSError: the file can't be opened.
        """
        self.name = path.name
        self._max_bytes = max_bytes
        self._read = 0
        self._file: BinaryIO = path.open("rb")
        magic = self._file.read(len(_GZIP_MAGIC))
        self._file.seek(0)
        self._stream = (
            cast("BinaryIO", gzip.GzipFile(fileobj=self._file)) if magic == _GZIP_MAGIC else self._file
        )

    def chunks(self) -> Iterator[bytes]:
        """The content in pieces.

        Raises:
            FeedError: too large, or the compressed data are damaged.
        """
        while chunk := self._take(_CHUNK, whole_line=False):
            yield chunk

    def lines(self) -> Iterator[str]:
        """The content line by line, with the line ends, as the csv module wants it.

        Raises:
            FeedError: as `chunks`; a line is too long, or is not UTF-8.
        """
        number = 0
        while line := self._take(MAX_LINE + 1, whole_line=True):
            number += 1
            if len(line) > MAX_LINE:
                raise self.error("the line is too long", f"at most {MAX_LINE} bytes", line=number)
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise self.error("the text is not UTF-8", "a file saved as UTF-8", line=number) from None

    def error(self, problem: str, expected: str, *, line: int | None = None, column: str = "") -> FeedError:
        """An error about this file."""
        return FeedError(self.name, problem, expected, line=line, column=column)

    def _take(self, size: int, *, whole_line: bool) -> bytes:
        try:
            taken = self._stream.readline(size) if whole_line else self._stream.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise self.error("the compressed data are damaged or cut off", "a whole gzip file") from None
        self._read += len(taken)
        if self._read > self._max_bytes:
            raise self.error("unpacks to too much", f"at most {self._max_bytes} bytes")
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._file.close()
