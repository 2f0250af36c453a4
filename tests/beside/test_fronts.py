"""The installed lab half in the front ends that this environment has: JupyterLab and, where it is there, Notebook 7."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator

import pytest

from tests.real.server import TOKEN, RealServer, real_server, settings

if os.environ.get("BESIDE") not in ("lowest", "hub"):
    pytest.skip("this environment does not have both front ends", allow_module_level=True)
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PATIENCE = 60_000
"""How long anything may take to show, in milliseconds."""
OURS = "jupyter-sessions"
"""What every address of ours and every id of a plugin of ours holds."""

ACTIVE = """
async () => {
  await window.jupyterapp.restored;
  const ours = window.jupyterapp.listPlugins().filter(id => id.startsWith("jupyter-sessions:"));
  return ours.length > 0 && ours.every(id => window.jupyterapp.isPluginActivated(id));
}
"""
NAME = "front"
TITLE = "Front work"


@pytest.fixture(scope="module", params=["lab", "notebook"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One front end's server with an ACTIVE session."""
    home = tmp_path_factory.mktemp(request.param)
    settings(home, "@jupyterlab/apputils-extension:notification", {"fetchNews": "false", "checkForUpdates": False})
    expose = {"lab": "LabApp", "notebook": "JupyterNotebookApp"}[request.param]
    with real_server(home, request.param, (f"--{expose}.expose_app_in_browser=True",)) as started:
        started.create(NAME, jupyterSession={"displayName": TITLE})
        yield started


class Watched:
    """A page and what went wrong on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.context.on("weberror", lambda raised: self._note(raised.error.stack or ""))
        page.context.on("console", self._on_console)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(f"{message.text} {message.location['url']}")

    def _note(self, text: str) -> None:
        # Notebook 7.4 leaves a promise of its own unhandled whenever a notebook is made, with us or without.
        if OURS in text or "activate" in text:
            self.wrong.append(text)


@pytest.fixture
def watched(server: RealServer) -> Iterator[Watched]:
    """A browser's page on no address yet."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "the browser tests need Chromium on PATH"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.set_default_timeout(PATIENCE)
            yield Watched(page)
        finally:
            browser.close()


def test_the_front_end_shows_the_session_and_runs_its_kernel(server: RealServer, watched: Watched) -> None:
    """Our plugins are active, the session is seen, and a notebook on its kernel runs a cell; nothing breaks."""
    page = watched.page
    if server.app == "lab":
        in_lab(page, server)
    else:
        in_notebook(page, server)
    assert watched.wrong == []


def in_lab(page: Page, server: RealServer) -> None:
    """The panel shows the session and JupyterLab's own launcher makes a notebook on it."""
    page.goto(f"{server.url}/lab?token={TOKEN}")
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)
    active(page)
    page.locator(".jp-SideBar [data-id=jupyter-sessions]").click()
    row = page.locator(f"#jupyter-sessions [data-session$='/{NAME}']")
    expect(row).to_contain_text(TITLE)
    expect(row).to_contain_text("ACTIVE")
    page.locator(".jp-LauncherCard[data-category=Notebook]", has_text=TITLE).click()
    run(page)


def in_notebook(page: Page, server: RealServer) -> None:
    """The file browser's menu of new notebooks offers the session's kernel, and a notebook on it runs."""
    page.goto(f"{server.url}/tree?token={TOKEN}")
    active(page)
    page.locator("[data-jp-item-name=new-dropdown], .jp-DropdownMenu", has_text="New").first.click()
    with page.expect_popup() as opened:
        page.locator(".lm-Menu-itemLabel", has_text=f"{TITLE}: ").click()
    active(opened.value)
    run(opened.value)


def active(page: Page) -> None:
    """Wait until the page stands, and check that every plugin of ours is active on it."""
    page.wait_for_function("window.jupyterapp")
    assert page.evaluate(ACTIVE)


def run(page: Page) -> None:
    """Run a cell in the notebook in front, which must be on the session's kernel."""
    panel = page.locator(".jp-NotebookPanel:visible")
    expect(panel.locator(".jp-Toolbar-kernelName")).to_contain_text(TITLE, timeout=PATIENCE)
    expect(panel.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible(timeout=PATIENCE)
    panel.locator(".jp-Notebook .jp-Cell .cm-content").last.click()
    page.keyboard.insert_text("import os; print('mark', os.environ['JUPYTER_SESSIONS_MARK'].count('/'))")
    page.keyboard.press("Shift+Enter")
    expect(panel.locator(".jp-OutputArea-output").first).to_contain_text("mark 2", timeout=PATIENCE)


def test_the_environment_has_both_front_ends() -> None:
    """A run that silently lacked one would prove nothing."""
    assert importlib.util.find_spec("jupyterlab") is not None
    assert importlib.util.find_spec("notebook") is not None
