"""`kuayu audit`: the proof over several ledgers, and the topics between them."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs

import json
from pathlib import Path
from typing import Annotated

import typer

SHOWN = 50


def audit(
    ledgers: Annotated[
        list[str],
        typer.Argument(
            help="Ledgers: SQLite files or SQLAlchemy URLs, each perhaps with a name: `430100=…`."
        ),
    ],
    bootstrap: Annotated[
        str, typer.Option(help="The brokers (host:port); without it the topics are not read.")
    ] = "",
    accepted: Annotated[
        Path | None,
        typer.Option(
            help="A file with the id of every case that was accepted, one a line; none may be missing."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where counts and problems go as JSON.")] = None,
) -> None:
    """Prove over several ledgers that nothing is lost, doubled or out of order, and that each is sound. Reads only.

    Run it while the nodes are stopped, or have nothing to do. Ends with 1 if anything is wrong. KUAYU_TLS_… as for
    `kuayu node`.

    Example: `kuayu audit var/430100.db var/430200.db --bootstrap 127.0.0.1:9092`
    """
    import msgspec

    from jurisdictions import Invalid
    from kuayu.audit import AuditError, TopicsError
    from kuayu.audit import audit as prove
    from kuayu.settings import BadSetting, Settings

    try:
        named = _named(ledgers)
        known = accepted.read_text(encoding="utf-8").split() if accepted else None
        tls = Settings.load(bootstrap_servers=bootstrap).tls if bootstrap else None
        report = prove(named, bootstrap=bootstrap, tls=tls, accepted=known)
    except (AuditError, TopicsError, BadSetting, Invalid, OSError, ImportError) as error:
        typer.echo(f"kuayu: {str(error).splitlines()[0]}", err=True)
        raise typer.Exit(2) from error
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        plain = msgspec.to_builtins(report)
        out.write_text(json.dumps(plain, indent=1, ensure_ascii=False, sort_keys=True), encoding="utf-8")
    for problem in report.problems[:SHOWN]:
        typer.echo(str(problem))
    if len(report.problems) > SHOWN:
        typer.echo(f"… {len(report.problems) - SHOWN} more")
    counted = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(report.counts.items()))
    typer.echo(f"{counted}; {len(report.problems)} problems")
    raise typer.Exit(1 if report.problems else 0)


def _named(ledgers: list[str]) -> dict[str, str]:
    """URLs by name. Raises AuditError."""
    from kuayu.audit import AuditError

    urls: dict[str, str] = {}
    for ledger in ledgers:
        name, equals, place = ledger.partition("=")
        if not equals or "/" in name or ":" in name:  # the sign belongs to a URL's parameters
            name, place = "", ledger
        if "://" in place:
            name = name or place.rpartition("/")[2].partition("?")[0]
        elif Path(place).is_file():
            name, place = name or Path(place).stem, f"sqlite:///{Path(place).resolve()}"
        else:
            raise AuditError(f"{place}: no such file; a SQLite file or a SQLAlchemy URL would be right")
        if name in urls:
            raise AuditError(f"two ledgers are called {name}; NAME=… in front tells them apart")
        urls[name] = place
    return urls
