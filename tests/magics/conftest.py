"""One server for each module of these tests, and a local kernel where a test asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.magics.local import LocalKernel, local_kernel
from tests.real.server import RealServer, real_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Run a server for the tests of a module; each names its own sessions."""
    with real_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def kernel(server: RealServer, tmp_path: Path) -> Iterator[LocalKernel]:
    """Run a local kernel with the magics."""
    with local_kernel(server, tmp_path) as running:
        yield running
