"""Usage and the memory limit."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterable

import pytest

from jupyter_sessions.host import memory


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_usage_is_cpu_and_memory_and_its_integral() -> None:
    clock = Clock()
    meter = memory.Meter(clock)
    meter.add(10.0, 0)
    clock.now = 2.0
    use = meter.add(13.0, 2_000_000_000)
    assert (use.cpu, use.memory, use.milli_dcu) == (1.5, 2_000_000_000, 600 * 1.5 + 100 * 2)
    assert use.milli_dcu_seconds == 2 * 1100
    clock.now = 12.0
    assert meter.add(13.0, 1_000_000_000).milli_dcu_seconds == 2200 + 10 * 100
    meter.restart()
    clock.now = 13.0
    assert meter.add(13.0, 1_000_000_000).milli_dcu_seconds == 100


def test_cpu_that_left_with_a_process_is_never_negative() -> None:
    clock = Clock()
    meter = memory.Meter(clock)
    meter.add(10.0, 0)
    clock.now = 1.0
    assert meter.add(4.0, 0).cpu == 0.0


def test_real_processes_are_measured_and_gone_ones_are_not() -> None:
    use = memory.Meter().measure([os.getpid(), 2**22 - 1])
    assert use.memory > 10 << 20


class Sizes:
    """Gives one size after the other and counts how often it was asked."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)
        self.slept: list[float] = []

    def __call__(self, pids: Iterable[int]) -> int:
        assert list(pids) == [1]
        return self.sizes.pop(0)

    def over(self, limit: int, resident: int) -> int:
        return memory.over_limit(limit, resident, lambda: [1], self.slept.append, self)


def test_the_true_size_is_read_only_when_its_bound_is_over() -> None:
    sizes = Sizes()
    assert sizes.over(0, 1000) == 0
    assert sizes.over(100, 100) == 0


def test_only_twice_in_a_row_is_over() -> None:
    assert Sizes(99).over(100, 101) == 0
    assert Sizes(101, 100).over(100, 101) == 0
    twice = Sizes(101, 102)
    assert twice.over(100, 101) == 102
    assert twice.slept == [0.5]


def _hold(block: bytearray, ready: object, done: object) -> None:
    assert len(block)
    ready.release()  # type: ignore[attr-defined]  # multiprocessing's semaphores have no common public type
    done.acquire()  # type: ignore[attr-defined]  # likewise


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells PSS")
def test_shared_pages_count_once() -> None:
    context = multiprocessing.get_context("fork")
    block = bytearray(b"x" * (64 << 20))
    ready, done = context.Semaphore(0), context.Semaphore(0)
    workers = [context.Process(target=_hold, args=(block, ready, done)) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for _ in workers:
            assert ready.acquire(timeout=10)
        pids = [os.getpid(), *(worker.pid or 0 for worker in workers)]
        resident = memory.Meter().measure(pids).memory
        assert resident > 4 * (64 << 20)
        assert memory.proportional_size(pids) < resident - 2 * (64 << 20)
    finally:
        for _ in workers:
            done.release()
        for worker in workers:
            worker.join(10)


@pytest.mark.parametrize(
    ("size", "words"), [(300 << 20, "300 MiB"), (1536 << 20, "1.5 GiB"), (12, "12 B"), (5000 << 30, "5000 GiB")]
)
def test_sizes_are_readable(size: int, words: str) -> None:
    assert memory.readable(size) == words
