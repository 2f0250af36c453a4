"""Starts that fail, in a real server: nothing stays pending of them, and the server still stops when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.beside import ran
from tests.real.server import RealServer, real_server

BROKEN = {"argv": ["/nowhere/python", "-f", "{connection_file}"], "display_name": "Broken", "language": "python"}


def install(server: RealServer, name: str, spec: object) -> None:
    """Install a kernelspec for the server's user."""
    folder = server.home / "data" / "kernels" / name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))


def assert_stops(server: RealServer) -> None:
    """Tell the server to stop, as a service manager does, and look that its process ends by itself."""
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    try:
        server.process.wait(30)
    except subprocess.TimeoutExpired:
        pytest.fail(f"the server goes on; its log ends {server.log[-3000:]}")
    assert "Kernel does not exist" not in server.log and "Could not end" not in server.log


def start_a_local_one(server: RealServer) -> None:
    """Start a kernel of the server's own."""
    own = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Own"}
    install(server, "own", {**own, "language": "python"})
    server.jupyter("POST", "kernels", {"name": "own"})


def test_a_server_stops_after_a_kernel_that_could_not_start(tmp_path: Path) -> None:
    with real_server(tmp_path) as server:
        install(server, "broken", BROKEN)
        refused = server.http.post(f"{server.url}/api/kernels", json={"name": "broken"}, timeout=60)
        assert refused.status_code >= 500
        start_a_local_one(server)
        assert_stops(server)


def test_a_server_stops_after_a_start_on_a_session_that_ended(tmp_path: Path) -> None:
    with real_server(tmp_path) as server:
        server.create("gone")
        done = ran(server, "kernelspec", "install", "gone")
        assert done.returncode == 0, done.stderr
        server.call("POST", f"{server.session('gone')['name']}:terminate")
        server.until("gone", "TERMINATED")
        refused = server.http.post(f"{server.url}/api/kernels", json={"name": "gone"}, timeout=60)
        assert refused.status_code >= 400
        start_a_local_one(server)
        assert_stops(server)
