"""Other systems, played in a process of its own: Windows without its missing modules, macOS without ``/proc``."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.engines import hostlink
from tests.real.server import free_port

# What Jupyter and the standard library load is loaded as on this system; what we load then is loaded as on Windows.
WINDOWS = """
import asyncio, getpass, json, logging, os, sys, urllib.error, urllib.request
import ipykernel.kernelspec, jupyter_server.serverapp, jupyter_server.services.kernels.websocket
import jupyter_server.gateway.managers, psutil, tornado.simple_httpclient, tornado.websocket

sys.modules.update(dict.fromkeys(("fcntl", "resource", "pwd", "grp", "termios")))
sys.platform = "win32"
home, port = sys.argv[1], int(sys.argv[2])
app = jupyter_server.serverapp.ServerApp()
app.initialize(["--ServerApp.jpserver_extensions", "jupyter_sessions=True", f"--ServerApp.port={port}", "--no-browser",
    "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={home}", "--allow-root", "--IdentityProvider.token=secret",
    "--ServerApp.jpserver_extensions", "jupyterlab=False"])

def ask(path):
    url = f"http://127.0.0.1:{port}/{path}"
    request = urllib.request.Request(url, headers={"Authorization": "token secret"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)

async def look():
    await app.extension_manager.start_all_extensions()
    paths = ("jupyter-sessions/v1/projects/local/locations/local/sessions", "api/kernelspecs", "api/kernels")
    print(json.dumps([await asyncio.to_thread(ask, path) for path in paths]))
    await app.extension_manager.stop_all_extensions()

app.io_loop.run_sync(look)
"""
IMPORTS = """
import importlib, json, pathlib, sys, asyncio, getpass, tempfile, subprocess, psutil, tornado.websocket, pydantic, lark
import jupyter_server.serverapp, jupyter_server.gateway.managers, jupyter_events

sys.modules.update(dict.fromkeys(("fcntl", "resource", "pwd", "grp", "termios")))
# What they do on Windows is their own affair.
import rich.console, typer
sys.platform = "win32"
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
"""
MAC = """
import os, subprocess, sys, jupyter_client.ioloop.manager, psutil

def hook(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith("/proc"):
        if sys._getframe(1).f_globals["__name__"].startswith("jupyter_sessions"):
            raise AssertionError(f"{event} {arguments[0]}")

sys.platform = "darwin"
sys.addaudithook(hook)
from jupyter_sessions.engines.process import machine, marked, places
from jupyter_sessions.host import manager, marks, process

process._has_lists = lambda: False
assert places.SOCKET_PATH_BYTES == manager.SOCKET_PATH == 103
assert not process.become_subreaper()
own = os.getpid()
started = psutil.Process(own).create_time()
assert marked.start_time(own) == process.start_time(own) == started
assert marked.mark_of(own) == marks.process_mark(own) == "a/b/1"
assert [each.pid for each in marked.scan("a/b/")] == [own]
assert not marked.send(marked.Process(own, started - 1, "a/b/1"), 0)
assert marked.send(marked.Process(own, started, "a/b/1"), 0)
with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
    assert process.children(own) == [child.pid] and process.descendants(own) == {child.pid}
    assert not process.is_zombie(child.pid)
    child.communicate(b"end")
assert process.start_time(child.pid) is None and process.children(own) == []
"""


SERVE = """
import runpy, sys
sys.platform = "win32"
sys.modules.update(dict.fromkeys(("fcntl", "resource", "pwd", "grp", "termios")))
try:
    runpy.run_module("jupyter_sessions.serve", run_name="__main__")
except SystemExit as end:
    print(end)
    assert end.code not in (0, None)
"""


def played(script: str, *arguments: str, **more: str) -> str:
    """Run a script in an interpreter of its own and give what it prints; the test fails with its traceback."""
    home = Path(arguments[0]) if arguments and arguments[0].startswith("/") else Path("/")
    places = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("DATA", "CONFIG", "RUNTIME")}
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "JUPYTER_NO_CONFIG": "1", **places, **more}
    command = [sys.executable, "-c", script, *arguments]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=root)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout + "\n" + done.stderr


def test_on_windows_the_extension_loads_and_says_what_is_missing(tmp_path: Path) -> None:
    said = played(WINDOWS, str(tmp_path), str(free_port()), USERNAME="someone")
    answers: list[tuple[int, Any]] = json.loads(said.splitlines()[0])
    (status, refused), (_, specs), (_, kernels) = answers
    assert status == 503 and refused["error"]["status"] == "UNAVAILABLE"
    assert "POSIX" in refused["error"]["message"] and "local kernels are not affected" in refused["error"]["message"]
    assert "python3" in specs["kernelspecs"] and kernels == []
    assert "the process engine needs a POSIX system" in said
    assert "Traceback" not in said


def test_every_module_of_the_server_can_be_imported_on_windows() -> None:
    package = Path(__file__).parents[1] / "jupyter_sessions"
    found = [path.relative_to(package.parent).with_suffix("").parts for path in package.rglob("*.py")]
    # A host never runs there, nor does the service, which says so.
    elsewhere = {"host", "labextension", "serve"}
    names = [".".join(parts).removesuffix(".__init__") for parts in found if parts[1] not in elsewhere]
    played(IMPORTS, json.dumps(names))


def test_on_windows_the_service_says_that_it_needs_another_system() -> None:
    told = played(SERVE)
    assert "needs a POSIX system" in told and "Traceback" not in told


def test_without_proc_processes_are_told_by_psutil() -> None:
    played(MAC, JUPYTER_SESSIONS_MARK="a/b/1")


class MacSocket:
    """A connected Unix socket as macOS describes its other end: the system's ``struct xucred``."""

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Answer SOL_LOCAL's LOCAL_PEERCRED alone."""
        assert (level, option) == (0, 1)
        record = struct.pack("IIhxx16I", 0, 501, 2, 20, 12, *[0] * 14)
        assert size >= len(record)
        return record


def test_the_peer_of_a_socket_is_asked_for_in_the_macs_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert hostlink.peer_uid(MacSocket()) == 501  # type: ignore[arg-type]  # all of a socket that is looked at
