"""Who calls: API keys of systems and of clerks, roles, and browser sessions.

A key is 256 random bits; only its SHA-256 is stored. Digests of random keys tell nothing about them, so finding one in
a dictionary by its digest leaks nothing by its timing.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit

import msgspec
from fastapi import Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from yaml import YAMLError

from jurisdictions import read_yaml
from web.problems import Problem

COOKIE = "kuayu_session"
SESSION_SECONDS = 12 * 3600
"""A working day; then the key has to be given again."""
KEY_PREFIX = "kuayu_"
"""So that scanners for leaked secrets can know a key."""

_CALLER = re.compile(r"[a-z]+:[A-Za-z0-9._-]+(@[0-9]{6})?")
_DIGEST = re.compile("[0-9a-f]{64}")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Role(StrEnum):
    """What a caller may do."""

    SUBMIT = "submit"
    REVIEW = "review"
    PICKUP = "pickup"
    OPERATE = "operate"
    READ = "read"


class Caller(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A system or a person with a key. `caller` is the actor of its acts: system:zz-hall, clerk:li@430200."""

    caller: str
    name: str
    jurisdiction: str
    roles: frozenset[Role]
    sha256: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    callers: tuple[Caller, ...]


class KeysError(ValueError):
    """The file of keys can't be used; the message names the place and what would be right."""


class Callers:
    """All who may call this node. Immutable."""

    def __init__(self, callers: Sequence[Caller] = ()) -> None:
        self._by_digest: dict[str, Caller] = {}
        names: set[str] = set()
        for entry in callers:
            if not _CALLER.fullmatch(entry.caller):
                raise KeysError(f"caller {entry.caller}: not like system:zz-hall or clerk:li@430200")
            if not _DIGEST.fullmatch(entry.sha256):
                raise KeysError(f"caller {entry.caller}: sha256 is not 64 lower-case hexadecimal digits")
            if entry.caller in names or entry.sha256 in self._by_digest:
                raise KeysError(f"caller {entry.caller}: stands here twice, or shares its key with another")
            names.add(entry.caller)
            self._by_digest[entry.sha256] = entry

    @classmethod
    def load(cls, path: Path) -> "Callers":
        """The callers in a YAML file: `callers: [{caller, name, jurisdiction, roles, sha256}]`.

        Raises:
            KeysError: not such a file.
            OSError: it can't be read.
        """
        try:
            return cls(msgspec.convert(read_yaml(path.read_text("utf-8")), _File).callers)
        except (YAMLError, UnicodeDecodeError, msgspec.ValidationError, KeysError) as error:
            raise KeysError(f"{path}: {' '.join(str(error).split())}") from error

    def find(self, key: str) -> Caller | None:
        """Whose key this is; None if nobody's."""
        return self._by_digest.get(digest_of(key))


def digest_of(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def new_key() -> tuple[str, str]:
    """A new key, shown once, and the digest to be stored."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, digest_of(key)


class Sessions:
    """Browsers that have given a key. In memory: after a restart it is given again."""

    def __init__(self) -> None:
        self._sessions: dict[str, tuple[Caller, float]] = {}

    def open(self, caller: Caller) -> str:
        """A new session; gives its token, the cookie's value."""
        now = time.monotonic()
        self._sessions = {token: kept for token, kept in self._sessions.items() if kept[1] > now}
        token = secrets.token_urlsafe(32)
        self._sessions[token] = (caller, now + SESSION_SECONDS)
        return token

    def find(self, token: str) -> Caller | None:
        """Whose session it is; None if it is none, or over."""
        caller, until = self._sessions.get(token, (None, 0.0))
        return caller if until > time.monotonic() else None

    def close(self, token: str) -> None:
        self._sessions.pop(token, None)


_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="API key")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="apiKey")
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, scheme_name="session")


def require(*roles: Role) -> Callable[..., Awaitable[Caller]]:
    """A dependency for APIs: the caller, who has one of these roles (any role if none is named).

    The key comes as `Authorization: Bearer` or `X-API-Key`; a page's own requests come with its session.
    Answers 401 without a valid key, 403 with one that lacks the role.
    """
    # Asynchronous, though it waits for nothing: FastAPI hands other functions to a thread, which costs more than this one.

    async def caller(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
        header: Annotated[str | None, Security(_header)],
        cookie: Annotated[str | None, Security(_cookie)],
    ) -> Caller:
        key = bearer.credentials if bearer else header
        found: Caller | None = None
        if key is not None:
            found = request.app.state.context.callers.find(key)
        elif cookie:
            found = request.app.state.sessions.find(cookie)
            check_same_origin(request)
        if found is None:
            raise Problem(
                401,
                "unauthenticated",
                "请提供有效的接口密钥 / give a valid key: Authorization: Bearer, or X-API-Key",
                headers={"WWW-Authenticate": 'Bearer realm="kuayu"'},
            )
        _check_role(found, roles)
        return found

    return caller


class LoginNeeded(Exception):
    """A page that needs a session was asked for without one: the browser is sent to the login form."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.location = f"/login?next={quote(path)}"


def signed_in(*roles: Role) -> Callable[..., Awaitable[Caller]]:
    """A dependency for pages: as `require`, but by session alone, and who has none is sent to /login."""

    async def caller(request: Request) -> Caller:
        found: Caller | None = request.app.state.sessions.find(request.cookies.get(COOKIE, ""))
        if found is None:
            raise LoginNeeded(request.url.path if request.method == "GET" else "/")
        check_same_origin(request)
        _check_role(found, roles)
        return found

    return caller


def _check_role(caller: Caller, roles: Sequence[Role]) -> None:
    if roles and caller.roles.isdisjoint(roles):
        names = ", ".join(roles)
        raise Problem(403, "forbidden", f"需要以下角色之一 / one of these roles is needed: {names}")


def check_same_origin(request: Request) -> None:
    """Refuse what another site made the browser send. Cookies are SameSite=Strict; this holds where that does not.

    Raises:
        Problem: 403, an unsafe request that does not come from one of our own pages.
    """
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("origin")
    if origin is None or urlsplit(origin).netloc != request.headers.get("host"):
        raise Problem(403, "forbidden", "请求来自其他网站 / the request comes from another site")
