"""What two ledgers say of the lanes between them: sent once, taken once, in order, and receipted."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bus.envelope import LaneName, stream_of_topic
from bus.receipts import FINAL
from bus.sending import UNRECEIPTED
from kuayu.audit._findings import Kind, Problem
from kuayu.audit._ledger import Contents, LaneRow, Sent, Taken


def check(ledgers: Sequence[Contents], counts: Counter[str]) -> list[Problem]:
    """Every lane that begins in one of the ledgers; those that begin elsewhere are looked at by their receiver alone."""
    problems: list[Problem] = []
    receivers = {stream: ledger for ledger in ledgers for stream in ledger.streams}
    outward: set[str] = set()
    for sender in ledgers:
        for name, lane in sender.outward.items():
            if name in outward:
                problems.append(
                    Problem(kind=Kind.DOUBLED, what="begins in two ledgers", ledger=sender.name, lane=name)
                )
            outward.add(name)
            topic = LaneName.parse(name).topic
            counts["events_sent"] += len(sender.sent.get(name, {}))
            if topic.split(".")[1] in UNRECEIPTED:
                continue
            receiver = receivers.get(stream_of_topic(topic))
            if receiver is None:
                counts["events_to_ledgers_not_audited"] += len(sender.sent.get(name, {}))
                continue
            problems += _Lane(sender, receiver, name, lane, counts).check()
    for receiver in ledgers:
        problems += _orders(receiver, counts)
        for name, taken in receiver.taken.items():
            if stream_of_topic(LaneName.parse(name).source) not in receivers:
                counts["events_from_ledgers_not_audited"] += len(taken)
            elif name not in outward:
                what = f"{len(taken)} events were taken from a lane that its sender does not know"
                problems.append(Problem(kind=Kind.CONTRADICTION, what=what, ledger=receiver.name, lane=name))
    return problems


class _Lane:
    """One lane, seen from both ends."""

    def __init__(
        self, sender: Contents, receiver: Contents, name: str, lane: LaneRow, counts: Counter[str]
    ) -> None:
        self._sender = sender
        self._receiver = receiver
        self._name = name
        self._lane = lane
        self._counts = counts
        self._sent = sender.sent.get(name, {})
        self._taken = receiver.taken.get(name, {})
        self._told = sender.exceptions.get(lane.id, {})
        self._problems: list[Problem] = []

    def _say(self, kind: Kind, what: str, number: int, of: Sent | Taken | None, *, here: bool = True) -> None:
        ledger = self._sender if here else self._receiver
        row, case = (of.row, of.subject) if of else (0, "")
        self._problems.append(
            Problem(
                kind=kind,
                what=what,
                ledger=ledger.name,
                row=row,
                lane=self._name,
                number=number,
                case=case,
            )
        )

    def check(self) -> list[Problem]:
        inward = self._receiver.inward.get(self._name)
        taken_up_to = inward.number if inward else 0
        if inward is not None and inward.incarnation > self._lane.incarnation:
            what = f"the receiver knows incarnation {inward.incarnation}, which its sender never declared"
            self._say(Kind.CONTRADICTION, what, 0, None)
        self._said_once()
        if self._lane.mark > taken_up_to:
            what = f"the sender has a receipt up to {self._lane.mark}, the receiver has taken {taken_up_to}"
            self._say(Kind.CONTRADICTION, what, self._lane.mark, None)
        for number, sent in self._sent.items():
            self._event(number, sent, taken_up_to)
        for number in self._taken.keys() - self._sent.keys():
            what = f"was taken at {self._receiver.name} and is not in the sender's log"
            self._say(Kind.CONTRADICTION, what, number, self._taken[number], here=False)
        if inward is not None:
            self._exceptions(inward)
        return self._problems

    def _said_once(self) -> None:
        """An event that was issued again stands under one number only."""
        numbers: dict[str, int] = {}
        for number, sent in self._sent.items():
            before = numbers.setdefault(sent.id, number)
            if before != number:
                self._say(Kind.DOUBLED, f"the event {sent.id} has number {before} too", number, sent)

    def _event(self, number: int, sent: Sent, taken_up_to: int) -> None:
        taken = self._taken.get(number)
        receipted = number <= self._lane.mark
        if taken is None:
            if receipted or number <= taken_up_to:
                self._say(Kind.LOST, f"is not in the log of its receiver {self._receiver.name}", number, sent)
            else:
                self._counts["events_undelivered"] += 1
                self._say(Kind.WITHOUT_RECEIPT, "is not delivered", number, sent)
            return
        self._counts[f"events_{taken.status}"] += 1
        if (sent.subject, sent.id, sent.hash) != (taken.subject, taken.id, taken.hash):
            what = f"another event has this number in row {taken.row} of {self._receiver.name}"
            self._say(Kind.CONTRADICTION, what, number, sent)
        if not receipted:
            self._say(
                Kind.WITHOUT_RECEIPT, f"is {taken.status} at {self._receiver.name}, unreceipted", number, sent
            )
            return
        told = self._told.get(number, ("applied", ""))[0]
        if told != taken.status:
            what = f"is {taken.status} at {self._receiver.name}; its sender was told it is {told}"
            open_still = told not in FINAL and told != "applied"
            self._say(
                Kind.WITHOUT_RECEIPT if open_still else Kind.CONTRADICTION,
                what,
                number,
                sent,
            )

    def _exceptions(self, inward: LaneRow) -> None:
        """What the receiver's table of exceptions says is what its log says."""
        table = self._receiver.exceptions.get(inward.id, {})
        for number, taken in self._taken.items():
            said = table.get(number, ("applied", ""))[0]
            if said != taken.status:
                what = f"the log says {taken.status}, the table of exceptions {said}"
                self._say(Kind.DAMAGED, what, number, taken, here=False)


def _orders(ledger: Contents, counts: Counter[str]) -> list[Problem]:
    """Lane order in the log, and case order of effects: what waited took effect in its turn."""
    problems = []
    for lane, taken in ledger.taken.items():
        last_row = 0
        effects: dict[str, tuple[int, int]] = {}
        held: dict[str, int] = {}
        for number in sorted(taken):
            event = taken[number]
            place: dict[str, Any] = {
                "ledger": ledger.name,
                "row": event.row,
                "lane": lane,
                "number": number,
                "case": event.subject,
            }
            if event.row < last_row:
                what = f"was taken before an earlier number, in row {last_row}"
                problems.append(Problem(kind=Kind.OUT_OF_ORDER, what=what, **place))
            last_row = event.row
            if event.effect == 0:
                held.setdefault(event.subject, number)
                continue
            before, at = effects.get(event.subject, (0, 0))
            waits = held.get(event.subject)
            if event.effect < at or (waits and event.status == "applied"):
                what = f"took effect before number {before if event.effect < at else waits} of its case"
                problems.append(Problem(kind=Kind.OUT_OF_ORDER, what=what, **place))
            effects[event.subject] = (number, max(at, event.effect))
        counts["events_taken"] += len(taken)
    return problems
