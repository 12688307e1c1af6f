"""`kuayu directory …`: the data files that an office edits."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Jurisdictions, agreements, items and calendars.")


@app.callback()
def main() -> None:
    """Jurisdictions, agreements, items and calendars."""


@app.command()
def lint(
    path: Annotated[
        Path | None, typer.Argument(help="Folder with the data files; those of the program if none is named.")
    ] = None,
    before: Annotated[
        Path | None, typer.Option(help="An earlier copy: what must not change is compared with it.")
    ] = None,
) -> None:
    """Check the data files: every finding names file, place, problem, and what would be right."""
    from jurisdictions import lint as lint_directory

    findings = lint_directory(path, before=before)
    for finding in findings:
        typer.echo(str(finding))
    typer.echo(f"{len(findings)} findings")
    raise typer.Exit(1 if findings else 0)
