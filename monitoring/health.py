"""Whether a node lives, and whether work should be sent to it."""

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy.exc import DBAPIError

from bus import Engine, Fenced
from bus.certificates import days_left

BROKER_AWAY: Final = timedelta(seconds=60)
"""Silence of the broker after which a node is not ready. It still takes cases in; others should be asked first."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`reasons` (Chinese and English) say what is wrong; nothing if all is well."""

    status: str
    node: str
    reasons: tuple[str, ...]
    positions: dict[str, int] = {}
    certificate_days: dict[str, int] = {}
    """Days for which each certificate of the way to the broker is good; below 0, it has expired."""

    @property
    def http_status(self) -> int:
        """200, or 503 with a reason."""
        return 503 if self.reasons else 200


def live(engine: Engine, code: str) -> Health:
    """Whether going on makes sense: a process whose engine failed has to be started again."""
    reasons = _failure(engine)
    return Health(status="failed" if reasons else "live", node=code, reasons=reasons)


def ready(engine: Engine, code: str, now: datetime) -> Health:
    """Whether the node does its work: its engine runs, its ledger answers, its broker was heard of lately."""
    reasons = list(_failure(engine))
    try:
        engine.ledger.head()
    except DBAPIError as error:
        reasons.append(f"台账无法读取 / the ledger can't be read: {type(error.orig).__name__}")
    heard = engine.inbox.looked_at
    if heard is None:
        reasons.append("尚未连上消息代理，读取位置未知 / no broker yet, positions are unknown")
    elif now - heard > BROKER_AWAY:
        seconds = round((now - heard).total_seconds())
        reasons.append(f"{seconds} 秒未收到消息代理的答复 / no answer of the broker for {seconds} s")
    certificate_days = {
        f"{file} {subject}": days_left(until, now)
        for (file, subject), until in engine.watch.readings.certificates.items()
    }
    if heard is None or now - heard > BROKER_AWAY:
        for name, days in certificate_days.items():
            if days < 0:
                reasons.append(f"TLS 证书已过期 / a certificate has expired: {name}")
    positions = {
        "relay_behind": sum(rows for rows, _ in engine.relay.backlog().values()),
        "inbox_lag": sum(engine.inbox.lag.values()),
        "writer_queue": engine.writer.waiting,
        "ledger_row": engine.books.head.next_row - 1,
        "epoch": engine.books.head.epoch,
        "incarnation": engine.books.head.incarnation,
    }
    status = "not_ready" if reasons else "ready"
    return Health(
        status=status,
        node=code,
        reasons=tuple(reasons),
        positions=positions,
        certificate_days=certificate_days,
    )


def _failure(engine: Engine) -> tuple[str, ...]:
    failure: Any = engine.failure
    if failure is None:
        return () if engine.alive else ("引擎已停止 / the engine was stopped",)
    if isinstance(failure, Fenced):
        return ("另一进程已接管台账 / another process has taken the ledger over",)
    return (f"引擎故障 / the engine failed: {type(failure).__name__}",)
