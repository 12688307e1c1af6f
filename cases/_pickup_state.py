"""A case as the pickup stage knows it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from cases import facts
from cases._stage import COMMON_FOLDS, Attention, Fold
from cases.phases import Phase
from schemas.models import CertificateIssued


class PickupState(Struct, frozen=True, gc=False, kw_only=True):
    """`review` is the jurisdiction that issued the result; of the collection code only salt and hash are kept."""

    phase: Phase
    term: int
    issued: CertificateIssued
    review: str
    place: str | None = None
    salt: bytes | None = None
    code_hash: bytes | None = None
    wrong_codes: int = 0
    mailed_at: datetime | None = None
    tracking_number: str | None = None
    claimed_by: str | None = None
    attention: Attention | None = None


def begin(fact: facts.Issued) -> PickupState:
    """The state after the result was issued to this stage."""
    return PickupState(
        phase=Phase.ISSUED if fact.phase is None else fact.phase,
        term=fact.term,
        issued=fact.certificate,
        review=fact.review,
    )


_NO_CODE: Final[dict[str, Any]] = {"salt": None, "code_hash": None, "claimed_by": None}

FOLDS: Final[Mapping[type[facts.Fact], Fold]] = {
    **COMMON_FOLDS,
    facts.CodeSet: lambda _state, fact: {"salt": fact.salt, "code_hash": fact.code_hash, "wrong_codes": 0},
    facts.WrongCode: lambda state, _fact: {"wrong_codes": state.wrong_codes + 1},
    facts.Ready: lambda _state, fact: {"place": fact.readiness.place, "claimed_by": None},
    facts.Mailed: lambda _state, fact: {
        **_NO_CODE,
        "place": None,
        "mailed_at": fact.dispatch.mailed_at,
        "tracking_number": fact.dispatch.tracking_number,
    },
    facts.Returned: lambda _state, _fact: {**_NO_CODE, "place": None},
    facts.HandedOver: lambda _state, _fact: _NO_CODE.copy(),
    facts.Delivered: lambda _state, _fact: _NO_CODE.copy(),
    facts.Withdrawn: lambda _state, _fact: _NO_CODE.copy(),
}
