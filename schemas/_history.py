"""The committed history of the contracts: every version of every event type that ever went out.

`history/<Type>/v1.avsc`, `v2.avsc`, … hold each version complete, in normal form, with the major version it belongs to as
the property `major`, which is no part of the schema.
"""

import json
from pathlib import Path
from typing import Any

from msgspec import Struct

from schemas._source import NAMESPACE, ROOT, Json, SchemaError, normal_form


class Version(Struct, frozen=True):
    """One version of an event type: its number from 1 on, its major version, the schema in normal form."""

    number: int
    major: int
    normal: dict[str, Any]


class History:
    """The versions under `root`/history."""

    def __init__(self, root: Path = ROOT) -> None:
        self._folder = root / "history"

    def names(self) -> list[str]:
        """Full names of all event types that have a history."""
        return sorted(f"{NAMESPACE}.{path.name}" for path in self._folder.glob("*") if path.is_dir())

    def of(self, name: str) -> tuple[Version, ...]:
        """All versions of the event type with this full name, oldest first; none if it was never recorded.

        Raises:
            SchemaError: a file that is no schema of this type, or a number that is missing.
        """
        folder = self._folder / _short(name)
        paths = sorted(folder.glob("v*.avsc"), key=lambda path: (len(path.stem), path.stem))
        return tuple(self._read(path, number, name) for number, path in enumerate(paths, start=1))

    def append(self, name: str, normal: Json, major: int) -> Path:
        """Writes the next version of an event type; answers where."""
        path = self._folder / _short(name) / f"v{len(self.of(name)) + 1}.avsc"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"major": major} | normal, indent=1, ensure_ascii=False) + "\n", "utf-8")
        return path

    def _read(self, path: Path, number: int, name: str) -> Version:
        where = f"history/{path.parent.name}/{path.name}"
        if path.name != f"v{number}.avsc":
            raise SchemaError(where, f"v{number}.avsc is expected before it: versions have no gaps")
        try:
            written = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise SchemaError(where, f"is not JSON: {error}") from error
        normal = normal_form(written, where=where)
        major = written.get("major") if isinstance(written, dict) else None
        if not isinstance(major, int) or normal.get("name") != name:
            raise SchemaError(where, f"must be a schema of {name} with its major version")
        return Version(number=number, major=major, normal=normal)


def _short(name: str) -> str:
    return name.rpartition(".")[2]
