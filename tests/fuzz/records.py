"""Records as somebody may write them who means harm, or whose client is broken: real ones, changed here and there."""

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st
from msgspec.structs import replace

from bus import envelope as env
from bus.transport import Record

NAMES = (
    env.SPECVERSION, env.ID, env.TYPE, env.SOURCE, env.SUBJECT, env.TIME, env.RECORDED_AT, env.LANE, env.INCARNATION,
    env.SEQUENCE, env.LANE_HASH, env.TERM, env.CORRELATION, env.CAUSATION, env.DATASCHEMA, env.CONTENT_TYPE,
    env.TRACEPARENT,
)  # fmt: skip
VALUES = (
    b"", b"\n", b"1/ask\n1", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b" 1", b"+1", b"-1", b"0", b"1", b"2", b"1.0", "１".encode(), b"9" * 18,
    b"9" * 19, b"9" * 5000, b"kuayu.CaseWithdrawn", b"kuayu.Tombstone", b"kuayu.Receipt", b"kuayu.Newer", b"kuayu.",
    b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59.999-23:59", b"2026-03-02", b"2026-03-02T04:00:00Z",
    b"2026-02-30T04:00:00Z", b"1/ask", b"2/answer", b"/", b"1/ask/x", b"kuayu.ask.1/0>kuayu.answer.2/0",
    b"kuayu.ask.1/1>kuayu.answer.2/1", b"kuayu.ask.1/-1>kuayu.answer.2/0", b"kuayu.ask.1/ 0>kuayu.answer.2/0", b">",
    b"a/1>b/1>c/1", b"urn:sha256:", b"urn:sha256:zz", b"urn:sha256:" + b"00" * 32, b"00" * 32, b"0" * 63,
    b"a" * 100_000, "长".encode() * 30_000, b"00-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01", b"-" * 60,
)  # fmt: skip
"""What a header might hold: borders of what is allowed, and what belongs elsewhere."""


class Change(NamedTuple):
    """One thing that is different from the real record."""

    what: str
    name: str = ""
    value: bytes | None = None
    at: int = 0

    def __call__(self, record: Record) -> Record:
        headers: list[tuple[str, bytes | None]] = list(record.headers)
        match self.what:
            case "drop":
                headers = [header for header in headers if header[0] != self.name]
            case "set":
                headers = [(name, self.value if name == self.name else value) for name, value in headers]
            case "twice":
                headers.insert(self.at % (len(headers) + 1), (self.name, self.value))
            case "none":
                headers = []
            case "key":
                return replace(record, key=self.value)
            case "body":
                return replace(record, value=self.value)
            case "cut":
                return replace(record, value=(record.value or b"")[: self.at])
            case "patch":
                body = record.value or b""
                at = self.at % (len(body) + 1)
                return replace(
                    record, value=body[:at] + (self.value or b"") + body[at + len(self.value or b"") :]
                )
        return replace(record, headers=headers)


_names = st.sampled_from(NAMES)
_values = (
    st.none()
    | st.sampled_from(VALUES)
    | st.binary(max_size=20)
    | st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
_places = st.integers(0, 400)
changes = st.one_of(
    st.builds(Change, st.just("drop"), _names),
    st.builds(Change, st.just("set"), _names, _values),
    st.builds(
        Change,
        st.just("twice"),
        _names | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        _values,
        _places,
    ),
    st.just(Change("none")),
    st.builds(Change, st.just("key"), value=_values),
    st.builds(Change, st.just("body"), value=_values),
    st.builds(Change, st.just("cut"), at=_places),
    st.builds(Change, st.just("patch"), value=st.binary(max_size=8), at=_places),
)


def changed(record: Record, what: Sequence[Change]) -> Record:
    """The record with these changes, in their order."""
    for change in what:
        record = change(record)
    return record


def continued(record: Record, previous: bytes) -> Record:
    """The record with the lane hash that its content has, as a sender of its own lane computes it."""
    try:
        digest = env.content_digest(env.head_of(dict(record.headers)), record.value or b"")
    except env.Malformed:
        return record
    return Change("set", env.LANE_HASH, env.link(previous, digest).hex().encode())(record)
