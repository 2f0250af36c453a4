"""A hungry kernel, detached processes, a full disk: real hosts and kernels at their limits."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_sessions.engines.base import Alive, Gone, Job
from jupyter_sessions.engines.hostlink import HostLink
from jupyter_sessions.engines.process.engine import Bounds
from jupyter_sessions.model.hostfile import Heartbeat, Intent, read
from tests.engines.bench import end, ready, started, until
from tests.engines.process_bench import PYTHON_SPEC, ProcessBench, process_bench

DETACH = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True, env={})"
EAT = "x = bytearray(b'x' * (600 << 20))"
PRINT = "import os; [os.write(1, b'y' * 99 + b'\\n') for _ in range(4000)]"


def running(code: str) -> Mapping[str, Mapping[str, Any]]:
    """Give kernelspecs whose Python kernel runs ``code`` as it starts."""
    spec = dict(PYTHON_SPEC["spec"])
    spec["argv"] = [*spec["argv"], f"--IPKernelApp.exec_lines={code}"]
    return {"python3": {"spec": spec, "resource_dir": ""}}


@asynccontextmanager
async def link_to(bench: ProcessBench, job: Job) -> AsyncIterator[HostLink]:
    """Give a link to a job's host."""
    host = await ready(bench.engine, job)
    link = HostLink(host.address, host.token, host.uid)
    try:
        yield link
    finally:
        link.close()


async def start_kernel(bench: ProcessBench, job: Job) -> None:
    """Start the session's kernel."""
    async with link_to(bench, job) as link:
        status, answer = await link.request("POST", "/api/kernels", {}, timeout=30)
        assert status == 201, answer


async def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Poll a condition and give what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)
    return found


def sleeper_in(job: Job) -> int:
    """Give the pid of the detached sleeper that the host has written down, 0 while there is none."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        for pid, _ in json.loads((job.directory / "marked.json").read_text()):
            if psutil.Process(pid).name() == "sleep":
                return int(pid)
    return 0


def leftovers(*places: Path) -> set[str]:
    """Give the names of what only a live host may have."""
    names = {name for place in places if place.is_dir() for name in os.listdir(place)}
    return names & {"token", "host.sock", "kernels", "1-1"}


def lives(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is kept on Linux only")
async def test_a_hungry_kernel_ends_its_session_with_the_reason(tmp_path: Path) -> None:
    async with process_bench(tmp_path, running(EAT)) as bench, started(bench.engine) as run:
        job = await run.start(bench.job(local_memory="400Mi"))
        with contextlib.suppress(ConnectionError):
            await start_kernel(bench, job)
        gone = await until(bench.engine, job, lambda seen: isinstance(seen, Gone) and not seen.marked)
        assert isinstance(gone, Gone)
        assert gone.end is not None
        assert gone.end.cause == "memory"
        assert "more than its local:memory of 400 MiB" in gone.end.message


@pytest.mark.parametrize("killed", [False, True], ids=["asked", "host killed"])
async def test_what_cleared_its_environment_and_detached_is_ended_too(tmp_path: Path, killed: bool) -> None:
    async with process_bench(tmp_path, running(DETACH)) as bench, started(bench.engine) as run:
        job = await run.start(bench.job())
        await start_kernel(bench, job)
        pid = await wait_for(lambda: sleeper_in(job))
        if killed:
            await bench.kill_host(job)
            gone = await until(bench.engine, job, lambda seen: isinstance(seen, Gone))
            assert isinstance(gone, Gone)
            assert gone.marked
        assert lives(pid)
        intent = read(job.directory, Intent)
        await end(bench.engine, job)
        assert not lives(pid)
        assert intent is not None
        assert not leftovers(job.directory, Path(intent.socket_dir))


async def test_a_kernels_flood_is_kept_within_bounds_and_read_by_offset(tmp_path: Path) -> None:
    bounds = Bounds(log_bytes=100_000, log_files=3)
    async with process_bench(tmp_path, running(PRINT), bounds) as bench, started(bench.engine) as run:
        job = await run.start(bench.job())
        await start_kernel(bench, job)
        page = await bench.engine.logs(job, 0, 0)
        deadline = time.monotonic() + 20
        while page.next_offset < 500_000 and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            page = await bench.engine.logs(job, 0, 0)
        assert page.truncated
        assert page.next_offset >= 500_000
        assert all(line.endswith("y" * 99) for line in page.content.splitlines() if "y" * 99 in line)
        assert "[python3 " in page.content
        sizes = log_sizes(job.directory)
        while len(sizes) != 3 and time.monotonic() < deadline:  # a rotation was under way
            sizes = log_sizes(job.directory)
        assert len(sizes) == 3
        assert sum(sizes) < 3 * (100_000 + (1 << 17))


def log_sizes(directory: Path) -> list[int]:
    """Give the sizes of a session's log files."""
    found = []
    for path in (directory / "log").glob("host.log*"):
        with contextlib.suppress(FileNotFoundError):
            found.append(path.stat().st_size)
    return found


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """Mount a tmpfs of 1 MiB, which root alone may."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(directory)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here; tests/host/test_keeper.py makes the writes fail another way")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(directory: Path) -> Path:
    """Take all that is left of a disk."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as out:
        for size in (1 << 16, 1 << 10, 1):
            with contextlib.suppress(OSError):
                while True:
                    out.write(b"x" * size)
    with pytest.raises(OSError) as full:
        (directory / "another").write_bytes(b"x" * 4096)
    assert full.value.errno == errno.ENOSPC
    return filler


async def test_a_full_disk_fails_no_session_and_does_not_keep_one_alive(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with process_bench(disk) as bench, started(bench.engine) as run:
            job = await run.start(bench.job())
            await until(bench.engine, job, lambda seen: isinstance(seen, Alive) and bool(seen.heartbeat))
            filler = fill(disk)
            full_since = time.time()
            await start_kernel_or_be_told(bench, job)
            # Long enough for a heartbeat that could not be written.
            await wait_for(lambda: time.time() > full_since + 6)
            assert isinstance(await bench.engine.observe(job), Alive)
            filler.unlink()

            def beats() -> bool:
                beat = read(job.directory, Heartbeat)
                return beat is not None and beat.time > full_since + 5

            await wait_for(beats)
            fill(disk)
            gone = await end(bench.engine, job)
            assert gone.marked == 0
            (disk / "filler").unlink()


async def start_kernel_or_be_told(bench: ProcessBench, job: Job) -> None:
    """Ask for a kernel on a full disk: an answer comes, whatever it is, and the host goes on."""
    async with link_to(bench, job) as link:
        status, _ = await link.request("POST", "/api/kernels", {}, timeout=30)
        assert status in (201, 500)
