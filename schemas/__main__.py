"""`python -m schemas generate`: work on the contracts."""

import sys

import typer

from schemas import SchemaError, generate


def main() -> int:
    try:
        changed = generate()
    except SchemaError as error:
        typer.echo(str(error), err=True)
        return 1
    typer.echo("models.py written" if changed else "models.py is as the schemas say")
    return 0


if __name__ == "__main__":
    sys.exit(main())
