"""Keeps what the store says and what the engine sees together, for every session that is not settled."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import sqlite3
from collections.abc import Collection, Sequence
from functools import partial

from jupyter_sessions.engines.base import Alive, Engine, Gone
from jupyter_sessions.model.api import Change
from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.model.states import State
from jupyter_sessions.service import rows, store, verdicts
from jupyter_sessions.service.actions import Actions
from jupyter_sessions.service.adoption import end_leftovers
from jupyter_sessions.service.clocks import Clock
from jupyter_sessions.service.directories import Directories
from jupyter_sessions.service.hosts import HostRegistry, kernel_host
from jupyter_sessions.service.machine import Machine, Place
from jupyter_sessions.service.rows import SessionRow
from jupyter_sessions.service.store import SessionStore
from jupyter_sessions.service.tracked import QUICK_S, SLOW_S, Tracked, track

log = logging.getLogger(__name__)
FOLLOW_S = 2.0
STOP_S = 5.0
HOUSEKEEPING_S = 3600.0
PURGED = 100
"""How many old rows one round of housekeeping removes: each costs a look at the processes."""


class Reconciler:
    """Looks at each unsettled session once a second, every 50 ms where somebody waits, at once when woken."""

    def __init__(
        self,
        parent: LocationName,
        database: SessionStore,
        engine: Engine,
        directories: Directories,
        clock: Clock,
        hosts: HostRegistry,
        kept_days: tuple[float, float] = (30.0, 7.0),
    ) -> None:
        self._parent = parent
        self._store = database
        self._engine = engine
        self._directories = directories
        self._machine = Machine("", "", "")
        self._clock = clock
        self._hosts = hosts
        self._session_days, self._operation_days = kept_days
        self._tracked: dict[str, Tracked] = {}
        self._woken = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._chores: asyncio.Task[None] | None = None
        self._actions: Actions | None = None

    def tracked(self, session_uuid: str) -> Tracked | None:
        """Give what is remembered of an unsettled session."""
        return self._tracked.get(session_uuid)

    def wake(self, session_uuid: str) -> None:
        """Look at a session now."""
        found = self._tracked.get(session_uuid)
        if found is not None:
            found.due = self._clock.steady()
        self._woken.set()

    def use(self, actions: Actions) -> None:
        """Give what does the work; once, before the start."""
        self._actions = actions

    def actions(self) -> Actions:
        """What does the work."""
        if self._actions is None:
            raise RuntimeError("the reconciler was given nothing to act with")
        return self._actions

    async def start(self, machine: Machine) -> None:
        """Take up every unsettled session, look at the ACTIVE ones, then go on in the background.

        Raises Unavailable.
        """
        self._machine = machine
        for row in await self._store.read(lambda c: rows.unsettled(c, self._parent)):
            self._track(row)
        active = [t for t in self._tracked.values() if t.row.state is State.ACTIVE]
        await asyncio.gather(*(self._introduce(tracked) for tracked in active))
        self._loop = asyncio.create_task(self._run())
        self._chores = asyncio.create_task(self._housekeep())

    async def stop(self) -> None:
        """Finish the steps under way (for some seconds) and look no more; sessions go on."""
        tasks = [task for task in (self._loop, self._chores) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        visits = [t.visit for t in self._tracked.values() if t.visit is not None]
        if visits:
            _, late = await asyncio.wait(visits, timeout=STOP_S)
            for visit in late:
                visit.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _track(self, row: SessionRow) -> Tracked:
        now = self._clock.steady()
        tracked = track(row, self._store.uuid, self._directories, self._machine, now)
        self._tracked[row.uuid] = tracked
        return tracked

    async def follow(self, batch: Sequence[Change]) -> None:
        """Bring memory up to the rows of these changes; called by the feed before they are told."""
        await self._follow_rows({change.session_uuid for change in batch})

    async def follow_all(self) -> None:
        """Bring memory up to all rows, for when it is not known which of them changed."""
        live = await self._store.read(lambda c: rows.unsettled(c, self._parent))
        await self._follow_rows({row.uuid for row in live} | self._tracked.keys())

    async def _follow_rows(self, wanted: Collection[str]) -> None:
        found = await self._store.read(lambda c: rows.find_uuids(c, wanted))
        # Together: a session that is slow to look at keeps the others, and every request, waiting only once.
        await asyncio.gather(*(self._follow(uuid, row) for uuid, row in found.items()))
        self._woken.set()

    async def _follow(self, uuid: str, row: SessionRow | None) -> None:
        tracked = self._tracked.get(uuid)
        if row is None or row.settled:
            self._tracked.pop(uuid, None)
            self._forget(uuid, row, tracked)
            return
        if tracked is None:
            tracked = self._track(row)
        tracked.take(row, self._clock.steady())
        if row.state is State.ACTIVE:
            await self._introduce(tracked)
        else:
            self._hosts.put(kernel_host(row, None, ()))

    def _forget(self, uuid: str, row: SessionRow | None, tracked: Tracked | None) -> None:
        if row is not None:
            self._hosts.put(kernel_host(row, None, ()))
        elif tracked is not None and not tracked.row.state.final:
            # Its row went before its end was read: the kernels room must hear of it all the same.
            ended = tracked.row.session.model_copy(update={"state": State.TERMINATED})
            self._hosts.put(kernel_host(SessionRow(ended, tracked.row.machine, tracked.row.lock_dir), None, ()))

    async def _introduce(self, tracked: Tracked) -> None:
        """Put an ACTIVE session's host into memory, looking at it first unless it was just seen.

        Requests wait for this; for a session that was late once they do not wait again, its visits go on looking.
        """
        if tracked.place is Place.ELSEWHERE:
            return
        seen = tracked.alive is not None and tracked.alive.address and tracked.kernels is not None
        if not seen and not tracked.late:
            try:
                await asyncio.wait_for(self._meet(tracked), FOLLOW_S)
            except (OSError, SessionsError, asyncio.TimeoutError) as error:
                tracked.late = isinstance(error, asyncio.TimeoutError)
                log.warning("session %s cannot be looked at now: %s", tracked.row.id, error or "it took too long")
        self._hosts.put(kernel_host(tracked.row, tracked.alive, tracked.kernels or ()))

    async def _meet(self, tracked: Tracked) -> None:
        await self.actions().observe(tracked)
        if tracked.kernels is None:
            tracked.kernels = await self._engine.kernels(tracked.job)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            now = self._clock.steady()
            wait = SLOW_S
            for tracked in list(self._tracked.values()):
                if tracked.visit is not None:
                    continue
                if tracked.due <= now:
                    tracked.visit = asyncio.create_task(self._visit(tracked))
                else:
                    wait = min(wait, tracked.due - now)
            timer = loop.call_later(max(wait, QUICK_S / 5), self._woken.set)
            await self._woken.wait()
            timer.cancel()

    async def _visit(self, tracked: Tracked) -> None:
        """Look at one session and do what is due; nothing that goes wrong here ends the reconciler."""
        before = tracked.due
        try:
            await self.actions().look(tracked)
            if tracked.kernels is None and tracked.row.state is State.ACTIVE and tracked.alive is not None:
                tracked.kernels = await self._engine.kernels(tracked.job)
            self._refresh(tracked)
            tracked.trouble = ""
            if tracked.due == before:
                tracked.rest(self._clock.steady())
        except (SessionsError, OSError) as error:
            self._put_off(tracked, str(error))
        except Exception as error:
            self._put_off(tracked, f"a fault of the service: {error!r}", exc_info=True)
        finally:
            tracked.visit = None
            if not tracked.idle:
                self._woken.set()

    def _put_off(self, tracked: Tracked, trouble: str, exc_info: bool = False) -> None:
        """Look again in a second; what stays wrong is logged once."""
        tracked.due = self._clock.steady() + SLOW_S
        if trouble != tracked.trouble:
            tracked.trouble = trouble
            log.warning("session %s is left as it is for now: %s", tracked.row.id, trouble, exc_info=exc_info)

    def _refresh(self, tracked: Tracked) -> None:
        if tracked.row.state is not State.ACTIVE or self._tracked.get(tracked.row.uuid) is not tracked:
            return
        if isinstance(tracked.seen, Gone):
            self._tell_gone(tracked, tracked.seen)
        if not isinstance(tracked.seen, Alive) or tracked.kernels is None:
            return
        known, now = self._hosts.get(tracked.row.uuid), kernel_host(tracked.row, tracked.alive, tracked.kernels)
        mine = (now.address, now.token, now.kernels)
        if known is None or (known.address, known.token, known.kernels) != mine:
            self._hosts.put(now)

    def _tell_gone(self, tracked: Tracked, seen: Gone) -> None:
        """Tell the kernels room that a host is gone, before what it left has ended and the row says so."""
        verdict = verdicts.judge(tracked.facts(self._clock.steady()), dataclasses.replace(seen, marked=0))
        if isinstance(verdict, verdicts.Finish):
            end = verdict.steps[-1]
            host = kernel_host(tracked.row, None, ())
            self._hosts.put(dataclasses.replace(host, state=end.state, state_message=end.message))

    async def _housekeep(self) -> None:
        """Remove leftovers once, then what is old, every hour; a fault is logged and tried again an hour later."""
        first = True
        while True:
            try:
                if first:
                    await end_leftovers(self._store, self._engine, self._directories, self.actions().in_thread)
                    first = False
                await self._purge()
            except (SessionsError, OSError) as error:
                log.warning("housekeeping is put off: %s", error)
            except Exception:
                log.exception("housekeeping failed and is put off")
            await asyncio.sleep(HOUSEKEEPING_S)

    async def _purge(self) -> None:
        now = self._clock.now()
        await self._store.write(lambda c: store.tidy(c, now, self._operation_days))
        bound = now - int(self._session_days * store.DAY)
        for row in await self._store.read(lambda c: rows.ended_before(c, self._parent, bound, PURGED)):
            # Another machine's too: what has ended runs nowhere, and its machine may never come back.
            with contextlib.suppress(rows.Stale):
                self._track(await self._store.write(partial(mark_deleting, row)))
        self._woken.set()


def mark_deleting(row: SessionRow, connection: sqlite3.Connection) -> SessionRow:
    """Write down that a row is to be removed once its session has ended; raises Stale."""
    return rows.update(connection, row, dataclasses.replace(row, deleting=True))
