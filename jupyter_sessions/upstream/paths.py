"""How an upstream spells the names of its operations."""

from __future__ import annotations

from collections import OrderedDict

from jupyter_sessions.model.names import LocationName, OperationName
from jupyter_sessions.model.paths import location_path, operation_path

REMEMBERED = 10_000
"""How many operations are remembered by the spelling of their names."""


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
        return operation_path(name, self._seen.get(name.id, self.usual))

    def all(self, parent: LocationName) -> str:
        """Give the path of a location's list of operations."""
        return f"{location_path(parent, self.usual)}/operations"
