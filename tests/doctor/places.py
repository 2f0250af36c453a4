"""A home of Jupyter's own for one test: its configuration, its data, and the doctor run on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_sessions.doctor.findings import Finding


@dataclass(frozen=True)
class Home:
    """Jupyter's directories below ``root``; ``environ`` adds to the environment."""

    root: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def data_dir(self) -> Path:
        """Where sessions are kept."""
        return self.root / "data" / "jupyter_sessions"

    def environment(self) -> dict[str, str]:
        """Give the environment a program is started in, whose output goes to a pipe: no terminal has said its width."""
        places = {f"JUPYTER_{name.upper()}_DIR": str(self.root / name) for name in ("data", "config", "runtime")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "COLUMNS"))}
        return {**kept, **places, "HOME": str(self.root), **self.environ}

    def configure(self, text: str) -> Path:
        """Write the user's locations."""
        path = self.root / "config" / "jupyter_sessions" / "locations.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def doctor(self, *options: str) -> tuple[int, dict[str, Any], str]:
        """Run the doctor; give its exit code, its report and what it said on stderr."""
        argv = [sys.executable, "-m", "jupyter_sessions.doctor", "--json", *options]
        done = subprocess.run(argv, capture_output=True, text=True, env=self.environment(), timeout=120, cwd=self.root)
        assert done.returncode in (0, 1), done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, report, done.stderr


def levels(found: list[Finding]) -> dict[str, str]:
    """Give the level of each check."""
    return {row.check: row.level.value for row in found}


def bad(found: list[Finding]) -> Finding:
    """Give the one finding that is no good."""
    (one,) = [row for row in found if row.level.value != "ok"]
    return one
