"""Archiving on both databases: what ended long ago leaves the ledger, and both stay provable."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from typer.testing import CliRunner

from bus import Ledger
from bus.archive import Archived, archive, history, verify_archive
from bus.ledger import tables
from bus.ledger.entry import decode
from bus.ledger.stubs import is_stub
from bus.verification import rebuild, verify
from kuayu.audit import audit
from kuayu.cli import app
from kuayu.ledgers import BESIDE
from tests.integration.test_ledgers import CHANGSHA, XIANGTAN, ZHUZHOU
from tests.integration.test_restore import CODES, Town

OLD = {"days": 500}


@pytest.fixture
def town(new_ledger: Callable[[str], str], tmp_path: Path) -> Iterator[Town]:
    """Thirty cases have ended long ago."""
    made = Town({code: new_ledger(code) for code in CODES}, tmp_path)
    made.work(30)
    made.clock.move(**OLD)
    yield made
    made.close()


def put_away(town: Town, code: str, file: Path, age: timedelta = timedelta(0)) -> Archived:
    """Archive, at a node that is stopped meanwhile, what ended so long ago."""
    town.engines[code].ledger.close()
    with closing(Ledger(town.urls[code])) as ledger:
        moved = archive(ledger, file, town.clock.now() - age, BESIDE)
    town.engines[code] = town.open(code)
    return moved


def entries(town: Town, code: str) -> list[tuple[str, bool]]:
    """The case of each row, and whether its content is in an archive."""
    found = town.engines[code].ledger.entries(select(tables.log.c.entry).order_by(tables.log.c.row))
    return [(entry.subject, is_stub(entry)) for entry in found]


def test_ledger_and_archive_are_proven_each_by_the_other(town: Town, tmp_path: Path) -> None:
    before = {case: town.engines[ZHUZHOU].ledger.history(case) for case in town.cases}
    head = town.engines[ZHUZHOU].ledger.head()
    file = tmp_path / "a.db"
    moved = put_away(town, ZHUZHOU, file)
    rows = entries(town, ZHUZHOU)
    gone = {case for case, archived in rows if archived}
    assert (moved.cases, moved.rows) == (len(gone), sum(archived for _, archived in rows))
    assert 0 < moved.cases < 30  # the last of each lane stay
    assert town.problems() == []
    assert verify_archive(file, town.engines[ZHUZHOU].ledger) == []
    assert (head.next_row, head.chain) == (town.engines[ZHUZHOU].ledger.head().next_row, head.chain)  # type: ignore[union-attr]
    for case in town.cases:
        assert history(file, case) == (before[case] if case in gone else [])
    assert {case for case, _ in town.known(ZHUZHOU)} == set(town.cases) - gone


def test_nothing_of_a_case_stays_behind(town: Town, tmp_path: Path) -> None:
    put_away(town, ZHUZHOU, tmp_path / "a.db")
    found = town.engines[ZHUZHOU].ledger.entries(select(tables.log.c.entry))
    kept = [entry for entry in found if not is_stub(entry)]
    assert b"\xe5\xbc\xa0\xe4\xbc\x9f\xe6\x98\x8e" in b"".join(entry.value for entry in kept)  # the applicant
    assert not any(entry.facts or entry.actor for entry in found if is_stub(entry))
    assert {len(entry.value) for entry in found if is_stub(entry)} == {32}


def test_all_goes_on_afterwards(town: Town, tmp_path: Path) -> None:
    for code in CODES:
        assert put_away(town, code, tmp_path / f"{code}.archive").cases > 0
    town.agree()
    town.work(5)
    town.agree()
    assert town.problems() == []
    assert {status for code in CODES for _, status in town.known(code)} == {"delivered"}
    for engine in town.engines.values():
        assert all(not_receipted == 0 for _, not_receipted in engine.relay.backlog().values())
        rebuild(engine.ledger, engine.records, [])
    assert town.problems() == []
    kept_by_nodes = ("submission", "task")  # which these engines are not
    assert [p for p in audit(town.urls, bootstrap="").problems if not p.what.startswith(kept_by_nodes)] == []


@pytest.mark.parametrize("restored", [(ZHUZHOU,), (CHANGSHA,), CODES], ids=["sender", "receiver", "all"])
def test_a_restore_from_a_backup_that_is_younger_is_agreed_all_the_same(
    town: Town, tmp_path: Path, restored: tuple[str, ...]
) -> None:
    backups = {code: town.back_up(code) for code in restored}
    town.work(5)
    for code in CODES:
        assert put_away(town, code, tmp_path / f"{code}.archive", timedelta(days=1)).cases > 0
    town.restore(backups)
    town.agree()
    town.work(3)
    town.agree()
    assert town.problems() == []
    for code, engine in town.engines.items():
        assert not engine.books.restoring
        assert {status for _, status in town.known(code)} == {"delivered"}
        assert all(not_receipted == 0 for _, not_receipted in engine.relay.backlog().values())


def test_a_restore_from_a_backup_that_is_older_waits_for_a_person(town: Town, tmp_path: Path) -> None:
    backups = {CHANGSHA: town.back_up(CHANGSHA)}
    town.work(8)
    for code in CODES:
        put_away(town, code, tmp_path / f"{code}.archive")
    town.restore(backups)
    town.agree()  # what was said since can't be given back: it is in the archives of those who heard it
    assert town.engines[CHANGSHA].books.restoring
    assert town.engines[CHANGSHA].books.opening
    for code in (ZHUZHOU, XIANGTAN):
        assert not town.engines[code].books.restoring


def test_a_second_archive_takes_what_has_ended_since(town: Town, tmp_path: Path) -> None:
    first, second = tmp_path / "a.db", tmp_path / "b.db"
    put_away(town, XIANGTAN, first)
    town.work(30)
    town.clock.move(**OLD)
    assert put_away(town, XIANGTAN, second).cases > 0
    ledger = town.engines[XIANGTAN].ledger
    assert [verify_archive(file, ledger) for file in (first, second)] == [[], []]
    assert town.problems() == []
    assert put_away(town, XIANGTAN, tmp_path / "c.db") == Archived(0, 0)
    assert not (tmp_path / "c.db").exists()


def test_what_is_young_open_or_unreceipted_stays(town: Town, tmp_path: Path) -> None:
    town.work(5)  # just now
    with town.engines[ZHUZHOU].ledger.engine.begin() as connection:
        subjects = connection.execute(select(tables.log.c.subject).distinct()).scalars().all()
        unended = min(subjects)
        connection.execute(update(tables.case).where(tables.case.c.subject == unended).values(open=True))
        connection.execute(update(tables.lane).where(tables.lane.c.outward).values(mark=0))
    town.engines[ZHUZHOU].ledger.close()
    with closing(Ledger(town.urls[ZHUZHOU])) as ledger:
        assert archive(ledger, tmp_path / "a.db", town.clock.now()) == Archived(
            0, 0
        )  # no hand-over is receipted
        with ledger.engine.begin() as connection:
            connection.execute(
                update(tables.lane).where(tables.lane.c.outward).values(mark=tables.lane.c.number)
            )
        town.clock.move(days=-1)
        archive(ledger, tmp_path / "a.db", town.clock.now())
        rows = ledger.entries(select(tables.log.c.entry))
    gone = {entry.subject for entry in rows if is_stub(entry)}
    assert gone
    assert not gone & {unended, *town.cases[30:]}
    town.engines[ZHUZHOU] = town.open(ZHUZHOU)


def test_it_is_refused_while_a_node_runs_and_never_overwrites(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    second = Ledger(town.urls[ZHUZHOU])
    with pytest.raises(BlockingIOError):
        archive(second, file, town.clock.now())
    assert not file.exists()
    file.touch()
    with pytest.raises(FileExistsError):
        archive(second, file, town.clock.now())
    second.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log SET entry = (SELECT max(entry) FROM log) WHERE row = (SELECT min(row) FROM log)",
        "DELETE FROM log WHERE row = (SELECT max(row) FROM log)",
        "UPDATE batch SET root = chain WHERE batch = (SELECT max(batch) FROM batch)",
    ],
)
def test_damage_to_an_archive_is_found(town: Town, tmp_path: Path, damage: str) -> None:
    file = tmp_path / "a.db"
    put_away(town, CHANGSHA, file)
    with closing(Ledger(f"sqlite:///{file}")) as copy, copy.engine.begin() as connection:
        connection.execute(text(damage))
    assert verify_archive(file) != []


def test_an_archive_of_another_ledger_is_none_of_this_one(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    put_away(town, CHANGSHA, file)
    assert verify_archive(file, town.engines[XIANGTAN].ledger) != []


def test_a_stub_that_was_changed_is_found(town: Town, tmp_path: Path) -> None:
    put_away(town, CHANGSHA, tmp_path / "a.db")
    engine = town.engines[CHANGSHA]
    with engine.ledger.engine.begin() as connection:
        for row, blob in connection.execute(select(tables.log.c.row, tables.log.c.entry)).all():
            entry = decode(blob)
            if is_stub(entry):
                changed = blob.replace(entry.value, bytes(32))
                connection.execute(update(tables.log).where(tables.log.c.row == row).values(entry=changed))
                break
    assert verify(engine.ledger, engine.records) != []


def test_the_commands_say_what_is_archived_and_read_it(tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        shown = CliRunner().invoke(app, list(arguments), env={"KUAYU_DATA": str(tmp_path)})
        return shown.exit_code, shown.output

    town = Town({code: f"sqlite:///{tmp_path}/{code}.db" for code in CODES}, tmp_path)
    town.work(12)
    file = str(tmp_path / "a.archive")
    code, said = run("ledger", "archive", ZHUZHOU, file)
    assert (code, "a node has the ledger open" in said) == (2, True)
    town.close()
    assert "0 cases" in run("ledger", "archive", ZHUZHOU, file)[1]  # they are of today
    with closing(Ledger(town.urls[ZHUZHOU])) as ledger:
        with ledger.engine.begin() as connection:  # as if it had been long ago
            connection.execute(update(tables.batch).values(committed_at=0))
        before = {case: run("case", case) for case in town.cases}
        code, said = run("ledger", "archive", ZHUZHOU, file)
        assert (code, "archived: " in said) == (0, True), said
        gone = {entry.subject for entry in ledger.entries(select(tables.log.c.entry)) if is_stub(entry)}
    for case in town.cases:
        if case in gone:
            assert "is archived" in run("case", case)[1]
            assert run("case", case, "--archive", file) == before[case]
        else:
            assert run("case", case) == before[case]
            assert run("case", case, "--archive", file)[0] == 2
    code, said = run("verify", ZHUZHOU, "--archive", file)
    assert code == 0, said
    assert "archived), 0 problems" in said
    code, said = run("verify", CHANGSHA, "--archive", file)
    assert (code, "a.archive: batch" in said) == (1, True)
    assert run("ledger", "archive", ZHUZHOU, file)[0] == 2  # never overwritten
