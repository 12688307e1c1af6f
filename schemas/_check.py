"""The gate: models as the schemas say, every change recorded, every version able to read every other of its major."""

from itertools import pairwise, permutations
from pathlib import Path

from schemas._catalogue import CatalogueError, load_catalogue
from schemas._compatibility import incompatibilities
from schemas._finding import Finding
from schemas._generate import models_drifted
from schemas._history import History, Version
from schemas._source import ROOT, Json, SchemaError, Source


def check(root: Path = ROOT) -> list[Finding]:
    """What stands between these contracts and a release, sorted; empty if nothing does."""
    try:
        findings = _check_history(root)
        if models_drifted(root):
            findings.append(
                Finding("models.py", "drift", "is not what the schemas say: run `python -m schemas generate`")
            )
    except SchemaError as error:
        return [Finding(error.where, "schema", error.reason)]
    except (CatalogueError, FileNotFoundError) as error:
        return [Finding("catalogue.yaml", "catalogue", str(error))]
    return sorted(findings)


def record(root: Path = ROOT) -> list[str]:
    """Writes each changed event type into the history as its next version; answers what was written.

    Nothing is written unless all changes are compatible within their major versions.

    Raises:
        SchemaError: the first incompatible change.
    """
    changed = [
        (name, normal, major) for name, normal, major, past in _current(root) if _is_new(normal, major, past)
    ]
    history = History(root)
    for name, normal, major in changed:
        for finding in _incompatible(name, (*history.of(name), _next(history.of(name), normal, major))):
            raise SchemaError(finding.where, finding.message)
    return [str(history.append(name, normal, major).relative_to(root)) for name, normal, major in changed]


def _current(root: Path) -> list[tuple[str, Json, int, tuple[Version, ...]]]:
    source, catalogue, history = Source(root), load_catalogue(root), History(root)
    short = {name: name.rpartition(".")[2] for name in source.events}
    return [
        (
            name,
            source.normal(name),
            catalogue.events[short[name]].major if short[name] in catalogue.events else 1,
            history.of(name),
        )
        for name in sorted(source.events)
    ]


def _is_new(normal: Json, major: int, past: tuple[Version, ...]) -> bool:
    return not past or past[-1].normal != normal or past[-1].major != major


def _next(past: tuple[Version, ...], normal: Json, major: int) -> Version:
    return Version(number=len(past) + 1, major=major, normal=normal)


def _check_history(root: Path) -> list[Finding]:
    findings = []
    for name, normal, major, past in _current(root):
        versions = past
        if _is_new(normal, major, past):
            findings.append(
                Finding(name, "history", "is not recorded as it is now: run `python -m schemas record`")
            )
            versions = (*past, _next(past, normal, major))
        findings += _incompatible(name, versions)
    gone = set(History(root).names()) - set(Source(root).events)
    return findings + [Finding(name, "history", "was published once; its schema must stay") for name in gone]


def _incompatible(name: str, versions: tuple[Version, ...]) -> list[Finding]:
    """FULL_TRANSITIVE: each version of a major reads what each other of it wrote."""
    findings = []
    for earlier, later in pairwise(versions):
        if later.major < earlier.major:
            findings.append(
                Finding(
                    name, "major", f"v{later.number} goes back from major {earlier.major} to {later.major}"
                )
            )
    for reader, writer in permutations(versions, 2):
        if reader.major == writer.major:
            findings += [
                Finding(
                    f"{name}: {problem.where}",
                    "compatibility",
                    f"v{reader.number} cannot read v{writer.number}: {problem.reason}",
                )
                for problem in incompatibilities(reader=reader.normal, writer=writer.normal)
            ]
    return findings
