"""Events to bytes and back: Avro in the Confluent wire format (a zero byte, the 4-byte big-endian schema id, the body).

An encoder and a decoder are compiled for each event type when it is first met. fastavro serves the rest: data whose writer's
schema is not the reader's, and what is rare in schemas.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from importlib import import_module
from typing import Any, cast

import msgspec

from schemas._code import Rare, classes_of
from schemas._compatibility import incompatibilities
from schemas._decoder import Decoder, decoder
from schemas._encoder import Encoder, encoder
from schemas._errors import BadPayload, Invalid, NewerContract, UnknownSchema
from schemas._fallback import fastavro_decoder
from schemas._fit import check_fits
from schemas._record import Event
from schemas._schema import HEAD, Schema, Schemas, schema_id

_NATIVE = (datetime, date, bytes)
_DIGEST_BYTES = 32
_HEAD_BYTES = HEAD.size


def whole_millis(instant: datetime) -> datetime:
    """The instant without what is finer than a millisecond: Avro's `timestamp-millis` carries no more."""
    return instant - timedelta(microseconds=instant.microsecond % 1000)


def payload_id(payload: bytes) -> int:
    """The schema id that a payload names.

    Raises:
        BadPayload: not the Confluent wire format.
    """
    if len(payload) < _HEAD_BYTES:
        raise BadPayload(f"{len(payload)} bytes; at least the 5 of the Confluent header are needed")
    magic, identity = HEAD.unpack_from(payload)
    if magic != 0:
        raise BadPayload(f"begins with byte {payload[0]:#04x}; the Confluent wire format begins with 0x00")
    return int(identity)


def encode(schema: Schema, data: Mapping[str, Any]) -> bytes:
    """Encodes plain data by any schema.

    Raises:
        Invalid: the data does not fit, or has a field that the schema lacks.
    """
    try:
        return schema.encoder(data)
    except Exception as error:
        check_fits(schema.normal, data)
        raise Invalid("", f"does not fit {schema.name}: {type(error).__name__}") from error


def decode(payload: bytes, writer: Schema, reader: Schema | None = None) -> dict[str, Any]:
    """Decodes to plain data by the schema it was written with, resolved to `reader` if given.

    Raises:
        BadPayload: not data of `writer`; also where bytes are left over.
    """
    if payload_id(payload) != writer.id:
        raise BadPayload(f"names schema {payload_id(payload)}, not {writer.id}")
    same = reader is None or reader == writer
    try:
        read = writer.decoder if same else fastavro_decoder(writer.parsed, cast("Schema", reader).parsed)
        return cast("dict[str, Any]", read(payload, _HEAD_BYTES))
    except Exception as error:
        raise _bad(writer.name, error) from error


def _bad(name: str, error: Exception) -> BadPayload:
    told = (
        "it ends too early, or names a symbol that there is not" if isinstance(error, IndexError) else error
    )
    return BadPayload(f"is no {name}: {type(error).__name__}: {told}")


class _EventType:
    """One event type of this program: its model, its schema, and what is compiled for them when it is first needed."""

    def __init__(self, model: type[Event], schema: Schema) -> None:
        self.schema = schema
        self._model = model

    @cached_property
    def encode(self) -> Encoder:
        """From the model to the Confluent wire format; any exception for what does not fit."""
        try:
            return encoder(self.schema.normal, classes_of(self._model), self.schema.head)
        except Rare:
            return self.encode_carefully

    @cached_property
    def decode(self) -> Decoder:
        """From bytes, and the place where the body begins, to the model; any exception for what is none."""
        try:
            return decoder(self.schema.normal, classes_of(self._model))
        except Rare:
            return lambda data, at: self.convert(self.schema.decoder(data, at))

    def encode_carefully(self, event: Event) -> bytes:
        """As `encode`, by way of plain data: an error names its field, and plain data stands for a record in it.

        Raises:
            Invalid: as `Codec.encode`.
        """
        try:
            data = msgspec.to_builtins(event, builtin_types=_NATIVE)
        except TypeError as error:
            raise Invalid("", str(error)) from error
        return encode(self.schema, data)

    def convert(self, data: dict[str, Any]) -> Event:
        """The model with these plain data.

        Raises:
            msgspec.ValidationError: they do not fit.
        """
        return msgspec.convert(data, self._model, builtin_types=_NATIVE)


class Codec:
    """Typed events to bytes and back.

    Args:
        schemas: where writers' schemas are found.
        models: the model of each event type by full name; those of `schemas.models` if none are given.
    """

    def __init__(self, schemas: Schemas, models: Mapping[str, type[Event]] | None = None) -> None:
        self._schemas = schemas
        # Not imported at the top: `python -m schemas generate` must run while the models do not exist or are wrong.
        models = models if models is not None else import_module("schemas.models").EVENTS
        self._types = {name: _EventType(model, schemas.by_name(name)) for name, model in models.items()}
        self._of_model = {model: self._types[name] for name, model in models.items()}
        self._of_head = {known.schema.head: known for known in self._types.values()}
        self._readable = {known.schema.digest for known in self._types.values()}

    def encode(self, event: Event) -> tuple[bytes, Schema]:
        """The event's bytes, and the schema it was written with.

        Raises:
            Invalid: a value of the wrong type or range, a naive time, a time finer than milliseconds.
            KeyError: the event's type is none of the models.
        """
        known = self._of_model[type(event)]
        try:
            return known.encode(event), known.schema
        except Exception:  # noqa: BLE001 - whatever it is, the careful way says it better
            return known.encode_carefully(event), known.schema

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
        known = self._of_head.get(payload[:_HEAD_BYTES])
        if known is not None and (digest is None or digest == known.schema.digest):
            try:
                event: Event = known.decode(payload, _HEAD_BYTES)
                return event
            except Exception as error:
                raise _bad(known.schema.name, error) from error
        return self._decode_from_another(payload, self._writer(payload, digest))

    def _decode_from_another(self, payload: bytes, writer: Schema) -> Event:
        """Decodes what was written by a schema that is not the model's."""
        known = self._types.get(writer.name)
        if known is None:
            raise NewerContract(writer.name, "no such event type here")
        if writer.digest not in self._readable:
            if reasons := incompatibilities(reader=known.schema.normal, writer=writer.normal):
                raise NewerContract(writer.name, "; ".join(map(str, reasons)))
            self._readable.add(writer.digest)
        data = decode(payload, writer, known.schema)
        try:
            return known.convert(data)
        except msgspec.ValidationError as error:
            raise _bad(writer.name, error) from error

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
