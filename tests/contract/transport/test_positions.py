"""Where every transport begins to read, and what it says of positions that are not there (any more)."""

import time
from itertools import count
from typing import Any

import pytest

from bus.transport import (
    Consumer,
    Producer,
    RetriableError,
    TopicPartition,
    TopicSpec,
    Transport,
)
from tests.contract.transport.records import (
    CLIENT,
    NUMBERS,
    Answers,
    new_topic,
    out_of_range,
    outbound,
    read,
    values,
    write,
)
from tests.running import PATIENCE, answered


def test_reading_begins_where_it_is_told_to(
    transport: Transport, producer: Producer, consumer: Consumer
) -> None:
    topic = new_topic(transport)
    place = TopicPartition(topic, 0)
    write(producer, (outbound(topic, number) for number in range(10)))
    consumer.assign({place: 0})
    assert values(read(consumer, 4, limit=4)) == [0, 1, 2, 3]

    again = transport.consumer(CLIENT)
    again.assign({place: 4})
    assert values(read(again, 6)) == [4, 5, 6, 7, 8, 9]
    again.assign({place: None})
    assert values(read(again, 10)) == list(range(10))
    again.assign({place: 10})
    assert again.poll(0.2, 10) == []
    write(producer, [outbound(topic, 10)])
    assert values(read(again, 1)) == [10]
    again.seek(place, 7)
    assert values(read(again, 4)) == [7, 8, 9, 10]
    again.close()
    assert values(read(consumer, 7)) == [4, 5, 6, 7, 8, 9, 10]


def test_earliest_is_what_is_left(
    ground: Any, transport: Transport, producer: Producer, consumer: Consumer
) -> None:
    topic = new_topic(transport)
    place = TopicPartition(topic, 0)
    write(producer, (outbound(topic, number) for number in range(10)))
    ground.expire(place, 6)
    consumer.assign({place: None})
    assert values(read(consumer, 4)) == [6, 7, 8, 9]


def test_what_expired_is_told_and_reading_goes_on_where_sought(
    ground: Any,
    transport: Transport,
    producer: Producer,
    consumer: Consumer,
) -> None:
    topic = new_topic(transport, 2)
    place, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    write(producer, (outbound(topic, number, number % 2) for number in range(20)))
    ground.expire(place, 5)
    consumer.assign({place: 2, other: 0})
    error, records = out_of_range(consumer)
    assert (error.place, error.asked, error.earliest, error.end) == (place, 2, 5, 10)
    again, more = out_of_range(consumer)
    assert again.args == error.args
    consumer.seek(place, error.earliest)
    records += more
    records += read(consumer, 15 - len(records))
    assert values([record for record in records if record.partition == 0]) == [10, 12, 14, 16, 18]
    assert values([record for record in records if record.partition == 1]) == list(range(1, 20, 2))


def test_a_position_beyond_the_end_is_out_of_range(
    transport: Transport,
    producer: Producer,
    consumer: Consumer,
) -> None:
    topic = new_topic(transport)
    place = TopicPartition(topic, 0)
    write(producer, (outbound(topic, number) for number in range(3)))
    consumer.assign({place: 7})
    error, _ = out_of_range(consumer)
    assert (error.asked, error.earliest, error.end) == (7, 0, 3)
    consumer.seek(place, 3)
    write(producer, [outbound(topic, 3)])
    assert values(read(consumer, 1)) == [3]


def test_a_topic_made_anew(ground: Any, transport: Transport, producer: Producer, consumer: Consumer) -> None:
    topic = new_topic(transport)
    place = TopicPartition(topic, 0)
    write(producer, (outbound(topic, number) for number in range(5)))
    consumer.assign({place: 0})
    read(consumer, 5)
    ground.delete(topic)
    until = time.monotonic() + PATIENCE
    while topic in answered(transport.topics) and time.monotonic() < until:
        time.sleep(0.05)
    assert transport.ensure_topics([TopicSpec(topic, 1)]) == [topic]
    error, _ = out_of_range(consumer)
    assert (error.asked, error.earliest, error.end) == (5, 0, 0)
    consumer.seek(place, 0)
    attempts = Answers()
    for number in count():
        try:
            producer.send(outbound(topic, 100), attempts.of(number))
        except RetriableError:
            continue
        assert producer.flush(PATIENCE)
        if attempts.by_number[number] == [None]:
            break
        assert time.monotonic() < until + PATIENCE
    assert values(read(consumer, 1)) == [100]


def test_ends(transport: Transport, producer: Producer, consumer: Consumer) -> None:
    topic = new_topic(transport, 2)
    assert consumer.ends(5) == {}
    write(producer, (outbound(topic, number) for number in range(7)))
    consumer.assign({TopicPartition(topic, 0): 3, TopicPartition(topic, 1): None})
    assert answered(lambda: consumer.ends(5)) == {TopicPartition(topic, 0): 7, TopicPartition(topic, 1): 0}
    consumer.assign({TopicPartition(f"{topic}.missing", 0): 0})
    with pytest.raises(RetriableError):
        consumer.ends(1)


def test_positions_are_shown_to_lag_tools(ground: Any, transport: Transport) -> None:
    topic = new_topic(transport, 2)
    client = f"430300-pickup-{next(NUMBERS)}"
    places = TopicPartition(topic, 0), TopicPartition(topic, 1)
    consumer = transport.consumer(client)
    consumer.assign(dict.fromkeys(places, 0))
    positions = {places[0]: 4, places[1]: 1}
    until = time.monotonic() + PATIENCE
    while ground.committed(client) != positions:
        consumer.commit(positions)
        consumer.poll(0.2, 10)
        assert time.monotonic() < until
    consumer.close()
