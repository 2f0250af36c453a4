"""Jupyter's own programs beside a running server: they know nothing of it, and read kernelspecs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat

from tests.cli.beside import environment, ran
from tests.real.server import PARENT, RealServer, wait_for

SECONDS = 150
formats: Any = nbformat
BIN = Path(sys.executable).parent


def program(server: RealServer, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program of this environment to its end, in the server's root."""
    return subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=environment(server),
        cwd=server.root,
    )


def install(server: RealServer, *words: str) -> None:
    """Install a kernelspec as its user does."""
    done = ran(server, "kernelspec", "install", *words)
    assert done.returncode == 0, done.stderr


def write_notebook(path: Path, cells: Sequence[str], kernel: str = "python3") -> Path:
    """Write a notebook of these cells."""
    made = formats.v4.new_notebook(cells=[formats.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
    formats.write(made, path)
    return path


def printed(path: Path) -> str:
    """Give what the cells of a notebook have printed."""
    cells = formats.read(path, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


def execute(server: RealServer, session: str, code: str) -> str:
    """Run code in a session's main kernel by another way, and give what it prints."""
    done = ran(server, "exec", session, code)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kernels(server: RealServer, session: str) -> list[dict[str, Any]]:
    """Give the kernels of a session."""
    found: list[dict[str, Any]] = server.call("GET", f"{PARENT}/sessions/{session}/kernels").get("kernels", [])
    return found


def made_of(server: RealServer, template: str) -> list[dict[str, Any]]:
    """Give the sessions that were made from a template."""
    found = server.call("GET", f"{PARENT}/sessions").get("sessions", [])
    return [one for one in found if one.get("sessionTemplate", "").endswith(f"/{template}")]


def ended(server: RealServer, name: str) -> None:
    """Wait until a session has ended; fails the test if it does not."""
    wait_for(lambda: server.session(name)["state"] == "TERMINATED", f"{name} to end")
