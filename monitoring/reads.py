"""What the ledger says in aggregate: few statements, each by an index, so that looking costs the writer nothing."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import func, literal, select, text, union_all

from bus import Engine
from bus.books import Lane, Position
from bus.ledger import tables
from bus.receipts import UNSETTLED
from bus.transport import TopicPartition

_lane, _log, _exception, _case, _held = (
    tables.lane,
    tables.log,
    tables.exception,
    tables.case,
    tables.held,
)


class OpenLane(NamedTuple):
    """What was handed over on a lane and is not closed by a receipt."""

    events: int
    since: datetime | None
    """When the oldest was committed; None where there is none."""


def lanes(engine: Engine) -> list[Lane]:
    """All lanes in their newest incarnation, by direction and name."""
    # `sorted` copies in one step of the interpreter, so the writer may add lanes meanwhile
    return sorted(engine.books.lanes.values(), key=lambda lane: (not lane.outward, lane.name))


def positions(engine: Engine) -> Mapping[TopicPartition, Position]:
    """How far each partition is read, and what became of its records."""
    return engine.books.positions.copy()


def quarantined(engine: Engine) -> int:
    """Records that were ever quarantined here; more than are kept."""
    return sum(position.quarantined for position in positions(engine).values())


def open_handovers(engine: Engine) -> dict[str, OpenLane]:
    """For each outward lane whose receiver gives receipts: what is open, and since when (law 4)."""
    beyond = {name: waiting for name, (_, waiting) in engine.relay.backlog().items()}
    unsettled = _exception.join(_lane, (_lane.c.id == _exception.c.lane) & _lane.c.outward)
    reported = (
        select(
            _exception.c.lane,
            _lane.c.name,
            func.count().label("events"),
            func.min(_exception.c.number).label("oldest"),
        )
        .select_from(unsettled)
        .where(_exception.c.status.in_(UNSETTLED), _exception.c.number <= _lane.c.mark)
        .group_by(_exception.c.lane, _lane.c.name)
    )
    with engine.ledger.read() as connection:
        counts = {row.name: row.events for row in connection.execute(reported)}
    oldest: dict[str, datetime] = {}
    queries = []
    if any(beyond.values()):
        next_open = (_log.c.lane == _lane.c.id) & (_log.c.number == _lane.c.mark + 1)
        queries.append(
            select(_log.c.entry)
            .select_from(_lane.join(_log, next_open))
            .where(_lane.c.outward, _lane.c.number > _lane.c.mark)
        )
    if counts:
        first = reported.subquery()
        at = (_log.c.lane == first.c.lane) & (_log.c.number == first.c.oldest)
        queries.append(select(_log.c.entry).select_from(first.join(_log, at)))
    for query in queries:
        for entry in engine.ledger.entries(query):
            at_sender = datetime.fromtimestamp(entry.recorded_ms / 1000, UTC)
            oldest[entry.lane] = min(at_sender, oldest.get(entry.lane, at_sender))
    return {
        name: OpenLane(count, oldest.get(name) if count else None)
        for name, waiting in beyond.items()
        for count in (waiting + counts.get(name, 0),)
    }


def cases_by_status(engine: Engine) -> list[tuple[str, str, int]]:
    """Stream, status and number of cases."""
    counted = select(_case.c.stream, _case.c.status, func.count()).group_by(_case.c.stream, _case.c.status)
    with engine.ledger.read() as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(counted)]


def held_cases(engine: Engine) -> list[tuple[str, str, int, int]]:
    """Stream, status, cases and events that are held; a case is parked if one of its events is."""
    by_case = (
        select(
            _held.c.stream,
            func.min(_held.c.status).label("status"),  # "parked" comes before "waiting"
            func.count().label("events"),
        )
        .group_by(_held.c.stream, _held.c.subject)
        .subquery()
    )
    counted = select(by_case.c.stream, by_case.c.status, func.count(), func.sum(by_case.c.events)).group_by(
        by_case.c.stream, by_case.c.status
    )
    with engine.ledger.read() as connection:
        return [(row[0], row[1], row[2], int(row[3])) for row in connection.execute(counted)]


def cases_of(engine: Engine, stream: str) -> list[tuple[str, str, int]]:
    """Status, how it is held (or an empty string) and number of a stream's cases, all as of one moment."""
    all_ = select(_case.c.status, literal("").label("how"), func.count()).where(_case.c.stream == stream)
    by_case = (
        select(_held.c.subject, func.min(_held.c.status).label("how"))
        .where(_held.c.stream == stream)
        .group_by(_held.c.subject)
        .subquery()
    )
    same = (_case.c.stream == stream) & (_case.c.subject == by_case.c.subject)
    held = select(_case.c.status, by_case.c.how, func.count()).select_from(by_case.join(_case, same))
    # one statement, so one moment; the held ones, who are few, are counted twice and taken off again
    both = union_all(all_.group_by(_case.c.status), held.group_by(_case.c.status, by_case.c.how))
    counts: Counter[tuple[str, str]] = Counter()
    with engine.ledger.read() as connection:
        for status, how, count in connection.execute(both):
            counts[status, how] += count
            if how:
                counts[status, ""] -= count
    return [(status, how, count) for (status, how), count in counts.items()]


def size(engine: Engine) -> int:
    """Bytes of the database."""
    sqlite = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    postgresql = "SELECT pg_database_size(current_database())"
    with engine.ledger.read() as connection:
        statement = postgresql if connection.dialect.name == "postgresql" else sqlite
        return int(connection.execute(text(statement)).scalar_one())
