"""The API does what its OpenAPI document says, as schemathesis tries it."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ensure_resource_availability,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    ensure_resource_availability,
    unsupported_method,
]
PATHS = [
    "/v1/tasks",
    "/v1/tasks/{case_id}",
    "/v1/tasks/{case_id}/not-accept",
    "/v1/tasks/{case_id}/decide",
    "/v1/tasks/{case_id}/suspend",
    "/v1/webhooks",
    "/v1/webhooks/{webhook_id}",
    "/v1/webhooks/{webhook_id}/deliveries",
]


@pytest.fixture(scope="session")
def document(region: Any) -> Any:
    return schemathesis.openapi.from_url(f"{region.there.url}/openapi.json")


def operations(document: Any, path: str) -> list[Any]:
    found = [result.ok() for result in document.get_all_operations()]
    return [operation for operation in found if operation.path == path]


def test_every_act_is_in_the_document(document: Any) -> None:
    paths = {result.ok().path for result in document.get_all_operations()}
    assert set(PATHS) <= paths
    assert {"/", "/search", "/cases/{case_id}"}.isdisjoint(paths)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("path", PATHS)
def test_the_document_holds(document: Any, region: Any, path: str, mode: GenerationMode) -> None:
    """Good requests go to a case that is there, at the version it has; bad ones go as they are."""
    known = region.hand_in()
    key = region.key("wu" if "webhooks" in path else "li")
    for operation in operations(document, path):

        @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(operation.as_strategy(generation_mode=mode))
        def holds(case: Any) -> None:
            if mode is GenerationMode.POSITIVE and "case_id" in case.path_parameters:
                case.path_parameters["case_id"] = known
                case.headers["If-Match"] = "*"
            case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)

        holds()
