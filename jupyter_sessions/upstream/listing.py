"""Every session of one location, read page by page: whole, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jupyter_sessions.model.api import ListRequest
from jupyter_sessions.model.errors import Internal, InvalidArgument
from jupyter_sessions.model.names import parse_session
from jupyter_sessions.model.pages import MAX_SIZE
from jupyter_sessions.upstream.known import Known
from jupyter_sessions.upstream.place import Place, RawPage

LONGEST = 1000
"""The most pages of one list."""


@dataclass
class Listed:
    """A whole list: its ``pages`` by the token that each was asked for with, and its sessions by their names.

    What is already in memory stands there as the very same object; a row whose name is no session's of the location is
    left out, and of a name that came twice the later state is kept.
    """

    pages: dict[str, RawPage] = field(default_factory=dict)
    sessions: dict[str, Known] = field(default_factory=dict)


async def read_all(place: Place) -> Listed:
    """Read the whole list, also while the circuit is open.

    Raises what a call raises, and Internal where the list has no end or one of its pages has vanished: half a list
    would end every session that it lacks.
    """
    listed = Listed()
    token = ""
    while True:
        rows, following = await _page(place, token)
        listed.pages[token] = (rows, following)
        _collect(place, rows, listed.sessions)
        if not following:
            return listed
        if following in listed.pages or len(listed.pages) >= LONGEST:
            raise Internal("the upstream's list has no end: a page's token came twice, or there are too many")
        token = following


async def _page(place: Place, token: str) -> RawPage:
    try:
        return await place.calls.list_sessions(ListRequest(MAX_SIZE, token), probe=True)
    except InvalidArgument as error:
        if not token:
            raise
        raise Internal(f"a page of the list vanished while it was read: {error}") from None


def _collect(place: Place, rows: Sequence[Mapping[str, Any]], found: dict[str, Known]) -> None:
    for row in rows:
        name = row.get("name")
        if not isinstance(name, str) or not is_of(place, name):
            continue
        before = place.mirror.get(name)
        known = before if before is not None and before.raw == row else Known(row)
        if name not in found or not known.older_than(found[name]):
            found[name] = known


def is_of(place: Place, name: str) -> bool:
    """Whether a name is one of a session of this location; its project may be spelled by its number."""
    try:
        return parse_session(name).parent.location == place.location.location
    except InvalidArgument:
        return False
