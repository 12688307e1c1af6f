"""Law 10: personal data is in marked fields only, and never in logs, metrics, topic names, keys, URLs or reasons."""

import logging
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import select

from bus.ledger import tables
from bus.transport import MemoryBroker, MemoryTransport
from jurisdictions import Required, Serves, load_directory
from kuayu.keys import add_key
from kuayu.node import Node
from kuayu.settings import Settings
from kuayu.topology import DirectoryTopology
from schemas import load_catalogue
from tests.running import PATIENCE

NAME, NUMBER, PHONE, STREET = "欧阳震华", "11010519491231002X", "13907331234", "建设中路八十八号"
PERSONAL = (NAME, NUMBER, PHONE, STREET)


@pytest.fixture
def node(tmp_path: Path, serving: Any) -> Any:
    directory = load_directory()
    broker = MemoryBroker()
    topics = DirectoryTopology(directory, load_catalogue()).topics(frozenset({"430200", "430100"}))
    MemoryTransport(broker).ensure_topics(topics)
    key = add_key(
        tmp_path / "keys.yaml",
        caller="system:hall",
        name="hall",
        jurisdiction="430200",
        roles=["submit", "operate"],
    )
    settings = Settings(data=tmp_path, keys=tmp_path / "keys.yaml")
    made = Node("430200", settings, directory=directory, transport=MemoryTransport(broker))
    made.start()
    headers = {"Authorization": f"Bearer {key}"}
    with serving(made.app) as url, httpx.Client(base_url=url, headers=headers, timeout=PATIENCE) as client:
        yield made, client, broker
    made.stop()


def application(**changes: Any) -> dict[str, Any]:
    item = next(
        i
        for i in load_directory().items
        if i.owner == "430100" and Serves.PERSON in i.serves and not i.instant
    )
    person = {"name": NAME, "document_kind": "identity_card", "document_number": NUMBER}
    body: dict[str, Any] = {
        "item_code": item.code,
        "belonging": "430100",
        "channel": "counter",
        "applicant": {"person": person, "contact": {"name": NAME, "mobile": PHONE}},
        "materials": [
            {"code": m.code, "name": m.name_zh, "form": "copy", "digest": "ab" * 32}
            for m in item.materials
            if m.required is not Required.NO
        ],
        "delivery": {"kind": "post", "jurisdiction": "430100", "address": STREET},
    }
    return body | changes


def none_of_it(text: str) -> None:
    for personal in PERSONAL:
        assert personal not in text


def test_nothing_personal_leaves_the_marked_fields(
    node: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    _, client, _ = node
    caplog.set_level(logging.DEBUG)
    taken = client.post("/v1/cases", json=application(), headers={"Idempotency-Key": "one"})
    assert taken.status_code == 202, taken.text
    none_of_it(taken.text)
    none_of_it(str(taken.headers))
    bad = application(belonging="999999")
    refused = client.post("/v1/cases", json=bad, headers={"Idempotency-Key": "two"})
    assert 400 <= refused.status_code < 500
    none_of_it(refused.text)
    invalid = application()
    invalid["applicant"]["person"]["document_number"] = NUMBER[:-1] + "1"
    answer = client.post("/v1/cases", json=invalid, headers={"Idempotency-Key": "three"})
    assert answer.status_code == 422
    assert "document_number" in answer.text
    none_of_it(answer.text)
    assert NUMBER[:-1] not in answer.text
    for path in ("/metrics", "/readyz", "/v1/tally", "/operator"):
        none_of_it(client.get(path).text)
    none_of_it(caplog.text)
    none_of_it("".join(capfd.readouterr()))


def test_keys_topics_and_headers_carry_no_personal_data(node: Any) -> None:
    made, client, broker = node
    case = client.post("/v1/cases", json=application(), headers={"Idempotency-Key": "one"}).json()["case_id"]
    assert case.startswith("430200-")
    made.engine.relay.step(0)
    with made.ledger.read() as connection:
        for table in (
            tables.lane,
            tables.position,
            tables.exception,
            tables.held,
            tables.timer,
            tables.answer,
        ):
            none_of_it(str(connection.execute(select(table)).all()))
    records = [r for topic, n in broker.topics().items() for p in range(n) for r in broker.records(topic, p)]
    for record in records:
        none_of_it(record.topic + str(record.key) + str([v for _, v in record.headers]))
    catalogue = load_catalogue()
    for record in records:
        event = dict(record.headers)["ce_type"].decode().removeprefix("kuayu.")
        data = made.engine.records.codec.decode(record.value)
        none_of_it(str(_without(msgspec.to_builtins(data), catalogue.personal_paths(event))))


def _without(data: Any, paths: tuple[str, ...]) -> Any:
    """The event with its marked fields taken out."""
    for path in paths:
        _drop(data, path.split("."))
    return data


def _drop(data: Any, path: list[str]) -> None:
    if isinstance(data, list):
        for element in data:
            _drop(element, path)
    elif isinstance(data, dict):
        if len(path) == 1:
            data.pop(path[0], None)
        elif path[0] in data:
            _drop(data[path[0]], path[1:])


def test_the_operators_lists_name_places_and_not_messages(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that fails with personal data in its message parks the case without it."""
    made, client, _ = node

    def fails(_state: Any, _message: Any) -> Any:
        raise ValueError(f"cannot handle {NAME} {NUMBER}")

    handler = made.engine.records.handlers["430200/acceptance"]
    monkeypatch.setattr(handler, "decide", fails, raising=False)
    answer = client.post("/v1/cases", json=application(), headers={"Idempotency-Key": "one"})
    assert answer.status_code == 500
    none_of_it(answer.text)
