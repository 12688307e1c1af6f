"""`kuayu held …`: events that are parked or wait, and what to do about them."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bus.held import Which

app = typer.Typer(
    no_args_is_help=True,
    help="Events that are parked or wait (搁置的事件): list, explain, try again, refuse, repair, export.\n\n"
    "Acts are asked of the running node (--to, --key with the role `operate`): it alone writes its ledger. "
    "`list` and `show` also read a ledger on this machine (--at CODE), whether a node runs or not.",
)


class Status(StrEnum):
    """How an event is held."""

    PARKED = "parked"
    WAITING = "waiting"


To = Annotated[str, typer.Option("--to", help="Address of the running node.", envvar="KUAYU_NODE")]
Key = Annotated[str, typer.Option("--key", help="Key with the role `operate`.", envvar="KUAYU_KEY")]
At = Annotated[
    str,
    typer.Option(
        "--at", help="Read the ledger of this jurisdiction on this machine (KUAYU_DATA or KUAYU_LEDGER)."
    ),
]
Stream = Annotated[str | None, typer.Option(help="Only of this stream: 430100/review.")]
Case = Annotated[str | None, typer.Option(help="Only of this case.")]
OfStatus = Annotated[Status | None, typer.Option("--status", help="Only these.")]
Code = Annotated[str | None, typer.Option(help="Only with this code: handler_error, undecodable, schema, …")]
Type = Annotated[str | None, typer.Option("--type", help="Only events of this type.")]
Awaits = Annotated[str | None, typer.Option(help="Only what waits for this; the whole, or how it begins.")]
Since = Annotated[
    datetime | None,
    typer.Option(
        help="Only what is held since then, UTC.", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
    ),
]
Row = Annotated[int, typer.Argument(help="The event's row, as `kuayu held list` says it.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would become of it; change nothing.")]
_NODE = "http://127.0.0.1:8080"


@app.command("list")
def list_held(
    to: To = _NODE,
    key: Key = "",
    at: At = "",
    stream: Stream = None,
    case: Case = None,
    status: OfStatus = None,
    code: Code = None,
    type_: Type = None,
    awaits: Awaits = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Records without a verified sender instead (隔离).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What is held, the oldest row first, and why.

    Example: `kuayu held list --at 430100 --status parked`
    """
    from kuayu import held, held_lines
    from kuayu.settings import Settings

    which = _which(None, stream, case, status, code, type_, awaits, since)
    with _failing():
        if quarantined:
            answer = (
                held.read_quarantine(Settings.load(), at, limit)
                if at
                else held.Api(to, key).get("/v1/quarantine", limit=limit)
            )
            return _show(answer, held_lines.of_quarantine, as_json=as_json)
        answer = (
            held.read_list(Settings.load(), at, which, limit)
            if at
            else held.Api(to, key).get("/v1/held", limit=limit, **_said(which))
        )
        return _show(answer, held_lines.of_list, as_json=as_json)


@app.command()
def show(row: Row, to: To = _NODE, key: Key = "", at: At = "", as_json: AsJson = False) -> None:
    """One event: its error, what it waits for, what its sender was told, what waits behind it, its masked contents.

    Example: `kuayu held show 1234 --at 430100`
    """
    from kuayu import held, held_lines
    from kuayu.settings import Settings

    with _failing():
        found = held.read_one(Settings.load(), at, row) if at else held.Api(to, key).get(f"/v1/held/{row}")
        _show(found, held_lines.of_one, as_json=as_json)


@app.command()
def replay(
    row: Annotated[int | None, typer.Argument(help="Only the case that this row blocks.", min=1)] = None,
    to: To = _NODE,
    key: Key = "",
    stream: Stream = None,
    case: Case = None,
    status: OfStatus = None,
    code: Code = None,
    type_: Type = None,
    awaits: Awaits = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(help="Cases that are tried at most.", min=1, max=500)] = 100,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Try cases again whose first held event fits; each goes on as far as it can. Safe to repeat.

    Example: `kuayu held replay --code handler_error --dry-run`
    """
    from kuayu import held, held_lines

    which = _which(row, stream, case, status, code, type_, awaits, since)
    with _failing():
        body = _said(which) | {"limit": limit, "dry_run": dry_run}
        _show(held.Api(to, key).post("/v1/held/replay", body), held_lines.of_outcome, as_json=as_json)


@app.command()
def refuse(
    row: Row,
    code: Annotated[str, typer.Option(help="For programs: lower case, digits, _: wrong_person.")],
    reason: Annotated[str, typer.Option(help='For people: "中文 / English".')],
    to: To = _NODE,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Refuse an event, finally (退回). Its sender is told by receipt; what waits behind it goes on.

    Example: `kuayu held refuse 1234 --code wrong_person --reason "申请人有误 / wrong applicant"`
    """
    from kuayu import held, held_lines

    with _failing():
        body = {"code": code, "reason": reason}
        _show(held.Api(to, key).post(f"/v1/held/{row}/refuse", body), held_lines.of_outcome, as_json=as_json)


