"""Numbering an event in its lane and recording it; everything is checked before it is committed (law 2)."""

from collections.abc import Iterator
from itertools import product
from math import gcd
from typing import NamedTuple

from bus import envelope as env
from bus.envelope import Envelope, Malformed
from bus.errors import BusError
from bus.ledger import Entry, Kind
from bus.protocols import Message, Outgoing, Topology
from bus.unit import Unit
from schemas import Codec, Invalid

MAX_BODY = 900_000
"""Bytes; brokers take 1 MiB a record by default, headers included. Files travel as claim checks."""
UNRECEIPTED = {"intake-replies", "supervision"}
"""Stages of topics whose readers give no receipts: an acknowledged row is done."""


class CannotSendError(BusError):
    """An event that must not be committed: its size, schema or route is wrong."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Road(NamedTuple):
    """From inbox to inbox, as the topology says for good."""

    own: str
    """The topic that the lanes begin at."""
    own_partitions: int
    topic: str
    partitions: int
    lanes: dict[tuple[int, int], str]
    """Names, by the two partitions."""


class Sending:
    """Puts outgoing events into the unit, each with its place in its lane; the relay sends them after the commit."""

    def __init__(self, codec: Codec, topology: Topology) -> None:
        self._codec = codec
        self._topology = topology
        self._roads: dict[tuple[tuple[str, str], tuple[str, str]], Road] = {}

    def send(
        self,
        unit: Unit,
        source: tuple[str, str],
        outgoing: Outgoing,
        message: Message,
        trace: str,
        causation: str,
    ) -> None:
        """Number an event in its lane and record it; the relay sends it after the commit.

        `source` is stage and code of the inbox that the lane begins at; `causation` the id of what caused it.

        Raises:
            CannotSendError: size, schema or route is wrong.
        """
        event = type(outgoing.data).__name__
        if not self._topology.may_send(event, source[0], outgoing.to[0]):
            raise CannotSendError("not_in_catalogue", f"{source[0]} may not send {event} to {outgoing.to[0]}")
        try:
            body, schema = self._codec.encode(outgoing.data)
        except Invalid as invalid:
            raise CannotSendError("invalid", str(invalid)) from invalid
        if len(body) > MAX_BODY:
            raise CannotSendError("too_large", f"{event} has {len(body)} bytes, {MAX_BODY} are allowed")
        subject = message.case
        lane = unit.lane(self.lane_name(source, outgoing.to, subject), outward=True)
        row, number = unit.next_row, lane.number + 1
        stream = env.stream_of(*source)
        id_ = f"{lane.incarnation}-{row}"
        envelope = Envelope(
            id=id_,
            type=event,
            source=stream,
            subject=subject,
            acted_at=message.acted_at,
            recorded_at=unit.now,
            lane=lane.name,
            incarnation=lane.incarnation,
            number=number,
            term=outgoing.term,
            correlation=subject,
            causation=causation,
            digest=schema.digest,
            trace=env.child_trace(trace),
        )
        try:
            head = envelope.head()
        except Malformed as wrong:
            raise CannotSendError("malformed", str(wrong)) from None
        lane_hash = env.link(lane.hash, env.content_digest(head, body))
        unit.append(
            Entry(
                row=row,
                kind=Kind.OUT,
                stream=stream,
                subject=subject,
                type=event,
                recorded_ms=unit.now_ms,
                head=head,
                value=body,
                lane=lane.name,
                incarnation=lane.incarnation,
                number=number,
                lane_hash=lane_hash,
                id=id_,
            ),
        )
        unit.set_lane(lane.at(number, lane_hash))

    def lanes_from(self, stage: str, code: str) -> Iterator[str]:
        """Every lane that may begin at this inbox: a case's two partitions come from one number."""
        topic = env.topic_of(stage, code)
        own = self._topology.partitions(topic)
        for to, partitions in self._topology.reachable(stage).items():
            for p, q in product(range(own), range(partitions)):
                if (p - q) % gcd(own, partitions) == 0:
                    yield f"{topic}/{p}>{to}/{q}"

    def lane_name(self, source: tuple[str, str], to: tuple[str, str], subject: str) -> str:
        """The lane of a case from one inbox to another. Raises CannotSendError."""
        road = self._roads.get((source, to))
        if road is None:
            own_topic, topic = env.topic_of(*source), env.topic_of(*to)
            road = Road(
                own_topic, self._topology.partitions(own_topic), topic, self._topology.partitions(topic), {}
            )
            if not road.partitions:
                raise CannotSendError("no_such_inbox", f"{topic} is no topic of the directory")
            self._roads[source, to] = road
        number = env.number_of(subject)
        ends = number % road.own_partitions, number % road.partitions
        name = road.lanes.get(ends)
        if name is None:
            name = road.lanes[ends] = f"{road.own}/{ends[0]}>{road.topic}/{ends[1]}"
        return name
