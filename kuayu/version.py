"""What decides how an event is judged: the program, its contracts and its directory."""

import hashlib
from importlib.metadata import PackageNotFoundError, version

from jurisdictions import Directory
from schemas import Schemas


def judging_version(directory: Directory, schemas: Schemas) -> str:
    """A name for the three together, for people too: `0.1.0 directory 2026.1 contracts 1f0c9a2b`."""
    try:
        program = version("kuayu")
    except PackageNotFoundError:  # run from its source, not installed
        program = "0"
    contracts = hashlib.sha256(b"".join(schema.digest for schema in schemas)).hexdigest()[:8]
    return f"{program} directory {directory.version} contracts {contracts}"
