"""Held events: tried again by a newer program, released, refused, repaired; each act in the log, each effect once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bus import CommandRefused, Kind, Message
from bus.ledger import tables
from bus.verification import rebuild
from schemas import Codec, Event, UnknownSchema
from schemas.models import CaseWithdrawn, Tombstone
from tests.running import eventually
from tests.unit.bus.toys import Decided, Node, Pair, Send, State

HELD = ("2/answer", "1-a")


def bad(_state: State | None, message: Message) -> Decided | None:
    """Only a note that says so can be taken."""
    if message.kind == "event" and not (message.data.reason or "").startswith("good"):
        raise ZeroDivisionError
    return None


def well(_state: State | None, _message: Message) -> Decided | None:
    return None


def waits(_state: State | None, message: Message) -> Decided | None:
    if message.kind == "event":
        return Decided(
            "waiting", "waits", "等新目录 / waits for a newer directory", awaits="directory:2027.1"
        )
    return None


def told(node: Node, case: str = "1-a") -> dict[int, tuple[str, str, str]]:
    """What the sender knows, from receipts, of what is not applied."""
    lane = node.lane(outward=True, case=case)
    found = node.engine.books.exceptions(lane, 1, lane.number)
    return {number: (row.status, row.code, row.reason) for number, row in found.items()}


def restarted(node: Node, version: str) -> None:
    """The node with another version of the program, run by its threads until it has tried what it wants to."""
    node.version = version
    node.restart()
    node.engine.start()
    eventually(lambda: not (node.engine.retrying.left and node.engine.alive), node.engine)
    assert not node.engine.retrying.left
    node.engine.stop()


def good(pair: Pair, note: str = "good") -> CaseWithdrawn:
    return CaseWithdrawn(reason=note, withdrawn_at=pair.clock.now())


def held(pair: Pair) -> list[tuple[str, int, str]]:
    return [(row.code, row.tries, row.version) for row in pair.answer.engine.books.held.get(HELD, ())]


def test_what_is_parked_is_tried_once_by_each_version(pair: Pair) -> None:
    tried: list[str] = []

    def counting(state: State | None, message: Message) -> Decided | None:
        tried.append(message.id)
        return bad(state, message)

    pair.answer.stage.rule = counting
    pair.ask.act("1-a")
    pair.ask.act("1-a")
    pair.settle()
    assert (held(pair), len(tried)) == ([("handler_error", 1, "1"), ("behind", 0, "1")], 1)
    restarted(pair.answer, "1")
    assert len(tried) == 1
    restarted(pair.answer, "2")
    assert (held(pair), len(tried)) == ([("handler_error", 2, "2"), ("behind", 0, "1")], 2)
    restarted(pair.answer, "2")
    assert len(tried) == 2
    pair.answer.stage.rule = well
    restarted(pair.answer, "3")
    pair.answer.restart()
    pair.clock.move(minutes=20)  # if the engine was stopped before it could say so, the sender asks
    pair.settle()
    assert held(pair) == []
    assert pair.answer.notes("1-a") == ("0", "0")
    assert told(pair.ask) == {}


def test_what_kills_the_process_is_not_tried_again_by_the_next_one(pair: Pair) -> None:
    class Killed(BaseException):
        pass

    def deadly(_state: State | None, message: Message) -> Decided | None:
        if message.kind == "event":
            raise Killed
        return None

    pair.answer.stage.rule = bad
    pair.ask.act("1-a")
    pair.settle()
    pair.answer.stage.rule = deadly
    pair.answer.version = "2"
    pair.answer.restart()
    pair.answer.engine.start()
    eventually(lambda: not pair.answer.engine.alive, pair.answer.engine)
    failure = pair.answer.engine.failure
    assert isinstance(failure, Killed)
    pair.answer.engine.stop()
    restarted(pair.answer, "2")
    assert pair.answer.engine.failure is None
    assert held(pair) == [("handler_error", 1, "2")]


def test_what_waits_for_something_from_outside_is_tried_at_every_start(pair: Pair) -> None:
    pair.answer.stage.rule = waits
    pair.ask.act("1-a")
    pair.settle()
    assert told(pair.ask) == {1: ("waiting", "waits", "等新目录 / waits for a newer directory")}
    restarted(pair.answer, "1")
    assert held(pair) == [("waits", 2, "1")]
    pair.answer.stage.rule = well
    restarted(pair.answer, "1")
    assert pair.answer.notes("1-a") == ("0",)


def test_a_schema_that_is_there_at_the_next_start_lets_its_events_go_on(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Codec.decode
    schema = pair.answer.engine.retrying._schemas.by_name("kuayu.CaseWithdrawn")

    def unknown(self: Codec, payload: bytes, digest: bytes | None = None) -> Event:
        if digest == schema.digest:
            raise UnknownSchema(schema.id, digest)
        return decode(self, payload, digest)

    pair.ask.act("1-a")
    monkeypatch.setattr(Codec, "decode", unknown)
    pair.settle()
    [(status, code, _)] = told(pair.ask).values()
    assert (status, code) == ("waiting", "schema")
    monkeypatch.undo()
    restarted(pair.answer, "1")
    assert pair.answer.notes("1-a") == ("0",)


def test_a_dry_run_says_what_would_be_and_changes_nothing(pair: Pair) -> None:
    pair.answer.stage.rule = bad
    pair.ask.act("1-a")
    pair.ask.act("1-a", Send(note="good"))
    pair.settle()
    before = pair.answer.engine.books.head.next_row, held(pair), pair.answer.notes("1-a")
    pair.answer.stage.rule = well
    tried = pair.answer.engine.mending.release(*HELD, dry_run=True)
    pair.settle()
    assert [(each.type, each.outcome) for each in tried.result(0)] == [("CaseWithdrawn", "applied")] * 2
    assert (pair.answer.engine.books.head.next_row, held(pair), pair.answer.notes("1-a")) == before
    assert [status for status, _, _ in told(pair.ask).values()] == ["parked", "waiting"]


def test_a_row_that_no_longer_comes_first_is_not_tried(pair: Pair) -> None:
    pair.answer.stage.rule = bad
    pair.ask.act("1-a")
    pair.settle()
    row = pair.answer.engine.books.held[HELD][0].row
    pair.answer.stage.rule = well
    first = pair.answer.engine.mending.release(*HELD, row=row)
    again = pair.answer.engine.mending.release(*HELD, row=row)
    pair.settle()
    assert ([each.outcome for each in first.result(0)], again.result(0)) == (["applied"], [])
    assert pair.answer.notes("1-a") == ("0",)


def test_only_what_comes_first_is_refused_and_only_once(pair: Pair) -> None:
    pair.answer.stage.rule = bad
    pair.ask.act("1-a")
    pair.ask.act("1-a", Send(note="good"))
    pair.settle()
    first, second = (row.row for row in pair.answer.engine.books.held[HELD])
    futures = [
        pair.answer.engine.mending.refuse(*HELD, "operator:wang", "wrong", "不可 / wrong", row=row)
        for row in (second, first, first)
    ]
    pair.settle()
    with pytest.raises(CommandRefused, match=f"row {first} of this case comes first"):
        futures[0].result(0)
    assert [tried.outcome for tried in futures[1].result(0)] == ["applied"]
    with pytest.raises(CommandRefused, match="nothing_held"):
        futures[2].result(0)
    assert pair.answer.notes("1-a") == ("good0",)
    assert told(pair.ask) == {1: ("refused", "wrong", "不可 / wrong")}
    assert pair.ask.notes("1-a") == ("send", "send", "told:HandOverRefused")


def test_a_repair_applies_the_event_as_corrected_and_the_log_keeps_both(pair: Pair) -> None:
    pair.answer.stage.rule = bad
    pair.ask.act("1-a")
    pair.ask.act("1-a", Send(note="good later "))
    pair.settle()
    row = pair.answer.engine.books.held[HELD][0].row
    repaired = pair.answer.engine.mending.repair(
        *HELD, row, "operator:wang", "电话确认 / by phone", good(pair, "good now")
    )
    pair.settle()
    assert [(each.outcome, each.code) for each in repaired.result(0)] == [
        ("applied", "repaired"),
        ("applied", ""),
    ]
    assert pair.answer.notes("1-a") == ("good now", "good later 0")
    assert told(pair.ask) == {}
    original, *_, settled, _ = pair.answer.ledger.history("1-a")
    decode: Callable[[bytes], Any] = pair.answer.engine.records.codec.decode
    assert (original.kind, decode(original.value).reason) == (Kind.IN, "0")
    assert (settled.kind, settled.actor, settled.code, settled.cause) == (
        Kind.LOCAL,
        "operator:wang",
        "repaired",
        original.row,
    )
    assert (settled.reason, decode(settled.value)) == ("电话确认 / by phone", good(pair, "good now"))
    pair.clock.move(minutes=30)  # the sender probes: what it sent is a duplicate of what was taken
    pair.settle()
    assert pair.answer.notes("1-a") == ("good now", "good later 0")


def test_a_rebuild_sees_the_event_as_repaired(pair: Pair) -> None:
    """Also one whose original can't be decoded at all."""
    codec: Any = pair.ask.engine.records.codec
    encode = codec.encode
    codec.encode = lambda data: (encode(data)[0][:5] + b"\xff\xff\xff", encode(data)[1])
    pair.ask.act("1-a")
    codec.encode = encode
    pair.settle()
    assert [code for _, code, _ in told(pair.ask).values()] == ["undecodable"]
    row = pair.answer.engine.books.held[HELD][0].row
    pair.answer.engine.mending.repair(*HELD, row, "operator:wang", "补录 / typed in", good(pair))
    pair.settle()
    seen: list[Any] = []

    class Watching:
        def apply(self, _connection: object, changes: Any) -> None:
            seen.extend(change.message for change in changes)

        def clear(self, _connection: object) -> None: ...

    rebuild(pair.answer.ledger, pair.answer.engine.records, [Watching()])
    [message] = seen
    assert (message.kind, message.type, message.data, message.source) == (
        "event",
        "CaseWithdrawn",
        good(pair),
        "1/ask",
    )
    assert pair.answer.notes("1-a") == ("good",)


