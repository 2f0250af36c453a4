"""Plugins every test may use; assertions of what tests share are explained like any test's."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

pytest.register_assert_rewrite("tests.engines.contract", "tests.engines.bench")
pytest_plugins = ["pytest_jupyter.jupyter_server"]

MakeServer = Callable[..., ServerApp]


@pytest.fixture
def jp_configurable_serverapp(jp_configurable_serverapp: MakeServer) -> Iterator[MakeServer]:
    """Make servers as the plugin does, and close each one's session database in the thread that opened it.

    Else whichever thread collects a server closes it, which sqlite3 refuses with a warning in some later test.
    """
    made: list[ServerApp] = []

    def make(*args: Any, **words: Any) -> ServerApp:
        made.append(jp_configurable_serverapp(*args, **words))
        return made[-1]

    yield make
    for app in made:
        app.session_manager.close()
        app.session_manager.connection.close()
