"""Dotted paths of fields: `file.applicant.name` leads through records, optional values and arrays alike."""

from collections.abc import Iterator

from msgspec import Struct

from schemas._source import Json, definitions


class Leaf(Struct, frozen=True):
    """A field at the end of a path, or on the way: its path, its type without the null and arrays around it, its owner."""

    path: str
    type: str
    logical: str | None
    owner: str
    """Full name of the record that the field is a field of."""


def fields_of(normal: Json) -> Iterator[Leaf]:
    """All fields of a record schema in normal form, at every depth."""
    types = definitions(normal)

    def visit(owner: str, prefix: str) -> Iterator[Leaf]:
        for field in types[owner]["fields"]:
            path = f"{prefix}{field['name']}"
            for name, logical in _cores(field["type"]):
                yield Leaf(path=path, type=name, logical=logical, owner=owner)
                if name in types and types[name]["type"] == "record":
                    yield from visit(name, f"{path}.")

    return visit(normal["name"], "")


def _cores(node: Json) -> Iterator[tuple[str, str | None]]:
    if isinstance(node, list):
        for branch in node:
            if branch != "null":
                yield from _cores(branch)
    elif isinstance(node, str):
        yield node, None
    elif "items" in node:
        yield from _cores(node["items"])
    else:
        yield node["type"], node.get("logicalType")
