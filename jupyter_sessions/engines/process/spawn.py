"""Starts hosts as processes of their own and, for those this server started, knows how they ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_sessions.engines.process.files import Files, read_record, write_record
from jupyter_sessions.model.hostfile import MARK, End, Intent, Ready

if TYPE_CHECKING:
    from jupyter_sessions.engines.process.accounts import Account
    from jupyter_sessions.engines.process.sites import Site

R = TypeVar("R", Intent, Ready, End)

LOCKED_STATUS = 3
"""Exit status of a host that found another one alive."""

_EXIT_SECONDS = 1.0
_REMOVED = frozenset({"JUPYTER_TOKEN"})
_REMOVED_PREFIXES = ("JUPYTER_GATEWAY_", "JUPYTERHUB_", "JPY_")


def kernel_environment(environ: Mapping[str, str], withheld: Collection[str] = ()) -> dict[str, str]:
    """Give what a local kernel would get, minus what is the server's own: its secrets and what is ``withheld``."""
    return {
        name: value
        for name, value in environ.items()
        if name not in _REMOVED and name not in withheld and not name.startswith(_REMOVED_PREFIXES)
    }


def host_environment(environ: Mapping[str, str], mark: str, withheld: Collection[str] = ()) -> dict[str, str]:
    """Give a host's environment: a kernel's, plus the mark."""
    return {**kernel_environment(environ, withheld), MARK: mark}


@dataclass
class _Host:
    process: subprocess.Popen[bytes]
    incarnation: int


class Spawner:
    """Keeps the handles of the hosts that this server started; a host that has ended is reaped when asked after.

    ``command`` is what a host is started with, the directory and incarnation follow it. ``withheld`` are variables of
    this process that no host is given.
    """

    def __init__(self, command: Sequence[str], clock: Callable[[], float], withheld: Collection[str] = ()) -> None:
        self._command = list(command)
        self._clock = clock
        self._withheld = withheld
        self._hosts: dict[str, _Host] = {}

    def spawn(self, site: Site, intent: Intent, account: Account | None = None) -> int:
        """Start a host in a process session of its own, as ``account`` where one is given, and give its pid.

        Blocking; raises OSError.
        """
        # Until it takes over its log itself, what a host says (an import that fails) must not be lost.
        handle = site.files.appender()
        try:
            process = subprocess.Popen(  # noqa: S603 - this interpreter and our own module
                [*self._command, str(site.directory), str(intent.incarnation)],
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                start_new_session=True,
                close_fds=True,
                **self._identity(site, intent, account),
            )
        finally:
            os.close(handle)
        self._hosts[intent.session_uuid] = _Host(process, intent.incarnation)
        return process.pid

    def _identity(self, site: Site, intent: Intent, account: Account | None) -> dict[str, Any]:
        if account is None:
            return {"cwd": site.directory, "env": host_environment(os.environ, intent.mark, self._withheld)}
        return account.popen({MARK: intent.mark})

    def running(self, session_uuid: str) -> int:
        """Give the incarnation of the living host that this server started, 0 if there is none. Reaps; cheap."""
        host = self._hosts.get(session_uuid)
        return host.incarnation if host is not None and host.process.poll() is None else 0

    def settle(self, site: Site) -> None:
        """Put the exit status of an ended host that this server started into its end file. Blocking; raises OSError."""
        host = self._hosts.get(site.uuid)
        if host is None:
            return
        try:
            # Its lock is free already: what is left of its exit takes no time.
            status = host.process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return
        if status != LOCKED_STATUS:
            complete_end(site.files, site.books, host.incarnation, status, self._clock())
        self._hosts.pop(site.uuid, None)

    def close(self) -> None:
        """Forget all handles; the hosts go on, and Python is not to warn that they do."""
        for host in self._hosts.values():
            if host.process.poll() is None:
                host.process.returncode = 0
        self._hosts.clear()

    def __del__(self) -> None:
        self.close()


def complete_end(files: Files, books: Files, incarnation: int, status: int, now: float) -> None:
    """Complete or write the end file of a host that ended with ``status``; ``books`` hold its intent.

    Raises OSError. An end file of a version this program does not know, or a damaged one, is replaced: the host is
    gone.
    """
    end = _read(files, End)
    if end is not None and end.incarnation == incarnation:
        if end.exit_status is None:
            write_record(files, replace(end, exit_status=status, ended_at=max(end.terminating_at, now)))
        return
    cause, message = _cause(_read(books, Intent), _read(files, Ready), incarnation, status)
    write_record(files, End(incarnation, cause, message, now, now, status))


def _cause(intent: Intent | None, ready: Ready | None, incarnation: int, status: int) -> tuple[str, str]:
    words = exit_words(status)
    if intent is not None and intent.wanted == "stop" and intent.incarnation == incarnation:
        return "asked", intent.reason or f"Ended as asked: the session's host {words}"
    if ready is None or ready.incarnation != incarnation:
        return "start", f"Before it was ready, the session's host {words}"
    return "died", f"The session's host {words}"


def _read(files: Files, kind: type[R]) -> R | None:
    try:
        return read_record(files, kind)
    except Exception:
        return None


def exit_words(status: int) -> str:
    """Say an exit status (negative: the signal's number) in words: ``ended with exit status 3``."""
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "unknown"
    hint = ", by a user or because the machine ran out of memory" if -status == signal.SIGKILL else ""
    return f"was ended by signal {-status} ({name}{hint})"
