"""Commands beside a running server: what a user types in a terminal of the same account."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.cli.running import command
from tests.real.server import RealServer

SECONDS = 120


def environment(server: RealServer) -> dict[str, str]:
    """Give the environment of a user's terminal: the server's directories, and nothing that names its address."""
    environ = {**server.environment(), "NO_COLOR": "", "COLUMNS": "400"}
    for name in ("NO_COLOR", "JUPYTER_TOKEN", "JUPYTER_SESSIONS_URL", "JUPYTER_SESSIONS_TOKEN", "COLUMNS"):
        environ.pop(name, None)
    return environ


def ran(
    server: RealServer, *words: str, stdin: str | None = None, cwd: Path | None = None, env: Mapping[str, str] = {}
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, its output piped and nothing to read unless ``stdin``."""
    return subprocess.run(
        command(*words),
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**environment(server), **env},
        cwd=cwd or server.home,
    )


def answer(server: RealServer, *words: str) -> Any:
    """Run a command with ``-o json`` and give what it wrote; a failure fails the test."""
    done = ran(server, *words, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def started(server: RealServer, *words: str, **pipes: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside the test; at its end it is gone."""
    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **pipes}
    with subprocess.Popen(command(*words), text=True, env=environment(server), cwd=server.home, **given) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()


def read_terminal(handle: int) -> str:
    """Read a pseudo-terminal until the other end is closed."""
    text = b""
    while True:
        try:
            piece = os.read(handle, 65_536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    return text.decode()
