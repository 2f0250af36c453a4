"""The main job from an empty data directory to a session's end, in a real browser."""

from __future__ import annotations

import os
import re
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import expect

from tests.browser.lab import OPTIONS, PATIENCE, Lab, chromium, prepare
from tests.real.server import RealServer, real_server, wait_for

NAME = "my-work"


def launch(lab: Lab) -> None:
    """Fill the form of a new session and watch it come up."""
    panel = lab.page.locator("#jupyter-sessions")
    expect(panel).to_contain_text("A session is a runtime that outlives this browser and this server.")
    panel.get_by_role("button", name="New session").last.click()
    lab.page.locator("input[name=id]").fill(NAME)
    lab.page.locator("input[name=displayName]").fill("My work")
    lab.page.locator(".jp-RuntimeSessions-rows", has_text="Labels").get_by_role("button", name="Add").click()
    lab.page.locator("input[name='labels.0.key']").fill("env")
    lab.page.locator("input[name='labels.0.value']").fill("test")
    lab.page.keyboard.press("Enter")
    lab.state(NAME, "ACTIVE")
    expect(lab.page.locator(".jp-Dialog")).to_have_count(0)
    assert lab.shown_states(NAME) == ["CREATING", "ACTIVE"]
    expect(lab.row(NAME)).to_contain_text("My work")
    expect(lab.row(NAME)).to_contain_text("env:test")


def read_history(lab: Lab) -> None:
    """Open the detail by keyboard and read the two states of a session that came up."""
    lab.row(NAME).focus()
    lab.page.keyboard.press("Enter")
    expect(lab.detail()).to_be_visible()
    (creating, active) = lab.history()
    assert creating[1] == "CREATING" and re.search(r"\d s$", creating[3])
    assert active[1] == "ACTIVE"
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", row[0]) for row in (creating, active))


def compute(lab: Lab, server: RealServer) -> int:
    """Open a notebook on the session by keyboard, run a cell, and check whose process ran it; give its pid."""
    lab.row(NAME).focus()
    lab.page.keyboard.press("n")
    match = lab.run_cell("import os; kept = 41; print('ran in', os.getpid())", r"ran in (\d+)")
    pid = int(match[1])
    kernel = psutil.Process(pid)
    assert server.process is not None
    assert os.getsid(pid) != os.getsid(server.process.pid)
    assert server.session(NAME)["uuid"] in kernel.environ()["JUPYTER_SESSIONS_MARK"]
    expect(lab.notebook().locator(".jp-Toolbar-kernelName")).to_contain_text("My work")
    lab.page.keyboard.press("Control+s")
    wait_for(lambda: "kept = 41" in (server.root / "Untitled.ipynb").read_text(), "the notebook to be saved")
    layout = f"{server.url}/lab/api/workspaces"
    wait_for(lambda: "Untitled.ipynb" in server.http.get(layout, timeout=10).text, "the layout to be saved")
    return pid


def restart(lab: Lab, server: RealServer, pid: int) -> None:
    """Restart the server under the page, reload it, and find the variables in the same process."""
    server.stop()
    expect(lab.page.locator("#jupyter-sessions")).to_contain_text("Connection lost", timeout=PATIENCE)
    assert psutil.pid_exists(pid)
    server.start()
    # By itself: JupyterLab's own dialog about the connection may lie over the page.
    expect(lab.page.locator(".jp-RuntimeSessions-lost")).to_have_count(0, timeout=PATIENCE)
    lab.reload()
    lab.state(NAME, "ACTIVE")
    lab.page.locator(".lm-TabBar-tab", has_text="Untitled.ipynb").click()
    match = lab.run_cell("print('again in', os.getpid(), kept + 1)", r"again in (\d+) 42")
    assert int(match[1]) == pid


def extend(lab: Lab, server: RealServer) -> None:
    """Give the session an hour more; its kernel goes on."""
    lab.row(NAME).focus()
    lab.page.keyboard.press("Enter")
    before = server.session(NAME)["environmentConfig"]["executionConfig"]["idleTtl"]
    lab.detail().get_by_role("button", name="Extend by 1 h").click()
    expect(lab.toast("if idle until then")).to_be_visible()
    after = server.session(NAME)["environmentConfig"]["executionConfig"]["idleTtl"]
    assert (before, after) == ("86400s", "90000s")
    expect(lab.detail()).to_contain_text("1 d 1 h")


def terminate(lab: Lab, server: RealServer, pid: int) -> None:
    """End the session by keyboard and read why and when it ended, in the panel and in the detail."""
    lab.row(NAME).focus()
    lab.page.keyboard.press("Delete")
    question = lab.page.locator(".jp-Dialog")
    expect(question).to_contain_text("Untitled.ipynb")
    question.get_by_role("button", name="Terminate").click()
    lab.state(NAME, "TERMINATED")
    assert lab.shown_states(NAME)[-2:] == ["TERMINATING", "TERMINATED"]
    expect(lab.row(NAME)).to_be_focused()
    reason = server.session(NAME)["stateMessage"]
    assert reason.startswith("Terminated by")
    expect(lab.row(NAME)).to_contain_text(reason)
    expect(lab.detail()).to_contain_text(re.compile(rf"Ended .*\d\d:\d\d:\d\d\.\d{{3}}: {re.escape(reason)}"))
    assert [row[1] for row in lab.history()] == ["CREATING", "ACTIVE", "TERMINATING", "TERMINATED"]
    expect(lab.toast(f"{reason}. Without a kernel now: Untitled.ipynb")).to_be_visible()
    wait_for(lambda: not psutil.pid_exists(pid), "the kernel's process to end")


@pytest.mark.skipif(os.name != "posix", reason="the process engine needs a POSIX system")
def test_from_an_empty_directory_to_a_session_that_ended(tmp_path: Path) -> None:
    prepare(tmp_path)
    with real_server(tmp_path, "lab", OPTIONS) as server, chromium() as page:
        lab = Lab(page, server)
        lab.open()
        launch(lab)
        read_history(lab)
        pid = compute(lab, server)
        restart(lab, server, pid)
        extend(lab, server)
        terminate(lab, server, pid)
