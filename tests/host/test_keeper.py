"""The host's second hand, with a clock that jumps, limits that change and a disk that is full."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil

from jupyter_sessions.host.keeper import Keeper, Why
from jupyter_sessions.host.marks import Family
from jupyter_sessions.model.hostfile import End, Heartbeat, Intent, read, write
from tests.host.fakes import Clock, FakeKernels, intent

NOBODY = 2**22 - 1
"""A pid above the system's largest: a root without descendants, so that no other test's process is touched."""


class Bench:
    """One keeper with all that a test turns."""

    def __init__(self, directory: Path, root: int = NOBODY, **changes: object) -> None:
        self.directory = directory
        self.clock = Clock()
        self.kernels = FakeKernels()
        self.intent = intent(str(directory), **changes)
        write(directory, self.intent)
        family = Family(directory, self.intent.mark, root)
        self.keeper = Keeper(directory, self.intent, self.kernels, None, self.clock, family)

    def want(self, **changes: object) -> None:
        self.intent = dataclasses.replace(self.intent, **changes)  # type: ignore[arg-type]  # fields of Intent
        write(self.directory, self.intent)

    async def at(self, seconds: float) -> Why | None:
        """Tick once, this many seconds after the start."""
        self.clock.now = 1_700_000_000.0 + seconds
        return await self.keeper.tick()

    @property
    def beat(self) -> Heartbeat:
        beat = read(self.directory, Heartbeat)
        assert beat is not None
        return beat


DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60) # MARK"
)
NEST = """
import os, subprocess, sys
for code in sys.argv[1:]:
    env = {**os.environ, "JUPYTER_SESSIONS_MARK": code.split("# ")[1]}
    child = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE)
    child.stdout.readline()
    print(child.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def nest(*codes: str) -> Iterator[list[int]]:
    """Run programs below a process of their own; give its pid, then theirs, once they are up."""
    parent = subprocess.Popen([sys.executable, "-c", NEST, *codes], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()) for _ in codes]
    try:
        yield [parent.pid, *pids]
    finally:
        for pid in [pid for pid in pids if lives(pid)]:
            os.kill(pid, signal.SIGKILL)
        parent.communicate()


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@asynccontextmanager
async def bench(directory: Path, **changes: Any) -> AsyncIterator[Bench]:
    made = Bench(directory, **changes)
    yield made
    await made.keeper.end(Why("asked", "the test is over"))


async def test_it_beats_every_five_seconds_and_on_what_must_be_told(tmp_path: Path) -> None:
    async with bench(tmp_path) as host:
        assert await host.at(0) is None
        first = host.beat
        assert (first.incarnation, first.kernels, first.ends_why) == (1, 0, "idleTtl")
        assert first.memory > 0
        await host.at(4)
        assert host.beat == first
        await host.at(5)
        assert host.beat.time == first.time + 5
        host.kernels.kernels = host.kernels.executing = 1
        await host.at(6)
        assert (host.beat.kernels, host.beat.busy, host.beat.ends_why) == (1, 1, "ttl")


async def test_an_idle_session_is_warned_then_ended(tmp_path: Path) -> None:
    async with bench(tmp_path) as host:
        assert await host.at(1199) is None
        assert host.beat.warning == ""
        assert await host.at(1200) is None
        assert host.beat.warning == "ends in 10 min: idle"
        assert await host.at(1799) is None
        assert await host.at(1800) == Why("idleTtl", "ended by its idleTtl: no kernel was busy for 30 min")


async def test_a_clock_that_jumps_forward_ends_by_the_limit(tmp_path: Path) -> None:
    async with bench(tmp_path) as host:
        await host.at(0)
        why = await host.at(9 * 3600)
        assert why is not None
        assert why.cause == "idleTtl"


async def test_a_clock_that_jumps_back_still_beats(tmp_path: Path) -> None:
    async with bench(tmp_path) as host:
        await host.at(500)
        assert await host.at(-5000) is None
        assert host.beat.time == host.clock.now


