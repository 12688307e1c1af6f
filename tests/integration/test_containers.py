"""The images that docker-compose.yml names do what we need of them. Reported as skipped without a Docker engine."""

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy
import yaml

os.environ.setdefault(
    "TESTCONTAINERS_RYUK_DISABLED", "true"
)  # read on import; the fixtures below clean up themselves

from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from bus.transport import Outbound, TopicPartition, TopicSpec, TransportError, open_transport
from tests.running import PATIENCE

ROOT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
KAFKA_PORT = 29092  # outside is as inside, because Kafka tells its clients where to come back


def docker(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)


def engine_answers() -> bool:
    return bool(shutil.which("docker")) and docker("version").returncode == 0


pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not engine_answers(), reason="no Docker engine answers"),
]


def test_compose_takes_the_file() -> None:
    if docker("compose", "version").returncode:
        pytest.skip("docker compose is not installed")
    checked = docker("compose", "--file", ROOT / "docker-compose.yml", "config", "--quiet")
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("driver", ["kafka-python", "confluent"])
def test_kafka_moves_records_of_our_transport(driver: str) -> None:
    service = SERVICES["kafka"]
    environment = service["environment"] | {"KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093"}
    environment["KAFKA_ADVERTISED_LISTENERS"] = f"PLAINTEXT://localhost:9092,HOST://localhost:{KAFKA_PORT}"
    container = DockerContainer(service["image"]).with_bind_ports(KAFKA_PORT, KAFKA_PORT)
    for name, value in environment.items():
        container.with_env(name, str(value))
    container.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(90))
    with container:
        transport = open_transport(driver, f"127.0.0.1:{KAFKA_PORT}")
        try:
            assert transport.ensure_topics([TopicSpec("containers", 1)]) == ["containers"]
            outcomes: list[TransportError | None] = []
            told = threading.Event()
            producer = transport.producer("test")

            def done(outcome: TransportError | None) -> None:
                outcomes.append(outcome)
                told.set()

            producer.send(Outbound("containers", 0, b"key", "值".encode(), [("ce_id", b"1")]), done)
            assert producer.flush(PATIENCE)
            assert told.wait(PATIENCE)
            assert outcomes == [None]
            producer.close()

            consumer = transport.consumer("test")
            consumer.assign({TopicPartition("containers", 0): None})
            deadline = time.monotonic() + PATIENCE
            records = consumer.poll(1, 10)
            while not records and time.monotonic() < deadline:
                records = consumer.poll(1, 10)
            consumer.close()
            assert [(record.key, record.value) for record in records] == [(b"key", "值".encode())]
        finally:
            transport.close()


def test_postgresql_answers() -> None:
    with PostgresContainer(SERVICES["postgres"]["image"], driver="psycopg") as container:
        engine = sqlalchemy.create_engine(container.get_connection_url())
        with engine.connect() as connection:
            encoding = connection.execute(sqlalchemy.text("SHOW server_encoding")).scalar_one()
        engine.dispose()
    assert encoding == "UTF8"
