"""Folders of configuration files, as an administrator and a user have them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from jupyter_sessions.config.folders import Folder
from jupyter_sessions.config.locations import LocationConfig
from jupyter_sessions.config.reading import Configured, survey


@dataclass(frozen=True)
class Files:
    """Three folders, the weakest first: the system's, the environment's and the user's."""

    root: Path

    @property
    def folders(self) -> list[Folder]:
        """Give the folders as they are read."""
        return [Folder(self.root / name, name != "user") for name in ("system", "environment", "user")]

    def write(self, where: str, text: str, name: str = "locations.yaml") -> Path:
        """Write one file of a folder, its text freed of its indentation."""
        path = self.root / where / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text))
        return path

    def read(self, *traits: dict[str, object]) -> Configured:
        """Read all, faults beside what is good."""
        return survey(traits, self.folders)


def entry(text: str) -> str:
    """Give a file with one location of these lines."""
    lines = dedent(text).strip().splitlines()
    return "locations:\n" + "".join(f"  {'- ' if number == 0 else '  '}{line}\n" for number, line in enumerate(lines))


def names(read: Configured) -> list[str]:
    """Give the names of the locations, without ``projects/`` and ``locations/``."""
    return [f"{config.name.project}/{config.name.location}" for config in read.locations]


def only(read: Configured) -> LocationConfig:
    """Give the one location that is not this machine; there are no faults."""
    assert read.faults == ()
    (found,) = [config for config in read.locations if config.name.project != "local"]
    return found


def told(read: Configured) -> set[tuple[int, str]]:
    """Give line and field of each fault."""
    return {(fault.line, fault.field) for fault in read.faults}
