"""What stays in the log of a row whose content went to an archive."""

import msgspec
from sqlalchemy import Connection, select

from bus.ledger import merkle, tables
from bus.ledger.entry import Entry, decode, encode

HEAD = b"kuayu:archived"
"""In place of a stub's head; no trace and no envelope begins like this. Its value is the row's leaf."""


def is_stub(entry: Entry) -> bool:
    """Whether the row's content is in an archive."""
    return entry.head == HEAD


def leaf(blob: bytes) -> bytes:
    """The Merkle leaf of a row as it was committed, of a stub too."""
    if HEAD in blob:
        entry = decode(blob)
        if is_stub(entry):
            return entry.value
    return merkle.leaf(blob)


def stub(blob: bytes) -> bytes:
    """What stays of a row."""
    entry = decode(blob)
    if is_stub(entry):
        return blob
    return encode(msgspec.structs.replace(entry, head=HEAD, value=merkle.leaf(blob), facts=b"", actor=""))


def last_archived(connection: Connection, lane: int) -> int:
    """The last number of a lane that can't be sent or given back any more; 0 if all can."""
    table = tables.archived
    return connection.execute(select(table.c.number).where(table.c.lane == lane)).scalar() or 0
