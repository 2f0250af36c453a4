"""Commands as whole processes, from the spawn to the exit: ``python -m tests.benchmarks commands``."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.benchmarks.figures import measured, table, verdict
from tests.benchmarks.servers import Server

ROUNDS = 15
LIST_MOST, IMPORT_MOST = 0.7, 1.5
FOLDERS = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")


def commands() -> None:
    """Print a list of sessions against Jupyter Server's list of servers, and what an import costs."""
    with Server(extension=True) as server, tempfile.TemporaryDirectory(prefix="jsb-pyc") as compiled:
        server.create_session("bench")
        environ = {**os.environ, **{name: str(server.root / name.lower()) for name in FOLDERS}}
        # Each module is compiled once, wherever it is installed.
        environ.update(PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=compiled, JUPYTER_SESSIONS_URL="")
        jupyter, python = str(Path(sys.executable).with_name("jupyter")), sys.executable
        lists = {
            "jupyter sessions list": (jupyter, "sessions", "list"),
            "jupyter server list": (jupyter, "server", "list"),
            "jupyter sessions list -o json": (jupyter, "sessions", "list", "-o", "json"),
            "jupyter sessions --version": (jupyter, "sessions", "--version"),
        }
        _pairs("A list, as a whole process beside a warm server", environ, lists, ROUNDS, LIST_MOST)
        imports = {
            "import jupyter_sessions": (python, "-c", "import jupyter_sessions"),
            "python -c pass": (python, "-c", "pass"),
        }
        _pairs("An import, as a whole process", environ, imports, 4 * ROUNDS, IMPORT_MOST)


def _pairs(
    title: str, environ: Mapping[str, str], programs: Mapping[str, Sequence[str]], rounds: int, most: float
) -> None:
    """Print the times of programs in turns, and of the first two the median pair's ratio."""

    def run(argv: Sequence[str]) -> Callable[[], object]:
        return lambda: subprocess.run(argv, check=True, capture_output=True, env=environ, timeout=120)

    targets = {name: run(argv) for name, argv in programs.items()}
    measured(targets, 1)
    times = measured(targets, rounds)
    table(title, times, {})
    # Of each pair its own: the two of a pair had the same neighbours on the machine.
    ratios = [one / other for one, other in zip(*list(times.values())[:2], strict=True)]
    print(f"  the median pair: {verdict(statistics.median(ratios), most)} as long")