@app.command()
def repair(
    row: Row,
    reason: Annotated[str, typer.Option(help="Who said so, and why; it stands in the log.")],
    data: Annotated[
        Path | None, typer.Option(help="JSON file with the whole event.", exists=True, dir_okay=False)
    ] = None,
    patch: Annotated[
        Path | None,
        typer.Option(
            help="JSON file with what changes (JSON Merge Patch, RFC 7396).", exists=True, dir_okay=False
        ),
    ] = None,
    to: To = _NODE,
    key: Key = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Apply an event with corrected data (修正), under your name; the original stays in the log. All or nothing.

    Example: `kuayu held repair 1234 --patch fix.json --reason "电话核实 / checked by phone" --dry-run`
    """
    from kuayu import held, held_lines

    with _failing():
        if (data is None) == (patch is None):
            raise held.HeldError("either --data or --patch would be right")
        body = {
            "reason": reason,
            "dry_run": dry_run,
            "data": _json_of(data),
            "patch": _json_of(patch),
        }
        _show(held.Api(to, key).post(f"/v1/held/{row}/repair", body), held_lines.of_outcome, as_json=as_json)


@app.command()
def export(
    code: Annotated[str, typer.Argument(help="The node whose ledger is read, six digits.")],
    topic: Annotated[
        str | None,
        typer.Option(help="Dead-letter topic; made where it is not there: kuayu.dead-letters.430100"),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="File instead: a JSON object a line, bytes in base64.")
    ] = None,
    stream: Stream = None,
    case: Case = None,
    status: OfStatus = None,
    error_code: Annotated[str | None, typer.Option("--code", help="Only with this code.")] = None,
    type_: Type = None,
    awaits: Awaits = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1)] = 10_000,
) -> None:
    """Write what is held or quarantined as dead letters, for tools that expect a topic of them. Changes nothing.

    Records keep their key, headers and bytes, and get the headers of Kafka Connect's dead letter queue
    (`__connect.errors.…`). Of quarantined records the kept sample is written. Bodies are not masked.

    Example: `kuayu held export 430100 --topic kuayu.dead-letters.430100`
    """
    from kuayu import dead_letters, held
    from kuayu.settings import Settings

    which = _which(None, stream, case, status, error_code, type_, awaits, since)
    with _failing():
        if (topic is None) == (file is None):
            raise held.HeldError("either --topic or --file would be right")
        count = dead_letters.export(Settings.load(), code, which, limit, topic=topic or "", file=file)
        typer.echo(f"{count} dead letters written to {topic or file}")


def _which(
    row: int | None,
    stream: str | None,
    case: str | None,
    status: Status | None,
    code: str | None,
    type_: str | None,
    awaits: str | None,
    since: datetime | None,
) -> "Which":
    from bus.held import Which

    return Which(
        row=row,
        stream=stream,
        case=case,
        status=status.value if status else None,
        code=code,
        type=type_,
        awaits=awaits,
        since=since.replace(tzinfo=UTC) if since else None,
    )


def _said(which: "Which") -> dict[str, Any]:
    """The filter as the API takes it."""
    import msgspec

    return {
        name: value
        for name, value in msgspec.to_builtins(which).items()
        if value is not None and name != "first"
    }


def _json_of(file: Path | None) -> Any:
    import msgspec

    from kuayu.held import HeldError

    if file is None:
        return None
    try:
        return msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise HeldError(f"{file}: no JSON: {error}") from error


@contextmanager
def _failing() -> Iterator[None]:
    """One line on standard error and exit code 2 for what can't be done."""
    from kuayu.held import HeldError
    from kuayu.inspection import InspectionError
    from kuayu.settings import BadSetting

    try:
        yield
    except (HeldError, InspectionError, BadSetting) as error:
        typer.echo(f"kuayu: {error}", err=True)
        raise typer.Exit(2) from error


def _show(answer: Any, lines: Callable[[Any], Iterator[str]], *, as_json: bool) -> None:
    import msgspec

    if as_json:
        typer.echo(msgspec.json.encode(answer).decode())
        return
    for line in lines(answer):
        typer.echo(line)
