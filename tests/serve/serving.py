"""A real ``python -m jupyter_sessions.serve`` in a process of its own, with users of hashed tokens."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests.serve.accounts import make_account

LOCATION = "projects/local/locations/serve"
START_SECONDS = 60.0
PASSABLE = """
set -e
kept=$(mktemp -d)
mount --bind "$1" "$kept"
mount -t tmpfs -o mode=711 tmpfs "$2"
mkdir -p "$1"
mount --move "$kept" "$1"
rmdir "$kept"
shift 2
exec "$@"
"""
"""Runs a program where the interpreter's directory ($1) can be reached though the one of root's above it ($2) is closed
to other accounts: there, and nowhere else, an empty one lies over it."""
OWN = pwd.getpwuid(os.geteuid()).pw_name
"""The account that the tests run as."""


class Served:
    """One running service; may be stopped or killed, and started again on the same data.

    ``url`` has no slash at its end. ``options`` are further words of the command line.
    """

    def __init__(self, home: Path, users: Sequence[str], admins: Sequence[str], options: Sequence[str] = ()) -> None:
        self.home = home
        self.data_dir = home / "sessions"
        self.options = list(options)
        self.users = (*users, *(name for name in admins if name not in users))
        self.admins = tuple(admins)
        self.several = bool({*self.users} - {OWN})
        self.places = ""
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything the service has printed."""
        return (self.home / "serve.log").read_text(errors="replace")

    def token(self, user: str) -> str:
        """Give the token of a user."""
        assert user in self.users, user
        return f"the-token-of-{user}"

    def headers(self, user: str) -> dict[str, str]:
        """Give the header that says who calls."""
        return {"Authorization": f"Bearer {self.token(user)}"}

    def command(self) -> list[str]:
        """Give the command line."""
        words = self.python()
        words += ["-m", "jupyter_sessions.serve", "--port=0", f"--port-file={self.home / 'port'}"]
        words += [f"--data-dir={self.data_dir}", f"--tokens={self.home / 'tokens'}"]
        if self.several:
            words += [
                f"--ServeApp.accounts_dir={self.places}/accounts",
                f"--ServeApp.sockets_dir={self.places}/sockets",
            ]
        return [*words, *(f"--admin={name}" for name in self.admins), *self.options]

    def python(self) -> list[str]:
        """Give the words that start the interpreter, where other accounts can run it too if there are any."""
        closed = [folder for folder in Path(os.path.realpath(sys.executable)).parents if not folder.stat().st_mode & 1]
        if not self.several or not closed:
            return [sys.executable]
        base = str(Path(os.path.realpath(sys.executable)).parent.parent)
        return [
            "unshare",
            "--mount",
            "--propagation=private",
            "sh",
            "-c",
            PASSABLE,
            "sh",
            base,
            str(closed[-1]),
            sys.executable,
        ]

    def environment(self) -> Mapping[str, str]:
        """Give the environment it is started in: Jupyter's directories are the test's own."""
        places = {f"JUPYTER_{name.upper()}_DIR": str(self.home / name) for name in ("data", "config", "runtime")}
        return {**os.environ, **places, "PYTHONWARNINGS": ""}

    async def start(self) -> Served:
        """Start it and wait until it is ready."""
        if self.several and not self.places:
            self.places = passable()
        (self.home / "port").unlink(missing_ok=True)
        rows = [f"{name}:sha256:{hashlib.sha256(self.token(name).encode()).hexdigest()}" for name in self.users]
        tokens = self.home / "tokens"
        tokens.write_text("\n".join(rows) + "\n")
        tokens.chmod(0o600)
        with (self.home / "serve.log").open("ab") as out:
            words, environment = self.command(), self.environment()
            # ASYNC220: it does not wait for the program.
            self.process = subprocess.Popen(words, stdout=out, stderr=out, env=environment, cwd=self.home)  # noqa: ASYNC220
        await until(self._ready, "the service to be ready", START_SECONDS)
        return self

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the service ended with {self.process.returncode}: {self.log[-3000:]}"
        with contextlib.suppress(FileNotFoundError):
            self.url = f"http://127.0.0.1:{int((self.home / 'port').read_text())}"
            return True
        return False

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; give the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        process = self.process
        await until(lambda: process.poll() is not None, "the service to end", 30.0)
        return int(process.returncode)

    def request(self, user: str, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """Call a path from the root as ``user`` (``""``: nobody); blocks, so call it in a thread where that matters."""
        headers = {**(self.headers(user) if user else {}), **options.pop("headers", {})}
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method, f"{self.url}/{path.lstrip('/')}", json=body, headers=headers, timeout=60, **options
            )

    async def call(self, user: str, method: str, path: str, body: Any = None, ok: bool = True) -> Any:
        """Call ``v1/{path}`` as ``user`` and give the JSON; a failure fails the test unless ``ok`` is False."""
        answer = await asyncio.to_thread(self.request, user, method, f"v1/{path}", body)
        assert answer.ok or not ok, answer.text
        return answer.json()

    async def active(self, user: str, session_id: str, **fields: Any) -> dict[str, Any]:
        """Create a session as ``user``, wait until it is ACTIVE, and give it."""
        await self.call(user, "POST", f"{LOCATION}/sessions?sessionId={session_id}", fields)

        async def look() -> dict[str, Any] | None:
            found: dict[str, Any] = await self.call(user, "GET", f"{LOCATION}/sessions/{session_id}")
            assert found["state"] != "FAILED", found["stateMessage"]
            return found if found["state"] == "ACTIVE" else None

        found: dict[str, Any] = await until(look, f"{session_id} to be ACTIVE", 60.0)
        return found

    def processes(self) -> list[psutil.Process]:
        """Give every live process of a session of this service's store."""
        mark = self._store_uuid()
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                carried = process.environ().get("JUPYTER_SESSIONS_MARK", "")
                if mark and carried.startswith(mark) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _store_uuid(self) -> str:
        with contextlib.suppress(sqlite3.Error):
            with contextlib.closing(
                sqlite3.connect(f"file:{self.data_dir / 'sessions.db'}?mode=ro", uri=True)
            ) as store:
                return str(store.execute("SELECT value FROM meta WHERE key = 'store_uuid'").fetchone()[0], "ascii")
        return ""

    async def close(self) -> None:
        """End the service and every process of its sessions."""
        await self.stop()
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(5)
        if self.places:
            shutil.rmtree(self.places)


