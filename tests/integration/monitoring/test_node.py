"""What a node says of itself: metrics read at scrape time, health, tally, the operator's page."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

import monitoring
from tests.running import PATIENCE, eventually

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(client: httpx.Client) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    wanted = labels.items()
    found = [amount for (name_, has), amount in samples.items() if name_ == name and wanted <= has]
    assert found, f"no {name} {labels}"
    return sum(found)


def test_a_case_is_seen_at_every_node(town: Any, serve: Callable[[Any], str]) -> None:
    case = town.hand_in()
    town.settle()
    town.clock.move(hours=3)
    town.approve(case)
    town.settle()
    town.hand_over(case)
    town.settle()

    seen = {}
    for code, node in town.nodes.items():
        with httpx.Client(base_url=f"http://{serve(node)}", timeout=PATIENCE) as client:
            seen[code] = scrape(client)
    zhuzhou, changsha, xiangtan = seen.values()

    taken = {"stage": "review", "type": "CaseAccepted", "counterpart": "430200", "outcome": "applied"}
    assert value(changsha, "kuayu_events_received_total", **taken) == 1
    assert (
        value(
            zhuzhou, "kuayu_events_sent_total", type="CaseAccepted", stage="acceptance", counterpart="430100"
        )
        == 1
    )
    assert value(xiangtan, "kuayu_cases", stage="pickup", status="collected") == 1
    hop = {"source_stage": "review", "stage": "pickup", "counterpart": "430100"}
    assert value(xiangtan, "kuayu_hop_seconds_count", **hop) == 1

    decided = {"stage": "review", "step": "decided", "counterpart": "430100"}
    assert value(zhuzhou, "kuayu_step_seconds_sum", **decided) == pytest.approx(3 * 3600, abs=60)
    collected = {"stage": "pickup", "step": "collected", "counterpart": "430300"}
    assert value(zhuzhou, "kuayu_step_seconds_sum", **collected) == pytest.approx(2 * 3600, abs=60)
    assert value(zhuzhou, "kuayu_case_seconds_sum", outcome="collected") == pytest.approx(5 * 3600, abs=120)
    assert not [name for name, _ in changsha if name.startswith("kuayu_step_seconds")]  # told once, not twice

    for samples in seen.values():
        assert value(samples, "kuayu_open_handovers") == 0
        assert value(samples, "kuayu_engine_alive") == 1
        assert value(samples, "kuayu_ledger_rows") > 0
        assert value(samples, "kuayu_tasks", stage="review", state="overdue") == 1
        assert value(samples, "process_open_fds") > 0


def test_open_handovers_count_until_a_receipt_closes_them(town: Any, client: httpx.Client) -> None:
    town.hand_in()
    town.hand_in()
    town.clock.move(seconds=90)
    samples = scrape(client)
    way = {"stage": "acceptance", "to": "review", "counterpart": "430100"}
    assert value(samples, "kuayu_open_handovers", **way) == 2
    assert 90 <= value(samples, "kuayu_oldest_handover_seconds", **way) < 150
    assert value(samples, "kuayu_relay_backlog", **way) == 2
    assert client.get("/v1/tally").json()["open_handovers"] == 2


def test_what_the_receiver_parked_stays_open_at_the_sender(
    town: Any, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    [review] = [h for h in town.changsha.engine.records.handlers.values() if h.stage == "review"]
    with monkeypatch.context() as broken:
        broken.setattr(review, "decide", lambda _state, _message: 1 / 0)
        case = town.hand_in()
        town.settle()
    assert monitoring.tally(town.changsha.engine, "430100").held_events == 1
    found = monitoring.tally(town.zhuzhou.engine, "430200")
    assert (found.open, found.open_handovers) == (1, 1)
    town.clock.move(seconds=30)
    way = {"stage": "acceptance", "to": "review", "counterpart": "430100"}
    samples = scrape(client)
    assert value(samples, "kuayu_open_handovers", **way) == 1
    assert 30 <= value(samples, "kuayu_oldest_handover_seconds", **way) < 90

    town.changsha.engine.mending.release("430100/review", case)
    town.settle()
    assert monitoring.tally(town.zhuzhou.engine, "430200").open_handovers == 0
    assert monitoring.tally(town.changsha.engine, "430100").held_events == 0


@pytest.mark.parametrize("ledgers", ["town", "town_on_postgresql"])
def test_the_tally_adds_up(
    ledgers: str,
    request: pytest.FixtureRequest,
    serve: Callable[[Any], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    town = request.getfixturevalue(ledgers)
    collected, refused, withdrawn, parked, _open = (town.hand_in() for _ in range(5))
    town.settle()
    town.approve(collected)
    town.refuse(refused)
    town.withdraw(withdrawn)
    town.settle()
    town.hand_over(collected)
    town.settle()
    [acceptance] = [h for h in town.zhuzhou.engine.records.handlers.values() if h.stage == "acceptance"]
    with monkeypatch.context() as broken:
        broken.setattr(acceptance, "decide", lambda _state, _message: 1 / 0)
        town.approve(parked)
        town.settle()
    town.garbage("kuayu.acceptance.430200")
    town.settle()

    with httpx.Client(base_url=f"http://{serve(town.zhuzhou)}", timeout=PATIENCE) as client:
        found = client.get("/v1/tally").json()
        samples = scrape(client)
    ends = {"collected": 1, "refused": 1, "withdrawn": 1, "not_accepted": 0, "open": 1, "parked": 1}
    assert {name: found[name] for name in ends} == ends
    assert found["handed_in"] == sum(ends.values())
    assert (found["waiting"], found["held_events"], found["quarantined"]) == (0, 1, 1)
    assert value(samples, "kuayu_ledger_readable") == 1
    assert value(samples, "kuayu_ledger_bytes") > 0
    assert value(samples, "kuayu_held_cases", stage="acceptance", status="parked") == 1
    assert value(samples, "kuayu_quarantined_total", stage="acceptance") == 1
    assert value(samples, "kuayu_alarms_total", kind="quarantined") == 1
    received = {"stage": "acceptance", "type": "other", "counterpart": "other", "outcome": "quarantined"}
    assert value(samples, "kuayu_events_received_total", **received) == 1


def test_ready_says_where_the_node_stands(town: Any, client: httpx.Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "no broker yet, positions are unknown" in answer.json()["reasons"][0]
    town.settle()
    town.hand_in()
    answer = client.get("/readyz")
    assert answer.status_code == 200
    found = answer.json()
    assert (found["status"], found["node"], found["reasons"]) == ("ready", "430200", [])
    assert found["positions"]["relay_behind"] == 1
    assert found["positions"]["ledger_row"] == 2
    assert client.get("/livez").json()["status"] == "live"


def test_a_broker_that_is_silent_for_long_is_a_reason(town: Any, client: httpx.Client) -> None:
    town.settle()
    town.clock.move(seconds=61)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "no answer of the broker" in answer.json()["reasons"][0]
    assert client.get("/livez").status_code == 200
    assert value(scrape(client), "kuayu_broker_silent_seconds") >= 61
    town.settle()  # it is heard of again
    assert client.get("/readyz").status_code == 200


def test_a_ledger_that_cannot_be_read_is_a_reason(town: Any, client: httpx.Client) -> None:
    with town.zhuzhou.ledger.engine.begin() as connection:
        connection.execute(text("ALTER TABLE head RENAME TO gone"))
        connection.execute(text("ALTER TABLE case_state RENAME TO gone_too"))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "the ledger can't be read" in answer.json()["reasons"][0]
    samples = scrape(client)
    assert value(samples, "kuayu_ledger_readable") == 0
    assert value(samples, "kuayu_ledger_rows") == 0  # what is known without it is still told


def test_a_failed_engine_is_not_live(town: Any, client: httpx.Client) -> None:
    town.zhuzhou.ledger.claim()  # another process takes the ledger over
    town.garbage("kuayu.acceptance.430200")
    town.start()
    engine = town.zhuzhou.engine
    for thread in engine._threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    for path in ("/livez", "/readyz"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert "another process" in answer.json()["reasons"][0]


def test_http_is_timed_by_route_template(client: httpx.Client) -> None:
    assert client.get("/schemas/ids/12345678").status_code == 404
    assert client.get("/no/such/430200-123456").status_code == 404
    client.request("PROPFIND", "/livez")
    samples = scrape(client)
    assert (
        value(samples, "kuayu_http_request_seconds_count", route="unmatched", method="GET", status="404") == 1
    )
    assert value(samples, "kuayu_http_request_seconds_count", method="other") == 1
    routes = {
        dict(labels).get("route") for name, labels in samples if name == "kuayu_http_request_seconds_count"
    }
    assert any(route and route.startswith("/schemas/ids/{") for route in routes)
    assert not [route for route in routes if route and "12345" in route]


def test_openmetrics_is_given_to_who_asks(client: httpx.Client) -> None:
    plain = client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    answer = client.get(
        "/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    )
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    assert "trace_id" in answer.text  # the plain request before it
    assert "trace_id" not in plain.text


def test_no_person_and_no_case_is_named(town: Any, client: httpx.Client) -> None:
    case = town.hand_in()
    town.settle()
    for path in ("/metrics", "/readyz", "/v1/tally"):
        told = client.get(path, headers={"Accept": "application/openmetrics-text"}).text
        assert case not in told
        assert "张" not in told
        assert "4302021985" not in told


class TestOperatorPage:
    @pytest.fixture
    def browser(self, client: httpx.Client, keys: dict[str, str]) -> httpx.Client:
        client.headers["Origin"] = str(client.base_url).rstrip("/")
        assert client.post("/login", data={"key": keys["operator"]}).status_code == 303
        return client

    def test_it_needs_the_role(self, client: httpx.Client, keys: dict[str, str]) -> None:
        assert client.get("/operator").headers["location"] == "/login?next=/operator"
        client.headers["Origin"] = str(client.base_url).rstrip("/")
        client.post("/login", data={"key": keys["reviewer"]})
        assert client.get("/operator").status_code == 403

    def test_it_shows_an_empty_node(self, browser: httpx.Client, town: Any) -> None:
        town.settle()
        page = browser.get("/operator")
        assert page.status_code == 200
        assert "The node is ready." in page.text
        assert "430200/acceptance" in page.text

    def test_it_shows_what_is_wrong_and_no_bodies(
        self, town: Any, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        [acceptance] = [h for h in town.zhuzhou.engine.records.handlers.values() if h.stage == "acceptance"]
        case = town.hand_in()
        town.settle()
        with monkeypatch.context() as broken:
            broken.setattr(acceptance, "decide", lambda _state, _message: 1 / 0)
            town.approve(case)
            town.settle()
        town.garbage("kuayu.acceptance.430200")
        town.settle()
        page = browser.get("/operator").text
        assert case in page
        assert "handler_error" in page
        assert "kuayu.acceptance.430200/0@" in page
        assert ": missing" in page
        assert "kuayu.acceptance.430200/" in page
        assert "审核中" in page
        assert "张" not in page
        assert "rubbish" not in page


def test_what_the_watchdog_sees_is_shown(town: Any, client: httpx.Client) -> None:
    town.settle()
    engine = town.zhuzhou.engine
    engine.watch.step(0)
    samples = scrape(client)
    assert value(samples, "kuayu_disk_free_bytes") > 0
    for name in ("relay_stuck_seconds", "inbox_stuck_seconds", "disk_full"):
        assert value(samples, f"kuayu_{name}") == 0
    assert value(samples, "kuayu_calendar_days") == 304  # of 2026, from the second of March
    town.clock.move(days=250)
    town.start()
    eventually(lambda: engine.watch.readings.silent, engine)
    samples = scrape(client)
    for thread in ("writer", "relay", "inbox", "watch"):
        assert value(samples, "kuayu_thread_silent_seconds", thread=thread) < PATIENCE
    assert value(samples, "kuayu_calendar_days") == 54
