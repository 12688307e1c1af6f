"""SQLite's log is copied into the file beside the owner, and begun anew by the owner, so that it stays short."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event, func, select, text

from bus import Entry, Kind, Ledger
from bus.ledger import Head, checkpoints, store, tables
from tests.running import eventually
from tests.unit.bus.toys import Pair, Send

ROUNDS = 6
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """One in which SQLite copies nothing by itself."""
    monkeypatch.setattr(store, "CHECKPOINT_PAGES", 0)
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", synchronous="OFF")
    made.create()
    yield made
    made.close()


def commit(ledger: Ledger, head: Head) -> Head:
    row = Entry(
        row=head.next_row,
        kind=Kind.LOCAL,
        stream="1/ask",
        subject=f"1-{head.next_row}",
        type="Say",
        recorded_ms=0,
        value=bytes(10_000),
    )
    return ledger.commit(head, [row], {}, NOW, lambda _connection: None)


def log_bytes(ledger: Ledger) -> int:
    assert ledger.folder
    return (ledger.folder / "ledger.db-wal").stat().st_size


def grow(ledger: Ledger, head: Head, between: Callable[[], object]) -> tuple[Head, int]:
    """So many commits that the log is long several times over; its size at the end."""
    for _ in range(ROUNDS * checkpoints.PAGES // checkpoints.PAGES_A_COMMIT):
        head = commit(ledger, head)
        between()
    return head, log_bytes(ledger)


def test_the_log_is_begun_anew_after_each_copy(ledger: Ledger) -> None:
    assert ledger.checkpoints
    head, alone = grow(ledger, ledger.claim(), lambda: None)
    head, _ = grow(ledger, head, lambda: ledger.checkpoints and ledger.checkpoints.step(0))
    assert log_bytes(ledger) < 1.1 * alone  # as many commits again fit where the first ones were
    with ledger.engine.connect() as other:
        assert other.execute(select(func.count()).select_from(tables.log)).scalar() == head.next_row - 1
        assert other.execute(text("PRAGMA integrity_check")).scalar() == "ok"


def test_the_owner_copies_what_was_written_behind_the_copy(ledger: Ledger) -> None:
    assert ledger.checkpoints
    head, alone = grow(ledger, ledger.claim(), lambda: None)
    with ledger.snapshot() as reader:  # nothing newer than what it sees is copied while it looks
        reader.execute(select(func.count()).select_from(tables.log)).scalar()
        head = commit(ledger, head)
        assert ledger.checkpoints.step(0)
    head = commit(ledger, head)
    head, _ = grow(ledger, head, lambda: None)
    assert log_bytes(ledger) < 1.1 * alone


def test_nothing_is_copied_while_the_log_is_short(ledger: Ledger) -> None:
    assert ledger.checkpoints
    head = commit(ledger, ledger.claim())
    assert not ledger.checkpoints.step(0)
    for _ in range(checkpoints.PAGES // checkpoints.PAGES_A_COMMIT):
        head = commit(ledger, head)
    assert ledger.checkpoints.step(0)
    assert not ledger.checkpoints.step(0)


def test_a_log_that_can_not_be_copied_fails_no_commit(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ledger.checkpoints
    head, _ = grow(ledger, ledger.claim(), lambda: None)
    assert ledger.checkpoints.step(0)
    monkeypatch.setattr(checkpoints, "_COPY", "PRAGMA no such thing")
    assert commit(ledger, head).next_row == head.next_row + 1


def test_a_running_node_copies_beside_its_writer(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PAGES", 1)
    engine, copied = pair.ask.engine, set[str]()

    @event.listens_for(engine.ledger.engine, "before_cursor_execute")
    def copying(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "wal_checkpoint" in statement:
            copied.add(threading.current_thread().name)

    engine.start()
    engine.writer.submit(pair.ask.command("1-a", Send()))
    eventually(lambda: copied, engine)
    engine.stop()
    assert copied == {"kuayu-checkpoints"}


def test_a_database_in_memory_has_no_log_to_copy() -> None:
    assert Ledger("sqlite://").checkpoints is None
