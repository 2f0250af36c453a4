"""Several locations in the panel: what is wrong with one is told, hides no other, and passes by itself."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.lab import OPTIONS, PATIENCE, Lab, chromium, prepare
from tests.real.server import free_port, real_server, wait_for
from tests.serve.serving import LOCATION, OWN, Served

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the process engine needs a POSIX system")

TITLE = "Big machine"
NEAR, FAR = "near-work", "far-work"
WRONG = "a-token-of-nobody"


def apart(act: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine in a thread of its own: the browser's driver holds this one's loop."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, act).result()


class Far(Served):
    """A service that comes back under the address it had."""

    def command(self) -> list[str]:
        """Give the command line, with the port of the first start from the second on."""
        port = self.url.rpartition(":")[2]
        return [f"--port={port}" if port and word == "--port=0" else word for word in super().command()]


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    """Run a service for the account of the tests."""
    home = tmp_path / "far"
    home.mkdir()
    service = Far(home, [OWN], [])
    apart(service.start())
    try:
        yield service
    finally:
        apart(service.close())


def connect(home: Path, far: Far) -> Path:
    """Connect a server to the service with a wrong token, and to a port where nobody listens; give the token's file."""
    token = home / "far.token"
    token.write_text(WRONG)
    token.chmod(0o600)
    _, project, _, location = LOCATION.split("/")
    folder = home / "config" / "jupyter_sessions"
    folder.mkdir(parents=True)
    (folder / "locations.yaml").write_text(
        f"locations:\n- project: {project}\n  location: {location}\n  display_name: {TITLE}\n"
        f"  endpoint: {far.url}\n  auth: bearer\n  bearer:\n    file: {token}\n"
        f"- project: acme\n  location: nowhere\n  display_name: Nowhere\n"
        f"  endpoint: http://127.0.0.1:{free_port()}\n  auth: none\n"
    )
    return token


def banner(lab: Lab, location: str) -> Locator:
    """Give the banner of a location."""
    return lab.page.locator(f".jp-RuntimeSessions-banner[data-location='{location}']")


def sign_in(lab: Lab, far: Far, token: Path) -> None:
    """Find two troubles in one line, open them, follow the remedy of one, and see it go."""
    head = lab.page.get_by_role("button", name="2 things need attention")
    expect(head).to_have_attribute("aria-expanded", "false", timeout=PATIENCE)
    lab.state(NEAR, "ACTIVE")
    head.click()
    there = banner(lab, LOCATION)
    there.get_by_role("button", name=f"Sign in again: {TITLE}").click()
    steps = there.locator("li")
    expect(steps.first).to_contain_text(str(token))
    expect(banner(lab, "projects/acme/locations/nowhere")).to_contain_text(
        re.compile(r"Nowhere is unreachable since \d\d:\d\d")
    )
    assert WRONG not in lab.page.content()
    token.write_text(far.token(OWN))
    there.get_by_role("button", name="Try again").click()
    expect(there).to_have_count(0, timeout=PATIENCE)
    expect(lab.row(NEAR)).to_be_visible()


def create_there(lab: Lab) -> None:
    """Make a session in a chosen location; its row has the focus, and the next form offers that location first."""
    place = lab.page.locator("select[name=parent]")
    for _ in ("chosen", "remembered"):
        lab.page.locator("#jupyter-sessions").get_by_role("button", name="New session").first.click()
        expect(place).to_be_visible()
        if _ == "remembered":
            break
        expect(place).to_have_value("projects/local/locations/local")
        expect(place.locator("option", has_text="Nowhere")).to_be_disabled()
        place.select_option(label=TITLE)
        lab.page.locator("input[name=id]").fill(FAR)
        lab.page.keyboard.press("Enter")
        lab.state(FAR, "ACTIVE")
        expect(lab.row(FAR)).to_be_focused()
    expect(place).to_have_value(LOCATION)
    lab.page.locator(".jp-Dialog").get_by_role("button", name="Cancel").click()
    expect(lab.row(FAR)).to_contain_text(TITLE)
    expect(lab.row(NEAR)).to_contain_text("This machine")


def narrow(lab: Lab) -> None:
    """Show one location's sessions alone, and all of them again."""
    choice = lab.page.get_by_label("Show the sessions of")
    choice.select_option(label=TITLE)
    expect(lab.row(NEAR)).to_have_count(0)
    expect(lab.row(FAR)).to_be_visible()
    choice.select_option(label="All locations")
    expect(lab.row(NEAR)).to_be_visible()


