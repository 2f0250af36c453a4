"""The directories of sessions: made, named, removed. What is no coroutine here blocks and is called off the loop."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_sessions.engines.process.places import on_network, private_directory
from jupyter_sessions.model.hostfile import LOG_DIR, write_private

if TYPE_CHECKING:
    from jupyter_sessions.engines.process.accounts import Accounts
    from jupyter_sessions.model.resources import Session

OWNER = "store"
"""A file in each session's directory: the uuid of the store it belongs to."""
ACCOUNT = "account"
"""A file there where sessions run as their owners' accounts: the owner's name."""


@dataclass
class Directories:
    """The sessions' directories under one data directory, for one store (whose uuid is set once it is open).

    With ``accounts`` a session's host has a directory of its account's elsewhere; the one here stays this service's
    own, with its lock and its books.
    """

    data_dir: Path
    store_uuid: str = ""
    accounts: Accounts | None = None

    @property
    def root(self) -> Path:
        """Where the sessions' directories are."""
        return self.data_dir / "sessions"

    def of(self, session_uuid: str) -> Path:
        """Name a session's own directory."""
        return self.root / session_uuid

    def of_host(self, session: Session) -> Path:
        """Name the directory that a session's host has."""
        return self.of(session.uuid) if self.accounts is None else self.accounts.directory(session)

    def log_uri(self, session: Session) -> str:
        """Give the ``file://`` URI of the directory of a session's log."""
        return (self.of_host(session) / LOG_DIR).absolute().as_uri()

    def lock_dir(self, session_uuid: str) -> Path:
        """Choose where a new session's locks lie: its directory, or on a network file system a local one."""
        return private_directory(session_uuid) if on_network(self.data_dir) else self.of(session_uuid)

    def make(self, session_uuid: str, lock_dir: Path, account: str = "") -> None:
        """Make a session's directories unless they are there, 0700 and ours; raises OSError.

        ``account`` is its owner's name; with ``accounts`` it is written down, for whoever finds what was left.
        """
        directory = self.of(session_uuid)
        for folder in (self.root, directory, lock_dir.parent, lock_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(lock_dir)
        if lock_dir != directory:
            # Under the temporary directory: whoever owned its parent could put another in its place.
            check_private(lock_dir.parent)
        owner = directory / OWNER
        if not owner.exists():
            if self.accounts is not None:
                write_private(directory / ACCOUNT, account, durable=False)
            write_private(owner, self.store_uuid, durable=False)

    async def clear(self, session_uuid: str, account: str) -> None:
        """Remove what a session has in its account's directories, before its own; raises OSError where some stays."""
        if self.accounts is not None:
            await self.accounts.clear(account, session_uuid)

    def account(self, session_uuid: str) -> str:
        """Give whose a session was that has no row any more, ``""`` where it is not known; raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            return (self.of(session_uuid) / ACCOUNT).read_text(encoding="utf-8")
        return ""

    def remove(self, session_uuid: str, lock_dir: Path) -> None:
        """Remove a session's directories whole; raises OSError where something stays."""
        directory = self.of(session_uuid)
        sockets = _socket_dir(directory, session_uuid)
        for folder in {folder for folder in (directory, lock_dir, sockets) if folder is not None}:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)

    def leftovers(self, known: Collection[str]) -> Iterator[str]:
        """Give the uuids of directories that carry this store's uuid and belong to no session of ``known``."""
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.root):
                if entry.name not in known and entry.is_dir(follow_symlinks=False) and self._ours(Path(entry.path)):
                    yield entry.name

    def _ours(self, directory: Path) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return (directory / OWNER).read_text(encoding="utf-8") == self.store_uuid
        with contextlib.suppress(OSError, ValueError, AttributeError):
            intent = json.loads((directory / "intent.json").read_text(encoding="utf-8"))
            return bool(intent.get("store_uuid") == self.store_uuid)
        return False


def check_private(folder: Path) -> None:
    """Raise PermissionError unless ``folder`` is a directory of this account that nobody else may enter."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a directory of this account with mode 0700")


def _socket_dir(directory: Path, session_uuid: str) -> Path | None:
    """Give a session's socket directory where it is one of its own outside its directory."""
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError, KeyError):
        folder = Path(json.loads((directory / "intent.json").read_text(encoding="utf-8"))["socket_dir"])
        named = folder.name == session_uuid.replace("-", "")[:16] and folder.parent.name.startswith("jupyter-sessions-")
        if named and folder.lstat().st_uid == os.getuid():
            return folder
    return None
