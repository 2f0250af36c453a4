"""Google's own gateway client, kernels-mixer, in front of a service of ours: beside our extension, and without it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.kernel import KernelSocket
from tests.real.server import RealServer, wait_for
from tests.serve.gatewaying import GatewayUser, activate, served_for_long
from tests.serve.serving import LOCATION, OWN, Served

if os.environ.get("BESIDE") != "mixer":
    pytest.skip("kernels-mixer is not here", allow_module_level=True)

SPEC = "work.python3"
# It asks Google's command line tool for the project, the region and a token, and knows no other way.
GCLOUD = """\
#!/bin/sh
case "$*" in
  *access_token*) printf '%s' "$TOKEN_OF_THE_TEST" ;;
  *config-helper*) printf '%s' '{configuration}' ;;
  *projectNumber*) printf '%s' 123456789 ;;
  *) echo "gcloud $*: not foreseen" >&2; exit 1 ;;
esac
"""
CONFIGURATION = {"configuration": {"properties": {"core": {"project": "p"}, "dataproc": {"region": "r"}}}}
# All of Google's configuration but for where the gateway is.
CONFIG = """\
import kernels_mixer
kernels_mixer.configure_kernels_mixer(c)
c.GatewayClient.url = {url!r}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service of one user, with the ACTIVE session ``work``."""
    with served_for_long(tmp_path_factory.mktemp("service"), [OWN], options=["--template-kernels"]) as running:
        activate(running, OWN, "work", jupyterSession={"displayName": "Far away"})
        yield running


@pytest.fixture(params=[False, True], ids=["alone", "beside"])
def front(
    request: pytest.FixtureRequest, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RealServer]:
    """A Jupyter server with kernels-mixer, its gateway ours; with our extension, too, or without it."""
    program = tmp_path / "bin" / "gcloud"
    program.parent.mkdir()
    program.write_text(GCLOUD.replace("{configuration}", json.dumps(CONFIGURATION)))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ.get("PATH", os.defpath)]))
    monkeypatch.setenv("TOKEN_OF_THE_TEST", served.token(OWN))
    server = RealServer(tmp_path, options=("--ServerApp.jpserver_extensions", f"jupyter_sessions={request.param}"))
    (tmp_path / "config" / "jupyter_server_config.py").write_text(CONFIG.format(url=served.url))
    try:
        yield server.start()
    finally:
        server.closing.close()
        server.stop()
        server.http.close()


def test_it_lists_starts_and_runs_the_sessions_kernels(front: RealServer, served: Served) -> None:
    """A notebook session on a session's kernel: cell, interrupt, restart, end; a local kernel beside it."""
    user = GatewayUser(served, OWN)
    specs = front.jupyter("GET", "kernelspecs")["kernelspecs"]
    assert "python3" in specs
    assert specs[SPEC]["spec"]["display_name"].startswith("Far away: Python 3")
    assert specs[SPEC]["spec"]["display_name"].endswith(" (Remote)")
    resources = specs[SPEC]["resources"]
    assert resources["endpointParentResource"] == f"//dataproc.googleapis.com/{LOCATION}/sessions/work"
    assert front.http.get(f"{front.url}{resources['logo-64x64']}", timeout=30).content.startswith(b"\x89PNG")
    body = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": SPEC}}
    kernel = front.jupyter("POST", "sessions", body)["kernel"]["id"]
    (remote,) = user.kernels()
    socket = KernelSocket(front, kernel, v1=False)
    socket.ready()
    assert socket.text("import os; print(os.environ['JUPYTER_SESSIONS_MARK'].count('/'))") == "2\n"
    running = socket.begin("import time; time.sleep(600)")
    wait_for(lambda: user.kernels()[remote]["execution_state"] == "busy", "the kernel to be busy")
    front.jupyter("POST", f"kernels/{kernel}/interrupt", {})
    assert "KeyboardInterrupt" in {m["content"].get("ename") for m in socket.answers(running)}
    front.jupyter("POST", f"kernels/{kernel}/restart", {})
    socket.ready()
    assert kernel in [model["id"] for model in front.jupyter("GET", "kernels")]
    local = front.jupyter("POST", "kernels", {"name": "python3"})["id"]
    assert set(user.kernels()) == {remote}
    for each in (kernel, local):
        front.jupyter("DELETE", f"kernels/{each}")
    assert user.kernels() == {}


def test_it_starts_a_template_as_a_session(front: RealServer, served: Served, request: pytest.FixtureRequest) -> None:
    """What Google's own gateway offers: a kernel that makes its session."""
    user = GatewayUser(served, OWN)
    name = f"made-{request.node.callspec.id}"
    user.json("POST", f"v1/{LOCATION}/sessionTemplates", {"name": f"{LOCATION}/sessionTemplates/{name}"})
    spec = f"template-{name}"
    specs = front.jupyter("GET", "kernelspecs")["kernelspecs"]
    assert specs[spec]["resources"]["endpointParentResource"].endswith("/sessions")
    kernel = front.jupyter("POST", "kernels", {"name": spec})["id"]
    socket = KernelSocket(front, kernel, v1=False)
    socket.ready()
    assert socket.text("print(6 * 7)") == "42\n"
    sessions = user.json("GET", f"v1/{LOCATION}/sessions")["sessions"]
    assert [s["state"] for s in sessions if s.get("sessionTemplate", "").endswith(f"/{name}")] == ["ACTIVE"]
    front.jupyter("DELETE", f"kernels/{kernel}")
