"""Law 11, agreeing: opening a lane anew, what its receiver gives back, and what its sender makes of that.

The sender opens a lane in the lane's own partition, behind whatever it said there before, and names the last
receipted number it knows. The receiver ends all older incarnations and returns the events it holds after that
number. The sender adopts them into its log byte for byte, under their own numbers; what else it has said is
issued again behind them, under the same event ids. Numbers and hash go on over incarnations: an incarnation only
says who gave a number out, so that what a lost history still has under way is told apart and dropped.
"""

from collections.abc import Iterator

from msgspec.structs import replace
from sqlalchemy import select

from bus import envelope as env
from bus.application import Application
from bus.books import Answered, Books, HeldRow, Lane
from bus.envelope import Envelope, LaneName, Malformed
from bus.holding import ADOPTED, LOCAL_AWAITS, RESTORED, stored
from bus.ledger import Entry, Kind, tables
from bus.receipts import control, doubt, own_hash
from bus.receiving import Opened, hash_at
from bus.transport import Outbound
from bus.unit import Unit
from schemas import Codec
from schemas.models import EventsReturned, LaneOpened, ReturnedEvent, Tombstone

RETURN_BYTES = 500_000
"""Bodies in one answer; one that is larger goes alone."""
RETURN_EVENTS = 500


# The sender opens.


def opening(unit: Unit, lane: Lane, codec: Codec) -> Outbound:
    """What the sender writes into the lane's partition."""
    known = own_hash(unit, lane, lane.mark)
    data = LaneOpened(
        lane=lane.name,
        incarnation=lane.incarnation,
        after=lane.mark,
        hash_at_after=env.NO_HASH if known is None else known,
        issued_at=unit.now,
    )
    name = LaneName.parse(lane.name)
    body, schema = codec.encode(data)
    envelope = Envelope(
        id=f"{lane.name}@{lane.incarnation}.{lane.mark}.{unit.now.timestamp()}",
        type=env.LANE_OPENED,
        source=env.stream_of_topic(name.source),
        subject=lane.name,
        acted_at=unit.now,
        recorded_at=unit.now,
        lane=lane.name,
        incarnation=lane.incarnation,
        number=0,
        term=0,
        correlation=lane.name,
        causation="",
        digest=schema.digest,
        trace=env.new_trace(),
    )
    return Outbound(name.topic, name.partition, lane.name.encode(), body, env.headers_of(envelope.head()))


# The receiver answers.


def open_inward(unit: Unit, opened: Opened) -> None:
    """End older incarnations, once we hold what the opening names, and give back what is beyond."""
    data = opened.data
    lane = unit.lane(data.lane, outward=False)
    if data.incarnation < lane.incarnation:
        return
    if data.after > lane.number:  # we were restored too: first what we lost
        unit.ask(lane)
        return
    agreed = hash_at(unit, lane, data.after) == data.hash_at_after
    unit.set_lane(replace(lane, incarnation=data.incarnation, stopped=""))
    unit.give_back(lane, data.after if agreed else 0)  # the sender finds out how much is common


def returned(books: Books, lane: Lane, after: int, codec: Codec, unit: Unit) -> Outbound:
    """How far we hold the lane, and the first events after a number."""
    events: list[ReturnedEvent] = []
    size = 0
    for entry in books.ledger.lane_entries(lane.id, after + 1, min(lane.number, after + RETURN_EVENTS)):
        size += len(entry.value)
        if events and size > RETURN_BYTES:
            break
        events.append(ReturnedEvent(head=entry.head, lane_hash=entry.lane_hash, body=entry.value))
    answer = EventsReturned(
        lane=lane.name,
        incarnation=lane.incarnation,
        after=after,
        events=tuple(events),
        to_number=lane.number,
        hash_at_to=lane.hash,
        receiver_incarnation=books.head.incarnation,
        receiver_row=books.head.next_row - 1,
        issued_at=unit.now,
    )
    return control(answer, codec, unit.now)


# The sender adopts.


def adopt(unit: Unit, application: Application, data: EventsReturned) -> None:
    """Take back what was said and lost; open the lane when that is all.

    Raises:
        Malformed: the answer can't be true; nothing may be kept of it.
    """
    lane = unit.known_lane(data.lane)
    if lane is None:  # begun after the backup
        if not data.to_number or data.incarnation != unit.incarnation:
            return
        lane = replace(unit.lane(data.lane, outward=True), opening=RESTORED)
    current = lane.opening and data.incarnation == lane.incarnation
    if not current or data.after not in (lane.mark, 0):
        return  # an answer to an earlier opening
    running = own_hash(unit, lane, data.after)
    if running is None:
        raise Malformed(f"{lane.name}: returned from {data.after}, and our log does not go back that far")
    lane = replace(
        lane, mark=data.after, peer_incarnation=data.receiver_incarnation, peer_row=data.receiver_row
    )
    last = data.after + len(data.events)
    own = {entry.number: entry.lane_hash for entry in _own(unit, lane, data.after + 1, last)}
    waiting = _displaced(unit, lane)
    for number, event in enumerate(data.events, data.after + 1):
        entry = _entry(unit, lane, number, event)
        running = env.link(running, _digest(application, entry))
        if running != entry.lane_hash:
            raise Malformed(f"{lane.name}: number {number} as returned does not continue the lane")
        if own.get(number) != running:
            waiting += _displace(unit, lane, number)
            own.clear()
            lane = replace(lane, number=number, hash=running)
            _take_back(unit, application, entry, waiting)
        lane = replace(lane, mark=number)
    if lane.mark == data.to_number:
        lane = _open(unit, replace(lane, hash=running))
    unit.open_lane(lane)


