"""After ``pip uninstall``: nothing of ours is enabled, listed or left, and Jupyter goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real.kernel import KernelSocket
from tests.real.server import real_server

if os.environ.get("BESIDE") != "removed":
    pytest.skip("the package is installed", allow_module_level=True)


def test_nothing_is_left_or_listed() -> None:
    """Neither a file that would enable a half, nor a half that Jupyter lists."""
    places = [Path(sys.prefix) / name for name in ("etc", "share", "lib")]
    named = [path for place in places for path in place.rglob("*[jJ]upyter[_-]sessions*")]
    assert named == []
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])}
    for words in (["server", "extension", "list"], ["labextension", "list"]):
        jupyter = [str(programs / "jupyter"), *words]
        done = subprocess.run(jupyter, capture_output=True, text=True, check=True, env=environment)
        assert "jupyter_sessions" not in (done.stdout + done.stderr).replace("-", "_")


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_a_server_goes_on_without(tmp_path: Path, app: str) -> None:
    """Our paths are gone, a local kernel runs, and the log does not miss us."""
    with real_server(tmp_path, app) as server:
        assert server.http.get(f"{server.url}/jupyter-sessions/v1/openapi.json", timeout=30).status_code == 404
        kernel = server.jupyter("POST", "kernels", {"name": "python3"})["id"]
        socket = KernelSocket(server, kernel)
        socket.ready()
        assert socket.text("print(6 * 7)").strip() == "42"
        socket.close()
        assert "jupyter_sessions" not in server.log
