"""Fixtures for all tests: the real broker."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from kuayu.broker import LocalBroker

BrokerFactory = Callable[..., LocalBroker]


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Kafka broker for the whole session; tests keep apart by their topics' names."""
    if given := os.environ.get("KUAYU_BOOTSTRAP_SERVERS"):
        yield given
        return
    with LocalBroker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker.bootstrap


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
        broker.stop()
