"""Real kill -9 between the steps of a start, on both sides, and what is left of it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from jupyter_sessions.engines.base import Alive, CannotTell, Gone, Job
from jupyter_sessions.engines.process import marked
from jupyter_sessions.model.hostfile import HostProcess, Intent, read, write
from tests.engines.bench import end, ready, started, until
from tests.engines.process_bench import ProcessBench, process_bench

HOST = str(Path(__file__).with_name("host_with_fault.py"))
SERVER = str(Path(__file__).with_name("server_with_fault.py"))


@pytest.mark.parametrize("step", ["lock", "intent", "host.json", "serve", "token", "ready.json", "run"])
async def test_a_host_killed_at_a_step_of_its_start(tmp_path: Path, step: str) -> None:
    async with (
        process_bench(tmp_path, command=[sys.executable, HOST, step]) as bench,
        started(bench.engine) as run,
        bench.another() as other,
    ):
        job = await run.start(bench.job())
        gone = await until(bench.engine, job, lambda seen: isinstance(seen, Gone))
        assert isinstance(gone, Gone)
        assert (gone.incarnation, gone.marked) == (1, 0)
        assert gone.end is not None
        assert gone.end.cause == ("died" if step == "run" else "start")
        assert "ended by signal 9 (SIGKILL" in gone.end.message
        assert gone.end.exit_status == -signal.SIGKILL
        # Whoever comes next may start it again.
        assert isinstance(await other.observe(job), Gone)


@pytest.mark.parametrize("step", ["clean", "intent", "spawn", "spawned"])
async def test_a_server_killed_at_a_step_of_a_start(tmp_path: Path, step: str) -> None:
    async with process_bench(tmp_path) as bench, started(bench.engine) as run:
        job = bench.job()
        run.jobs.append(job)
        told = json.dumps([job.store_uuid, job.uuid, str(job.directory)])
        server = await asyncio.create_subprocess_exec(
            sys.executable, SERVER, step, told, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        )
        assert await server.wait() == -signal.SIGKILL
        if step == "spawned":
            # A process whose exec is not through shows neither mark nor lock, for a moment.
            await until(bench.engine, job, lambda seen: isinstance(seen, Alive))
            assert (await ready(bench.engine, job)).incarnation == 1
            return
        gone = await bench.engine.observe(job)
        assert gone == Gone(1 if step == "spawn" else 0)
        await run.start(job, 2)
        assert (await ready(bench.engine, job)).incarnation == 2


async def test_a_late_host_of_an_old_incarnation_leaves(tmp_path: Path) -> None:
    async with process_bench(tmp_path) as bench, started(bench.engine) as run:
        job = await run.start(bench.job())
        intent = read(job.directory, Intent)
        assert intent is not None
        # Before it has read its intent, another server has given up on it.
        write(job.directory, dataclasses.replace(intent, incarnation=2))
        gone = await until(bench.engine, job, lambda seen: isinstance(seen, Gone) and not seen.marked)
        assert isinstance(gone, Gone)
        assert read(job.directory, HostProcess) is None


async def test_a_second_host_finds_the_lock_held_and_leaves(tmp_path: Path) -> None:
    async with process_bench(tmp_path) as bench, started(bench.engine) as run:
        job = await run.start(bench.job())
        host = await ready(bench.engine, job)
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jupyter_sessions.host", str(job.directory), "1", stderr=asyncio.subprocess.PIPE
        )
        _, words = await second.communicate()
        assert second.returncode == 3
        assert b"another host" in words
        assert await ready(bench.engine, job) == dataclasses.replace(host, heartbeat=(await live(bench, job)).heartbeat)


async def live(bench: ProcessBench, job: Job) -> Alive:
    """Give what is seen of a live host."""
    seen = await bench.engine.observe(job)
    assert isinstance(seen, Alive)
    return seen


async def test_a_server_that_dies_leaves_the_session_running(tmp_path: Path) -> None:
    async with process_bench(tmp_path) as bench, started(bench.engine) as run:
        job = await run.start(bench.job())
        host = await ready(bench.engine, job)
        own = read(job.directory, HostProcess)
        assert own is not None
        # A process session of its own: nothing that ends the server's group or terminal reaches it.
        assert os.getsid(own.pid) == own.pid != os.getsid(0)
        await bench.engine.close()
        async with bench.another() as other:
            assert (await ready(other, job)).address == host.address


async def test_a_host_that_hears_nothing_is_killed_at_last(tmp_path: Path) -> None:
    async with process_bench(tmp_path) as bench, started(bench.engine) as run:
        job = await run.start(bench.job())
        await ready(bench.engine, job)
        own = read(job.directory, HostProcess)
        assert own is not None
        os.kill(own.pid, signal.SIGSTOP)
        await bench.engine.stop(job, "enough", 0.0)
        assert marked.find(job.store_uuid, job.uuid, ())
        await until_killed(bench, job)


async def until_killed(bench: ProcessBench, job: Job) -> None:
    """Stop as if 15 s had passed, until nothing is left."""
    for _ in range(200):
        await bench.engine.stop(job, "enough", 15.5)
        seen = await bench.engine.observe(job)
        if isinstance(seen, Gone) and not seen.marked:
            assert seen.end is not None
            assert seen.end.message == "enough"
            return
        await asyncio.sleep(0.05)
    pytest.fail("it was not killed")


async def test_a_lock_that_cannot_be_read_is_cannot_tell(tmp_path: Path) -> None:
    async with process_bench(tmp_path) as bench:
        job = bench.job()
        (job.directory / "host.lock").mkdir()
        assert isinstance(await bench.engine.observe(job), CannotTell)


async def test_an_end_leaves_no_secret_and_no_socket(tmp_path: Path) -> None:
    async with process_bench(tmp_path) as bench, started(bench.engine) as run:
        job = await run.start(bench.job())
        await ready(bench.engine, job)
        await end(bench.engine, job)
        names = set(os.listdir(job.directory))
        assert {"end.json", "host.lock", "intent.json", "log"} <= names
        assert not names & {"token", "host.sock", "kernels"}
        modes = {name: os.stat(os.path.join(job.directory, name)).st_mode & 0o077 for name in names}
        assert set(modes.values()) == {0}, modes
