"""Form check of an application (形式审查), and the answer a submission gets."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Final

from cases._acceptance_state import AcceptanceState
from cases.decision import Decision
from cases.reasons import Refusal, refused
from jurisdictions import Invalid, Item, Required, Serves, citizen_number, credit_code
from schemas.models import (
    AnswerOutcome,
    Applicant,
    CaseSubmitted,
    Delivery,
    DeliveryKind,
    DocumentKind,
    Material,
    Organisation,
    Person,
    SubmissionAnswered,
)

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def submission_answer(key: str, case: str, state: AcceptanceState) -> SubmissionAnswered:
    """The answer to a submission that became the case `case`."""
    return SubmissionAnswered(
        key=key,
        outcome=AnswerOutcome.ACCEPTED,
        case_id=case,
        case_number=state.file.case_number,
        times=state.times,
        duty_due=state.duty_due,
    )


def submission_refusal(key: str, code: str, reason: str, field: str = "") -> SubmissionAnswered:
    """The answer to a submission that could not become a case."""
    return SubmissionAnswered(
        key=key,
        outcome=AnswerOutcome.REFUSED,
        error_code=code,
        error_field=field or None,
        error_reason=reason,
    )


def check_submission(submission: CaseSubmitted, item: Item, day: date) -> Decision | None:
    """The first thing that is wrong with an application for `item`, made on `day`; None if nothing is.

    Identifiers are checked as GB 11643 and GB 32100 say; no value is repeated in the refusal.
    """
    return (
        check_applicant(submission.applicant, item, day)
        or check_materials(submission.materials, item)
        or _check_required(submission.materials, item)
        or check_delivery(submission.delivery, item)
    )


def check_applicant(applicant: Applicant, item: Item, day: date) -> Decision | None:
    """Exactly one of person and organisation, served by the item, with valid numbers."""
    if (applicant.person is None) is (applicant.organisation is None):
        return refused(Refusal.INVALID, "applicant", expected="person or organisation, not both")
    wrong = _check_holder(applicant, item, day)
    if wrong is not None or applicant.agent is None:
        return wrong
    if not applicant.agent.authority.strip():
        return refused(Refusal.MISSING, "applicant.agent.authority")
    return _check_person(applicant.agent.person, "applicant.agent.person", day)


def check_materials(materials: Sequence[Material], item: Item) -> Decision | None:
    """Each one is in the item's list, once, and follows later only where the item allows it."""
    listed = {material.code: material for material in item.materials}
    seen: set[str] = set()
    for index, material in enumerate(materials):
        entry = listed.get(material.code)
        if entry is None or material.code in seen:
            return refused(Refusal.UNKNOWN_MATERIAL, f"materials[{index}].code", expected=", ".join(listed))
        seen.add(material.code)
        if material.may_follow and entry.required is not Required.MAY_FOLLOW:
            return refused(Refusal.INVALID, f"materials[{index}].may_follow", expected="false")
        if material.digest is not None and not _DIGEST.fullmatch(material.digest):
            return refused(Refusal.INVALID, f"materials[{index}].digest", expected="64 × 0-9a-f")
        if material.size is not None and material.size < 0:
            return refused(Refusal.INVALID, f"materials[{index}].size", expected="≥ 0")
    return None


def check_delivery(delivery: Delivery, item: Item) -> Decision | None:
    """Post and pickup points need an address; only what has force electronically is delivered so."""
    if delivery.kind is DeliveryKind.ELECTRONIC and not item.result.electronic:
        return refused(Refusal.INVALID, "delivery.kind", expected="counter, pickup_point, terminal, post")
    if delivery.kind is DeliveryKind.POST and not (delivery.address or "").strip():
        return refused(Refusal.MISSING, "delivery.address")
    return None


def _check_required(materials: Sequence[Material], item: Item) -> Decision | None:
    here = {material.code for material in materials}
    for entry in item.materials:
        if entry.required is not Required.NO and entry.code not in here:
            return refused(Refusal.MATERIAL_MISSING, "materials", expected=f"{entry.code} {entry.name_zh}")
    return None


def _check_holder(applicant: Applicant, item: Item, day: date) -> Decision | None:
    kind = Serves.PERSON if applicant.person else Serves.ORGANISATION
    if kind not in item.serves:
        return refused(Refusal.INVALID, f"applicant.{kind}", expected=", ".join(item.serves))
    if applicant.person:
        return _check_person(applicant.person, "applicant.person", day)
    return _check_organisation(applicant.organisation, day) if applicant.organisation else None


def _check_organisation(organisation: Organisation, day: date) -> Decision | None:
    if not organisation.name.strip():
        return refused(Refusal.MISSING, "applicant.organisation.name")
    try:
        credit_code(organisation.code)
    except Invalid as error:
        return refused(Refusal.INVALID, "applicant.organisation.code", expected=error.expected)
    if organisation.representative is None:
        return None
    return _check_person(organisation.representative, "applicant.organisation.representative", day)


def _check_person(person: Person, where: str, day: date) -> Decision | None:
    if not person.name.strip():
        return refused(Refusal.MISSING, f"{where}.name")
    if not person.document_number.strip():
        return refused(Refusal.MISSING, f"{where}.document_number")
    if person.document_kind is DocumentKind.IDENTITY_CARD:
        try:
            citizen_number(person.document_number, day)
        except Invalid as error:
            return refused(Refusal.INVALID, f"{where}.document_number", expected=error.expected)
    return None
