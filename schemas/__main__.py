"""`python -m schemas check|lint|generate|record`: work on the contracts."""

import typer

from schemas import CatalogueError, Finding, SchemaError, check, generate, lint, record

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Work on the contracts.")


def _report(findings: list[Finding]) -> None:
    for finding in findings:
        typer.echo(str(finding))
    if findings:
        raise typer.Exit(1)
    typer.echo("all is well")


@app.command("check")
def check_command() -> None:
    """Models as the schemas say, changes recorded, all versions compatible."""
    _report(check())


@app.command("lint")
def lint_command() -> None:
    """Schemas and catalogue by the house rules."""
    _report(lint())


@app.command("generate")
def generate_command() -> None:
    """Write models.py from the .avsc files."""
    try:
        typer.echo("models.py written" if generate() else "models.py is as the schemas say")
    except SchemaError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@app.command("record")
def record_command() -> None:
    """Write changed event types into the history as new versions."""
    try:
        typer.echo("\n".join(record()) or "nothing has changed")
    except (SchemaError, CatalogueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
