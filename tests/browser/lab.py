"""A JupyterLab page in headless Chromium, driven as a person would: by what it shows, by mouse and keys."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.real.server import TOKEN, RealServer, settings, wait_for

BUILT = Path(__file__).parents[2] / "jupyter_sessions" / "labextension"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
OPTIONS = ("--LabApp.expose_app_in_browser=True",)
"""What the server is started with, so that a test can wait for the restored layout."""
PATIENCE = 45_000
"""How long anything may take to show, in milliseconds."""

# Every state that a row has shown, in order: a state may be over before a test has looked.
RECORDER = """
window.shownStates = {};
new MutationObserver(() => {
  for (const row of document.querySelectorAll('[data-session]')) {
    const id = row.dataset.session.split('/').pop();
    const shown = (window.shownStates[id] ??= []);
    const word = row.querySelector('.jp-RuntimeSessions-word').textContent;
    if (shown[shown.length - 1] !== word) {
      shown.push(word);
    }
  }
}).observe(document, {subtree: true, childList: true, characterData: true});
"""


def prepare(home: Path) -> None:
    """Give a server's directories the built lab half and settings that keep the page's corner free."""
    assert (BUILT / "package.json").exists(), "build the lab half: jlpm install && jlpm build:prod in labextension"
    place = home / "data" / "labextensions" / "jupyter-sessions"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(BUILT)
    # An older copy may be installed in the environment, which Jupyter looks at first.
    first = {"LabApp": {"extra_labextensions_path": [str(place.parent)]}}
    (home / "config").mkdir(exist_ok=True)
    (home / "config" / "jupyter_lab_config.json").write_text(json.dumps(first))
    settings(home, "@jupyterlab/apputils-extension:notification", {"fetchNews": "false", "checkForUpdates": False})


@contextlib.contextmanager
def chromium() -> Iterator[Page]:
    """Run a browser for the length of a test and give its page."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "the browser tests need Chromium on PATH"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.set_default_timeout(PATIENCE)
            page.add_init_script(RECORDER)
            yield page
        finally:
            browser.close()


class Lab:
    """One page of JupyterLab with the sessions panel open."""

    def __init__(self, page: Page, server: RealServer) -> None:
        self.page = page
        self.server = server

    def open(self) -> None:
        """Load the page and show the panel."""
        self.page.goto(f"{self.server.url}/lab?token={TOKEN}")
        self.settle()

    def reload(self) -> None:
        """Load the page anew; not by the notebook's own address, which would bring it to the front at some moment."""
        self.page.goto(f"{self.server.url}/lab")
        self.settle()

    def settle(self) -> None:
        """Wait until the page stands, and show the panel."""
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=PATIENCE)
        # A layout restored late would undo the click.
        self.page.wait_for_function("window.jupyterapp?.restored.then(() => true)")
        panel = self.page.locator("#jupyter-sessions")
        if not panel.is_visible():
            self.page.locator(".jp-SideBar [data-id=jupyter-sessions]").click()
        expect(panel).to_be_visible()

    def row(self, name: str) -> Locator:
        """Give a session's row in the panel."""
        return self.page.locator(f"#jupyter-sessions [data-session$='/{name}']")

    def state(self, name: str, word: str) -> None:
        """Wait until a session's row shows a state's word."""
        expect(self.row(name).locator(".jp-RuntimeSessions-word")).to_have_text(word, timeout=PATIENCE)

    def shown_states(self, name: str) -> list[str]:
        """Give every state that a session's row has shown since the page was loaded."""
        states: list[str] = self.page.evaluate("name => window.shownStates[name] ?? []", name)
        return states

    def toast(self, text: str) -> Locator:
        """Give the notification that says ``text``."""
        return self.page.locator(".Toastify__toast", has_text=text)

    def detail(self) -> Locator:
        """Give the detail that is in front."""
        return self.page.locator(".jp-RuntimeSessions-detail:visible")

    def history(self) -> list[list[str]]:
        """Give the history table of the detail in front: time, state, message and duration of each state."""
        rows = self.detail().locator(".jp-RuntimeSessions-history tbody tr").all()
        return [row.locator("td").all_inner_texts() for row in rows]

    def notebook(self) -> Locator:
        """Give the notebook that is in front, once its kernel is of a session and answers."""
        panel = self.page.locator(".jp-NotebookPanel:visible")
        expect(panel.locator(".jp-Toolbar-kernelName")).to_contain_text(": Python 3", timeout=PATIENCE)
        idle = panel.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        expect(idle).to_be_visible(timeout=PATIENCE)
        return panel

    def run_cell(self, code: str, answer: str) -> re.Match[str]:
        """Run code in the notebook's last cell and wait for output that matches ``answer``."""
        panel = self.notebook()
        panel.locator(".jp-Notebook .jp-Cell .cm-content").last.click()
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")

        def look() -> re.Match[str] | None:
            return re.search(answer, "\n".join(panel.locator(".jp-OutputArea-output").all_inner_texts()))

        return wait_for(look, f"output like {answer}", 45)
