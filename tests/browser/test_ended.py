"""A notebook whose session ends elsewhere: the page says so at once and helps to another kernel; nothing hangs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.lab import OPTIONS, PATIENCE, Lab, chromium, prepare
from tests.real.server import PARENT, real_server

NAME = "my-work"
AT_ONCE = 8_000
"""Less than the 10 s after which Lab looks by itself, in milliseconds."""


@pytest.mark.skipif(os.name != "posix", reason="the process engine needs a POSIX system")
def test_a_notebook_whose_session_ended_has_no_kernel_and_asks_for_one(tmp_path: Path) -> None:
    prepare(tmp_path)
    with real_server(tmp_path, "lab", OPTIONS) as server, chromium() as page:
        lab = Lab(page, server)
        server.create(NAME)
        lab.open()
        lab.state(NAME, "ACTIVE")
        lab.row(NAME).focus()
        page.keyboard.press("n")
        lab.run_cell("print('it', 'runs')", "it runs")
        # By whom it is ended makes no difference to the page: here it is not the page.
        server.call("POST", f"{PARENT}/sessions/{NAME}:terminate")
        lab.state(NAME, "TERMINATED")
        notebook = page.locator(".jp-NotebookPanel:visible")
        expect(notebook.locator(".jp-Toolbar-kernelName")).to_have_text("No Kernel", timeout=AT_ONCE)
        notebook.locator(".jp-Notebook .jp-Cell .cm-content").last.click()
        page.keyboard.insert_text("print('again', 'here')")
        page.keyboard.press("Shift+Enter")
        dialog = page.locator(".jp-Dialog")
        expect(dialog).to_contain_text("Select Kernel", timeout=PATIENCE)
        dialog.get_by_role("button", name="No Kernel").click()
        expect(dialog).to_have_count(0)
        lab.toast("Without a kernel now: Untitled.ipynb").get_by_role("button", name="Choose kernel…").click()
        expect(dialog).to_contain_text("Select Kernel", timeout=PATIENCE)
        dialog.locator("select").select_option(label="Python 3 (ipykernel)")
        dialog.locator("button.jp-mod-accept").click()
        expect(notebook.locator(".jp-Toolbar-kernelName")).to_have_text("Python 3 (ipykernel)", timeout=PATIENCE)
        idle = notebook.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        expect(idle).to_be_visible(timeout=PATIENCE)
        notebook.locator(".jp-Notebook .jp-Cell .cm-content").last.click()
        page.keyboard.insert_text("\nprint('another', 'kernel')")
        page.keyboard.press("Shift+Enter")
        expect(notebook).to_contain_text("another kernel", timeout=PATIENCE)
