"""aiokafka with transactions: a batch's outputs and positions become visible together, to readers of committed records."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from control import Control, serve
from stage import Record

BATCH = 500


def run(control: Control) -> None:
    asyncio.run(_run(control))


async def _run(control: Control) -> None:
    stage = control.stage
    producer = AIOKafkaProducer(
        bootstrap_servers=stage.bootstrap,
        transactional_id=f"{stage.inbox}.transactions",  # brings acks=all and idempotence
        linger_ms=5,
        max_batch_size=128 * 1024,
    )
    consumer = AIOKafkaConsumer(
        stage.inbox,
        bootstrap_servers=stage.bootstrap,
        group_id=stage.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=50,
        max_poll_records=BATCH,
    )
    await producer.start()
    await consumer.start()
    control.ready.set()
    while True:
        found = await consumer.getmany(timeout_ms=int(control.pause * 1000), max_records=BATCH)
        begun = control.due()
        if not found and not begun:
            continue
        positions: dict[TopicPartition, int] = {}
        async with producer.transaction():
            for place, batch in found.items():
                for message in batch:
                    await _send(producer, stage.react(message.headers, message.value or b""))
                positions[place] = batch[-1].offset + 1
            await _send(producer, begun)
            if positions:
                await producer.send_offsets_to_transaction(positions, stage.group)


async def _send(producer: AIOKafkaProducer, records: list[Record]) -> None:
    for record in records:
        await producer.send(record.topic, record.value, record.key, headers=record.headers)


if __name__ == "__main__":
    serve(run)
