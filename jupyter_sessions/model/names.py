"""Resource names: parsed before they are used, made in one place (source: the v1 API's patterns).

What parsing guarantees:

- every part is non-empty, at most 253 characters and holds neither ``/`` nor white space nor control characters;
- a session's id fits ``[a-z][a-z0-9-]{2,61}[a-z0-9]``, a template's ``[a-z]([a-z0-9-]{0,61}[a-z0-9])?``;
- ``-``, the wildcard, stands only for the location of a list, or for its project and location;
- what is wrong is an InvalidArgument that names the field, the rule and what was given.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from jupyter_sessions.model.errors import FieldViolation, InvalidArgument

WILDCARD = "-"


@dataclass(frozen=True, order=True)
class LocationName:
    """``projects/{project}/locations/{location}``; ``-`` as wildcard only where the API allows it."""

    project: str
    location: str

    def __str__(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"

    @property
    def wild(self) -> bool:
        """Whether this stands for several locations."""
        return self.location == WILDCARD

    def covers(self, other: LocationName) -> bool:
        """Whether ``other`` is this location or one that this wildcard stands for."""
        return self.project in (WILDCARD, other.project) and self.location in (WILDCARD, other.location)


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

_PART = r"[^/\s\x00-\x1f\x7f]{1,253}"
_LOCATION = re.compile(rf"projects/({_PART})/locations/({_PART})")
_SESSION = re.compile(rf"projects/({_PART})/locations/({_PART})/sessions/({_PART})")
_TEMPLATE = re.compile(rf"projects/({_PART})/locations/({_PART})/sessionTemplates/({_PART})")
_OPERATION = re.compile(rf"projects/({_PART})/(?:locations|regions)/({_PART})/operations/({_PART})")
_SESSION_ID = re.compile(r"[a-z][a-z0-9-]{2,61}[a-z0-9]")
_TEMPLATE_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX = re.compile(r"https://[^/\s]+/v1/")
_SHOWN = 80


def _refuse(field: str, text: str, rule: str) -> InvalidArgument:
    given = repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
    return InvalidArgument([FieldViolation(field, f"must be {rule}, not {given}")])


def _match(pattern: re.Pattern[str], text: str, field: str, rule: str) -> tuple[str, ...]:
    found = pattern.fullmatch(text)
    if found is None:
        raise _refuse(field, text, rule)
    if WILDCARD in found.groups():
        raise _refuse(field, text, f"{rule} without the wildcard '-'")
    return found.groups()


def parse_location(text: str, field: str = "parent", *, wildcard: bool = False) -> LocationName:
    """Parse ``projects/{project}/locations/{location}``.

    ``wildcard`` (lists only) also takes ``projects/-/locations/-`` and ``projects/{project}/locations/-``.
    Raises InvalidArgument that names ``field``.
    """
    rule = "projects/{project}/locations/{location}"
    found = _LOCATION.fullmatch(text)
    if found is not None and wildcard and found[2] == WILDCARD:
        return LocationName(found[1], found[2])
    return LocationName(*_match(_LOCATION, text, field, rule))


def parse_session(text: str, field: str = "name") -> SessionName:
    """Parse a session's full name; raises InvalidArgument that names ``field``."""
    rule = "projects/{project}/locations/{location}/sessions/{id}"
    project, location, session_id = _match(_SESSION, text, field, rule)
    return SessionName(LocationName(project, location), check_session_id(session_id, field))


def parse_template(text: str, field: str = "name", parent: LocationName | None = None) -> TemplateName:
    """Parse a template's full name, cutting off a leading ``https://…/v1/``.

    With ``parent`` a bare id is taken too, and a full name must lie in ``parent``. Raises InvalidArgument that names
    ``field``.
    """
    path = _PREFIX.sub("", text, count=1) if _PREFIX.match(text) else text
    if parent is not None and "/" not in path:
        return TemplateName(parent, check_template_id(path, field))
    rule = "projects/{project}/locations/{location}/sessionTemplates/{id}" + (" or a bare id" if parent else "")
    project, location, template_id = _match(_TEMPLATE, path, field, rule)
    if parent is not None and LocationName(project, location) != parent:
        raise _refuse(field, text, f"in the project and location of its parent, {parent}")
    return TemplateName(LocationName(project, location), check_template_id(template_id, field))


def parse_operation(text: str, field: str = "name") -> OperationName:
    """Parse an operation's full name, with ``locations`` or ``regions``; raises InvalidArgument naming ``field``."""
    rule = "projects/{project}/locations/{location}/operations/{id}"
    project, location, operation_id = _match(_OPERATION, text, field, rule)
    return OperationName(LocationName(project, location), operation_id)


def check_session_id(text: str, field: str = "sessionId") -> str:
    """Give ``text`` if it may be a session's id, else raise InvalidArgument that names ``field``."""
    if _SESSION_ID.fullmatch(text) is None:
        rule = "4 to 63 of a-z, 0-9 and '-', beginning with a letter and ending with a letter or digit"
        raise _refuse(field, text, f"an id of {rule}")
    return text


def check_template_id(text: str, field: str = "name") -> str:
    """Give ``text`` if it may be a template's id, else raise InvalidArgument that names ``field``."""
    if _TEMPLATE_ID.fullmatch(text) is None:
        rule = "1 to 63 of a-z, 0-9 and '-', beginning with a letter and ending with a letter or digit"
        raise _refuse(field, text, f"an id of {rule}")
    return text


_ADJECTIVES = (
    "able amber apt bold brave bright brisk calm civil clear cool cosy crisp deft eager early fair fast fine fleet "
    "fond fresh gentle glad golden grand green happy hardy keen kind late light lively lucid lucky mellow merry mild "
    "neat nimble noble novel open patient placid plain polite prime proud pure quick quiet rapid ready sharp silent "
    "silver smooth snowy solid spry stable steady still sturdy sunny swift tall tidy true vast vivid "
    "warm wise witty young"
).split()
_NOUNS = (
    "acorn alder anchor apple aspen badger bay beacon beech birch bison breeze brook canyon cedar cliff cloud clover "
    "comet coral cove crane creek dawn delta dune eagle ember falcon fern field finch fjord forest fox garden glade "
    "grove harbor hawk hazel heron hill island ivy juniper lake lark laurel lily linden lynx maple marsh meadow moon "
    "moss oak ocean olive orchid otter owl pebble pine plum pond poplar prairie rain raven reef ridge river robin "
    "rowan sage seal shore sky sparrow spring spruce star stone stream summit swan thistle tide trail valley wave "
    "willow wind wren"
).split()


def new_session_id() -> str:
    """Make a readable id, ``{adjective}-{noun}-{4 digits}``: one of 70 million; the store refuses a second use."""
    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}-{secrets.randbelow(10_000):04}"
