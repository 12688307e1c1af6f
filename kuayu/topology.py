"""Which topics there are, and who may send what where: the directory and the catalogue, as the bus asks for them."""

from bus.envelope import topic_of
from bus.transport import TopicSpec
from jurisdictions import Directory, Stage
from schemas import Catalogue

_DAY = 24 * 60 * 60 * 1000
INBOX = {"message.timestamp.type": "LogAppendTime", "retention.ms": str(14 * _DAY)}
"""The broker's own time, and long enough for a node that was away; what expired is asked for again."""
CONTROL = {"message.timestamp.type": "LogAppendTime", "retention.ms": str(_DAY)}
"""Receipts are restated every minute."""
SUPERVISION = "kuayu.supervision"


class DirectoryTopology:
    """Fixed for the life of a process: topics never change their number of partitions."""

    def __init__(self, directory: Directory, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._partitions: dict[str, int] = {SUPERVISION: 1}
        for code in directory.nodes():
            place = directory.jurisdiction(code)
            for stage in place.stages:
                self._partitions[topic_of(stage, code)] = directory.partitions(stage, code)
            self._partitions[topic_of("receipts", code)] = 1
            if Stage.ACCEPTANCE in place.stages:
                submissions = directory.partitions(Stage.ACCEPTANCE, code)
                self._partitions[topic_of("intake", code)] = submissions
                self._partitions[topic_of("intake-replies", code)] = submissions
        self._allowed: dict[tuple[str, str, str], bool] = {}

    def partitions(self, topic: str) -> int:
        return self._partitions.get(topic, 0)

    def reachable(self, stage: str) -> dict[str, int]:
        to = {
            route.inbox
            for entry in self._catalogue.events.values()
            for route in entry.routes
            if stage in self._catalogue.senders(route) and route.inbox in self._catalogue.stages
        }
        return {topic: count for topic, count in self._partitions.items() if topic.split(".")[1] in to}

    def may_send(self, event: str, stage: str, to: str) -> bool | None:
        key = (event, stage, to)
        found = self._allowed.get(key)
        if found is None:
            if event not in self._catalogue.events:
                return None
            found = self._allowed[key] = self._catalogue.may_send(event, stage, to)
        return found

    def topics(self, codes: frozenset[str] | None = None) -> list[TopicSpec]:
        """The topics of these jurisdictions (of all, if none are named), ready to be created."""
        return [
            TopicSpec(name, count, CONTROL if name.startswith("kuayu.receipts.") else INBOX)
            for name, count in sorted(self._partitions.items())
            if codes is None or name == SUPERVISION or name.rpartition(".")[2] in codes
        ]
