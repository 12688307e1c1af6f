"""取件码: the code against which a result is handed over. Only its salted hash is kept where it is checked."""

import hashlib
import hmac
import secrets
from typing import Final, NamedTuple

MAX_WRONG_CODES: Final = 5
"""Wrong tries after which a code is blocked until a clerk issues a new one."""

_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # nothing that is misread at a counter
_LENGTH: Final = 8


class CollectionCode(NamedTuple):
    """A new code with what is kept of it: the arguments of `MakeReady`."""

    code: str
    salt: bytes
    code_hash: bytes


def new_collection_code() -> CollectionCode:
    """A random code of 8 characters (40 bits), its salt and hash."""
    code = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    salt = secrets.token_bytes(16)
    return CollectionCode(code, salt, hash_code(code, salt))


def hash_code(code: str, salt: bytes) -> bytes:
    """SHA-256 over salt and code, in the form in which codes are compared: upper case, no blanks.

    It keeps codes out of sight of who reads a ledger; against guessing at the counter the number of tries counts.
    """
    return hashlib.sha256(salt + _plain(code).encode("utf-8", "surrogatepass")).digest()


def code_matches(code: str, salt: bytes, code_hash: bytes) -> bool:
    """Whether this is the code, whatever the time it takes to say so."""
    return hmac.compare_digest(hash_code(code, salt), code_hash)


def _plain(code: str) -> str:
    return "".join(code.split()).upper()
