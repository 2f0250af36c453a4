"""Locks, reaping and the program's own refusals, on real processes."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jupyter_sessions.host.__main__ import FAILED, OK, USAGE, main
from jupyter_sessions.host.process import check_private, descendants, is_zombie, start_time, take_lock
from jupyter_sessions.model.hostfile import End, HostProcess, read, write
from tests.host.fakes import Clock, intent

ADOPT = """
import os, subprocess, sys, time
from jupyter_sessions.host.process import Reaper, become_subreaper, children, is_zombie
assert become_subreaper()
kernel = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
subprocess.run(["sh", "-c", "sleep 0.05 &"], check=True)  # leaves an orphan for this process to adopt
reaper, reaped, deadline = Reaper(), [], time.monotonic() + 10
while not reaped and time.monotonic() < deadline:
    reaped += reaper.reap([kernel.pid])
    time.sleep(0.01)
while not is_zombie(kernel.pid):
    time.sleep(0.01)
for _ in range(5):
    reaper.reap([kernel.pid])
print(len(reaped), kernel.wait(), children(os.getpid()))
"""


def test_the_lock_is_waited_for_while_others_probe_it(tmp_path: Path) -> None:
    path = tmp_path / "host.lock"
    with path.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        release = threading.Timer(0.1, lambda: fcntl.flock(other, fcntl.LOCK_UN))
        release.start()
        handle = take_lock(path)
        release.join()
    assert handle is not None
    assert not os.get_inheritable(handle)
    assert take_lock(path, wait=0.05) is None
    os.close(handle)
    assert path.stat().st_mode & 0o077 in (0, 0o044)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
def test_adopted_children_are_reaped_and_a_kernels_status_is_left_to_its_starter() -> None:
    done = subprocess.run([sys.executable, "-c", ADOPT], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "1 7 []", done.stderr


def test_descendants_are_found_at_any_depth() -> None:
    parent = subprocess.Popen(["sh", "-c", "sh -c 'sleep 60 & wait' & wait"], start_new_session=True)
    try:
        deadline = time.monotonic() + 10
        while len(found := descendants(parent.pid)) < 2:
            assert time.monotonic() < deadline
        assert parent.pid not in found
        assert all(start_time(pid) is not None and not is_zombie(pid) for pid in found)
    finally:
        os.killpg(parent.pid, 9)
        parent.wait()


def test_a_zombie_is_known_for_one() -> None:
    child = subprocess.Popen(["true"])
    deadline = time.monotonic() + 10
    while not is_zombie(child.pid):
        assert time.monotonic() < deadline
    child.wait()
    assert not is_zombie(child.pid)
    assert start_time(2**22 - 1) is None


def test_a_socket_directory_must_be_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    check_private(tmp_path)
    tmp_path.chmod(0o750)
    with pytest.raises(PermissionError, match="must be 0700"):
        check_private(tmp_path)
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("argv", [[], ["/tmp"], ["/tmp", "one"], ["/tmp", "1", "2"]])
def test_a_wrong_call_says_how_it_is_called(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == USAGE
    assert "DIRECTORY INCARNATION" in capsys.readouterr().err


def test_without_an_intent_nothing_is_begun(tmp_path: Path) -> None:
    assert main([str(tmp_path), "1"]) == FAILED
    (tmp_path / "intent.json").write_text('{"version": 99}')
    assert main([str(tmp_path), "1"]) == FAILED
    assert os.listdir(tmp_path) == ["intent.json"]


def test_another_incarnation_leaves_without_a_trace(tmp_path: Path) -> None:
    write(tmp_path, intent(str(tmp_path), incarnation=2))
    steps: list[str] = []
    assert main([str(tmp_path), "1"], steps.append) == OK
    assert steps == ["lock", "intent"]
    assert read(tmp_path, HostProcess) is None
    assert read(tmp_path, End) is None


def test_an_end_asked_before_the_start_is_said(tmp_path: Path) -> None:
    write(tmp_path, intent(str(tmp_path), wanted="stop", reason="changed my mind"))
    assert main([str(tmp_path), "1"], clock=Clock(5.0)) == OK
    assert read(tmp_path, End) == End(1, "asked", "changed my mind", 5.0, 5.0, 0)
