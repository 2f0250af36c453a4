"""Every figure of this product in one run: ``python -m tests.benchmarks [wire] [service] [start] [idle] [upstream]``.

Medians and ratios, each beside its target, against real servers on this machine; nothing is asserted.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import wire
from tests.benchmarks.crowd import fill
from tests.benchmarks.idle import idle
from tests.benchmarks.service import lists
from tests.benchmarks.start import starts
from tests.benchmarks.upstream import upstream

CROWDED = {"service": lists, "start": starts, "idle": idle, "upstream": upstream}


def main(argv: Sequence[str]) -> None:
    """Print the parts named, or all."""
    unknown = set(argv) - {"wire", *CROWDED}
    if unknown:
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are: wire, {', '.join(CROWDED)}")
    if not argv or "wire" in argv:
        wire.main(())
    with tempfile.TemporaryDirectory(prefix="jsb-store") as folder:
        store = Path(folder, "jupyter_sessions")
        fill(store)
        for name, part in CROWDED.items():
            if not argv or name in argv:
                part(store)


if __name__ == "__main__":
    main(sys.argv[1:])
