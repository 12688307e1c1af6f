"""The catalogue says who may send what where."""

from typing import Any

import pytest

from schemas import CatalogueError, fields_of, load_catalogue, load_schemas


def test_only_the_routes_of_the_catalogue_may_be_used(contracts: Any) -> None:
    contracts.catalogue["events"]["Answered"]["routes"] = [{"from": "any", "to": "control"}]
    catalogue = load_catalogue(contracts.write())
    assert catalogue.may_send("Asked", "acceptance", "review")
    assert catalogue.may_send("kuayu.Asked", "acceptance", "review")
    for sender, inbox in [
        ("review", "acceptance"),
        ("acceptance", "acceptance"),
        ("any", "review"),
        ("review", "review"),
    ]:
        assert not catalogue.may_send("Asked", sender, inbox)
    for stage in ("acceptance", "review", "pickup"):
        assert catalogue.may_send("Answered", stage, "control")
    for sender in ("any", "local", "intake"):
        assert not catalogue.may_send("Answered", sender, "control")
    assert not catalogue.may_send("Nothing", "acceptance", "review")


def test_replies_personal_fields_and_entries(contracts: Any) -> None:
    catalogue = load_catalogue(contracts.root)
    assert catalogue.may_reply("kuayu.Asked", "kuayu.Answered")
    assert not catalogue.may_reply("Answered", "Asked")
    assert catalogue.personal_paths("Asked") == ("asker.name", "asker.phone", "helper")
    assert catalogue.entry("kuayu.Answered").major == 1
    with pytest.raises(KeyError):
        catalogue.entry("Nothing")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("version: [", "line [12]"),  # where it begins, or where it should have ended
        ("- 1", "Expected `object`"),
        ("", "Expected `object`"),
        ("version: 1\nversion: 1", "line 2"),
    ],
)
def test_what_is_no_catalogue_is_refused(contracts: Any, text: str, reason: str) -> None:
    (contracts.root / "catalogue.yaml").write_text(text, "utf-8")
    with pytest.raises(CatalogueError, match=reason):
        load_catalogue(contracts.root)


def test_paths_lead_through_optional_values_and_arrays(contracts: Any) -> None:
    contracts.files["Asked"]["fields"].append(
        {"name": "others", "type": {"type": "array", "items": "Person"}}
    )
    schema = load_schemas(contracts.write()).by_name("kuayu.Asked")
    paths = [field.path for field in fields_of(schema.normal)]
    assert paths == [
        *("asker", "asker.name", "asker.phone", "helper", "helper.name", "helper.phone"),
        *("asked_at", "kind", "points", "others", "others.name", "others.phone"),
    ]
