"""Writer, relay and inbox over one ledger: assembled here, run by three threads, or stepped by a test."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import structlog
from sqlalchemy.exc import DBAPIError

from bus import envelope as env
from bus.application import Application
from bus.books import Books
from bus.certificates import Certificates
from bus.clock import SystemClock
from bus.effects import Effects
from bus.errors import Fenced
from bus.failures import Failure, classify, place_of
from bus.inbox import Inbox
from bus.ledger import Ledger
from bus.mending import Mending
from bus.protocols import Clock, Handler, Intake, Observer, Projection, SchemaSource, Topology
from bus.receiving import Reader
from bus.records import Case, Records
from bus.relay import Relay
from bus.retrying import Retrying
from bus.sending import Sending
from bus.transport import Consumer, Tls, TopicPartition, TopicSpec, Transport, TransportError
from bus.watch import LOOK_EVERY, Watch
from bus.writer import Writer
from schemas import Codec, Schemas

_log = structlog.get_logger()

PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds between tries while something is away; the last one repeats."""
WAIT_AT_MOST = 0.5
"""Seconds that a thread waits for something to do: what a stop may take, and how often an idle node wakes up."""


class Engine:
    """The bus of one ledger: which streams it hosts is what its handlers say.

    Building it claims the ledger (whoever owned it is fenced off); the broker is first asked for when it runs.
    """

    def __init__(
        self,
        ledger: Ledger,
        transport: Transport,
        handlers: Sequence[Handler],
        *,
        schemas: Schemas,
        topology: Topology,
        observer: Observer,
        projections: Sequence[Projection] = (),
        intakes: Sequence[Intake] = (),
        source: SchemaSource | None = None,
        clock: Clock | None = None,
        client: str = "kuayu",
        topics: Sequence[TopicSpec] = (),
        version: str = "",
        tls: Tls | None = None,
    ) -> None:
        """`topics`: made where they are missing, once the broker can be reached; see `Transport.ensure_topics`.
        `version` names program, contracts and directory: what is parked is tried once by each.
        `tls`: the files with which `transport` was opened, to be watched.
        """
        clock = clock or SystemClock()
        by_stream: Mapping[str, Handler] = {env.stream_of(h.stage, h.code): h for h in handlers}
        by_topic = {intake.topic: intake for intake in intakes}
        codec = Codec(schemas)
        self.ledger = ledger
        self.records = Records(by_stream, codec)
        self.books = Books(ledger, ledger.claim(), self.records, version)
        self.topology = topology
        self.application = Application(Effects(by_stream, self.records, Sending(codec, topology)))
        self._transport = transport
        self._client = client
        self._topics = topics
        outward = [lane for lane in self.books.lanes.values() if lane.outward]
        connect = partial(transport.producer, client)
        self.relay = Relay(ledger, connect, transport.topics, outward, codec, observer, clock)
        self.writer = Writer(self.books, self.application, self.relay, projections, observer, clock)
        reader = Reader(by_stream, codec, topology, by_topic)
        read = [env.topic_of(h.stage, h.code) for h in handlers]
        read += sorted({env.topic_of("receipts", handler.code) for handler in handlers})
        read += by_topic
        places = [TopicPartition(topic, p) for topic in read for p in range(topology.partitions(topic))]
        self.inbox = Inbox(self._consumer, places, by_topic, self.books, reader, self.writer, observer, clock)
        self.mending = Mending(self.writer, self.application, self.books)
        self._observer = observer
        self._stop = threading.Event()
        self.retrying = Retrying(self.books, self.mending, schemas, source, observer, self._stop)
        self._threads: list[threading.Thread] = []
        self._ended_well: dict[str, float] = {}
        """For each thread, when a step of it last did, by the clock that nobody sets."""
        self.watch = Watch(
            self.writer,
            self.relay,
            self.inbox,
            observer,
            clock,
            silent=self._silent,
            folder=ledger.folder,
            certificates=tls and Certificates(tls, observer, clock, self._reconnect),
        )
        self.failure: BaseException | None = None
        """Why the engine stopped by itself; None while it runs or when it was stopped."""

    def case(self, stream: str, subject: str) -> Case | None:
        """A case as the ledger has it now; from any thread."""
        return self.records.cases(stream, self.ledger.history(subject)).get(subject)

    def start(self) -> None:
        """Run writer, relay, inbox and what stands by them, each in a thread of its own."""
        steps: list[tuple[str, Callable[[float], bool]]] = [
            ("writer", self.writer.step),
            ("relay", self.relay.step),
            ("inbox", self.inbox.step),
            ("retrying", self.retrying.step),
            ("watch", self._watch),
        ]
        if self.ledger.checkpoints:
            steps.append(("checkpoints", self.ledger.checkpoints.step))
        for name, step in steps:
            self._ended_well[name] = time.monotonic()
            thread = threading.Thread(target=self._run, args=(name, step), name=f"kuayu-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Stop the threads and close the clients; what was committed is all that counts. Bounded by `timeout` s."""
        self._stop.set()
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.1, until - time.monotonic()))
        self.writer.close()
        if self.failure is None and not any(thread.is_alive() for thread in self._threads):
            self._say_last()
        self.relay.close()
        self.inbox.close()

    def _say_last(self) -> None:
        """Receipts that are owed: no sender is to probe for them because this node was stopped in order."""
        with suppress(TransportError, DBAPIError):
            if self.writer.receipt():
                self.relay.step(0)

    @property
    def alive(self) -> bool:
        """Whether every thread runs."""
        return not self._stop.is_set() and all(thread.is_alive() for thread in self._threads)

    def _watch(self, timeout: float) -> bool:
        self._stop.wait(LOOK_EVERY)
        return self.watch.step(timeout)

    def _silent(self) -> dict[str, float]:
        now = time.monotonic()
        return {name: now - at for name, at in self._ended_well.items()}

    def _reconnect(self) -> None:
        """Everything goes on by new connections."""
        self._transport.reconnect()
        self.relay.reconnect()
        self.inbox.reconnect()

    def _consumer(self) -> Consumer:
        """A new way to read, in the inbox's thread."""
        made = self._transport.ensure_topics(self._topics) if self._topics else ()
        if made:
            self._observer.alarm("topics_made", ", ".join(made))
        return self._transport.consumer(self._client)

    def _run(self, name: str, step: Callable[[float], bool]) -> None:
        tries = 0
        while not self._stop.is_set():
            try:
                if not step(WAIT_AT_MOST) and self.writer.full:
                    self._stop.wait(0.01)
                tries = 0
                self._ended_well[name] = time.monotonic()
            except BaseException as error:  # noqa: BLE001 - told apart by its class
                if classify(error) is not Failure.AWAY:
                    self._fail(name, error)
                    return
                pause = PAUSES[min(tries, len(PAUSES) - 1)]
                tries += 1
                detail = str(error) if isinstance(error, TransportError) else place_of(error)
                self._observer.alarm(f"{name}_waits", detail)
                self._stop.wait(pause)

    def _fail(self, name: str, fatal: BaseException) -> None:
        """Stop everything, and say why: going on would be guessing."""
        self.failure = fatal
        self._stop.set()
        self.writer.close()
        kind = "fenced" if isinstance(fatal, Fenced) else f"{name}_failed"
        self._observer.alarm(kind, place_of(fatal))
        _log.critical("engine_stopped", thread=name, error=place_of(fatal))
