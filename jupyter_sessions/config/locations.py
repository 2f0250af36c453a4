"""What a configured location is, after every file and trait has been read and judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from jupyter_sessions.model.names import LOCAL, LocationName

DEFAULT_START_TIMEOUT = 600.0
"""Seconds that the start of a kernel behind a gateway may take, unless the location says otherwise."""


class Provider(Enum):
    """Where the truth of a location is."""

    EMBEDDED = "embedded"
    UPSTREAM = "upstream"


class Auth(Enum):
    """How an upstream is convinced."""

    GOOGLE = "google"
    BEARER = "bearer"
    NONE = "none"


@dataclass(frozen=True)
class Bearer:
    """Where a bearer token comes from: exactly one of a file's text, an environment variable, a program's output.

    ``command`` is an argv, run without a shell; its stdout is the token, and it is run again after ``refresh`` seconds
    or when the upstream refuses the token. A file is read again whenever it changed.
    """

    file: Path | None = None
    environment: str = ""
    command: Sequence[str] = ()
    refresh: float = 300.0


@dataclass(frozen=True)
class Limits:
    """Seconds, and sessions live at a time (0: any); None where the location's own default stands."""

    ttl: float | None = None
    max_ttl: float | None = None
    idle_ttl: float | None = None
    max_idle_ttl: float | None = None
    sessions: int | None = None


@dataclass(frozen=True)
class LocationConfig:
    """One location.

    ``endpoint`` is the URL that ``/v1/projects/…`` follows, without a slash at its end. ``gateway`` is the kernel
    gateway's URL in which ``{project}``, ``{projectNumber}`` and ``{location}`` are filled in; empty: the upstream's
    own, if it says that it has one. ``verify`` is True, False or the path of a bundle of certificates; ``proxy`` a URL
    or empty for what the environment says. ``source`` is the file it was read from, for messages.
    """

    name: LocationName
    provider: Provider = Provider.EMBEDDED
    display_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    endpoint: str = ""
    auth: Auth = Auth.NONE
    bearer: Bearer | None = field(default=None, repr=False)
    gateway: str = ""
    project_number: str = ""
    quota_project: str = ""
    limits: Limits = field(default_factory=Limits)
    verify: bool | str = True
    proxy: str = ""
    request_timeout: float = 10.0
    start_timeout: float = DEFAULT_START_TIMEOUT
    source: str = ""


THIS_MACHINE = LocationConfig(LOCAL, display_name="This machine")
"""What there is where nothing is configured."""
