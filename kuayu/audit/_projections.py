"""What stands beside the log must be what the log makes of it: fold the log again elsewhere, and compare."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Table, insert, inspect, select

import consumers.tables
import producers.tables
from bus import Ledger
from bus.ledger import tables
from bus.protocols import Projection
from bus.records import Records
from bus.verification import rebuild
from kuayu.audit._findings import Kind, Problem
from kuayu.audit._ledger import AT_ONCE, Contents

COMPARED = (tables.case, tables.timer, consumers.tables.task, producers.tables.submission)
"""Folded from the log alone; deliveries to webhooks and the feed's cursor depend on who asked, and are not."""


def check(
    ledger: Contents, records: Records, projections: Sequence[Projection], counts: Counter[str]
) -> list[Problem]:
    """Every row of a projection that the log does not make, or makes differently. The ledger is only read."""
    problems: list[Problem] = []
    with tempfile.TemporaryDirectory(prefix="kuayu-audit-") as folder:
        again = Ledger(f"sqlite:///{Path(folder) / 'again.db'}", synchronous="NORMAL")
        try:
            again.create()
            with ledger.source.snapshot() as connection:
                _copy(connection, again)
                try:
                    rebuild(again, records, projections)
                except Exception as error:  # noqa: BLE001 - whatever a damaged history makes of it
                    what = f"what stands beside the log can't be rebuilt from it: {type(error).__name__}"
                    return [Problem(kind=Kind.DAMAGED, what=what, ledger=ledger.name)]
                stored = set(inspect(connection).get_table_names())
                with again.snapshot() as rebuilt:
                    for table in COMPARED:
                        if table.name in stored:
                            problems += _compare(ledger, table, connection, rebuilt, counts)
                        else:
                            what = f"there is no table {table.name}"
                            problems.append(Problem(kind=Kind.DAMAGED, what=what, ledger=ledger.name))
        finally:
            again.close()
    return problems


def _copy(connection: Connection, again: Ledger) -> None:
    with again.engine.begin() as into:
        rows = connection.execute(select(tables.log).execution_options(yield_per=AT_ONCE))
        for part in rows.mappings().partitions():
            into.execute(insert(tables.log), [dict(row) for row in part])


def _compare(
    ledger: Contents, table: Table, stored: Connection, rebuilt: Connection, counts: Counter[str]
) -> list[Problem]:
    keys = [column.name for column in table.primary_key]

    def rows(connection: Connection) -> dict[tuple[object, ...], dict[str, object]]:
        found = connection.execute(select(table)).mappings()
        return {tuple(row[key] for key in keys): dict(row) for row in found}

    there, due = rows(stored), rows(rebuilt)
    if table is tables.timer:  # one that rang and was of no use is gone, though the state still names it
        due = {key: row for key, row in due.items() if key in there or key not in ledger.declined}
    counts["projected_rows"] += len(there)
    problems = []
    for key in sorted({*there, *due}, key=str):
        if there.get(key) == due.get(key):
            continue
        row, wanted = there.get(key), due.get(key)
        if row is None or wanted is None:
            what = f"{table.name} {'lacks' if row is None else 'has too much'}: {key}"
        else:
            columns = ", ".join(sorted(name for name in row if row[name] != wanted[name]))
            what = f"{table.name} {key}: {columns} differ from what the log makes"
        case = str((row or wanted or {}).get("subject", ""))
        problems.append(Problem(kind=Kind.DAMAGED, what=what, ledger=ledger.name, case=case))
    return problems
