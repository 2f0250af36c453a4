"""A local kernel with the magics in it, as a front end sees it: cells, completions, help and interrupts."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from tests.real.server import TOKEN, RealServer

SECONDS = 60.0
Seen = Callable[[dict[str, Any]], object]


def environment(server: RealServer, home: Path) -> dict[str, str]:
    """Give the environment of a kernel that works with ``server``."""
    return {
        **os.environ,
        "JUPYTER_SESSIONS_URL": server.url,
        "JUPYTER_SESSIONS_TOKEN": TOKEN,
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONWARNINGS": "",
    }


@dataclass
class Ran:
    """What a cell gave: its reply, and every message of its own on iopub, in order."""

    reply: dict[str, Any]
    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """Give the contents of the messages of these types."""
        return [message["content"] for message in self.messages if message["msg_type"] in kinds]

    def text(self, name: str = "stdout") -> str:
        """Give all of one stream."""
        return "".join(content["text"] for content in self.of("stream") if content["name"] == name)

    @property
    def shown(self) -> list[dict[str, Any]]:
        """Every MIME bundle that was shown."""
        return [content["data"] for content in self.of("display_data", "execute_result")]


class LocalKernel:
    """One running kernel; a front end's part is played here."""

    def __init__(self, manager: KernelManager, client: Any) -> None:
        self._manager = manager
        self.client = client

    def begin(self, code: str, asks: bool = False) -> str:
        """Send a cell and give its message id."""
        return str(self.client.execute(code, allow_stdin=asks))

    def messages(self) -> Iterator[dict[str, Any]]:
        """Give every message of iopub as it comes; fails the test where nothing comes."""
        while True:
            yield self.client.get_iopub_msg(timeout=SECONDS)

    def finish(self, asked: str, seen: Seen = lambda message: None) -> Ran:
        """Give what a cell gives until its reply and ``idle``; ``seen`` gets each message as it comes."""
        found: list[dict[str, Any]] = []
        for message in self.messages():
            if message["parent_header"].get("msg_id") != asked:
                continue
            seen(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
            found.append(message)
        return Ran(self.reply(asked), found)

    def reply(self, asked: str) -> dict[str, Any]:
        """Give the content of the reply to a request on the shell channel."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            message = self.client.get_shell_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") == asked:
                content: dict[str, Any] = message["content"]
                return content
        raise AssertionError(f"no reply to {asked}")

    def run(self, code: str, ok: bool = True) -> Ran:
        """Run a cell to its end; one that fails fails the test, unless ``ok`` is False."""
        ran = self.finish(self.begin(code))
        if ok:
            assert ran.reply["status"] == "ok", "\n".join(ran.reply.get("traceback", [str(ran.reply)]))
        return ran

    def complete(self, code: str, cursor: int | None = None) -> dict[str, Any]:
        """Ask for completions at ``cursor``, else at the end."""
        return self.reply(self.client.complete(code, len(code) if cursor is None else cursor))

    def inspect(self, code: str, cursor: int | None = None) -> dict[str, Any]:
        """Ask for help at ``cursor``, else at the end."""
        return self.reply(self.client.inspect(code, len(code) if cursor is None else cursor))

    def interrupt(self) -> None:
        """Interrupt it as a front end's stop button does."""
        self._manager.interrupt_kernel()


@contextlib.contextmanager
def local_kernel(server: RealServer, home: Path, environ: dict[str, str] | None = None) -> Iterator[LocalKernel]:
    """Run a local kernel with the magics loaded; its environment names ``server``, unless it is ``environ``."""
    manager = KernelManager(kernel_name="python3", connection_file=str(home / "kernel.json"))
    manager.start_kernel(env=environ or environment(server, home), cwd=str(home))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
        kernel = LocalKernel(manager, client)
        kernel.run("%load_ext jupyter_sessions")
        yield kernel
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def run_notebook(cells: Sequence[str], server: RealServer, home: Path) -> nbformat.NotebookNode:
    """Execute a notebook of these cells through nbclient; raises CellExecutionError as that does."""
    # Any: nbformat's functions have no types.
    v4: Any = nbformat.v4
    made: nbformat.NotebookNode = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    client = NotebookClient(made, timeout=120, resources={"metadata": {"path": str(home)}})
    client.execute(env=environment(server, home))
    return made


def printed(cell: nbformat.NotebookNode, name: str = "stdout") -> str:
    """Give what a notebook's cell has printed."""
    return "".join(output["text"] for output in cell.outputs if output.get("name") == name)