def lose_and_find(lab: Lab, far: Far) -> None:
    """Stop the service under the panel: its row stays, marked and locked; start it: all is as before, by itself."""
    row = lab.row(FAR)
    apart(far.stop())
    expect(row).to_contain_text(re.compile(r"unreachable since \d\d:\d\d, last known state"), timeout=PATIENCE)
    lab.state(FAR, "ACTIVE")
    expect(lab.row(NEAR)).not_to_contain_text("last known state")
    row.hover()
    end = row.get_by_role("button", name="Terminate")
    expect(end).to_have_attribute("aria-disabled", "true")
    expect(end).to_have_attribute("title", re.compile(f"{TITLE} is unreachable since"))
    row.focus()
    lab.page.keyboard.press("Delete")
    expect(lab.toast(f"{TITLE} is unreachable since")).to_be_visible()
    expect(lab.page.locator(".jp-Dialog")).to_have_count(0)
    apart(far.start())
    expect(row).not_to_contain_text("last known state", timeout=PATIENCE)
    row.hover()
    expect(row.get_by_role("button", name="Terminate")).not_to_have_attribute("aria-disabled", "true")


def end_there(lab: Lab, far: Far) -> None:
    """End the session over there from here."""
    lab.row(FAR).focus()
    lab.page.keyboard.press("Delete")
    lab.page.locator(".jp-Dialog").get_by_role("button", name="Terminate").click()
    lab.state(FAR, "TERMINATED")
    assert far.request(OWN, "GET", f"v1/{LOCATION}/sessions/{FAR}").json()["state"] == "TERMINATED"


def test_a_location_s_trouble_is_told_hides_no_other_and_passes(tmp_path: Path, far: Far) -> None:
    home = tmp_path / "lab"
    home.mkdir()
    prepare(home)
    token = connect(home, far)
    with real_server(home, "lab", OPTIONS) as server, chromium() as page:
        server.create(NEAR)
        lab = Lab(page, server)
        lab.open()
        sign_in(lab, far, token)
        create_there(lab)
        narrow(lab)
        lose_and_find(lab, far)
        end_there(lab, far)


def test_how_a_location_is_connected_is_shown_and_nothing_written(tmp_path: Path) -> None:
    prepare(tmp_path)
    with real_server(tmp_path, "lab", OPTIONS) as server, chromium() as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        lab = Lab(page, server)
        lab.open()
        told = server.call("GET", "connect")
        page.locator("#jupyter-sessions").get_by_role("button", name="Connect a location").click()
        dialog = page.locator(".jp-RuntimeSessions-connectDialog")
        expect(dialog).to_contain_text(told["path"])
        for example in told["examples"]:
            dialog.get_by_label(example["title"], exact=True).check()
            expect(dialog.locator("pre")).to_have_text(example["yaml"])
        dialog.get_by_role("button", name="Copy the YAML").click()
        last = told["examples"][-1]["yaml"]
        wait_for(lambda: page.evaluate("navigator.clipboard.readText()") == last, "the YAML to be copied", 10)
        dialog.get_by_role("button", name="Close").last.click()
        expect(dialog).to_have_count(0)
        # The panel's menu leads there, too, once there is a session and no empty panel.
        page.locator("#jupyter-sessions").get_by_role("button", name="More").click()
        page.locator(".lm-Menu-item", has_text="Connect a Location").click()
        expect(dialog).to_be_visible()
        assert not Path(told["path"]).exists()


def test_a_faulty_file_is_told_with_its_place_and_this_machine_works(tmp_path: Path) -> None:
    prepare(tmp_path)
    folder = tmp_path / "config" / "jupyter_sessions"
    folder.mkdir(parents=True)
    file = folder / "locations.yaml"
    file.write_text("locations:\n- project: acme\n  location: eu\n  endpoint: http://far.example.org\n  auth: none\n")
    with real_server(tmp_path, "lab", OPTIONS) as server, chromium() as page:
        server.create(NEAR)
        lab = Lab(page, server)
        lab.open()
        there = page.locator(".jp-RuntimeSessions-banner[data-status=CONFIGURATION]")
        expect(there).to_contain_text("The configuration of locations is faulty")
        expect(there.locator("li").first).to_contain_text(re.compile(r"^Line \d+, locations\[0\]\.endpoint: "))
        expect(there.locator("li").last).to_contain_text(f"Mend it in {file}")
        expect(there.get_by_role("button", name="Try again")).to_have_count(0)
        lab.state(NEAR, "ACTIVE")
