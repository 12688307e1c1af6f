"""What was polled is never lost between the broker and the writer."""

from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from bus import Answer, Command, CommandRefused, Engine
from bus.ledger import Ledger
from bus.transport import MemoryTransport, Outbound, Record, TopicPartition, TopicSpec
from schemas import Codec, load_schemas
from schemas.models import CaseWithdrawn
from tests.unit.bus.faults import away
from tests.unit.bus.toys import NOON, Observed, Out, Stage, Topology

TOPIC, REPLIES = "kuayu.intake.1", "kuayu.intake-replies.1"


class Hall:
    """An intake that needs the ledger to make its commands, as the serials of case numbers do."""

    topic = TOPIC
    type = "CaseWithdrawn"

    def __init__(self) -> None:
        self.ledger_away = 0

    def command(self, record: Record, data: Any) -> Command:  # noqa: ARG002 - the protocol's
        if self.ledger_away:
            self.ledger_away -= 1
            raise away()
        raise CommandRefused("no", "不 / no")

    def answer(self, record: Record, data: Any, result: Answer | Exception | None) -> Out:  # noqa: ARG002
        return Out(("intake-replies", "1"), CaseWithdrawn(reason=str(result), withdrawn_at=NOON), 0)

    def key(self, record: Record) -> str:
        return (record.key or b"").decode()


class Halls(Topology):
    topics = Topology.topics | {TOPIC: 1, REPLIES: 1}

    def may_send(self, event: str, stage: str, to: str) -> bool | None:
        return to == "intake-replies" or super().may_send(event, stage, to)


def test_a_submission_that_came_while_the_ledger_was_away_is_answered(pair: Any) -> None:
    transport = MemoryTransport(pair.broker)
    transport.ensure_topics([TopicSpec(TOPIC, 1, {}), TopicSpec(REPLIES, 1, {})])
    ledger = Ledger(f"sqlite:///{pair.folder}/hall.db", synchronous="OFF")
    ledger.create()
    hall = Hall()
    engine = Engine(
        ledger,
        transport,
        [Stage("ask", "2", ("answer", "2"))],
        schemas=load_schemas(),
        topology=Halls(),
        observer=Observed(),
        intakes=[hall],
        clock=pair.clock,
    )
    body, _ = Codec(load_schemas()).encode(CaseWithdrawn(reason="", withdrawn_at=NOON))
    producer = transport.producer("hall")
    for key in (b"a", b"b"):
        producer.send(Outbound(TOPIC, 0, key, body, []), lambda _error: None)
    hall.ledger_away = 1
    with pytest.raises(OperationalError):
        engine.inbox.step(0)
    for _ in range(4):
        engine.inbox.step(0)
        engine.writer.step(0)
        engine.relay.step(0)
    assert [record.key for record in pair.broker.records(REPLIES)] == [b"a", b"b"]
    assert engine.books.positions[TopicPartition(TOPIC, 0)].taken == 2
    engine.stop()
    ledger.close()
