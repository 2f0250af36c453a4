"""A cell of ``%%session`` against a local cell: ``python -m tests.benchmarks magics``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from tests.benchmarks.cells import Cells
from tests.benchmarks.figures import measured, table
from tests.benchmarks.servers import Server

ROUNDS = 200
MOST = 1.3
CELLS = {"%%session": "%%session\nprint(1)", "the same cell, local": "print(1)"}


def magics() -> None:
    """Print a cell's round trip from one local kernel, over its server's websocket and over ZMQ itself."""
    with Server(extension=True) as server:
        server.create_session("bench")
        kernel = server.start_kernel()
        with Cells(server, kernel) as cells:
            for code in ("%load_ext jupyter_sessions", "%session attach bench", *CELLS.values()):
                cells.run(code)
            targets = {name: functools.partial(cells.run, code) for name, code in CELLS.items()}
            title = "print(1), execute_request to reply and idle, over the websocket of one Jupyter server"
            table(title, measured(targets, ROUNDS), {"the same cell, local": MOST})
        direct = _direct(server, kernel)
        try:
            targets = {name: functools.partial(_run, direct, code) for name, code in CELLS.items()}
            table("The same over ZMQ, without a server before the kernel", measured(targets, ROUNDS), {})
        finally:
            direct.stop_channels()


def _direct(server: Server, kernel: str) -> Any:
    """Give a client of a server's local kernel that asks the kernel itself."""
    (file,) = Path(server.root, "jupyter_runtime_dir").glob(f"kernel-{kernel}.json")
    client = BlockingKernelClient(connection_file=str(file))
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    return client


def _run(client: Any, code: str) -> None:
    """Run a cell and return at its reply and ``idle``."""
    asked = client.execute(code)
    idle = False
    while not idle:
        message = client.get_iopub_msg(timeout=60)
        idle = message["parent_header"].get("msg_id") == asked and message["content"].get("execution_state") == "idle"
    client.get_shell_msg(timeout=60)
