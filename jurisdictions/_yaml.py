"""YAML as offices write it: no scalar surprises, no key twice."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as _Base
except ImportError:  # a PyYAML built without libyaml: slower, otherwise the same
    from yaml import SafeLoader as _Base  # type: ignore[assignment]


class _Loader(_Base):
    """Only true/false, null and whole numbers of up to five digits are more than text.

    So 430100 or 0012 is a code, 13:00:00 a time and `no` a word, with or without quotes.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - inherited
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                problem = f"the key {key.value!r} stands there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("int", r"0|[1-9][0-9]{0,4}", "0123456789"),
    ("null", r"null|~|", ["n", "~", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), list(_first))


def read_yaml(text: str) -> Any:
    """The content of one document.

    Raises:
        yaml.YAMLError: not YAML, or a key stands twice in one mapping.
    """
    return yaml.load(text, _Loader)  # noqa: S506 - a safe loader
