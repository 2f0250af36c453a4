"""Notebooks that jupyter_server_documents executes on the server, on the kernels of sessions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.kernel import KernelSocket
from tests.real.server import RealServer, marked, real_server, wait_for

if os.environ.get("BESIDE") != "documents":
    pytest.skip("jupyter_server_documents is not here", allow_module_level=True)
from jupyter_server_documents.rooms.ynotebook_room import _source_hash

NAME = "work"
# What must not be in the server's log after what these tests do.
STORM = ("Traceback", "was never awaited", "exception was never retrieved", "Task was destroyed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One server with an ACTIVE session."""
    with real_server(tmp_path_factory.mktemp("documents")) as started:
        started.create(NAME)
        yield started


class Notebook:
    """A notebook with one cell a code, opened and run as the package's own front end does."""

    def __init__(self, server: RealServer, name: str, *codes: str) -> None:
        self.server = server
        self.path = f"{name}.ipynb"
        self.codes = codes
        cells: list[dict[str, Any]] = [
            {
                "cell_type": "code",
                "id": f"cell-{i}",
                "source": code,
                "metadata": {},
                "outputs": [],
                "execution_count": None,
            }
            for i, code in enumerate(codes)
        ]
        text = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (server.root / self.path).write_text(json.dumps(text))
        url = f"{server.url}/api/fileid/index"
        answer = server.http.post(url, params={"path": self.path}, timeout=30)
        self.document = f"json:notebook:{answer.json()['id']}"
        self.session = ""
        self.kernel = ""

    def open(self, spec: str) -> Notebook:
        """Start its notebook session on a kernel of ``spec``."""
        body = {"path": self.path, "name": self.path, "type": "notebook", "kernel": {"name": spec}}
        made = self.server.jupyter("POST", "sessions", body)
        self.session, self.kernel = made["id"], made["kernel"]["id"]
        return self

    def move(self, spec: str) -> None:
        """Change its kernel by the name of a kernelspec, as the kernel picker does."""
        made = self.server.jupyter("PATCH", f"sessions/{self.session}", {"kernel": {"name": spec}})
        assert made["id"] == self.session
        self.kernel = made["kernel"]["id"]

    def send(self, cell: int) -> int:
        """Ask for a cell's execution and give the HTTP status."""
        cells = [{"cell_id": f"cell-{cell}", "source_hash": _source_hash(self.codes[cell])}]
        body = {"document_id": self.document, "cells": cells}
        url = f"{self.server.url}/api/kernels/{self.kernel}/execute"
        status: int = self.server.http.post(url, json=body, timeout=60).status_code
        return status

    def run(self, cell: int, wanted: str) -> None:
        """Run a cell and wait until its document, saved, holds the output ``wanted``."""
        assert self.send(cell) == 200
        wait_for(lambda: self.text(cell) == wanted, f"{wanted!r} of cell {cell}, not {self.text(cell)!r}")

    def text(self, cell: int) -> str:
        """Give what a cell has printed, as the package has saved it."""
        answer = self.server.http.get(f"{self.server.url}/api/contents/{self.path}", timeout=60)
        if not answer.ok:
            # The package writes the file where it stands, so that it may be read half written.
            return ""
        found: list[dict[str, Any]] = answer.json()["content"]["cells"][cell]["outputs"]
        return "".join("".join(each.get("text", "")) for each in found)

    def close(self) -> None:
        """End its notebook session and kernel."""
        self.server.jupyter("DELETE", f"sessions/{self.session}")


def quiet(server: RealServer) -> None:
    """Check that nothing went wrong so far, and that no connection file's key is in the log."""
    wrong = [line for line in server.log.splitlines() if any(word in line for word in STORM)]
    assert wrong == [], server.log[-5000:]
    assert not [key for key in keys(server) if key in server.log]


