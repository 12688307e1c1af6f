"""CSV as RFC 4180 has it, one row after the other; the first line names the columns."""

import csv
from collections.abc import Iterator

from producers.feeds.files import Feed
from producers.feeds.rows import Row


def read_csv(feed: Feed) -> Iterator[Row]:
    """The rows below the header; empty lines are passed over.

    Raises:
        FeedError: no header, a column named twice, a row of another length, broken quoting.
    """
    reader = csv.reader(feed.lines(), strict=True)
    try:
        header = next(reader, None)
        if not header:
            raise feed.error("has no header", "column names in the first line", line=1)
        seen: set[str] = set()
        for column in header:
            if column in seen:
                raise feed.error("the column stands there twice", "each name once", line=1, column=column)
            seen.add(column)
        for values in reader:
            if not values:
                continue
            if len(values) != len(header):
                raise feed.error(
                    f"the row has {len(values)} values", f"{len(header)}, as the header", line=reader.line_num
                )
            yield Row(reader.line_num, dict(zip(header, values, strict=True)))
    except csv.Error as error:
        expected = "CSV with commas and double quotes"
        raise feed.error(f"is no CSV ({error})", expected, line=reader.line_num) from None
