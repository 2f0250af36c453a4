"""Every figure of this product in one run, or some: ``python -m tests.benchmarks [wire] [transfer] [service] …``.

Medians and ratios, each beside its target, against real servers on this machine; nothing is asserted.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import wire
from tests.benchmarks.commands import commands
from tests.benchmarks.crowd import fill
from tests.benchmarks.idle import idle
from tests.benchmarks.magics import magics
from tests.benchmarks.service import lists
from tests.benchmarks.start import starts
from tests.benchmarks.transfer import transfers
from tests.benchmarks.upstream import upstream

ALONE = {"wire": lambda: wire.main(()), "transfer": transfers, "magics": magics, "commands": commands}
CROWDED = {"service": lists, "start": starts, "idle": idle, "upstream": upstream}


def main(argv: Sequence[str]) -> None:
    """Print the parts named, or all."""
    names = [*ALONE, *CROWDED]
    unknown = set(argv) - set(names)
    if unknown:
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    for name, alone in ALONE.items():
        if not argv or name in argv:
            alone()
    if argv and not set(argv) & set(CROWDED):
        return
    with tempfile.TemporaryDirectory(prefix="jsb-store") as folder:
        store = Path(folder, "jupyter_sessions")
        fill(store)
        for name, part in CROWDED.items():
            if not argv or name in argv:
                part(store)


if __name__ == "__main__":
    main(sys.argv[1:])