async def test_an_extension_is_taken_live(tmp_path: Path) -> None:
    async with bench(tmp_path) as host:
        await host.at(1700)
        assert host.beat.warning
        await host.at(1701)
        host.want(idle_ttl=7200.0, ttl=86_400.0)
        assert await host.at(1702) is None
        assert host.beat.warning == ""
        assert host.beat.ends_at == 1_700_000_000.0 + 7200
        assert host.kernels.shut_down == []


async def test_both_clocks_start_at_the_active_time(tmp_path: Path) -> None:
    async with bench(tmp_path) as host:
        await host.at(0)
        host.want(active_since=1_700_000_100.0)
        await host.at(1)
        assert host.beat.ends_at == 1_700_000_100.0 + 1800


async def test_a_wanted_stop_ends_it_with_the_reason(tmp_path: Path) -> None:
    async with bench(tmp_path) as host:
        await host.at(0)
        host.want(wanted="stop", reason="terminated by ann")
        assert await host.at(1) == Why("asked", "terminated by ann")


async def test_another_incarnation_replaces_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as host:
        host.want(incarnation=2)
        why = await host.at(1)
        assert why is not None
        assert "incarnation 2" in why.message


async def test_a_damaged_or_newer_intent_changes_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as host:
        await host.at(0)
        (tmp_path / "intent.json").write_text("{ damaged")
        assert await host.at(1) is None
        (tmp_path / "intent.json").write_text('{"version": 99}')
        assert await host.at(2) is None


async def test_a_poke_and_a_signal_wake_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as host:
        host.keeper.on_signal(signal.SIGTERM)
        why = await host.keeper.run()
        assert why.cause == "asked"
        assert "SIGTERM" in why.message


async def test_run_takes_up_a_new_intent_by_itself(tmp_path: Path) -> None:
    async with bench(tmp_path) as host:
        host.want(wanted="stop", reason="enough")
        host.keeper.poke()
        assert (await host.keeper.run()).message == "enough"


async def test_a_directory_that_was_removed_ends_the_host(tmp_path: Path) -> None:
    directory = tmp_path / "session"
    directory.mkdir()
    async with bench(directory) as host:
        await host.at(0)
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
        whys = [await host.at(number) for number in range(1, 12)]
        assert Why("fault", "its directory was removed") in whys


async def test_a_full_disk_ends_nothing_and_the_next_beat_is_written(tmp_path: Path) -> None:
    async with bench(tmp_path) as host:
        await host.at(0)
        first = host.beat
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            assert await host.at(10) is None
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert host.beat == first
        assert await host.at(11) is None
        assert host.beat.time == first.time + 11
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


async def test_the_end_ends_everything_but_another_sessions_processes(tmp_path: Path) -> None:
    with nest(DEAF.replace("MARK", "store/session/1"), DEAF.replace("MARK", "store/other/1")) as (root, own, other):
        host = Bench(tmp_path, root)
        await host.at(0)
        assert str(own) in (tmp_path / "marked.json").read_text()
        host.clock.now += 5
        end = await host.keeper.end(Why("idleTtl", "idle"))
        assert end == read(tmp_path, End)
        assert (end.cause, end.message, end.exit_status) == ("idleTtl", "idle", 0)
        assert host.kernels.shut_down == [False]
        assert not lives(own)
        assert lives(other)


async def test_an_end_by_memory_is_written_before_anything_is_killed(tmp_path: Path) -> None:
    with nest("x = bytearray(b'x' * (400 << 20)); " + DEAF.replace("MARK", "store/session/1")) as (root, hungry):
        host = Bench(tmp_path, root, memory=300 << 20)
        why = await host.at(0)
        assert why is not None
        assert why.cause == "memory"
        assert "300 MiB" in why.message
        await host.keeper.end(why)
        assert host.kernels.shut_down == [True]
        assert not lives(hungry)
        written = read(tmp_path, End)
        assert written is not None
        assert written.cause == "memory"


def test_intents_are_compared_whole(tmp_path: Path) -> None:
    made = intent(str(tmp_path))
    write(tmp_path, made)
    assert read(tmp_path, Intent) == made
