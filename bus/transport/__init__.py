"""Ways to a broker, behind one protocol: kafka-python (the default), confluent-kafka (faster), and one in memory.

They move bytes and decode nothing. What each can promise is written where they are tested:
`tests/contract/transport/test_contract.py`.
"""

from bus.transport.base import (
    MAX_RECORD_BYTES,
    Consumer,
    Done,
    Outbound,
    OutOfRangeError,
    PermanentError,
    Producer,
    Record,
    RetriableError,
    TopicPartition,
    TopicSpec,
    Transport,
    TransportError,
)
from bus.transport.memory import MemoryTransport
from bus.transport.memory_broker import MemoryBroker
from bus.transport.tls import Tls, TlsError

__all__ = [
    "MAX_RECORD_BYTES",
    "Consumer",
    "Done",
    "MemoryBroker",
    "MemoryTransport",
    "OutOfRangeError",
    "Outbound",
    "PermanentError",
    "Producer",
    "Record",
    "RetriableError",
    "Tls",
    "TlsError",
    "TopicPartition",
    "TopicSpec",
    "Transport",
    "TransportError",
    "open_transport",
]


def open_transport(driver: str, bootstrap: str, tls: Tls | None = None) -> Transport:
    """A way to the broker at `bootstrap` ("host:port", several separated by commas), which need not be there yet.

    Args:
        driver: "kafka-python", or "confluent" (needs the extra of that name).
        bootstrap: where the first broker to be asked listens.
        tls: None speaks plain text.

    Raises:
        ImportError: the driver is not installed; the message names the extra.
        ValueError: there is no such driver.
    """
    # Each driver is imported only when asked for: its library costs start-up time, or is not installed.
    if driver == "kafka-python":
        from bus.transport.kafka_python import KafkaPythonTransport  # noqa: PLC0415 (see above)

        return KafkaPythonTransport(bootstrap, tls)
    if driver == "confluent":
        try:
            from bus.transport.confluent import ConfluentTransport  # noqa: PLC0415 (see above)
        except ModuleNotFoundError as error:
            raise ImportError(
                'the transport driver "confluent" is not installed: pip install "kuayu[confluent]", or use "kafka-python"',
            ) from error

        return ConfluentTransport(bootstrap, tls)
    raise ValueError(f'transport driver {driver!r} is unknown: "kafka-python" or "confluent" would be right')
