"""From a parsed resource name to the path of a request: never from text that a browser or an upstream sent."""

from __future__ import annotations

from urllib.parse import quote

from jupyter_sessions.model.names import LocationName, OperationName, SessionName, TemplateName


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


def operation_path(name: OperationName, kind: str = "locations") -> str:
    """Give the path of an operation."""
    return f"{location_path(name.parent, kind)}/operations/{part(name.id)}"
