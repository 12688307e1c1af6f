"""What every peer does alike, whatever carries its records: decode an event, answer it, and note when it came.

Three stages without a ledger. Each event is decoded in full and each answer encoded by fastavro with our own schemas;
what a stage does between is a dictionary with a few fields taken over.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import fastavro

_ENDING = "CertificateDelivered"
_WIRE_HEADER = 5
"""Bytes before an Avro body in the Confluent wire format."""

Headers = dict[str, str] | list[tuple[str, bytes]]


class Record(NamedTuple):
    """What is to be sent."""

    topic: str
    key: bytes
    value: bytes
    headers: Any
    """A list with values as bytes, or a dictionary with values as text, as the stage was asked for."""


class _Kind:
    """An event type: its schema, and real events of it as patterns."""

    def __init__(self, name: str, told: Mapping[str, Any]) -> None:
        self.name = name
        self._schema = fastavro.parse_schema(json.loads(told["schema"]))
        self._prefix = bytes.fromhex(told["prefix"])
        self.digest = told["digest"]
        self.samples = [self.decode(bytes.fromhex(sample)) for sample in told["samples"]]

    def decode(self, value: bytes) -> dict[str, Any]:
        body = BytesIO(value)
        body.seek(_WIRE_HEADER)
        data = fastavro.schemaless_reader(body, self._schema, None)
        if not isinstance(data, dict):
            raise TypeError(f"{self.name} is no record")
        return data

    def encode(self, data: Mapping[str, Any]) -> bytes:
        body = BytesIO()
        body.write(self._prefix)
        fastavro.schemaless_writer(body, self._schema, data)
        return body.getvalue()


class Stage:
    """One of the three; `role` is acceptance, review or pickup.

    Attributes:
        bootstrap: the broker, host:port.
        inbox: the topic that this stage reads.
        group: the consumer group's name.
        mode: the variant of the peer that is asked for; empty if there is but one.
        first: when each case first came, seconds since the epoch.
        ended: when each case ended here.
    """

    def __init__(self, job: Path) -> None:
        told = json.loads(job.read_text(encoding="utf-8"))
        self.role: str = told["role"]
        self.bootstrap: str = told["bootstrap"]
        self.mode: str = told["mode"]
        self.topics: dict[str, str] = told["topics"]
        self.inbox = self.topics[self.role]
        self.partitions: int = told["partitions"][self.role]
        self.group = f"{self.inbox}.group"
        self.text_headers = False
        self._kinds = {name: _Kind(name, event) for name, event in told["events"].items()}
        self._by_type: dict[str | bytes, tuple[_Kind, Callable[[str, dict[str, Any]], list[Record]]]] = {}
        for name, react in (
            ("CaseAccepted", self._decide),
            ("CaseDecided", self._note),
            ("CertificateIssued", self._deliver),
            ("CertificateDelivered", self._note),
        ):
            chosen = (self._kinds[name], react)
            self._by_type[f"kuayu.{name}"] = self._by_type[f"kuayu.{name}".encode()] = chosen
        self._numbers = count()
        self.first: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    def accept(self, case: str) -> Record:
        """The record with which a case begins."""
        now = time.time()
        self.first[case] = now
        kind = self._kinds["CaseAccepted"]
        sample = kind.samples[next(self._numbers) % len(kind.samples)]
        accepted = datetime.fromtimestamp(now, UTC)
        times = sample["times"] | {"collected": accepted, "accepted": accepted}
        return self._record("review", kind, case, sample | {"times": times})

    def react(self, headers: Mapping[str, Any] | Iterable[tuple[str, Any]], value: bytes) -> list[Record]:
        """Take an event in, and return what it causes."""
        named = dict(headers)
        kind, react = self._by_type[named["ce_type"]]
        subject = named["ce_subject"]
        case = subject if isinstance(subject, str) else subject.decode()
        data = kind.decode(value)
        now = time.time()
        self.first.setdefault(case, now)
        records = react(case, data)
        if kind.name == _ENDING or self.role == "pickup":
            self.ended[case] = now
        return records

    def _note(self, _case: str, _event: dict[str, Any]) -> list[Record]:
        return []

    def _decide(self, case: str, accepted: dict[str, Any]) -> list[Record]:
        decided, issued = self._kinds["CaseDecided"], self._kinds["CertificateIssued"]
        file = accepted["file"]
        decision = decided.samples[0] | {"decided_at": datetime.now(UTC), "times": accepted["times"]}
        certificate = issued.samples[0] | {
            "case_number": file["case_number"],
            "item": file["item"],
            "holder": file["applicant"],
            "delivery": file["delivery"],
            "accepting_office": accepted["office"],
        }
        return [
            self._record("acceptance", decided, case, decision),
            self._record("pickup", issued, case, certificate),
        ]

    def _deliver(self, case: str, _issued: dict[str, Any]) -> list[Record]:
        delivered = self._kinds["CertificateDelivered"]
        data = delivered.samples[0] | {"delivered_at": datetime.now(UTC)}
        return [self._record(to, delivered, case, data) for to in ("acceptance", "review")]

    def _record(self, to: str, kind: _Kind, case: str, data: Mapping[str, Any]) -> Record:
        number = next(self._numbers)
        texts = {
            "ce_specversion": "1.0",
            "ce_id": f"{self.role}-{number}",
            "ce_type": f"kuayu.{kind.name}",
            "ce_source": self.inbox,
            "ce_subject": case,
            "ce_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "ce_correlationid": case,
            "ce_dataschema": kind.digest,
            "content-type": "application/vnd.confluent.avro",
            "traceparent": f"00-{number + 1:032x}-{number + 1:016x}-01",
        }
        headers: Headers = texts
        if not self.text_headers:
            headers = [(name, text.encode()) for name, text in texts.items()]
        return Record(self.topics[to], case.encode(), kind.encode(data), headers)
