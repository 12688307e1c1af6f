"""The faults, one function each: cause it, let it last, and put right what a person or a service manager would."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Final, NamedTuple

from bus import envelope as env
from tests.chaos.load import Load
from tests.chaos.region import CODES, Lost, Node, Region, until
from tests.chaos.stores import PostgresStores
from tests.chaos.wire import Forger, Wire, again
from tests.running import stand_still

STORM: Final = 1_000
"""Copies of one event."""


class Scene(NamedTuple):
    """What a fault may lay hands on."""

    region: Region
    load: Load
    wire: Wire
    forger: Forger
    random: Random

    def node(self) -> Node:
        return self.region.nodes[self.random.choice(CODES)]

    def inbox(self) -> str:
        return env.topic_of("review", self.random.choice(CODES))


def node_killed(scene: Scene) -> None:
    """kill -9 of a node, which is away for a moment."""
    node = scene.node()
    node.kill()
    time.sleep(scene.random.uniform(0.2, 4))
    node.start()


def relay_killed_mid_batch(scene: Scene) -> None:
    """kill -9 of a node while its relay is sending a backlog."""
    node = scene.node()
    scene.region.proxy.stalled = True
    until(lambda: node.backlog() >= 20, f"{node.code} has a backlog")
    scene.region.proxy.calm()
    time.sleep(scene.random.uniform(0, 0.1))
    node.kill()
    node.start()


def broker_leader_killed(scene: Scene) -> None:
    """kill -9 of the broker that leads an inbox; it stays away until another leads."""
    topic = scene.inbox()
    until(lambda: scene.region.cluster.leader(topic, 0) is not None, f"{topic} has a leader")
    leader = scene.region.cluster.leader(topic, 0)
    if leader is None:
        raise Lost(f"{topic} has no leader")
    leader.kill()
    until(lambda: scene.region.cluster.leader(topic, 0) not in (None, leader), f"{topic} has another leader")
    time.sleep(scene.random.uniform(1, 4))
    leader.start()


def broker_recovered(scene: Scene) -> None:
    """kill -9 of a broker that starts again at once, and recovers its log."""
    broker = scene.random.choice(scene.region.cluster.brokers)
    broker.kill()
    broker.start()


def brokers_all_killed(scene: Scene) -> None:
    """kill -9 of all three brokers at once."""
    for broker in scene.region.cluster.brokers:
        broker.kill()
    time.sleep(scene.random.uniform(1, 4))
    scene.region.cluster.start()


def node_frozen(scene: Scene) -> None:
    """SIGSTOP of a node; a second process takes over; the frozen one comes back and believes that it is the owner."""
    node = scene.node()
    frozen = node.leave()
    _freeze(scene, node, frozen)
    try:
        node.start()
        until(node.ready, f"the second process of {node.code} is ready")
    finally:
        frozen.send_signal(signal.SIGCONT)
    until(lambda: frozen.poll() is not None, f"the frozen process of {node.code} ends itself")
    if frozen.returncode == 0:
        raise Lost(f"the frozen process of {node.code} ended as if nothing had happened")


def _freeze(scene: Scene, node: Node, process: subprocess.Popen[bytes]) -> None:
    """SIGSTOP between two commits: who is frozen within one keeps the ledger's lock, and nobody can take over."""
    for _ in range(50):
        stand_still(process)
        if not scene.region.stores.held(node.code):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.05)
    raise Lost(f"{node.code} does nothing but commit")


def disk_full(scene: Scene) -> None:
    """No space is left for a ledger until the node can take nothing; then there is again."""
    node = scene.region.nodes[CODES[1]]
    with suppress(ProcessLookupError), scene.region.stores.full(node.code, node.pid):
        until(lambda: scene.load.refused(node.code), f"{node.code} says that it can take nothing")
        time.sleep(scene.random.uniform(1, 4))
    if isinstance(scene.region.stores, PostgresStores):
        scene.region.stores.start()  # if it could not even recover


def ledger_locked(scene: Scene) -> None:
    """Somebody else holds what every commit of a node must write, for longer than a node waits for it."""
    node = scene.node()
    with scene.region.stores.locked(node.code):
        time.sleep(scene.random.uniform(6, 9))


def ledger_gone(scene: Scene) -> None:
    """PostgreSQL is killed and comes back."""
    stores = scene.region.stores
    if isinstance(stores, PostgresStores):
        stores.kill()
        time.sleep(scene.random.uniform(0.5, 4))
        stores.start()


def clock_jumped(scene: Scene) -> None:
    """A node's clock goes hours ahead, then hours back, then is right again."""
    node = scene.node()
    for hours in (scene.random.uniform(1, 20), -scene.random.uniform(1, 20), 0):
        node.set_clock(round(hours * 3600))
        time.sleep(2.5)


def retention_expired(scene: Scene) -> None:
    """A node is away for longer than its inbox keeps records: all that came meanwhile is gone when it returns."""
    node = scene.node()
    topic = env.topic_of("review", node.code)
    node.kill()
    time.sleep(3)
    scene.wire.expire(topic)
    node.start()


def sender_restored(scene: Scene) -> None:
    """A node loses what it committed since a backup; a part of it was sent, another part nobody else knows."""
    node = scene.node()

    def unsent() -> None:
        scene.region.proxy.stalled = True
        until(lambda: node.backlog() >= 5, f"{node.code} has a backlog")

    _restore(scene, [node], before=unsent)


def receiver_restored(scene: Scene) -> None:
    """A node loses what it had taken since a backup, and what its inbox held of that is gone too."""
    node = scene.node()
    _restore(scene, [node], after=lambda: scene.wire.expire(env.topic_of("acceptance", node.code)))


