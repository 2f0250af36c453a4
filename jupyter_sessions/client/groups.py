"""Templates, operations and locations of a server: a client's attributes of these names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jupyter_sessions.client.calls import Calls
from jupyter_sessions.client.listing import Listing
from jupyter_sessions.model import wire
from jupyter_sessions.model.api import ListRequest, Location
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument
from jupyter_sessions.model.names import LocationName, OperationName, TemplateName, parse_operation, parse_template
from jupyter_sessions.model.resources import Operation, SessionTemplate

Place = Callable[["str | LocationName | None"], LocationName]
"""Gives the location that a text means; None is the client's own."""


class Templates:
    """The session templates. A name is a bare id in the client's location, or ``projects/…/sessionTemplates/ID``."""

    def __init__(self, calls: Calls, place: Place) -> None:
        self._calls = calls
        self._place = place

    def name(self, text: str) -> TemplateName:
        """Give the full name that a text means; raises InvalidArgument."""
        return parse_template(text, parent=None if "/" in text else self._place(None))

    def create(self, name: str, template: SessionTemplate | Mapping[str, Any] | None = None) -> SessionTemplate:
        """Store a template; raises AlreadyExists, and InvalidArgument with every faulty field."""
        full = self.name(name)
        made = self._read(template, full).model_copy(update={"name": str(full)})
        return self._calls.create_template(full.parent, made)

    def get(self, name: str) -> SessionTemplate:
        """Give one template."""
        return self._calls.get_template(self.name(name))

    def list(
        self, *, filter: str = "", location: str | LocationName | None = None, page_size: int = 0
    ) -> Listing[SessionTemplate]:
        """List templates, newest first; ``filter`` is AIP-160, ``location`` may be ``-`` for all."""
        parent = self._place(location)
        return Listing(lambda token: self._calls.list_templates(parent, ListRequest(page_size, token, filter)))

    def update(
        self, name: str, template: SessionTemplate | Mapping[str, Any], update_mask: Sequence[str] | None = None
    ) -> SessionTemplate:
        """Change a template: the fields of ``update_mask``, without it every field."""
        full = self.name(name)
        return self._calls.update_template(full, self._read(template, full), update_mask)

    def delete(self, name: str) -> None:
        """Remove a template; sessions made from it stay."""
        self._calls.delete_template(self.name(name))

    def _read(self, given: SessionTemplate | Mapping[str, Any] | None, name: TemplateName) -> SessionTemplate:
        if isinstance(given, SessionTemplate):
            return given
        return wire.parse(SessionTemplate, dict(given or {}), parent=name.parent)


class Operations:
    """The operations. A name is a bare id in the client's location, or ``projects/…/operations/ID``."""

    def __init__(self, calls: Calls, place: Place) -> None:
        self._calls = calls
        self._place = place

    def name(self, text: str) -> OperationName:
        """Give the full name that a text means; raises InvalidArgument."""
        return parse_operation(text if "/" in text else f"{self._place(None)}/operations/{text}")

    def get(self, name: str) -> Operation:
        """Give one operation."""
        return self._calls.get_operation(self.name(name))

    def list(
        self,
        *,
        filter: str = "",
        location: str | LocationName | None = None,
        page_size: int = 0,
        partial: bool = False,
    ) -> Listing[Operation]:
        """List operations, newest first; over several locations ``partial`` leaves out those that do not answer."""
        parent = self._place(location)
        return Listing(
            lambda token: self._calls.list_operations(parent, ListRequest(page_size, token, filter), partial)
        )

    def cancel(self, name: str) -> None:
        """Cancel a running create, which ends its session; changes nothing for another kind or a finished one."""
        self._calls.cancel_operation(self.name(name))

    def delete(self, name: str) -> None:
        """Forget an operation, not its work."""
        self._calls.delete_operation(self.name(name))


class Locations:
    """The configured locations."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, project: str = "-") -> Sequence[Location]:
        """Give the locations of a project, of all with ``-``."""
        return self._calls.list_locations(project)

    def get(self, location: str) -> Location:
        """Give one location by its full name, or by its last part where only one has it."""
        return find_location(location, self.list)

    def __iter__(self) -> Iterator[Location]:
        return iter(self.list())


def find_location(text: str, known: Callable[[], Sequence[Location]]) -> Location:
    """Give the location that a text means: ``projects/P/locations/L``, ``P/L``, or ``L`` where only one is called so.

    Raises InvalidArgument that lists what there is.
    """
    there = known()
    wanted = text.strip("/")
    found = [
        one
        for one in there
        if wanted in (str(one.name), f"{one.name.project}/{one.name.location}", one.name.location, one.display_name)
    ]
    exact = [one for one in found if str(one.name) == wanted] or found
    if len(exact) == 1:
        return exact[0]
    names = ", ".join(str(one.name) for one in there) or "none"
    rule = "is the name of several locations" if exact else "is no configured location"
    raise InvalidArgument([FieldViolation("location", f"{text!r} {rule}; there are: {names}")])
