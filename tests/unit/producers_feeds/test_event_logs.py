"""Event logs in both forms come to the same plans; what is broken is named."""

import csv
import gzip
import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.feeds import CaseStep, FeedError, LogMapping, load_mapping, read_plans

MAPPING = LogMapping(
    steps={
        "Received": CaseStep.SUBMIT,
        "Checked": CaseStep.IGNORE,
        "Accepted": CaseStep.ACCEPT,
        "Not needed": CaseStep.NOT_ACCEPT,
        "Asked for more": CaseStep.REQUEST_SUPPLEMENT,
        "Got more": CaseStep.PROVIDE_SUPPLEMENT,
        "Granted": CaseStep.APPROVE,
        "Denied": CaseStep.REFUSE,
    },
    keep=("case:channel",),
)
COLUMNS = ["case:concept:name", "case:channel", "concept:name", "org:resource", "time:timestamp"]
START = datetime(2026, 3, 2, 9, tzinfo=UTC)

Event = tuple[str, str, datetime]
Case = tuple[str, str, list[Event]]


def as_csv(cases: Sequence[Case]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for case, channel, events in cases:
        for activity, resource, at in events:
            writer.writerow([case, channel, activity, resource, at.isoformat()])
    return text.getvalue().encode()


def as_xes(cases: Sequence[Case]) -> bytes:
    def attribute(kind: str, key: str, value: str) -> str:
        return f"<{kind} key={quoteattr(key)} value={quoteattr(value)}/>"

    traces = []
    for case, channel, events in cases:
        inner = attribute("string", "concept:name", case) + attribute("string", "channel", channel)
        for activity, resource, at in events:
            inner += (
                "<event>\n"
                + attribute("string", "concept:name", activity)
                + attribute("string", "org:resource", resource)
                + attribute("date", "time:timestamp", at.isoformat())
                + "</event>\n"
            )
        traces.append(f"<trace>{inner}</trace>")
    head = '<?xml version="1.0" encoding="UTF-8"?><log xmlns="http://www.xes-standard.org/">'
    glob = '<global scope="event"><string key="concept:name" value="none"/></global>'
    return f"{head}{glob}{''.join(traces)}</log>".encode()


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


WORDS = st.text(
    st.characters(
        min_codepoint=32, exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="￾￿"
    ),
    min_size=1,
    max_size=12,
)


@st.composite
def logs(draw: st.DrawFn) -> list[Case]:
    ids = draw(st.lists(WORDS, min_size=1, max_size=5, unique=True))
    later = st.tuples(
        st.sampled_from([name for name in MAPPING.steps if name != "Received"]), WORDS, st.integers(0, 10**6)
    )
    cases = []
    for case in ids:
        events = [("Received", draw(WORDS), START)]
        events += [
            (activity, resource, START + timedelta(seconds=seconds))
            for activity, resource, seconds in draw(st.lists(later, max_size=6))
        ]
        cases.append((case, draw(WORDS), events))
    return cases


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(cases=logs())
def test_csv_and_xes_plain_and_gzipped_come_to_the_same_plans(tmp_path: Path, cases: list[Case]) -> None:
    forms = {"log.csv": as_csv(cases), "log.xes": as_xes(cases)}
    forms |= {f"{name}.gz": gzip.compress(content) for name, content in forms.items()}
    found = {
        name: [
            (plan.case, plan.submitted_at, plan.kept, plan.steps)
            for plan in read_plans(write(tmp_path, name, content), MAPPING)
        ]
        for name, content in forms.items()
    }
    assert found["log.csv"] == found["log.xes"] == found["log.csv.gz"] == found["log.xes.gz"]
    assert [plan[0] for plan in found["log.csv"]] == [case for case, _, _ in cases]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(cases=logs())
def test_steps_are_in_order_and_each_question_has_one_answer(tmp_path: Path, cases: list[Case]) -> None:
    for plan in read_plans(write(tmp_path, "log.csv", as_csv(cases)), MAPPING):
        times = [step.at for step in plan.steps]
        assert times == sorted(times)
        kinds = [step.step for step in plan.steps]
        assert sum(kind in {CaseStep.ACCEPT, CaseStep.NOT_ACCEPT} for kind in kinds) <= 1
        assert sum(kind in {CaseStep.APPROVE, CaseStep.REFUSE} for kind in kinds) <= 1
        assert CaseStep.IGNORE not in kinds
        assert CaseStep.SUBMIT not in kinds


def test_a_later_answer_replaces_the_earlier_one(tmp_path: Path) -> None:
    events = [
        ("Received", "a", START),
        ("Accepted", "a", START + timedelta(hours=1)),
        ("Not needed", "a", START + timedelta(hours=2)),
    ]
    [plan] = read_plans(write(tmp_path, "log.csv", as_csv([("1", "desk", events)])), MAPPING)
    assert [step.step for step in plan.steps] == [CaseStep.NOT_ACCEPT]
    assert plan.kept == {"case:channel": "desk"}


def test_only_what_is_complete_counts(tmp_path: Path) -> None:
    log = (
        "case:concept:name,concept:name,lifecycle:transition,time:timestamp\n"
        "1,Received,start,2026-03-02T09:00:00+08:00\n"
        "1,Received,COMPLETE,2026-03-02T10:00:00+08:00\n"
    )
    [plan] = read_plans(write(tmp_path, "log.csv", log.encode()), MAPPING)
    assert plan.submitted_at == datetime(2026, 3, 2, 2, tzinfo=UTC)


def test_a_log_that_is_not_grouped_is_named_and_read_when_the_mapping_says_so(tmp_path: Path) -> None:
    log = as_csv(
        [
            ("1", "desk", [("Received", "a", START)]),
            ("2", "desk", [("Received", "a", START)]),
            ("1", "desk", [("Accepted", "a", START + timedelta(hours=1))]),
        ]
    )
    path = write(tmp_path, "log.csv", log)
    with pytest.raises(FeedError, match=r"log\.csv, line 4: .*grouped: false"):
        list(read_plans(path, MAPPING))
    scattered = LogMapping(steps=MAPPING.steps, grouped=False)
    assert [(plan.case, len(plan.steps)) for plan in read_plans(path, scattered)] == [("1", 1), ("2", 0)]


def test_times_without_an_offset_need_a_timezone(tmp_path: Path) -> None:
    log = "case:concept:name,concept:name,time:timestamp\n1,Received,2026-03-02 09:00:00\n"
    path = write(tmp_path, "log.csv", log.encode())
    with pytest.raises(FeedError, match=r"line 2, time:timestamp: has no offset"):
        list(read_plans(path, MAPPING))
    local = LogMapping(steps=MAPPING.steps, timezone="Asia/Shanghai")
    [plan] = read_plans(path, local)
    assert plan.submitted_at == datetime(2026, 3, 2, 1, tzinfo=UTC)


HEAD = "case:concept:name,concept:name,time:timestamp\n"


@pytest.mark.parametrize(
    ("name", "content", "line", "column", "problem"),
    [
        ("log.csv", b"", 1, "", "no header"),
        ("log.csv", b"a,a\n", 1, "a", "twice"),
        ("log.csv", HEAD.encode() + b"1,Received\n", 2, "", "2 values"),
        ("log.csv", HEAD.encode() + b"1,Received,yesterday\n", 2, "time:timestamp", "no instant"),
        ("log.csv", HEAD.encode() + b",Received,2026-03-02T09:00Z\n", 2, "case:concept:name", "empty"),
        ("log.csv", HEAD.encode() + b"1,Dreamt,2026-03-02T09:00Z\n", 2, "concept:name", "does not know"),
        ("log.csv", HEAD.encode() + b"1,Accepted,2026-03-02T09:00Z\n", 2, "", "begins with `accept`"),
        ("log.csv", HEAD.encode() + b'1,"Received,2026-03-02T09:00Z\n', 2, "", "no CSV"),
        ("log.csv", HEAD.encode() + b"\xff,Received,2026-03-02T09:00Z\n", 2, "", "UTF-8"),
        ("log.csv", b"case:concept:name,time:timestamp\n1,2026-03-02T09:00Z\n", 2, "concept:name", "missing"),
        ("log.csv", b"x" * (2 << 20), 1, "", "too long"),
        ("log.csv.gz", gzip.compress(HEAD.encode())[:-12], None, "", "damaged"),
        ("log.xes", b"<log>\n<trace>\n</log>", 3, "", "broken"),
        ("log.xes", b"<html></html>", 1, "", "no XES"),
        ("log.xes", b'<log><trace><string key="concept:name"/></trace></log>', 1, "", "no value"),
        ("log.xes", b'<!DOCTYPE log [<!ENTITY a "aaaa">]><log>&a;</log>', 1, "", "entities"),
        ("log.txt", b"", None, "", "by its name"),
    ],
)
def test_what_is_broken_is_named(
    tmp_path: Path, name: str, content: bytes, line: int | None, column: str, problem: str
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(FeedError) as caught:
        list(read_plans(path, MAPPING))
    assert (caught.value.line, caught.value.column) == (line, column)
    assert problem in caught.value.problem
    assert caught.value.expected


@pytest.mark.parametrize("name", ["log.csv.gz", "log.xes.gz"])
def test_a_bomb_is_bounded(tmp_path: Path, name: str) -> None:
    filling = b"\n" * (8 << 20) if "csv" in name else b"<log>" + b" " * (8 << 20)
    path = write(tmp_path, name, gzip.compress(HEAD.encode() + filling if "csv" in name else filling))
    assert path.stat().st_size < 64 << 10
    with pytest.raises(FeedError, match="unpacks to too much"):
        list(read_plans(path, MAPPING, max_bytes=1 << 20))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(cut=st.integers(0, 400), junk=st.binary(max_size=6), name=st.sampled_from(["log.csv", "log.xes"]))
def test_nothing_but_a_feed_error_comes_of_a_mangled_file(
    tmp_path: Path, cut: int, junk: bytes, name: str
) -> None:
    events = [("Received", "a", START), ("Accepted", "b", START + timedelta(hours=1))]
    whole = (as_csv if name == "log.csv" else as_xes)([("1", "desk", events), ("2", "web", events)])
    path = write(tmp_path, name, whole[:cut] + junk + whole[cut:])
    try:
        plans = list(read_plans(path, MAPPING))
    except FeedError as error:
        assert error.problem  # noqa: PT017 - either outcome is right
    else:
        assert {plan.submitted_at for plan in plans} <= {START, START + timedelta(hours=1)} or cut


def test_the_packaged_mapping_knows_its_activities() -> None:
    mapping = load_mapping()
    assert mapping.steps["Confirmation of receipt"] is CaseStep.SUBMIT
    assert mapping.steps["T15 Print document X request unlicensed"] is CaseStep.NOT_ACCEPT


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("steps: {A: accept}", "submit"),
        ("steps: {A: submit, B: fly}", "fly"),
        ("steps: {A: submit}\ncolour: red", "colour"),
        ("steps: {A: submit}\ntimezone: Mars/Base", "timezone"),
        ("steps: [", "mapping"),
    ],
)
def test_a_broken_mapping_is_named(tmp_path: Path, content: str, problem: str) -> None:
    path = write(tmp_path, "mapping.yaml", content.encode())
    with pytest.raises(FeedError, match=problem):
        load_mapping(path)
