"""The form of a new session against the real service's rules."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.lab import OPTIONS, PATIENCE, Lab, chromium, prepare
from tests.real.server import real_server


def test_every_fault_stands_beside_its_field_and_a_mended_form_is_accepted(tmp_path: Path) -> None:
    prepare(tmp_path)
    with real_server(tmp_path, "lab", OPTIONS) as server, chromium() as page:
        lab = Lab(page, server)
        lab.open()
        page.locator("#jupyter-sessions").get_by_role("button", name="New session").last.click()
        page.locator("input[name=id]").fill("Not An Id")
        page.locator("input[name=ttl]").fill("5 min")
        page.locator("input[name=idleTtl]").fill("soon")
        for group, key in (("labels", "Env"), ("properties", "spark.cores")):
            legend = group.capitalize()
            page.locator(".jp-RuntimeSessions-rows", has_text=legend).get_by_role("button", name="Add").click()
            page.locator(f"input[name='{group}.0.key']").fill(key)
            page.locator(f"input[name='{group}.0.value']").fill("1")
        page.keyboard.press("Enter")
        for field in ("id", "ttl", "idleTtl"):
            place = page.locator(".jp-RuntimeSessions-field", has=page.locator(f"input[name={field}]"))
            expect(place.get_by_role("alert")).to_have_text(re.compile(r"\w+"), timeout=PATIENCE)
        expect(page.locator("input[name='labels.0.key']")).to_have_attribute("aria-invalid", "true")
        assert server.call("GET", "projects/local/locations/local/sessions")["sessions"] == []

        page.locator("input[name=id]").fill("mended")
        page.locator("input[name=ttl]").fill("2 h")
        page.locator("input[name=idleTtl]").fill("1.1 h")
        page.locator("input[name='labels.0.key']").fill("env")
        page.keyboard.press("Enter")
        # What the location itself cannot honour.
        refused = page.locator("input[name='properties.0.key']")
        expect(refused).to_have_attribute("aria-invalid", "true", timeout=PATIENCE)
        expect(page.locator("input[name='labels.0.key']")).to_have_attribute("aria-invalid", "false")
        page.get_by_role("button", name="Remove row 1").last.click()
        page.locator(".jp-Dialog").get_by_role("button", name="Create").click()
        lab.state("mended", "ACTIVE")
        limits = server.session("mended")["environmentConfig"]["executionConfig"]
        assert (limits["ttl"], limits["idleTtl"]) == ("7200s", "3960s")
        assert server.session("mended")["labels"] == {"env": "1"}


def test_the_focus_stays_in_the_panel_as_rows_go(tmp_path: Path) -> None:
    prepare(tmp_path)
    with real_server(tmp_path, "lab", OPTIONS) as server, chromium() as page:
        lab = Lab(page, server)
        lab.open()
        # Lab gives its launcher the focus some time after the start.
        expect(page.locator(".jp-Launcher")).to_be_visible()
        server.create("only-one")
        lab.state("only-one", "ACTIVE")
        row = lab.row("only-one")
        row.focus()
        page.keyboard.press("Delete")
        # Enter alone loses nothing.
        expect(page.locator(".jp-Dialog").get_by_role("button", name="Cancel")).to_be_focused()
        page.locator(".jp-Dialog").get_by_role("button", name="Terminate").click()
        lab.state("only-one", "TERMINATED")
        expect(row).to_be_focused()
        page.keyboard.press("Delete")
        page.locator(".jp-Dialog").get_by_role("button", name="Delete").click()
        expect(row).to_have_count(0, timeout=PATIENCE)
        expect(page.locator(".jp-RuntimeSessions-empty").get_by_role("button").first).to_be_focused()
