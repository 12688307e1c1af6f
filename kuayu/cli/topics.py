"""`kuayu topics …`: the inboxes and control topics of the directory."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from contextlib import closing
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The topics that the directory asks for.")


@app.command()
def create(
    codes: Annotated[
        list[str] | None, typer.Argument(help="Jurisdictions; all of the directory if none is named.")
    ] = None,
) -> None:
    """Create the topics that do not exist; those that exist are never changed."""
    from bus.transport import TransportError
    from jurisdictions import Invalid
    from kuayu.node import create_topics
    from kuayu.settings import BadSetting, Settings

    try:
        new = create_topics(Settings.load(), frozenset(codes) if codes else None)
    except (TransportError, BadSetting, Invalid) as error:
        typer.echo(f"kuayu: {error}", err=True)
        raise typer.Exit(2) from error
    for name in new:
        typer.echo(name)
    typer.echo(f"{len(new)} topics created")


@app.command("list")
def list_topics() -> None:
    """The topics on the broker, with their numbers of partitions."""
    from bus.transport import TransportError, open_transport
    from kuayu.settings import BadSetting, Settings

    try:
        settings = Settings.load()
        with closing(open_transport(settings.driver, settings.bootstrap_servers, settings.tls)) as transport:
            found = transport.topics()
    except (TransportError, BadSetting) as error:
        typer.echo(f"kuayu: {error}", err=True)
        raise typer.Exit(2) from error
    for name, partitions in sorted(found.items()):
        typer.echo(f"{name}\t{partitions}")
