"""What an error means for who met it: something is away, one item is at fault, or going on would be guessing."""

import traceback
from enum import Enum
from pathlib import Path

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError

from bus.envelope import Envelope
from bus.errors import Fenced
from bus.sending import CannotSendError
from bus.transport import TransportError
from schemas import BadPayload, NewerContract, UnknownSchema


class Failure(Enum):
    """The three classes; each has one answer."""

    AWAY = "away"
    """Transient: pause, with doubling patience; nothing advances."""
    OWN = "own"
    """Of one item (an event, an act, a timer): it is set aside with its case, all others go on."""
    FATAL = "fatal"
    """Stop loudly: one critical log line, exit code 1."""


_SQLITE_FATAL = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_MISUSE", "SQLITE_AUTH", "SQLITE_RANGE")
"""Result codes (sqlite.org/rescode.html), and those that extend them, that no waiting will change."""
_SQLITE_GENERAL = "SQLITE_ERROR"
"""A statement that can't be: a table or column is missing."""
_POSTGRESQL_OWN = ("22", "23", "54")
"""SQLSTATE classes: data exception, integrity constraint violation, program limit exceeded (a key too long to index)."""
_POSTGRESQL_FATAL = ("XX001", "XX002")
"""SQLSTATE: data corrupted, index corrupted."""


def classify(error: BaseException) -> Failure:
    """The class of an error met while a batch was made up or written, or by one of the bus's threads."""
    match error:
        case Fenced():
            return Failure.FATAL
        case TransportError():
            return Failure.AWAY
        case DBAPIError():
            return _of_database(error)
        case Exception():
            return Failure.OWN
        case _:
            return Failure.FATAL


def _of_database(error: DBAPIError) -> Failure:
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if isinstance(error, DataError | IntegrityError) or state[:2] in _POSTGRESQL_OWN:
        return Failure.OWN
    name = str(getattr(error.orig, "sqlite_errorname", ""))
    if name:
        hopeless = name == _SQLITE_GENERAL or name.startswith(_SQLITE_FATAL)
        return Failure.FATAL if hopeless else Failure.AWAY
    if state in _POSTGRESQL_FATAL or isinstance(error, ProgrammingError | NotSupportedError):
        return Failure.FATAL
    return Failure.AWAY


def why_held(envelope: Envelope, error: Exception) -> tuple[str, str, str, str]:
    """Status, code, reason and what is awaited, of an event that met this error."""
    match error:
        case NewerContract():
            return "waiting", "contract", str(error), f"contract:{envelope.type}"
        case UnknownSchema():
            return "waiting", "schema", str(error), f"schema:{envelope.digest.hex()}"
        case BadPayload():
            return "parked", "undecodable", str(error), ""
        case CannotSendError():
            return "parked", error.code, str(error), ""
        case _:
            return "parked", "handler_error", place_of(error), ""


def place_of(error: BaseException) -> str:
    """What failed and where, without its message, which may repeat personal data (law 10)."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + where
