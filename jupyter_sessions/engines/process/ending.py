"""Ends sessions: asks the host, then signals whatever carries the session's mark, step by step and never blocking."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_sessions.engines.process import marked
from jupyter_sessions.engines.process.marked import Process
from jupyter_sessions.engines.process.sites import Site
from jupyter_sessions.model.hostfile import MARKED

ASK_SECONDS = 10.0
TERM_SECONDS = 5.0
SCAN_SECONDS = 0.2
HOST_MODULE = "jupyter_sessions.host"
InThread = Callable[..., Awaitable[Any]]

logger = logging.getLogger(__name__)


@dataclass
class _End:
    """One end under way: when its host was first seen gone, and which processes were asked by a TERM."""

    alone_since: float | None = None
    scanned: float = float("-inf")
    termed: set[tuple[int, float]] = field(default_factory=set)


class Ender:
    """Takes the signalling steps of ends; ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[str, _End] = {}

    def step(self, site: Site, elapsed: float, host_lives: bool) -> None:
        """Take the step that is due: none while a living host is being asked, else TERM, later KILL. Blocking.

        A session whose host is gone has nobody to ask: TERM at once.
        """
        now = self._clock()
        end = self._ends.setdefault(site.uuid, _End())
        if host_lives:
            end.alone_since = None
        elif end.alone_since is None:
            end.alone_since = now
        alone = 0.0 if end.alone_since is None else now - end.alone_since
        if (host_lives and elapsed < ASK_SECONDS) or now - end.scanned < SCAN_SECONDS:
            return
        end.scanned = now
        kill = elapsed >= ASK_SECONDS + TERM_SECONDS or (not host_lives and alone >= TERM_SECONDS)
        signal_all(site.processes(), kill, end.termed)

    def forget(self, session_uuid: str) -> None:
        """Drop what is remembered of an end that is done."""
        self._ends.pop(session_uuid, None)

    def under_way(self) -> list[str]:
        """Give the uuids of the sessions whose end is under way."""
        return list(self._ends)


def signal_all(left: Iterable[Process], kill: bool, termed: set[tuple[int, float]]) -> None:
    """KILL all, or TERM those that were not yet asked so."""
    for process in left:
        key = (process.pid, process.started)
        if kill:
            marked.send(process, signal.SIGKILL)
        elif key not in termed:
            termed.add(key)
            marked.send(process, signal.SIGTERM)


async def end_strangers(
    store_uuid: str, known: Container[str], grace: float, finder: Finder, run: InThread
) -> list[str]:
    """End every process of this store's mark whose session is not known; give the uuids of those sessions.

    ``grace`` is seconds: what is younger may belong to a session that another server has just committed. ``finder``
    finds the processes, ``run`` does blocking work off the loop.
    """
    strangers = await run(_strangers, store_uuid, known, grace, finder)
    if not strangers:
        return []
    logger.warning("ending processes of %d sessions that are in no store: %s", len(strangers), ", ".join(strangers))
    termed: set[tuple[int, float]] = set()
    started = time.monotonic()
    while (passed := time.monotonic() - started) < ASK_SECONDS + 2 * TERM_SECONDS:
        left = await run(_left, store_uuid, strangers, finder)
        if not left:
            break
        signal_all(left, passed >= ASK_SECONDS, termed)
        await asyncio.sleep(SCAN_SECONDS)
    return list(strangers)


class OwnFinder:
    """Finds left-over processes of this process's own account."""

    def scan(self, prefix: str) -> Iterator[Process]:
        """Give every living process whose mark begins with ``prefix``."""
        return marked.scan(prefix)

    def whole(self, store_uuid: str, session_uuid: str, directory: Path | None) -> list[Process]:
        """Give every process of a session, also those that its host wrote down in ``directory``."""
        written = None
        with contextlib.suppress(OSError):
            written = (directory / MARKED).read_bytes() if directory is not None else None
        return marked.find(store_uuid, session_uuid, marked.written(written))


class AccountsFinder:
    """Finds left-over processes of every account but root.

    By their marks alone: where their hosts wrote down the others, only they themselves would say.
    """

    def scan(self, prefix: str) -> Iterator[Process]:
        """Give every living process whose mark begins with ``prefix``."""
        return marked.scan(prefix, marked.EVERYBODY)

    def whole(self, store_uuid: str, session_uuid: str, directory: Path | None) -> list[Process]:
        """Give every process of a session."""
        return list(self.scan(marked.session_prefix(store_uuid, session_uuid)))


Finder = OwnFinder | AccountsFinder


def _strangers(store_uuid: str, known: Container[str], grace: float, finder: Finder) -> dict[str, Path | None]:
    """Give the uuids of unknown sessions, each with its directory where its host tells it."""
    import psutil

    now = time.time()
    found: dict[str, Path | None] = {}
    for process in finder.scan(f"{store_uuid}/"):
        session_uuid = process.mark.split("/")[1]
        if session_uuid in known:
            continue
        with contextlib.suppress(psutil.Error):
            if now - psutil.Process(process.pid).create_time() < grace:
                continue
        directory = _directory_of(marked.arguments(process.pid))
        found[session_uuid] = directory or found.get(session_uuid)
    return found


def _directory_of(arguments: list[str]) -> Path | None:
    """Give the session's directory from a host's command line, None for any other process's."""
    if HOST_MODULE in arguments and arguments.index(HOST_MODULE) + 2 < len(arguments):
        return Path(arguments[arguments.index(HOST_MODULE) + 1])
    return None


def _left(store_uuid: str, strangers: Mapping[str, Path | None], finder: Finder) -> list[Process]:
    return [
        process
        for session_uuid, directory in strangers.items()
        for process in finder.whole(store_uuid, session_uuid, directory)
    ]
