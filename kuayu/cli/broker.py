"""`kuayu broker …`: the local Kafka broker from pip packages."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, help="The local Kafka broker: real, on this machine only, no Docker needed."
)

Folder = Annotated[Path, typer.Option("--data", help="Folder of the broker's data.")]
_FOLDER = Path("var/broker")


@app.command()
def start(
    data: Folder = _FOLDER,
    port: Annotated[int | None, typer.Option(help="A free one if none is named.")] = None,
) -> None:
    """Start it, or find the one that runs; it goes on until `kuayu broker stop`."""
    from kuayu.broker import BrokerInstallError, BrokerStartError, start_detached

    try:
        state = start_detached(data, port)
    except (BrokerInstallError, BrokerStartError) as error:
        typer.echo(f"kuayu: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"KUAYU_BOOTSTRAP_SERVERS={state.bootstrap}")


@app.command()
def stop(data: Folder = _FOLDER) -> None:
    """Stop it."""
    from kuayu.broker import stop as stop_broker

    typer.echo("stopped" if stop_broker(data) else "none was running")


@app.command()
def status(data: Folder = _FOLDER) -> None:
    """Say whether it runs, where, and whether it answers."""
    from kuayu.broker import status as broker_status

    state = broker_status(data)
    if state is None:
        typer.echo("not running")
        raise typer.Exit(1)
    typer.echo(f"{state.bootstrap} pid {state.pid}: {'answers' if state.ready else 'does not answer'}")
