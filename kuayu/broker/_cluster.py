"""Three brokers that keep each other's copies: what a leader's death, a split second of disagreement or a slow disk looks like.

Every topic has three replicas, and a write is acknowledged when at least two have it. All three are broker and KRaft
controller at a time; the quorum's members are fixed.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from bus.transport import RetriableError
from bus.transport.kafka_client import open_client
from bus.transport.tls import Way
from kuayu.broker._process import LocalBroker, new_cluster
from kuayu.broker._settings import HOST, free_port, ports_of

SIZE = 3
_ADMIN_TIMEOUT_MS = 5_000
_COPIES = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
}


class LocalCluster:
    """Three brokers under one folder; a context manager that starts and stops them.

    Args:
        directory: each broker has a folder in it.
        advertised: ports on 127.0.0.1 that clients of the second listener are sent to, one for each broker: where
            something stands between (`behind`). Without them there is no second listener.
        config: Kafka broker settings that add to or override ours.
    """

    def __init__(
        self, directory: Path, advertised: Sequence[int] = (), config: Mapping[str, str] | None = None
    ) -> None:
        cluster = new_cluster()
        folders = [directory / f"broker-{number}" for number in range(1, SIZE + 1)]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        ports = [ports_of(folder, None) for folder in folders]
        voters = ",".join(f"{number}@{HOST}:{at.controller}" for number, at in enumerate(ports, 1))
        self.behind = [free_port() for _ in advertised]
        """Where the second listener of each broker really is."""
        self.brokers: list[LocalBroker] = []
        for index, folder in enumerate(folders):
            settings = {"node.id": str(index + 1), "controller.quorum.voters": voters, **_COPIES}
            if advertised:
                settings |= _second_listener(
                    ports[index].client, ports[index].controller, self.behind[index], advertised[index]
                )
            self.brokers.append(LocalBroker(folder, config=settings | dict(config or {}), cluster=cluster))

    @property
    def bootstrap(self) -> str:
        """The brokers' own addresses, with commas between."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    def start(self) -> Self:
        """Start those that do not run, all at once, as two are needed before any answers.

        Raises:
            BrokerStartError: one did not come up.
        """
        with ThreadPoolExecutor(SIZE) as pool:
            list(pool.map(LocalBroker.start, self.brokers))
        return self

    def stop(self) -> None:
        """End all. They are killed: the last of a quorum would wait for the others in vain."""
        for broker in self.brokers:
            broker.kill()

    def leader(self, topic: str, partition: int) -> LocalBroker | None:
        """The broker that leads a partition now; None while nobody does, or nobody can be asked."""
        found = self._leaders(topic).get(partition, -1)
        return self.brokers[found - 1] if found > 0 else None

    def _leaders(self, topic: str) -> dict[int, int]:
        try:
            admin = open_client(
                KafkaAdminClient,
                Way(self.bootstrap, tls=None),
                "kuayu",
                timeout_ms=_ADMIN_TIMEOUT_MS,
                request_timeout_ms=_ADMIN_TIMEOUT_MS,
            )
        except RetriableError:
            return {}
        try:
            [described] = admin.describe_topics([topic])
            return {part["partition_index"]: part["leader_id"] for part in described["partitions"]}
        except KafkaError:
            return {}
        finally:
            admin.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _second_listener(client: int, controller: int, behind: int, advertised: int) -> dict[str, str]:
    own = f"PLAINTEXT://{HOST}:{client}"
    return {
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,BEHIND:PLAINTEXT",
        "listeners": f"{own},BEHIND://{HOST}:{behind},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"{own},BEHIND://{HOST}:{advertised}",
    }
