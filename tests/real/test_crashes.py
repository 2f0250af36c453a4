"""``kill -9`` of a real server, of a session's host, and of both: nothing is lost, orphaned or told wrongly."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.real.kernel import KernelSocket, execution
from tests.real.server import PARENT, RealServer, marked, real_server, wait_for

CHILDREN = """
import os, subprocess, sys
plain = subprocess.Popen(["sleep", "600"])
detached = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(os.getpid(), plain.pid, detached.pid)
"""
STUBBORN = """
import signal, subprocess, sys
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid)
"""


def hosts(home: Path) -> list[int]:
    """Give the process ids of the session hosts of a data directory."""
    return [p.pid for p in marked(home) if "jupyter_sessions.host" in " ".join(p.cmdline())]


def gone(pid: int) -> bool:
    """Say whether no live process has this id."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def opened(server: RealServer, session: str, path: str = "a.ipynb") -> dict[str, Any]:
    """Open a document on a session as JupyterLab does; give the notebook session."""
    body = {"path": path, "name": path, "type": "notebook", "kernel": {"name": f"{session}.python3"}}
    made: dict[str, Any] = server.jupyter("POST", "sessions", body)
    return made


def test_server_killed_in_the_middle_of_a_cell(tmp_path: Path) -> None:
    """The notebook comes back to the same kernel with its variables; its running cell went on."""
    with real_server(tmp_path) as server:
        server.create("crash")
        document = opened(server, "crash")
        kernel = document["kernel"]["id"]
        socket = KernelSocket(server, kernel)
        pid = socket.text("import os, time\nkept = 41\nprint(os.getpid())")
        code = "print('on', flush=True)\nwhile not os.path.exists('go'):\n    time.sleep(0.05)\nfinished = True"
        sent = socket.send("shell", "execute_request", execution(code))
        while "stream" not in (message := socket.receive())["header"]["msg_type"]:
            assert message is not None
        server.kill()
        before = hosts(tmp_path)
        (server.root / "go").touch()
        server.start()
        assert [k["id"] for k in server.jupyter("GET", "kernels")] == [kernel]
        restored = [s for s in server.jupyter("GET", "sessions") if s["path"] == "a.ipynb"]
        assert [(s["id"], s["kernel"]["id"]) for s in restored] == [(document["id"], kernel)]
        socket = KernelSocket(server, kernel, session=socket.session)
        assert socket.answers(sent)[-1]["parent_header"]["msg_id"] == sent
        assert socket.text("print(os.getpid(), kept + 1, finished)").split() == [pid.strip(), "42", "True"]
        assert server.session("crash")["state"] == "ACTIVE"
        assert hosts(tmp_path) == before and len(before) == 1


def test_host_killed(tmp_path: Path) -> None:
    """The session fails with the signal in words; kernels and their children, detached ones too, are ended."""
    with real_server(tmp_path) as server:
        server.create("crash")
        kernel = opened(server, "crash")["kernel"]["id"]
        socket = KernelSocket(server, kernel)
        pids = [int(word) for word in socket.text(CHILDREN).split()]
        wait_for(lambda: all(f"[{pid}," in recorded(server) for pid in pids), "the host to have seen them")
        os.kill(hosts(tmp_path)[0], signal.SIGKILL)
        while (message := socket.receive())["content"].get("execution_state") != "dead":
            assert message["channel"] == "iopub"
        ended = server.until("crash", "FAILED")
        assert "SIGKILL" in ended["stateMessage"]
        assert [h["state"] for h in ended["stateHistory"]] == ["CREATING", "ACTIVE"]
        wait_for(lambda: all(gone(pid) for pid in pids), "the kernel and its children to end")
        assert marked(tmp_path) == []


def recorded(server: RealServer) -> str:
    """Give what the host last wrote down of its descendants."""
    return next(server.data.glob("sessions/*/marked.json")).read_text()


def test_server_and_host_killed(tmp_path: Path) -> None:
    """The next server says that the session ended without a word, and leaves no process of it."""
    with real_server(tmp_path) as server:
        server.create("crash")
        kernel = opened(server, "crash")["kernel"]["id"]
        pids = [int(word) for word in KernelSocket(server, kernel).text(CHILDREN).split()]
        server.kill()
        os.kill(hosts(tmp_path)[0], signal.SIGKILL)
        server.start()
        ended = server.until("crash", "FAILED")
        assert "without a word" in ended["stateMessage"]
        wait_for(lambda: all(gone(pid) for pid in pids), "the kernel and its children to end")
        assert marked(tmp_path) == []
        again = server.create("again")
        assert again["state"] == "ACTIVE"


@pytest.mark.parametrize("host_too", [False, True], ids=["server", "both"])
def test_killed_while_creating(tmp_path: Path, host_too: bool) -> None:
    """One create makes exactly one host, whatever is killed in between."""
    with real_server(tmp_path) as server:
        server.call("POST", f"{PARENT}/sessions", {}, sessionId="crash", requestId="once")
        server.kill()
        if host_too:
            for pid in hosts(tmp_path):
                os.kill(pid, signal.SIGKILL)
        server.start()
        server.call("POST", f"{PARENT}/sessions", {}, sessionId="crash", requestId="once")
        now = server.until("crash", "ACTIVE", "FAILED")
        if not host_too:
            assert now["state"] == "ACTIVE"
        assert len(hosts(tmp_path)) == (now["state"] == "ACTIVE")
        assert len(server.call("GET", f"{PARENT}/sessions")["sessions"]) == 1


@pytest.mark.parametrize("host_too", [False, True], ids=["server", "both"])
def test_killed_while_terminating(tmp_path: Path, host_too: bool) -> None:
    """The end that was asked for is carried out by the next server, down to a child that ignores TERM."""
    with real_server(tmp_path) as server:
        server.create("crash")
        kernel = opened(server, "crash")["kernel"]["id"]
        child = int(KernelSocket(server, kernel).text(STUBBORN))
        server.call("POST", f"{PARENT}/sessions/crash:terminate", {})
        server.kill()
        if host_too:
            for pid in hosts(tmp_path):
                os.kill(pid, signal.SIGKILL)
        server.start()
        ended = server.until("crash", "TERMINATED")
        assert [h["state"] for h in ended["stateHistory"]] == ["CREATING", "ACTIVE", "TERMINATING"]
        assert gone(child)
        assert marked(tmp_path) == []


def test_nothing_is_readable_by_others(tmp_path: Path) -> None:
    """Every file of a live session and of the store is its owner's alone."""
    with real_server(tmp_path) as server:
        server.create("private")
        opened(server, "private")
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
        for path in server.data.rglob("*"):
            assert not path.lstat().st_mode & 0o077, path
