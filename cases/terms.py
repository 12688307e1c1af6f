"""Law 7: a case has one holder for each part. Each transfer raises the part's term, which every event carries."""

from cases.decision import Decision, Message, waiting
from cases.reasons import Refusal, refused

FIRST_TERM = 1


def ahead(known: int, message: Message) -> Decision | None:
    """An event of a later term than known waits for the transfer that raised it; else None."""
    if message.term <= known:
        return None
    return waiting(
        f"term:{message.term}",
        f"等待任期{message.term}的转办通知 / waits for the transfer that began term {message.term}",
    )


def behind(known: int, message: Message) -> Decision | None:
    """An event of an earlier term, where there is nobody to forward it to, is refused; else None."""
    return refused(Refusal.STALE_TERM) if message.term < known else None
