"""The catalogue: who may send which event where, what answers it, and which of its fields are personal.

`catalogue.yaml` names the stages, the other destinations and the event types. An event's `routes` are pairs: from a stage,
`any` stage, `local` (a local system) or `intake` (the node's side of the intake topics) to a stage or a destination.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from msgspec import Meta, Struct

from schemas._source import NAMESPACE, ROOT

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # a PyYAML built without libyaml: slower, otherwise the same
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

ANY_STAGE = "any"
LOCAL = "local"
INTAKE = "intake"
INTAKE_REPLIES = "intake-replies"
CONTROL = "control"
SUPERVISION = "supervision"


class CatalogueError(ValueError):
    """A catalogue that cannot be used. The message names the place and what would be right."""


class Route(Struct, frozen=True, forbid_unknown_fields=True, rename={"sender": "from", "inbox": "to"}):
    """One way an event may go."""

    sender: str
    inbox: str


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """What the catalogue says of one event type."""

    routes: Annotated[tuple[Route, ...], Meta(min_length=1)]
    replies: tuple[str, ...]
    personal: tuple[str, ...]
    """Dotted paths of the fields with personal data; a record's path stands for all that is in it."""
    major: Annotated[int, Meta(ge=1)] = 1
    """Major version of the contract: within one, all versions can read each other."""


class Catalogue(Struct, frozen=True, forbid_unknown_fields=True):
    """All event types by short name. Types may be asked for by full name too."""

    version: int
    stages: tuple[str, ...]
    destinations: tuple[str, ...]
    events: dict[str, Entry]

    def entry(self, type_name: str) -> Entry:
        """What is said of an event type.

        Raises:
            KeyError: it is not in the catalogue.
        """
        return self.events[type_name.removeprefix(f"{NAMESPACE}.")]

    def may_send(self, type_name: str, from_stage: str, to_stage: str) -> bool:
        """Whether `from_stage` may send such an event to that stage's inbox or other destination; unknown types: no."""
        entry = self.events.get(type_name.removeprefix(f"{NAMESPACE}."))
        return entry is not None and any(
            route.inbox == to_stage and from_stage in self.senders(route) for route in entry.routes
        )

    def may_reply(self, type_name: str, reply: str) -> bool:
        """Whether `reply` is an allowed answer to an event of this type."""
        return reply.removeprefix(f"{NAMESPACE}.") in self.entry(type_name).replies

    def personal_paths(self, type_name: str) -> tuple[str, ...]:
        """Dotted paths of the personal fields of an event type; through arrays without a mark.

        Raises:
            KeyError: it is not in the catalogue.
        """
        return self.entry(type_name).personal

    def senders(self, route: Route) -> tuple[str, ...]:
        """Who may use a route: its sender, or all stages."""
        return self.stages if route.sender == ANY_STAGE else (route.sender,)


def load_catalogue(root: Path = ROOT) -> Catalogue:
    """The catalogue under `root`.

    Raises:
        CatalogueError: not to be read as one; names the line or the path.
    """
    text = (root / "catalogue.yaml").read_text("utf-8")
    try:
        _refuse_repeated_keys(yaml.compose(text, _Loader))
        return msgspec.yaml.decode(text, type=Catalogue)
    except (yaml.YAMLError, msgspec.DecodeError) as error:
        raise CatalogueError(f"catalogue.yaml: {error}") from error


def _refuse_repeated_keys(node: yaml.Node | None) -> None:
    """YAML readers keep the last of two equal keys in silence."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise CatalogueError(
                    f"catalogue.yaml: line {key.start_mark.line + 1}: {key.value} stands here twice"
                )
            seen.add(key.value)
            _refuse_repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item)
