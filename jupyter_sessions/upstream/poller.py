"""The news of an upstream that has none of its own: one poller a location, however many look on.

It lists every session, compares with the journal, and logs what differs under sequences of ours. Quick while somebody
watches or a session is on its way; slow while people come and go and all is still; not at all where nobody has called
for a while: what is remembered then stands as it was last seen, and the first call has it looked at again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from jupyter_sessions.engines.patience import within
from jupyter_sessions.model.api import Change, Reset
from jupyter_sessions.model.errors import Internal, ResourceExhausted, SessionsError
from jupyter_sessions.model.pages import MAX_SIZE
from jupyter_sessions.model.wire import parse_duration
from jupyter_sessions.storage.feed import ChangeFeed
from jupyter_sessions.upstream.ending import end
from jupyter_sessions.upstream.journal import Written
from jupyter_sessions.upstream.known import Known
from jupyter_sessions.upstream.listing import read_all
from jupyter_sessions.upstream.place import Place

log = logging.getLogger(__name__)
MANY = 50
"""More sessions than this are read off the event loop."""


@dataclass(frozen=True)
class Pace:
    """Seconds between two polls (``quick``, ``slow``), until nobody is there any more (``leave``), at most between two
    tries of an upstream that fails (``patient``), and of a refusal that names no wait (``busy``)."""

    quick: float = 2.0
    slow: float = 30.0
    leave: float = 300.0
    patient: float = 10.0
    busy: float = 30.0

    def period(self, watchers: int, moving: bool, since: float) -> float | None:
        """Give the seconds between two polls, None for never: ``since`` is how long ago somebody called."""
        if watchers:
            return self.quick
        if since > self.leave:
            return None
        return self.quick if moving else self.slow


class Polled:
    """The feed of an upstream without a change stream."""

    def __init__(self, place: Place, pace: Pace | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._pace = pace or Pace()
        self._clock = clock
        self._log = ChangeFeed(place.journal.database, place.location, self._follow, self._follow_all)
        self._log.subscribe(place.listeners.tell)
        self._listed = False
        self._watchers = 0
        self._touched = clock()
        self._began = self._read = -1e9
        self._took = 0.0
        self._hold = -1e9
        self._failures = 0
        self._poked = True
        self._nudge = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def holds(self) -> float:
        """Pages hold while polls would tell of a change; with nobody watching, as long as a quick poll would take."""
        # Counted from a list's beginning until the next one is whole; after one that takes long comes a rest as long.
        if self._clock() - self._read > 2.5 * self._pace.quick + 3 * self._took:
            return 0.0
        return self._pace.slow if self._watchers else self._pace.quick

    def start(self) -> None:
        """Begin to poll, and to hear of what other servers on the same data directory log."""
        self._tasks.add(asyncio.ensure_future(self._run()))
        self._place.journal.database.watch(self._news, 1.0)

    async def close(self) -> None:
        """End every watch and the poll under way."""
        self._log.close()
        await end(self._tasks)

    def touch(self) -> None:
        """Hear that somebody is there."""
        idle = self._clock() - self._touched > self._pace.leave
        self._touched = self._clock()
        if idle:
            self._nudge.set()

    def poke(self) -> None:
        """Look at once."""
        self._poked = True
        self._nudge.set()

    def reset(self) -> None:
        """Have every watcher list again."""
        self._log.reset()

    async def saw(self, rows: Mapping[str, Known | None], started: int) -> None:
        """Log and tell what an answer says that was not known."""
        if not self._listed:
            return
        new = {name: known for name, known in rows.items() if _differs(self._place.mirror.get(name), known)}
        if new:
            self._place.stir()
            with contextlib.suppress(SessionsError):
                await self._take(await self._place.journal.some(new, started))

    async def watch(self, after: int | None) -> AsyncIterator[Change | Reset]:
        """Follow the log from a sequence of ours."""
        self._watchers += 1
        self.touch()
        self._nudge.set()
        feed = self._log.watch(after)
        try:
            async for change in feed:
                yield change
        finally:
            self._watchers -= 1
            self.touch()

    def _news(self) -> None:
        task = asyncio.ensure_future(self._catch_up())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _catch_up(self) -> None:
        with contextlib.suppress(SessionsError):
            await self._log.catch_up()

    async def _run(self) -> None:
        await self._begin()
        while True:
            wait = self._wait()
            if wait is None or wait > 0:
                with contextlib.suppress(asyncio.TimeoutError):
                    await within(self._nudge.wait(), wait)
                self._nudge.clear()
                continue
            self._began, self._poked = self._clock(), False
            try:
                await self._look()
            except SessionsError as error:
                self._failed(error)
            except Exception:
                log.exception("the sessions of %s could not be compared", self._place.location)
                self._failed(Internal("a fault of ours"))
            else:
                self._failures, self._read = 0, self._began
                self._took = self._clock() - self._began

    async def _begin(self) -> None:
        while True:
            try:
                await self._log.start()
                self._listed = await self._place.journal.listed()
                return
            except SessionsError as error:
                log.error("%s is not followed: %s", self._place.location, error)
                await asyncio.sleep(self._pace.patient)

    def _wait(self) -> float | None:
        """Give the seconds until the next poll; 0 or less: now."""
        now = self._clock()
        period = self._pace.period(self._watchers, self._place.mirror.moving, now - self._touched)
        held = self._hold - now
        if self._poked:
            return max(held, self._began + self._pace.quick / 20 - now)
        if period is None:
            return None
        if self._failures:
            period = min(period, self._pace.patient)
        # Jittered, so that many servers do not ask in one beat.
        due = self._began + period * random.uniform(0.85, 1.15) - now  # noqa: S311 - no secret
        rest = self._began + self._took + min(self._took, self._pace.slow) - now
        return max(due, held, rest)

    def _failed(self, error: SessionsError) -> None:
        self._failures += 1
        pace = self._pace
        hold = min(pace.quick * 2 ** min(self._failures - 1, 10), pace.patient)
        if isinstance(error, ResourceExhausted):
            hold = _asked_to_wait(error) or pace.busy
        self._hold = self._clock() + hold
        if self._failures == 1:
            log.warning("%s cannot be listed now: %s", self._place.location, error)

    async def _look(self) -> None:
        """List every session and take in what differs; a list that cannot be read whole changes nothing."""
        started = time.time_ns()
        stirs = self._place.stirs
        listed = await read_all(self._place)
        await self._compare(listed.sessions, started)
        self._place.read.set()
        if stirs == self._place.stirs:
            for token, page in listed.pages.items():
                self._place.pages.put((MAX_SIZE, token, ""), page)

    async def _compare(self, found: Mapping[str, Known], started: int) -> None:
        mirror = self._place.mirror
        other = [known for name, known in found.items() if mirror.get(name) is not known]
        if len(other) > MANY:
            await asyncio.to_thread(_read, other)
        differing: dict[str, Known | None] = {}
        for known in other:
            if _differs(mirror.get(known.name), known):
                differing[known.name] = known
            else:
                mirror.freshen(known)
        differing.update(dict.fromkeys(name for name in mirror.names() if name not in found))
        if not self._listed:
            await self._take(await self._place.journal.whole(list(found.values()), started))
            self._listed = True
        elif differing:
            await self._take(await self._place.journal.some(differing, started))

    async def _take(self, written: Written) -> None:
        """Bring memory up to what was written, and tell it."""
        if not written.rows and not written.first:
            return
        self._place.changed()
        try:
            await self._log.catch_up()
        finally:
            # What is written already is not found to differ again.
            self._place.mirror.put(written.rows)
        if written.first:
            self._log.reset()

    async def _follow(self, changes: list[Change]) -> None:
        names = {change.session for change in changes}
        rows = await self._place.journal.rows(names)
        self._place.changed()
        self._place.mirror.put({name: rows.get(name) for name in names})

    async def _follow_all(self) -> None:
        rows = await self._place.journal.rows()
        self._place.changed()
        self._place.mirror.replace(rows)


def _read(rows: Sequence[Known]) -> None:
    for known in rows:
        _ = known.session, known.essence


def _differs(old: Known | None, new: Known | None) -> bool:
    if old is None or new is None:
        return old is not new
    return old is not new and old.essence != new.essence


def _asked_to_wait(error: SessionsError) -> float:
    """Give the seconds that a google.rpc.RetryInfo asks to wait, 0 where there is none."""
    for detail in error.details:
        if str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
            with contextlib.suppress(ValueError, TypeError):
                return float(parse_duration(str(detail.get("retryDelay", "")))) / 1e9
    return 0.0
