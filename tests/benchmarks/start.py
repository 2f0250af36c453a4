"""What the extension adds to a server's start: from the spawn to the first answer of ``/api/status``."""

from __future__ import annotations

import statistics
from pathlib import Path

from tests.benchmarks.figures import table, verdict
from tests.benchmarks.servers import Server

PAIRS = 7
MOST = 1.15


def starts(store: Path) -> None:
    """Print the starts with and without, beside the extensions installed here and alone."""
    for bare, title in ((False, "A start, beside the other extensions installed here"), (True, "A start, alone")):
        wall: dict[str, list[float]] = {"with": [], "without": []}
        cpu: dict[str, list[float]] = {"with": [], "without": []}
        # So that every module is compiled once.
        start(True, bare, store)
        for number in range(PAIRS):
            pair = [("with", True), ("without", False)]
            for name, extension in pair if number % 2 else reversed(pair):
                seconds, used = start(extension, bare, store)
                wall[name].append(seconds)
                cpu[name].append(used)
        table(title, wall, {})
        # Of each pair its own: the two of a pair had the same neighbours on the machine.
        ratios = [one / other for one, other in zip(wall["with"], wall["without"], strict=True)]
        print(f"  the median pair: {verdict(statistics.median(ratios), MOST)} as long with it")
        table(f"{title}, CPU", cpu, {})


def start(extension: bool, bare: bool, store: Path) -> tuple[float, float]:
    """Start a server and stop it at its first answer; give seconds and CPU seconds until then."""
    with Server(extension=extension, bare=bare, store=store) as server:
        return server.start_seconds, server.cpu()
