"""Where one session's files lie, with whose rights they are touched, and which processes can be its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from jupyter_sessions.engines.base import Job
from jupyter_sessions.engines.process import marked
from jupyter_sessions.engines.process.files import Files
from jupyter_sessions.engines.process.workers import Worker
from jupyter_sessions.model.hostfile import MARKED

T = TypeVar("T")


@dataclass(frozen=True)
class Site:
    """One session's place.

    ``files`` are those its host shares. ``books`` hold what this service alone writes and therefore believes: the
    intent; they are the same files where the host runs as this process's own account. ``account`` is the user id of
    another account's host, None for an own one's. ``place`` is the directory of its sockets where it is known before
    the start. ``worker`` does blocking work for this account's sessions, with this process's rights.
    """

    job: Job
    files: Files
    books: Files
    account: int | None = None
    place: Path | None = None
    worker: Worker | None = None

    @property
    def uuid(self) -> str:
        """The session's uuid."""
        return self.job.uuid

    @property
    def directory(self) -> Path:
        """The directory that its host is given."""
        return self.files.directory

    def processes(self) -> list[marked.Process]:
        """Give every living process of the session. Blocking; raises OSError."""
        written = None
        try:
            written = self.files.read(MARKED)
        except OSError:
            if self.account is None:
                raise
        return marked.find(self.job.store_uuid, self.uuid, marked.written(written), self.account)

    async def in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        """Do blocking work off the loop; raises what it raises, OSError where another account's takes too long."""
        if self.worker is None:
            return await asyncio.to_thread(work, *arguments)
        return await self.worker.ask(work, *arguments)
