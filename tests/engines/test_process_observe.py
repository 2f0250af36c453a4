"""What is alive, what is gone, and what cannot be told; and what telling costs."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_sessions.engines.base import Alive, CannotTell, Gone, Job
from jupyter_sessions.engines.process.debris import tidy
from jupyter_sessions.engines.process.engine import ProcessEngine, unsupported
from jupyter_sessions.engines.process.files import OwnFiles, lock_is_held
from jupyter_sessions.engines.process.observe import STALE_SECONDS
from jupyter_sessions.engines.process.spawn import complete_end, exit_words, host_environment
from jupyter_sessions.model.errors import FailedPrecondition
from jupyter_sessions.model.hostfile import (
    MARK,
    End,
    Heartbeat,
    HostProcess,
    Intent,
    Ready,
    read,
    write,
)
from tests.engines.bench import private, session
from tests.engines.process_bench import PYTHON_SPEC


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A session's directory as a host would leave it; the lock is held by this very test."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.job = Job("store", session(), private(directory), directory)
        self.engine = ProcessEngine(lambda: {"python3": PYTHON_SPEC}, "/", clock=self.clock)
        self.handle = os.open(directory / "host.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self.handle, fcntl.LOCK_EX)
        intent = Intent("store", self.job.uuid, 1, "run", str(directory), str(directory), {}, "/")
        for record in (intent, HostProcess(os.getpid(), 1.0, 1, "boot"), Ready(1, "unix:/x", self.clock.now)):
            write(directory, record)
        (directory / "token").write_text("t" * 64)
        self.beat()

    def beat(self, **changes: float) -> None:
        write(self.job.directory, replace(Heartbeat(1, self.clock.now), **changes))  # type: ignore[arg-type]  # numbers


@contextmanager
def scene(directory: Path) -> Iterator[Scene]:
    made = Scene(directory)
    try:
        yield made
    finally:
        os.close(made.handle)


async def test_a_live_host_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    with scene(tmp_path / "s") as made:
        seen = await made.engine.observe(made.job)
        assert isinstance(seen, Alive)
        assert (seen.incarnation, seen.address, seen.token, seen.uid) == (1, "unix:/x", "t" * 64, os.geteuid())
        again = await made.engine.observe(made.job)
        assert isinstance(again, Alive)
        assert again.heartbeat is seen.heartbeat
        made.beat(busy=1)
        news = await made.engine.observe(made.job)
        assert isinstance(news, Alive)
        assert news.heartbeat is not None
        assert news.heartbeat.busy == 1


async def test_a_host_that_says_nothing_is_cannot_tell_until_it_speaks(tmp_path: Path) -> None:
    with scene(tmp_path / "s") as made:
        made.clock.now += STALE_SECONDS + 1
        seen = await made.engine.observe(made.job)
        assert isinstance(seen, CannotTell)
        assert "21 s" in seen.why
        made.beat()
        assert isinstance(await made.engine.observe(made.job), Alive)
        made.clock.now -= 3600
        assert isinstance(await made.engine.observe(made.job), Alive), "a clock set back is no silence"


@pytest.mark.parametrize("name", ["host.json", "ready.json", "heartbeat.json"])
@pytest.mark.parametrize("text", ['{"version": 99}', "{ damaged", "[]", '{"version": 1}'])
async def test_files_that_are_not_understood_are_cannot_tell(tmp_path: Path, name: str, text: str) -> None:
    with scene(tmp_path / "s") as made:
        (made.job.directory / name).write_text(text)
        assert isinstance(await made.engine.observe(made.job), CannotTell)


async def test_the_version_before_is_understood(tmp_path: Path) -> None:
    with scene(tmp_path / "s") as made:
        path = made.job.directory / "ready.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "version": 0, "new": 1}))
        assert isinstance(await made.engine.observe(made.job), Alive)


async def test_a_host_on_its_way_has_steps(tmp_path: Path) -> None:
    with scene(tmp_path / "s") as made:
        write(made.job.directory, Ready(0, "unix:/old", 1.0))
        loading = await made.engine.observe(made.job)
        assert loading == Alive(1, "its host is loading")
        (made.job.directory / "host.json").unlink()
        assert isinstance(await made.engine.observe(made.job), CannotTell)


async def test_a_free_lock_is_gone_with_what_the_host_said_last(tmp_path: Path) -> None:
    with scene(tmp_path / "s") as made:
        end = End(1, "ttl", "ended by its ttl", 1.0, 2.0, 0)
        write(made.job.directory, end)
        write(made.job.directory, replace(Heartbeat(1, 5.0), memory=7))
        fcntl.flock(made.handle, fcntl.LOCK_UN)
        gone = await made.engine.observe(made.job)
        assert isinstance(gone, Gone)
        assert (gone.incarnation, gone.end, gone.marked) == (1, end, 0)
        assert gone.heartbeat is not None
        assert gone.heartbeat.memory == 7
        write(made.job.directory, replace(end, incarnation=0))
        older = await made.engine.observe(made.job)
        assert isinstance(older, Gone)
        assert older.end is None


async def test_what_still_runs_is_counted_by_mark_and_by_the_hosts_list(tmp_path: Path) -> None:
    with scene(tmp_path / "s") as made:
        fcntl.flock(made.handle, fcntl.LOCK_UN)
        env = {**os.environ, MARK: f"store/{made.job.uuid}/1"}
        sleepers = [
            await asyncio.create_subprocess_exec("sleep", "60", env=env),
            await asyncio.create_subprocess_exec("sleep", "60", env={}),
            await asyncio.create_subprocess_exec("sleep", "60", env={MARK: "another/session/1"}),
        ]
        try:
            from jupyter_sessions.host.process import start_time

            rows = [[sleeper.pid, start_time(sleeper.pid)] for sleeper in sleepers[1:]]
            # A pid given out again: the start time is another.
            rows.append([os.getppid(), 1.0])
            (made.job.directory / "marked.json").write_text(json.dumps(rows))
            gone = await made.engine.observe(made.job)
            assert isinstance(gone, Gone)
            assert gone.marked == 2
            await made.engine.stop(made.job, "enough", 16.0)
            assert [await sleepers[0].wait(), await sleepers[1].wait()] == [-9, -9]
            assert sleepers[2].returncode is None
        finally:
            for sleeper in sleepers:
                if sleeper.returncode is None:
                    sleeper.kill()
                await sleeper.wait()


async def test_observing_is_cheap(tmp_path: Path) -> None:
    with scene(tmp_path / "s") as made:
        await made.engine.observe(made.job)
        before = resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(1000):
            await made.engine.observe(made.job)
        after = resource.getrusage(resource.RUSAGE_SELF)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        # 50 sessions, each second, for a minute: 3,000 looks in well under the 0.3 s that the whole server may use.
        assert spent < 0.1, f"{spent * 1000:.0f} µs a look"


async def test_probing_does_not_hold_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "host.lock"
    assert not lock_is_held(path)
    path.touch()
    assert not lock_is_held(path)
    with path.open("r+") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not lock_is_held(path), "another prober is no host"
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert lock_is_held(path)


def test_an_exit_status_completes_the_end_file(tmp_path: Path) -> None:
    files = OwnFiles(tmp_path)
    complete_end(files, files, 1, 3, 10.0)
    end = read(tmp_path, End)
    assert end is not None
    assert (end.cause, end.exit_status) == ("start", 3)
    assert "exit status 3" in end.message
    write(tmp_path, End(2, "memory", "used too much", 20.0, 20.0))
    complete_end(files, files, 2, -9, 25.0)
    assert read(tmp_path, End) == End(2, "memory", "used too much", 20.0, 25.0, -9)
    write(tmp_path, Ready(3, "unix:/x", 1.0))
    complete_end(files, files, 3, -11, 30.0)
    end = read(tmp_path, End)
    assert end is not None
    assert (end.cause, end.message) == (
        "died",
        "The session's host was ended by signal 11 (SIGSEGV)",
    )


def test_exit_statuses_in_words() -> None:
    assert [exit_words(status) for status in (0, 3, -9, -250)] == [
        "ended with exit status 0",
        "ended with exit status 3",
        "was ended by signal 9 (SIGKILL, by a user or because the machine ran out of memory)",
        "was ended by signal 250 (unknown)",
    ]


def test_the_environment_is_a_local_kernels_without_the_servers_secrets() -> None:
    environ = {
        "HOME": "/h",
        "CUDA_VISIBLE_DEVICES": "0",
        "HTTPS_PROXY": "http://p",
        "JUPYTER_TOKEN": "t",
        "JUPYTER_GATEWAY_AUTH_TOKEN": "t",
        "JUPYTERHUB_API_TOKEN": "t",
        "JPY_PARENT_PID": "1",
        "JUPYTER_PATH": "/j",
        "FAR_TOKEN": "t",
        MARK: "outer/session/1",
    }
    assert host_environment(environ, "a/b/1", {"FAR_TOKEN"}) == {
        "HOME": "/h",
        "CUDA_VISIBLE_DEVICES": "0",
        "HTTPS_PROXY": "http://p",
        "JUPYTER_PATH": "/j",
        MARK: "a/b/1",
    }


def test_what_a_dead_host_left_is_removed(tmp_path: Path) -> None:
    place = private(tmp_path / "sockets")
    intent = Intent("store", "s", 1, "stop", str(place), str(tmp_path), {}, "/")
    (tmp_path / "token").write_text("t")
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
            place / "host.sock",
        ],
        check=True,
    )
    private(place / "kernels").joinpath("kernel-1.json").write_text("key")
    with (tmp_path / "host.lock").open("w") as host:
        fcntl.flock(host, fcntl.LOCK_EX)
        tidy(tmp_path, tmp_path, intent)
        assert (tmp_path / "token").exists(), "a live host keeps its own"
    tidy(tmp_path, tmp_path, intent)
    assert [path.name for path in tmp_path.iterdir()] == ["host.lock"]
    tidy(tmp_path, tmp_path, intent)


def test_on_windows_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert unsupported("linux") == unsupported("darwin") == ""
    assert "POSIX" in unsupported("win32")
    monkeypatch.setattr("jupyter_sessions.engines.process.engine.unsupported", lambda: unsupported("win32"))
    with pytest.raises(FailedPrecondition, match="POSIX system"):
        ProcessEngine(dict, "/")


def test_it_can_be_imported_where_there_is_no_fcntl() -> None:
    pretend = "import asyncio, subprocess, sys, tempfile; sys.platform = 'win32'; sys.modules['fcntl'] = None; "
    code = pretend + "import jupyter_sessions.engines.process.engine"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, jupyter_sessions.engines.process.engine; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydantic", "lark", "requests", "psutil", "tornado"} & set(done.stdout.split())


async def test_a_host_asked_to_stop_is_asked_once(tmp_path: Path) -> None:
    with scene(tmp_path / "s") as made:
        await made.engine.stop(made.job, "first words", 0.0)
        stamp = os.stat(made.job.directory / "intent.json").st_mtime_ns
        time.sleep(0.01)  # noqa: ASYNC251 - file times must be able to differ
        await made.engine.stop(made.job, "other words", 1.0)
        assert os.stat(made.job.directory / "intent.json").st_mtime_ns == stamp
        intent = read(made.job.directory, Intent)
        assert intent is not None
        assert (intent.wanted, intent.reason) == ("stop", "first words")
