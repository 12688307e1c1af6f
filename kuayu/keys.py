"""Making API keys: the key is shown once, the file keeps its SHA-256 only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from jurisdictions import read_yaml
from web import Callers, new_key


def add_key(file: Path, *, caller: str, name: str, jurisdiction: str, roles: Sequence[str]) -> str:
    """Add a caller to the keys file and return its key.

    Raises:
        web.KeysError: the file, with or without the new caller in it, is not a valid keys file; it is left as it was.
    """
    before = None
    known: dict[str, Any] = {"callers": []}
    if file.exists():
        Callers.load(file)
        before = file.read_text(encoding="utf-8")
        known = read_yaml(before)
    key, digest = new_key()
    known["callers"].append(
        {"caller": caller, "name": name, "jurisdiction": jurisdiction, "roles": list(roles), "sha256": digest}
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(known, allow_unicode=True, sort_keys=False), encoding="utf-8")
    try:
        Callers.load(file)
    except Exception:
        if before is None:
            file.unlink()
        else:
            file.write_text(before, encoding="utf-8")
        raise
    return key
