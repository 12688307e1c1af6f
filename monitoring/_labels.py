"""Values that labels may take: bounded by the directory and the catalogue, whatever is sent to us."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from bus.envelope import LaneName, stream_of, topic_of
from jurisdictions import Directory

OTHER = "other"
"""Stands for everything that is not known here."""

_Child = TypeVar("_Child")


class Place(NamedTuple):
    """A stage of a jurisdiction, as labels name it."""

    stage: str
    code: str


NOWHERE = Place(OTHER, OTHER)


class Places:
    """The streams and topics of the directory's nodes; all else is `NOWHERE`."""

    def __init__(self, directory: Directory, stages: Iterable[str], topics: Iterable[str]) -> None:
        """`stages` have inboxes; `topics` are the other first parts of topic names, such as receipts."""
        stages = tuple(stages)
        codes = directory.nodes()
        self._streams = {stream_of(s, code): Place(s, code) for s in stages for code in codes}
        self._topics = {topic_of(s, code): Place(s, code) for s in (*stages, *topics) for code in codes}

    def stream(self, name: str) -> Place:
        """430200/acceptance."""
        return self._streams.get(name, NOWHERE)

    def topic(self, name: str) -> Place:
        """kuayu.review.430100."""
        return self._topics.get(name, NOWHERE)

    def lane(self, name: str) -> tuple[Place, Place]:
        """Where a lane begins and ends. Only for names of our own lanes."""
        parsed = LaneName.parse(name)
        return self.topic(parsed.source), self.topic(parsed.topic)


class Children(dict[Any, _Child], Generic[_Child]):
    """Label values to child, made once: finding a child anew each time costs more than counting."""

    def __init__(self, make: Callable[[Any], _Child]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Any) -> _Child:
        return self.setdefault(key, self._make(key))
