"""How a run of the lane model ends: all faults cease, everybody learns everything, and the sums are drawn."""

from typing import Any

from sqlalchemy import select

from bus import envelope as env
from bus.incarnation import declare_offline
from bus.ledger import Ledger, tables
from bus.verification import rebuild
from tests.unit.bus.lanes import CASES, CONTROL, Lanes, submit
from tests.unit.bus.watched import FINAL, Watched


def end(lanes: Lanes) -> None:
    """All faults cease; then nobody helps, but people who mend cases."""
    _heal(lanes)
    _until_known(lanes)
    _mend_all(lanes)
    _until_known(lanes)
    _check_end(lanes)


def _heal(lanes: Lanes) -> None:
    lanes.broker.start()
    lanes.broker.behave()
    lanes.broker.release()
    for watched in lanes.watched:
        watched.node.faulty.commits.clear()
        watched.node.faulty.read_fails_in = None
        watched.node.sends.clear()


def _until_known(lanes: Lanes) -> None:
    """Step and move the clock, with nobody's help, until everything is known; two days are enough."""
    for _ in range(100):
        for _ in range(200):
            if not lanes.step_all():
                break
        lanes.check()
        unknown = _known(lanes)
        if not unknown:
            return
        lanes.clock.move(minutes=5)
        for watched in lanes.watched if lanes.restored else ():
            _declare_if_told(lanes, watched)
    raise AssertionError(unknown)


def _declare_if_told(lanes: Lanes, watched: Watched) -> None:
    """Where two histories met after several restores the alarm asks for a person, who does what it says."""
    told, watched.node.observed.alarms = watched.node.observed.alarms, []
    if not any("kuayu ledger declare" in detail for _, detail in told):
        return
    for engine in watched.frozen:
        engine.ledger.close()
    watched.frozen.clear()
    watched.ledger.engine.dispose()
    watched.node.kill()
    ledger = watched.node.reach_ledger()
    declare_offline(ledger, lanes.clock.now(), "its receiver knows more")
    ledger.close()
    watched.node.open()
    lanes.wire(watched)
    watched.forget()


def _known(lanes: Lanes) -> str:
    """What a sender does not know yet as it is; empty if there is nothing."""
    for watched in lanes.watched:
        if watched.node.engine.books.restoring or watched.node.engine.books.opening:
            return f"{watched.node.stream} is not yet agreed on what was said"
        for name, (number, cursor, mark, exceptions) in watched.knows().items():
            fates = lanes.receiver(name).taken.get(name, [])
            if (cursor, mark, len(fates)) != (number, number, number):
                return f"{name}: {number} sent, cursor {cursor}, mark {mark}, {len(fates)} taken"
            true = lanes.receiver(name).knows(outward=False)[name][3]
            if exceptions != true:
                return f"{name}: {true}, its sender says {exceptions}"
    return ""


def _mend_all(lanes: Lanes) -> None:
    lanes.moods.clear()
    for _ in range(len(lanes.acts)):
        for key, (watched, command, _) in list(lanes.acts.items()):
            lanes.acts[key] = watched, command, submit(watched, command)
        lanes.step_all()
        lanes.hear_answers()
    for watched in lanes.watched:
        for of in list(watched.node.engine.books.held):
            watched.node.engine.mending.release(*of)
    lanes.step_all()
    while any(
        watched.node.engine.books.held for watched in lanes.watched
    ):  # only tombstones are left in front
        for watched in lanes.watched:
            for of, held in list(watched.node.engine.books.held.items()):
                assert held[0].code == "undecodable" or held[0].type == env.TOMBSTONE
                watched.node.engine.mending.refuse(*of, "operator", "lost", "原件已失 / the original is lost")
        lanes.step_all()


def _check_end(lanes: Lanes) -> None:
    assert lanes.acts == {}
    for watched in lanes.watched:
        node = watched.node
        assert node.engine.books.held == {}
        assert {fate.status for fates in watched.taken.values() for fate in fates} <= set(FINAL)
        if lanes.restored:
            _check_agreed(lanes, watched)
        else:
            _check_told(lanes, watched)
        _check_sums(lanes, watched)
        before = _projections(node.ledger)
        assert node.problems() == []
        rebuild(node.ledger, node.engine.records, [])
        assert _projections(node.ledger) == before


def _check_told(lanes: Lanes, watched: Watched) -> None:
    for case in CASES:
        assert watched.acts.get(case, 0) == lanes.done.get((watched.node.stream, case), 0)
    refused = [f for lane in watched.sent for f in lanes.receiver(lane).taken[lane] if f.status == "refused"]
    assert watched.refusals_told == len(refused)


def _check_agreed(lanes: Lanes, watched: Watched) -> None:
    """After a restore: both hold the same of each lane, and nothing twice."""
    records = watched.node.engine.records
    for name, sent in watched.sent.items():
        taken = lanes.receiver(name).taken.get(name, [])
        assert [entry.lane_hash for entry in sent] == [fate.lane_hash for fate in taken]
        said = [
            (e.subject, records.event(e, env.read(e.head)).reason) for e in sent if e.type != env.TOMBSTONE
        ]
        assert len(said) == len(set(said)), "said twice"


def _check_sums(lanes: Lanes, watched: Watched) -> None:
    """Law 5: what was read is what became of it; a topic that lost records has only that much less."""
    for place, at in watched.node.engine.books.positions.items():
        if place.topic in CONTROL:
            continue
        # Both ends of a lane restored, and its records gone, may leave two histories until it is opened again.
        assert at.quarantined == 0 or lanes.restored, "an honest event was taken for a forged one"
        assert at.taken == watched.places.get(place, 0)
        if place.topic not in lanes.damaged:
            read = at.taken + at.duplicate + at.ahead + at.quarantined
            assert read == at.next == lanes.broker.end(place)


def _projections(ledger: Ledger) -> list[Any]:
    with ledger.read() as connection:
        return [
            connection.execute(select(table).order_by(*table.primary_key)).all()
            for table in (tables.case, tables.timer)
        ]
