"""The client against the real application on a real port; and against a server that fails as it is told."""

import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import kuayu_client
import msgspec
import pytest
from kuayu_client import AsyncClient, Client, KuayuError, Material, Submission
from kuayu_client._calls import LONGEST_WISH, TRIES

from cases import commands

Json = dict[str, Any]
Wait = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def submission(application: Json) -> Submission:
    return msgspec.convert(application, Submission)


@pytest.fixture
def client(hall: Any, keys: dict[str, Any]) -> Iterator[Client]:
    with Client(hall.address, key=keys["hall"].key) as made:
        yield made


@pytest.fixture
async def async_client(hall: Any, keys: dict[str, Any]) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(hall.address, key=keys["hall"].key) as made:
        yield made


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_the_way_of_a_case(client: Client, submission: Submission, office: Any, eventually: Wait) -> None:
    taken = client.submit(submission)
    assert taken.times.promised is not None
    assert client.case(taken.case_id).holder.jurisdiction == "430100"  # type: ignore[union-attr]
    eventually(lambda: office.knows(taken.case_id))
    wanted = commands.RequestSupplement(materials=(kuayu_request("purpose_statement"),), reason="未盖章")
    office.act(taken.case_id, wanted)
    asked = eventually(lambda: (case := client.case(taken.case_id)).supplement and case)
    material = Material(code="purpose_statement", name="用途说明", form="copy")
    given = client.supplement(taken.case_id, [material], version=asked.version)
    assert given.version > asked.version
    withdrawn = client.withdraw(taken.case_id, "不办了")
    assert withdrawn.status == "withdrawn"
    kinds = [step.kind for step in client.journey(taken.case_id).steps]
    assert kinds == ["Submitted", "SupplementAsked", "SupplementGiven", "Withdrawn"]


def kuayu_request(code: str) -> Any:
    from schemas.models import MaterialRequest  # noqa: PLC0415 - the client has a class of that name

    return MaterialRequest(code=code, name="用途说明", problem="未盖章")


@pytest.mark.anyio
async def test_the_way_of_a_case_with_an_event_loop(
    async_client: AsyncClient, submission: Submission
) -> None:
    page = await async_client.feed_page(limit=1)
    taken = await async_client.submit(submission)
    assert (await async_client.case(taken.case_id)).case_number == taken.case_number
    assert (await async_client.withdraw(taken.case_id, version=taken.version)).status == "withdrawn"
    kinds = [step.kind for step in (await async_client.journey(taken.case_id)).steps]
    assert kinds == ["Submitted", "Withdrawn"]
    await async_client.acknowledge(page.next)
    told = [item async for item in async_client.feed() if item.case_id == taken.case_id]
    assert [item.kind for item in told] == kinds
    assert [item async for item in async_client.feed()] == []
    results = await async_client.submit_many([submission, ("async-1", submission)])
    assert [result.status for result in results] == [202, 202]


def test_the_same_key_hands_in_once(client: Client, submission: Submission) -> None:
    first, second = (client.submit(submission, key="sdk-1") for _ in range(2))
    assert second.repeated
    assert second.case_id == first.case_id
    assert client.submit(submission).case_id != client.submit(submission).case_id


def test_the_feed_is_acknowledged_once_it_is_dealt_with(client: Client, submission: Submission) -> None:
    list(client.feed())
    cases = [client.submit(submission).case_id for _ in range(3)]
    began = client.feed(limit=2)
    assert next(began).case_id == cases[0]
    assert [item.case_id for item in client.feed(limit=2)] == cases  # nothing was acknowledged yet
    assert list(client.feed()) == []


def test_many_are_split_as_the_node_takes_them(client: Client, submission: Submission) -> None:
    odd = msgspec.structs.replace(submission, item_code="9" * 31)
    many: list[Submission | tuple[str, Submission]] = [submission] * 1_100
    many[1_050] = odd
    results = client.submit_many([*many, ("sdk-many", submission), ("sdk-many", submission)])
    assert [result.index for result in results] == list(range(1_102))
    assert [result.index for result in results if result.status != 202] == [1_050]
    assert results[1_050].problem.type.endswith(":unknown_item")  # type: ignore[union-attr]
    assert results[1_101].case.case_id == results[1_100].case.case_id  # type: ignore[union-attr]


def test_a_feed_may_be_followed_for_ever(client: Client, submission: Submission) -> None:
    list(client.feed())
    followed = client.feed(poll=0.01)
    for _ in range(2):
        case = client.submit(submission).case_id
        assert next(followed).case_id == case


@pytest.mark.anyio
async def test_so_it_may_with_an_event_loop(async_client: AsyncClient, submission: Submission) -> None:
    async for _ in async_client.feed():
        pass
    followed = async_client.feed(poll=0.01)
    for _ in range(2):
        case = (await async_client.submit(submission)).case_id
        assert (await anext(followed)).case_id == case
    await followed.aclose()


@pytest.mark.parametrize(
    ("act", "error", "code"),
    [
        (lambda client, _: client.case("430200-none"), kuayu_client.NotFound, "unknown_case"),
        (
            lambda client, case: client.withdraw(case, version=1),
            kuayu_client.VersionConflict,
            "version_conflict",
        ),
        (lambda client, case: client.supplement(case), kuayu_client.Refused, "missing"),
        (lambda client, case: client.withdraw(case, key="sdk-0"), kuayu_client.KeyReused, "key_reused"),
        (lambda client, _: client.feed_page("x"), kuayu_client.Refused, "bad_cursor"),
    ],
)
def test_errors_are_typed(
    client: Client,
    submission: Submission,
    act: Callable[[Client, str], Any],
    error: type[kuayu_client.ProblemError],
    code: str,
) -> None:
    case = client.submit(msgspec.structs.replace(submission, reference="first"), key="sdk-0").case_id
    with pytest.raises(error) as raised:
        act(client, case)
    assert raised.value.code == code