def _take_back(unit: Unit, application: Application, entry: Entry, waiting: list[Entry]) -> None:
    """Record what was said; it has its effect, unless we know it under a number that its receiver forgot."""
    unit.append(entry)
    same = [known for known in waiting if (known.id, known.value) == (entry.id, entry.value)]
    for known in same:
        waiting.remove(known)
        unit.renumber(known.row, None, None)
    if not same:
        _hold(unit, application, entry)


def _open(unit: Unit, lane: Lane) -> Lane:
    """All is here that the receiver holds, up to the mark; what else we said is issued again behind it."""
    _displace(unit, lane, lane.mark + 1)
    lane = replace(lane, number=lane.mark, cursor=lane.mark, opening="")
    for entry in _displaced(unit, lane):
        lane = _issue_again(unit, lane, entry)
    return doubt(unit, lane)  # it tells anew what became of each


def _entry(unit: Unit, lane: Lane, number: int, event: ReturnedEvent) -> Entry:
    """The row of an event that was lost. Raises Malformed."""
    envelope = env.read(event.head)
    source = env.stream_of_topic(LaneName.parse(lane.name).source)
    if (envelope.lane, envelope.number, envelope.source) != (lane.name, number, source):
        raise Malformed(f"{lane.name}: returned as number {number}, it is another's")
    return Entry(
        row=unit.next_row,
        kind=Kind.OUT,
        stream=source,
        subject=envelope.subject,
        type=envelope.type,
        recorded_ms=unit.now_ms,
        head=event.head,
        value=event.body,
        outcome=ADOPTED,
        lane=lane.name,
        incarnation=envelope.incarnation,
        number=number,
        lane_hash=event.lane_hash,
        id=envelope.id,
    )


def _digest(application: Application, entry: Entry) -> bytes:
    if entry.type == env.TOMBSTONE:
        original = application.records.codec.decode(entry.value, env.read(entry.head).digest)
        return original.original_digest if isinstance(original, Tombstone) else b""
    return env.content_digest(entry.head, entry.value)


def _hold(unit: Unit, application: Application, entry: Entry) -> None:
    """Its effect comes in its case's order: `Releasing.release` sees to it."""
    causation = env.read(entry.head).causation
    known = env.is_local(causation) or _decided(unit, entry, causation)
    awaits = LOCAL_AWAITS if known else f"event:{causation}"
    if causation.startswith("key-"):  # it may be handed in again
        unit.set_answer("", causation, Answered(b"", entry.stream, entry.subject, entry.row))
    reason = "恢复后由接收方交回 / given back by its receiver after a restore"
    row = HeldRow(
        entry.row,
        "waiting",
        ADOPTED,
        reason,
        awaits,
        entry.lane,
        entry.type,
        entry.recorded_ms,
        tries=0,
        version=unit.books.version,
    )
    held = unit.held_rows(entry.stream, entry.subject)
    unit.set_held(entry.stream, entry.subject, (*held, row))
    if not unit.restoring:
        application.releasing.release(unit, entry.stream, entry.subject)


def _decided(unit: Unit, entry: Entry, cause: str) -> bool:
    """Whether the event that caused it was decided anew, and led to other ends, before it was given back."""
    log = tables.log
    rows = unit.books.ledger.entries(select(log.c.entry).where(log.c.subject == entry.subject))
    held = {row.row for row in unit.held_rows(entry.stream, entry.subject)}
    return any(
        (known.kind, known.stream) == (Kind.IN, entry.stream)
        and known.row not in held
        and env.event_cause(env.read(known.head).source, known.id) == cause
        for known in (*rows, *unit.entries)
    )


def _own(unit: Unit, lane: Lane, first: int, last: int) -> Iterator[Entry]:
    """Our rows with these numbers of a lane, as they stand in this unit."""
    last = min(last, lane.number)
    for entry in unit.books.ledger.lane_entries(lane.id, first, last):
        if entry.row not in unit.renumbered:
            yield entry
    for entry in unit.entries:
        ours = entry.kind is Kind.OUT and entry.lane == lane.name and first <= entry.number <= last
        if ours and entry.row not in unit.renumbered:
            yield entry


def _displace(unit: Unit, lane: Lane, first: int) -> list[Entry]:
    """Our rows from this number on lose it to others; until they are issued again they keep its negative."""
    entries = list(_own(unit, lane, first, lane.number))
    for entry in entries:
        unit.renumber(entry.row, lane.id, -entry.number)
    return entries


def _displaced(unit: Unit, lane: Lane) -> list[Entry]:
    log = tables.log
    query = select(log.c.row).where(log.c.lane == lane.id, log.c.number < 0)
    with unit.books.ledger.read() as connection:
        rows = set(connection.execute(query).scalars())
    rows |= {row for row, (of, _) in unit.renumbered.items() if of == lane.id}
    rows -= {row for row, (of, _) in unit.renumbered.items() if of is None}
    return [stored(unit, row) for row in sorted(rows)]


def _issue_again(unit: Unit, lane: Lane, entry: Entry) -> Lane:
    """The same event under the next number, in the lane's incarnation."""
    number = lane.number + 1
    head = replace(env.read(entry.head), incarnation=lane.incarnation, number=number).head()
    lane_hash = env.link(lane.hash, env.content_digest(head, entry.value))
    again = replace(
        entry,
        row=unit.next_row,
        recorded_ms=unit.now_ms,
        head=head,
        incarnation=lane.incarnation,
        number=number,
        lane_hash=lane_hash,
        cause=entry.row,
    )
    unit.append(again)
    unit.renumber(entry.row, None, None)
    return replace(lane, number=number, hash=lane_hash)
