"""A town that is window, office and counter of a case in one ledger, restored, and part of its topics gone with it."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bus import Answer, Command, Unavailable
from bus.transport import MemoryBroker, MemoryTransport, TopicPartition
from cases import Phase, commands
from jurisdictions import CHINA_TIME, load_directory
from kuayu.audit import audit
from kuayu.demo.mixes import MIXES
from kuayu.demo.scripts import SimulatedCase
from kuayu.demo.simulator import Simulator
from kuayu.ledgers import back_up_and_prove, restore_backup
from producers import Submissions
from schemas.models import CaseSubmitted, Delivery, DeliveryKind, SuspensionKind
from tests.integration.ledgers_to_audit import Nodes
from tests.running import PATIENCE

TOWN = "430100"


def own_case() -> CaseSubmitted:
    """Handed in, decided and collected in the same town; a clerk decides, and the result is electronic."""
    directory = load_directory()
    slow = {item.code for item in directory.items if not item.instant and item.result.electronic}
    simulator = Simulator(directory, (TOWN, "430200"), MIXES["stress"], 3, datetime.now(CHINA_TIME).date())

    def fits(case: SimulatedCase) -> bool:
        submission = case.submission
        return (case.node, submission.belonging) == (TOWN, TOWN) and submission.item_code in slow

    case = simulator.case(online=False)
    while not fits(case):
        case = simulator.case(online=False)
    electronic = Delivery(kind=DeliveryKind.ELECTRONIC, jurisdiction=TOWN)
    return replace(case.submission, delivery=electronic)


class Town(Nodes):
    """What happens to its one case."""

    case = ""

    def done(self, command: Command) -> Answer:
        def answer() -> Answer | None:
            try:
                return self.nodes[TOWN].engine.writer.submit(command).result(PATIENCE)
            except Unavailable:
                return None

        answered = self.until(answer)
        assert answered is not None
        return answered

    def hand_in_own(self) -> None:
        submissions = Submissions(TOWN, self.nodes[TOWN].ledger)
        command = submissions.command(
            own_case(), caller="hall", key="k", acted_at=datetime.now(UTC), trace=""
        )
        self.case = self.done(command).case

    def act(self, data: Any) -> None:
        now = datetime.now(UTC)
        self.done(Command(stream=f"{TOWN}/review", case=self.case, data=data, actor="clerk", acted_at=now))

    def status(self, stage: str, phase: Phase) -> bool:
        found = self.nodes[TOWN].ledger.case(f"{TOWN}/{stage}", self.case)
        return found is not None and found.status == phase

    def comes_to(self, phase: Phase, *stages: str) -> None:
        for stage in stages:
            self.until(partial(self.status, stage, phase))


@pytest.mark.long
def test_what_was_lost_for_good_is_done_again_and_the_rest_follows(tmp_path: Path) -> None:
    broker = MemoryBroker()
    backup = tmp_path / "backup"
    suspension = commands.Suspend(
        kind=SuspensionKind.EXPERT_REVIEW,
        notice_number="1",
        reason="专家评审",
        expected_end=datetime.now(UTC).replace(microsecond=0) + timedelta(days=9),
    )
    with Town(tmp_path, MemoryTransport(broker)) as town:
        town.hand_in_own()
        town.comes_to(Phase.IN_REVIEW, "review", "acceptance")
        town.act(suspension)
        town.comes_to(Phase.SUSPENDED, "acceptance")
        town.settle()
        assert back_up_and_prove(town.settings, TOWN, backup)[0] == []
        town.act(commands.Resume(result="通过"))
        town.act(commands.Approve())
        town.comes_to(Phase.DELIVERED, "acceptance", "review")
        town.settle()
        town.stop(TOWN)
        restore_backup(town.settings, TOWN, backup)
        inbox = f"kuayu.acceptance.{TOWN}"
        for number in range(town.transport.topics()[inbox]):
            broker.delete_records(inbox, number, broker.end(TopicPartition(inbox, number)))
        town.start(TOWN)
        books = town.nodes[TOWN].engine.books
        town.until(lambda: not books.restoring and not books.opening and books.held)
        town.until(lambda: town.status("pickup", Phase.DELIVERED))
        assert town.status("review", Phase.SUSPENDED)
        town.act(commands.Resume(result="通过"))
        town.comes_to(Phase.DELIVERED, "acceptance", "review")
        town.settle()
        assert not books.held
    urls = {code: f"sqlite:///{tmp_path / code}.db" for code in ("430100", "430200", "430300")}
    assert audit(urls, accepted=[town.case]).problems == []
