"""FastStream on aiokafka."""

import asyncio

import faststream_app
from control import Control, serve
from faststream import AckPolicy
from faststream.kafka import KafkaBroker


def run(control: Control) -> None:
    asyncio.run(_run(control))


async def _run(control: Control) -> None:
    stage = control.stage
    if stage.mode == faststream_app.DEFAULTS:
        broker = KafkaBroker(stage.bootstrap, acks="all", enable_idempotence=True)
    else:
        broker = KafkaBroker(
            stage.bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            max_batch_size=128 * 1024,
            apply_types=False,
            logger=None,
        )
    batching = {"batch_timeout_ms": 10, "fetch_max_wait_ms": 50, "ack_policy": AckPolicy.NACK_ON_ERROR}
    await faststream_app.run(control, broker, batching)


if __name__ == "__main__":
    serve(run)
