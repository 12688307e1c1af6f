"""Events as operators may see them: what the catalogue marks as personal is not shown."""

from collections.abc import Sequence
from typing import Any

MASK = "***"


def masked(data: Any, paths: Sequence[str]) -> Any:
    """A copy of plain data in which the fields at these dotted paths say `MASK`; paths lead through lists.

    What is null stays so: that nothing was said is not personal.
    """
    for path in paths:
        data = _masked(data, path.split("."))
    return data


def _masked(data: Any, path: Sequence[str]) -> Any:
    if data is None:
        return None
    if not path:
        return MASK
    if isinstance(data, list):
        return [_masked(element, path) for element in data]
    if isinstance(data, dict) and path[0] in data:
        return data | {path[0]: _masked(data[path[0]], path[1:])}
    return data
