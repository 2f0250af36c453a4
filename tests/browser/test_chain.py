"""The main job on a session of another server: browser, Lab, its upstream, the service, and a process there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import expect

from tests.browser.lab import OPTIONS, PATIENCE, Lab, chromium, prepare
from tests.real.server import RealServer, real_server, wait_for
from tests.serve.serving import LOCATION, OWN, Served

NAME = "far-work"
TITLE = "Big machine"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Run a service for the account of the tests."""
    home = tmp_path / "served"
    home.mkdir()
    service = Served(home, [OWN], [])
    asyncio.run(service.start())
    try:
        yield service
    finally:
        asyncio.run(service.close())


def connect(home: Path, served: Served) -> None:
    """Write the file that connects a server to the service, as the panel teaches it."""
    token = home / "far.token"
    token.write_text(served.token(OWN) + "\n")
    token.chmod(0o600)
    _, project, _, location = LOCATION.split("/")
    folder = home / "config" / "jupyter_sessions"
    folder.mkdir(parents=True)
    (folder / "locations.yaml").write_text(
        f"locations:\n- project: {project}\n  location: {location}\n  display_name: {TITLE}\n"
        f"  endpoint: {served.url}\n  auth: bearer\n  bearer:\n    file: {token}\n"
    )


def launch(lab: Lab) -> None:
    """Make a session over there by the form, and watch it come up."""
    panel = lab.page.locator("#jupyter-sessions")
    panel.get_by_role("button", name="New session").last.click()
    lab.page.locator("select[name=parent]").select_option(label=TITLE)
    lab.page.locator("input[name=id]").fill(NAME)
    lab.page.locator("input[name=displayName]").fill("Far work")
    lab.page.keyboard.press("Enter")
    lab.state(NAME, "ACTIVE")
    assert lab.shown_states(NAME)[-1] == "ACTIVE"


def compute(lab: Lab, served: Served) -> int:
    """Run a cell in a notebook on the session, and see whose process ran it; give its pid."""
    lab.row(NAME).focus()
    lab.page.keyboard.press("n")
    match = lab.run_cell("import os; kept = 41; print('ran in', os.getpid())", r"ran in (\d+)")
    pid = int(match[1])
    mark = psutil.Process(pid).environ()["JUPYTER_SESSIONS_MARK"]
    found = served.request(OWN, "GET", f"v1/{LOCATION}/sessions/{NAME}").json()
    assert found["uuid"] in mark and found["creator"] == OWN
    lab.page.keyboard.press("Control+s")
    return pid


def survive(lab: Lab, server: RealServer, pid: int) -> None:
    """Kill the Lab server, start it again, reload the page, and find the variables in the same process over there."""
    wait_for(lambda: "kept = 41" in (server.root / "Untitled.ipynb").read_text(), "the notebook to be saved")
    layout = f"{server.url}/lab/api/workspaces"
    wait_for(lambda: "Untitled.ipynb" in server.http.get(layout, timeout=10).text, "the layout to be saved")
    server.kill()
    server.start()
    lab.reload()
    lab.state(NAME, "ACTIVE")
    lab.page.locator(".lm-TabBar-tab", has_text="Untitled.ipynb").click()
    match = lab.run_cell("print('again in', os.getpid(), kept + 1)", r"again in (\d+) 42")
    assert int(match[1]) == pid


def terminate(lab: Lab, served: Served, pid: int) -> None:
    """End it from here; the history is the one kept over there."""
    lab.row(NAME).focus()
    lab.page.keyboard.press("Enter")
    lab.row(NAME).focus()
    lab.page.keyboard.press("Delete")
    lab.page.locator(".jp-Dialog").get_by_role("button", name="Terminate").click()
    lab.state(NAME, "TERMINATED")
    wait_for(lambda: not psutil.pid_exists(pid), "the kernel's process to end")
    expect(lab.detail()).to_contain_text("TERMINATED", timeout=PATIENCE)
    found = served.request(OWN, "GET", f"v1/{LOCATION}/sessions/{NAME}").json()
    told = [row["state"] for row in found["stateHistory"]] + [found["state"]]
    assert [row[1] for row in lab.history()] == told == ["CREATING", "ACTIVE", "TERMINATING", "TERMINATED"]


@pytest.mark.skipif(os.name != "posix", reason="the process engine needs a POSIX system")
def test_a_session_of_another_server_from_its_launch_to_its_end(tmp_path: Path, served: Served) -> None:
    prepare(tmp_path)
    connect(tmp_path, served)
    with real_server(tmp_path, "lab", OPTIONS) as server, chromium() as page:
        lab = Lab(page, server)
        lab.open()
        launch(lab)
        pid = compute(lab, served)
        survive(lab, server, pid)
        terminate(lab, served, pid)
