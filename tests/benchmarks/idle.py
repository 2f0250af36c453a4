"""What an idle minute costs: a server with many sessions against one without the extension, and the hosts."""

from __future__ import annotations

import time
from pathlib import Path

from tests.benchmarks.figures import verdict
from tests.benchmarks.servers import Host, Server

SECONDS = 60.0
SETTLE_SECONDS = 8.0
MOST = 0.3
SESSIONS, WITH_KERNEL = 4, 2


def idle(store: Path) -> None:
    """Print CPU seconds of an idle minute: 50 faked live sessions, a few real ones, and none."""
    with Server(extension=True, store=store) as crowd, Server(extension=True) as ours, Server() as stock:
        for number in range(SESSIONS):
            spec = ours.create_session(f"idle-{number}")
            if number < WITH_KERNEL:
                ours.start_kernel(spec)
        # What a start leaves to do, and the kernels' first seconds, are no idleness.
        time.sleep(SETTLE_SECONDS)
        programs: list[Server | Host] = [crowd, stock, ours, *ours.hosts()]
        before = [program.cpu() for program in programs]
        time.sleep(SECONDS)
        used = [program.cpu() - then for program, then in zip(programs, before, strict=True)]
    print(f"\nCPU over {SECONDS:.0f} idle seconds")
    print(f"  server without the extension       {used[1]:.2f} s")
    print(f"  with 50 live sessions, faked       {used[0]:.2f} s: {verdict(used[0] - used[1], MOST, 's')} more")
    print(f"  with {SESSIONS} real, {WITH_KERNEL} kernels             {used[2]:.2f} s: {used[2] - used[1]:.2f} s more")
    hosts = ", ".join(f"{seconds:.2f}" for seconds in sorted(used[3:]))
    print(f"  each of their hosts                {hosts} s")
