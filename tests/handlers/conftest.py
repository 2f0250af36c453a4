"""The server that the handlers' tests speak to."""

from __future__ import annotations

import pytest
from traitlets.config import Config

from tests.handlers.serving import config


@pytest.fixture
def jp_server_config() -> Config:
    """Give the configuration of a server with the extension on and its kernels off."""
    return config()
