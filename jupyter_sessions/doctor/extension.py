"""Checks that a Jupyter server loads the extension, and that JupyterLab finds the panel."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_sessions import __version__
from jupyter_sessions.doctor.findings import Finding, fault, warn, well
from jupyter_sessions.doctor.settings import Settings

SERVER, LAB = "server extension", "lab extension"
PACKAGE, LABEXTENSION = "jupyter_sessions", "jupyter-sessions"


def check_server(settings: Settings) -> list[Finding]:
    """Say whether a server started now would load the extension."""
    from jupyter_core.paths import jupyter_config_path
    from jupyter_server.extension.config import ExtensionConfigManager

    remedy = f"jupyter server extension enable {PACKAGE}"
    try:
        manager: Any = ExtensionConfigManager(read_config_path=jupyter_config_path())
        listed: Mapping[str, object] = manager.get_jpserver_extensions()
    except (OSError, ValueError) as error:
        return [fault(SERVER, "", "the list of extensions cannot be read", str(error), "mend the file that is named")]
    state = {**listed, **(settings.servers or {})}.get(PACKAGE)
    if state is None:
        return [fault(SERVER, "", "is not enabled", "no config file of this environment names it", remedy)]
    if not state:
        return [fault(SERVER, "", "is disabled", "a config file says so", remedy)]
    if not settings.enabled:
        return [warn(SERVER, "", "is switched off", "SessionsExtension.enabled is False", "set it to True")]
    return [well(SERVER, "", f"is enabled, version {__version__}")]


def check_lab(labextensions: Sequence[str] | None = None) -> list[Finding]:
    """Say whether JupyterLab would show the panel, and one of this version."""
    from jupyter_core.paths import jupyter_path

    places = labextensions if labextensions is not None else jupyter_path("labextensions")
    path = next((p for d in places if (p := Path(d) / LABEXTENSION / "package.json").is_file()), None)
    if path is None:
        why = f"there is no {LABEXTENSION} in {', '.join(places)}"
        return [
            fault(
                LAB, "", "is not installed", why, "install jupyter_sessions from a wheel: pip install jupyter_sessions"
            )
        ]
    return [*_version(path), *_disabled(list(places))]


def _version(path: Path) -> Iterator[Finding]:
    try:
        version = str(json.loads(path.read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        yield fault(LAB, str(path), "cannot be read", "", "install jupyter_sessions again")
        return
    if version != __version__:
        why = f"the panel has version {version}, the server half {__version__}"
        yield warn(LAB, str(path), "is of another version", why, "install jupyter_sessions again and reload the page")
    else:
        yield well(LAB, str(path.parent), f"is installed, version {version}")


def _disabled(places: list[str]) -> Iterator[Finding]:
    from jupyterlab_server.config import get_page_config

    try:
        # What is listed is disabled, be it a list or (with what enables it again) a mapping.
        listed: Any = get_page_config(places).get("disabledExtensions", [])
    except (OSError, ValueError, KeyError):
        return
    names = [name for name in listed if not isinstance(listed, Mapping) or listed[name]]
    for name in sorted(map(str, names)):
        if name.partition(":")[0] == LABEXTENSION:
            yield fault(LAB, name, "is disabled", "JupyterLab's settings say so", f"jupyter labextension enable {name}")
