"""Events to bytes and back: Avro in the Confluent wire format (a zero byte, the 4-byte big-endian schema id, the body).

Encoding goes from the model to plain data (msgspec) to bytes (the checked writer of each schema); decoding from bytes to
plain data (fastavro, which also resolves the writer's schema to the reader's) to the model (msgspec).
"""

import struct
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from importlib import import_module
from io import BytesIO
from typing import Any, cast

import fastavro
import msgspec

from schemas._compatibility import incompatibilities
from schemas._errors import BadPayload, Invalid, NewerContract, UnknownSchema
from schemas._record import Event
from schemas._schema import Schema, Schemas, schema_id

_HEADER = struct.Struct(">bI")
_NATIVE = (datetime, date, bytes)
_DIGEST_BYTES = 32


def whole_millis(instant: datetime) -> datetime:
    """The instant without what is finer than a millisecond: Avro's `timestamp-millis` carries no more."""
    return instant - timedelta(microseconds=instant.microsecond % 1000)


def payload_id(payload: bytes) -> int:
    """The schema id that a payload names.

    Raises:
        BadPayload: not the Confluent wire format.
    """
    if len(payload) < _HEADER.size:
        raise BadPayload(f"{len(payload)} bytes; at least the 5 of the Confluent header are needed")
    magic, identity = _HEADER.unpack_from(payload)
    if magic != 0:
        raise BadPayload(f"begins with byte {payload[0]:#04x}; the Confluent wire format begins with 0x00")
    return int(identity)


def encode(schema: Schema, data: Mapping[str, Any]) -> bytes:
    """Encodes plain data by any schema.

    Raises:
        Invalid: the data does not fit, or has a field that the schema lacks.
    """
    out = bytearray(_HEADER.pack(0, schema.id))
    schema.write(out, data)
    return bytes(out)


def decode(payload: bytes, writer: Schema, reader: Schema | None = None) -> dict[str, Any]:
    """Decodes to plain data by the schema it was written with, resolved to `reader` if given.

    Raises:
        BadPayload: not data of `writer`; also where bytes are left over.
    """
    if payload_id(payload) != writer.id:
        raise BadPayload(f"names schema {payload_id(payload)}, not {writer.id}")
    body = BytesIO(payload)
    body.seek(_HEADER.size)
    try:
        data = fastavro.schemaless_reader(
            body, writer.parsed, None if reader is None or reader == writer else reader.parsed
        )
    except Exception as error:
        raise BadPayload(f"is no {writer.name}: {type(error).__name__}: {error}") from error
    if left := len(payload) - body.tell():
        raise BadPayload(f"{left} bytes are left over after the {writer.name}")
    return cast("dict[str, Any]", data)


class Codec:
    """Typed events to bytes and back.

    Args:
        schemas: where writers' schemas are found.
        models: the model of each event type by full name; those of `schemas.models` if none are given.
    """

    def __init__(self, schemas: Schemas, models: Mapping[str, type[Event]] | None = None) -> None:
        self._schemas = schemas
        # Not imported at the top: `python -m schemas generate` must run while the models do not exist or are wrong.
        self._models = models if models is not None else import_module("schemas.models").EVENTS
        self._schema_of = {model: schemas.by_name(name) for name, model in self._models.items()}
        self._readable: set[bytes] = {schema.digest for schema in self._schema_of.values()}

    def encode(self, event: Event) -> tuple[bytes, Schema]:
        """The event's bytes, and the schema it was written with.

        Raises:
            Invalid: a value of the wrong type or range, a naive time, a time finer than milliseconds.
            KeyError: the event's type is none of the models.
        """
        schema = self._schema_of[type(event)]
        try:
            data = msgspec.to_builtins(event, builtin_types=_NATIVE)
        except TypeError as error:
            raise Invalid("", str(error)) from error
        return encode(schema, data), schema

    def decode(self, payload: bytes, digest: bytes | None = None) -> Event:
        """The event in these bytes, as the model of its type.

        Args:
            payload: the Confluent wire format.
            digest: digest of the writer's schema, as the sender named it; found by the payload's id if None.

        Raises:
            UnknownSchema: the writer's schema has to be fetched first.
            NewerContract: no model here reads that schema.
            BadPayload: garbage.
        """
        writer = self._writer(payload, digest)
        model = self._models.get(writer.name)
        if model is None:
            raise NewerContract(writer.name, "no such event type here")
        reader = self._schema_of[model]
        if writer.digest not in self._readable:
            if reasons := incompatibilities(reader=reader.normal, writer=writer.normal):
                raise NewerContract(writer.name, "; ".join(map(str, reasons)))
            self._readable.add(writer.digest)
        data = decode(payload, writer, reader)
        try:
            return msgspec.convert(data, model, builtin_types=_NATIVE)
        except msgspec.ValidationError as error:
            raise BadPayload(f"is no {writer.name}: {error}") from error

    def _writer(self, payload: bytes, digest: bytes | None) -> Schema:
        identity = payload_id(payload)
        try:
            if digest is None:
                return self._schemas.by_id(identity)
            if len(digest) != _DIGEST_BYTES or schema_id(digest) != identity:
                raise BadPayload(f"names schema {identity}, which is not that of digest {digest.hex()}")
            return self._schemas.by_digest(digest)
        except KeyError:
            raise UnknownSchema(identity, digest) from None
