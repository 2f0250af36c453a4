"""The modules that Jupyter Server loads at its start stay light."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("pydantic", "lark", "requests", "tornado", "traitlets")
LIGHT = ("api", "names", "errors", "states", "hostfile")


def loaded(*modules: str) -> set[str]:
    """Give the top-level packages that a fresh interpreter has after importing some modules."""
    lines = "".join(f"import {module}\n" for module in modules)
    program = f"import sys\n{lines}print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(run.stdout.split())


def test_what_the_server_loads_at_start_is_light() -> None:
    assert not loaded(*(f"jupyter_sessions.model.{name}" for name in LIGHT)) & set(HEAVY)


def test_the_host_file_needs_the_standard_library_only() -> None:
    standard = set(sys.stdlib_module_names) | {"jupyter_sessions", "__main__", "sitecustomize", "usercustomize"}
    brought = loaded("jupyter_sessions.model.hostfile") - loaded("json")
    assert {name for name in brought if not name.startswith("_")} <= standard


@pytest.mark.parametrize("name", ["resources", "wire", "merge", "operations", "pages", "filter"])
def test_lark_is_loaded_by_the_first_filter_only(name: str) -> None:
    assert "lark" not in loaded(f"jupyter_sessions.model.{name}")
