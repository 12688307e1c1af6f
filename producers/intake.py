"""The intake topic: local systems that speak Kafka hand cases in as `CaseSubmitted`, and are answered on another topic.

The record's key is their idempotency key and the key of the answer. The header `kuayu-caller` names the system
(zz-hall); who may write the topic at all is a matter of its ACL, and its writers may speak for one another.
"""

import re

from bus import (
    Answer,
    CaseHeld,
    Clock,
    Command,
    CommandRefused,
    KeyReused,
    Outgoing,
    SystemClock,
    VersionConflict,
)
from bus.transport import Record
from cases import Outgoing as Reply
from cases import submission_answer, submission_refusal
from producers.models import KEY_PATTERN
from producers.submissions import Submissions
from schemas import CodecError, Invalid, NewerContract, UnknownSchema
from schemas.models import CaseSubmitted, SubmissionAnswered

CALLER_HEADER = "kuayu-caller"
TRACE_HEADER = "traceparent"
_KEY = re.compile(KEY_PATTERN)
_NAME = re.compile("[A-Za-z0-9._-]{1,64}")


class IntakeTopic:
    """A `bus.Intake` for the topic kuayu.intake.<code>."""

    type = "CaseSubmitted"

    def __init__(self, code: str, submissions: Submissions, clock: Clock | None = None) -> None:
        self.topic = f"kuayu.intake.{code}"
        self._code = code
        self._submissions = submissions
        self._clock = clock or SystemClock()

    def command(self, record: Record, data: CaseSubmitted) -> Command:
        """The act that opens the case.

        Raises:
            CommandRefused: no usable key.
        """
        key = (record.key or b"").decode("utf-8", "replace")
        if not _KEY.fullmatch(key):
            reason = "记录的键须为1至200个可见ASCII字符 / the record's key must be 1 to 200 visible ASCII characters"
            raise CommandRefused("key_invalid", reason, "key")
        return self._submissions.command(
            data,
            caller=f"system:{_header(record, CALLER_HEADER, _NAME) or f'intake@{self._code}'}",
            key=key,
            acted_at=self._clock.now(),
            trace=_header(record, TRACE_HEADER, re.compile("[0-9a-f-]{55}")),
        )

    def answer(
        self,
        record: Record,
        data: CaseSubmitted | None,  # noqa: ARG002 - the protocol's; nothing of it is repeated
        result: Answer | Exception | None,
    ) -> Outgoing:
        """The reply: the case with its due dates, or the named error."""
        key = self.key(record)
        if isinstance(result, Answer):
            return self._reply(submission_answer(key, result.case, result.state))
        code, reason, field = _refusal(result)
        return self._reply(submission_refusal(key, code, reason, field))

    def key(self, record: Record) -> str:
        """The local system's own key; the record's place where it has none that can be used."""
        key = (record.key or b"").decode("utf-8", "replace")
        return key if _KEY.fullmatch(key) else f"{record.topic}/{record.partition}@{record.offset}"

    def _reply(self, answered: SubmissionAnswered) -> Outgoing:
        return Reply(to=("intake-replies", self._code), data=answered, term=0)


def _header(record: Record, name: str, form: re.Pattern[str]) -> str:
    """The header, if it is there and of that form; else empty."""
    for known, value in record.headers:
        if known == name and value is not None:
            text = value.decode("utf-8", "replace")
            return text if form.fullmatch(text) else ""
    return ""


def _refusal(error: Exception | None) -> tuple[str, str, str]:
    """Code, reason and field; reasons repeat nothing of what was sent."""
    match error:
        case CommandRefused():
            return error.code, error.reason, error.field
        case KeyReused():
            return "key_reused", "该键已用于其他内容 / this key was used for another application", "key"
        case CaseHeld() | VersionConflict():
            return "case_held", "办件暂被搁置 / the case is held", ""
        case UnknownSchema() | NewerContract():
            reason = "尚不识该模式,请以同一键稍后再报 / written with a schema not known here yet: send it again later, same key"
            return "schema_unknown", reason, ""
        case CodecError() | Invalid():
            return "undecodable", "不是CaseSubmitted / is no CaseSubmitted of a known schema", ""
        case _:
            return "internal", "内部错误,请联系运维 / an error of ours: tell the operators", ""
