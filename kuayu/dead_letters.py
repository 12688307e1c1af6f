"""`kuayu held export`: what is held, and what was kept of quarantined records, written to a topic or a file."""

import os
from base64 import b64encode
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec

from bus.dead_letters import DeadLetter, held_letters, quarantined_letters
from bus.envelope import partition_of
from bus.held import Which
from bus.transport import (
    Outbound,
    RetriableError,
    TopicSpec,
    Transport,
    TransportError,
    open_transport,
)
from kuayu.held import HeldError
from kuayu.inspection import open_ledger
from kuayu.settings import Settings

FLUSH_SECONDS = 30.0
TOPICS = "kuayu.dead-letters."
"""How those begin that are meant for this; no other name of the bus is written to."""


def export(settings: Settings, code: str, which: Which, limit: int, *, topic: str, file: Path | None) -> int:
    """Write what is held, and what was kept of quarantined records, to a topic or a file; gives how many records.

    Nothing is changed, and every export writes them anew: `ce_id` and `kuayu.row` tell copies apart. Quarantined
    records are left out where a filter says what is meant.

    Raises:
        InspectionError: no such ledger.
        HeldError: the topic or the file can't be written.
    """
    with open_ledger(settings, code) as (ledger, _):
        letters: Iterator[DeadLetter] = held_letters(ledger, which, limit)
        if which == Which():
            letters = chain(letters, quarantined_letters(ledger, limit))
        if file is not None:
            return _to_file(file, letters)
        return _to_topic(settings, topic, letters)


def _to_file(file: Path, letters: Iterator[DeadLetter]) -> int:
    """One JSON object a line, bytes in base64. For its owner's eyes only: bodies may be personal."""
    count = 0
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            os.fchmod(out.fileno(), 0o600)  # also where the file was there before
            for letter in letters:
                record = {
                    "key": _text(letter.key),
                    "headers": [[name, _text(value)] for name, value in letter.headers],
                    "value": _text(letter.value),
                }
                out.write(msgspec.json.encode(record) + b"\n")
                count += 1
    except OSError as error:
        raise HeldError(f"{file}: {error.strerror}") from error
    return count


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _to_topic(settings: Settings, topic: str, letters: Iterator[DeadLetter]) -> int:
    if topic.startswith("kuayu.") and not topic.startswith(TOPICS):
        raise HeldError(
            f"{topic} is a topic of the bus; {TOPICS}430100 would be right, or any name of your own"
        )
    try:
        settings.check_broker()
        transport = open_transport(settings.driver, settings.bootstrap_servers, settings.tls)
    except (ValueError, TransportError) as error:
        raise HeldError(str(error)) from error
    try:
        partitions = _partitions(transport, topic)
        return _send(transport, topic, partitions, letters)
    except TransportError as error:
        raise HeldError(f"{topic}: {error}") from error
    finally:
        transport.close()


def _partitions(transport: Transport, topic: str) -> int:
    """Those that the topic has; where there is none, it is made with one."""
    found = transport.topics().get(topic)
    if found is None:
        transport.ensure_topics([TopicSpec(topic, 1)])
    return found or 1


def _send(transport: Transport, topic: str, partitions: int, letters: Iterator[DeadLetter]) -> int:
    failed: list[TransportError] = []
    producer = transport.producer("kuayu.held-export")
    count = 0

    def done(error: TransportError | None) -> None:
        if error is not None:
            failed.append(error)

    try:
        for letter in letters:
            partition = partition_of(letter.key.decode(), partitions)
            record = Outbound(topic, partition, letter.key, letter.value, letter.headers)
            try:
                producer.send(record, done)
            except RetriableError:  # perhaps only its buffer was full
                producer.flush(FLUSH_SECONDS)
                producer.send(record, done)
            count += 1
        if not producer.flush(FLUSH_SECONDS):
            raise RetriableError("not all was acknowledged; export again")
    finally:
        producer.close()
    if failed:
        raise failed[0]
    return count
