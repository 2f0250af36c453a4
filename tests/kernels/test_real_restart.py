"""A server killed and started again: its page's kernel, notebook session and variables are still there."""

from __future__ import annotations

import uuid
from pathlib import Path

from tests.kernels.room import TAKES_IDS
from tests.real.kernel import KernelSocket
from tests.real.server import RealServer, real_server, wait_for


def kernel_state(server: RealServer, kernel_id: str) -> str:
    """Give a kernel's execution state."""
    return str(server.jupyter("GET", f"kernels/{kernel_id}")["execution_state"])


def test_a_killed_server_loses_nothing(tmp_path: Path) -> None:
    with real_server(tmp_path) as server:
        session = server.create("survivor")
        spec = "survivor.python3"
        assert server.jupyter("GET", "kernelspecs")["kernelspecs"][spec]["spec"]["display_name"].startswith("survivor:")
        wanted = str(uuid.uuid4())
        kernel = {"name": spec, "id": wanted}
        (server.root / "deep").mkdir()
        body = {"path": "deep/a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": kernel}
        opened = server.jupyter("POST", "sessions", body)
        if TAKES_IDS:
            assert opened["kernel"]["id"] == wanted
        wanted = opened["kernel"]["id"]
        socket = KernelSocket(server, wanted)
        told = socket.execute("import os; x = 41; print(os.getcwd(), os.environ['JPY_SESSION_NAME'])")
        (line,) = [each["content"]["text"] for each in told if each["header"]["msg_type"] == "stream"]
        assert line.split() == [str(server.root / "deep"), str(server.root / "deep" / "a.ipynb")]
        socket.close()

        server.kill()
        server.start()
        (again,) = server.jupyter("GET", "sessions")
        assert {**again, "kernel": None} == {**opened, "kernel": None}
        assert again["kernel"]["id"] == wanted and again["kernel"]["execution_state"] in ("unknown", "idle")
        assert server.jupyter("POST", "sessions", body)["id"] == opened["id"]
        wait_for(lambda: kernel_state(server, wanted) == "idle", "the kernel's host to speak")
        socket = KernelSocket(server, wanted)
        told = socket.execute("x + 1")
        (result,) = [each["content"]["data"] for each in told if each["header"]["msg_type"] == "execute_result"]
        assert result["text/plain"] == "42"
        socket.close()

        server.call("POST", f"{session['name']}:terminate")
        wait_for(lambda: kernel_state(server, wanted) == "dead", "the kernel to be dead with its session")
        assert "survivor" in server.jupyter("GET", f"kernels/{wanted}")["reason"]
        assert spec not in server.jupyter("GET", "kernelspecs")["kernelspecs"]
        server.until("survivor", "TERMINATED")
        server.stop()
        server.start()
        assert server.jupyter("GET", "kernels") == [] and server.jupyter("GET", "sessions") == []
