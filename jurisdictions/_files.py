"""The data files: which there are, what stands in each, and reading them strictly."""

from datetime import date
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
import yaml
from msgspec import Meta, Struct

from jurisdictions._calendar import CalendarYear
from jurisdictions._errors import Invalid
from jurisdictions._model import (
    Agreement,
    AreaCode,
    Jurisdiction,
    Level,
    Limit,
    Mode,
    Regime,
    Required,
    Result,
    Serves,
    Sources,
)
from jurisdictions._yaml import read_yaml

PACKAGED: Final = Path(__file__).parent / "data"

Version = Annotated[str, Meta(pattern=r"^[0-9]{4}\.[0-9]+$")]
BasicCode = Annotated[str, Meta(pattern=r"^[0-9A-Z]{12}$")]
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class JurisdictionsFile(Struct, frozen=True, forbid_unknown_fields=True):
    """jurisdictions.yaml."""

    version: Version
    jurisdictions: tuple[Jurisdiction, ...]


class Name(Struct, frozen=True, forbid_unknown_fields=True):
    """A name in both languages."""

    name_zh: Text
    name_en: Text


class ItemRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """One version of one basic item in items.yaml."""

    basic_code: BasicCode
    version: Annotated[int, Meta(ge=1)]
    since: date
    name_zh: Text
    name_en: Text
    authority: str
    regime: Regime
    statutory: Limit | None
    promised: Limit | None
    materials: dict[str, Required]
    result: Result
    modes: Annotated[tuple[Mode, ...], Meta(min_length=1)]
    instant: bool
    reviewed_at: Annotated[tuple[Level, ...], Meta(min_length=1)]
    serves: Annotated[tuple[Serves, ...], Meta(min_length=1)]
    sources: Sources


class ItemsFile(Struct, frozen=True, forbid_unknown_fields=True):
    """items.yaml."""

    version: Version
    authorities: dict[str, Name]
    materials: dict[str, Name]
    items: tuple[ItemRecord, ...]


class BodiesFile(Struct, frozen=True, forbid_unknown_fields=True):
    """bodies.yaml: owner → authority → unified social credit code."""

    version: Version
    bodies: dict[AreaCode, dict[str, str]]


class AgreementsFile(Struct, frozen=True, forbid_unknown_fields=True):
    """agreements.yaml."""

    version: Version
    agreements: tuple[Agreement, ...]


_File = TypeVar("_File", bound=Struct)


def calendar_files(folder: Path) -> list[Path]:
    """The calendar files of a data folder, calendar-YYYY.yaml, in order of their years."""
    return sorted(folder.glob("calendar-*.yaml"))


def read_file(path: Path, schema: type[_File]) -> _File:
    """One file, checked against its schema.

    Raises:
        Invalid: missing, not YAML, or not what the schema says; the field names file and place.
    """
    try:
        return msgspec.convert(read_yaml(path.read_text("utf-8")), schema)
    except FileNotFoundError:
        raise Invalid(path.name, "does not exist", f"the file in {path.parent}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Invalid(path.name, f"is not YAML: {error}", "YAML in UTF-8") from error
    except msgspec.ValidationError as error:
        raise Invalid(path.name, str(error), "what the file's own comments describe") from error


class Folder(Struct, frozen=True):
    """A whole data folder, each file checked by itself but not against the others."""

    jurisdictions: JurisdictionsFile
    items: ItemsFile
    bodies: BodiesFile
    agreements: AgreementsFile
    calendars: tuple[CalendarYear, ...]


def read_folder(folder: Path) -> Folder:
    """All files of a data folder.

    Raises:
        Invalid: a file is missing or broken.
    """
    return Folder(
        jurisdictions=read_file(folder / "jurisdictions.yaml", JurisdictionsFile),
        items=read_file(folder / "items.yaml", ItemsFile),
        bodies=read_file(folder / "bodies.yaml", BodiesFile),
        agreements=read_file(folder / "agreements.yaml", AgreementsFile),
        calendars=tuple(read_file(path, CalendarYear) for path in calendar_files(folder)),
    )


def write_folder(data: Folder, folder: Path) -> None:
    """Write all files of a data folder, which must exist, as `read_folder` reads them; comments are not kept."""
    files: dict[str, Struct] = {
        "jurisdictions": data.jurisdictions,
        "items": data.items,
        "bodies": data.bodies,
        "agreements": data.agreements,
    }
    files |= {f"calendar-{calendar.year}": calendar for calendar in data.calendars}
    for name, content in files.items():
        (folder / f"{name}.yaml").write_bytes(msgspec.json.encode(content))  # JSON is YAML
