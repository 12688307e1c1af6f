"""The local broker is a real one: it keeps its data through crashes, and leaves no process behind."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from kuayu import broker as local
from kuayu.broker import BrokerInstallError, BrokerStartError, LocalBroker
from tests.running import PATIENCE, eventually

pytestmark = pytest.mark.broker


def create(bootstrap: str, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, 1, 1)])
    admin.close()


def write(bootstrap: str, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", max_block_ms=20_000)
    for sent in [producer.send(topic, value) for value in values]:
        sent.get(PATIENCE)
    producer.close()


def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    consumer.assign([TopicPartition(topic, 0)])
    values: list[bytes] = []
    deadline = time.monotonic() + PATIENCE
    while len(values) < count and time.monotonic() < deadline:
        values += [record.value for batch in consumer.poll(500).values() for record in batch]
    consumer.close()
    return values


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder on which no detached broker is left running."""
    yield tmp_path
    local.stop(tmp_path)


def test_it_moves_records(bootstrap: str) -> None:
    create(bootstrap, "broker.moves")
    write(bootstrap, "broker.moves", b"one", "二".encode())
    assert read(bootstrap, "broker.moves", 2) == [b"one", "二".encode()]


def test_what_was_acknowledged_survives_a_crash_and_clients_find_it_again(
    broker_factory: Callable[[], LocalBroker],
) -> None:
    broker = broker_factory()
    address, process = broker.bootstrap, psutil.Process(broker.pid)
    create(address, "kept")
    write(address, "kept", b"before")

    broker.kill()
    assert not broker.alive
    assert not process.is_running()
    broker.start()
    assert broker.bootstrap == address
    write(address, "kept", b"after")
    assert read(address, "kept", 2) == [b"before", b"after"]

    restarted = psutil.Process(broker.pid)
    broker.stop()
    broker.stop()
    assert not restarted.is_running()


def test_another_object_on_the_same_folder_has_the_same_port(tmp_path: Path) -> None:
    assert LocalBroker(tmp_path).bootstrap == LocalBroker(tmp_path).bootstrap
    assert LocalBroker(tmp_path, port=20_001).bootstrap == "127.0.0.1:20001"
    assert LocalBroker(tmp_path).bootstrap == "127.0.0.1:20001"


def test_a_broker_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    broker = LocalBroker(tmp_path, config={"num.io.threads": "none"})
    with pytest.raises(BrokerStartError, match=r"num\.io\.threads"):
        broker.start()
    assert not broker.alive


def test_it_does_not_outlive_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from kuayu.broker import LocalBroker\n"
        "print(LocalBroker(sys.argv[1]).start().pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        process = psutil.Process(int(owner.stdout.readline()))
        assert process.is_running()
        owner.kill()
    eventually(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def test_a_detached_broker_lives_until_it_is_stopped(folder: Path) -> None:
    code = "import sys, pathlib; from kuayu.broker import start_detached; start_detached(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, folder], check=True)
    running = local.status(folder)
    assert running is not None
    assert running.ready
    assert local.start_detached(folder) == running

    assert local.stop(folder)
    assert not psutil.pid_exists(running.pid)
    assert local.status(folder) is None
    assert not local.stop(folder)


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(
            {"bootstrap": "127.0.0.1:1", "pid": os.getpid(), "started_at": 1.0}
        ),  # another process by now
        json.dumps(
            {"bootstrap": "127.0.0.1:1", "pid": 2**22 + 1, "started_at": 1.0}
        ),  # beyond any process id
        "{half",
        "[]",
    ],
)
def test_a_stale_state_file_is_no_broker(folder: Path, content: str) -> None:
    (folder / "detached.json").write_text(content)
    assert local.status(folder) is None
    assert not local.stop(folder)


def test_a_start_cache_that_does_not_fit_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = local.install()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    there = tmp_path / here.folder.relative_to(here.folder.parent.parent)
    there.mkdir(parents=True)
    (there / "jars").symlink_to(here.jars)
    (there / here.start_cache.name).write_bytes(b"of another Java")
    with LocalBroker(tmp_path / "broker") as broker:
        assert broker.alive


class _Repository:
    """Stands in for the repository of jars: every artifact of it is the same file, or the network is away."""

    def __init__(self, file: Path | None) -> None:
        self.file = file

    def __call__(self, **_: object) -> "_Repository":
        return self

    def project(self, *_: str) -> "_Repository":
        return self

    def at_version(self, _: str) -> "_Repository":
        return self

    def artifact(self) -> "_Repository":
        return self

    def resolve(self) -> Path:
        if self.file is None:
            raise OSError("no network")
        return self.file


@pytest.mark.parametrize(("reachable", "complaint"), [(False, "no network"), (True, "SHA-256")])
def test_what_cannot_be_fetched_or_is_not_genuine_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, reachable: bool, complaint: str
) -> None:
    forged = tmp_path / "forged.jar"
    forged.write_bytes(b"something else")
    monkeypatch.setattr("kuayu.broker._install.MavenContext", _Repository(forged if reachable else None))
    with pytest.raises(BrokerInstallError, match=complaint):
        local.install(tmp_path / "kafka")
    assert not (tmp_path / "kafka" / "jars").exists()
