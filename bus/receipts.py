"""Receipts: what a receiver says of a lane, and what its sender makes of it (law 4).

A receipt says "from a to n, hash at n: applied, except …". It is made from the ledger after a commit, is never
logged nor answered, and may be lost: it is restated, and a sender that hears nothing probes.
"""

from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError

from bus import envelope as env
from bus.application import Application
from bus.books import Books, ExceptionRow, Lane
from bus.envelope import Envelope, LaneName
from bus.failures import place_of
from bus.incarnation import reopen
from bus.ledger.stubs import last_archived
from bus.protocols import HandOverRefused
from bus.transport import Outbound
from bus.unit import Unit
from schemas import Codec
from schemas.models import EventsReturned, Receipt, ReceiptException, ReceiptStatus, ResendRequested

EXCEPTIONS_AT_MOST = 500
"""In one receipt; a range with more is told in several."""
RANGE_AT_MOST = 100_000
REASON_AT_MOST = 300
"""Characters of a reason that are told, so that a receipt stays far below what a broker takes."""

FINAL = frozenset({ReceiptStatus.REFUSED.value, ReceiptStatus.VOID.value})
"""What closes a hand-over beside "applied"."""
TOLD = "told"
"""Refused by a receiver that was restored to before it: its case knows, and the hand-over is open again."""
UNSETTLED = (ReceiptStatus.PARKED.value, ReceiptStatus.WAITING.value)
"""What leaves it open, although the receiver has it."""


def state_of(books: Books, lane: Lane, first: int, codec: Codec, now: datetime) -> Iterable[Outbound]:
    """The receipts for an inward lane from a number to the last one taken."""
    while first <= lane.number:
        last = min(lane.number, first + RANGE_AT_MOST - 1)
        exceptions = sorted(books.exceptions(lane, first, last).items())
        if len(exceptions) > EXCEPTIONS_AT_MOST:
            last = exceptions[EXCEPTIONS_AT_MOST - 1][0]
            exceptions = exceptions[:EXCEPTIONS_AT_MOST]
        hash_at = lane.hash
        if last != lane.number:
            [entry] = books.ledger.lane_entries(lane.id, last, last)
            hash_at = entry.lane_hash
        receipt = Receipt(
            lane=lane.name,
            incarnation=lane.incarnation,
            from_number=first,
            to_number=last,
            hash_at_to=hash_at,
            exceptions=tuple(
                ReceiptException(
                    number=n,
                    status=ReceiptStatus(row.status),
                    code=row.code,
                    reason=row.reason[:REASON_AT_MOST],
                )
                for n, row in exceptions
            ),
            receiver_incarnation=books.head.incarnation,
            receiver_row=books.head.next_row - 1,
            issued_at=now,
        )
        yield control(receipt, codec, now)
        first = last + 1


def please_go_back(books: Books, lane: Lane, codec: Codec, now: datetime) -> Outbound:
    """The request for everything after the last number taken."""
    request = ResendRequested(
        lane=lane.name,
        incarnation=lane.incarnation,
        from_number=lane.number + 1,
        receiver_incarnation=books.head.incarnation,
        issued_at=now,
    )
    return control(request, codec, now)


def control(data: Receipt | ResendRequested | EventsReturned, codec: Codec, now: datetime) -> Outbound:
    """A message to the sender of a lane, on its jurisdiction's control topic."""
    name = LaneName.parse(data.lane)
    body, schema = codec.encode(data)
    first = data.after + 1 if isinstance(data, EventsReturned) else data.from_number
    envelope = Envelope(
        id=f"{data.lane}@{data.incarnation}.{first}.{now.timestamp()}",
        type=type(data).__name__,
        source=env.stream_of_topic(name.topic),
        subject=data.lane,
        acted_at=now,
        recorded_at=now,
        lane="",
        incarnation=data.receiver_incarnation,
        number=0,
        term=0,
        correlation=data.lane,
        causation="",
        digest=schema.digest,
        trace=env.new_trace(),
    )
    topic = env.topic_of("receipts", name.source.split(".")[2])
    return Outbound(topic, 0, data.lane.encode(), body, env.headers_of(envelope.head()))


def hear(unit: Unit, application: Application, data: Receipt | ResendRequested) -> str:
    """Apply what a receiver said. Returns an alarm's text if it can't be true, else an empty string."""
    lane = unit.known_lane(data.lane)
    if lane is None:
        return ""
    if data.incarnation > lane.incarnation:
        return _lost(lane, f"told of incarnation {data.incarnation}, which we never began")
    if isinstance(data, ResendRequested):
        return _go_back(unit, lane, data)
    return (
        "" if lane.opening else _close(unit, application, lane, data)
    )  # first it is agreed on what was said


def _lost(lane: Lane, what: str) -> str:
    """The receiver knows of us what we don't: our ledger may be older than what we said (law 11).

    A person declares that: until receipts are sealed, a forged one must harm no more than the lane it speaks of.
    """
    return f"{lane.name}: {what}; if this ledger is older than what it said: kuayu ledger declare"


