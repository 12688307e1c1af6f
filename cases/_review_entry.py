"""How a case comes to the review stage: collected or accepted at a window, or from a former holder."""

from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from cases import commands, facts
from cases._file import outstanding
from cases._review_result import approval
from cases._review_state import ReviewState, begin, tell
from cases._stage import Stage, sender, stamp
from cases.decision import Decision, Message, applied, waiting
from cases.phases import Phase
from cases.reasons import Refusal, refused
from cases.terms import FIRST_TERM
from jurisdictions import Power, legal_day
from jurisdictions import Stage as StageName
from schemas.models import (
    AcceptedBy,
    CaseAccepted,
    CaseCollected,
    CaseFile,
    CaseTransferred,
    DutyStart,
)


def collected(stage: Stage, _state: None, message: Message) -> Decision:
    """收件: the five-day duty starts, by the window's receipt or by ours."""
    event: CaseCollected = message.data
    wrong = _inadmissible(stage, event.file, message, Power.COLLECT)
    if wrong is not None:
        return wrong
    start = message.recorded_at
    if event.duty_start is DutyStart.WINDOW:
        start = event.times.collected or message.acted_at
    received = facts.Received(
        *stamp(message),
        phase=Phase.RECEIVED,
        file=event.file,
        times=replace(event.times, received=message.recorded_at),
        acceptance=sender(message)[0],
        term=message.term,
        duty_start=event.duty_start,
        duty_from=start,
        duty_due=stage.clock.duty(start).at,
    )
    return _decided_by_rule(stage, received, message) or applied(received)


def accepted_at_counter(stage: Stage, _state: None, message: Message) -> Decision:
    """受理 at the window that has the power: the clock has begun there."""
    event: CaseAccepted = message.data
    if event.file is None:
        return refused(Refusal.MISSING, "file")
    if event.times.accepted is None:
        return refused(Refusal.MISSING, "times.accepted")
    wrong = _inadmissible(stage, event.file, message, Power.ACCEPT)
    if wrong is not None:
        return wrong
    received = facts.Received(
        *stamp(message),
        phase=Phase.IN_REVIEW,
        file=event.file,
        times=replace(event.times, received=message.recorded_at),
        acceptance=sender(message)[0],
        term=message.term,
        duty_start=DutyStart.WINDOW,
        accepted_by=event.accepted_by,
        notice_number=event.notice_number,
    )
    return _decided_by_rule(stage, received, message) or applied(received)


def transferred_here(stage: Stage, state: ReviewState | None, message: Message) -> Decision:
    """转办 to us, perhaps back to us: the case whole, with its clock as it stands."""
    event: CaseTransferred = message.data
    if event.file is None:
        return refused(Refusal.MISSING, "file")
    if event.to_jurisdiction != stage.code:
        return refused(Refusal.WRONG_INBOX, "to_jurisdiction")
    if message.term <= (FIRST_TERM if state is None else state.term):
        return refused(Refusal.STALE_TERM)
    wrong = _lacks_clock(event) or _unknown(stage, event.file)
    if wrong is not None:
        return wrong
    accepted = event.accepted_by is not None
    return applied(
        facts.Received(
            *stamp(message),
            phase=Phase.IN_REVIEW if accepted else Phase.RECEIVED,
            file=event.file,
            times=event.times,
            acceptance=event.acceptance,
            term=message.term,
            duty_start=event.duty_start,
            duty_from=event.duty_from,
            duty_due=event.duty_due,
            accepted_by=event.accepted_by,
            notice_number=event.notice_number or "",
            supplement_requested=event.supplement_requested,
            suspensions=event.suspensions,
            extension_days=event.extension_days,
            former=sender(message)[0],
        )
    )


def _lacks_clock(event: CaseTransferred) -> Decision | None:
    """An accepted case needs to say since when, a collected one until when it has to be answered."""
    if event.accepted_by is not None:
        return refused(Refusal.MISSING, "times.accepted") if event.times.accepted is None else None
    if event.duty_due is None or event.duty_from is None:
        return refused(Refusal.MISSING, "duty_due")
    return None


def _decided_by_rule(stage: Stage, received: facts.Received, message: Message) -> Decision | None:
    """秒批: an instant item is accepted and approved with no person, if all its materials are here."""
    if not stage.item(received.file).instant or outstanding(received.file):
        return None
    at = message.recorded_at
    state = begin(received)
    steps: list[Any] = [received]
    out: list[Any] = []
    if state.accepted_by is None:
        event = CaseAccepted(
            accepted_by=AcceptedBy.RULE,
            notice_number=state.file.case_number,
            office=stage.office(state.file),
            times=stage.clock.accepted(stage.item(state.file), state.times, at),
            directory_version=state.file.directory_version,
        )
        steps.append(facts.Accepted(*stamp(message), phase=Phase.IN_REVIEW, acceptance=event))
        out.append(tell(state, event))
        state = replace(state, times=event.times, accepted_by=AcceptedBy.RULE)
    decided, issued, sent = approval(stage, state, commands.Approve(), message, at)
    return applied(*steps, decided, issued, out=(*out, *sent))


def _inadmissible(stage: Stage, file: CaseFile, message: Message, power: Power) -> Decision | None:
    """Why a case cannot be taken: not known here yet (waits), not ours, or no agreement behind it."""
    wrong = _unknown(stage, file)
    if wrong is not None:
        return wrong
    directory = stage.directory
    item = stage.item(file)
    if directory.serving(StageName.REVIEW, item.owner) != stage.code:
        return refused(Refusal.WRONG_INBOX, "file.item.code")
    office = file.accepting_office.jurisdiction
    if directory.serving(StageName.ACCEPTANCE, office) != sender(message)[0]:
        return refused(Refusal.NOT_A_PARTY, "file.accepting_office.jurisdiction")
    agreement = directory.agreement(office, item, legal_day(message.acted_at))
    if agreement is None or agreement.power is not power:
        return refused(Refusal.NO_ROUTE, "file.item.code")
    return None


def _unknown(stage: Stage, file: CaseFile) -> Decision | None:
    """A directory newer than ours is waited for, not guessed (law 9)."""
    if file.directory_version != stage.directory.version:
        theirs = _version(file.directory_version)
        if theirs is None:
            return refused(Refusal.INVALID, "file.directory_version", expected="YYYY.N")
        if theirs > (_version(stage.directory.version) or (0, 0)):
            return waiting(
                f"directory:{file.directory_version}",
                "等待更新的目录版本 / waits for a newer version of the directory",
            )
    stage.item(file)
    return None


@lru_cache(maxsize=64)
def _version(text: str) -> tuple[int, int] | None:
    year, _, number = text.partition(".")
    if not (year.isascii() and year.isdecimal() and number.isascii() and number.isdecimal()):
        return None
    return int(year), int(number)
