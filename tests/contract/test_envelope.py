"""The envelope on the wire, read by the CloudEvents project's own package, and as W3C Trace Context has it."""

import contextlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from bus import envelope as env
from bus.envelope import Envelope, LaneName, Malformed

NOON = datetime(2026, 3, 2, 4, 0, 0, 125_000, tzinfo=UTC)
LANE = LaneName("kuayu.acceptance.430200", 1, "kuayu.review.430100", 2)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), max_size=30)
numbers = st.integers(0, 10**17)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001 - made aware at once
    lambda t: t.replace(tzinfo=UTC, microsecond=t.microsecond // 1000 * 1000)
)
envelopes = st.builds(
    Envelope,
    id=texts,
    type=texts,
    source=texts,
    subject=texts,
    acted_at=times,
    recorded_at=times,
    lane=texts,
    incarnation=numbers,
    number=numbers,
    term=numbers,
    correlation=texts,
    causation=texts,
    digest=st.binary(min_size=32, max_size=32),
    trace=texts,
)


def example(**changes: Any) -> Envelope:
    values: dict[str, Any] = {
        "id": "1-17",
        "type": "CaseAccepted",
        "source": "430200/acceptance",
        "subject": "430200-01JX",
        "acted_at": NOON,
        "recorded_at": NOON + timedelta(seconds=1),
        "lane": str(LANE),
        "incarnation": 1,
        "number": 42,
        "term": 1,
        "correlation": "430200-01JX",
        "causation": env.event_cause("430100/review", "1-16"),
        "digest": bytes(range(32)),
        "trace": env.new_trace(),
    }
    return Envelope(**(values | changes))


def headers_of(envelope: Envelope) -> list[tuple[str, bytes]]:
    return env.headers_of(envelope.head())


def test_a_cloudevents_reader_understands_every_attribute() -> None:
    body = b"\0\0\0\0\7\xff\xfe"
    message = KafkaMessage(headers=dict(headers_of(example())), key=b"430200-01JX", value=body)
    event = from_binary(message, JSONFormat())
    assert event.get_specversion() == "1.0"
    assert event.get_id() == "1-17"
    assert event.get_type() == "kuayu.CaseAccepted"
    assert event.get_source() == "430200/acceptance"
    assert event.get_subject() == "430200-01JX"
    assert event.get_time() == NOON
    assert event.get_datacontenttype() == "application/vnd.confluent.avro"
    assert event.get_dataschema() == "urn:sha256:" + bytes(range(32)).hex()
    assert event.get_extension("sequence") == "42"
    assert event.get_extension("lane") == str(LANE)
    assert event.get_extension("incarnation") == "1"
    assert event.get_extension("term") == "1"
    assert event.get_extension("correlationid") == "430200-01JX"
    assert event.get_extension("causationid") == "430100/review 1-16"
    assert event.get_data() == body


@given(envelopes)
def test_what_is_written_is_read_again(envelope: Envelope) -> None:
    assert env.read(env.head_of(dict(headers_of(envelope)))) == envelope


@given(st.sampled_from(["id", "subject", "lane", "correlation", "causation", "trace"]))
def test_a_line_break_is_not_written(field: str) -> None:
    with pytest.raises(Malformed, match="line break"):
        example(**{field: "a\nb"}).head()


@given(st.dictionaries(st.sampled_from(env.NAMES), st.binary(max_size=40)))
def test_damaged_headers_are_malformed_and_nothing_else(damage: dict[str, bytes]) -> None:
    headers = dict(headers_of(example())) | damage
    with contextlib.suppress(Malformed):
        assert isinstance(env.read(env.head_of(headers)), Envelope)


@pytest.mark.parametrize("missing", env.NAMES)
@pytest.mark.parametrize("absent", [True, False])
def test_a_missing_header_is_named(missing: str, absent: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    headers: dict[str, bytes | None] = dict(headers_of(example()))
    headers[missing] = None
    if absent:
        del headers[missing]
    with pytest.raises(Malformed, match=missing):
        env.head_of(headers)


@given(envelopes, envelopes, st.binary(max_size=50), st.binary(max_size=50))
def test_the_content_digest_tells_any_two_contents_apart(
    one: Envelope, other: Envelope, body: bytes, another: bytes
) -> None:
    same = (one, body) == (other, another)
    digests = [env.content_digest(e.head(), b) for e, b in ((one, body), (other, another))]
    assert (digests[0] == digests[1]) is same


def test_lane_names_are_read_again_or_named() -> None:
    assert LaneName.parse(str(LANE)) == LANE
    for wrong in ("", "a>b", "a/1>b", "a/x>b/1", "a/1>b/1>c/1"):
        with pytest.raises(Malformed):
            LaneName.parse(wrong)


def test_the_trace_goes_on_in_a_span_of_its_own() -> None:
    trace = env.new_trace()
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace)
    child = env.child_trace(trace)
    assert child[:36] == trace[:36]
    assert child != trace
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", env.child_trace("nonsense"))
