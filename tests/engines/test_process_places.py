"""Socket directories, and which machine this is."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from jupyter_sessions.engines.process import machine, marked, places
from jupyter_sessions.host import process as host_process

UUID = "0b0e3a52-6f0a-4f5e-9c6b-2d6a1f0c9e11"


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory of the machine, short enough for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setattr("tempfile.gettempdir", lambda: short)
        yield Path(short)


def test_a_short_path_holds_its_own_sockets(tmp_path: Path) -> None:
    short = Path("/tmp/s")
    assert places.socket_directory(short, UUID) == short


def test_a_path_too_long_for_a_socket_gets_a_private_directory(temporary: Path) -> None:
    long = temporary / ("x" * 90)
    found = places.socket_directory(long, UUID)
    assert found == temporary / f"jupyter-sessions-{os.geteuid()}" / UUID.replace("-", "")[:16]
    assert places.socket_directory(long, UUID) == found
    for path in (found, found.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert len(os.fsencode(found / "host.sock")) <= places.SOCKET_PATH_BYTES


@pytest.mark.parametrize("fault", ["mode", "link", "file"])
def test_a_place_that_somebody_else_may_enter_is_refused(temporary: Path, fault: str) -> None:
    base = temporary / f"jupyter-sessions-{os.geteuid()}"
    if fault == "mode":
        base.mkdir()
        base.chmod(0o755)
    elif fault == "link":
        base.symlink_to(temporary)
    else:
        base.write_text("")
    with pytest.raises(PermissionError, match="remove it"):
        places.private_directory(UUID)
    with pytest.raises(PermissionError):
        host_process.check_private(base)


def test_network_file_systems_are_known_by_the_nearest_mount(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = [("/", "ext4"), (str(tmp_path), "nfs4"), (str(tmp_path / "local"), "xfs"), (str(tmp_path) + "x", "nfs")]
    monkeypatch.setattr(
        "psutil.disk_partitions", lambda all: [SimpleNamespace(mountpoint=place, fstype=kind) for place, kind in mounts]
    )
    assert places.on_network(tmp_path / "home")
    assert not places.on_network(tmp_path / "local" / "data")
    assert not places.on_network(Path("/"))
    assert places.socket_directory(tmp_path / "s", UUID).parent == temporary / f"jupyter-sessions-{os.geteuid()}"


def test_a_machine_has_one_id(tmp_path: Path) -> None:
    given = tmp_path / "machine-id"
    given.write_text("abc\n")
    assert machine.machine_id((tmp_path / "none", given)) == "abc"
    assert machine.machine_id() == machine.machine_id()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS always has an id")
def test_a_machine_without_an_id_gets_one_that_stays(tmp_path: Path) -> None:
    kept = tmp_path / "state" / "machine-id"
    first = machine.machine_id((), kept)
    assert len(first) == 32
    assert machine.machine_id((), kept) == first
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_boot_and_a_namespace_have_ids() -> None:
    assert machine.boot_id() == machine.boot_id() != ""
    assert machine.pid_namespace() == machine.pid_namespace()


def test_host_and_engine_mean_the_same_by_a_start_time() -> None:
    assert marked.start_time(os.getpid()) == host_process.start_time(os.getpid())
    assert marked.start_time(2**22 - 1) is host_process.start_time(2**22 - 1) is None


def test_a_process_that_became_another_is_not_signalled() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        started = marked.start_time(child.pid)
        assert started is not None
        assert not marked.send(marked.Process(child.pid, started - 1), signal.SIGKILL)
        assert not marked.send(marked.Process(child.pid, started, "store/session/1"), signal.SIGKILL)
        assert child.poll() is None
        assert marked.send(marked.Process(child.pid, started), signal.SIGTERM)
        assert child.wait(5) == -signal.SIGTERM
    finally:
        child.kill()
        child.wait()
