"""Where configuration files lie: the administrator's folders, then the user's."""

from __future__ import annotations

import os
import site
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyter_core import paths

FOLDER = "jupyter_sessions"
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Folder:
    """One folder of configuration files, each read in the order of their names.

    ``system``: the administrator's, whose files may lock what they name.
    """

    path: Path
    system: bool

    def files(self) -> list[Path]:
        """Give its files in the order in which they are read; raises OSError unless there is no such folder."""
        try:
            found = [entry for entry in os.scandir(self.path) if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(Path(entry.path) for entry in found if entry.name.endswith(SUFFIXES))


def folders() -> list[Folder]:
    """Give every folder that is looked into, the weakest first: a later one wins."""
    found: dict[Path, Folder] = {}
    for system, directory in [*((True, d) for d in _system()), *((False, d) for d in _user())]:
        path = Path(directory) / FOLDER
        found.setdefault(path, Folder(path, system))
    return list(found.values())


def own_folder() -> Path:
    """Give the folder for the user's own files."""
    return Path(paths.jupyter_config_dir()) / FOLDER


def _system() -> Iterator[str]:
    # Jupyter names the strongest first.
    yield from reversed(paths.SYSTEM_CONFIG_PATH)
    yield from reversed(paths.ENV_CONFIG_PATH)


def _user() -> Iterator[str]:
    if not os.environ.get("JUPYTER_NO_CONFIG"):
        if site.ENABLE_USER_SITE:
            yield str(Path(site.getuserbase(), "etc", "jupyter"))
        yield from reversed([part for part in os.environ.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep) if part])
    yield paths.jupyter_config_dir()
