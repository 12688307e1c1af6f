"""Looking at what is held: filters, explanations, dead letters. Looking changes nothing."""

from datetime import timedelta
from typing import Any

import pytest

from bus import envelope as env
from bus.dead_letters import held_letters, quarantined_letters
from bus.held import MEANINGS, Which, explain, find, quarantined
from bus.transport import MemoryTransport, Outbound
from schemas import load_catalogue
from tests.unit.bus.toys import Decided, Pair, Send

TOPIC = "kuayu.answer.2"


@pytest.fixture
def held(pair: Pair) -> Pair:
    """1-a is parked with one behind, 1-b waits for a directory, and comes an hour later; 1-c is well."""

    def rule(_state: Any, message: Any) -> Decided | None:
        if message.kind == "event" and message.case == "1-a":
            raise ZeroDivisionError
        if message.kind == "event" and message.case == "1-b":
            return Decided("waiting", "waits", "等 / waits", awaits="directory:2027.1")
        return None

    pair.answer.stage.rule = rule
    pair.ask.act("1-a", Send(times=2, note="张伟明"))
    pair.ask.act("1-c")
    pair.settle()
    pair.clock.move(hours=1)
    pair.ask.act("1-b")
    pair.settle()
    return pair


@pytest.mark.parametrize(
    ("which", "cases"),
    [
        ({}, ["1-a", "1-a", "1-b"]),
        ({"first": True}, ["1-a", "1-b"]),
        ({"status": "parked"}, ["1-a"]),
        ({"status": "waiting"}, ["1-a", "1-b"]),
        ({"code": "handler_error"}, ["1-a"]),
        ({"awaits": "directory:"}, ["1-b"]),
        ({"awaits": "directory%"}, []),
        ({"case": "1-b"}, ["1-b"]),
        ({"stream": "2/answer"}, ["1-a", "1-a", "1-b"]),
        ({"stream": "1/ask"}, []),
        ({"type": "CaseWithdrawn", "case": "1-a", "first": True}, ["1-a"]),
        ({"type": "CaseDecided"}, []),
    ],
)
def test_the_list_holds_what_fits_all_that_is_said(
    held: Pair, which: dict[str, Any], cases: list[str]
) -> None:
    assert [event.case for event in find(held.answer.ledger, Which(**which), 10)] == cases


def test_the_list_says_since_when_and_how_many_wait_behind(held: Pair) -> None:
    first, second, third = find(held.answer.ledger, Which(), 10)
    assert (first.behind, second.behind, third.behind) == (1, 0, 0)
    assert (first.tries, second.code, second.tries) == (1, "behind", 0)
    assert third.since - first.since == timedelta(hours=1)
    assert find(held.answer.ledger, Which(since=third.since), 10) == [third]
    assert find(held.answer.ledger, Which(), 1, after=first.row) == [second]


def test_an_explanation_says_what_the_sender_was_told(held: Pair) -> None:
    catalogue, records = load_catalogue(), held.answer.engine.records
    first, second, third = find(held.answer.ledger, Which(), 10)
    found = explain(held.answer.ledger, records, catalogue, first.row)
    assert found is not None
    assert (found.event, found.behind) == (first, (second,))
    assert (found.meaning_zh, found.meaning_en) == MEANINGS["handler_error"]
    assert found.source == "1/ask"
    assert found.place.startswith(TOPIC)
    lane = held.ask.lane(outward=True, case="1-a")
    heard = held.ask.engine.books.exceptions(lane, found.number, found.number)[found.number]
    assert found.told is not None
    assert (found.told.status, found.told.code, found.told.reason) == (heard.status, heard.code, heard.reason)
    waiting = explain(held.answer.ledger, records, catalogue, third.row)
    assert waiting is not None
    assert (waiting.event.awaits, waiting.told and waiting.told.status) == ("directory:2027.1", "waiting")
    assert explain(held.answer.ledger, records, catalogue, third.row + 1) is None


def test_what_the_catalogue_calls_personal_is_masked(held: Pair) -> None:
    """A withdrawal's reason is: people write what they like there."""
    [first, *_] = find(held.answer.ledger, Which(), 10)
    found = explain(held.answer.ledger, held.answer.engine.records, load_catalogue(), first.row)
    assert found is not None
    assert found.data == {"reason": "***", "withdrawn_at": "2026-03-02T04:00:00Z"}
    assert "张伟明" not in repr(found)


def test_what_can_not_be_decoded_is_told_by_its_size_and_digest(pair: Pair) -> None:
    codec: Any = pair.ask.engine.records.codec
    encode = codec.encode
    codec.encode = lambda data: (encode(data)[0][:5] + b"\xff\xff\xff", encode(data)[1])
    pair.ask.act("1-a")
    codec.encode = encode
    pair.settle()
    [event] = find(pair.answer.ledger, Which(), 10)
    found = explain(pair.answer.ledger, pair.answer.engine.records, load_catalogue(), event.row)
    assert found is not None
    assert (found.data, found.data_problem, found.size, len(found.sha256)) == (None, "BadPayload", 8, 64)


def test_dead_letters_are_the_records_as_they_came_and_what_is_wrong(held: Pair) -> None:
    letters = list(held_letters(held.answer.ledger, Which(first=True), 10))
    assert [letter.key for letter in letters] == [b"1-a", b"1-b"]
    originals = {
        (record.partition, record.offset): record for p in (0, 1) for record in held.broker.records(TOPIC, p)
    }
    for letter in letters:
        said = {name: value.decode() for name, value in letter.headers}
        place = int(said["__connect.errors.partition"]), int(said["__connect.errors.offset"])
        original = originals[place]
        assert (letter.key, letter.value) == (original.key, original.value)
        assert letter.headers[: len(original.headers)] == list(original.headers)
        assert said["__connect.errors.topic"] == TOPIC
        assert said["__connect.errors.connector.name"] == "2/answer"
    first, second = ({name: value.decode() for name, value in letter.headers} for letter in letters)
    assert first["__connect.errors.exception.class.name"] == "ZeroDivisionError"
    assert first["__connect.errors.exception.message"].startswith("handler_error: ZeroDivisionError at ")
    assert (first["__connect.errors.stage"], first["kuayu.status"]) == ("TASK_PUT", "parked")
    assert (second["kuayu.status"], second["kuayu.awaits"]) == ("waiting", "directory:2027.1")
    assert list(held_letters(held.answer.ledger, Which(first=True), 10)) == letters
    assert len(list(held_letters(held.answer.ledger, Which(), 2))) == 2
    head = env.read(env.head_of(dict(letters[0].headers)))
    assert head.subject == "1-a"


def test_quarantined_samples_are_dead_letters_too(pair: Pair) -> None:
    producer = MemoryTransport(pair.broker).producer("forger")
    for body in (b"x" * 1_000, b"y"):
        producer.send(Outbound(TOPIC, 1, b"1-a", body, []), lambda _: None)
    pair.settle()
    long, short = quarantined_letters(pair.answer.ledger, 10)
    assert (long.value, short.value) == (b"x" * 256, b"y")
    said = {name: value.decode() for name, value in long.headers}
    assert (said["kuayu.status"], said["kuayu.size"]) == ("quarantined", "1000")
    assert (said["__connect.errors.partition"], said["__connect.errors.offset"]) == ("1", "0")
    [(first, _)] = quarantined(pair.answer.ledger, 1)
    [(second, sample)] = quarantined(pair.answer.ledger, 5, (first.topic, first.partition, first.offset))
    assert (first.size, second.offset, sample) == (1_000, 1, b"y")
