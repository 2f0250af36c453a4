"""Runs ``jupyter sessions`` as a program, as its entry point does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

MAIN = "from jupyter_sessions.cli.main import main; main()"


def command(*words: str) -> list[str]:
    """Give the argv of a command."""
    return [sys.executable, "-c", MAIN, *words]


def run(*words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, its output piped."""
    return subprocess.run(
        command(*words), capture_output=True, text=True, timeout=120, env=None if env is None else dict(env), cwd=cwd
    )
