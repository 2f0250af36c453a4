"""The host's second hand: each second it looks at what is wanted, what is used and what time it is, and ends on it.

What touches files or other processes runs on one worker thread, so that a slow disk delays no frame of a kernel. A
write that fails (a full disk) ends nothing: the next second tries again.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from jupyter_sessions.host import memory
from jupyter_sessions.host.lifetime import Lifetime, Limits, Outlook
from jupyter_sessions.host.log import HostLog
from jupyter_sessions.host.marks import Family
from jupyter_sessions.host.wishes import Wishes
from jupyter_sessions.model.hostfile import End, Heartbeat, Intent, write

TICK_SECONDS = 1.0
HEARTBEAT_SECONDS = 5.0
SHUTDOWN_SECONDS = 5.5
TERM_SECONDS = 2.0
KILL_SECONDS = 2.0
SHORTEST_MEASURE = 0.5

logger = logging.getLogger("jupyter_sessions.host")


class Kernels(Protocol):
    """What the keeper asks of the host's kernels."""

    def count(self) -> int:
        """Give how many kernels there are."""

    def busy(self) -> int:
        """Give how many are executing."""

    def last_activity(self) -> float:
        """Give the last execution in any kernel, seconds since the epoch, 0.0 for none."""

    def pids(self) -> Iterable[int]:
        """Give the pids of the kernels' own processes."""

    async def shutdown_all(self, now: bool) -> None:
        """End all kernels, politely unless ``now``."""


@dataclass(frozen=True)
class Why:
    """Why a session ends: ``cause`` as in the end file, ``message`` as a user reads it."""

    cause: str
    message: str


@dataclass(frozen=True)
class _Facts:
    """What the event loop knows at one tick."""

    now: float
    kernels: int
    busy: int
    last_activity: float
    pids: tuple[int, ...]
    outlook: Outlook


