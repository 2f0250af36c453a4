"""The lines that the README shows for a program, a terminal and a cell do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.real.server import PARENT, TOKEN, RealServer, real_server

README = Path(__file__).resolve().parent.parent / "README.md"
FORMAT: Any = nbformat
"""The library, whose functions have no types."""
LINES = 10
"""Lines that each of the three may take."""


def shown(heading: str, language: str) -> list[str]:
    """Give the code blocks of a language under a heading."""
    text = README.read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.S)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    """Run a server, with its commands on PATH as in an environment that is turned on."""
    with real_server(tmp_path) as running:
        yield running


def environment(server: RealServer) -> dict[str, str]:
    """Give what a terminal of the server's user has: the running server is found by its file."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**server.environment(), "PATH": path}


def run(words: Sequence[str], server: RealServer) -> str:
    """Run a program in the server's directory and give its standard output."""
    done = subprocess.run(words, cwd=server.root, env=environment(server), capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def notebook(cells: Sequence[str], path: Path) -> Any:
    """Write a notebook of these cells and give it."""
    made = FORMAT.v4.new_notebook(cells=[FORMAT.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    FORMAT.write(made, path)
    return made


def printed(made: Any) -> str:
    """Give what a notebook's cells have printed."""
    outputs = [output for cell in made.cells for output in cell.get("outputs", [])]
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


def ended(server: RealServer) -> None:
    """Leave a session of the examples' name that has ended, as an earlier run of any of them does."""
    server.create("etl-nightly")
    server.call("POST", f"{PARENT}/sessions/etl-nightly:terminate")
    server.until("etl-nightly", "TERMINATED")


AGAIN = pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
"""Each is run where nothing is, and after one of them was run."""


@AGAIN
def test_from_a_program(server: RealServer, tmp_path: Path, again: bool) -> None:
    if again:
        ended(server)
    (code,) = shown("From a program", "python")
    assert len(code.splitlines()) <= LINES
    program = tmp_path / "program.py"
    program.write_text(code)
    assert run([sys.executable, str(program)], server) == textwrap.dedent("""\
        6

        6 ACTIVE
        projects/local/locations/local/sessions/etl-nightly
        """)
    assert server.session("etl-nightly")["state"] == "TERMINATED"
    assert server.session("etl-nightly")["labels"] == {"team": "fx"}


@pytest.mark.parametrize("times", [1, 2])
def test_from_a_terminal(server: RealServer, times: int) -> None:
    for _ in range(times):
        a_terminal(server)


def a_terminal(server: RealServer) -> None:
    """Type the lines for a terminal, and check what they say."""
    (lines,) = shown("From a terminal", "sh")
    assert len(lines.splitlines()) <= LINES
    for left in server.root.glob("*.ipynb"):
        left.unlink()
    notebook(["print('x is', globals().get('x'))"], server.root / "report.ipynb")
    said = {line: run(["bash", "-c", line], server) for line in lines.splitlines()}
    of = {line.split()[2]: text for line, text in said.items() if line.startswith("jupyter sessions ")}
    assert "etl-nightly" in of["list"] and "ACTIVE" in of["list"]
    assert of["exec"] == "42\n"
    assert "CREATING" in of["history"] and "ACTIVE" in of["history"]
    ran = [
        FORMAT.read(path, 4) for path in server.root.glob("*.ipynb") if path.name not in ("report.ipynb", "done.ipynb")
    ]
    assert [printed(one) for one in ran] == ["x is 42\n"], "the main kernel is shared with exec"
    assert printed(FORMAT.read(server.root / "done.ipynb", 4)) == "x is None\n", "papermill has a kernel of its own"
    assert server.session("etl-nightly")["state"] == "TERMINATED"


@AGAIN
def test_from_a_cell(server: RealServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    if again:
        ended(server)
    blocks = shown("From a cell", "python")
    assert sum(len(block.splitlines()) for block in blocks) <= LINES
    made = notebook(blocks, tmp_path / "cells.ipynb")
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JUPYTER_SESSIONS_TOKEN", TOKEN)
    NotebookClient(made, timeout=120, resources={"metadata": {"path": str(server.root)}}).execute()
    assert "there 45\n" in printed(made) and "here 45\n" in printed(made)
    assert server.session("etl-nightly")["state"] == "TERMINATED"
