"""The counts of a day: exact after a crash, never used twice, the same after a rebuild."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import Change, Command, Ledger, Message
from bus.incarnation import declare_offline
from producers import Submissions
from producers.models import EXAMPLE, Submission
from producers.submissions import digest
from schemas.models import CaseSubmitted

APPLICATION = Submission.model_validate(EXAMPLE).event()
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
LATE = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)  # the next day in China


def take(submissions: Submissions, at: datetime = NOON, item: str = "") -> Command:
    application = msgspec.structs.replace(APPLICATION, item_code=item or APPLICATION.item_code)
    return submissions.command(application, caller="system:a", key="", acted_at=at, trace="")


def serial(command: Command) -> int:
    found: int = command.data.serial
    return found


def change(command: Command) -> Change:
    message = Message(
        kind="command",
        type="SubmitCase",
        data=command.data,
        case=command.case,
        id="1",
        source=command.actor,
        term=0,
        acted_at=command.acted_at,
        recorded_at=command.acted_at,
    )
    return Change(1, command.stream, message, (), None, None)


def commit(ledger: Ledger, submissions: Submissions, commands: Sequence[Command]) -> None:
    with ledger.engine.begin() as connection:
        submissions.apply(connection, [change(command) for command in commands])


def test_a_count_belongs_to_an_item_and_a_legal_day(ledger: Ledger) -> None:
    made = Submissions("430200", ledger)
    assert [serial(take(made)) for _ in range(3)] == [0, 1, 2]
    assert serial(take(made, item="1" * 31)) == 0
    assert serial(take(made, LATE)) == 0


def test_a_restored_ledger_gives_no_number_out_again(ledger: Ledger) -> None:
    made = Submissions("430200", ledger)
    commit(ledger, made, [take(made) for _ in range(3)])
    before = {serial(take(made)) for _ in range(5)}  # lost with what came after the backup
    ledger.claim()
    declare_offline(ledger, NOON, "restored")
    restored = Submissions("430200", ledger)
    assert serial(take(restored)) > max(before)
    assert serial(take(restored, LATE)) == 0


def test_case_ids_begin_with_the_accepting_place_and_are_never_alike(ledger: Ledger) -> None:
    made = Submissions("430200", ledger)
    cases = [take(made).case for _ in range(1_000)]
    assert all(case.startswith("430200-") and len(case) == 33 for case in cases)
    assert len(set(cases)) == 1_000


def test_after_a_crash_it_goes_on_behind_the_last_committed(ledger: Ledger) -> None:
    before = Submissions("430200", ledger)
    taken = [take(before) for _ in range(4)]
    commit(ledger, before, [taken[2], taken[0]])  # in any order; 1 and 3 were refused, or lost in the crash
    after = Submissions("430200", ledger)
    assert serial(take(after)) > serial(taken[2])


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from([NOON, LATE])), max_size=30))
def test_no_serial_is_used_twice(steps: list[tuple[bool, bool, datetime]]) -> None:
    """Whatever is committed, refused or lost by crashes."""
    ledger = Ledger("sqlite://")
    ledger.create()
    made = Submissions("430200", ledger)
    committed: list[tuple[datetime, int]] = []
    for crash, applied, at in steps:
        if crash:
            made = Submissions("430200", ledger)
        command = take(made, at)
        if applied:
            commit(ledger, made, [command])
            committed.append((at, serial(command)))
    assert len(set(committed)) == len(committed)
    ledger.close()


def test_threads_never_share_a_serial(ledger: Ledger) -> None:
    made = Submissions("430200", ledger)
    with ThreadPoolExecutor(8) as pool:
        serials = list(pool.map(lambda _: serial(take(made)), range(400)))
    assert sorted(serials) == list(range(400))


def test_a_rebuild_brings_the_same_tables_back(ledger: Ledger) -> None:
    made = Submissions("430200", ledger)
    commands = [take(made) for _ in range(3)] + [take(made, LATE)]
    commit(ledger, made, commands)
    rebuilt = Submissions("430200", ledger)
    with ledger.engine.begin() as connection:
        rebuilt.clear(connection)
        for command in commands:
            rebuilt.apply(connection, [change(command)])
    assert (serial(take(rebuilt)), serial(take(rebuilt, LATE))) == (3, 1)


def test_a_digest_is_of_what_is_said(ledger: Ledger) -> None:
    made = Submissions("430200", ledger)
    assert take(made).digest == take(made).digest
    changed: CaseSubmitted = msgspec.structs.replace(APPLICATION, reference="other")
    assert digest(changed) != digest(APPLICATION)


def test_counts_of_codes_that_were_made_up_are_not_kept_for_ever(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Submissions("430200", ledger)
    now = 0.0
    monkeypatch.setattr("producers.submissions.COUNTS_KEPT", 10)
    monkeypatch.setattr("producers.submissions.monotonic", lambda: now)
    commit(ledger, made, [take(made), take(made)])
    for number in range(50):
        now += 100
        take(made, item=f"{number:031}")
    assert len(made._next) <= 10
    assert serial(take(made)) == 2  # forgotten, and found in the table