def test_a_refusal_names_its_fields(client: Client, submission: Submission) -> None:
    wrong = msgspec.structs.replace(submission, belonging="43")
    with pytest.raises(kuayu_client.Refused) as raised:
        client.submit(wrong)
    [error] = raised.value.errors
    assert error.field == "belonging"


def test_a_wrong_key_is_not_allowed(hall: Any) -> None:
    with Client(hall.address, key="kuayu_wrong") as stranger, pytest.raises(kuayu_client.NotAllowed):
        stranger.case("430200-none")


def test_the_readmes_example_runs(hall: Any, keys: dict[str, Any]) -> None:
    readme = (Path(kuayu_client.__file__).parent.parent / "README.md").read_text("utf-8")
    [example] = re.findall("```python\n(.*?)```", readme, re.DOTALL)
    example = example.replace("http://127.0.0.1:8080", hall.address).replace("kuayu_…", keys["hall"].key)
    known: dict[str, Any] = {}
    exec(example, known)  # noqa: S102 - our own text
    assert known["taken"].case_number


# Trouble on the way.


class Trouble(NamedTuple):
    """A server that answers as told, one status after the other; 0 closes the connection."""

    address: str
    seen: list[tuple[str, str | None]]


@contextmanager
def trouble(*script: tuple[int, dict[str, str], bytes]) -> Iterator[Trouble]:
    seen: list[tuple[str, str | None]] = []
    steps = iter(script)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append((body.decode(), self.headers.get("Idempotency-Key")))
            status, headers, content = next(steps)
            if status:
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(content))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            self.close_connection = True

        do_GET = do_POST = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield Trouble(f"http://127.0.0.1:{server.server_address[1]}", seen)
        server.shutdown()
        thread.join()


TAKEN = msgspec.json.encode(
    {
        "case_id": "430200-x",
        "case_number": "1",
        "status": "in_review",
        "status_zh": "审核中",
        "status_en": "in review",
        "version": 1,
        "times": {"provisional": False, "calendar_version": "2026"},
        "newer": "field",
    }
)
SOON = {"Retry-After": "0"}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kuayu_client._calls.FIRST_PAUSE", 0.001)


@pytest.mark.usefixtures("impatient")
def test_what_a_key_makes_safe_is_tried_again_with_the_same_key(submission: Submission) -> None:
    with trouble((0, {}, b""), (503, SOON, b""), (503, {}, b"busy"), (202, {}, TAKEN)) as server:
        with Client(server.address, key="k") as client:
            assert client.submit(submission).case_id == "430200-x"
        assert len(server.seen) == 4
        assert len(set(server.seen)) == 1
        assert server.seen[0][1]


@pytest.mark.anyio
async def test_the_async_client_tries_again_too(submission: Submission) -> None:
    with trouble((0, {}, b""), (503, SOON, b""), (202, {}, TAKEN)) as server:
        async with AsyncClient(server.address, key="k") as client:
            assert (await client.submit(submission)).case_id == "430200-x"
        assert len(set(server.seen)) == 1


def test_a_refusal_is_not_tried_again(submission: Submission) -> None:
    with trouble((422, {}, b"{}")) as server, Client(server.address, key="k") as client:
        with pytest.raises(kuayu_client.Refused):
            client.submit(submission)
        assert len(server.seen) == 1


@pytest.mark.usefixtures("impatient")
def test_it_gives_up_in_the_end(submission: Submission) -> None:
    with trouble(*[(503, SOON, b"{}")] * TRIES) as server, Client(server.address, key="k") as client:
        with pytest.raises(kuayu_client.Busy):
            client.submit(submission)
        assert len(server.seen) == TRIES
    with trouble(*[(0, {}, b"")] * TRIES) as server, Client(server.address, key="k") as client:
        with pytest.raises(kuayu_client.Unreachable):
            client.case("x")
        assert len(server.seen) == TRIES


def test_it_does_not_wait_for_ever(submission: Submission) -> None:
    long = {"Retry-After": str(int(LONGEST_WISH) + 1)}
    with trouble((503, long, b"{}")) as server, Client(server.address, key="k") as client:
        with pytest.raises(kuayu_client.Busy):
            client.submit(submission)
        assert len(server.seen) == 1


def test_busy_items_of_a_batch_are_sent_again_alone(submission: Submission) -> None:
    def results(*statuses: int) -> bytes:
        taken = msgspec.Raw(TAKEN)
        return msgspec.json.encode(
            {
                "results": [
                    {"index": i, "status": status, "case": taken if status == 202 else None}
                    for i, status in enumerate(statuses)
                ]
            }
        )

    script: list[tuple[int, dict[str, str], bytes]] = [
        (207, {}, results(202, 503, 422)),
        (207, {}, results(202)),
    ]
    with trouble(*script) as server, Client(server.address, key="k") as client:
        found = client.submit_many([submission] * 3)
        assert [result.status for result in found] == [202, 202, 422]
        first, second = (msgspec.json.decode(body) for body, _ in server.seen)
        assert second == first[1:2]
        assert len({item["key"] for item in first}) == 3


@pytest.mark.parametrize(
    ("status", "error"), [(200, KuayuError), (404, kuayu_client.NotFound), (500, kuayu_client.ProblemError)]
)
def test_a_proxys_page_is_an_error_of_ours(status: int, error: type[KuayuError]) -> None:
    with (
        trouble((status, {}, b"<html>")) as server,
        Client(server.address, key="k") as client,
        pytest.raises(error),
    ):
        client.case("x")
