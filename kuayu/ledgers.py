"""Backup, restore, archiving and compaction of a node's ledger, as the command line asks for them."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import delete, func, select

import consumers.tables
import producers.tables
from bus import Ledger, SystemClock
from bus.archive import Archived, archive
from bus.backup import back_up, put_back
from bus.books import Incarnation
from bus.incarnation import abandon, declare_offline
from bus.ledger import milliseconds, tables
from bus.ledger.locks import alone
from bus.verification import verify
from kuayu.inspection import open_ledger
from kuayu.migrations import upgrade
from kuayu.settings import Settings


def back_up_and_prove(settings: Settings, code: str, file: Path) -> tuple[list[str], int]:
    """Write a backup, then read it as a ledger: what is wrong with it, and its rows.

    Raises:
        kuayu.inspection.InspectionError: no such ledger, or it can't be read.
        FileExistsError: a backup is never overwritten.
    """
    with open_ledger(settings, code) as (ledger, records):
        back_up(ledger, file)
        with closing(Ledger(f"sqlite:///{file}")) as copy:
            head = copy.head()
            return verify(copy, records), head.next_row - 1 if head else 0


def restore_backup(settings: Settings, code: str, file: Path) -> Incarnation:
    """Put a backup in the ledger's place, and declare a new incarnation there.

    Raises:
        BlockingIOError: a node has the ledger open.
        LookupError: the backup was never used as a ledger.
        kuayu.migrations.NewerLedgerError: a newer program made it.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    return put_back(
        file, settings.ledger_url(code), SystemClock().now(), lambda ledger: upgrade(ledger.engine)
    )


def declare_loss(settings: Settings, code: str, reason: str) -> Incarnation:
    """Declare a new incarnation of a ledger that may have lost commits.

    Raises:
        BlockingIOError: a node has the ledger open.
        LookupError: it was never used.
        kuayu.inspection.InspectionError: no such ledger.
    """
    with open_ledger(settings, code) as (ledger, _records), alone(ledger.engine):
        upgrade(ledger.engine)
        return declare_offline(ledger, SystemClock().now(), reason)


def abandon_answers(settings: Settings, code: str, to: str, reason: str) -> list[str]:
    """End a restored ledger's wait for a receiver that never answers; the names of the lanes to it.

    Raises:
        BlockingIOError: a node has the ledger open.
        LookupError: nothing is waited for from there.
        kuayu.inspection.InspectionError: no such ledger.
    """
    with open_ledger(settings, code) as (ledger, _records), alone(ledger.engine):
        upgrade(ledger.engine)
        return abandon(ledger, to, reason)


class Dropped(NamedTuple):
    answers: int
    samples: int


def compact(settings: Settings, code: str, days: int) -> Dropped:
    """Drop idempotency keys and samples of quarantined records older than so many days, and give the space back.

    Raises:
        kuayu.inspection.InspectionError: no such ledger.
    """
    before = milliseconds(SystemClock().now() - timedelta(days=days))
    batch, answer, quarantine = tables.batch, tables.answer, tables.quarantine
    with open_ledger(settings, code) as (ledger, _records):
        with ledger.engine.begin() as connection:
            old = select(func.max(batch.c.last_row)).where(batch.c.committed_at < before)
            row = connection.execute(old).scalar() or 0
            answers = connection.execute(delete(answer).where(answer.c.version <= row)).rowcount
            samples = connection.execute(delete(quarantine).where(quarantine.c.seen_at < before)).rowcount
        _give_back(ledger)
    return Dropped(answers, samples)


BESIDE = (consumers.tables.task.c.subject, producers.tables.submission.c.case)
"""What other packages keep of a case."""


def archive_ended(settings: Settings, code: str, file: Path, days: int) -> Archived:
    """Move cases that ended more than so many days ago to a new file, and give the space back.

    Raises:
        BlockingIOError: a node has the ledger open.
        FileExistsError: an archive is never overwritten.
        kuayu.inspection.InspectionError: no such ledger.
    """
    with open_ledger(settings, code) as (ledger, _records):
        upgrade(ledger.engine)
        moved = archive(ledger, file, SystemClock().now() - timedelta(days=days), BESIDE)
        _give_back(ledger)
    return moved


def _give_back(ledger: Ledger) -> None:
    """Give the space of what was deleted back to the disk."""
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM")
