"""Which Unix account a user's sessions run as, and where that account keeps them. One account is one user.

Below ``root``, which root owns and anybody may pass (0711), each account has a directory of its own name (0700, its
own). Since nobody but root can put another in its place, that directory's owner says for good whose sessions are in it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jupyter_sessions.engines.base import Job
from jupyter_sessions.engines.process import places, rights
from jupyter_sessions.engines.process.accountfiles import AccountFiles
from jupyter_sessions.engines.process.files import OwnFiles
from jupyter_sessions.engines.process.kernelspecs import CannotHonour
from jupyter_sessions.engines.process.sites import Site
from jupyter_sessions.engines.process.workers import Worker
from jupyter_sessions.model.errors import FailedPrecondition

if sys.platform != "win32":
    import pwd

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Session

ROOT = Path("/var/lib/jupyter_sessions/accounts")
SHORT = Path("/run/jupyter_sessions")
"""Where sockets lie whose path would be too long below ``root``."""
FIRST_UID = 1000
"""User ids below are the system's own accounts."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_NOBODY = 65_534
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?")
_NO_LOGIN = ("nologin", "false")


@dataclass(frozen=True)
class Account:
    """One account of this machine; ``groups`` are its supplementary ones, its own included."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str = "/bin/sh"
    groups: tuple[int, ...] = ()

    def environment(self) -> dict[str, str]:
        """Give what its processes begin with: nothing is this process's."""
        runtime = f"/run/user/{self.uid}"
        own = {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell, "PATH": PATH}
        try:
            has_runtime = os.lstat(runtime).st_uid == self.uid
        except OSError:
            has_runtime = False
        return {**own, "LANG": "C.UTF-8", **({"XDG_RUNTIME_DIR": runtime} if has_runtime else {})}

    def popen(self, extra: Mapping[str, str]) -> dict[str, Any]:
        """Give what ``subprocess.Popen`` needs to start a process as this account.

        It begins in ``/``: the directory is entered while still root, which could go where the account may not.
        """
        return {
            "user": self.uid,
            "group": self.gid,
            "extra_groups": list(self.groups),
            "umask": 0o077,
            "cwd": "/",
            "env": {**self.environment(), **extra},
        }


def system_account(name: str) -> Account:
    """Give an account as the system's own directory has it; raises KeyError where there is none."""
    found = pwd.getpwnam(name)
    if found.pw_name != name or pwd.getpwuid(found.pw_uid).pw_name != name:
        raise KeyError(f"{name} is another name of {pwd.getpwuid(found.pw_uid).pw_name}")
    groups = tuple(os.getgrouplist(name, found.pw_gid))
    return Account(name, found.pw_uid, found.pw_gid, found.pw_dir or "/", found.pw_shell or "/bin/sh", groups)


