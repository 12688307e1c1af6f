"""Events to bytes and back: Avro in the Confluent wire format (a zero byte, the 4-byte big-endian schema id, the body).

Typed encoding goes model → plain data → msgspec's check against the model → fastavro; decoding goes fastavro → msgspec.
msgspec's check costs a twentieth of fastavro's own validation and names the field by its path.
"""

import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from io import BytesIO
from typing import Any, cast

import fastavro
import msgspec
from fastavro.validation import ValidationError, validate

from schemas._compatibility import incompatibilities
from schemas._paths import instants, values_at
from schemas._record import Event
from schemas._schema import Schema, Schemas, schema_id

_HEADER = struct.Struct(">bI")
_NATIVE = (datetime, date, bytes)
_DIGEST_BYTES = 32
_EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
_LATEST = datetime(9999, 12, 31, tzinfo=UTC)
"""Between them an instant can be written in every time zone."""


class CodecError(Exception):
    """An event that cannot be encoded or decoded; the subclass says what is to be done with it."""


class Invalid(CodecError):
    """Data that does not fit its schema, on encoding. `field` is the dotted path of what is wrong, if known."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field or 'event'}: {reason}")
        self.field = field
        self.reason = reason


class BadPayload(CodecError):
    """Bytes that are no event of the schema they name: the event is parked."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownSchema(CodecError):
    """The writer's schema is not known here: the event waits while it is fetched by `digest`, or by `id` if None."""

    def __init__(self, id: int, digest: bytes | None) -> None:  # noqa: A002 - the word of the wire format
        super().__init__(f"schema {id} ({digest.hex() if digest else 'no digest given'}) is not known here")
        self.id = id
        self.digest = digest


class NewerContract(CodecError):
    """The writer's schema is known, but no model here reads it: the event waits for a newer version of the program."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


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
    try:
        validate(data, schema.parsed)
    except ValidationError as error:
        wrong = error.errors[0]
        expected = wrong.schema["type"] if isinstance(wrong.schema, dict) else wrong.schema
        # The value itself is not told: it may be personal.
        reason = f"this {type(wrong.datum).__name__} is no value of the Avro type {expected}"
        raise Invalid((wrong.field or "").removeprefix(f"{schema.name}."), reason) from error
    return _write(schema, data)


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
        model = type(event)
        schema = self._schema_of[model]
        data = msgspec.to_builtins(event, builtin_types=_NATIVE)
        try:
            msgspec.convert(data, model, builtin_types=_NATIVE)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `$")
            raise Invalid(path.rstrip("`").lstrip("."), reason) from error
        return _write(schema, data), schema

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


def _write(schema: Schema, data: Mapping[str, Any]) -> bytes:
    for path in instants(schema):
        _check_instants(path, values_at(data, path))
    out = BytesIO()
    out.write(_HEADER.pack(0, schema.id))
    try:
        fastavro.schemaless_writer(out, schema.parsed, data, strict_allow_default=True)
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        raise Invalid("", f"{type(error).__name__}: {error}") from error
    return out.getvalue()


def _check_instants(path: str, values: Iterable[Any]) -> None:
    for value in values:
        if not isinstance(value, datetime):
            raise Invalid(path, f"{value!r} is not a time")
        if value.utcoffset() is None:
            raise Invalid(path, f"{value!r} has no time zone; give an aware time")
        if not _EARLIEST <= value <= _LATEST:
            raise Invalid(path, f"{value!r} is not within the years 1 to 9999 everywhere")
        if value.microsecond % 1000:
            raise Invalid(path, f"{value!r} is finer than a millisecond; see whole_millis")
