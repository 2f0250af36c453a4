"""Looks at a session's host: alive, gone, or cannot tell.

Asked every second for every session, so the usual answer costs one lock probe and three ``stat`` calls; a file is read
again only when it changed.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from jupyter_sessions.engines.base import Alive, CannotTell, Gone, Observation
from jupyter_sessions.engines.process.files import Files, Stamp, read_record
from jupyter_sessions.engines.process.sites import Site
from jupyter_sessions.engines.process.spawn import Spawner
from jupyter_sessions.model.hostfile import (
    FILES,
    TOKEN,
    End,
    Heartbeat,
    HostProcess,
    Intent,
    Ready,
    UnknownVersion,
)

SOCKET = "host.sock"
"""What a host calls its socket."""

STALE_SECONDS = 20.0
"""A heartbeat this old says nothing any more: four were missed."""

STARTING = "starting its host"
LOADING = "its host is loading"
R = TypeVar("R", HostProcess, Ready, Heartbeat, Intent)
_TOKEN = re.compile(r"[0-9a-f]{64}")


@dataclass
class _Cached(Generic[R]):
    """One record file, read again only when its inode, size or time changed."""

    kind: type[R]
    stamp: Stamp | None = None
    record: R | None = None

    def look(self, files: Files) -> R | None:
        stamp = files.stamp(FILES[self.kind])
        if stamp is None:
            self.stamp = self.record = None
        elif stamp != self.stamp:
            self.record = read_record(files, self.kind)
            self.stamp = stamp
        return self.record


@dataclass
class _Files:
    """What is remembered of one session's files."""

    host: _Cached[HostProcess] = field(default_factory=lambda: _Cached(HostProcess))
    ready: _Cached[Ready] = field(default_factory=lambda: _Cached(Ready))
    beat: _Cached[Heartbeat] = field(default_factory=lambda: _Cached(Heartbeat))
    intent: _Cached[Intent] = field(default_factory=lambda: _Cached(Intent))
    token: str = field(default="", repr=False)
    token_of: Stamp | None = None


class Observer:
    """Observes the sessions of one engine; ``clock`` is the wall clock that heartbeats are compared with."""

    def __init__(self, spawner: Spawner, clock: Callable[[], float] = time.time) -> None:
        self._spawner = spawner
        self._clock = clock
        self._files: dict[str, _Files] = {}

    async def look(self, site: Site) -> Observation:
        """Say whether a session's host lives."""
        try:
            return await self._look(site)
        except UnknownVersion as error:
            seen = CannotTell(f"its files are of another version of this program: {error}")
        except (OSError, ValueError) as error:
            seen = CannotTell(f"its files cannot be read: {error}")
        return await self._despite(site, seen)

    async def _look(self, site: Site) -> Observation:
        job = site.job
        # Locks elsewhere than the files: the files are on a network, where even a stat may hang.
        if site.worker is not None or job.lock_dir != job.directory:
            alive = await site.in_thread(self._alive, site)
        else:
            alive = self._alive(site)
        if isinstance(alive, CannotTell):
            return await self._despite(site, alive)
        return alive if alive is not None else await site.in_thread(self._gone, site)

    async def _despite(self, site: Site, seen: CannotTell) -> Observation:
        """Let no file of another account's keep its session from ending: what is to end is over with its processes."""
        if site.account is None:
            return seen
        try:
            intent = read_record(site.books, Intent)
            over = intent is not None and intent.wanted == "stop" and not await site.in_thread(site.processes)
            return await site.in_thread(self._gone, site) if over else seen
        except (OSError, ValueError, UnknownVersion):
            return seen

    def forget(self, session_uuid: str) -> None:
        """Drop what is remembered of a session that is over."""
        self._files.pop(session_uuid, None)

    def _alive(self, site: Site) -> Observation | None:
        """Give what is said while the lock is held or the host on its way to it, None when nothing lives."""
        own = self._spawner.running(site.uuid)
        held = site.files.held()
        if not held and not own:
            return None
        files = self._files.setdefault(site.uuid, _Files())
        host = files.host.look(site.files)
        if not held:
            # One that had its place and lost the lock is about to be a zombie.
            return None if host is not None and host.incarnation == own else Alive(own, STARTING)
        if host is None:
            return Alive(own, STARTING) if own else CannotTell("a host holds its lock and has not yet said who it is")
        ready = files.ready.look(site.files)
        if ready is None or ready.incarnation != host.incarnation:
            return _believed(site, files, Alive(host.incarnation, LOADING))
        beat = files.beat.look(site.files)
        if beat is not None and beat.incarnation != host.incarnation:
            beat = None
        silent = self._clock() - (beat.time if beat else ready.time)
        if silent > STALE_SECONDS:
            return CannotTell(f"its host holds its lock but has said nothing for {silent:.0f} s")
        token = self._token(files, site.files)
        uid = os.geteuid() if site.account is None else site.account
        return _believed(site, files, Alive(host.incarnation, "", ready.address, token, uid, beat))

    def _token(self, files: _Files, there: Files) -> str:
        if files.token_of != files.ready.stamp:
            data = there.read(TOKEN)
            if data is None:
                raise OSError("its token is gone")
            files.token = data.decode("ascii").strip()
            files.token_of = files.ready.stamp
        return files.token

    def _gone(self, site: Site) -> Observation:
        with _leniently(site):
            self._spawner.settle(site)
        intent = read_record(site.books, Intent)
        incarnation = intent.incarnation if intent else 0
        end: End | None = None
        beat: Heartbeat | None = None
        with _leniently(site):
            end = read_record(site.files, End)
        with _leniently(site):
            beat = read_record(site.files, Heartbeat)
        left = len(site.processes())
        self.forget(site.uuid)
        if intent is not None and not left:
            site.files.tidy(intent)
        return Gone(
            incarnation,
            end if end and end.incarnation == incarnation else None,
            left,
            beat if beat and beat.incarnation == incarnation else None,
        )


@contextlib.contextmanager
def _leniently(site: Site) -> Iterator[None]:
    """Pass over what another account has made of its files: they may say less, not keep it from being told."""
    try:
        yield
    except (OSError, ValueError, UnknownVersion):
        if site.account is None:
            raise


def _believed(site: Site, files: _Files, said: Alive) -> Alive | CannotTell:
    """Check what another account's host says of itself against what this service knows."""
    if site.account is None:
        return said
    intent = files.intent.look(site.books)
    if intent is None or intent.incarnation != said.incarnation:
        return CannotTell("a host holds its lock that is not the one that was started")
    if said.address and said.address != f"unix:{site.place}/{SOCKET}":
        return CannotTell("its host names another address than its own")
    if not _TOKEN.fullmatch(said.token) and said.address:
        return CannotTell("its host's token is none")
    return said
