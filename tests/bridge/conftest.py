"""One server for the tests of a module; each has sessions and templates of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.server import RealServer, real_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("server")) as running:
        yield running