def both_restored(scene: Scene) -> None:
    """Two nodes lose what they said and took since backups of different instants."""
    _restore(scene, [scene.region.nodes[code] for code in scene.random.sample(CODES, 2)])


def _nothing() -> None: ...


def _restore(
    scene: Scene,
    nodes: list[Node],
    before: Callable[[], None] = _nothing,
    after: Callable[[], None] = _nothing,
) -> None:
    """Back nodes up, let them go on, kill them, put the backups in place; `before` and `after` they are killed."""
    since = time.monotonic()
    files = {node: scene.region.folder / f"{node.code}-{scene.random.randrange(10**9)}.db" for node in nodes}
    for node, file in files.items():
        node.back_up(file)
        time.sleep(scene.random.uniform(2, 5))
    before()
    for node in nodes:
        node.kill()
    scene.region.proxy.cut()  # what was sent into a stalled network is gone with its sender
    time.sleep(0.2)
    scene.region.proxy.calm()
    after()
    for node, file in files.items():
        node.restore(file)
        node.start()
    scene.load.restored({node.code for node in nodes}, since)


def topic_made_anew(scene: Scene) -> None:
    """An inbox is deleted and created again, under nodes that read and write it."""
    scene.wire.make_anew(scene.inbox())


def duplicate_storm(scene: Scene) -> None:
    """The same event a thousand times."""
    records = scene.wire.recent(scene.inbox(), 5)
    if not records:
        raise Lost("no event has been sent yet")
    scene.wire.write([again(scene.random.choice(records))] * STORM)


def reordered(scene: Scene) -> None:
    """The last few hundred events of an inbox once more, in any order."""
    records = scene.wire.recent(scene.inbox(), 60)
    scene.random.shuffle(records)
    scene.wire.write([again(record) for record in records])


def network_delayed(scene: Scene) -> None:
    """Everything between nodes and brokers takes up to half a second longer, each piece its own time."""
    scene.region.proxy.delay = scene.random.uniform(0.1, 0.5)
    time.sleep(7)
    scene.region.proxy.calm()


def network_cut(scene: Scene) -> None:
    """All connections between nodes and brokers are reset, again and again."""
    for _ in range(8):
        scene.region.proxy.cut()
        time.sleep(scene.random.uniform(0.1, 1.0))


def network_stalled(scene: Scene) -> None:
    """Nothing passes between nodes and brokers, and no connection breaks."""
    scene.region.proxy.stalled = True
    time.sleep(scene.random.uniform(8, 13))
    scene.region.proxy.calm()


def producer_fenced(scene: Scene) -> None:
    """Somebody writes under the nodes' producer ids with a higher epoch: the broker refuses the nodes' own."""
    if not scene.wire.fence(scene.inbox()):
        raise Lost("nobody has written to the inbox lately")


def poison(scene: Scene) -> None:
    """Events with everything wrong that can be: each is held, refused or quarantined, and hurts no other."""
    node, forger = scene.node(), scene.forger
    code = node.code
    body, schema = forger.good_body("界" * 50)
    broken = body.replace("界".encode(), b"\xff\xff\xff", 1)
    unknown, digest = forger.unknown_schema()
    huge, _ = forger.good_body("界" * 250_000)
    late, _ = forger.good_body(provided_at=datetime(9998, 12, 31, tzinfo=UTC))
    far = datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC)
    beyond = {env.TIME: b"9999-12-31T23:59:59.999-12:00"}
    taken = [
        forger.taken(code, body[:5] + scene.random.randbytes(200), schema.digest),  # bad Avro
        forger.taken(code, broken, schema.digest),  # not UTF-8 within
        forger.taken(code, body[:5] + scene.random.randbytes(950_000), schema.digest),  # as large as can be
        forger.taken(code, unknown, digest),
        forger.taken(code, huge, schema.digest),
        forger.taken(code, late, schema.digest),
        forger.taken(code, body, schema.digest, acted_at=far),
    ]
    forged = [
        forger.forged(code, key=b"another case"),
        forger.forged(code, event="CertificateIssued"),  # not for this sender to say
        forger.forged(code, changed={env.SOURCE: b"430100/review"}),
        forger.forged(code, changed={env.SUBJECT: b"\xff\xfe"}),
        forger.forged(code, changed={env.TIME: b"tomorrow"}),
        forger.forged(code, changed=beyond),
        forger.forged(code, changed={env.SEQUENCE: b"99999999999999999999"}),
        forger.forged(code, changed={env.LANE: b"x" * 100_000}),
    ]
    before = _count(node, "quarantined")
    records = list(taken)
    for forgery in forged:  # anywhere between those that are taken, whose order their lane demands
        records.insert(scene.random.randint(0, len(records)), forgery)
    scene.wire.write(records)
    wanted = before + len(forged)
    until(lambda: _count(node, "quarantined") >= wanted, f"{code} has put {len(forged)} forgeries aside")


def _count(node: Node, name: str) -> int:
    tally = node.tally()
    return int(tally[name]) if tally else 0


FAULTS: Final[Mapping[str, Callable[[Scene], None]]] = {
    fault.__name__: fault
    for fault in (
        node_killed,
        relay_killed_mid_batch,
        node_frozen,
        broker_leader_killed,
        broker_recovered,
        brokers_all_killed,
        disk_full,
        ledger_locked,
        ledger_gone,
        clock_jumped,
        retention_expired,
        sender_restored,
        receiver_restored,
        both_restored,
        topic_made_anew,
        duplicate_storm,
        reordered,
        network_delayed,
        network_cut,
        network_stalled,
        producer_fenced,
        poison,
    )
}
"""By the name that the report gives them."""

ONLY_POSTGRES: Final = {ledger_gone.__name__}
