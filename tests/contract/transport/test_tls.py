"""TLS to a real broker, by both drivers: who is let in, who is not, and what is said of it."""

import gc
import re
from collections.abc import Iterator
from pathlib import Path
from time import time_ns
from typing import NamedTuple

import pytest
from cryptography import x509

from bus.transport import (
    Outbound,
    Record,
    RetriableError,
    Tls,
    TopicPartition,
    TopicSpec,
    TransportError,
    open_transport,
)
from kuayu.broker._settings import HOST, free_port
from tests.certificates import Authority, Issued
from tests.guarded import Listener, guarded_broker
from tests.running import answered

pytestmark = pytest.mark.broker

both_drivers = pytest.mark.parametrize("driver", ["kafka-python", "confluent"])


class Guarded(NamedTuple):
    """A broker that listens with TLS."""

    tls: str
    """Where it shows its certificate."""
    mutual: str
    """Where it also asks for one of `ours` or `newer`."""
    misnamed: str
    """Where its certificate is another host's."""
    ours: Authority
    newer: Authority
    foreign: Authority


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    ours, newer, foreign = (Authority(folder, name) for name in ("ours", "newer", "foreign"))
    trusted = folder / "trusted.pem"
    trusted.write_bytes(ours.file.read_bytes() + newer.file.read_bytes())
    own = ours.issue("broker")
    listeners = {
        "TLS": Listener(own),
        "MUTUAL": Listener(own, trusted),
        "MISNAMED": Listener(ours.issue("elsewhere", host=x509.DNSName("elsewhere.example"))),
    }
    broker, at = guarded_broker(folder / "broker", listeners)
    with broker:
        yield Guarded(at["TLS"], at["MUTUAL"], at["MISNAMED"], ours, newer, foreign)


def exchange(driver: str, bootstrap: str, tls: Tls) -> None:
    """An event goes there and comes back."""
    topic = f"tls-{time_ns()}"
    place = TopicPartition(topic, 0)
    transport = open_transport(driver, bootstrap, tls)
    assert answered(lambda: transport.ensure_topics([TopicSpec(topic, 1)])) == [topic]
    producer = transport.producer("tls")
    consumer = transport.consumer(f"tls-{time_ns()}")
    told: list[TransportError | None] = []
    producer.send(Outbound(topic, 0, b"key", b"x" * 100_000, []), told.append)
    assert producer.flush(30)
    assert told == [None]
    consumer.assign({place: 0})
    records: list[Record] = []
    while not records:
        records = list(answered(lambda: consumer.poll(0.5, 10)))
    assert [record.value for record in records] == [b"x" * 100_000]
    assert answered(lambda: consumer.ends(5)) == {place: 1}
    producer.close()
    consumer.close()
    transport.close()


@both_drivers
def test_events_travel_by_tls(guarded: Guarded, driver: str) -> None:
    exchange(driver, guarded.tls, Tls(guarded.ours.file))


@both_drivers
def test_events_travel_by_mutual_tls(guarded: Guarded, driver: str) -> None:
    exchange(driver, guarded.mutual, Tls(guarded.ours.file, *guarded.ours.issue("node")))


@both_drivers
def test_a_broker_that_is_not_trusted_is_an_error_that_says_so(guarded: Guarded, driver: str) -> None:
    transport = open_transport(driver, guarded.tls, Tls(guarded.foreign.file))
    said = (
        f"^{guarded.tls}: no broker answers: TLS with {guarded.tls}: unable to get local issuer certificate$"
    )
    with pytest.raises(RetriableError, match=said):
        transport.topics()
    transport.close()


def test_what_is_wrong_is_said(guarded: Guarded, bootstrap: str) -> None:
    ca = guarded.ours.file
    stranger = Tls(ca, *guarded.foreign.issue("stranger"))
    late = Tls(ca, *guarded.ours.issue("late", days=-1))
    assert "certificate is not valid for '127.0.0.1'" in Tls(ca).refusal(guarded.misnamed)
    assert "CERTIFICATE_REQUIRED" in Tls(ca).refusal(guarded.mutual)
    assert "CERTIFICATE_UNKNOWN" in stranger.refusal(guarded.mutual)
    assert re.search("CERTIFICATE_(UNKNOWN|EXPIRED)", late.refusal(guarded.mutual))
    assert Tls(ca).refusal(bootstrap).startswith(f"TLS with {bootstrap}: ")  # which speaks no TLS
    away = f"{HOST}:{free_port()}"
    assert Tls(ca).refusal(f"{away}, {guarded.tls}") == ""
    assert Tls(ca).refusal(f"{away}, {guarded.misnamed}") != ""


@both_drivers
def test_renewed_files_are_used_after_reconnecting(guarded: Guarded, tmp_path: Path, driver: str) -> None:
    used = Issued(tmp_path / "node.pem", tmp_path / "node.key")
    used.replace_by(guarded.foreign.issue("before"))
    tls = Tls(guarded.ours.file, *used)
    transport = open_transport(driver, guarded.mutual, tls)
    assert tls.refusal(guarded.mutual)
    used.replace_by(guarded.newer.issue("after"))
    transport.reconnect()
    answered(transport.topics)
    transport.close()


@both_drivers
def test_files_that_went_bad_are_named_by_who_needs_them(
    guarded: Guarded, tmp_path: Path, driver: str
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(guarded.ours.file.read_bytes())
    transport = open_transport(driver, guarded.tls, Tls(ca))
    ca.unlink()
    for ask in (lambda: transport.producer("tls"), lambda: transport.consumer("tls")):
        with pytest.raises(RetriableError, match=str(ca)):
            ask()
    transport.close()


def test_handshakes_that_fail_leave_no_sockets_behind(guarded: Guarded) -> None:
    transport = open_transport("kafka-python", guarded.tls, Tls(guarded.foreign.file))
    gc.collect()
    gc.disable()  # which would find them, sooner or later
    try:
        open_before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(RetriableError):
            transport.topics()
        assert len(list(Path("/proc/self/fd").iterdir())) <= open_before
    finally:
        gc.enable()
