"""Looking at what is held or quarantined: lists by filter, and one event explained. Reads only, with or without an engine."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, and_, func, select, tuple_

from bus import envelope as env
from bus.holding import BEHIND
from bus.ledger import Entry, Ledger, instant, milliseconds, tables
from bus.records import Records
from schemas import Catalogue, CodecError, masked

_held, _quarantine = tables.held, tables.quarantine
_later = _held.alias("later")
_BEHIND_SHOWN = 100

MEANINGS: dict[str, tuple[str, str]] = {
    "undecodable": (
        "内容无法解码。请发送方说明原意后修正,或退回",
        "Its body can't be decoded. Repair it with what its sender meant, or refuse it.",
    ),
    "handler_error": (
        "程序处理时出错。新版本启动时自动重试一次;也可修正或退回",
        "The program failed on it. A newer version tries it once by itself; or repair or refuse it.",
    ),
    "not_storable": (
        "账本不接受处理结果。排除原因后重试,或修正、退回",
        "The ledger did not take what came of it. Replay it when the cause is gone, or repair or refuse it.",
    ),
    "schema": (
        "等待发送方的数据结构;取得后自动办理(KUAYU_PEERS 指明来源)",
        "It waits for its writer's schema, and goes on by itself when that is fetched (KUAYU_PEERS says where).",
    ),
    "contract": (
        "类型或结构比本程序新;升级程序后自动办理",
        "Its type or schema is newer than this program; it goes on by itself after an upgrade.",
    ),
    BEHIND: (
        "同一办件有更早的事件被搁置;先处理那一条",
        "An earlier event of the same case is held; see to that one first.",
    ),
    "too_large": (
        "由此产生的事件过大,不能发送",
        "What follows from it is too large to be sent.",
    ),
}
_WAITING = (
    "等待所列事项;到达后自动办理",
    "It waits for what is named, and goes on by itself when that is there.",
)
_PARKED = (
    "由此产生的事件不能发送。升级后自动重试一次;也可修正或退回",
    "What follows from it can't be sent. A newer version tries it once by itself; or repair or refuse it.",
)


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Which held events are meant: those that fit all that is said."""

    row: int | None = None
    stream: str | None = None
    case: str | None = None
    status: str | None = None
    """parked or waiting."""
    code: str | None = None
    type: str | None = None
    awaits: str | None = None
    """The whole, or how it begins: `schema:` for all that wait for a schema."""
    since: datetime | None = None
    """Held at that instant or later."""
    first: bool = False
    """Only the one of each case that blocks it."""


class HeldEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that took its number in its lane and can't be applied now."""

    row: int
    """Of the ledger's log, where it stands."""
    stream: str
    case: str
    type: str
    status: str
    code: str
    reason: str
    awaits: str
    lane: str
    since: datetime
    tries: int
    version: str
    """Of the program that tried it last."""
    behind: int
    """Events of the case that wait behind it."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the receipts for its lane say of an event, beside the number up to which they speak."""

    number: int
    status: str
    code: str
    reason: str
    receipted_to: int


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One held event, with all that helps to decide what to do about it."""

    event: HeldEvent
    meaning_zh: str
    meaning_en: str
    id: str
    source: str
    number: int
    incarnation: int
    place: str
    """Topic, partition and offset that it came from."""
    acted_at: datetime
    recorded_at: datetime
    schema: str
    """Digest of its writer's schema."""
    size: int
    """Bytes of its body."""
    sha256: str
    """Of its body."""
    data: Any
    """The event as JSON with its personal fields masked; null where that can't be had."""
    data_problem: str
    """Why there is no data."""
    told: Told | None
    """Null where the sender has begun a new incarnation of the lane since."""
    behind: tuple[HeldEvent, ...]


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A record that no verified sender stands behind; it took no number and was not answered."""

    topic: str
    partition: int
    offset: int
    seen_at: datetime
    reason: str
    size: int


def find(ledger: Ledger, which: Which, limit: int, after: int = 0) -> list[HeldEvent]:
    """Held events in the order of their rows, beginning after a row."""
    behind = (
        select(func.count())
        .select_from(_later)
        .where(_later.c.stream == _held.c.stream, _later.c.subject == _held.c.subject)
        .where(_later.c.row > _held.c.row)
        .scalar_subquery()
    )
    query = (
        select(_held, behind.label("behind"))
        .where(_held.c.row > after, *_conditions(which))
        .order_by(_held.c.row)
        .limit(limit)
    )
    with ledger.read() as connection:
        return [_event(row) for row in connection.execute(query)]


def _conditions(which: Which) -> Iterator[ColumnElement[bool]]:
    for column, value in (
        (_held.c.row, which.row),
        (_held.c.stream, which.stream),
        (_held.c.subject, which.case),
        (_held.c.status, which.status),
        (_held.c.code, which.code),
        (_held.c.type, which.type),
    ):
        if value is not None:
            yield column == value
    if which.awaits is not None:
        yield _held.c.awaits.startswith(which.awaits, autoescape=True)
    if which.since is not None:
        yield _held.c.since >= milliseconds(which.since)
    if which.first:
        same = and_(_later.c.stream == _held.c.stream, _later.c.subject == _held.c.subject)
        yield ~select(_later.c.row).where(same, _later.c.row < _held.c.row).exists()


def _event(row: Row[Any]) -> HeldEvent:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public way to a row by names
    return HeldEvent(case=values.pop("subject"), since=instant(values.pop("since")), **values)


def explain(ledger: Ledger, records: Records, catalogue: Catalogue, row: int) -> Explanation | None:
    """One held event; None if that row is not held (any more)."""
    found = find(ledger, Which(row=row), 1)
    if not found:
        return None
    [event] = found
    entry = entry_of(ledger, row)
    envelope = env.read(entry.head)
    data, problem = _shown(records, catalogue, entry)
    zh, en = MEANINGS.get(event.code, _WAITING if event.status == "waiting" else _PARKED)
    topic, partition, offset = entry.place or ("", 0, 0)
    return Explanation(
        event=event,
        meaning_zh=zh,
        meaning_en=en,
        id=envelope.id,
        source=envelope.source,
        number=entry.number,
        incarnation=entry.incarnation,
        place=f"{topic}/{partition}@{offset}",
        acted_at=envelope.acted_at,
        recorded_at=envelope.recorded_at,
        schema=envelope.digest.hex(),
        size=len(entry.value),
        sha256=hashlib.sha256(entry.value).hexdigest(),
        data=data,
        data_problem=problem,
        told=_told(ledger, entry),
        behind=tuple(
            find(ledger, Which(stream=event.stream, case=event.case), _BEHIND_SHOWN, after=event.row)
        ),
    )


def entry_of(ledger: Ledger, row: int) -> Entry:
    """The log's entry of a held event."""
    [entry] = ledger.entries(select(tables.log.c.entry).where(tables.log.c.row == row))
    return entry


def _shown(records: Records, catalogue: Catalogue, entry: Entry) -> tuple[Any, str]:
    """The event for operators' eyes, and why there is none."""
    try:
        data = records.event(entry, env.read(entry.head))
        paths: Sequence[str] = catalogue.personal_paths(entry.type)
    except CodecError as error:
        return None, f"{type(error).__name__}"
    except KeyError:
        return None, "not in the catalogue, so it is not known which fields are personal"
    return masked(msgspec.to_builtins(data), paths), ""


def _told(ledger: Ledger, entry: Entry) -> Told | None:
    lane, exception = tables.lane, tables.exception
    query = (
        select(exception.c.status, exception.c.code, exception.c.reason, lane.c.number)
        .join(lane, exception.c.lane == lane.c.id)
        .where(~lane.c.outward, lane.c.name == entry.lane, lane.c.incarnation == entry.incarnation)
        .where(exception.c.number == entry.number)
    )
    with ledger.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Told(
        number=entry.number, status=row.status, code=row.code, reason=row.reason, receipted_to=row.number
    )


def quarantined(
    ledger: Ledger, limit: int, after: tuple[str, int, int] | None = None
) -> list[tuple[Quarantined, bytes]]:
    """Quarantined records with the samples that were kept of them, by topic, partition and offset."""
    place = (_quarantine.c.topic, _quarantine.c.partition, _quarantine.c.offset)
    query = select(_quarantine).order_by(*place).limit(limit)
    if after is not None:
        query = query.where(tuple_(*place) > after)
    with ledger.read() as connection:
        rows = connection.execute(query).all()
    return [
        (
            Quarantined(
                topic=row.topic,
                partition=row.partition,
                offset=row.offset,
                seen_at=datetime.fromtimestamp(row.seen_at / 1000, UTC),
                reason=row.reason,
                size=row.size,
            ),
            row.sample,
        )
        for row in rows
    ]
