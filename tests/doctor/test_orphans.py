"""What the doctor says of processes, directories and hosts that belong to no session, and of sessions without host."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_sessions.doctor import orphans
from jupyter_sessions.doctor.findings import Level
from jupyter_sessions.doctor.orphans import check_orphans
from jupyter_sessions.engines.base import Alive
from jupyter_sessions.engines.process import marked
from jupyter_sessions.engines.process.files import lock_is_held
from jupyter_sessions.model.hostfile import HOST_LOCK, MARK, HostProcess, read
from jupyter_sessions.service import schema
from tests.doctor.places import Home, bad, levels
from tests.engines.bench import ready, started
from tests.engines.process_bench import process_bench
from tests.real.server import RealServer, real_server, wait_for
from tests.service.fake_engine import World
from tests.service.servers import ALICE, active, finished, named, serving


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    return path


def identity(data_dir: Path) -> str:
    """Make a store unless there is one, and give its uuid."""
    schema.prepare(data_dir / "sessions.db")
    with contextlib.closing(sqlite3.connect(data_dir / "sessions.db")) as connection:
        return schema.meta(connection, "store_uuid").decode()


def lock_of(data_dir: Path, session: str) -> Path:
    """Give the lock that a session's host holds while it lives."""
    with contextlib.closing(sqlite3.connect(data_dir / "sessions.db")) as connection:
        (row,) = connection.execute("SELECT lock_dir FROM sessions WHERE uuid = ?", (session,))
    return Path(str(row[0])) / HOST_LOCK


@contextlib.contextmanager
def process(mark: str) -> Iterator[int]:
    """Run a process that carries a mark."""
    code = "import sys, time; print(flush=True); time.sleep(300)"
    running = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert running.stdout is not None
        running.stdout.readline()
        yield running.pid
    finally:
        running.send_signal(signal.SIGKILL)
        running.communicate()


def test_there_are_none_without_a_store(data_dir: Path) -> None:
    assert check_orphans(data_dir) == []


def test_a_store_that_cannot_be_read_is_a_warning(data_dir: Path) -> None:
    (data_dir / "sessions.db").write_text("no database, and longer than the header of one: " + "x" * 100)
    assert bad(check_orphans(data_dir)).level is Level.WARN


def test_a_process_of_no_session_is_found_and_left_alone(data_dir: Path) -> None:
    mine, lost = identity(data_dir), str(uuid.uuid4())
    assert levels(check_orphans(data_dir)) == {"orphans": "ok"}
    with process(f"{mine}/{lost}/1") as pid, process(f"{uuid.uuid4()}/{lost}/1") as other:
        found = bad(check_orphans(data_dir))
        assert found.level is Level.FAULT and lost in found.subject and f" {pid} " in found.what
        assert str(other) not in found.what and f"kill {pid}" in found.remedy
        assert marked.start_time(pid) is not None
    wait_for(lambda: levels(check_orphans(data_dir)) == {"orphans": "ok"}, "the process to be gone", 10)


async def test_a_process_of_a_live_session_is_no_orphan_and_one_of_an_ended_session_is(
    data_dir: Path,
) -> None:
    # The sessions of this service are on a machine of the test's own, where none of their hosts can be looked for.
    async with serving(data_dir, World()) as server:
        session = await active(server, "first-one")
        with process(f"{identity(data_dir)}/{session.uuid}/1"):
            assert levels(check_orphans(data_dir)) == {"orphans": "ok"}
            await finished(server, await server.terminate_session(ALICE, named("first-one")))
            found = bad(check_orphans(data_dir))
    assert found.why == "the session first-one has ended" and session.uuid in found.subject


async def test_a_host_that_no_row_knows_is_found_with_its_directory_and_left_alone(data_dir: Path) -> None:
    """A real host with its marks, as a server leaves it that lost its store's last row."""
    mine = identity(data_dir)
    async with process_bench(data_dir) as bench, started(bench.engine) as jobs:
        bench.store_uuid = mine
        job = await jobs.start(bench.job())
        await ready(bench.engine, job)
        (job.directory / "store").write_text(mine)
        written = read(job.directory, HostProcess)
        assert written is not None
        found = {row.subject: row for row in check_orphans(data_dir)}
        assert {row.level for row in found.values()} == {Level.FAULT}
        lost, place = found[f"session {job.uuid}"], found[str(job.directory)]
        assert str(written.pid) in lost.what and "not in the store" in lost.why
        assert place.what == f"its host {written.pid} runs" and f"kill {written.pid}" in place.remedy
        assert isinstance(await bench.engine.observe(job), Alive)


def test_a_directory_that_belongs_to_no_session(data_dir: Path) -> None:
    mine, lost = identity(data_dir), str(uuid.uuid4())
    for store, name in ((mine, lost), (str(uuid.uuid4()), str(uuid.uuid4()))):
        (data_dir / "sessions" / name).mkdir(parents=True)
        (data_dir / "sessions" / name / "store").write_text(store)
    found = bad(check_orphans(data_dir))
    directory = data_dir / "sessions" / lost
    assert found.level is Level.WARN and found.subject == str(directory) and f"rm -r {directory}" in found.remedy
    assert directory.exists()
    shutil.rmtree(directory)
    assert levels(check_orphans(data_dir)) == {"orphans": "ok"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("orphans")) as started:
        yield started


def test_a_place_in_use_is_sound(server: RealServer) -> None:
    """A server that runs with a live session and its kernel: the whole program finds no fault and changes nothing."""
    server.create("sound")
    server.jupyter("POST", "kernels", {"name": "sound.python3"})
    code, report, _ = Home(server.home).doctor("--quiet")
    checks = ("server", "store", "orphans", "permissions", "ports", "engine", "data directory")
    rows = [row for row in report["findings"] if row["check"] in checks and "8890" not in row["subject"]]
    assert code == 0 and {row["check"] for row in rows} == set(checks)
    assert {row["level"] for row in rows} == {"ok"}, rows
    assert server.session("sound")["state"] == "ACTIVE"


@pytest.mark.skipif(sys.platform != "linux", reason="a stopped server's sessions are killed by what /proc says")
def test_an_active_session_whose_host_is_gone(server: RealServer) -> None:
    """A server that was killed noted no end; the next one does, and then all is well."""
    made = server.create("lost")
    assert levels(check_orphans(server.data)) == {"orphans": "ok"}
    assert lock_is_held(lock_of(server.data, made["uuid"]))
    server.kill()
    began = time.monotonic()
    for one in marked.scan(marked.session_prefix(identity(server.data), made["uuid"])):
        marked.send(one, signal.SIGKILL)
    # A killed process loses its environment, and with it its mark, before it lets go of its lock.
    wait_for(lambda: not lock_is_held(lock_of(server.data, made["uuid"])), "the host to be gone")
    found = bad(check_orphans(server.data))
    assert found.level is Level.FAULT and found.subject == "session lost" and "its host is gone" in found.what
    assert "marks the session FAILED" in found.remedy and time.monotonic() - began >= orphans.SETTLE
    server.start()
    server.until("lost", "FAILED")
    assert levels(check_orphans(server.data)) == {"orphans": "ok"}
