"""What every page and API of a node works on; made once, by the program."""

from dataclasses import dataclass

from bus import Engine
from jurisdictions import Directory
from schemas import Catalogue, Schemas
from web.auth import Callers


@dataclass(frozen=True)
class Context:
    """One node, as its pages and APIs see it."""

    code: str
    """The jurisdiction, six digits."""
    stages: tuple[str, ...]
    """The stages this process covers: acceptance, review, pickup."""
    engine: Engine
    directory: Directory
    schemas: Schemas
    catalogue: Catalogue
    callers: Callers
