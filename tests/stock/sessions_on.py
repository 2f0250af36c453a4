"""A pytest plugin that turns the extension on in another project's tests of Jupyter Server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def sessions_on(request: pytest.FixtureRequest) -> None:
    """Enable the extension in each test's own configuration."""
    request.getfixturevalue("jp_environ")
    folder = Path(request.getfixturevalue("jp_env_config_path")) / "jupyter_server_config.d"
    folder.mkdir(parents=True, exist_ok=True)
    enabled = {"ServerApp": {"jpserver_extensions": {"jupyter_sessions": True}}}
    (folder / "jupyter_sessions.json").write_text(json.dumps(enabled))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Fail a test whose server ran without the extension."""
    server = getattr(item, "funcargs", {}).get("jp_serverapp")
    if server is not None:
        loaded = server.extension_manager.extension_apps.get("jupyter_sessions")
        assert loaded, "the server of this test runs without jupyter_sessions"
