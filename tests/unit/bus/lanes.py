"""Three ledgers that hand cases over to each other, what may happen to them, and what must hold all the same."""

import shutil
import tempfile
from concurrent.futures import Future
from pathlib import Path

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from bus import Answer, Command, Fenced, Message, Unavailable
from bus.envelope import LaneName
from bus.ledger import tables
from bus.transport import MemoryBroker, MemoryTransport, TopicPartition, TopicSpec, TransportError
from bus.transport.memory_broker import Fate
from tests.unit.bus.faults import CommitFault, Crashed, FaultyNode, SendFault
from tests.unit.bus.toys import Clock, Decided, Noted, Out, Send, Stage, State, Topology
from tests.unit.bus.watched import FINAL, Watched

CASES = ("1-a", "1-b", "1-d")
"""Two of them share a partition."""
INBOXES = ("kuayu.answer.2", "kuayu.ask.1")
CONTROL = ("kuayu.receipts.1", "kuayu.receipts.2")
PARTS = ("relay", "inbox", "writer")
MOODS = ("well", "broken", "refusing", "waiting", "ordering", "replying")
"""What a stage makes of the events of a case."""


def submit(watched: Watched, command: Command) -> Future[Answer]:
    try:
        return watched.node.engine.writer.submit(command)
    except Unavailable as wait:
        put_off: Future[Answer] = Future()
        put_off.set_exception(wait)
        return put_off


