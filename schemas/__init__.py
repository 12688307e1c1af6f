"""The contracts: event types, their ids, codec, compatibility and catalogue.

Everything is made from the `.avsc` files in `avro/` (event types, all named `kuayu.<Type>`) and `avro/types/` (what they
share). `python -m schemas generate` writes the typed models, `record` adds changed event types to `history/`, `check` and
`lint` say what is wrong. An event type's records, enums and fixed types become classes of `schemas.models`.
"""

from schemas._catalogue import Catalogue, CatalogueError, Entry, Route, load_catalogue
from schemas._check import check, record
from schemas._codec import Codec, decode, encode, payload_id, whole_millis
from schemas._compatibility import Incompatibility, incompatibilities
from schemas._errors import BadPayload, CodecError, Invalid, NewerContract, UnknownSchema
from schemas._finding import Finding
from schemas._generate import generate, models_drifted
from schemas._lint import lint
from schemas._masking import MASK, masked
from schemas._paths import Leaf, fields_of
from schemas._record import Event, Instant, Int, Long, Record
from schemas._schema import Schema, Schemas, load_schemas, schema_id
from schemas._source import SchemaError, normal_form

__all__ = [
    "MASK",
    "BadPayload",
    "Catalogue",
    "CatalogueError",
    "Codec",
    "CodecError",
    "Entry",
    "Event",
    "Finding",
    "Incompatibility",
    "Instant",
    "Int",
    "Invalid",
    "Leaf",
    "Long",
    "NewerContract",
    "Record",
    "Route",
    "Schema",
    "SchemaError",
    "Schemas",
    "UnknownSchema",
    "check",
    "decode",
    "encode",
    "fields_of",
    "generate",
    "incompatibilities",
    "lint",
    "load_catalogue",
    "load_schemas",
    "masked",
    "models_drifted",
    "normal_form",
    "payload_id",
    "record",
    "schema_id",
    "whole_millis",
]
