"""One node: ledger, bus, pages and APIs of a jurisdiction, put together here and nowhere else."""

import sys
from collections.abc import Callable, Sequence

import structlog
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

import consumers
import consumers.worklist
import monitoring
import producers
import web
from bus import Clock, Engine, Ledger, SystemClock
from bus.envelope import stream_of
from bus.transport import Transport, open_transport
from cases import AcceptanceStage, PickupStage, ReviewStage
from jurisdictions import Directory, load_directory
from jurisdictions import Stage as StageName
from kuayu.migrations import upgrade
from kuayu.process import tune
from kuayu.schema_source import PeerSchemas
from kuayu.settings import Settings
from kuayu.topology import DirectoryTopology
from kuayu.version import judging_version
from schemas import load_catalogue, load_schemas

_log = structlog.get_logger()

AnyStage = AcceptanceStage | ReviewStage | PickupStage
STAGES: dict[str, Callable[[str, Directory], AnyStage]] = {
    "acceptance": AcceptanceStage,
    "review": ReviewStage,
    "pickup": PickupStage,
}


class Node:
    """Everything of one node. Building it claims the ledger; `start` begins to work; `stop` ends it cleanly."""

    def __init__(
        self,
        code: str,
        settings: Settings,
        *,
        stages: Sequence[str] = (),
        directory: Directory | None = None,
        transport: Transport | None = None,
    ) -> None:
        """`stages`: those this process covers; all that the jurisdiction offers if none is named.

        Raises:
            jurisdictions.Invalid: no such jurisdiction, or it does not offer a stage.
            ValueError: a broker beyond this machine without an explicit word, or a file of TLS that can't be used.
        """
        settings.check_broker()
        self.code = code
        self.settings = settings
        directory = directory or load_directory(settings.directory)
        catalogue, schemas = load_catalogue(), load_schemas()
        self.stages = tuple(stages) or tuple(str(stage) for stage in directory.jurisdiction(code).stages)
        for stage in self.stages:
            directory.partitions(StageName(stage), code)  # says so if the stage is not offered there
        self._transport = transport or open_transport(
            settings.driver, settings.bootstrap_servers, settings.tls
        )
        settings.data.mkdir(parents=True, exist_ok=True)
        name = code if not stages else f"{code}-{'-'.join(self.stages)}"
        self.ledger = Ledger(settings.ledger_url(name), synchronous=settings.synchronous)
        upgrade(self.ledger.engine)
        clock = SystemClock()
        topology = DirectoryTopology(directory, catalogue)
        handlers = [STAGES[stage](code, directory) for stage in self.stages]
        self._producers = producers.Producers(code, self.ledger)
        self.metrics = monitoring.Metrics(CollectorRegistry(), code, directory=directory, catalogue=catalogue)
        self.engine = Engine(
            self.ledger,
            self._transport,
            handlers,
            schemas=schemas,
            topology=topology,
            observer=self.metrics,
            projections=[*self._producers.projections, *consumers.projections(handlers, clock)],
            intakes=self._producers.intakes if "acceptance" in self.stages else (),
            clock=clock,
            source=PeerSchemas({peer: str(url) for peer, url in settings.peers.items()}),
            client=f"kuayu.{name}",
            topics=topology.topics(frozenset({code})),
            tls=settings.tls,
            version=judging_version(directory, schemas),
        )
        callers = web.Callers.load(settings.keys) if settings.keys else web.Callers()
        self.context = web.Context(
            code=code,
            stages=self.stages,
            engine=self.engine,
            directory=directory,
            schemas=schemas,
            catalogue=catalogue,
            callers=callers,
        )
        self.webhooks = consumers.WebhookSender(self.ledger, clock, attempted=self.metrics.webhook)
        self.app = self._app(clock)

    def _app(self, clock: Clock) -> FastAPI:
        routers = [
            consumers.router(self.context, clock),
            self._producers.router(self.context),
            monitoring.router(self.context, self.metrics, tasks=lambda: self._tasks(clock), clock=clock),
        ]
        app = web.create_app(self.context, routers)
        app.add_middleware(monitoring.HttpMetrics, metrics=self.metrics)
        return app

    def _tasks(self, clock: Clock) -> list[monitoring.TaskCount]:
        """The work lists, counted for monitoring, which does not know who keeps them."""
        counted = {
            stage: consumers.worklist.counts(self.ledger, stream_of(stage, self.code), clock.now())
            for stage in self.stages
        }
        return [
            monitoring.TaskCount(stage, sum(c.open for c in counts), sum(c.late for c in counts))
            for stage, counts in counted.items()
        ]

    def start(self) -> None:
        """Run the bus and the webhooks in threads of their own."""
        self.engine.start()
        self.webhooks.start()

    def stop(self) -> None:
        """End threads and connections; what was committed stays, what was not is as if it had never come."""
        self.webhooks.stop()
        self.engine.stop()
        self._transport.close()
        self.ledger.close()


class _Server(uvicorn.Server):
    """Ends the process when the bus has stopped by itself: a node that only looks alive helps nobody."""

    def __init__(self, config: uvicorn.Config, node: Node) -> None:
        super().__init__(config)
        self._node = node

    async def on_tick(self, counter: int) -> bool:
        if not self._node.engine.alive:
            return True
        return await super().on_tick(counter)


def run(code: str, stages: Sequence[str], settings: Settings) -> int:
    """Run a node until it is told to stop; 0 after a clean end, 1 when the bus had to stop by itself."""
    _configure_logging()
    node = Node(code, settings, stages=stages)
    tune()
    node.start()
    config = uvicorn.Config(
        node.app,
        host=settings.http_host,
        port=settings.http_port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    _log.info("node_started", code=code, stages=node.stages, http=settings.http, driver=settings.driver)
    try:
        _Server(config, node).run()
    finally:
        failed = node.engine.failure is not None
        node.stop()
    return 1 if failed else 0


def _configure_logging() -> None:
    """One JSON object a line on standard error; tracebacks would show values, so none are rendered (law 10)."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def create_topics(settings: Settings, codes: frozenset[str] | None) -> list[str]:
    """Create the topics of these jurisdictions that do not exist; returns the new ones' names.

    Raises:
        RetriableError: the broker does not answer.
    """
    topology = DirectoryTopology(load_directory(settings.directory), load_catalogue())
    transport = open_transport(settings.driver, settings.bootstrap_servers, settings.tls)
    try:
        return list(transport.ensure_topics(topology.topics(codes)))
    finally:
        transport.close()