def keys(server: RealServer) -> list[str]:
    """Give the keys of all running kernels of sessions."""
    files = set()
    for process in marked(server.home):
        files |= {Path(word) for word in process.cmdline() if word.endswith(".json") and "kernel-" in word}
    return [json.loads(file.read_text())["key"] for file in files if file.exists()]


SET, SHOW = "kept = 41\nprint('set')", "print(kept + 1)"


def test_cells_run_and_outlive_the_server(server: RealServer) -> None:
    """A cell runs on the session's kernel; after ``kill -9`` of the server the same document goes on with it."""
    notebook = Notebook(server, "kept", SET, SHOW).open(f"{NAME}.python3")
    notebook.run(0, "set\n")
    secrets = keys(server)
    assert secrets
    for path in (f"kernels/{notebook.kernel}", "sessions", "kernels"):
        assert not [key for key in secrets if key in json.dumps(server.jupyter("GET", path))]
    server.kill()
    server.start()
    server.until(NAME, "ACTIVE")
    wait_for(lambda: notebook.send(1) == 200, "the document's kernel")
    wait_for(lambda: notebook.text(1) == "42\n", "the cell's output")
    # A browser's websocket, as consoles and widgets use it, stands beside.
    socket = KernelSocket(server, notebook.kernel)
    assert socket.text(SHOW) == "42\n"
    socket.close()
    notebook.close()
    assert notebook.session not in [each["id"] for each in server.jupyter("GET", "sessions")]
    quiet(server)


def test_a_restarted_kernel_runs_cells(server: RealServer) -> None:
    """After a restart asked for in the middle of a cell, and after the kernel's own death, the document goes on."""
    codes = ("import time\nprint('on')\ntime.sleep(600)", "print('new' if 'kept' not in dir() else 'old')", SET)
    killed = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    notebook = Notebook(server, "again", *codes, killed).open(f"{NAME}.python3")
    notebook.run(2, "set\n")
    notebook.run(0, "on\n")
    server.jupyter("POST", f"kernels/{notebook.kernel}/restart")
    goes_on(notebook)
    assert notebook.send(3) == 200
    goes_on(notebook)
    notebook.close()
    quiet(server)


def goes_on(notebook: Notebook) -> None:
    """Run cell 1 until it says that the kernel is new: one that was asked for during a restart is given up."""
    wait_for(lambda: notebook.send(1) == 200 and notebook.text(1) == "new\n", "a cell on the new kernel")


def test_a_document_moves_between_kernels(server: RealServer) -> None:
    """From a local kernel to a session's, to another of it, and back; each time its cells run there."""
    code = "import os\nprint(os.environ.get('JUPYTER_SESSIONS_MARK', 'local').count('/'))"
    notebook = Notebook(server, "moved", code, code, code, code).open("python3")
    for cell, (spec, wanted) in enumerate([("", "0\n"), (f"{NAME}.python3", "2\n"), (f"{NAME}.python3", "2\n")]):
        if spec:
            notebook.move(spec)
        notebook.run(cell, wanted)
    notebook.move("python3")
    notebook.run(3, "0\n")
    notebook.close()
    quiet(server)


def test_the_end_of_the_session_ends_what_runs(server: RealServer) -> None:
    """A cell that is running when the session ends is given up; another is refused, and the server goes on."""
    server.create("ending")
    notebook = Notebook(server, "ended", "import time\nprint('on')\ntime.sleep(600)", "print('off')").open(
        "ending.python3"
    )
    notebook.run(0, "on\n")
    server.call("POST", "projects/local/locations/local/sessions/ending:terminate")
    server.until("ending", "TERMINATED")
    wait_for(lambda: notebook.send(0) == 400, "the refusal")
    assert notebook.session not in {one["id"] for one in server.jupyter("GET", "sessions")}
    # The page shows "No Kernel" now, and its kernel picker makes a new notebook session.
    notebook.open("python3")
    notebook.run(1, "off\n")
    notebook.close()
    quiet(server)
