"""``jupyter server`` whose sessions are run by the crowd's engine: ``python -m tests.benchmarks.crowded_server``.

The engine is put in when the service loads, after the server listens, so that a start is as long as ever.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any
from unittest import mock

from jupyter_server.serverapp import main

WIRING = "jupyter_sessions.wiring"
_import_module = importlib.import_module


def import_module(name: str, package: str | None = None) -> Any:
    """Import as importlib does; the wiring comes with another engine."""
    module: Any = _import_module(name, package)
    if name == WIRING:
        module.ProcessEngine = _import_module("tests.benchmarks.crowd").CrowdEngine
    return module


if __name__ == "__main__":
    with mock.patch.object(importlib, "import_module", import_module):
        sys.exit(main())
