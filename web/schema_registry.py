"""The contracts as any Confluent client asks for them: read-only, without a key, from every node.

Source: Confluent Schema Registry API reference, /schemas, /subjects, /config and /mode.
"""

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas import Schemas
from schemas.confluent import (
    RegistryError,
    schema_by_id,
    schema_versions,
    subject_version,
    subject_versions,
    subjects,
)

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
READ_ONLY = 40301

router = APIRouter(include_in_schema=False)


def _answer(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type=MEDIA_TYPE)


def _schemas(request: Request) -> Schemas:
    found: Schemas = request.app.state.context.schemas
    return found


def on_registry_error(_request: Request, error: Exception) -> Response:
    """A refusal in the registry's own form."""
    assert isinstance(error, RegistryError)  # noqa: S101 - registered for it alone
    return _answer(error.body(), error.status)


@router.get("/schemas/types")
def types() -> Response:
    return _answer(["AVRO"])


@router.get("/schemas/ids/{identity}")
def by_id(request: Request, identity: int) -> Response:
    return _answer(schema_by_id(_schemas(request), identity))


@router.get("/schemas/ids/{identity}/versions")
def versions_by_id(request: Request, identity: int) -> Response:
    return _answer(schema_versions(_schemas(request), identity))


@router.get("/schemas/ids/{identity}/subjects")
def subjects_by_id(request: Request, identity: int) -> Response:
    return _answer([found["subject"] for found in schema_versions(_schemas(request), identity)])


@router.get("/subjects")
def all_subjects(request: Request) -> Response:
    return _answer(subjects(_schemas(request)))


@router.get("/subjects/{subject}/versions")
def versions(request: Request, subject: str) -> Response:
    return _answer(subject_versions(_schemas(request), subject))


@router.get("/subjects/{subject}/versions/{version}")
def by_version(request: Request, subject: str, version: str) -> Response:
    return _answer(subject_version(_schemas(request), subject, version))


@router.get("/config")
@router.get("/config/{_subject}")
def config(_subject: str = "") -> Response:
    return _answer({"compatibilityLevel": "FULL_TRANSITIVE"})


@router.get("/mode")
@router.get("/mode/{_subject}")
def mode(_subject: str = "") -> Response:
    return _answer({"mode": "READONLY"})


@router.post("/subjects/{_subject}/versions")
def register(_subject: str) -> Response:
    return _answer(
        RegistryError(READ_ONLY, "Schemas are registered by their content, in the source.").body(), 403
    )
