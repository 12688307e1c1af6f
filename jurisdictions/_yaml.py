"""YAML as offices write it: no scalar surprises, no key twice, and nothing that means more than it shows.

Built from the parser's events: libyaml's own composer ends the whole process when brackets stand too deep.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

try:
    from yaml import CBaseLoader as _Loader
except ImportError:  # a PyYAML built without libyaml: slower, otherwise the same
    from yaml import BaseLoader as _Loader  # type: ignore[assignment]

MAX_DEPTH: Final = 50
"""Lists and mappings within one another."""
_WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_NUMBER: Final = re.compile("0|[1-9][0-9]{0,4}")


def read_yaml(text: str) -> Any:
    """The content of one document: mappings, lists and texts.

    Only true/false, null and whole numbers of up to five digits are more than text. So 430100 or 0012 is a code,
    13:00:00 a time and `no` a word, with or without quotes. Anchors and tags are refused: with them a small file
    could unfold to a huge one, and a value be something else than it looks.

    Raises:
        yaml.YAMLError: not YAML, a key stands twice in one mapping, or something that is refused.
    """
    events = (event for event in yaml.parse(text, _Loader) if not isinstance(event, _FRAME))
    first = next(events, None)
    if first is None:
        return None
    found = _value(first, events, 0)
    for more in events:
        raise _wrong("a second document begins", more)
    return found


_FRAME: Final = (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)


def _value(event: Any, events: Iterator[Any], depth: int) -> Any:
    if event.anchor is not None:
        raise _wrong("an anchor (& or *) stands here; write it out", event)
    if event.tag is not None:
        raise _wrong("a tag (!) stands here; leave it out", event)
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if depth == MAX_DEPTH:
        raise _wrong("it is nested too deeply", event)
    if isinstance(event, yaml.SequenceStartEvent):
        return [_value(item, events, depth + 1) for item in _until(yaml.SequenceEndEvent, events)]
    found: dict[str, Any] = {}
    for key in _until(yaml.MappingEndEvent, events):
        if not isinstance(key, yaml.ScalarEvent):
            raise _wrong("the key is no text", key)
        if key.value in found:
            raise _wrong(f"the key {key.value[:80]!r} stands there twice", key)
        found[key.value] = _value(next(events), events, depth + 1)
    return found


def _until(end: type[yaml.Event], events: Iterator[Any]) -> Iterator[Any]:
    while not isinstance(event := next(events), end):
        yield event


def _scalar(event: yaml.ScalarEvent) -> Any:
    text = event.value
    if event.style:  # quoted, or a block
        return text
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _NUMBER.fullmatch(text) else text


def _wrong(problem: str, event: Any) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, event.start_mark)
