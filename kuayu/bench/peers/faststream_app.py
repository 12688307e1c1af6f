"""A stage as a FastStream application, alike on both of its Kafka clients.

At its best: batches, what a batch causes published at once and confirmed together, positions committed after that.
By default: one record a call, each publication awaited, everything as FastStream sets it.
"""

import asyncio
from typing import Annotated, Any

from control import Control
from faststream import Context
from stage import Record

BATCH = 500
DEFAULTS = "defaults"
"""The mode of that name."""


async def run(control: Control, broker: Any, batching: dict[str, Any]) -> None:
    """Serve a stage; `batching` are the options of a subscriber that takes batches on this client."""
    stage = control.stage
    stage.text_headers = True
    options: dict[str, Any] = {"group_id": stage.group, "auto_offset_reset": "earliest"}
    if stage.mode == DEFAULTS:

        async def one(body: bytes, message: Annotated[Any, Context("message")]) -> None:
            for record in stage.react(message.headers, body):
                await _publish(broker, record)

        broker.subscriber(stage.inbox, **options)(one)
    else:

        async def batch(message: Any) -> None:
            records = [
                record
                for headers, body in zip(message.batch_headers, message.body, strict=True)
                for record in stage.react(headers, body)
            ]
            await _publish_all(broker, records)

        subscriber = broker.subscriber(stage.inbox, batch=True, max_records=BATCH, **options, **batching)
        subscriber(batch, decoder=_undecoded)
    await broker.start()
    control.ready.set()
    publish = _publish_each if stage.mode == DEFAULTS else _publish_all
    while True:
        if begun := control.due():
            await publish(broker, begun)
        else:
            await asyncio.sleep(control.pause)


async def _undecoded(message: Any) -> Any:
    """The handler gets the batch as it came."""
    return message


async def _publish(broker: Any, record: Record, *, no_confirm: bool = False) -> Any:
    return await broker.publish(
        record.value, record.topic, key=record.key, headers=record.headers, no_confirm=no_confirm
    )


async def _publish_each(broker: Any, records: list[Record]) -> None:
    await asyncio.gather(*(_publish(broker, record) for record in records))


async def _publish_all(broker: Any, records: list[Record]) -> None:
    await asyncio.gather(*[await _publish(broker, record, no_confirm=True) for record in records])
