"""Looks at a session's host: alive, gone, or cannot tell.

Asked every second for every session, so the usual answer costs one lock probe and three ``stat`` calls; a file is read
again only when it changed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from jupyter_sessions.engines.base import Alive, CannotTell, Gone, Job, Observation
from jupyter_sessions.engines.process import marked
from jupyter_sessions.engines.process.debris import tidy
from jupyter_sessions.engines.process.spawn import Spawner
from jupyter_sessions.model.hostfile import (
    FILES,
    HOST_LOCK,
    TOKEN,
    End,
    Heartbeat,
    HostProcess,
    Intent,
    Ready,
    UnknownVersion,
    read,
)

if sys.platform != "win32":
    import fcntl

STALE_SECONDS = 20.0
"""A heartbeat this old says nothing any more: four were missed."""

STARTING = "starting its host"
LOADING = "its host is loading"
R = TypeVar("R", HostProcess, Ready, Heartbeat)


def lock_is_held(path: Path) -> bool:
    """Say whether a host holds this lock, by taking it shared for a moment; raises OSError: it cannot be told."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
            return True
        raise
    finally:
        os.close(handle)
    return False


@dataclass
class _Cached(Generic[R]):
    """One record file, read again only when its inode, size or time changed."""

    kind: type[R]
    stamp: tuple[int, int, int] | None = None
    record: R | None = None

    def look(self, directory: str) -> R | None:
        try:
            found = os.stat(f"{directory}/{FILES[self.kind]}")
        except FileNotFoundError:
            self.stamp = self.record = None
            return None
        stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        if stamp != self.stamp:
            self.record = read(Path(directory), self.kind)
            self.stamp = stamp
        return self.record


@dataclass
class _Files:
    """What is remembered of one session's files."""

    host: _Cached[HostProcess] = field(default_factory=lambda: _Cached(HostProcess))
    ready: _Cached[Ready] = field(default_factory=lambda: _Cached(Ready))
    beat: _Cached[Heartbeat] = field(default_factory=lambda: _Cached(Heartbeat))
    token: str = field(default="", repr=False)
    token_of: tuple[int, int, int] | None = None


class Observer:
    """Observes the sessions of one engine; ``clock`` is the wall clock that heartbeats are compared with."""

    def __init__(self, spawner: Spawner, clock: Callable[[], float] = time.time) -> None:
        self._spawner = spawner
        self._clock = clock
        self._files: dict[str, _Files] = {}

    async def look(self, job: Job) -> Observation:
        """Say whether a session's host lives."""
        try:
            # Locks elsewhere than the files: the files are on a network, where even a stat may hang.
            if job.lock_dir != job.directory:
                alive = await asyncio.to_thread(self._alive, job)
            else:
                alive = self._alive(job)
            return alive if alive is not None else await asyncio.to_thread(self._gone, job)
        except UnknownVersion as error:
            return CannotTell(f"its files are of another version of this program: {error}")
        except (OSError, ValueError) as error:
            return CannotTell(f"its files cannot be read: {error}")

    def forget(self, session_uuid: str) -> None:
        """Drop what is remembered of a session that is over."""
        self._files.pop(session_uuid, None)

    def _alive(self, job: Job) -> Observation | None:
        """Give what is said while the lock is held or the host on its way to it, None when nothing lives."""
        own = self._spawner.running(job.uuid)
        held = lock_is_held(job.lock_dir / HOST_LOCK)
        if not held and not own:
            return None
        files = self._files.setdefault(job.uuid, _Files())
        directory = str(job.directory)
        host = files.host.look(directory)
        if not held:
            # One that had its place and lost the lock is about to be a zombie.
            return None if host is not None and host.incarnation == own else Alive(own, STARTING)
        if host is None:
            return Alive(own, STARTING) if own else CannotTell("a host holds its lock and has not yet said who it is")
        ready = files.ready.look(directory)
        if ready is None or ready.incarnation != host.incarnation:
            return Alive(host.incarnation, LOADING)
        beat = files.beat.look(directory)
        if beat is not None and beat.incarnation != host.incarnation:
            beat = None
        silent = self._clock() - (beat.time if beat else ready.time)
        if silent > STALE_SECONDS:
            return CannotTell(f"its host holds its lock but has said nothing for {silent:.0f} s")
        token = self._token(files, job.directory)
        return Alive(host.incarnation, "", ready.address, token, os.geteuid(), beat)

    def _token(self, files: _Files, directory: Path) -> str:
        if files.token_of != files.ready.stamp:
            files.token = (directory / TOKEN).read_text(encoding="ascii").strip()
            files.token_of = files.ready.stamp
        return files.token

    def _gone(self, job: Job) -> Observation:
        self._spawner.settle(job.uuid, job.directory)
        intent = read(job.directory, Intent)
        incarnation = intent.incarnation if intent else 0
        end = read(job.directory, End)
        beat = read(job.directory, Heartbeat)
        left = len(marked.find(job.store_uuid, job.uuid, job.directory))
        self.forget(job.uuid)
        if intent is not None and not left:
            tidy(job.directory, job.lock_dir, intent)
        return Gone(
            incarnation,
            end if end and end.incarnation == incarnation else None,
            left,
            beat if beat and beat.incarnation == incarnation else None,
        )