def _go_back(unit: Unit, lane: Lane, asked: ResendRequested) -> str:
    if not 1 <= asked.from_number <= lane.number + 1:
        said = f"asked to go back to {asked.from_number}; our numbers are 1 to {lane.number}"
        if asked.from_number < 1:
            return f"{lane.name}: {said}"
        return "" if lane.opening or asked.incarnation < lane.incarnation else _lost(lane, said)
    archived = _archived(unit, lane)
    if asked.from_number <= archived:
        return (
            f"{lane.name}: asked to go back to {asked.from_number}; up to {archived} the lane is in archives"
        )
    if asked.receiver_incarnation > lane.peer_incarnation:  # restored: what it holds may have another outcome
        lane = doubt(unit, lane)
        unit.set_lane(replace(lane, peer_incarnation=asked.receiver_incarnation, peer_row=0))
    if asked.from_number <= lane.number and not lane.opening:
        first = unit.books.ledger.lane_entries(lane.id, asked.from_number, asked.from_number)
        if any(entry.incarnation < asked.incarnation for entry in first):
            reopen(unit, lane)  # it has ended the incarnation that it asks for
            return ""
    unit.rewind(lane, asked.from_number)
    return ""


def _close(unit: Unit, application: Application, lane: Lane, receipt: Receipt) -> str:  # noqa: PLR0911 - guards
    earlier = receipt.incarnation < lane.incarnation
    said_at = (receipt.receiver_incarnation, receipt.receiver_row)
    beyond = receipt.to_number > lane.number
    if beyond and not earlier:
        return _lost(lane, f"receipted up to {receipt.to_number}, beyond our last number {lane.number}")
    if not all(1 <= receipt.from_number <= said.number <= receipt.to_number for said in receipt.exceptions):
        return (
            f"{lane.name}: a receipt for {receipt.from_number} to {receipt.to_number} speaks of other numbers"
        )
    if beyond or own_hash(unit, lane, receipt.to_number) != receipt.hash_at_to:
        if earlier:
            return _earlier(unit, lane, said_at)
        other = f"number {receipt.to_number} has another hash at the receiver"
        unit.set_lane(replace(lane, stopped=other))
        return _lost(lane, other)
    if said_at < (lane.peer_incarnation, lane.peer_row):
        return ""  # older than what we know
    if receipt.receiver_incarnation > lane.peer_incarnation:  # restored, and we know not to where
        lane = replace(doubt(unit, lane), peer_incarnation=receipt.receiver_incarnation)
        unit.set_lane(lane)
    if receipt.from_number > lane.mark + 1:
        return ""  # it leaves out what we still wait for: closes nothing
    lane = replace(
        lane,
        mark=max(lane.mark, receipt.to_number),
        cursor=max(lane.cursor, receipt.to_number),
        peer_incarnation=receipt.receiver_incarnation,
        peer_row=receipt.receiver_row,
    )
    unit.set_lane(lane)
    return _except(unit, application, lane, receipt)


def _earlier(unit: Unit, lane: Lane, said_at: tuple[int, int]) -> str:
    """The receiver holds what an incarnation before this one said: it forgot that the lane was opened, if that is news."""
    if said_at > (lane.peer_incarnation, lane.peer_row):
        reopen(unit, lane)
    return ""


def doubt(unit: Unit, lane: Lane) -> Lane:
    """Open everything again that we could send again: its receiver may know less of it than it told.

    A case that was told of a refusal there is not told it twice.
    """
    mark = _archived(unit, lane)
    for number, row in unit.exceptions(lane, mark + 1, lane.mark).items():
        if row.status in FINAL:
            unit.set_exception(lane, number, row._replace(status=TOLD))
    return replace(lane, mark=min(lane.mark, mark))


def _archived(unit: Unit, lane: Lane) -> int:
    with unit.books.ledger.read() as connection:
        return last_archived(connection, lane.id)


def _except(unit: Unit, application: Application, lane: Lane, receipt: Receipt) -> str:
    """Note what is not simply applied, and no longer what now is."""
    now = {said.number: said for said in receipt.exceptions}
    before = unit.exceptions(lane, receipt.from_number, receipt.to_number)
    for number in before.keys() - now.keys():
        if before[number].status not in FINAL:
            unit.set_exception(lane, number, None)
    problems = []
    for number, said in now.items():
        old = before.get(number)
        if old is not None and old.status in {said.status.value, *FINAL}:
            continue
        code, reason = (text.replace("\0", "") for text in (said.code, said.reason))  # PostgreSQL stores none
        row = ExceptionRow(said.status.value, code, reason, receipt.receiver_row)
        if said.status is ReceiptStatus.REFUSED and (old is None or old.status != TOLD):
            problem = _tell(unit, application, lane, number, row)
            if problem:  # open until the case could be told: asked for again by probes
                row = ExceptionRow("waiting", "not_told", problem, receipt.receiver_row)
                problems.append(f"{lane.name} number {number}: its case could not be told: {problem}")
        unit.set_exception(lane, number, row)
    return "; ".join(problems)


def _tell(unit: Unit, application: Application, lane: Lane, number: int, row: ExceptionRow) -> str:
    """Tell the case. Returns why that failed, else an empty string: one bad case must not stop its lane."""
    [entry] = unit.books.ledger.lane_entries(lane.id, number, number)
    to = env.stream_of_topic(LaneName.parse(lane.name).topic)
    refusal = HandOverRefused(type=entry.type, to=to, code=row.code, reason=row.reason)
    point = unit.mark()
    try:
        application.told(unit, entry.stream, entry.subject, refusal)
    except DBAPIError:
        raise
    except Exception as error:  # noqa: BLE001 - it is the case's own
        unit.take_back(point)
        return place_of(error)
    return ""


def own_hash(unit: Unit, lane: Lane, number: int) -> bytes | None:
    """The running hash of an outward lane at a number that was committed."""
    if number == lane.number:
        return lane.hash
    if number == 0:
        return env.NO_HASH
    recent = unit.books.recent_hashes.get((lane.id, number))
    if recent is not None:
        return recent
    found = unit.books.ledger.lane_entries(lane.id, number, number)
    return found[0].lane_hash if found else None
