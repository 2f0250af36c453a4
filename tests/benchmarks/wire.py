"""The wire between a browser and a session's kernel, measured: ``python -m tests.benchmarks.wire``.

Every figure comes from this one run, against real servers on this machine; nothing is asserted.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Sequence

from tests.benchmarks.cells import Cells
from tests.benchmarks.figures import measured, table, verdict
from tests.benchmarks.loads import buffers_equal, flushed_lines, stopped_reader
from tests.benchmarks.servers import Server

ROUNDS = 200
KERNELS = 7
FIRST_CELLS = 5


def round_trips(ours: Server, stock: Server, nodelay: Server, spec: str) -> None:
    """Print a cell's round trip through each way there is."""
    remote, local, quick = ours.start_kernel(spec), stock.start_kernel(), nodelay.start_kernel()
    with contextlib.ExitStack() as stack:
        ways = {
            "remote": Cells(ours, remote),
            "local, stock server": Cells(stock, local),
            "local, nodelay": Cells(nodelay, quick),
            "the host's own websocket": Cells(ours.host(), remote),
        }
        for cells in ways.values():
            stack.enter_context(cells)
            cells.run("1")
        targets = {name: functools.partial(cells.run, "1") for name, cells in ways.items()}
        most = {"local, stock server": 0.3, "local, nodelay": 1.3, "the host's own websocket": 1.3}
        table("A cell's round trip (execute_request to reply and idle)", measured(targets, ROUNDS), most)
    for server, kernel_id in ((ours, remote), (stock, local), (nodelay, quick)):
        server.end_kernel(kernel_id)


def new_kernel(server: Server, name: str) -> None:
    """Start a kernel, hear its info, end it outside the time measured by the caller's next turn."""
    kernel_id = server.start_kernel(name)
    with Cells(server, kernel_id) as cells:
        cells.kernel_info()


def new_kernels(ours: Server, stock: Server, spec: str) -> None:
    """Print how long a new kernel takes, from POST to kernel_info_reply."""
    targets = {"remote": lambda: new_kernel(ours, spec), "local, stock server": lambda: new_kernel(stock, "python3")}
    table("A new kernel, POST to kernel_info_reply", measured(targets, KERNELS), {"local, stock server": 1.1})
    for server in (ours, stock):
        for kernel in server.call("GET", "api/kernels"):
            server.end_kernel(kernel["id"])


def first_cells(ours: Server, stock: Server) -> None:
    """Print how long a first cell takes from nothing: a session created, or a local kernel started."""
    count = iter(range(1000))

    def remote() -> None:
        name = f"bench-{next(count)}"
        spec = ours.create_session(name)
        with Cells(ours, ours.start_kernel(spec)) as cells:
            cells.run("1")

    def local() -> None:
        with Cells(stock, stock.start_kernel()) as cells:
            cells.run("1")

    times = measured({"remote": remote, "local, stock server": local}, FIRST_CELLS)
    table("Nothing to first cell answered", times, {"local, stock server": 2.0})


def main(argv: Sequence[str]) -> None:
    """Print every figure; arguments name the parts to run, none means all."""
    with Server(extension=True) as ours, Server() as stock, Server(nodelay=True) as nodelay:
        print(f"bare server, RSS: {stock.rss() / 1e6:.1f} MB")
        spec = ours.create_session("bench")
        host, bare = ours.host().rss(), stock.rss()
        print(f"idle host, RSS: {host / 1e6:.1f} MB, {verdict(host / bare, 0.6)} of the bare server's")
        parts: dict[str, Callable[[], object]] = {
            "cells": lambda: round_trips(ours, stock, nodelay, spec),
            "kernels": lambda: new_kernels(ours, stock, spec),
            "lines": lambda: flushed_lines(ours, spec),
            "buffers": lambda: buffers_equal(ours, spec),
            "stopped": lambda: stopped_reader(ours, spec),
            "first": lambda: first_cells(ours, stock),
        }
        for name, part in parts.items():
            if not argv or name in argv:
                part()


if __name__ == "__main__":
    main(sys.argv[1:])
