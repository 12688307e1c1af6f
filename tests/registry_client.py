"""Confluent's own client of a schema registry, imported without what one of its dependencies says of another.

authlib lets its own deprecation warnings through whatever filters there are, so they are put aside after it.
"""

import warnings

with warnings.catch_warnings():
    from authlib.deprecate import AuthlibDeprecationWarning  # type: ignore[import-untyped]

    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError
    from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer

__all__ = ["AvroDeserializer", "AvroSerializer", "SchemaRegistryClient", "SchemaRegistryError"]
