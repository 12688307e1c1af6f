"""A local system that speaks Kafka: it hands cases in on the intake topics and reads the replies.

Beside it stands who writes garbage to an inbox, which has to be quarantined and to hurt nobody.
"""

import queue
import threading
import zlib
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from bus.envelope import topic_of
from bus.transport import Outbound, Tls, TopicPartition, TransportError, open_transport
from kuayu.demo.scripts import SimulatedCase
from producers.intake import CALLER_HEADER
from schemas import Codec, CodecError, load_schemas
from schemas.models import SubmissionAnswered

_POLL_SECONDS: Final = 0.1
_FLUSH_SECONDS: Final = 10.0
_READ_AT_ONCE: Final = 100


class IntakeSystem:
    """Works in a thread of its own from `start` to `stop`.

    Attributes:
        garbage: records of garbage that the broker has taken.
        failure: why it had to stop by itself; None if it did not.
    """

    def __init__(
        self,
        driver: str,
        bootstrap: str,
        codes: tuple[str, ...],
        answered: Callable[[SubmissionAnswered], None],
        tls: Tls | None = None,
    ) -> None:
        """`answered` is called from this object's thread."""
        self._transport = open_transport(driver, bootstrap, tls)
        self._codes = codes
        self._partitions = self._transport.topics()
        self._answered = answered
        self._codec = Codec(load_schemas())
        self._waiting: queue.SimpleQueue[Outbound] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="intake system")
        self._random = Random(0)
        self.garbage = 0
        self.failure: Exception | None = None

    def start(self) -> None:
        """Begin to send and to read."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what waits has been sent."""
        self._stop.set()
        self._thread.join()
        self._transport.close()

    def hand_in(self, case: SimulatedCase) -> None:
        """Send an application; its reference is its key."""
        payload, _ = self._codec.encode(case.submission)
        topic = topic_of("intake", case.node)
        key = case.reference.encode()
        partition = zlib.crc32(key) % self._partitions[topic]
        self._waiting.put(Outbound(topic, partition, key, payload, [(CALLER_HEADER, b"demo-system")]))

    def litter(self) -> None:
        """Write a record that means nothing to the inbox of some stage."""
        topic = topic_of(
            self._random.choice(("acceptance", "review", "pickup")), self._random.choice(self._codes)
        )
        partition = self._random.randrange(self._partitions[topic])
        self._waiting.put(Outbound(topic, partition, b"garbage", self._random.randbytes(200), []))

    def _run(self) -> None:
        producer = self._transport.producer("kuayu.demo.intake")
        consumer = self._transport.consumer("kuayu.demo.intake")
        try:
            topics = [topic_of("intake-replies", code) for code in self._codes]
            places = [
                TopicPartition(topic, number) for topic in topics for number in range(self._partitions[topic])
            ]
            consumer.assign(dict.fromkeys(places, 0))
            while not (self._stop.is_set() and self._waiting.empty()):
                while not self._waiting.empty():
                    sent = self._waiting.get()
                    producer.send(sent, partial(self._sent, sent))
                producer.poll(0.0)
                for record in consumer.poll(_POLL_SECONDS, _READ_AT_ONCE):
                    data = self._codec.decode(record.value or b"")
                    if isinstance(data, SubmissionAnswered):
                        self._answered(data)
            producer.flush(_FLUSH_SECONDS)
        except (TransportError, CodecError) as error:
            self.failure = error
        finally:
            producer.close()
            consumer.close()

    def _sent(self, record: Outbound, error: TransportError | None) -> None:
        if error is not None:
            self.failure = error
        elif record.key == b"garbage":
            self.garbage += 1
