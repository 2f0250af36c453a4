"""Doing what a verdict says, under the session's ``act.lock``: intent, act, commit, tell.

Every step may be the last before a crash. What follows a commit is looked up and done again by whoever comes next;
what precedes one has changed nothing that the next look at the engine does not show.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from jupyter_sessions.engines.base import Alive, CannotTell, Engine, Observation
from jupyter_sessions.model.errors import InvalidArgument, SessionsError, Unavailable
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State
from jupyter_sessions.service import locks, rows, transitions, usage, verdicts, words
from jupyter_sessions.service.clocks import SECOND, Clock
from jupyter_sessions.service.directories import Directories
from jupyter_sessions.service.machine import Place
from jupyter_sessions.service.rows import SessionRow
from jupyter_sessions.service.store import SessionStore
from jupyter_sessions.service.tracked import Tracked
from jupyter_sessions.storage.feed import ChangeFeed

T = TypeVar("T")
log = logging.getLogger(__name__)
REFUSED_S = 1.0
OnStep = Callable[[str], None]


def no_step(_: str) -> None:
    """Do nothing at a fault point."""


class Actions:
    """What the reconciler does to one session. ``on_step`` is called between every two steps, for crash tests."""

    def __init__(
        self,
        store: SessionStore,
        feed: ChangeFeed,
        engine: Engine,
        directories: Directories,
        clock: Clock,
        on_step: OnStep = no_step,
    ) -> None:
        self._store = store
        self._feed = feed
        self._engine = engine
        self._directories = directories
        self._clock = clock
        self._step = on_step
        self._threads = ThreadPoolExecutor(4, "sessions-files")
        self._do: dict[type[Any], Callable[[Tracked, SessionRow, Any], Awaitable[None]]] = {
            verdicts.Start: self._start,
            verdicts.Remark: self._remark,
            verdicts.Activate: self._activate,
            verdicts.Push: self._push,
            verdicts.Doom: self._doom,
            verdicts.Stop: self._stop,
            verdicts.Finish: self._finish,
            verdicts.Remove: self._remove,
        }

    def close(self) -> None:
        """Let the file threads end."""
        self._threads.shutdown(wait=False)

    async def in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        """Run blocking file work off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def lock_dir(self, session_uuid: str) -> Path:
        """Choose where a new session's locks lie; raises Unavailable where there is no such place."""
        try:
            return await self.in_thread(self._directories.lock_dir, session_uuid)
        except OSError as error:
            raise Unavailable(f"no place for the session's locks: {error}") from error

    async def observe(self, tracked: Tracked) -> Observation:
        """Look at a session; what the machine refuses is CannotTell."""
        if tracked.place is Place.ELSEWHERE:
            return CannotTell(f"it runs on {tracked.row.machine.name}")
        try:
            seen = await self._engine.observe(tracked.job)
        except OSError as error:
            seen = CannotTell(str(error))
        tracked.notice(seen)
        return seen

    async def look(self, tracked: Tracked) -> None:
        """Look at a session and, if something is to be done and no other server is at it, do it.

        Raises SessionsError (the store) and OSError (the files): both mean that nothing can be told now.
        """
        seen = await self.observe(tracked)
        if isinstance(verdicts.judge(tracked.facts(self._clock.steady()), seen), verdicts.Wait):
            return
        lock = await self.in_thread(self._lock, tracked.row)
        if lock is None:
            return
        try:
            await self._act(tracked)
        except rows.Stale:
            log.debug("session %s changed meanwhile", tracked.row.id)
        finally:
            lock.release()

    def _lock(self, row: SessionRow) -> locks.ActLock | None:
        self._directories.make(row.uuid, row.lock_dir, row.owner)
        return locks.acquire(row.lock_dir)

    async def _act(self, tracked: Tracked) -> None:
        """Decide anew from what is true under the lock, then do it to the very row that was judged.

        ``tracked`` may take a newer row during any wait; what is written is the judged one's, or Stale is raised.
        """
        row = await self._store.read(lambda c: rows.find_uuid(c, tracked.row.uuid))
        if row is None:
            # Removed by another server while this one waited: what `_lock` made again must go.
            await self._remove_files(tracked.row)
            return
        now = self._clock.steady()
        tracked.take(row, now)
        if row.settled:
            return
        verdict = verdicts.judge(tracked.facts(now), await self.observe(tracked))
        if not isinstance(verdict, verdicts.Wait):
            await self._do[type(verdict)](tracked, row, verdict)

    async def _commit(
        self, tracked: Tracked, what: str, work: Callable[[sqlite3.Connection], SessionRow], tell: bool = True
    ) -> SessionRow:
        self._step(f"{what}: before commit")
        row = await self._store.write(work)
        self._step(f"{what}: committed")
        tracked.take(row, self._clock.steady())
        if tell:
            await self._feed.catch_up()
            self._step(f"{what}: told")
        return row

    async def _start(self, tracked: Tracked, row: SessionRow, verdict: verdicts.Start) -> None:
        new = dataclasses.replace(row, incarnation=verdict.incarnation)
        begun = await self._commit(tracked, "start", lambda c: rows.update(c, row, new), tell=False)
        try:
            await self._engine.start(tracked.job_of(row), verdict.incarnation)
        except OSError as error:
            await self._refused(tracked, begun, error)
            return
        except InvalidArgument as error:
            await self._finish(tracked, begun, verdicts.Finish((verdicts.Step(State.FAILED, str(error)),)))
            return
        self._step("start: acted")

    async def _refused(self, tracked: Tracked, row: SessionRow, error: OSError) -> None:
        """Nothing was spawned: say so, and try again without counting it, here or in another server."""
        now = self._clock.steady()
        tracked.since, tracked.due = now, now + REFUSED_S
        message = f"The machine refused to start it ({error.strerror or error}); trying again"
        back = dataclasses.replace(row, incarnation=row.incarnation - 1)
        if message == row.session.state_message:
            await self._commit(tracked, "refused", lambda c: rows.update(c, row, back), tell=False)
        else:
            await self._remark(tracked, back, verdicts.Remark(message))

    async def _remark(self, tracked: Tracked, row: SessionRow, verdict: verdicts.Remark) -> None:
        now = self._clock.now()
        await self._commit(tracked, "remark", lambda c: transitions.remark(c, row, verdict.message, now))

    async def _activate(self, tracked: Tracked, row: SessionRow, verdict: verdicts.Activate) -> None:
        tracked.kernels = await self._engine.kernels(tracked.job_of(row))
        now = self._clock.now()
        move = (State.ACTIVE, words.READY, now)
        activated = await self._commit(
            tracked,
            "activate",
            lambda c: transitions.advance(c, row, [move], now, change=lambda s: with_endpoint(s, verdict.alive)),
        )
        await self._push(tracked, activated, verdicts.Push())

    async def _push(self, tracked: Tracked, row: SessionRow, verdict: verdicts.Push) -> None:
        await self._engine.update(tracked.job_of(row))
        new = dataclasses.replace(row, limits_pending=False)
        await self._commit(tracked, "limits", lambda c: rows.update(c, row, new), tell=False)

    async def _doom(self, tracked: Tracked, row: SessionRow, verdict: verdicts.Doom) -> None:
        doomed, now = dataclasses.replace(row, failing=verdict.message), self._clock.now()
        await self._commit(tracked, "doom", lambda c: transitions.remark(c, doomed, verdict.message, now))

    async def _stop(self, tracked: Tracked, row: SessionRow, verdict: verdicts.Stop) -> None:
        now = self._clock.steady()
        if tracked.stop_since is None:
            tracked.stop_since = now
        self._step("stop: before")
        await self._engine.stop(tracked.job_of(row), verdict.reason, now - tracked.stop_since + verdict.skip)
        self._step("stop: acted")

    async def _finish(self, tracked: Tracked, row: SessionRow, verdict: verdicts.Finish) -> None:
        now = self._clock.now()
        moves = [(step.state, step.message, round(step.time * SECOND) or now) for step in verdict.steps]
        if verdict.with_log:
            state, message, time = moves[-1]
            moves[-1] = (state, words.with_log(message, await self._last_lines(tracked)), time)
        heartbeat = tracked.heartbeat
        await self._commit(
            tracked,
            "finish",
            lambda c: transitions.advance(c, row, moves, now, change=lambda s: usage.final(s, heartbeat)),
        )

    async def _last_lines(self, tracked: Tracked) -> str:
        try:
            page = await self._engine.logs(tracked.job, -words.LOG_BYTES, words.LOG_BYTES)
        except (OSError, SessionsError):
            return ""  # the reason stands without its log
        return page.content

    async def _remove(self, tracked: Tracked, row: SessionRow, verdict: verdicts.Remove) -> None:
        now = self._clock.now()
        self._step("remove: before")
        await self._remove_files(row)
        self._step("remove: acted")

        def removed(connection: sqlite3.Connection) -> SessionRow:
            transitions.remove(connection, row, now)
            return row

        await self._commit(tracked, "remove", removed)

    async def _remove_files(self, row: SessionRow) -> None:
        # The account's first: what this service keeps says that something is left there.
        await self._directories.clear(row.uuid, row.owner)
        await self.in_thread(self._directories.remove, row.uuid, row.lock_dir)


def with_endpoint(session: Session, alive: Alive) -> Session:
    """Name the kernels' address in the session's ``runtimeInfo``."""
    address = alive.address
    if address.startswith("unix:"):
        address = f"http+unix://{quote(address.removeprefix('unix:'), safe='')}/"
    info = session.runtime_info
    endpoints = {**info.endpoints, transitions.KERNELS_ENDPOINT: address}
    return transitions.with_info(session, info.model_copy(update={"endpoints": endpoints}))
