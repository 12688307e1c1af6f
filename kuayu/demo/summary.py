"""The end: do the numbers add up, and do all nodes say the same of every case?"""

from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from bus import Ledger
from bus.ledger import tables
from cases import ENDS, HANDED_OVER, Phase
from jurisdictions import Stage
from kuayu.audit import disagreement
from kuayu.demo.book import Book
from kuayu.demo.readings import Readings
from kuayu.demo.screen import latencies
from kuayu.inspection import InspectionError, check_ledger
from kuayu.settings import Settings

_NAMES: Final = {
    "collected": "已取证 collected (fetched, posted, electronic)",
    "refused": "不予许可 refused",
    "not_accepted": "不予受理 not accepted",
    "withdrawn": "撤回 withdrawn",
    "open": "在办 open",
    "parked": "搁置 parked",
}
_SHOWN: Final = 20


class Verdict(NamedTuple):
    """What differs (nothing, if all is well), and how many rows of ledgers were proven."""

    differences: list[str]
    rows: int


def sums(readings: Readings, book: Book, garbage: int) -> list[str]:
    """What does not add up in the numbers that the nodes gave."""
    found = []
    parts = sum(readings.total(part) for part in _NAMES)
    if readings.total("handed_in") != parts:
        found.append(f"handed in {readings.total('handed_in')}, but all outcomes together are {parts}")
    if readings.total("handed_in") != len(book.cases):
        found.append(f"the nodes have {readings.total('handed_in')} cases, {len(book.cases)} were handed in")
    if book.awaited:
        found.append(f"{len(book.awaited)} submissions on the intake topics have no reply")
    if readings.total("open_handovers"):
        found.append(f"{readings.total('open_handovers')} hand-overs have no receipt")
    if readings.total("quarantined") != garbage:
        found.append(
            f"{garbage} records of garbage were written, {readings.total('quarantined')} are quarantined"
        )
    return found


def ledgers(folder: Path, codes: tuple[str, ...], book: Book, readings: Readings) -> Verdict:
    """What the ledgers of the stopped nodes say against each other, against the book, and against themselves."""
    settings = Settings(data=folder, ledger="")
    found: list[str] = []
    rows = 0
    statuses: dict[tuple[Stage, str], dict[str, str]] = {}
    for code in codes:
        try:
            problems, checked, _ = check_ledger(settings, code)
        except InspectionError as error:
            found.append(str(error))
            continue
        found += [f"ledger of {code}: {problem}" for problem in problems]
        rows += checked
        ledger = Ledger(settings.ledger_url(code))
        with ledger.read() as connection:
            for stream, case_id, status in connection.execute(
                select(tables.case.c.stream, tables.case.c.subject, tables.case.c.status)
            ):
                stage = Stage(stream.split("/")[1])
                statuses.setdefault((stage, case_id), {})[code] = status
        ledger.close()
    accepted = {case_id for stage, case_id in statuses if stage is Stage.ACCEPTANCE}
    found += [f"{case_id} was handed in and is in no ledger" for case_id in book.cases.keys() - accepted]
    found += [f"{case_id} is in a ledger and was never handed in" for case_id in accepted - book.cases.keys()]
    found += [
        f"{case_id} is at {stage} and was never accepted"
        for stage, case_id in statuses
        if case_id not in accepted
    ]
    for case_id in sorted(accepted):
        found += disagreement(case_id, statuses)
    found += _outcomes(accepted, statuses, readings)
    return Verdict(found, rows)


def _outcomes(
    accepted: set[str], statuses: dict[tuple[Stage, str], dict[str, str]], readings: Readings
) -> list[str]:
    """The tallies that operators saw against the ledgers themselves."""
    counted = Counter(
        Phase(status) for case_id in accepted for status in statuses[Stage.ACCEPTANCE, case_id].values()
    )
    own = {
        "collected": sum(counted[phase] for phase in HANDED_OVER),
        "refused": counted[Phase.REFUSED],
        "not_accepted": counted[Phase.NOT_ACCEPTED],
        "withdrawn": counted[Phase.WITHDRAWN],
    }
    found = [
        f"{name}: {readings.total(name)} by the tallies, {number} by the ledgers"
        for name, number in own.items()
        if readings.total(name) != number
    ]
    under_way = sum(number for phase, number in counted.items() if phase not in ENDS)
    shown = readings.total("open") + readings.total("parked")
    if shown != under_way:
        found.append(f"open and parked: {shown} by the tallies, {under_way} by the ledgers")
    return found


def tell(
    console: Console, readings: Readings, book: Book, verdict: Verdict, garbage: int, seconds: float
) -> None:
    """Print the summary."""
    table = Table(title="跨域 Kuayu", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("收件 handed in", str(readings.total("handed_in")), style="bold")
    for part, name in _NAMES.items():
        table.add_row(f"{'=' if part == 'collected' else '+'} {name}", str(readings.total(part)))
    table.add_section()
    turned_away = book.counts["turned away at the door"]
    table.add_row("当场退回 turned away, never a case", str(turned_away))
    table.add_row("垃圾数据,已隔离 garbage, quarantined", f"{readings.total('quarantined')} / {garbage}")
    table.add_row("账本行数,已核验 rows of ledgers, proven", str(verdict.rows))
    console.print(table)
    for line in latencies(readings):
        console.print(line)
    acts = ", ".join(f"{name} {count}" for name, count in sorted(book.counts.items()))
    console.print(f"{seconds:.0f} s: {acts}", soft_wrap=True)
    for difference in verdict.differences[:_SHOWN]:
        console.print(f"✗ {difference}", style="red", soft_wrap=True)
    if len(verdict.differences) > _SHOWN:
        console.print(f"✗ … {len(verdict.differences) - _SHOWN} more", style="red")
    if not verdict.differences:
        console.print("✓ 账目相符,各节点一致 the numbers add up, and all nodes agree", style="green")