class Keeper:
    """Keeps one session: heartbeat, marks, limits, memory, usage, the wanted end.

    ``clock`` gives wall-clock seconds, ``began`` when the host was ready. :meth:`run` returns why the session must
    end; :meth:`end` then ends it.
    """

    def __init__(
        self,
        directory: Path,
        intent: Intent,
        kernels: Kernels,
        log: HostLog | None = None,
        clock: Callable[[], float] = time.time,
        family: Family | None = None,
    ) -> None:
        self._directory, self._intent, self._kernels, self._log = directory, intent, kernels, log
        self._clock = clock
        self._began = clock()
        self._wishes = Wishes(directory, intent)
        self._lifetime = Lifetime(self._limits(intent))
        self._family = family or Family(directory, intent.mark)
        self._meter = memory.Meter()
        self._use = memory.Use()
        self._measured = float("-inf")
        self._beat: Heartbeat | None = None
        self._news = True
        self._signal = 0
        self._wake = asyncio.Event()
        self._worker = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="keeper")

    def poke(self) -> None:
        """Have the intent read again at once."""
        self._wake.set()

    def on_signal(self, number: int) -> None:
        """Take a SIGTERM or SIGINT for the wish to end."""
        self._signal = number
        self._wake.set()

    async def run(self) -> Why:
        """Tick until the session must end, and say why."""
        while True:
            why = await self.tick()
            if why is not None:
                return why
            try:
                await asyncio.wait_for(self._wake.wait(), TICK_SECONDS)
            except asyncio.TimeoutError:
                continue
            finally:
                self._wake.clear()

    async def tick(self) -> Why | None:
        """Look once at everything; give why the session must end, None while it goes on."""
        if self._signal:
            name = signal.Signals(self._signal).name
            return Why("asked", f"ended by {name}: its machine, container or a user stopped it")
        loop = asyncio.get_running_loop()
        news = await loop.run_in_executor(self._worker, self._wishes.look)
        if news is not None:
            self._take(news)
        if self._wishes.over:
            return Why(*self._wishes.over)
        facts = self._facts()
        if facts.outlook.due(facts.now):
            return Why(facts.outlook.ends_why, self._lifetime.message(facts.outlook.ends_why))
        return await loop.run_in_executor(self._worker, self._look, facts)

    async def end(self, why: Why) -> End:
        """Write the end, end every process of the session, and give what the end file then says."""
        loop = asyncio.get_running_loop()
        started = self._clock()
        end = End(self._intent.incarnation, why.cause, why.message, started, started)
        await loop.run_in_executor(self._worker, self._try_write, end)
        at_once = why.cause == "memory"
        if at_once:
            # What eats memory is not asked: it would go on eating.
            await loop.run_in_executor(self._worker, self._family.signal, signal.SIGKILL)
        try:
            await asyncio.wait_for(self._kernels.shutdown_all(now=at_once), SHUTDOWN_SECONDS)
        except Exception:
            logger.exception("the kernels did not shut down as asked; they are ended by signals")
        term = 0.0 if at_once else TERM_SECONDS
        left = await loop.run_in_executor(self._worker, self._family.end, term, KILL_SECONDS)
        if left:
            logger.error("%d processes could not be ended", left)
        end = replace(end, ended_at=max(self._clock(), started), exit_status=0)
        await loop.run_in_executor(self._worker, self._last_words, end)
        self._worker.shutdown()
        return end

    def _limits(self, intent: Intent) -> Limits:
        return Limits(intent.ttl, intent.idle_ttl, intent.active_since or self._began)

    def _take(self, intent: Intent) -> None:
        """Take a new intent; the kernels do not notice."""
        if intent.active_since and not self._intent.active_since:
            self._meter.restart()
        self._intent = intent
        self._lifetime.limits = self._limits(intent)
        # Whoever changed a limit waits to see it.
        self._news = True

    def _facts(self) -> _Facts:
        now, busy = self._clock(), self._kernels.busy()
        last = self._kernels.last_activity()
        outlook = self._lifetime.look(now, busy, last)
        return _Facts(now, self._kernels.count(), busy, last, tuple(self._kernels.pids()), outlook)

    def _look(self, facts: _Facts) -> Why | None:
        """Do a tick's work with files and processes; runs on the worker."""
        self._family.reaper.reap(facts.pids)
        family = self._family.look()
        self._try("marked.json", self._family.write)
        if self._log is not None:
            self._try("the log", self._log.check)
        due = self._due(facts)
        if (due or self._intent.memory) and time.monotonic() - self._measured >= SHORTEST_MEASURE:
            self._use = self._meter.measure(memory.own_and(family))
            self._measured = time.monotonic()
        if due:
            self._write_beat(facts)
        return self._over_memory()

    def _over_memory(self) -> Why | None:
        limit = self._intent.memory
        size = memory.over_limit(limit, self._use.memory, lambda: memory.own_and(self._family.look()))
        if not size:
            return None
        told = f"used {memory.readable(size)} of memory, more than its local:memory of {memory.readable(limit)}"
        return Why("memory", f"{told}; free memory sooner or create it with a larger local:memory")

    def _due(self, facts: _Facts) -> bool:
        beat = self._beat
        if beat is None or self._news or not 0 <= facts.now - beat.time < HEARTBEAT_SECONDS:
            return True
        told = (beat.kernels, beat.busy, beat.ends_why, beat.warning)
        return told != (facts.kernels, facts.busy, facts.outlook.ends_why, facts.outlook.warning)

    def _write_beat(self, facts: _Facts) -> None:
        use, outlook = self._use, facts.outlook
        beat = Heartbeat(
            self._intent.incarnation,
            facts.now,
            facts.kernels,
            facts.busy,
            facts.last_activity,
            outlook.ends_at,
            outlook.ends_why,
            outlook.warning,
            use.cpu,
            use.memory,
            use.milli_dcu,
            use.milli_dcu_seconds,
        )
        if self._try("heartbeat.json", lambda: write(self._directory, beat, durable=False)):
            self._beat, self._news = beat, False

    def _last_words(self, end: End) -> None:
        """Write the last heartbeat, its usage whole, and the end file."""
        self._use = self._meter.measure(memory.own_and(()))
        facts = _Facts(self._clock(), 0, 0, self._beat.last_activity if self._beat else 0.0, (), Outlook())
        self._write_beat(facts)
        self._try_write(end)

    def _try_write(self, end: End) -> None:
        self._try("end.json", lambda: write(self._directory, end))

    @staticmethod
    def _try(what: str, act: Callable[[], None]) -> bool:
        try:
            act()
        except OSError as error:
            logger.warning("%s could not be written: %s; tried again", what, error.strerror or error)
            return False
        return True
