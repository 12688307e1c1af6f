"""Schemas by content: the id of a schema is a digest of its text, so nobody allocates ids and all agree on them."""

import hashlib
import json
import struct
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import fastavro

from schemas._code import Rare
from schemas._decoder import Decoder, decoder
from schemas._encoder import Encoder, encoder
from schemas._fallback import fastavro_decoder, fastavro_encoder
from schemas._history import History
from schemas._source import ROOT, Json, SchemaError, Source, canonical, normal_form

ID_MASK = 0x7FFF_FFFF
"""Ids have 31 bits, because registries and clients keep them in signed 32-bit numbers."""

HEAD = struct.Struct(">bI")
"""Zero byte and schema id of the Confluent wire format."""

MAX_TEXT = 262_144
"""The longest schema text taken from elsewhere, in characters."""


class Schema:
    """One schema, known by what it says. Equal and hashed by digest.

    Attributes:
        name: full name.
        id: the first 31 bits of the digest, as they stand in the Confluent wire format.
        digest: SHA-256 of `text` in UTF-8, 32 bytes.
        text: the normal form as canonical JSON; documentation is no part of it.
        normal: the normal form as JSON data.
    """

    def __init__(self, normal: Json) -> None:
        if not isinstance(normal, dict) or normal["type"] != "record":
            raise SchemaError("schema", "an event is a record")
        self.normal: dict[str, Any] = normal
        self.name: str = normal["name"]
        self.text = canonical(normal)
        self.digest = hashlib.sha256(self.text.encode()).digest()
        self.id = schema_id(self.digest)

    @cached_property
    def parsed(self) -> Any:
        """The schema as fastavro wants it.

        Raises:
            SchemaError: fastavro refuses it.
        """
        try:
            return fastavro.parse_schema(self.normal)
        except Exception as error:
            raise SchemaError(self.name, f"{type(error).__name__}: {error}") from error

    @property
    def head(self) -> bytes:
        """What the Confluent wire format puts before the body: a zero byte and the 4-byte big-endian schema id."""
        return HEAD.pack(0, self.id)

    @cached_property
    def encoder(self) -> Encoder:
        """From plain data to the Confluent wire format; any exception for what does not fit."""
        try:
            return encoder(self.normal, head=self.head)
        except Rare:
            return fastavro_encoder(self.normal, self.parsed, head=self.head)

    @cached_property
    def decoder(self) -> Decoder:
        """From bytes, and the place where the body begins, to plain data; any exception for what is none."""
        try:
            return decoder(self.normal)
        except Rare:
            return fastavro_decoder(self.parsed)

    @property
    def fields(self) -> tuple[dict[str, Any], ...]:
        """The fields in order, in normal form."""
        return tuple(self.normal["fields"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Schema({self.name}, id={self.id})"


def schema_id(digest: bytes) -> int:
    """The 31-bit id that belongs to a schema's digest."""
    return int.from_bytes(digest[:4], "big") & ID_MASK


class Schemas:
    """All schemas known here: the current one of each event type, their history, and those fetched from others."""

    def __init__(self, current: dict[str, Schema], history: dict[str, tuple[Schema, ...]]) -> None:
        self._current = current
        self._versions = {
            name: past if past[-1:] == (schema,) else (*past, schema)
            for name, schema in sorted(current.items())
            for past in [history.get(name, ())]
        }
        self._by_digest: dict[bytes, Schema] = {}
        self._by_id: dict[int, Schema] = {}
        for schema in (schema for past in self._versions.values() for schema in past):
            if self._keep(schema).digest != schema.digest:
                raise SchemaError(
                    schema.name, f"shares its id {schema.id} with another schema; change a name in it"
                )

    def __iter__(self) -> Iterator[Schema]:
        """The current schemas by name."""
        return iter(self._current[name] for name in self._versions)

    def by_name(self, name: str) -> Schema:
        """The current schema of the event type with this full name.

        Raises:
            KeyError: there is none here.
        """
        return self._current[name]

    def by_id(self, identity: int) -> Schema:
        """The schema with this id.

        Raises:
            KeyError: not known here.
        """
        return self._by_id[identity]

    def by_digest(self, digest: bytes) -> Schema:
        """The schema with this digest.

        Raises:
            KeyError: not known here.
        """
        return self._by_digest[digest]

    def subjects(self) -> tuple[str, ...]:
        """The full names of all event types, sorted: the subjects of the registry's view."""
        return tuple(self._versions)

    def versions(self, subject: str) -> tuple[Schema, ...]:
        """All versions of an event type, version 1 first; the last is the current one.

        Raises:
            KeyError: no such event type.
        """
        return self._versions[subject]

    def add(self, text: str, digest: bytes | None = None) -> Schema:
        """Takes a writer's schema that was fetched from elsewhere.

        Args:
            text: the schema, any spelling of it.
            digest: what its digest has to be; not checked if none is given.

        Raises:
            SchemaError: no usable schema, or not the one that was asked for.
        """
        if len(text) > MAX_TEXT:
            raise SchemaError("fetched schema", f"longer than {MAX_TEXT} characters")
        try:
            written = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SchemaError("fetched schema", f"not JSON: {error}") from error
        try:
            schema = Schema(normal_form(written, where="fetched schema"))
        except (RecursionError, TypeError, AttributeError) as error:
            raise SchemaError("fetched schema", f"not an Avro schema: {error}") from error
        if digest is not None and schema.digest != digest:
            raise SchemaError("fetched schema", f"its digest is {schema.digest.hex()}, not {digest.hex()}")
        schema.parsed  # noqa: B018 - refused now, not when the first event is read
        self._keep(schema)
        return self._by_digest[schema.digest]

    def _keep(self, schema: Schema) -> Schema:
        """Whoever came first keeps an id; by its digest each is found."""
        self._by_digest.setdefault(schema.digest, schema)
        return self._by_id.setdefault(schema.id, schema)


def load_schemas(root: Path = ROOT) -> Schemas:
    """The committed contracts under `root`, with their history.

    Raises:
        SchemaError: names the file and what would be right.
    """
    source = Source(root)
    history = History(root)
    return Schemas(
        {name: Schema(source.normal(name)) for name in source.events},
        {name: tuple(Schema(version.normal) for version in history.of(name)) for name in source.events},
    )
