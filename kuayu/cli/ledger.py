"""`kuayu ledger …`: backup and what follows from it, and what may be dropped."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="备份、恢复、归档、压缩账本 / Back up, restore, archive and compact a node's ledger (KUAYU_DATA or KUAYU_LEDGER names it).",
)

Code = Annotated[
    str,
    typer.Argument(help="The node, six digits; with a stage behind it where it runs for one, 430100-review."),
]


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong, in one line."""
    from sqlalchemy.exc import SQLAlchemyError

    from bus import Fenced
    from kuayu.inspection import InspectionError
    from kuayu.migrations import NewerLedgerError
    from kuayu.settings import BadSetting

    try:
        yield
    except FileExistsError as error:
        raise _end(f"{error}: is there already; neither backup nor archive is overwritten") from error
    except (
        InspectionError,
        BadSetting,
        NewerLedgerError,
        Fenced,
        LookupError,
        OSError,
        SQLAlchemyError,
    ) as error:
        raise _end(str(error).splitlines()[0]) from error


def _end(message: str) -> typer.Exit:
    typer.echo(f"kuayu: {message}", err=True)
    return typer.Exit(2)


@app.command()
def backup(
    code: Code,
    file: Annotated[Path, typer.Argument(help="Where to; an SQLite file, whatever the ledger is in.")],
) -> None:
    """Write a consistent copy while the node goes on, and prove it: chain, lanes, projections.

    Example: `kuayu ledger backup 430100 /backup/430100-$(date +%F).db`
    """
    from kuayu.ledgers import back_up_and_prove
    from kuayu.settings import Settings

    with _told():
        problems, rows = back_up_and_prove(Settings.load(), code, file)
    for problem in problems:
        typer.echo(problem, err=True)
    typer.echo(f"{file}: {rows} rows, {len(problems)} problems")
    raise typer.Exit(1 if problems else 0)


@app.command()
def restore(
    code: Code, file: Annotated[Path, typer.Argument(help="A backup.", exists=True, dir_okay=False)]
) -> None:
    """Put a backup in the ledger's place. The next start agrees with all counterparts on what was said since.

    Refused while a node has the ledger open. What was there is kept beside it (`.replaced`) on SQLite; on PostgreSQL
    it is gone.

    Example: `kuayu ledger restore 430100 /backup/430100-2026-11-20.db`
    """
    from kuayu.ledgers import restore_backup
    from kuayu.settings import Settings

    with _told():
        declared = restore_backup(Settings.load(), code, file)
    typer.echo(f"restored up to row {declared.first_row - 1}; incarnation {declared.number} is declared")


@app.command()
def declare(
    code: Code,
    reason: Annotated[str, typer.Option(help="Why, for the log.")] = "declared by an operator",
) -> None:
    """Say that the ledger may have lost commits, for example after a failover; the next start agrees anew.

    Refused while a node has the ledger open.
    """
    from kuayu.ledgers import declare_loss
    from kuayu.settings import Settings

    with _told():
        declared = declare_loss(Settings.load(), code, reason)
    typer.echo(f"incarnation {declared.number} is declared from row {declared.first_row} on")


@app.command()
def abandon(
    code: Code,
    to: Annotated[str, typer.Argument(help="The jurisdiction that never answers, six digits.")],
    reason: Annotated[str, typer.Option(help="Why, for the log.")],
) -> None:
    """End a restored ledger's wait for a receiver that never answers (alarm `restore_waits`). The last resort.

    What that receiver was told after the backup is then not known here, and may be decided and told a second time. Nothing
    new is sent there until it answers after all. Refused while a node has the ledger open.

    Example: `kuayu ledger abandon 430200 431100 --reason "节点已撤销 / the node is gone"`
    """
    from kuayu.ledgers import abandon_answers
    from kuayu.settings import Settings

    with _told():
        lanes = abandon_answers(Settings.load(), code, to, reason)
    typer.echo(f"no longer waited for: {', '.join(lanes)}")


@app.command()
def compact(
    code: Code,
    days: Annotated[int, typer.Option(help="What is younger is kept.", min=1)] = 90,
) -> None:
    """Drop what only served repetition: idempotency keys and samples of quarantined records; give the space back.

    A request that is repeated with a key dropped here is a new one. The log is not touched.
    """
    from kuayu.ledgers import compact as compact_ledger
    from kuayu.settings import Settings

    with _told():
        dropped = compact_ledger(Settings.load(), code, days)
    typer.echo(f"dropped: {dropped.answers} idempotency keys, {dropped.samples} quarantined samples")


@app.command()
def archive(
    code: Code,
    file: Annotated[Path, typer.Argument(help="The archive; it must not be there yet.")],
    days: Annotated[
        int,
        typer.Option(
            help="Only cases of which nothing was written for so long; more than your oldest backup.", min=1
        ),
    ] = 400,
) -> None:
    """Move the content of cases that ended long ago to a file. Ledger and archive stay provable, each by the other.

    Refused while a node has the ledger open. Only what is receipted is moved; a counterpart restored from a backup that
    is older than `--days` can't be given it back.

    Example: `kuayu ledger archive 430100 /archive/430100-2027.db`
    """
    from kuayu.ledgers import archive_ended
    from kuayu.settings import Settings

    with _told():
        moved = archive_ended(Settings.load(), code, file, days)
    where = f" to {file}" if moved.cases else "; no file was written"
    typer.echo(f"archived: {moved.cases} cases, {moved.rows} rows{where}")
