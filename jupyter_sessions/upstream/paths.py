"""From a parsed resource name to the path of a request: never from text that a browser or an upstream sent."""

from __future__ import annotations

from collections import OrderedDict
from urllib.parse import quote

from jupyter_sessions.model.names import LocationName, OperationName, SessionName, TemplateName

REMEMBERED = 10_000
"""How many operations are remembered by the spelling of their names."""


def part(text: str) -> str:
    """Give one part of a name as it stands in a URL (a domain's project has a ``:``)."""
    return quote(text, safe=":")


def location_path(name: LocationName, kind: str = "locations") -> str:
    """Give the path of a location."""
    return f"projects/{part(name.project)}/{kind}/{part(name.location)}"


def session_path(name: SessionName) -> str:
    """Give the path of a session."""
    return f"{location_path(name.parent)}/sessions/{part(name.id)}"


def template_path(name: TemplateName) -> str:
    """Give the path of a template."""
    return f"{location_path(name.parent)}/sessionTemplates/{part(name.id)}"


class OperationPaths:
    """The paths of operations: an upstream's names say ``regions`` or ``locations``, and are handed on as they are.

    ``usual`` is what is used for an operation whose name no answer has shown yet, and for their list.
    """

    def __init__(self, usual: str) -> None:
        self.usual = usual
        self._seen: OrderedDict[str, str] = OrderedDict()

    def saw(self, name: str) -> None:
        """Remember how an answer spelled an operation's name."""
        parts = name.split("/")
        if len(parts) == 6 and parts[2] in ("locations", "regions"):
            self._seen[parts[5]] = parts[2]
            self._seen.move_to_end(parts[5])
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)

    def of(self, name: OperationName) -> str:
        """Give the path of one operation."""
        return f"{location_path(name.parent, self._seen.get(name.id, self.usual))}/operations/{part(name.id)}"

    def all(self, parent: LocationName) -> str:
        """Give the path of a location's list of operations."""
        return f"{location_path(parent, self.usual)}/operations"
