"""The magics in IPython at a terminal, in an environment that holds nothing but what the client needs."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

import jupyter_sessions
from tests.cli.terminals import CTRL_C, Terminal, on_terminal
from tests.magics.local import environment
from tests.real.server import RealServer

CLIENT = ("requests", "websocket-client", "pydantic", "jupyter_core", "ipython")
"""What README says to install beside the package for the client alone."""
ABSENT = (
    "rich",
    "typer",
    "yaml",
    "nbclient",
    "ipywidgets",
    "tornado",
    "zmq",
    "jupyter_client",
    "jupyter_server",
    "lark",
)


def closure(names: tuple[str, ...]) -> set[str]:
    """Give the distributions of this environment that these need, themselves included."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            requires = importlib.metadata.requires(name) or []
            if name not in found:
                found.add(name)
                waiting += [re.split(r"[^\w.-]", one, maxsplit=1)[0] for one in requires if "extra ==" not in one]
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make an environment of the client's distributions alone, linked from this one, and give its interpreter."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, symlinks=True, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in closure(CLIENT):
        for file in importlib.metadata.files(name) or []:
            top, target = file.parts[0], site / file.parts[0]
            if top not in ("..", "__pycache__") and not target.exists():
                target.symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top)
    (site / "jupyter_sessions").symlink_to(Path(jupyter_sessions.__file__).parent)
    return str(folder / "bin" / "python")


def ipython(python: str, server: RealServer, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run IPython to its end."""
    command = [python, "-m", "IPython", "--no-banner", "--colors=NoColor", *words]
    environ = environment(server, home)
    return subprocess.run(command, capture_output=True, text=True, timeout=150, env=environ, cwd=home)


@contextlib.contextmanager
def prompt(python: str, server: RealServer, home: Path) -> Iterator[Terminal]:
    """Run IPython on a terminal, line by line."""
    words = ["--no-banner", "--no-confirm-exit", "--colors=NoColor", "--simple-prompt"]
    environ = {**environment(server, home), "TERM": "xterm", "COLUMNS": "140"}
    with on_terminal([python, "-m", "IPython", *words], environ, home) as made:
        yield made


def test_the_environment_has_the_client_alone(python: str) -> None:
    code = f"import importlib.util as u; print([n for n in {ABSENT} if u.find_spec(n)])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_cells_of_a_script(python: str, server: RealServer, tmp_path: Path) -> None:
    script = tmp_path / "cells.ipy"
    script.write_text(
        "%load_ext jupyter_sessions\n%session create term-script --label team=fx\n%session list\n"
        "n = 20\n%session attach term-script\n"
        "get_ipython().run_cell_magic('session', '-i n -o total', 'total = sum(range(n)); print(\"there\", total)')\n"
        "print('here', total)\n%session history\n%session terminate term-script\n"
    )
    done = ipython(python, server, tmp_path, str(script))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("term-script  ● ACTIVE") and "team:fx" in line for line in lines), done.stdout
    assert "there 190" in lines and "here 190" in lines
    assert "term-script is ACTIVE" in done.stderr and "term-script is TERMINATED" in done.stderr, "talk is on stderr"
    assert "session term-script, kernel " in done.stderr
    assert server.session("term-script")["state"] == "TERMINATED"


def test_at_a_prompt(python: str, server: RealServer, tmp_path: Path) -> None:
    server.create("term-prompt")
    with prompt(python, server, tmp_path) as terminal:
        terminal.until("In [1]:")
        terminal.type("%load_ext jupyter_sessions\n")
        terminal.until("In [2]:")
        terminal.type("%session\n")
        assert "term-prompt" in terminal.until("In [3]:")
        # Two empty lines end a cell magic at this prompt.
        terminal.type("%%session term-prompt\nwho = input('na' + 'me? ')\nprint('hello', who)\n\n\n")
        terminal.until("name? ")
        terminal.type("Ada\n")
        terminal.until("hello Ada")
        terminal.type("%%session term-prompt\n{'a': 0 + 1}\n\n\n")
        terminal.until("{'a': 1}")
        terminal.until("In [5]:")
        terminal.type("%%session term-prompt\n1/0\n\n\n")
        assert "jupyter_sessions/magics" not in terminal.until("ZeroDivisionError: division by zero")
        code = "import time\nprint('be' + 'gun', flush=True)\nwhile True: time.sleep(0.01)\n"
        terminal.until("In [6]:")
        terminal.type(f"%%session term-prompt\n{code}\n\n")
        terminal.until("begun")
        terminal.type(CTRL_C)
        terminal.until("KeyboardInterrupt")
        terminal.until("In [7]:")
        terminal.type("%%session term-prompt --background run\nprint('be' + 'hind')\n\n\n")
        terminal.until("In [8]:")
        terminal.type("run.wait().show()\n")
        terminal.until("behind")
        terminal.until("In [9]:")
        terminal.type("exit\n")
        assert terminal.end() == 0
