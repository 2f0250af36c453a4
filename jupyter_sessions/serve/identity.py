"""Who may use the service: users of hashed tokens, or of a configured identity provider."""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import pwd
import re
import secrets
import stat
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_server.auth import IdentityProvider, User

from jupyter_sessions.handlers.identity import made_up
from jupyter_sessions.model.api import Caller
from jupyter_sessions.model.errors import PermissionDenied
from jupyter_sessions.serve.settings import Refused

if TYPE_CHECKING:
    from tornado.web import RequestHandler

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


KNOWN_SECONDS = 60.0
"""How long an account that was found is taken to be there."""


def check_provider(provider: IdentityProvider) -> None:
    """Raise Refused for a configured identity provider that cannot tell who may use the service."""
    kind = type(provider).__name__
    if not provider.auth_enabled:
        raise Refused(f"{kind} lets anybody in as it is configured; give it a token or a password, or use --tokens")
    if os.geteuid() == 0 and type(provider).__module__ == "jupyter_server.auth.identity":
        raise Refused(
            f"{kind} knows that somebody has logged in, not who, and as root this service runs each user's sessions as "
            "their own account. Use --tokens, or an identity provider that names its users by their accounts"
        )


def account() -> str:
    """Give the name of the account that this process runs as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid-{os.geteuid()}"


class TokenUsers(Protocol):
    """Whose token is whose."""

    def user(self, token: str) -> str | None:
        """Give the user whose token this is, None for nobody's."""


class OwnToken:
    """One token of one user: the one kept in ``path`` by an earlier start, else a new one.

    A file that others may read, or that holds no such token, is not believed: ``keep`` replaces it.
    """

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path
        self.token = _kept(path) or secrets.token_urlsafe(32)

    def user(self, token: str) -> str | None:
        """Give the user if this is their token."""
        pair = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (token, self.token))
        return self._name if hmac.compare_digest(*pair) else None

    def keep(self) -> None:
        """Write the token to its file, which only this account can read; raises OSError."""
        path = self._path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as out:
            out.write(self.token + "\n")
        fresh.replace(path)


def _kept(path: Path) -> str:
    """Read a token that only this account could have written, ``""`` where there is none."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="ascii") as file:
            state = os.fstat(file.fileno())
            private = stat.S_ISREG(state.st_mode) and not state.st_mode & 0o077 and state.st_uid == os.geteuid()
            text = file.read(100).strip() if private else ""
    except (OSError, ValueError):
        return ""
    return text if _TOKEN.fullmatch(text) else ""


class TokenIdentityProvider(IdentityProvider):
    """Users by the token in ``Authorization: Bearer TOKEN`` (or ``token TOKEN``), on websockets too.

    Never by a cookie or by the URL: what a browser sends by itself, and what lands in logs, is no credential here.
    ``known`` says whose token is whose; it is set once, before the first request.
    """

    known: TokenUsers | None = None

    @property
    def login_available(self) -> bool:
        """There is no page to log in on."""
        return False

    @property
    def logout_available(self) -> bool:
        """There is nothing to log out of."""
        return False

    async def get_user(self, handler: RequestHandler) -> User | None:
        """Give the user of the request's token, None without one or with nobody's."""
        given = self.auth_header_pat.fullmatch(handler.request.headers.get("Authorization", "").strip())
        name = self.known.user(given[2]) if given and self.known is not None else None
        if name is None:
            return None
        # What Jupyter's rules for XSRF and origins ask for: no browser sends this header by itself.
        handler._token_authenticated = True  # type: ignore[attr-defined]
        return User(username=name)

    def set_login_cookie(self, handler: RequestHandler, user: User) -> None:
        """Set none."""

    def get_user_cookie(self, handler: RequestHandler) -> User | None:
        """Read none."""
        return None


@dataclass(frozen=True)
class Users:
    """Whom the service serves: ``several`` accounts, or ``own`` alone. ``token`` is the one made at the start."""

    provider: IdentityProvider
    several: bool
    own: str
    token: OwnToken | None = None

    @cached_property
    def refusal(self) -> Callable[[str], str]:
        """What says in words why a user cannot be served, ``""`` where they can."""
        return OfThisMachine() if self.several else only(self.own)


@dataclass(frozen=True)
class Admission:
    """Which authenticated users are served.

    One account of this machine is one user. ``own`` is the account that the service runs as; ``refusal`` says in words
    why a user cannot have sessions here (``""``: they can).
    """

    own: str
    refusal: Callable[[str], str]

    def __call__(self, user: Any, provider: IdentityProvider, admins: Collection[str]) -> Caller:
        """Give the caller behind a request's user; raises PermissionDenied for one who is not served."""
        known = isinstance(provider, TokenIdentityProvider) or not made_up(user, provider)
        name = user.username if known else self.own
        if not known and os.geteuid() == 0:
            raise PermissionDenied(
                "the identity provider made this user up: it knows who has logged in, not who they are. Configure one "
                "that names its users by their accounts on this machine"
            )
        if why := self.refusal(name):
            raise PermissionDenied(why)
        return Caller(name=name, admin=name in admins)


def only(own: str) -> Callable[[str], str]:
    """Refuse every user but one, whose account the service runs as."""

    def refusal(name: str) -> str:
        return "" if name == own else only_words(own, name)

    return refusal


class OfThisMachine:
    """Refuses a user who has no account on this machine, for a service that is root and starts each user's as theirs.

    That somebody has one is remembered for a minute: a directory of users may be far away. ``clock`` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: dict[str, float] = {}

    def __call__(self, name: str) -> str:
        """Say why a user is refused, ``""`` where they are not."""
        now = self._clock()
        if now - self._found.get(name, -math.inf) < KNOWN_SECONDS:
            return ""
        try:
            pwd.getpwnam(name)
        except (KeyError, ValueError):
            self._found.pop(name, None)
            return (
                f"{name!r} has no account on this machine, and a user's sessions run as their own account. Have one "
                "made, or have the identity provider name its users by their accounts"
            )
        self._found[name] = now
        return ""


def only_words(own: str, name: str) -> str:
    """Say why a second user is refused."""
    start = "Start it as root" if os.geteuid() != 0 else "Name them at its start (--tokens)"
    return (
        f"this service runs as the account {own} and serves that user alone: sessions of {name!r} would run as {own} "
        f"and could read each other's files. {start} to serve several accounts, or start one service for each"
    )
