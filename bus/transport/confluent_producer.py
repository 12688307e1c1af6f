# ruff: noqa: SLF001 (librdkafka's own error codes are public names that begin with an underscore)
"""The writing half of the faster driver: librdkafka's idempotent producer."""

from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

import confluent_kafka as ck

from bus.transport.base import (
    MAX_IN_FLIGHT_BYTES,
    MAX_IN_FLIGHT_RECORDS,
    MAX_RECORD_BYTES,
    Done,
    Outbound,
    PermanentError,
    RetriableError,
    TransportError,
)
from bus.transport.confluent_client import CLOSE_TIMEOUT, Trouble, opened
from bus.transport.tls import Way

_FATAL = (ck.KafkaException, SystemError)
"""What `poll` and `flush` raise after a fatal error: the error, or that a callback met it."""


class ConfluentProducer:
    """Calls `done` from within `poll`, `flush` and `close`, in the thread of its owner."""

    def __init__(self, way: Way, client: str) -> None:
        self._trouble = Trouble()
        self._open = partial(
            opened,
            ck.Producer,
            way,
            client,
            **{
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 10,  # with 5 an answer comes 4 ms sooner, and the broker has a fifth more to do
                "message.max.bytes": MAX_RECORD_BYTES,
                "message.timeout.ms": 30_000,
                "topic.metadata.propagation.max.ms": 3_000,
                "queue.buffering.max.messages": MAX_IN_FLIGHT_RECORDS,
                "queue.buffering.max.kbytes": MAX_IN_FLIGHT_BYTES >> 10,
                "error_cb": self._trouble,
            },
        )
        self._producer = self._open()
        self._sent = 0
        self._waiting: dict[int, Done] = {}
        """Who is still to be told, by the number of the send: a fatal error may swallow reports."""

    def send(self, record: Outbound, done: Done) -> None:
        if self._trouble.error is not None:
            self._raise_trouble()
        number = self._sent
        try:
            self._producer.produce(
                record.topic,
                record.value,
                record.key,
                record.partition,
                partial(self._report, number),
                headers=record.headers,  # type: ignore[arg-type]  # a list of a wider type is asked for
            )
        except BufferError as error:
            raise RetriableError("the buffer is full: too much is sent and not yet acknowledged") from error
        except ck.KafkaException as error:
            cause = error.args[0]
            if cause.fatal() or cause.code() == ck.KafkaError._FATAL:
                self._trouble.error = cause
                self._raise_trouble()
            if cause.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE:
                raise PermanentError(
                    f"{record.topic}: the record is too large; {MAX_RECORD_BYTES} bytes would be taken",
                ) from error
            raise RetriableError(f"{record.topic}/{record.partition}: {cause}") from error
        self._sent = number + 1
        self._waiting[number] = done

    def _raise_trouble(self) -> NoReturn:
        error = self._trouble.take()
        if error.fatal() or error.code() == ck.KafkaError._FATAL:
            self._begin_anew()
        raise RetriableError(str(error))

    def _begin_anew(self) -> None:
        """After a fatal error librdkafka's idempotent producer is of no more use: go on with another."""
        self._give_up()
        self._producer = self._open()

    def poll(self, timeout: float) -> None:
        try:
            self._producer.poll(timeout)
        except _FATAL:
            self._begin_anew()

    def flush(self, timeout: float) -> bool:
        try:
            return not self._producer.flush(timeout)
        except _FATAL:
            self._begin_anew()
            return True  # all were told, if only that nobody knows

    def close(self) -> None:
        self.flush(CLOSE_TIMEOUT)
        self._give_up()

    def _give_up(self) -> None:
        """Whoever still waits is told; what is reported of these later is nobody's any more."""
        with suppress(*_FATAL):
            self._producer.purge()
            self._producer.flush(1)
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            done(RetriableError("given up; it may have been written"))

    def _report(self, number: int, error: Any, _message: Any) -> None:
        """Whoever waits is told here, or still waits: a fatal error may strike at any call, and each is reported once."""
        done = self._waiting.get(number)
        if done is None:
            return
        outcome = None if error is None else _reason(error)
        try:
            done(outcome)
        finally:
            del self._waiting[number]


def _reason(error: Any) -> TransportError:
    if error.code() == ck.KafkaError.INVALID_RECORD:
        return PermanentError(str(error))
    if error.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE:
        # The broker refused a batch, and librdkafka blames each record in it: none is known to be too large.
        return RetriableError(f"{error}; max.message.bytes of the topic must be over {MAX_RECORD_BYTES}")
    return RetriableError(str(error))