class Lanes:
    def __init__(self) -> None:
        shm = Path("/dev/shm")  # noqa: S108 (only this machine's tests write there, in a folder of their own)
        self.folder = Path(tempfile.mkdtemp(prefix="lanes-", dir=shm if shm.is_dir() else None))
        self.clock = Clock()
        self.broker = MemoryBroker()
        MemoryTransport(self.broker).ensure_topics(
            [TopicSpec(name, partitions, {}) for name, partitions in Topology.topics.items()]
        )
        self.damaged: set[str] = set()
        """Topics that lost records, or were made anew."""
        self.moods: dict[tuple[str, str], str] = {}
        self.restored = False
        """Whether a backup was ever put in a ledger's place."""
        self.keys = 0
        self.acts: dict[str, tuple[Watched, Command, Future[Answer]]] = {}
        """Those that were not answered yet, by idempotency key."""
        self.done: dict[tuple[str, str], int] = {}
        """How many acts were answered well, by stream and case."""
        self.watched = [
            Watched(self._node("ask", "1", ("answer", "2"))),
            Watched(self._node("answer", "2", ("ask", "1"))),
            Watched(self._node("ask", "2", ("answer", "2"))),
        ]
        for watched in self.watched:
            self.wire(watched)

    def _node(self, stage: str, code: str, to: tuple[str, str]) -> FaultyNode:
        toy = Stage(stage, code, to)
        node = FaultyNode(self.folder, self.broker, toy, self.clock)
        toy.rule = lambda state, message: self._mood(node, state, message)
        return node

    def _mood(self, node: FaultyNode, state: State | None, message: Message) -> Decided | None:
        if message.kind != "event":
            return None
        noted, away = (
            (Noted(message.data.reason),),
            Decided("waiting", "waits", "等 / waits", awaits="directory:9"),
        )
        match self.moods.get((node.stream, message.case)), message.source:
            case "broken", _:
                raise ZeroDivisionError
            case "refusing", _:
                said = Decided("refused", "no", "不 / no")
            case "waiting", _:
                said = away
            case "ordering", "1/ask" if not (state and "first" in state.notes):
                said = msgspec.structs.replace(away, awaits="term:2")
            case "ordering", "2/ask":
                said = Decided("applied", facts=(*noted, Noted("first")))
            case "replying", _ if not message.data.reason.startswith("re:"):
                reply = msgspec.structs.replace(message.data, reason="re:" + message.data.reason)
                said = Decided("applied", facts=noted, out=(Out(node.stage.to, reply, 1),))
            case _:
                said = Decided("applied", facts=noted)
        return said

    # What is done, and what goes wrong.

    def hand_over(self, at: int, case: str, times: int) -> None:
        watched = self.watched[at]
        self.keys += 1
        key = f"k{self.keys}."
        command = Command(
            stream=watched.node.stream,
            case=case,
            data=Send(times=times, note=key),
            actor="clerk",
            acted_at=self.clock.now(),
            key=key,
            caller="hall",
        )
        self.acts[key] = (watched, command, submit(watched, command))

    def step(self, at: int, part: str) -> None:
        self._step(self.watched[at], part)

    def broker_fault(self, fault: Fate, topic: str, count: int) -> None:
        self.broker._ask(fault, count, topic)

    def let_go(self, count: int, turn: int) -> None:
        """Records that were held back arrive, in another order than they were sent."""
        self.broker._held.rotate(turn)
        self.broker.release(count)

    def expire(self, topic: str, partition: int, left: int) -> None:
        self.broker.start()
        self.damaged.add(topic)
        place = TopicPartition(topic, partition % Topology.topics[topic])
        self.broker.delete_records(*place, self.broker.end(place) - left)

    def make_anew(self, topic: str) -> None:
        self.broker.start()
        self.damaged.add(topic)
        self.broker.delete_topic(topic)
        MemoryTransport(self.broker).ensure_topics([TopicSpec(topic, Topology.topics[topic], {})])

    def crash(self, at: int) -> None:
        self._restart(self.watched[at])

    def commit_fault(self, at: int, fault: CommitFault) -> None:
        self.watched[at].node.faulty.commits.append(fault)

    def send_fault(self, at: int, fault: SendFault) -> None:
        self.watched[at].node.sends.append(fault)

    def reading_fails(self, at: int, after: int) -> None:
        self.watched[at].node.faulty.read_fails_in = after

    def freeze(self, at: int) -> None:
        """The process stands still, and another one takes over."""
        self._take_over(self.watched[at])

    def frozen_return(self, part: str) -> None:
        """They may read, and send what is committed; they must write nothing, and learn that at the first commit."""
        for watched in self.watched:
            with watched.ledger.read() as connection:
                before = connection.exec_driver_sql("PRAGMA data_version").scalar()
                for engine in list(watched.frozen):
                    try:
                        getattr(engine, part).step(0)
                    except (Fenced, Crashed):
                        watched.frozen.remove(engine)
                        engine.ledger.close()
                    except (DBAPIError, TransportError):
                        pass
                assert connection.exec_driver_sql("PRAGMA data_version").scalar() == before

    def change_mood(self, at: int, case: str, mood: str) -> None:
        self.moods[self.watched[at].node.stream, case] = mood

    def mend(self, at: int, case: str, *, refuse: bool) -> None:
        node = self.watched[at].node
        if node.engine.books.restoring:
            return
        if refuse:
            node.engine.mending.refuse(node.stream, case, "operator", "wrong", "不可 / wrong")
        else:
            self.moods.pop((node.stream, case), None)
            node.engine.mending.release(node.stream, case)

    def back_up(self, at: int) -> None:
        watched = self.watched[at]
        watched.backup = watched.node.back_up()

    def restore(self, at: int) -> None:
        """The ledger is lost, and its last backup is put in its place."""
        watched = self.watched[at]
        if watched.backup is None:
            return
        self.restored = True
        self.broker.start()
        for engine in watched.frozen:
            engine.ledger.close()
        watched.frozen.clear()
        watched.ledger.engine.dispose()
        self.clock.move(seconds=1)
        watched.node.restore(watched.backup)
        self.wire(watched)
        watched.forget()

    # How it is run.

    def _step(self, watched: Watched, part: str) -> bool:
        engine = watched.node.engine
        try:
            return bool(getattr(engine, part).step(0))
        except Crashed:
            self._restart(watched)
        except Fenced:
            if engine is watched.node.engine:  # nobody took over: it fenced itself off, and is started again
                assert watched.node.faulty.answer_lost, "fenced, and nobody took over"
                self._restart(watched)
        except (DBAPIError, TransportError):
            pass
        return True

    def step_all(self) -> bool:
        worked = [self._step(watched, part) for watched in self.watched for part in ("writer", *PARTS)]
        return any(worked)

    def _restart(self, watched: Watched) -> None:
        self.broker.start()
        watched.node.restart()
        self.wire(watched)

    def _take_over(self, watched: Watched) -> None:
        self.broker.start()
        watched.node.faulty.commits.clear()  # the frozen one brings no third process
        watched.frozen.append(watched.node.engine)
        watched.node.open()
        self.wire(watched)

    def wire(self, watched: Watched) -> None:
        watched.node.faulty.take_over = lambda: self._take_over(watched)

    def hear_answers(self) -> None:
        for key, (_, command, future) in list(self.acts.items()):
            if not future.done() or isinstance(future.exception(), Unavailable):
                continue
            del self.acts[key]
            if future.exception() is None:
                of = command.stream, command.case
                self.done[of] = self.done.get(of, 0) + 1

    def receiver(self, lane: str) -> Watched:
        topic = LaneName.parse(lane).topic
        [found] = [w for w in self.watched if topic == f"kuayu.{w.node.stage.stage}.{w.node.stage.code}"]
        return found

    # What must hold after each step.

    def check(self) -> None:
        self.hear_answers()
        for watched in self.watched:
            watched.read()  # asserts numbers without gaps, one decision for each, and case order
        for watched in self.watched:
            agreed = self._agreed(watched) if self.restored else None
            for name, (number, cursor, mark, exceptions) in watched.knows().items():
                assert mark <= number
                assert cursor <= number
                if agreed is not None and name not in agreed:
                    continue  # until they have spoken about the restore, each knows what it knew
                fates = self.receiver(name).taken.get(name, [])
                assert number == len(watched.sent[name])
                assert mark <= len(fates) <= number
                for at in range(1, mark + 1):
                    known, true = exceptions.get(at, "applied"), fates[at - 1].status
                    assert known == true or known not in FINAL, (
                        f"{name} {at} is {true}, its sender says {known}"
                    )
                closed = (
                    number if agreed is None else mark
                )  # beyond it a receiver may hold what was lost twice
                for entry, fate in zip(watched.sent[name][:closed], fates, strict=False):
                    assert entry.lane_hash == fate.lane_hash

    def _agreed(self, watched: Watched) -> set[str]:
        """Outward lanes whose ends know of each other's newest incarnation, and neither of which has stopped."""
        lane = tables.lane
        with watched.ledger.read() as connection:
            outward = connection.execute(select(lane).where(lane.c.outward)).all()
        found = set()
        for ours in outward:
            receiver = self.receiver(ours.name)
            with receiver.ledger.read() as connection:
                query = select(lane.c.incarnation, lane.c.stopped)
                theirs = connection.execute(query.where(~lane.c.outward, lane.c.name == ours.name)).first()
                receivers = connection.execute(select(tables.head.c.incarnation)).scalar()
            heard = ours.peer_incarnation == receivers and theirs == (ours.incarnation, "")
            if heard and not (ours.opening or ours.stopped):
                found.add(ours.name)
        return found

    def close(self) -> None:
        for watched in self.watched:
            watched.node.kill()
            watched.ledger.close()
            for engine in watched.frozen:
                engine.ledger.close()
        shutil.rmtree(self.folder)
