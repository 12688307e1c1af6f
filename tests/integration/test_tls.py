"""A node whose way to the broker is by mutual TLS: its certificate expires, is told of, and is renewed on disk."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from bus.transport import MemoryBroker, MemoryTransport, Tls, Transport
from kuayu.cli import app
from kuayu.demo.region import Region, RegionError
from kuayu.keys import add_key
from kuayu.node import Node, create_topics
from kuayu.settings import Settings
from tests.certificates import Authority
from tests.guarded import Listener, guarded_broker
from tests.running import PATIENCE, answered, eventually

CASE = json.loads((Path(__file__).parents[2] / "docs" / "first-case.json").read_text("utf-8"))


class Running:
    """A node, and what it says of itself."""

    def __init__(self, node: Node, client: httpx.Client) -> None:
        self.node = node
        self._client = client

    def hand_in(self) -> None:
        headers = {"Idempotency-Key": uuid4().hex}
        assert self._client.post("/v1/cases", json=CASE, headers=headers).status_code == 202

    def ready(self) -> Any:
        return self._client.get("/readyz").json()

    def sent(self) -> bool:
        """Whether the broker has acknowledged all there was to send."""
        said = self.ready()
        return bool(said["status"] == "ready" and said["positions"]["relay_behind"] == 0)

    def metric(self, name: str, **labels: str) -> list[float]:
        families = text_string_to_metric_families(self._client.get("/metrics").text)
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return [sample.value for sample in samples if labels.items() <= sample.labels.items()]

    def days(self) -> list[float]:
        return self.metric("kuayu_certificate_days", file="certificate", subject="CN=430200")

    def alarms(self, kind: str) -> list[float]:
        return self.metric("kuayu_alarms_total", kind=kind)


@pytest.fixture
def run(tmp_path: Path, serving: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a node with these settings."""
    keys = tmp_path / "keys.yaml"
    key = add_key(keys, caller="system:hall", name="hall", jurisdiction="430200", roles=["submit"])

    @contextmanager
    def running(transport: Transport | None = None, **settings: Any) -> Iterator[Running]:
        node = Node("430200", Settings(data=tmp_path / "data", keys=keys, **settings), transport=transport)
        node.start()
        headers = {"Authorization": f"Bearer {key}"}
        try:
            with (
                serving(node.app) as url,
                httpx.Client(base_url=url, headers=headers, timeout=PATIENCE) as client,
            ):
                yield Running(node, client)
        finally:
            node.stop()

    return running


@pytest.mark.broker
@pytest.mark.long
@pytest.mark.parametrize("driver", ["kafka-python", "confluent"])
def test_a_certificate_that_expires_is_renewed_without_a_restart(
    run: Callable[..., Any], tmp_path: Path, driver: str
) -> None:
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(old.file.read_bytes() + new.file.read_bytes())
    broker, at = guarded_broker(tmp_path / "broker", {"MUTUAL": Listener(old.issue("broker"), trusted)})
    files = old.issue("430200", days=5.5)
    settings: dict[str, Any] = {
        "driver": driver,
        "bootstrap_servers": at["MUTUAL"],
        "tls_ca": old.file,
        "tls_certificate": files.certificate,
        "tls_key": files.key,
    }
    with broker:
        answered(lambda: create_topics(Settings(**settings), frozenset({"430100"})))
        with run(**settings) as node:
            node.hand_in()
            eventually(node.sent, node.node.engine)
            eventually(lambda: node.days() == [5], node.node.engine)
            assert node.alarms("certificate_expiring") == [1]
            assert node.ready()["certificate_days"] == {"ca CN=old": 3649, "certificate CN=430200": 5}

            before = Tls(old.file, *old.issue("before"))
            files.replace_by(new.issue("renewed", days=300.5))
            eventually(lambda: node.alarms("certificate_renewed") == [1], node.node.engine)
            eventually(
                lambda: node.metric("kuayu_certificate_days", subject="CN=renewed") == [300], node.node.engine
            )
            assert node.days() == []

            broker.kill()
            trusted.write_bytes(new.file.read_bytes())
            since = node.node.engine.inbox.looked_at
            broker.start()
            assert before.refusal(at["MUTUAL"])
            node.hand_in()
            eventually(node.sent, node.node.engine)
            eventually(lambda: node.node.engine.inbox.looked_at != since, node.node.engine)
            assert node.alarms("certificate_expiring") == [1]
        environment = {f"KUAYU_{name.upper()}": str(value) for name, value in settings.items()}
        shown = CliRunner().invoke(app, ["topics", "list"], env=environment)
        assert "kuayu.review.430100\t" in shown.output
        ledger = str(tmp_path / "data" / "430200.db")
        audited = CliRunner().invoke(app, ["audit", ledger, "--bootstrap", at["MUTUAL"]], env=environment)
        assert "1 ledgers" in audited.output
        environment["KUAYU_TLS_CA"] = str(new.file)
        for command in (["topics", "list"], ["audit", ledger, "--bootstrap", at["MUTUAL"]]):
            refused = CliRunner().invoke(app, command, env=environment)
            assert refused.exit_code == 2
            assert refused.stderr.startswith(f"kuayu: {at['MUTUAL']}: no broker answers: TLS with ")


def test_an_expired_certificate_is_a_reason_why_no_broker_answers(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    authority = Authority(tmp_path, "ours")
    files = authority.issue("430200", days=-2.5)
    broker = MemoryBroker()
    broker.stop()
    settings = {"tls_ca": authority.file, "tls_certificate": files.certificate, "tls_key": files.key}
    with run(MemoryTransport(broker), **settings) as node:
        said = "TLS 证书已过期 / a certificate has expired: certificate CN=430200"
        eventually(lambda: said in node.ready()["reasons"], node.node.engine)
        assert node.days() == [-3]
        broker.start()
        eventually(lambda: node.ready()["status"] == "ready", node.node.engine)


def test_the_demonstration_has_no_broker_of_its_own_that_speaks_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUAYU_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("KUAYU_TLS_CA", str(Authority(tmp_path, "ours").file))
    with pytest.raises(RegionError, match=r"^KUAYU_TLS_CA: .*set KUAYU_BOOTSTRAP_SERVERS"):
        Region(print)
