"""The feed of a node that was restored from a backup: cursors of what was lost lead on to what is known now."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from kuayu_client import Client, HistoryLost

from bus import SystemClock
from bus.backup import back_up, put_back
from bus.transport import MemoryBroker
from tests.running import PATIENCE
from tests.unit.producers.conftest import KEYS, Hall, World, hall_on

Json = dict[str, Any]
LOST = "urn:kuayu:problem:history_lost"


class Node:
    """A node that can be put back to how it was, at the same address."""

    def __init__(self, world: World, folder: Path, stack: ExitStack) -> None:
        self._world = world.on(MemoryBroker())
        self._folder = folder
        self._url = f"sqlite:///{folder}/430200.db"
        self._running = stack.enter_context(ExitStack())
        self.hall: Hall = self._running.enter_context(hall_on(self._world, self._url))
        self.port = int(self.hall.address.rpartition(":")[2])
        self.http = stack.enter_context(
            httpx.Client(base_url=self.hall.address, headers=KEYS["hall"].headers, timeout=PATIENCE)
        )

    def back_up(self) -> Path:
        file = self._folder / f"backup-{self.hall.context.engine.books.head.next_row}.db"
        back_up(self.hall.context.engine.ledger, file)
        return file

    def restore(self, backup: Path) -> None:
        self._running.close()
        put_back(backup, self._url, SystemClock().now())
        self.hall = self._running.enter_context(hall_on(self._world, self._url, self.port))

    def hand_in(self, application: Json) -> str:
        """A case, and the cursor behind it."""
        case = self.http.post("/v1/cases", json=application).json()["case_id"]
        page = self.http.get("/v1/feed", params={"limit": 1_000}).json()
        assert page["items"][-1]["case_id"] == case
        return str(page["next"])


@pytest.fixture
def node(world: World, tmp_path: Path) -> Iterator[Node]:
    with ExitStack() as stack:
        yield Node(world, tmp_path, stack)


def feed(node: Node, after: str) -> httpx.Response:
    return node.http.get("/v1/feed", params={"after": after})


def acknowledge(node: Node, cursor: str) -> httpx.Response:
    return node.http.post("/v1/feed/ack", json={"cursor": cursor})


@pytest.mark.parametrize("ask", [feed, acknowledge])
def test_a_cursor_of_what_was_lost_names_the_one_to_go_on_with(
    node: Node, application: Json, ask: Callable[[Node, str], httpx.Response]
) -> None:
    kept = node.hand_in(application)
    backup = node.back_up()
    lost = node.hand_in(application)
    node.restore(backup)
    answer = ask(node, lost)
    assert (answer.status_code, answer.json()["type"]) == (410, LOST)
    assert ask(node, answer.json()["next"]).is_success
    assert ask(node, kept).is_success  # both histories have it


def test_what_comes_after_the_restore_is_told_to_who_goes_on(
    node: Node, application: Json, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    backup = node.back_up()  # it knows no lane, so nobody has to be agreed with
    lost = [node.hand_in(application) for _ in range(3)][-1]
    node.restore(backup)
    onward = feed(node, lost).json()["next"]
    taken = eventually(
        lambda: (told := node.http.post("/v1/cases", json=application)).is_success and told.json()
    )
    assert [item["case_id"] for item in feed(node, onward).json()["items"]] == [taken["case_id"]]


def test_the_acknowledged_cursor_is_restored_with_the_rest(node: Node, application: Json) -> None:
    assert acknowledge(node, node.hand_in(application)).is_success
    backup = node.back_up()
    assert acknowledge(node, node.hand_in(application)).is_success
    node.restore(backup)
    assert node.http.get("/v1/feed").json()["items"] == []


def test_a_cursor_of_a_restore_that_the_backup_does_not_know_goes_back_to_the_beginning(
    node: Node, application: Json
) -> None:
    node.hand_in(application)
    backup = node.back_up()
    node.restore(backup)
    second = node.http.get("/v1/feed").json()["next"]
    node.restore(backup)
    answer = feed(node, second)
    assert answer.json()["type"] == LOST
    assert len(feed(node, answer.json()["next"]).json()["items"]) == 1


def test_the_client_is_told_and_its_feed_goes_on_by_itself(node: Node, application: Json) -> None:
    kept = node.hand_in(application)
    backup = node.back_up()
    lost = node.hand_in(application)
    with Client(node.hall.address, key=KEYS["hall"].key) as client:
        followed = client.feed(limit=1)
        assert next(followed).case_id != next(followed).case_id
        node.restore(backup)
        with pytest.raises(HistoryLost) as told:
            client.feed_page(lost)
        assert client.feed_page(told.value.next).items == ()
        assert client.feed_page(kept).items == ()
        assert list(followed) == []  # it could not acknowledge what was lost, and went on
