"""Python source that is put together from a schema and compiled: what the encoder and the decoder have in common."""

import linecache
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from fastavro.read import LOGICAL_READERS
from msgspec import inspect

from schemas._source import Json, definitions

Classes = Mapping[str, type]
"""The model of each record and enum by its short name."""

DEEPEST = 4
"""Arrays and maps inside each other; Python's own limit of nested loops is 20."""

_OWN_LOGICAL = {("long", "timestamp-millis"): "instant", ("int", "date"): "date"}


class Rare(Exception):
    """A schema that is not compiled: fastavro serves it."""


class Types:
    """The types of one schema in normal form, each node told by its kind."""

    def __init__(self, normal: Json) -> None:
        self.named = definitions(normal)
        self.root: str = normal["name"]

    def look(self, node: Json) -> tuple[str, Any]:
        """What a node is: its kind, and the node itself with named types in full.

        The kind is a type of Avro, "union", or "instant" or "date" for the logical types of the contracts.

        Raises:
            Rare: another logical type that fastavro gives a meaning to.
        """
        if isinstance(node, list):
            return "union", node
        if isinstance(node, str):
            node = self.named.get(node) or {"type": node}
        kind, logical = node["type"], node.get("logicalType")
        if own := _OWN_LOGICAL.get((kind, logical)):
            return own, node
        if f"{kind}-{logical}" in LOGICAL_READERS:
            raise Rare(f"{logical} ({kind})")
        return kind, node


class Code:
    """Lines of Python, the constants they speak of, and what they define."""

    def __init__(self, **scope: Any) -> None:
        self._lines: list[str] = []
        self._scope = scope
        self._depth = 0
        self._names = count(1)

    def line(self, *lines: str) -> None:
        """Adds lines at this depth."""
        self._lines += ["    " * self._depth + line for line in lines]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """What is added inside stands below `head`."""
        self.line(head)
        self._depth += 1
        yield
        self._depth -= 1

    def name(self, kind: str) -> str:
        """A new name that begins like `kind`."""
        word = re.sub(r"^\d|\W", "_", class_name(kind), flags=re.ASCII)
        return f"{word}_{next(self._names)}"

    def constant(self, kind: str, value: Any) -> str:
        """The name under which the code finds `value`."""
        name = self.name(kind)
        self._scope[name] = value
        return name

    def build(self, name: str, title: str) -> Any:
        """Compiles the lines; the function called `name` that they define. Tracebacks show them as file `<title>`."""
        source = "\n".join(self._lines) + "\n"
        file = f"<{title}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), self._scope)  # noqa: S102 - of checked names and repr only
        return self._scope[name]


def classes_of(model: type) -> Classes:
    """The classes of the records and enums that a model is made of, itself among them, by name."""
    found: dict[str, type] = {}

    def visit(kind: inspect.Type) -> None:
        if isinstance(kind, inspect.StructType):
            found[kind.cls.__name__] = kind.cls
            for field in kind.fields:
                visit(field.type)
        elif isinstance(kind, inspect.EnumType):
            found[kind.cls.__name__] = kind.cls
        elif isinstance(kind, inspect.VarTupleType):
            visit(kind.item_type)
        elif isinstance(kind, inspect.UnionType):
            for branch in kind.types:
                visit(branch)

    visit(inspect.type_info(model))
    return found


def class_name(full: str) -> str:
    """The name of the model of the named type with this full name."""
    return full.rpartition(".")[2]