@dataclass
class Accounts:
    """The accounts that sessions run as, and their places. Linux, root.

    A session's owner is the name of an account. Root is never one; neither is a system account (a user id below
    ``FIRST_UID``) unless ``system_accounts``, nor one whose shell lets nobody log in unless ``no_login_accounts``.
    ``short`` is a second place, of short paths, for sockets. ``lookup`` gives an account or raises KeyError. Raises
    FailedPrecondition where this process or ``root`` cannot serve several accounts.
    """

    root: Path = ROOT
    short: Path = SHORT
    system_accounts: bool = False
    no_login_accounts: bool = False
    log_files: int = 3
    lookup: Callable[[str], Account] = system_account
    _files: dict[int, Worker] = field(default_factory=dict, repr=False)
    _root_work: dict[int, Worker] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if why := rights.unsupported():
            raise FailedPrecondition(why)
        try:
            self.root, self.short = (Path(os.path.realpath(place)) for place in (self.root, self.short))
            for place in (self.root, self.short):
                _make_open(place)
            self._remote = places.on_network(self.root)
            # Short-lived processes of accounts are started from this very thread: they see no key of root's.
            rights.fresh_keyring()
        except OSError as error:
            raise FailedPrecondition(f"the accounts' sessions have no place: {error}") from error

    def resolve(self, owner: str) -> Account:
        """Give the account of a session's owner; raises CannotHonour (of ``user``) with why it cannot run here."""
        try:
            if not _NAME.fullmatch(owner):
                raise KeyError(owner)
            account = self.lookup(owner)
        except (KeyError, ValueError):
            raise _refused(f"{owner!r} has no account on this machine, and sessions run as their user's own") from None
        if account.uid <= 0 or account.gid < 0:
            raise _refused(f"sessions never run as {owner!r}, who may do anything on this machine; use another account")
        if account.uid < FIRST_UID and not self.system_accounts:
            raise _refused(f"{owner!r} is a system account (user id {account.uid}); use a person's, or allow them all")
        if os.path.basename(account.shell) in _NO_LOGIN and not self.no_login_accounts:
            raise _refused(
                f"{owner!r} may not log in to this machine (its shell is {account.shell}); allow it to first"
            )
        return account

    def directory(self, session: Session) -> Path:
        """Give where a session's files lie. Touches nothing."""
        return self._home(owner_of(session)) / session.uuid

    def site(self, job: Job) -> Site:
        """Give a session's place as root may touch it; where its account never had any, there is nothing at it."""
        home = self._home(owner_of(job.session))
        try:
            found = os.lstat(home)
            uid, gid = found.st_uid, found.st_gid
        except FileNotFoundError:
            uid, gid = -1, -1
        place = self._place(home, job.uuid, uid)
        files = AccountFiles(self._worker(uid, gid), uid, job.directory, place, self.log_files)
        return Site(job, files, OwnFiles(job.lock_dir), uid, place, self.office(uid))

    def prepare(self, account: Account) -> None:
        """Make an account's directories unless they are there; raises OSError where they are not its own."""
        for folder in (self._home(account.name), self.short / str(account.uid)):
            _make_private(folder, account)

    def office(self, uid: int = -1) -> Worker:
        """Give the thread that does blocking work of this process for one account (-1: for none).

        It starts that account's hosts, which have its keyring and so none of this process's or of another account's.
        """
        return self._root_work.setdefault(uid, Worker(f"work for the sessions of user id {uid}", rights.fresh_keyring))

    async def clear(self, owner: str, session_uuid: str) -> None:
        """Remove what a session keeps in its account's directories; raises OSError where something stays."""
        home = self._home(owner)
        try:
            found = os.lstat(home)
        except FileNotFoundError:
            return
        place = self._place(home, session_uuid, found.st_uid)
        worker = self._worker(found.st_uid, found.st_gid)
        files = AccountFiles(worker, found.st_uid, home / session_uuid, place, self.log_files)
        await self.office(found.st_uid).ask(files.clear)

    def close(self) -> None:
        """Let the threads end."""
        for worker in (*self._files.values(), *self._root_work.values()):
            worker.close()

    def _home(self, owner: str) -> Path:
        # A name that is no account's has no directory; quoted it is none of another's either.
        return self.root / (owner if _NAME.fullmatch(owner) else f"%{quote(owner, safe='')[:200]}")

    def _place(self, home: Path, session_uuid: str, uid: int) -> Path:
        directory = home / session_uuid
        if places.fits(directory) and not self._remote:
            return directory
        return self.short / str(uid) / places.short_name(session_uuid)

    def _worker(self, uid: int, gid: int) -> Worker:
        if uid not in self._files:
            ids = (uid, gid) if uid > 0 else (_NOBODY, _NOBODY)
            self._files[uid] = Worker(f"the files of user id {uid}", lambda: rights.assume(*ids))
        return self._files[uid]


def owner_of(session: Session) -> str:
    """Give whose session it is."""
    return session.user or session.creator


def _refused(why: str) -> CannotHonour:
    return CannotHonour("user", why)


def _make_open(place: Path) -> None:
    """Make a directory that every account may pass and root alone may change, whatever is above it."""
    for folder in (*reversed(place.parents), place):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o711)
            os.chmod(folder, 0o711)  # noqa: S103 - to be passed, not read, whatever the umask
        found = os.stat(folder)
        shared = found.st_mode & 0o022 and not (found.st_mode & stat.S_ISVTX and folder != place)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or shared or not found.st_mode & 0o001:
            raise PermissionError(
                f"{folder} must be a directory of root's that every account may pass and none may change (0711)"
            )


def _make_private(folder: Path, account: Account) -> None:
    """Make an account's directory; its parent is one that root alone can change."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if stat.S_ISDIR(found.st_mode) and found.st_uid == 0:
        # Made by a service that did not live to give it away.
        os.chown(folder, account.uid, account.gid)
        found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid:
        raise PermissionError(
            f"{folder} belongs to user id {found.st_uid}, but account {account.name} has {account.uid}; move it away"
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        os.chmod(folder, 0o700)
