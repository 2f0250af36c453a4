"""Resource names: parsed before they are used, made in one place (source: the v1 API's patterns)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class LocationName:
    """``projects/{project}/locations/{location}``; ``-`` as wildcard only where the API allows it."""

    project: str
    location: str

    def __str__(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"


@dataclass(frozen=True, order=True)
class SessionName:
    """``{parent}/sessions/{id}``."""

    parent: LocationName
    id: str

    def __str__(self) -> str:
        return f"{self.parent}/sessions/{self.id}"


@dataclass(frozen=True, order=True)
class TemplateName:
    """``{parent}/sessionTemplates/{id}``."""

    parent: LocationName
    id: str

    def __str__(self) -> str:
        return f"{self.parent}/sessionTemplates/{self.id}"


@dataclass(frozen=True, order=True)
class OperationName:
    """``{parent}/operations/{id}``; ``regions`` stands for ``locations`` on the way in."""

    parent: LocationName
    id: str

    def __str__(self) -> str:
        return f"{self.parent}/operations/{self.id}"


LOCAL = LocationName("local", "local")
"""The default location: the embedded service with the engine ``process``."""
