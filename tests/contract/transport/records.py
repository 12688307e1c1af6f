"""Records for the contract tests: how they are made, written and read back."""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from bus.transport import (
    Consumer,
    Outbound,
    OutOfRangeError,
    Producer,
    Record,
    RetriableError,
    TopicSpec,
    Transport,
    TransportError,
)
from tests.running import PATIENCE, answered

CLIENT = "430200-relay"
NUMBERS = count(time.time_ns())


def new_topic(transport: Transport, partitions: int = 1) -> str:
    name = f"contract.{next(NUMBERS)}"
    transport.ensure_topics([TopicSpec(name, partitions, {"message.timestamp.type": "LogAppendTime"})])
    return name


def outbound(topic: str, number: int, partition: int = 0) -> Outbound:
    return Outbound(topic, partition, b"case", b"%d" % number, [("ce_sequence", b"%d" % number)])


class Answers:
    """Collects what `done` was called with, by the number of the send."""

    def __init__(self) -> None:
        self.by_number: dict[int, list[TransportError | None]] = {}
        self.order: list[int] = []

    def of(self, number: int) -> Callable[[TransportError | None], None]:
        def done(error: TransportError | None) -> None:
            self.by_number.setdefault(number, []).append(error)
            self.order.append(number)

        return done


def write(producer: Producer, records: Iterable[Outbound]) -> None:
    """Send, and see each acknowledged exactly once, in order for each partition."""
    answers = Answers()
    sent = list(records)
    for number, record in enumerate(sent):
        while True:
            try:
                producer.send(record, answers.of(number))
                break
            except RetriableError:  # the buffer is full
                producer.poll(0.01)
                time.sleep(0.001)
    assert producer.flush(PATIENCE)
    assert answers.by_number == {number: [None] for number in range(len(sent))}
    for partition in {record.partition for record in sent}:
        numbers = [number for number in answers.order if sent[number].partition == partition]
        assert numbers == sorted(numbers)


def read(consumer: Consumer, wanted: int, limit: int = 500) -> list[Record]:
    """Poll until that many records came."""
    records: list[Record] = []
    until = time.monotonic() + PATIENCE
    while len(records) < wanted and time.monotonic() < until:
        got = consumer.poll(0.5, limit)
        assert len(got) <= limit
        records += got
    came = [(record.partition, record.offset) for record in records[-50:]]
    assert len(records) == wanted, f"up to {came}; the ends are {answered(lambda: consumer.ends(5))}"
    return records


def failure_of(producer: Producer, record: Outbound) -> TransportError:
    """How a send fails, be it at once or later."""
    answers = Answers()
    try:
        producer.send(record, answers.of(0))
    except TransportError as error:
        producer.flush(PATIENCE)
        assert not answers.order
        return error
    assert producer.flush(PATIENCE)
    ((error_or_none,),) = answers.by_number.values()
    assert error_or_none is not None
    return error_or_none


def out_of_range(consumer: Consumer) -> tuple[OutOfRangeError, list[Record]]:
    """The error that polling ends in, and what was read before it."""
    records: list[Record] = []
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            records += answered(lambda: consumer.poll(0.5, 500))
        except OutOfRangeError as error:
            return error, records
    raise AssertionError("no OutOfRangeError came")


def values(records: Sequence[Record]) -> list[int]:
    return [int(record.value or b"-1") for record in records]
