"""Receipts: what a receiver says of a lane, and what its sender makes of it (law 4).

A receipt says "from a to n, hash at n: applied, except …". It is made from the ledger after a commit, is never
logged nor answered, and may be lost: it is restated, and a sender that hears nothing probes.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.exc import DBAPIError

from bus import envelope as env
from bus.application import Application, place_of
from bus.books import Books, ExceptionRow, Lane
from bus.envelope import Envelope, LaneName
from bus.protocols import HandOverRefused
from bus.transport import Outbound
from bus.unit import Unit
from schemas import Codec
from schemas.models import Receipt, ReceiptException, ReceiptStatus, ResendRequested

EXCEPTIONS_AT_MOST = 500
"""In one receipt; a range with more is told in several."""
RANGE_AT_MOST = 100_000
REASON_AT_MOST = 300
"""Characters of a reason that are told, so that a receipt stays far below what a broker takes."""

FINAL = frozenset({ReceiptStatus.REFUSED.value, ReceiptStatus.VOID.value})
"""What closes a hand-over beside "applied"."""
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


def control(data: Receipt | ResendRequested, codec: Codec, now: datetime) -> Outbound:
    """A message to the sender of a lane, on its jurisdiction's control topic."""
    name = LaneName.parse(data.lane)
    body, schema = codec.encode(data)
    envelope = Envelope(
        id=f"{data.lane}@{data.incarnation}.{data.from_number}.{now.timestamp()}",
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
    key = (True, data.lane)
    lane = unit.lanes.get(key) or unit.books.lanes.get(key)
    if lane is None or data.incarnation != lane.incarnation:
        return ""
    if isinstance(data, ResendRequested):
        if not 1 <= data.from_number <= lane.number + 1:
            return f"{lane.name}: asked to go back to {data.from_number}; our numbers are 1 to {lane.number}"
        unit.rewind(lane, data.from_number)
        return ""
    return _close(unit, application, lane, data)


def _close(unit: Unit, application: Application, lane: Lane, receipt: Receipt) -> str:
    if receipt.to_number > lane.number:
        return f"{lane.name}: receipted up to {receipt.to_number}, beyond our last number {lane.number}"
    if not all(1 <= receipt.from_number <= said.number <= receipt.to_number for said in receipt.exceptions):
        return (
            f"{lane.name}: a receipt for {receipt.from_number} to {receipt.to_number} speaks of other numbers"
        )
    known = own_hash(unit, lane, receipt.to_number)
    if known != receipt.hash_at_to:
        reason = f"number {receipt.to_number} has another hash at the receiver"
        unit.set_lane(lane._replace(stopped=reason))
        return f"{lane.name}: {reason}"
    said_at = (receipt.receiver_incarnation, receipt.receiver_row)
    if said_at < (lane.peer_incarnation, lane.peer_row) or receipt.from_number > lane.mark + 1:
        return ""  # older than what we know, or it leaves out what we still wait for: closes nothing
    if receipt.receiver_incarnation > lane.peer_incarnation:
        lane = lane._replace(mark=min(lane.mark, receipt.to_number))  # restored: it may know less than before
    lane = lane._replace(
        mark=max(lane.mark, receipt.to_number),
        cursor=max(lane.cursor, receipt.to_number),
        peer_incarnation=receipt.receiver_incarnation,
        peer_row=receipt.receiver_row,
    )
    unit.set_lane(lane)
    return _except(unit, application, lane, receipt)


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
        if said.status is ReceiptStatus.REFUSED:
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
