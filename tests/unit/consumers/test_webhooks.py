"""Webhooks against a real receiver: signed, in order, tried again, parked, disabled and enabled."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from bus.verification import rebuild
from cases import commands
from consumers import WebhookSender
from consumers.deliveries import counted, queued
from consumers.subscriptions import Subscription, Subscriptions, TaskEvent, address_problem
from schemas import models


class Receiver:
    """A back office: answers with `status`, and keeps what it took."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.refuses: set[str] = set()
        self.calls: list[tuple[dict[str, str], str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                receiver.calls.append(({k.lower(): v for k, v in self.headers.items()}, body))
                refused = json.loads(body)["data"]["case_id"] in receiver.refuses
                self.send_response(500 if refused else receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def told(self) -> list[tuple[str, str]]:
        bodies = [json.loads(body) for _, body in self.calls]
        return [(body["type"], body["data"]["status"]) for body in bodies]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def subscribed(region: Any, receiver: Receiver) -> Subscription:
    return Subscriptions(region.review.ledger).add(
        receiver.url,
        ["review"],
        list(TaskEvent),
        base="http://node.test/",
        created_by="operator:wu",
        now=region.clock.now(),
    )


@pytest.fixture
def sender(region: Any) -> Iterator[WebhookSender]:
    made = WebhookSender(region.review.ledger, region.clock)
    yield made
    made.stop()


def drain(sender: WebhookSender) -> int:
    calls = 0
    while more := sender.step():
        calls += more
    return calls


def test_the_library_verifies_what_arrives_and_nothing_in_it_is_personal(
    region: Any, receiver: Receiver, subscribed: Subscription, sender: WebhookSender
) -> None:
    [case] = region.arrived("张伟明")
    assert drain(sender) == 1
    [(headers, body)] = receiver.calls
    told = Webhook(subscribed.secret).verify(body, headers)
    assert told["type"] == "task.opened"
    assert told["data"]["case_id"] == case
    assert told["data"]["kind"] == "review_accept"
    assert told["data"]["task"] == f"http://node.test/v1/tasks/{case}?stage=review"
    assert told["data"]["due"]
    assert "张" not in body
    assert "E12345678" not in body
    with pytest.raises(WebhookVerificationError):
        Webhook(subscribed.secret).verify(body.replace(case, "430200-9999"), headers)
    assert counted(region.review.ledger, subscribed.id) == (0, 0)
    assert drain(sender) == 0


@pytest.mark.usefixtures("subscribed")
def test_what_a_subscriber_is_told_of_a_case(region: Any, receiver: Receiver, sender: WebhookSender) -> None:
    [case] = region.arrived()
    region.review.act(case, commands.Claim())
    region.review.act(case, commands.Accept())
    region.review.act(
        case, commands.Extend(days=3, approved_by="局长", notice_number="延1", reason="案情复杂")
    )
    region.review.act(case, commands.Approve())
    region.settle()
    drain(sender)
    assert receiver.told == [
        ("task.opened", "received"),
        ("task.opened", "in_review"),
        ("task.changed", "in_review"),
        ("task.closed", "approved"),
    ]


def test_only_the_events_and_stages_that_were_asked_for(region: Any, receiver: Receiver) -> None:
    subscriptions = Subscriptions(region.acceptance.ledger)
    now = region.clock.now()
    subscriptions.add(
        receiver.url, ["acceptance"], [TaskEvent.CLOSED], base="http://n", created_by="o", now=now
    )
    subscriptions.add(receiver.url, ["pickup"], [TaskEvent.OPENED], base="http://n", created_by="o", now=now)
    [case] = region.arrived()
    region.review.act(case, commands.Accept())
    region.review.act(case, commands.Approve())
    region.settle()
    sender = WebhookSender(region.acceptance.ledger, region.clock)
    drain(sender)
    sender.stop()
    assert receiver.told == [("task.opened", "issued")]


def test_a_failed_delivery_is_sent_again_unchanged_and_only_later(
    region: Any, receiver: Receiver, subscribed: Subscription, sender: WebhookSender
) -> None:
    region.arrived()
    receiver.status = 500
    assert sender.step() == 1
    assert sender.step() == 0
    [waiting] = queued(region.review.ledger, subscribed.id, None, 10)
    assert (waiting["attempts"], waiting["error"], waiting["parked"]) == (1, "HTTP 500", False)
    receiver.status = 204
    region.clock.move(seconds=10)
    assert sender.step() == 1
    first, second = receiver.calls
    assert first[1] == second[1]
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert counted(region.review.ledger, subscribed.id) == (0, 0)


def test_pauses_double_and_heed_retry_after(
    region: Any, receiver: Receiver, subscribed: Subscription, sender: WebhookSender
) -> None:
    region.arrived()
    receiver.status = 503
    pauses = []
    for _ in range(6):
        assert sender.step() == 1
        [waiting] = queued(region.review.ledger, subscribed.id, None, 10)
        pauses.append((waiting["next_at"] - region.clock.now()).total_seconds())
        region.clock.time = waiting["next_at"]
    for tries, pause in enumerate(pauses):
        assert 2.5 * 2**tries <= pause <= 5 * 2**tries
    receiver.headers = {"Retry-After": "3600"}
    assert sender.step() == 1
    [waiting] = queued(region.review.ledger, subscribed.id, None, 10)
    assert (waiting["next_at"] - region.clock.now()).total_seconds() == 3600


@pytest.mark.usefixtures("subscribed")
def test_a_case_keeps_its_order_and_does_not_hold_others_up(
    region: Any, receiver: Receiver, sender: WebhookSender
) -> None:
    stuck, other = region.arrived("甲", "乙")
    region.review.act(stuck, commands.Accept())
    region.review.act(other, commands.Accept())
    receiver.refuses = {stuck}
    for _ in range(5):
        sender.step()
        region.clock.move(minutes=5)
    taken = [json.loads(body)["data"]["case_id"] for _, body in receiver.calls]
    assert taken.count(other) == 2
    versions = {json.loads(body)["data"]["version"] for _, body in receiver.calls if stuck in body}
    assert len(versions) == 1
    receiver.refuses = set()
    region.clock.move(hours=7)
    drain(sender)
    assert receiver.told[-2:] == [("task.opened", "received"), ("task.opened", "in_review")]


def test_after_three_days_parked_and_the_endpoint_disabled_until_enabled(
    region: Any, receiver: Receiver, subscribed: Subscription, sender: WebhookSender
) -> None:
    [case] = region.arrived()
    subscriptions = Subscriptions(region.review.ledger)
    receiver.status = 500
    sender.step()
    region.clock.move(days=3)
    assert sender.step() == 1
    assert counted(region.review.ledger, subscribed.id) == (0, 1)
    found = subscriptions.get(subscribed.id)
    assert found is not None
    assert (found.disabled_reason, found.disabled_at is None) == ("HTTP 500", False)
    region.review.act(case, commands.Claim())
    region.review.act(case, commands.RequestSupplement(materials=(_request(),)))  # nobody is told
    assert counted(region.review.ledger, subscribed.id) == (0, 1)
    assert sender.step() == 0

    receiver.status = 200
    assert subscriptions.enable(subscribed.id, region.clock.now())
    assert drain(sender) == 1
    assert receiver.told[-1] == ("task.opened", "received")
    found = subscriptions.get(subscribed.id)
    assert found is not None
    assert (found.delivered, found.disabled_at) == (1, None)


def _request() -> models.MaterialRequest:
    return models.MaterialRequest(code="x", name="y", problem="z")


def test_an_endpoint_that_works_for_others_is_not_disabled(
    region: Any, receiver: Receiver, subscribed: Subscription, sender: WebhookSender
) -> None:
    [stuck] = region.arrived("甲")
    receiver.refuses = {stuck}
    sender.step()
    region.clock.move(days=2)
    region.arrived("乙")
    for _ in range(3):
        sender.step()
    region.clock.move(days=1)
    sender.step()
    assert counted(region.review.ledger, subscribed.id) == (0, 1)
    found = Subscriptions(region.review.ledger).get(subscribed.id)
    assert found is not None
    assert found.disabled_at is None


def test_gone_disables_at_once(
    region: Any, receiver: Receiver, subscribed: Subscription, sender: WebhookSender
) -> None:
    region.arrived()
    receiver.status = 410
    sender.step()
    found = Subscriptions(region.review.ledger).get(subscribed.id)
    assert found is not None
    assert found.disabled_reason == "HTTP 410"


def test_redirects_are_not_followed(
    region: Any, receiver: Receiver, subscribed: Subscription, sender: WebhookSender
) -> None:
    region.arrived()
    receiver.status, receiver.headers = 307, {"Location": receiver.url}
    assert sender.step() == 1
    assert len(receiver.calls) == 1
    [waiting] = queued(region.review.ledger, subscribed.id, None, 10)
    assert waiting["error"] == "HTTP 307"


def test_nobody_at_the_address_is_a_failure_like_others(region: Any, subscribed: Subscription) -> None:
    watched: list[tuple[str, str]] = []
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))  # held, so that nobody else takes it, and not listened at
    made = Subscriptions(region.review.ledger).add(
        f"http://127.0.0.1:{nobody.getsockname()[1]}/",
        ["review"],
        list(TaskEvent),
        base="http://n",
        created_by="o",
        now=region.clock.now(),
    )
    region.arrived()
    sender = WebhookSender(
        region.review.ledger, region.clock, attempted=lambda hook, outcome, _: watched.append((hook, outcome))
    )
    assert sender.step() == 2
    sender.stop()
    nobody.close()
    assert sorted(watched) == sorted([(subscribed.id, "delivered"), (made.id, "failed")])
    [waiting] = queued(region.review.ledger, made.id, None, 10)
    assert waiting["error"] == "ConnectError"


def test_what_waits_survives_a_restart_and_goes_out_by_itself(
    region: Any, receiver: Receiver, subscribed: Subscription, until: Any
) -> None:
    region.arrived()
    first = WebhookSender(region.review.ledger, region.clock)
    receiver.status = 500
    first.step()
    first.stop()
    receiver.status = 200
    region.clock.move(minutes=1)
    second = WebhookSender(region.review.ledger, region.clock)
    second.start()
    pause = threading.Event()
    until(lambda: pause.wait(0.1), lambda: counted(region.review.ledger, subscribed.id) == (0, 0))
    second.stop()
    assert receiver.told == [("task.opened", "received")] * 2


@pytest.mark.usefixtures("subscribed")
def test_a_rebuild_queues_nothing_twice(region: Any, receiver: Receiver, sender: WebhookSender) -> None:
    [case] = region.arrived()
    drain(sender)
    region.review.act(case, commands.Accept())
    rebuild(region.review.ledger, region.review.node.engine.records, region.review.node.projections)
    drain(sender)
    assert receiver.told == [("task.opened", "received"), ("task.opened", "in_review")]


def test_a_removed_subscription_takes_its_queue_along(region: Any, subscribed: Subscription) -> None:
    region.arrived()
    subscriptions = Subscriptions(region.review.ledger)
    assert subscriptions.remove(subscribed.id)
    assert not subscriptions.remove(subscribed.id)
    assert subscriptions.all() == []
    assert queued(region.review.ledger, subscribed.id, None, 10) == []


def test_secrets_are_random_long_and_in_no_representation(region: Any, subscribed: Subscription) -> None:
    other = Subscriptions(region.review.ledger).add(
        "http://x", ["review"], [TaskEvent.OPENED], base="http://n", created_by="o", now=region.clock.now()
    )
    assert other.secret != subscribed.secret
    assert other.secret.startswith("whsec_")
    assert len(other.secret) > 40
    assert other.secret not in repr(other) + f"{other}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://host/x",
        "http://",
        "https:///path",
        "http://user:pw@host/",
        "http://host/#a",
        "http://[::1",
        "http://h:99999/",
    ],
)
def test_addresses_that_can_not_be_called(url: str) -> None:
    assert address_problem(url)


@given(st.sampled_from(["127.0.0.1", "10.1.2.3", "[::1]", "oa.changsha.gov.cn"]), st.integers(1, 65535))
def test_government_networks_may_be_called(host: str, port: int) -> None:
    assert address_problem(f"http://{host}:{port}/hook?x=1") == ""
