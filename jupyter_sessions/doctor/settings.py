"""What Jupyter's own config files say of the extension: where sessions are kept, and locations of the trait."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_sessions.doctor.findings import Finding, fault, warn

CHECK = "settings"
FILES = (
    "jupyter_config",
    "jupyter_server_config",
    "jupyter_lab_config",
    "jupyter_notebook_config",
    "jupyter_sessions_serve_config",
)
SECTION = "SessionsExtension"
SERVE_PORT = 8890


@dataclass(frozen=True)
class Settings:
    """What the checks look at; ``only`` names the locations to try, all where it is empty."""

    data_dir: Path
    locations: Sequence[Mapping[str, Any]] = ()
    only: Sequence[str] = ()
    enabled: bool = True
    servers: Mapping[str, Any] | None = None
    """What the files say of ``ServerApp.jpserver_extensions``, None where they say nothing."""
    serve_port: int = SERVE_PORT
    """Where ``jupyter sessions serve`` would listen; 0 is a free port."""


def read_settings(data_dir: Path | None, only: Sequence[str]) -> tuple[Settings, list[Finding]]:
    """Read Jupyter's config files as a server does; the files are programs, and what they print goes to stderr."""
    from jupyter_core.paths import jupyter_data_dir

    config, found = _load()
    section = config.get(SECTION, {})
    where = data_dir or section.get("data_dir") or Path(jupyter_data_dir()) / "jupyter_sessions"
    locations = section.get("locations", [])
    if not isinstance(locations, (list, tuple)):
        found.append(
            fault(CHECK, f"c.{SECTION}.locations", "is no list", remedy="write [{'project': …, 'location': …}]")
        )
        locations = []
    servers = config.get("ServerApp", {}).get("jpserver_extensions")
    enabled = section.get("enabled", True)
    port = config.get("ServeApp", {}).get("port", SERVE_PORT)
    settings = Settings(
        data_dir=Path(str(where)).expanduser(),
        locations=tuple(locations),
        only=tuple(only),
        enabled=enabled if isinstance(enabled, bool) else True,
        servers=dict(servers) if isinstance(servers, Mapping) else None,
        serve_port=port if isinstance(port, int) else SERVE_PORT,
    )
    return settings, found


def _load() -> tuple[Any, list[Finding]]:
    from jupyter_core.application import JupyterApp

    found: list[Finding] = []
    app = JupyterApp(raise_config_file_errors=True)
    # The plain one is read by every Jupyter program, so once with the first of the others.
    for name in FILES[1:]:
        app.config_file_name = name
        try:
            with contextlib.redirect_stdout(sys.stderr):
                app.load_config_file(suppress_errors=False)
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__} while it was read"
            found.append(warn(CHECK, name, "a Jupyter config file cannot be used", why, "start the server to see why"))
    return app.config, found
