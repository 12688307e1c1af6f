"""Merkle batches and their chain, after RFC 6962 (leaves and nodes are hashed with different prefixes).

A batch's chain value covers the batch before it; a signature over it will cover all history.
"""

import hashlib
from collections.abc import Sequence

NOTHING = bytes(32)
"""The chain before the first batch."""


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def root(entries: Sequence[bytes]) -> bytes:
    """Root over encoded entries. An odd node at the end of a level moves up unchanged, as in RFC 6962.

    Raises:
        ValueError: there are no entries.
    """
    return root_of_leaves([leaf(entry) for entry in entries])


def root_of_leaves(level: list[bytes]) -> bytes:
    """The same over leaves, which are all that is left of rows that were archived.

    Raises:
        ValueError: there are none.
    """
    if not level:
        raise ValueError("a batch has at least one row")
    while len(level) > 1:
        paired = [
            hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def chain(previous: bytes, batch: int, first_row: int, last_row: int, batch_root: bytes) -> bytes:
    """The chain value of a batch: what was before, where it stands, and its root."""
    place = b"%d:%d:%d:" % (batch, first_row, last_row)
    return hashlib.sha256(b"\x02" + previous + place + batch_root).digest()
