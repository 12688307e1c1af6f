"""Backup, restore and declaration with real cases on both databases: law 11 from end to end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from bus import Ledger, SystemClock, Unavailable
from bus.backup import back_up, put_back
from bus.incarnation import declare_offline
from bus.ledger import tables
from bus.ledger.locks import alone
from bus.verification import verify
from kuayu.migrations import upgrade
from tests.integration.test_ledgers import CHANGSHA, XIANGTAN, ZHUZHOU, Region

CODES = (ZHUZHOU, CHANGSHA, XIANGTAN)


class Town(Region):
    """A region whose nodes are restored from backups."""

    def __init__(self, urls: dict[str, str], folder: Path) -> None:
        super().__init__(urls)
        self._folder = folder
        self.cases: list[str] = []

    def work(self, count: int) -> None:
        """So many more cases, from being handed in to the end."""
        first = len(self.cases)
        self.cases += [self.hand_in(number) for number in range(first, first + count)]
        self.settle()

    def back_up(self, code: str) -> Path:
        file = self._folder / f"{code}-{len(self.cases)}.backup"
        back_up(self.engines[code].ledger, file)
        return file

    def restore(self, backups: dict[str, Path]) -> None:
        for code, file in backups.items():
            self.engines[code].ledger.close()
            put_back(file, self.urls[code], self.clock.now(), lambda ledger: upgrade(ledger.engine))
        for code in backups:
            self.engines[code] = self.open(code)

    def agree(self) -> None:
        """Let all talk until nothing is left to be said."""
        for _ in range(4):
            self.settle()
            self.clock.move(seconds=6)
        self.clock.move(minutes=16)  # lanes without news are probed
        self.settle()
        self.settle()

    def known(self, code: str) -> list[tuple[str, str]]:
        """The cases of a node, each with its status."""
        table = tables.case
        with self.engines[code].ledger.read() as connection:
            rows = connection.execute(select(table.c.subject, table.c.status).order_by(table.c.subject))
            return [(row.subject, row.status) for row in rows]

    @contextmanager
    def stopped(self, code: str) -> Iterator[Ledger]:
        """The ledger of a node that is stopped meanwhile; it is held alone, as a restore holds it."""
        self.engines[code].ledger.close()
        ledger = Ledger(self.urls[code])
        with alone(ledger.engine):
            yield ledger
        ledger.close()
        self.engines[code] = self.open(code)

    def whole(self) -> None:
        """Every case is delivered and known once everywhere, every hand-over receipted, every ledger sound."""
        delivered = [(case, "delivered") for case in sorted(self.cases)]
        assert [self.known(code) for code in CODES] == [delivered] * 3
        assert self.problems() == []
        for engine in self.engines.values():
            assert all(not_receipted == 0 for _, not_receipted in engine.relay.backlog().values())
            assert not engine.books.restoring
            assert engine.books.held == {}


@pytest.fixture
def town(new_ledger: Callable[[str], str], tmp_path: Path) -> Iterator[Town]:
    made = Town({code: new_ledger(code) for code in CODES}, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    "restored",
    [(ZHUZHOU,), (CHANGSHA,), (XIANGTAN,), (ZHUZHOU, CHANGSHA), CODES],
    ids=["sender", "in the middle", "receiver", "sender and receiver", "all"],
)
def test_what_was_said_since_the_backup_is_known_again(town: Town, restored: tuple[str, ...]) -> None:
    town.work(5)
    backups = {code: town.back_up(code) for code in restored}
    town.work(5)
    town.restore(backups)
    lost = [code for code in restored if len(town.known(code)) == 5]
    assert lost == list(restored)
    town.agree()
    town.work(3)
    town.agree()
    town.whole()


def test_a_second_restore_from_the_same_backup_is_a_third_history(town: Town) -> None:
    town.work(3)
    backup = {ZHUZHOU: town.back_up(ZHUZHOU)}
    town.work(3)
    seen = []
    for _ in range(2):
        town.restore(backup)
        seen.append(town.engines[ZHUZHOU].books.head.incarnation)
        town.agree()
        town.work(2)
    town.agree()
    assert seen[0] < seen[1]
    town.whole()


def test_nothing_is_taken_in_before_all_is_agreed(town: Town) -> None:
    town.work(2)
    backup = {ZHUZHOU: town.back_up(ZHUZHOU)}
    town.work(2)
    town.restore(backup)
    with pytest.raises(Unavailable):
        town.hand_in(4)
    town.agree()
    town.whole()


def test_a_backup_is_a_sound_ledger_of_the_moment_it_was_taken(town: Town, tmp_path: Path) -> None:
    town.work(4)
    file = town.back_up(ZHUZHOU)
    head = town.engines[ZHUZHOU].ledger.head()
    records = town.engines[ZHUZHOU].records
    town.work(2)
    copy = Ledger(f"sqlite:///{file}")
    assert copy.head() == head
    assert verify(copy, records) == []
    copy.close()
    with pytest.raises(FileExistsError):
        back_up(town.engines[ZHUZHOU].ledger, file)
    elsewhere = f"sqlite:///{tmp_path}/elsewhere.db"  # a backup fits either database
    declared = put_back(file, elsewhere, town.clock.now(), lambda ledger: upgrade(ledger.engine))
    there = Ledger(elsewhere)
    assert (there.head().incarnation, there.head().chain) == (declared.number, head.chain)  # type: ignore[union-attr]
    assert verify(there, records) == []
    there.close()


def test_a_ledger_that_a_node_has_open_is_neither_replaced_nor_declared(town: Town) -> None:
    town.work(1)
    file = town.back_up(ZHUZHOU)
    before = town.engines[ZHUZHOU].ledger.head()
    with pytest.raises(BlockingIOError):
        put_back(file, town.urls[ZHUZHOU], town.clock.now())
    second = Ledger(town.urls[ZHUZHOU])
    with pytest.raises(BlockingIOError), alone(second.engine):
        pass
    assert second.head() == before
    second.close()


def test_a_restore_keeps_nodes_out_while_it_runs(town: Town) -> None:
    town.work(1)
    with town.stopped(ZHUZHOU):
        newcomer = Ledger(town.urls[ZHUZHOU])
        with pytest.raises(BlockingIOError):
            newcomer.claim()
        newcomer.close()
    town.whole()


def test_a_declared_loss_is_agreed_like_a_restore(town: Town) -> None:
    town.work(3)
    with town.stopped(ZHUZHOU) as ledger:
        declared = declare_offline(ledger, town.clock.now(), "failover")
    assert town.engines[ZHUZHOU].books.declared == declared
    assert town.engines[ZHUZHOU].books.restoring
    town.agree()
    town.work(2)
    town.agree()
    town.whole()


def test_a_ledger_that_was_never_used_has_nothing_to_lose(new_ledger: Callable[[str], str]) -> None:
    ledger = Ledger(new_ledger("empty"))
    upgrade(ledger.engine)
    with pytest.raises(LookupError):
        declare_offline(ledger, SystemClock().now(), "none")
    ledger.close()
