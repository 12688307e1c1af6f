"""Fastavro beside the compiled codec: schemas of one field or a few, and what it makes of data and bytes."""

import struct
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import fastavro
from hypothesis import strategies as st

from schemas import BadPayload, Codec, Schema, decode, load_schemas, normal_form

Json = Any

INSTANT = {"type": "long", "logicalType": "timestamp-millis"}
DATE = {"type": "int", "logicalType": "date"}
UUID = {"type": "string", "logicalType": "uuid"}
"""A logical type that contracts have not: such a schema is left to fastavro."""
CODEC = Codec(load_schemas())
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=200),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=100),
}
INSTANTS = st.integers(-62_135_510_400_000, 253_402_200_000_000).map(
    lambda n: EPOCH + timedelta(milliseconds=n)
)


def sample(*fields: Json) -> Schema:
    return Schema(normal_form({"type": "record", "name": "kuayu.Sample", "fields": list(fields)}))


def by_fastavro(schema: Schema, data: Any) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, data)
    return struct.pack(">bI", 0, schema.id) + out.getvalue()


def of_fastavro(schema: Schema, payload: bytes) -> Any:
    body = BytesIO(payload[5:])
    found = fastavro.schemaless_reader(body, schema.parsed, None)
    assert not body.read(1)
    return found


def same_as_fastavro(schema: Schema, payload: bytes) -> None:
    """What is taken at all is what fastavro reads; garbage ends in no other error than the one for it."""
    try:
        found = decode(payload, schema)
    except BadPayload:
        return
    assert repr(found) == repr(
        of_fastavro(schema, payload)
    )  # repr: not-a-number is no more equal to itself here