def test_a_tombstone_is_repaired_by_what_it_stands_for(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.sending.MAX_BODY", 10_000_000)  # as if the broker's limit were lower than ours
    pair.ask.act("1-a", Send(size=1_200_000))
    pair.settle()
    [(status, code, _)] = told(pair.ask).values()
    assert (status, code) == ("parked", "undecodable")
    row = pair.answer.engine.books.held[HELD][0].row
    pair.answer.engine.mending.repair(
        *HELD, row, "operator:wang", "由发送方补发 / from its sender", good(pair)
    )
    pair.settle()
    assert pair.answer.notes("1-a") == ("good",)
    assert told(pair.ask) == {}


@pytest.mark.parametrize(
    ("data", "rule", "code"),
    [
        (lambda pair: good(pair, "still bad"), bad, "repair_not_applied"),
        (good, waits, "repair_not_applied"),
        (good, lambda _s, _m: Decided("refused", "no_such_matter", "无 / none"), "repair_not_applied"),
        (
            lambda _pair: Tombstone(original_type="CaseWithdrawn", original_digest=bytes(32), reason="no"),
            well,
            "wrong_type",
        ),
        (lambda pair: good(pair, "\ud800"), well, "invalid"),
        (
            lambda pair: CaseWithdrawn(reason="", withdrawn_at=pair.clock.now() + timedelta(microseconds=1)),
            well,
            "invalid",
        ),
    ],
)
def test_a_repair_that_the_case_does_not_take_changes_nothing(
    pair: Pair, data: Callable[[Pair], Any], rule: Callable[..., Decided | None], code: str
) -> None:
    pair.answer.stage.rule = bad
    pair.ask.act("1-a")
    pair.settle()
    before = pair.answer.engine.books.head.next_row, held(pair)
    pair.answer.stage.rule = rule
    row = pair.answer.engine.books.held[HELD][0].row
    future = pair.answer.engine.mending.repair(*HELD, row, "operator:wang", "试 / a try", data(pair))
    pair.settle()
    with pytest.raises(CommandRefused, match=code):
        future.result(0)
    assert (pair.answer.engine.books.head.next_row, held(pair)) == before


def test_a_restart_knows_what_is_held_as_it_was(pair: Pair) -> None:
    pair.answer.stage.rule = bad
    pair.ask.act("1-a")
    pair.ask.act("1-a")
    pair.settle()
    before = dict(pair.answer.engine.books.held)
    pair.answer.restart()
    assert pair.answer.engine.books.held == before
    with pair.answer.ledger.read() as connection:
        rows = connection.execute(select(tables.held).order_by(tables.held.c.row)).all()
    assert [(row.type, row.lane.startswith("kuayu.ask.1/"), row.tries) for row in rows] == [
        ("CaseWithdrawn", True, 1),
        ("CaseWithdrawn", True, 0),
    ]
