"""What a session uses of its machine, and the limit of its memory."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

CONFIRM_SECONDS = 0.5
"""How long after a first measure over the limit the second is made that decides."""

_MILLI_DCU_PER_CPU = 600
_MILLI_DCU_PER_GB = 100
_TIMES = ("user", "system", "children_user", "children_system")


@dataclass(frozen=True)
class Use:
    """What is in use now: CPUs (1.0 is one whole CPU), memory in bytes, and the total since ACTIVE."""

    cpu: float = 0.0
    memory: int = 0
    milli_dcu: int = 0
    milli_dcu_seconds: int = 0


class Meter:
    """Measures a set of processes; CPU is the mean since the measure before.

    ``clock`` gives monotonic seconds: the time a laptop slept through is not used.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._cpu_seconds: float | None = None
        self._total = 0.0
        self._last = Use()

    def restart(self) -> None:
        """Begin the total anew: the session has become ACTIVE."""
        self._total = 0.0

    def measure(self, pids: Iterable[int]) -> Use:
        """Measure these processes and add to the total."""
        seconds, memory = 0.0, 0
        for pid in pids:
            with contextlib.suppress(psutil.Error, OSError):
                process = psutil.Process(pid)
                with process.oneshot():
                    times = process.cpu_times()
                    memory += process.memory_info().rss
                # With its reaped children's: what ended between two measures is counted with its parent.
                seconds += sum(
                    getattr(times, key, 0.0) for key in ("user", "system", "children_user", "children_system")
                )
        return self.add(seconds, memory)

    def add(self, cpu_seconds: float, memory: int) -> Use:
        """Take a measure: CPU seconds used so far by all processes, and bytes in use."""
        now = self._clock()
        passed = now - self._at
        cpu = 0.0
        if self._cpu_seconds is not None and passed > 0:
            cpu = max(0.0, cpu_seconds - self._cpu_seconds) / passed
        rate = _MILLI_DCU_PER_CPU * cpu + _MILLI_DCU_PER_GB * memory / 1e9
        self._total += rate * max(0.0, passed)
        self._at, self._cpu_seconds = now, cpu_seconds
        self._last = Use(round(cpu, 3), memory, round(rate), int(self._total))
        return self._last


def proportional_size(pids: Iterable[int]) -> int:
    """Give the bytes these processes take together, shared pages counted once (Linux).

    A process that refuses the look counts with its RSS.
    """
    total = 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            try:
                total += int(process.memory_full_info().pss) if sys.platform == "linux" else process.memory_info().rss
            except (psutil.AccessDenied, PermissionError):
                total += process.memory_info().rss
        except (psutil.Error, OSError):
            continue
    return total


def over_limit(
    limit: int,
    resident: int,
    pids: Callable[[], Iterable[int]],
    sleep: Callable[[float], None] = time.sleep,
    size: Callable[[Iterable[int]], int] = proportional_size,
) -> int:
    """Give the bytes in use if they are over ``limit`` twice in a row, else 0. Blocks: call it in a thread.

    ``resident`` is the sum of RSS, the upper bound that is known anyway: the true size is read only when it is over.
    """
    if limit <= 0 or resident <= limit:
        return 0
    if size(pids()) <= limit:
        return 0
    sleep(CONFIRM_SECONDS)
    again = size(pids())
    return again if again > limit else 0


def readable(size: int) -> str:
    """Give a size in the unit a person reads: ``1.5 GiB``."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"


def own_and(pids: Iterable[int]) -> list[int]:
    """Give the pids of a whole session: the host's own and those below it."""
    return [os.getpid(), *pids]
