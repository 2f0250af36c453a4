"""A real Jupyter server in a process of its own, with every directory of Jupyter's under one scratch folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psutil
import requests

T = TypeVar("T")
TOKEN = "a-token-of-the-tests"
PARENT = "projects/local/locations/local"


def wait_for(look: Callable[[], T | None], what: str, seconds: float = 60.0, every: float = 0.05) -> T:
    """Call ``look`` until it answers something true; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(every)


def free_port() -> int:
    """Give a port that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RealServer:
    """``jupyter server`` (or ``lab``, ``notebook``) as a user starts it; may be killed and started again."""

    def __init__(self, home: Path, app: str = "server", options: tuple[str, ...] = (), python: str = "") -> None:
        self.home = home
        self.app = app
        self.options = options
        self.python = python or sys.executable
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        # Websockets and the like that a test leaves open.
        self.closing = contextlib.ExitStack()
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"token {TOKEN}"
        for folder in ("root", "data", "config", "runtime"):
            (home / folder).mkdir(parents=True, exist_ok=True)

    @property
    def root(self) -> Path:
        """The server's root directory."""
        return self.home / "root"

    @property
    def data(self) -> Path:
        """Where sessions are kept."""
        return self.home / "data" / "jupyter_sessions"

    @property
    def authorization(self) -> str:
        """What a request's Authorization header says."""
        return str(self.http.headers["Authorization"])

    @property
    def log(self) -> str:
        """Everything the server has printed."""
        return (self.home / "server.log").read_text(errors="replace")

    def environment(self) -> dict[str, str]:
        """Give the environment the server is started in."""
        places = {f"JUPYTER_{name.upper()}_DIR": str(self.home / name) for name in ("data", "config", "runtime")}
        return {
            **os.environ,
            **places,
            "JUPYTER_TOKEN": TOKEN,
            "PYTHONWARNINGS": "",
            "IPYTHONDIR": str(self.home / "ipython"),
        }

    def start(self) -> RealServer:
        """Start it and wait until it answers."""
        words = [self.python, "-m", f"jupyter_{self.app}" if self.app == "server" else self.app_module()]
        words += ["--no-browser", "--allow-root", f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0"]
        words += [f"--ServerApp.root_dir={self.root}", *self.options]
        with (self.home / "server.log").open("ab") as out:
            self.process = subprocess.Popen(words, stdout=out, stderr=out, env=self.environment(), cwd=self.root)
        wait_for(self.answers, f"the server at {self.url}; its log ends {self.log[-2000:]}")
        return self

    def app_module(self) -> str:
        """Give the module of another front end's server."""
        return {"lab": "jupyterlab", "notebook": "notebook"}[self.app]

    def answers(self) -> bool:
        """Say whether the server answers; fails the test when it has ended."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}: {self.log[-3000:]}")
        with contextlib.suppress(requests.ConnectionError):
            return self.http.get(f"{self.url}/api/status", timeout=10).ok
        return False

    def kill(self) -> None:
        """``kill -9`` the server."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        """Stop it as Ctrl-C and a yes would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def call(self, method: str, path: str, body: Any = None, ok: bool = True, **query: str) -> Any:
        """Call ``jupyter-sessions/v1/{path}`` and give the JSON; a failure fails the test unless ``ok`` is False."""
        url = f"{self.url}/jupyter-sessions/v1/{path}"
        answer = self.http.request(method, url, json=body, params=query, timeout=60)
        if ok:
            assert answer.ok, answer.text
        return answer.json()

    def jupyter(self, method: str, path: str, body: Any = None) -> Any:
        """Call Jupyter's own REST and give the JSON (None for an empty answer)."""
        answer = self.http.request(method, f"{self.url}/api/{path}", json=body, timeout=120)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def create(self, name: str, **fields: Any) -> dict[str, Any]:
        """Create a session and wait until it is ACTIVE; give it."""
        self.call("POST", f"{PARENT}/sessions", fields, sessionId=name)
        return self.until(name, "ACTIVE")

    def session(self, name: str) -> dict[str, Any]:
        """Give one session."""
        answer: dict[str, Any] = self.call("GET", f"{PARENT}/sessions/{name}")
        return answer

    def until(self, name: str, *states: str, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until a session is in one of ``states``; give it."""

        def look() -> dict[str, Any] | None:
            now = self.session(name)
            if now["state"] == "FAILED" and "FAILED" not in states:
                raise AssertionError(f"{name} FAILED: {now['stateMessage']}")
            return now if now["state"] in states else None

        return wait_for(look, f"{name} to be {' or '.join(states)}", seconds)

    def end_all(self) -> None:
        """Terminate every live session, then kill what still carries a mark of this data directory."""
        with contextlib.suppress(Exception):
            for one in self.call("GET", f"{PARENT}/sessions").get("sessions", []):
                if one["state"] in ("CREATING", "ACTIVE"):
                    self.call("POST", f"{one['name']}:terminate", ok=False)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not marked(self.home), "the sessions to end", 20)
        for process in marked(self.home):
            with contextlib.suppress(psutil.Error):
                process.kill()


def marked(home: Path) -> list[psutil.Process]:
    """Give every live process of a session whose data lie under ``home``: by its mark and its directories."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            ours = "JUPYTER_SESSIONS_MARK" in environment and environment.get("JUPYTER_DATA_DIR", "").startswith(
                str(home)
            )
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@contextlib.contextmanager
def real_server(
    home: Path, app: str = "server", options: tuple[str, ...] = (), python: str = ""
) -> Iterator[RealServer]:
    """Run a server for the length of a test; at its end nothing of it or of its sessions is left."""
    server = RealServer(home, app, options, python)
    try:
        yield server.start()
    finally:
        if server.process is not None and server.process.poll() is not None:
            with contextlib.suppress(AssertionError):
                server.start()
        server.end_all()
        server.closing.close()
        server.stop()
        server.http.close()


def settings(home: Path, plugin: str, values: Mapping[str, Any]) -> None:
    """Write default settings of a JupyterLab plugin for this environment's user."""
    folder = home / "config" / "labconfig"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "default_setting_overrides.json").write_text(json.dumps({plugin: values}))
