"""What it takes to encode and to decode an event, beside fastavro doing the same from and to plain data.

The events are those of cases of the load, as their three stages decide them, each a millisecond after the one before, and the
receipts of a lane.
"""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from time import thread_time
from typing import Any

import fastavro
import msgspec

from jurisdictions import load_directory
from kuayu.bench import samples
from kuayu.bench.load import ACCEPTANCE, REVIEW
from schemas import Codec, Event, Schema, load_schemas, models, whole_millis

_CASES, _RUNS = 2_000, 10
_HEAD = 5
"""Bytes of the Confluent wire format before the body."""


def measure(cases: int = _CASES, runs: int = _RUNS) -> dict[str, dict[str, float]]:
    """Microseconds of CPU an event by event type, encoding and decoding; ours and fastavro's by turns, the best of the runs.

    Ours goes from and to the model, with every value checked; fastavro's from and to dicts, without the models' checks.
    Each run goes through the events of all `cases`, so that what is kept of one event does not serve the next.
    """
    codec = Codec(load_schemas())
    return {kind: _measure(codec, events, runs) for kind, events in _events(cases).items()}


def _measure(codec: Codec, events: list[Event], runs: int) -> dict[str, float]:
    payloads = [codec.encode(event)[0] for event in events]
    schema = codec.encode(events[0])[1]
    bodies = [payload[_HEAD:] for payload in payloads]
    plain = [msgspec.to_builtins(event, builtin_types=(datetime, bytes)) for event in events]
    if [_write(schema, data) for data in plain] != bodies or [*map(codec.decode, payloads)] != events:
        raise AssertionError(f"{schema.name} is not encoded alike")
    acts: dict[str, Callable[[], Any]] = {
        "encode_us": lambda: _drop(codec.encode(event) for event in events),
        "decode_us": lambda: _drop(codec.decode(payload, schema.digest) for payload in payloads),
        "fastavro_encode_us": lambda: _drop(_write(schema, data) for data in plain),
        "fastavro_decode_us": lambda: _drop(_read(schema, body) for body in bodies),
    }
    times = [{name: _seconds(act) for name, act in acts.items()} for _ in range(runs)]
    best = {name: min(time[name] for time in times) / len(events) * 1e6 for name in acts}
    return {"bytes": round(sum(map(len, bodies)) / len(bodies))} | {
        name: round(value, 2) for name, value in best.items()
    }


def _write(schema: Schema, data: Any) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, data)
    return out.getvalue()


def _read(schema: Schema, body: bytes) -> Any:
    return fastavro.schemaless_reader(BytesIO(body), schema.parsed, None)


_drop = deque[Any](maxlen=0).extend
"""Goes through all without keeping any."""


def _seconds(act: Callable[[], Any]) -> float:
    begun = thread_time()
    act()
    return thread_time() - begun


def _events(cases: int) -> dict[str, list[Event]]:
    """By type the events of so many cases, and as many receipts."""
    now = datetime.now(UTC)
    receipts: list[Event] = [
        _receipt(100_000 + n, whole_millis(now + timedelta(milliseconds=n))) for n in range(cases)
    ]
    return samples.events(load_directory(), cases) | {"Receipt": receipts}


def _receipt(number: int, at: datetime) -> models.Receipt:
    return models.Receipt(
        lane=f"{ACCEPTANCE}/acceptance/3>{REVIEW}/review/5",
        incarnation=1,
        from_number=1,
        to_number=number,
        hash_at_to=bytes(range(32)),
        receiver_incarnation=1,
        receiver_row=number * 5,
        issued_at=at,
    )
