"""The magics when the server goes away under them, and when another one comes in its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.magics.local import LocalKernel, local_kernel
from tests.real.server import RealServer, real_server, wait_for


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    """Run a server that the test may kill."""
    with real_server(tmp_path / "server") as running:
        yield running


def test_a_cell_outlives_a_restart_of_the_server(server: RealServer, kernel: LocalKernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    server.create("away-cell")
    asked = kernel.begin(
        "%%session away-cell\nimport pathlib, time\nprint('begun', flush=True)\n"
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\nprint('ended')"
    )

    def look(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and "begun" in message["content"]["text"]:
            server.kill()
            server.start()
            gate.touch()

    ran = kernel.finish(asked, look)
    assert (ran.reply["status"], ran.text()) == ("ok", "begun\nended\n")
    assert ran.text("stderr") == "the connection broke while the code ran: some of its output may be missing\n"


def test_a_server_that_is_gone_is_said_and_its_successor_found(server: RealServer, tmp_path: Path) -> None:
    server.create("away-next")
    environ = {key: value for key, value in server.environment().items() if not key.startswith("JUPYTER_SESSIONS_")}
    home = tmp_path / "kernel"
    home.mkdir()
    with local_kernel(server, home, environ) as kernel:
        kernel.run("%session attach away-next")
        assert kernel.run("%%session\nx = 41\nprint(x)").text() == "41\n"
        server.kill()
        gone = kernel.run("%session list", ok=False)
        assert gone.reply["ename"] == "ServerGone" and str(server.port) in gone.reply["evalue"]
        with real_server(server.home) as successor:
            assert successor.url != server.url
            shown = wait_for(lambda: kernel.run("%session list", ok=False).shown, "the successor's list")
            assert "away-next" in shown[0]["text/plain"]
            answer = wait_for(lambda: kernel.run("%%session\nprint(x + 1)", ok=False).text(), "the kernel")
            assert answer == "42\n", "the session and its variables are there still"