async def until(look: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """Ask ``look`` (awaiting its answer if need be) until the answer is true, and give it; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        await asyncio.sleep(0.05)


def passable() -> str:
    """Make a directory that other accounts can pass, as the test's own is none."""
    made = tempfile.mkdtemp(prefix="serve-", dir="/tmp")
    Path(made).chmod(0o711)
    return made


def skip_where_no_account_can_run_it() -> None:
    """Skip a test where other accounts cannot reach what they would run, and nothing can be mounted to mend it."""
    for place in (sys.prefix, Path(__file__).parents[2]):
        for folder in (Path(place), *Path(place).parents):
            if not folder.stat().st_mode & 1:
                pytest.skip(f"other accounts cannot run this checkout: {folder} is closed to them")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, timeout=30, check=False).returncode:
        pytest.skip("this system lets root mount nothing of its own")


@contextlib.asynccontextmanager
async def serving(
    tmp_path: Path,
    users: Sequence[str] = ("alice", "bob"),
    admins: Sequence[str] = ("root",),
    options: Sequence[str] = (),
) -> AsyncIterator[Served]:
    """Serve ``users`` and ``admins`` until the block ends; at its end nothing of the service or its sessions is left.

    Several users are several accounts, which only root can serve: without it the test is skipped. ``users=[OWN],
    admins=[]`` is served by anybody.
    """
    if os.geteuid() != 0 and {*users, *admins} - {OWN}:
        pytest.skip("only root can serve several accounts")
    if {*users, *admins} - {OWN}:
        skip_where_no_account_can_run_it()
    for name in {*users, *admins}:
        make_account(name)
    served = Served(tmp_path, users, admins, options)
    try:
        yield await served.start()
    finally:
        await served.close()
