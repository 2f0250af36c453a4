"""Templates' kernelspecs, as Google's gateway has them: to start one makes a session."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.real.server import wait_for
from tests.serve.gatewaying import GatewayUser, activate, served_for_long
from tests.serve.serving import LOCATION, OWN, Served

PARENT = "//dataproc.googleapis.com/"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that offers templates, of which there is one."""
    home = tmp_path_factory.mktemp("templates")
    with served_for_long(home, [OWN], options=["--template-kernels"]) as running:
        name = f"{LOCATION}/sessionTemplates/small-one"
        fields = {"name": name, "description": "Small", "jupyterSession": {"kernel": "PYTHON"}}
        assert running.request(OWN, "POST", f"v1/{LOCATION}/sessionTemplates", fields).ok
        yield running


@pytest.fixture
def user(served: Served) -> GatewayUser:
    """The user."""
    return GatewayUser(served, OWN)


def sessions(user: GatewayUser) -> dict[str, dict[str, Any]]:
    """Give the user's sessions by full name."""
    found = user.json("GET", f"v1/{LOCATION}/sessions").get("sessions", [])
    return {session["name"]: session for session in found}


def test_a_template_has_a_kernelspec_that_names_no_session(user: GatewayUser) -> None:
    listed = user.json("GET", "api/kernelspecs")
    spec = listed["kernelspecs"]["template-small-one"]
    assert spec["resources"] == {"endpointParentResource": f"{PARENT}{LOCATION}/sessions"}
    assert (spec["spec"]["display_name"], spec["spec"]["language"]) == ("Small (new session)", "python")
    assert user.json("GET", "api/kernelspecs/template-small-one") == spec
    assert not listed["default"].startswith("template-")
    user.refused(404, "GET", "api/kernelspecs/template-none")
    user.refused(404, "POST", "api/kernels", {"name": "template-none"})


def test_its_start_makes_a_session_and_says_which(user: GatewayUser) -> None:
    before = set(sessions(user))
    wanted = "0f0e0d0c-0b0a-4908-8706-050403020100"
    body = {"name": "template-small-one", "kernel_id": wanted}
    model = user.json("POST", "api/kernels", body)
    named = model["metadata"]["endpointParentResource"].removeprefix(PARENT)
    assert set(sessions(user)) - before == {named}
    assert sessions(user)[named]["sessionTemplate"].endswith("/small-one")
    assert (model["id"], model["name"]) == (wanted, f"{named.rpartition('/')[2]}.python3")
    with user.closing:
        assert user.channels(wanted).text("print(1 + 1)") == "2\n"
    assert user.json("POST", "api/kernels", body)["metadata"] == model["metadata"]
    assert set(sessions(user)) - before == {named}


def test_a_start_that_cannot_be_says_why(user: GatewayUser, tmp_path: Path) -> None:
    name = f"{LOCATION}/sessionTemplates/broken"
    properties = {"runtimeConfig": {"properties": {"local:cwd": str(tmp_path)}}}
    user.json("POST", f"v1/{LOCATION}/sessionTemplates", {"name": name, **properties})
    tmp_path.rmdir()
    before = set(sessions(user))
    assert "local:cwd" in user.refused(400, "POST", "api/kernels", {"name": "template-broken"})
    assert set(sessions(user)) == before
    user.json("DELETE", f"v1/{name}")


def test_who_gives_up_waiting_leaves_the_session(user: GatewayUser) -> None:
    before = set(sessions(user))
    body = {"name": "template-small-one"}

    def impatient() -> None:
        with contextlib.suppress(requests.RequestException), requests.Session() as session:
            headers = user.served.headers(OWN)
            session.post(f"{user.url}/api/kernels", json=body, headers=headers, timeout=0.05)

    thread = threading.Thread(target=impatient)
    thread.start()
    thread.join()
    (made,) = wait_for(lambda: set(sessions(user)) - before, "the session to be listed")
    wait_for(lambda: sessions(user)[made]["state"] == "ACTIVE", "the session to be ACTIVE")
    assert made.rpartition("/")[2] + ".python3" in user.json("GET", "api/kernelspecs")["kernelspecs"]
    assert [k for k in user.kernels().values() if k["metadata"]["endpointParentResource"].endswith(made)] == []


def test_without_the_option_templates_are_no_kernels(tmp_path_factory: pytest.TempPathFactory) -> None:
    with served_for_long(tmp_path_factory.mktemp("plain"), [OWN]) as plain:
        user = GatewayUser(plain, OWN)
        name = f"{LOCATION}/sessionTemplates/small-one"
        user.json("POST", f"v1/{LOCATION}/sessionTemplates", {"name": name})
        assert user.json("GET", "api/kernelspecs") == {"default": "python3", "kernelspecs": {}}
        assert "python3" in user.refused(404, "POST", "api/kernels")
        user.refused(404, "POST", "api/kernels", {"name": "template-small-one"})
        activate(plain, OWN, "only-one")
        assert list(user.json("GET", "api/kernelspecs")["kernelspecs"]) == ["only-one.python3"]
