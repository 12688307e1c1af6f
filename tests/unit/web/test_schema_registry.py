from collections.abc import Iterator

import httpx
import pytest

from schemas import load_schemas
from tests.registry_client import SchemaRegistryClient, SchemaRegistryError


@pytest.fixture
def registry(served: str) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": served}) as client:
        yield client


def test_confluents_client_finds_every_contract(registry: SchemaRegistryClient) -> None:
    schemas = load_schemas()
    assert set(registry.get_subjects()) == set(schemas.subjects())
    for schema in schemas:
        latest = registry.get_latest_version(schema.name)
        assert latest.schema_id == schema.id
        assert latest.schema.schema_str == schema.text
        assert registry.get_schema(schema.id).schema_str == schema.text
        assert latest.version in registry.get_versions(schema.name)
        assert registry.get_version(schema.name, latest.version).schema_id == schema.id


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/schemas/ids/1", 404, 40403),
        ("/subjects/kuayu.None/versions", 404, 40401),
        ("/subjects/kuayu.CaseSubmitted/versions/999", 404, 40402),
        ("/subjects/kuayu.CaseSubmitted/versions/0", 422, 42202),
    ],
)
def test_refusals_have_the_registrys_own_form(
    client: httpx.Client, path: str, status: int, code: int
) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.json()["error_code"] == code
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"


def test_it_is_read_only(registry: SchemaRegistryClient) -> None:
    schema = registry.get_latest_version("kuayu.CaseSubmitted").schema
    with pytest.raises(SchemaRegistryError, match="content"):
        registry.register_schema("kuayu.Other", schema)


def test_it_answers_what_other_clients_ask_besides(client: httpx.Client) -> None:
    schema = load_schemas().by_name("kuayu.CaseSubmitted")
    assert client.get("/schemas/types").json() == ["AVRO"]
    assert client.get(f"/schemas/ids/{schema.id}/subjects").json() == ["kuayu.CaseSubmitted"]
    [version] = client.get(f"/schemas/ids/{schema.id}/versions").json()
    assert version["subject"] == "kuayu.CaseSubmitted"
    for path in ("/config", "/config/kuayu.CaseSubmitted"):
        assert client.get(path).json() == {"compatibilityLevel": "FULL_TRANSITIVE"}
    assert client.get("/mode").json() == {"mode": "READONLY"}
