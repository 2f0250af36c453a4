"""Real Jupyter servers to measure, each with folders of its own, and the sessions' hosts behind them."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import requests

SESSIONS = "jupyter-sessions/v1/projects/local/locations/local/sessions"


class Server:
    """One `jupyter server` process; a context manager. ``extension``: ours is on. ``nodelay``: see that module."""

    def __init__(self, extension: bool = False, nodelay: bool = False) -> None:
        self._extension = extension
        self._folder = tempfile.TemporaryDirectory(prefix="jsb")
        self.root = Path(self._folder.name)
        self.token = secrets.token_hex(16)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        options = [
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self._made('root')}",
        ]
        if nodelay:
            options.append("--ServerApp.kernel_websocket_connection_class=tests.benchmarks.nodelay.NodelayConnection")
        folders = self._environment()
        settings = {"ServerApp": {"jpserver_extensions": {"jupyter_sessions": extension}}}
        Path(folders["JUPYTER_CONFIG_DIR"], "jupyter_server_config.json").write_text(json.dumps(settings))
        self._log = (self.root / "log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", *options],
            env={**os.environ, **folders},
            stdout=self._log,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
        )

    def _made(self, name: str) -> str:
        (self.root / name).mkdir()
        return str(self.root / name)

    def _environment(self) -> dict[str, str]:
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        return {name: self._made(name.lower()) for name in names}

    def __enter__(self) -> Server:
        deadline = time.monotonic() + 60
        while True:
            try:
                self.call("GET", "api/status")
                return self
            except requests.ConnectionError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.root / "log").read_text()[-3000:]) from None
                time.sleep(0.05)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is not None:
                sys.stderr.write((self.root / "log").read_text()[-3000:])
            if self._extension:
                # They would outlive the server: that is what they are for.
                for session in self.call("GET", SESSIONS).get("sessions", []):
                    self.end_session(session["name"].rpartition("/")[2])
        finally:
            self._process.terminate()
            self._process.wait(30)
            self._log.close()
            self._folder.cleanup()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and give the JSON answered; raises requests.HTTPError with the answer's text."""
        url = f"http://127.0.0.1:{self.port}/{path}"
        headers = {"Authorization": f"token {self.token}"}
        answer = requests.request(method, url, json=body, headers=headers, timeout=90)
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def rss(self) -> int:
        """Give the server's resident memory, in bytes."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def start_kernel(self, name: str = "python3") -> str:
        """Start a kernel and give its id."""
        return str(self.call("POST", "api/kernels", {"name": name})["id"])

    def end_kernel(self, kernel_id: str) -> None:
        """End a kernel."""
        self.call("DELETE", f"api/kernels/{kernel_id}")

    def create_session(self, session_id: str) -> str:
        """Create a session, wait until it is ACTIVE and give the name of its default kernelspec."""
        self.call("POST", f"{SESSIONS}?sessionId={session_id}", {"jupyterSession": {"kernel": "PYTHON"}})
        self.await_session(session_id)
        return self.kernelspec(session_id)

    def await_session(self, session_id: str) -> None:
        """Wait until a session is ACTIVE; raises RuntimeError if it fails."""
        while True:
            session = self.call("GET", f"{SESSIONS}/{session_id}")
            if session["state"] == "ACTIVE":
                return
            if session["state"] in ("FAILED", "TERMINATED"):
                raise RuntimeError(f"session {session_id}: {session['state']} {session.get('stateMessage')}")
            time.sleep(0.01)

    def kernelspec(self, session_id: str) -> str:
        """Give the name of the first kernelspec of a session."""
        specs = self.call("GET", "api/kernelspecs")["kernelspecs"]
        return next(str(name) for name in specs if name.startswith(f"{session_id}."))

    def end_session(self, session_id: str) -> None:
        """Delete a session and wait until it is gone."""
        self.call("DELETE", f"{SESSIONS}/{session_id}")
        while any(row["name"].endswith(f"/{session_id}") for row in self.call("GET", SESSIONS).get("sessions", [])):
            time.sleep(0.05)

    def host(self) -> Host:
        """Give the host of the only session there is."""
        (ready,) = (self.root / "jupyter_data_dir").rglob("ready.json")
        return Host(ready.parent)


class Host:
    """A session's host, seen from outside."""

    def __init__(self, directory: Path) -> None:
        self.address = str(json.loads((directory / "ready.json").read_text())["address"]).removeprefix("unix:")
        self.token = (directory / "token").read_text()
        self.pid = int(json.loads((directory / "host.json").read_text())["pid"])

    def rss(self) -> int:
        """Give the host's resident memory, in bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)
