"""Serving the result: ready, handed over, mailed, delivered, returned."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from cases import MAX_WRONG_CODES, Outcome, PickupStage, commands, hash_code, new_collection_code
from jurisdictions import Directory
from schemas import models

HERE = ("pickup", "430300")
REVIEW = ("review", "430100")
COUNTER = ("acceptance", "430200")
POST = models.Delivery(kind=models.DeliveryKind.POST, jurisdiction="430300", address="株洲市天元区某路1号")


@pytest.fixture
def issued(bench: Any, accepted: Any, ask: Any):
    def issue(**changes: Any) -> None:
        accepted(**changes)
        bench.act(REVIEW, ask.approve)
        bench.deliver()

    return issue


def statuses(bench: Any):
    return {bench.status(where) for where in (HERE, REVIEW, COUNTER)}


def test_the_code_goes_to_the_applicant_and_nowhere_else(bench: Any, issued: Any, ask: Any):
    issued()
    decision = bench.act(HERE, ask.ready("AB23CD45"))
    codes = {sent.to[0]: sent.data.collection_code for sent in decision.out}
    assert codes == {"acceptance": "AB23CD45", "review": None}
    bench.deliver()
    assert statuses(bench) == {"ready"}
    assert bench.states[COUNTER].collection_code == "AB23CD45"
    for where in (HERE, REVIEW):
        stored = msgspec.msgpack.encode([bench.states[where], *bench.history[where]])
        assert b"AB23CD45" not in stored


def test_handed_over_against_code_and_document(bench: Any, issued: Any, ask: Any):
    issued()
    bench.act(HERE, ask.ready("AB23CD45"))
    bench.deliver()
    decision = bench.act(HERE, ask.hand_over("ab23 cd45"))
    assert decision.out[0].data.collector is models.CollectorKind.HOLDER
    bench.deliver()
    assert statuses(bench) == {"collected"}
    assert bench.states[COUNTER].collection_code is None
    assert bench.states[HERE].code_hash is None


def test_wrong_codes_are_counted_and_block_until_a_new_one_is_issued(bench: Any, issued: Any, ask: Any):
    issued()
    bench.act(HERE, ask.ready())
    for tries in range(1, MAX_WRONG_CODES + 1):
        decision = bench.act(HERE, ask.hand_over("ZZZZZZZZ"))
        assert (decision.code, decision.out) == ("code_mismatch", ())
        assert bench.states[HERE].wrong_codes == tries
        assert bench.status(HERE) == "ready"
    assert bench.act(HERE, ask.hand_over()).code == "code_blocked"
    bench.act(HERE, ask.ready("NEWC2345"))
    assert bench.act(HERE, ask.hand_over("AB23CD45")).code == "code_mismatch"
    assert bench.act(HERE, ask.hand_over("NEWC2345")).outcome is Outcome.APPLIED
    assert bench.status(HERE) == "collected"


def test_the_document_decides_who_collects(bench: Any, issued: Any, ask: Any, make: Any):
    agent = models.Person(name="李某", document_kind=models.DocumentKind.PASSPORT, document_number="E1234567")
    applicant = msgspec.structs.replace(
        make().applicant, agent=models.Agent(person=agent, authority="委1"), organisation=None
    )
    issued(applicant=applicant)
    bench.act(HERE, ask.ready())
    before = bench.states[HERE]
    assert bench.act(HERE, ask.hand_over(document_number="X000")).code == "wrong_document"
    for number, authority, collector in (
        ("e1234567 ", None, models.CollectorKind.AGENT),
        ("X000", "委2", models.CollectorKind.AGENT),
        (make().applicant.person.document_number.lower(), None, models.CollectorKind.HOLDER),
    ):
        bench.states[HERE] = before
        decision = bench.act(HERE, ask.hand_over(document_number=number, authority=authority))
        assert decision.out[0].data.collector is collector


def test_an_organisation_shows_its_licence_or_its_representative(
    bench: Any, issued: Any, ask: Any, make: Any
):
    person = make().applicant.person
    organisation = models.Organisation(
        name="某公司", code=bench.directory.items[0].body.credit_code, representative=person
    )
    issued(applicant=models.Applicant(organisation=organisation))
    bench.act(HERE, ask.ready())
    before = bench.states[HERE]
    for number in (organisation.code, person.document_number):
        bench.states[HERE] = before
        assert bench.act(HERE, ask.hand_over(document_number=number)).outcome is Outcome.APPLIED
        assert bench.status(HERE) == "collected"


def test_a_code_must_fit_its_hash(bench: Any, issued: Any, ask: Any):
    issued()
    assert bench.act(HERE, msgspec.structs.replace(ask.ready(), code_hash=b"x")).field == "code_hash"
    assert bench.act(HERE, msgspec.structs.replace(ask.ready(), salt=b"")).field == "code_hash"
    for field in ("place", "code"):
        assert bench.act(HERE, msgspec.structs.replace(ask.ready(), **{field: " "})).field == field


def test_new_codes_differ_and_fit_their_hash():
    codes = [new_collection_code() for _ in range(50)]
    assert len({code.code for code in codes}) == len({code.salt for code in codes}) == 50
    assert all(hash_code(code.code.lower(), code.salt) == code.code_hash for code in codes)


def test_posted_is_not_served_and_the_date_of_receipt_counts(bench: Any, issued: Any, ask: Any):
    issued(delivery=POST)
    assert bench.act(HERE, ask.ready()).code == "by_post"
    bench.act(HERE, ask.mail)
    mailed = bench.now
    bench.deliver()
    assert statuses(bench) == {"mailed"}
    assert bench.states[COUNTER].tracking_number == "EX1"
    bench.later(days=3)
    confirm = commands.ConfirmDelivery(proof="签1", delivered_at=mailed + timedelta(days=2))
    for wrong in (mailed - timedelta(days=1), bench.now + timedelta(days=1)):
        assert bench.act(HERE, msgspec.structs.replace(confirm, delivered_at=wrong)).field == "delivered_at"
    assert bench.act(HERE, commands.ConfirmDelivery(proof="")).field == "proof"
    decision = bench.act(HERE, confirm)
    assert decision.out[0].data.delivered_at == mailed + timedelta(days=2)
    bench.deliver()
    assert statuses(bench) == {"delivered"}


def test_what_comes_back_is_mailed_again_or_fetched(bench: Any, issued: Any, ask: Any):
    issued(delivery=POST)
    bench.act(HERE, ask.mail)
    bench.act(HERE, ask.send_back)
    bench.deliver()
    assert statuses(bench) == {"returned"}
    bench.act(HERE, ask.mail)
    bench.deliver()
    assert statuses(bench) == {"mailed"}
    bench.act(HERE, ask.send_back)
    bench.act(HERE, ask.ready())
    bench.act(HERE, ask.hand_over())
    bench.deliver()
    assert statuses(bench) == {"collected"}


def test_what_is_to_be_fetched_is_not_mailed(bench: Any, issued: Any, ask: Any):
    issued()
    assert bench.act(HERE, ask.mail).code == "not_by_post"
    issued_by_post = msgspec.structs.replace(ask.mail, carrier="")
    bench.act(HERE, ask.ready())
    assert bench.act(HERE, issued_by_post).field == "carrier"
    assert bench.act(HERE, ask.mail).outcome is Outcome.APPLIED


def test_what_is_under_way_cannot_be_withdrawn(bench: Any, issued: Any, ask: Any):
    issued(delivery=POST)
    bench.act(HERE, ask.mail)
    bench.act(COUNTER, ask.withdraw)
    bench.deliver(lambda lanes: lanes - 1)
    assert statuses(bench) == {"mailed"}
    bench.act(HERE, ask.confirm)
    bench.deliver()
    assert statuses(bench) == {"delivered"}


def test_only_the_issuing_review_in_its_term_may_speak(bench: Any, issued: Any, directory: Directory):
    issued()
    state = bench.states[HERE]
    stage = PickupStage("430300", directory)
    withdrawal = models.CaseWithdrawn(withdrawn_at=bench.now)
    for source, term, code in (
        ("610100/review", 1, "not_a_party"),
        ("430200/acceptance", 1, "not_a_party"),
        ("430100/review", 0, "stale_term"),
        ("430100/review", 2, "waits"),
    ):
        message = bench.message("event", "CaseWithdrawn", withdrawal, source, term)
        assert stage.decide(state, message).code == code
