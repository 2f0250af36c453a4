"""Real Jupyter servers to measure, each with folders of its own, and the sessions' hosts behind them."""

from __future__ import annotations

import functools
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import requests

OTHERS_OFF = dict.fromkeys(
    ("jupyter_lsp", "jupyter_server_terminals", "jupyterlab", "notebook", "notebook_shim"), False
)
SESSIONS = "jupyter-sessions/v1/projects/local/locations/local/sessions"


class Server:
    """One `jupyter server` process; a context manager. ``extension``: ours is on. ``nodelay``: see that module.

    ``bare``: no other extension is on. ``store``: a directory that is copied to where sessions are kept; its sessions
    are faked, by the engine of that module. ``locations`` is the text of a file of locations.
    """

    def __init__(
        self,
        extension: bool = False,
        nodelay: bool = False,
        bare: bool = False,
        store: Path | None = None,
        locations: str = "",
    ) -> None:
        self._ends_sessions = extension and store is None
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
        settings = {
            "ServerApp": {"jpserver_extensions": {**(OTHERS_OFF if bare else {}), "jupyter_sessions": extension}}
        }
        Path(folders["JUPYTER_CONFIG_DIR"], "jupyter_server_config.json").write_text(json.dumps(settings))
        if locations:
            place = Path(folders["JUPYTER_CONFIG_DIR"], "jupyter_sessions")
            place.mkdir()
            (place / "locations.yaml").write_text(locations)
        if store is not None:
            shutil.copytree(store, Path(folders["JUPYTER_DATA_DIR"], "jupyter_sessions"))
        self._spawn("jupyter_server" if store is None else "tests.benchmarks.crowded_server", options, folders)

    def _spawn(self, module: str, options: Sequence[str], folders: dict[str, str]) -> None:
        self._log = (self.root / "log").open("wb")
        self._spawned = time.perf_counter()
        self.start_seconds = 0.0
        """From the spawn to the first answer of ``/api/status``."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "--no-browser", "--allow-root", *options],
            env={**os.environ, **folders, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": _bytecode().name},
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
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.root / "log").read_text()[-3000:])
            time.sleep(0.005)
        self.call("GET", "api/status")
        self.start_seconds = time.perf_counter() - self._spawned
        return self

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is not None:
                sys.stderr.write((self.root / "log").read_text()[-3000:])
            if self._ends_sessions:
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

    def cpu(self) -> float:
        """Give the CPU seconds that the server's process has used."""
        return cpu_seconds(self._process.pid)

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

    def hosts(self) -> list[Host]:
        """Give the host of every live session."""
        return [Host(ready.parent) for ready in (self.root / "jupyter_data_dir").rglob("ready.json")]

    def host(self) -> Host:
        """Give the host of the only session there is."""
        (host,) = self.hosts()
        return host


class Host:
    """A session's host, seen from outside."""

    def __init__(self, directory: Path) -> None:
        self.address = str(json.loads((directory / "ready.json").read_text())["address"]).removeprefix("unix:")
        self.token = (directory / "token").read_text()
        self.pid = int(json.loads((directory / "host.json").read_text())["pid"])

    def rss(self) -> int:
        """Give the host's resident memory, in bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def cpu(self) -> float:
        """Give the CPU seconds that the host's own process has used."""
        return cpu_seconds(self.pid)


@functools.cache
def _bytecode() -> tempfile.TemporaryDirectory[str]:
    """Give the folder of this run's compiled modules: an installed package has its own, a checkout may not."""
    return tempfile.TemporaryDirectory(prefix="jsb-pyc")


def cpu_seconds(pid: int) -> float:
    """Give the CPU seconds, user and system, of one process."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
