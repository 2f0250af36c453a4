"""The log: bounded, labelled, and still written to where the disk allows."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_sessions.host.log import OFFSETS, HostLog


@contextmanager
def host_log(directory: Path, file_bytes: int = 1000, files: int = 3) -> Iterator[HostLog]:
    log = HostLog(directory, file_bytes, files)
    try:
        yield log
    finally:
        log.close()


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def text(directory: Path, name: str = "host.log") -> str:
    return (directory / name).read_text()


def test_kernel_output_is_read_from_pipes_and_labelled_by_line(tmp_path: Path) -> None:
    with host_log(tmp_path / "log") as log:
        fd = log.kernel_fd("python3 1a")
        assert log.kernel_fd("python3 1a") == fd
        os.write(fd, b"one\ntw")
        os.write(fd, b"o\n")
        os.write(log.kernel_fd("r 2b"), b"three\n")
        wait_for(lambda: "three" in text(tmp_path / "log") and "two" in text(tmp_path / "log"))
        lines = text(tmp_path / "log").splitlines()
        assert sorted(lines) == ["[python3 1a] one", "[python3 1a] two", "[r 2b] three"]


def test_a_child_writes_through_the_pipe(tmp_path: Path) -> None:
    with host_log(tmp_path / "log") as log:
        fd = log.kernel_fd("k")
        subprocess.run([sys.executable, "-c", "print('from a child')"], stdout=fd, check=True)
    assert text(tmp_path / "log") == "[k] from a child\n"


def test_what_a_released_kernel_still_says_is_kept(tmp_path: Path) -> None:
    with host_log(tmp_path / "log") as log:
        os.write(log.kernel_fd("k"), b"no newline")
        log.release("k")
        wait_for(lambda: "no newline" in text(tmp_path / "log"))
        log.release("k")
    assert text(tmp_path / "log") == "[k] no newline\n"


def test_an_endless_line_is_not_kept_in_memory(tmp_path: Path) -> None:
    with host_log(tmp_path / "log", file_bytes=1 << 20) as log:
        os.write(log.kernel_fd("k"), b"x" * 20_000)
        wait_for(lambda: text(tmp_path / "log").count("x") == 20_000)


def test_rotation_bounds_the_files_and_keeps_the_offsets(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    with host_log(directory, file_bytes=100, files=3) as log:
        for number in range(50):
            log.write(f"line {number:04}\n".encode())
    names = sorted(path.name for path in directory.iterdir())
    assert names == ["host.log", "host.log.1", "host.log.2", OFFSETS]
    offsets = {int(inode): start for inode, start in json.loads((directory / OFFSETS).read_text()).items()}
    for name in names[:3]:
        start = offsets[(directory / name).stat().st_ino]
        assert text(directory, name).splitlines()[0] == f"line {start // 10:04}"
    assert all((directory / name).stat().st_size <= 110 for name in names[:3])
    assert (directory / "host.log").stat().st_mode & 0o777 == 0o600


def test_a_new_host_goes_on_where_the_old_one_stopped(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    for round_ in range(2):
        with host_log(directory, file_bytes=100) as log:
            for number in range(15):
                log.write(f"line {round_ * 15 + number:04}\n".encode())
    offsets = json.loads((directory / OFFSETS).read_text())
    assert offsets[str((directory / "host.log").stat().st_ino)] == 200
    assert text(directory).splitlines()[0] == "line 0020"


def test_stdout_follows_a_rotation(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from jupyter_sessions.host.log import HostLog\n"
        "log = HostLog(Path(sys.argv[1]), 100, 3); log.take_over()\n"
        "os.write(1, b'a' * 150); log.check(); os.write(2, b'b' * 10); log.close()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "log")], check=True)
    assert text(tmp_path / "log") == "b" * 10
    assert text(tmp_path / "log", "host.log.1") == "a" * 150


def test_a_disk_that_takes_no_more_ends_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    with host_log(directory, file_bytes=100) as log:
        log.write(b"a" * 120)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            log.write(b"lost\n")
            log.check()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        log.write(b"kept\n")
    assert "lost" not in text(directory)
    assert text(directory).endswith("kept\n")


def test_a_slow_disk_does_not_hold_up_who_asks_for_a_pipe(tmp_path: Path) -> None:
    log = HostLog(tmp_path, 1 << 20, 2)

    def ask() -> None:
        log.kernel_fd("a")
        log.release("a")

    asked = threading.Thread(target=ask, daemon=True)
    # What writes holds this for as long as the disk takes.
    with log._lock:
        asked.start()
        asked.join(timeout=10)
        assert not asked.is_alive()
    log.close()
