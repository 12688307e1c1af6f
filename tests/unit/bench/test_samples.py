"""What the peers carry is what our stages send."""

import io
import json
from typing import Any

import fastavro
import pytest

from jurisdictions import Directory, load_directory
from kuayu.bench import samples
from kuayu.bench.load import PICKUP
from schemas import Codec, load_schemas


@pytest.fixture(scope="module")
def directory() -> Directory:
    return load_directory()


def test_a_case_sends_five_events_of_four_types(directory: Directory) -> None:
    found = samples.events(directory, cases=3)
    assert {name: len(events) for name, events in found.items()} == {
        "CaseAccepted": 3,
        "CaseDecided": 3,
        "CertificateIssued": 3,
        "CertificateDelivered": 6,
    }


def test_any_avro_reader_reads_them(directory: Directory) -> None:
    schemas = load_schemas()
    told = json.loads(json.dumps(samples.for_peers(directory, schemas)))
    issued = told["CertificateIssued"]
    value = bytes.fromhex(issued["samples"][0])
    assert value.startswith(bytes.fromhex(issued["prefix"]))
    schema = json.loads(issued["schema"])
    assert schema["name"] == "kuayu.CertificateIssued"
    plain: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None)
    assert plain["delivery"]["jurisdiction"] == PICKUP
    decoded = Codec(schemas).decode(value)
    assert decoded.delivery.jurisdiction == PICKUP  # type: ignore[attr-defined]  # of this type of event
