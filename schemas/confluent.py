"""The contracts as a read-only Confluent schema registry would answer: pure functions from `Schemas` to JSON shapes.

Source: Confluent Schema Registry API reference, `/subjects` and `/schemas`. A subject is the full name of an event type
(RecordNameStrategy); its versions are those of the committed history.
"""

import re
from typing import TypedDict

from schemas._schema import Schema, Schemas

LATEST = "latest"

SUBJECT_NOT_FOUND = 40401
VERSION_NOT_FOUND = 40402
SCHEMA_NOT_FOUND = 40403
INVALID_VERSION = 42202


class RegistryError(Exception):
    """What the registry refuses: `status` is the HTTP status, `code` and `message` make the body of the answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.status = code // 100
        self.code = code
        self.message = message

    def body(self) -> dict[str, int | str]:
        """The JSON body that Confluent clients expect."""
        return {"error_code": self.code, "message": self.message}


class SchemaText(TypedDict):
    """Answer of `GET /schemas/ids/{id}`."""

    schema: str


class SubjectVersion(TypedDict):
    """Answer of `GET /subjects/{subject}/versions/{version}`."""

    subject: str
    id: int
    version: int
    schema: str


class SubjectNumber(TypedDict):
    """One line of the answer of `GET /schemas/ids/{id}/versions`."""

    subject: str
    version: int


def subjects(schemas: Schemas) -> list[str]:
    """`GET /subjects`."""
    return list(schemas.subjects())


def schema_by_id(schemas: Schemas, identity: int) -> SchemaText:
    """`GET /schemas/ids/{id}`.

    Raises:
        RegistryError: 40403, no such schema.
    """
    return {"schema": _by_id(schemas, identity).text}


def schema_versions(schemas: Schemas, identity: int) -> list[SubjectNumber]:
    """`GET /schemas/ids/{id}/versions`; empty for a schema that was fetched from elsewhere.

    Raises:
        RegistryError: 40403, no such schema.
    """
    schema = _by_id(schemas, identity)
    versions = schemas.versions(schema.name) if schema.name in schemas.subjects() else ()
    return [
        {"subject": schema.name, "version": n} for n, known in enumerate(versions, start=1) if known == schema
    ]


def subject_versions(schemas: Schemas, subject: str) -> list[int]:
    """`GET /subjects/{subject}/versions`.

    Raises:
        RegistryError: 40401, no such subject.
    """
    return list(range(1, len(_versions(schemas, subject)) + 1))


def subject_version(schemas: Schemas, subject: str, version: int | str) -> SubjectVersion:
    """`GET /subjects/{subject}/versions/{version}`; the version is a number from 1 on, -1, or "latest".

    Raises:
        RegistryError: 40401 or 40402, no such subject or version; 42202, not a version.
    """
    versions = _versions(schemas, subject)
    number = _number(version, last=len(versions))
    if number > len(versions):
        raise RegistryError(VERSION_NOT_FOUND, f"Version {version} not found.")
    schema = versions[number - 1]
    return {"subject": subject, "id": schema.id, "version": number, "schema": schema.text}


def _by_id(schemas: Schemas, identity: int) -> Schema:
    try:
        return schemas.by_id(identity)
    except KeyError:
        raise RegistryError(SCHEMA_NOT_FOUND, f"Schema {identity} not found.") from None


def _versions(schemas: Schemas, subject: str) -> tuple[Schema, ...]:
    try:
        return schemas.versions(subject)
    except KeyError:
        raise RegistryError(SUBJECT_NOT_FOUND, f"Subject '{subject}' not found.") from None


def _number(version: int | str, *, last: int) -> int:
    if str(version) in {LATEST, "-1"}:
        return last
    if not re.fullmatch("[1-9][0-9]{0,8}", str(version)):
        raise RegistryError(
            INVALID_VERSION,
            f"The specified version '{version}' is not a valid version id: 1 or more, or latest.",
        )
    return int(version)
