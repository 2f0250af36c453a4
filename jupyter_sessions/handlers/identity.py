"""Who calls, by the rule of ``creator``: a name made up by Jupyter is the server's owner."""

from __future__ import annotations

import getpass
import os
import re
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from jupyter_sessions.model.api import Caller

if TYPE_CHECKING:
    from jupyter_server.auth import IdentityProvider, User

_MADE_UP_ID = re.compile(r"[0-9a-f]{32}")
_STOCK = "jupyter_server.auth.identity"


def owner_name() -> str:
    """Give the name of the server's owner: ``JUPYTERHUB_USER``, else the name of the OS user."""
    hub = os.environ.get("JUPYTERHUB_USER")
    if hub:
        return hub
    if sys.platform != "win32":
        import pwd

        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return f"uid-{os.getuid()}"
    return getpass.getuser()


def caller_of(user: User | None, provider: IdentityProvider, admins: Collection[str]) -> Caller:
    """Give the caller behind a request's user; ``admins`` are the names that may change every template."""
    name = owner_name() if user is None or made_up(user, provider) else user.username
    return Caller(name=name, admin=name in admins)


def made_up(user: User, provider: IdentityProvider) -> bool:
    """Say whether Jupyter invented this user for a token, a password or no authentication.

    Jupyter's own providers know no users, so each of theirs is invented; another provider may fall back to theirs.
    """
    if type(provider).__module__ == _STOCK:
        return True
    invented = bool(_MADE_UP_ID.fullmatch(user.username)) and (user.name or "").startswith("Anonymous ")
    return invented or user.username == "anonymous"
