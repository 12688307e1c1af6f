"""Every rule of the linter finds what it is for, and nothing in contracts that are as they should be."""

from typing import Any

import pytest

from schemas import lint


def test_well_kept_contracts_have_no_findings(contracts: Any) -> None:
    assert lint(contracts.root) == []


def test_the_committed_contracts_have_no_findings() -> None:
    assert lint() == []


def break_catalogue(**changes: Any) -> Any:
    return lambda c: c.catalogue["events"]["Asked"].update(changes)


def break_field(name: str, **changes: Any) -> Any:
    return lambda c: c.field("Asked", name).update(changes)


def add_field(name: str, kind: Any, file: str = "Asked", **more: Any) -> Any:
    return lambda c: c.files[file]["fields"].append({"name": name, "type": kind} | more)


def add_type(name: str, **changes: Any) -> Any:
    node = {
        "type": "enum",
        "name": name.removeprefix("types/"),
        "namespace": "kuayu",
        "doc": "x",
        "symbols": ["a"],
    }
    return lambda c: c.files.update({name: node | changes})


LONG = {"type": "long", "logicalType": "timestamp-millis"}

BROKEN = [
    (lambda c: c.files["Asked"].pop("doc"), "kuayu.Asked", "doc"),
    (lambda c: c.files["types/Person"].pop("doc"), "kuayu.Person", "doc"),
    (lambda c: c.catalogue["events"].pop("Asked"), "Asked", "catalogue"),
    (lambda c: c.catalogue["events"].update(Gone=c.catalogue["events"]["Answered"]), "Gone", "catalogue"),
    (lambda c: c.catalogue.pop("stages"), "catalogue.yaml", "catalogue"),
    (break_catalogue(replies=["Gone"]), "Asked.replies", "reply"),
    (break_catalogue(replies=["Asked"]), "Asked.replies", "reply"),
    (break_catalogue(routes=[{"from": "acceptance", "to": "pickup"}]), "Asked.replies", "reply"),
    (break_catalogue(routes=[{"from": "pickup", "to": "review"}]), "Asked.replies", "reply"),
    (break_catalogue(replies=["Answered", "Answered"]), "Asked.replies", "duplicate"),
    (break_catalogue(routes=[{"from": "acceptance", "to": "review"}] * 2), "Asked.routes", "duplicate"),
    (break_catalogue(personal=["asker", "helper", "helper"]), "Asked.personal", "duplicate"),
    (break_catalogue(routes=[{"from": "acceptence", "to": "review"}], replies=[]), "Asked.routes", "route"),
    (break_catalogue(routes=[{"from": "acceptance", "to": "nowhere"}], replies=[]), "Asked.routes", "route"),
    (break_catalogue(routes=[{"from": "any", "to": "supervision"}], replies=[]), "Asked.routes", "personal"),
    (break_catalogue(routes=[]), "catalogue.yaml", "catalogue"),
    (break_catalogue(colour="red"), "catalogue.yaml", "catalogue"),
    (break_catalogue(personal=["asker", "helper", "nobody.name"]), "Asked.nobody.name", "personal"),
    (break_catalogue(personal=["asker.name", "helper"]), "Asked.asker.phone", "personal"),
    (break_catalogue(personal=["asker.phone", "helper"]), "Asked.asker.name", "personal"),
    (add_field("delivery_address", "string"), "Asked.delivery_address", "personal"),
    (add_field("passport_number", "string"), "Asked.passport_number", "personal"),
    (add_field("applicant_name", "string", "Answered"), "Answered.applicant_name", "personal"),
    (add_field("askedBy", "string"), "kuayu.Asked.askedBy", "naming"),
    (add_type("types/shout"), "kuayu.shout", "naming"),
    (add_type("types/Word", symbols=["Loud"]), "kuayu.Word.Loud", "naming"),
    (add_type("types/Word", symbols=["a", "a"]), "kuayu.Word", "duplicate"),
    (add_type("types/Word", default="b"), "kuayu.Word", "default"),
    (add_type("types/Word"), "kuayu.Word", "unused"),
    (add_type("types/Word", namespace="elsewhere"), "Word.avsc", "schema"),
    (add_field("kind", "string"), "kuayu.Asked", "duplicate"),
    (
        add_field("w", {"type": "enum", "name": "W", "namespace": "elsewhere", "doc": "x", "symbols": ["a"]}),
        "elsewhere.W",
        "namespace",
    ),
    (
        add_field("w", {"type": "enum", "name": "Kind", "namespace": "kuayu", "symbols": ["a"]}, "Answered"),
        "kuayu.Asked",
        "schema",
    ),
    (add_field("seen_at", "long"), "kuayu.Asked.seen_at", "time"),
    (add_field("seen_at", ["null", "string"], default=None), "kuayu.Asked.seen_at", "time"),
    (add_field("born_on", LONG), "kuayu.Asked.born_on", "time"),
    (add_field("seen", {"type": "long", "logicalType": "timestamp-micros"}), "kuayu.Asked.seen", "model"),
    (add_field("u", ["null", "string"]), "kuayu.Asked.u", "union"),
    (add_field("u", ["string", "null"], default="a"), "kuayu.Asked.u", "union"),
    (add_field("u", ["string", "int"]), "kuayu.Asked.u", "model"),
    (add_field("m", {"type": "map", "values": "int"}), "kuayu.Asked.m", "model"),
    (add_field("n", "int", default="1"), "kuayu.Asked.n", "default"),
    (add_field("n", "int", default=2**31), "kuayu.Asked.n", "default"),
    (add_field("n", {"type": "array", "items": "int"}, default=[1]), "kuayu.Asked.n", "default"),
    (break_field("kind", default="other"), "kuayu.Asked.kind", "default"),
    (add_field("from", "int"), "kuayu.Asked.from", "model"),
    (break_field("asker", type="Nobody"), "kuayu.Asked.asker", "schema"),
]


@pytest.mark.parametrize(("change", "where", "rule"), BROKEN)
def test_each_broken_example_is_found(contracts: Any, change: Any, where: str, rule: str) -> None:
    change(contracts)
    assert (where, rule) in {(finding.where, finding.rule) for finding in lint(contracts.write())}


def test_a_name_that_stands_twice_in_the_catalogue_is_found(contracts: Any) -> None:
    path = contracts.root / "catalogue.yaml"
    path.write_text(path.read_text("utf-8") + "version: 2\n", "utf-8")
    (finding,) = lint(contracts.root)
    assert "version stands here twice" in finding.message


def test_a_missing_catalogue_is_found(contracts: Any) -> None:
    (contracts.root / "catalogue.yaml").unlink()
    assert [finding.rule for finding in lint(contracts.root)] == ["catalogue"]
