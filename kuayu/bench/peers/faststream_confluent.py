"""FastStream on confluent-kafka."""

import asyncio

import faststream_app
from control import Control, serve
from faststream import AckPolicy
from faststream.confluent import KafkaBroker


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
            apply_types=False,
            logger=None,
        )
    batching = {"polling_interval": 0.01, "fetch_max_wait_ms": 50, "ack_policy": AckPolicy.NACK_ON_ERROR}
    await faststream_app.run(control, broker, batching)


if __name__ == "__main__":
    serve(run)
