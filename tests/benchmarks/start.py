"""What the extension adds to a server's start: from the spawn to the first answer of ``/api/status``."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.figures import table
from tests.benchmarks.servers import Server

PAIRS = 7
MOST = 1.15


def starts(store: Path) -> None:
    """Print the starts with and without, in turns, beside the extensions installed here and alone."""
    for bare, title in ((False, "A start, beside the other extensions installed here"), (True, "A start, alone")):
        wall: dict[str, list[float]] = {"with": [], "without": []}
        cpu: dict[str, list[float]] = {"with": [], "without": []}
        # So that every module is compiled once.
        start(True, bare, store)
        for _ in range(PAIRS):
            for name, extension in (("with", True), ("without", False)):
                seconds, used = start(extension, bare, store)
                wall[name].append(seconds)
                cpu[name].append(used)
        table(title, wall, {"without": MOST})
        table(f"{title}, CPU", cpu, {})


def start(extension: bool, bare: bool, store: Path) -> tuple[float, float]:
    """Start a server and stop it at its first answer; give seconds and CPU seconds until then."""
    with Server(extension=extension, bare=bare, store=store) as server:
        return server.start_seconds, server.cpu()
