"""Sessions behind a real JupyterHub: whose they are, what they are not told, and what a stopped server leaves."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.beside.hub import USER, HubServer, hub_server, names_of
from tests.real.kernel import KernelSocket
from tests.real.server import PARENT, marked, wait_for

if os.environ.get("BESIDE") != "hub":
    pytest.skip("no JupyterHub in this environment", allow_module_level=True)

HUB_NAMES = """
import json, os
print(json.dumps([name for name in os.environ if name.startswith("JUPYTERHUB_") or name == "JPY_API_TOKEN"]))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """One hub with the user's server running."""
    with hub_server(tmp_path_factory.mktemp("hub")) as started:
        yield started


def test_a_session_outlives_the_single_user_server(server: HubServer) -> None:
    """Created, used and found again through the hub; it is the hub's user's and knows nothing of the hub."""
    made = server.create("kept")
    assert made["creator"] == made["user"] == USER
    kernel = server.jupyter("POST", "kernels", {"name": "kept.python3"})["id"]
    socket = KernelSocket(server, kernel)
    socket.ready()
    pid = socket.text("import os\nkept = 41\nprint(os.getpid())")
    assert names_of(socket.text(HUB_NAMES)) == []
    socket.close()

    server.halt()
    left = {process.pid for process in marked(server.home)}
    assert int(pid) in left

    server.start()
    wait_for(lambda: kernel in [each["id"] for each in server.jupyter("GET", "kernels")], "the kernel's return")
    assert server.until("kept", "ACTIVE")["uuid"] == made["uuid"]
    socket = KernelSocket(server, kernel)
    assert socket.text("print(os.getpid(), kept + 1)").split() == [pid.strip(), "42"]
    socket.close()


def test_no_process_of_a_session_knows_the_hub(server: HubServer) -> None:
    """Neither hosts nor kernels carry what the hub gave the server, its token least of all."""
    server.create("blind")
    server.jupyter("POST", "kernels", {"name": "blind.python3"})
    processes = marked(server.home)
    assert len(processes) >= 2
    for process in processes:
        names = process.environ()
        assert not [name for name in names if name.startswith("JUPYTERHUB_") or name == "JPY_API_TOKEN"]


def test_another_caller_is_refused(server: HubServer) -> None:
    """Without the user's token the hub's front door asks for a login and the API answers no one."""
    url = f"{server.url}/jupyter-sessions/v1/projects/local/locations/local/sessions"
    answer = server.http.get(url, headers={"Authorization": "token wrong"}, timeout=30)
    assert answer.status_code in (401, 403)
    assert answer.json()["error"]["status"] in ("UNAUTHENTICATED", "PERMISSION_DENIED")


IN_A_KERNEL = """
import os
from jupyter_sessions.client import SessionsClient
assert os.environ["JUPYTERHUB_API_TOKEN"]
made = SessionsClient().create("of-a-kernel", kernel="python", wait=True)
print(made.id, made.run("6 * 7").data["text/plain"])
"""
IN_A_SESSIONS_KERNEL = """
from jupyter_sessions.client import SessionsClient
from jupyter_sessions.client.errors import ServerNotFound
try:
    SessionsClient()
except ServerNotFound as error:
    print(error)
"""
GIVEN = """
from jupyter_sessions.client import SessionsClient
print(*(session.name.rpartition("/")[2] for session in SessionsClient({url!r}, {token!r}).list()))
"""


def test_the_command_line_works_in_a_terminal(server: HubServer) -> None:
    """A terminal has the hub's token from its server, and nothing else tells the program where to go."""
    server.create("listed")
    program = Path(sys.prefix) / "bin" / "jupyter"
    status, out = server.in_terminal(f"{program} sessions list -o json")
    assert status == 0
    assert f"{PARENT}/sessions/listed" in {row["name"] for row in json.loads(out)}


def test_the_client_works_in_a_local_kernel(server: HubServer) -> None:
    """A kernel that the user's server runs itself has the hub's token, too."""
    kernel = server.jupyter("POST", "kernels", {"name": "python3"})["id"]
    socket = KernelSocket(server, kernel)
    socket.ready()
    assert socket.text(IN_A_KERNEL).split() == ["of-a-kernel", "42"]
    socket.close()
    assert server.session("of-a-kernel")["creator"] == USER


def test_a_sessions_kernel_is_told_what_to_set(server: HubServer) -> None:
    """It has no token of the hub's, takes none from a file, and works with one that the user asked the hub for."""
    server.create("asking")
    kernel = server.jupyter("POST", "kernels", {"name": "asking.python3"})["id"]
    socket = KernelSocket(server, kernel)
    socket.ready()
    said = socket.text(IN_A_SESSIONS_KERNEL)
    for words in ("JupyterHub", "JUPYTER_SESSIONS_URL", "JUPYTER_SESSIONS_TOKEN", "token page"):
        assert words in said
    token = server.authorization.removeprefix("token ")
    assert "asking" in socket.text(GIVEN.format(url=f"{server.url}/lab", token=token)).split()
    socket.close()
