# ruff: noqa: SLF001 (there is no public place for this; the contract suite tells when an update moves it)
"""How fetched record batches become records, under kafka-python.

kafka-python's own reader stops for ever, in an endless loop, at a record whose header name is not UTF-8, and any
client may write one. So its step from batch to records is replaced here, by the record format of Kafka's
protocol guide (magic 2): nothing but bytes is needed, which also makes it faster.
"""

from collections.abc import Iterator
from typing import Any

from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel

from bus.transport.base import Record


class PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # kafka-python carries no types
    """Takes the place of the fetcher's class of the same name and yields `Record`."""

    def _unpack_records(self, place: Any, batches: Any, _key: Any, _value: Any) -> Iterator[Record]:
        try:
            while (batch := batches.next_batch()) is not None:
                _check(batch)
                self.leader_epoch = batch.leader_epoch
                if self._readable(batch):
                    for record in _records(batch, place.topic, place.partition):
                        self.next_fetch_offset = record.offset + 1
                        yield record
                # The last record of a batch may have been compacted away; its offset is gone by all the same.
                self.next_fetch_offset = batch.next_offset
            self.drain()
        except (CorruptRecordError, IndexError, ValueError) as error:
            # Without this the fetcher would ask this dead reader again and again, for ever.
            self.drain()
            raise CorruptRecordError(
                f"{place}: unreadable at offset {self.next_fetch_offset}: {error}"
            ) from error

    def _readable(self, batch: Any) -> bool:
        """Whether it has records for us: no markers of transactions, and nothing that was aborted."""
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            if self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return False
        return not batch.is_control_batch


def _check(batch: Any) -> None:
    if batch.magic != 2:  # noqa: PLR2004 (the only format since Kafka 0.11; brokers of 4.x have no other)
        raise CorruptRecordError(f"record format {batch.magic} is not known")
    if not batch.validate_crc():
        raise CorruptRecordError(f"the batch at offset {batch.base_offset} is damaged")


def _records(batch: Any, topic: str, partition: int) -> Iterator[Record]:
    batch._maybe_uncompress()
    buffer = bytes(batch._buffer)
    pos = batch._pos
    base_offset = batch.base_offset
    appended = batch.timestamp_type == batch.LOG_APPEND_TIME
    first_ms = batch.max_timestamp if appended else batch.first_timestamp
    names: dict[bytes, str] = {}  # the same few in every record: one object each, however many records wait
    for _ in range(batch.records_count):
        length, pos = _varint(buffer, pos)
        end = pos + length
        delta, pos = _varint(buffer, pos + 1)  # one byte of attributes, unused
        ms = first_ms if appended else first_ms + delta
        delta, pos = _varint(buffer, pos)
        length, pos = _varint(buffer, pos)
        key = value = None
        if length >= 0:
            key = buffer[pos : pos + length]
            pos += length
        length, pos = _varint(buffer, pos)
        if length >= 0:
            value = buffer[pos : pos + length]
            pos += length
        count, pos = _varint(buffer, pos)
        headers: list[tuple[str, bytes | None]] = []
        try:
            for _ in range(count):
                # Lengths are almost always below 64: one byte, and even because they are not negative.
                length = buffer[pos]
                if length & 0x81:
                    length, pos = _varint(buffer, pos)
                else:
                    length >>= 1
                    pos += 1
                raw = buffer[pos : pos + length]
                name = names.get(raw) or names.setdefault(raw, raw.decode())
                pos += length
                length = buffer[pos]
                if length & 0x81:
                    length, pos = _varint(buffer, pos)
                    if length < 0:
                        headers.append((name, None))
                        continue
                else:
                    length >>= 1
                    pos += 1
                headers.append((name, buffer[pos : pos + length]))
                pos += length
        except UnicodeDecodeError:
            headers = []
        pos = end
        yield Record(topic, partition, base_offset + delta, ms, key, value, headers)


def _varint(buffer: bytes, pos: int) -> tuple[int, int]:
    """A zigzag varint at `pos`, and where the next thing begins."""
    byte = buffer[pos]
    pos += 1
    value = byte & 0x7F
    shift = 7
    while byte & 0x80:
        byte = buffer[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    return (value >> 1) ^ -(value & 1), pos
