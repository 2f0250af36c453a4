"""What the parts of one location's proxy share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from jupyter_sessions.model.api import Change, Reset
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.storage.listeners import Listeners
from jupyter_sessions.upstream.calls import Calls
from jupyter_sessions.upstream.journal import Journal
from jupyter_sessions.upstream.known import Known
from jupyter_sessions.upstream.mirror import Mirror
from jupyter_sessions.upstream.pagecache import Kept, Shared

RawPage = tuple[Sequence[Mapping[str, Any]], str]
"""Sessions as the upstream sent them, and the token of the next page."""


@dataclass
class Place:
    """One location: its requests, what is remembered of it, and who is told of its changes."""

    location: LocationName
    calls: Calls
    journal: Journal
    mirror: Mirror
    shared: Shared = field(default_factory=Shared)
    pages: Kept[RawPage] = field(default_factory=lambda: Kept[RawPage]())
    listeners: Listeners[Change] = field(default_factory=lambda: Listeners[Change]())

    stirs: int = 0
    read: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once every session was listed by this server."""

    def stir(self) -> None:
        """Hear that something is newer than what is being read: a call of ours changed it, or an answer showed it."""
        self.stirs += 1
        self.changed()

    def changed(self) -> None:
        """Answer no list from memory that was read before now."""
        self.shared.changed()
        self.pages.clear()


class Feed(Protocol):
    """Where the news of one location come from."""

    @property
    def holds(self) -> float:
        """The seconds for which a page that was read holds unless a change is told; 0 while none would be."""

    def start(self) -> None:
        """Begin, on the running loop."""

    async def close(self) -> None:
        """End every watch and what is under way."""

    def touch(self) -> None:
        """Hear that somebody is there."""

    def poke(self) -> None:
        """Hear that a call of ours changed something."""

    def reset(self) -> None:
        """Have every watcher list again."""

    async def saw(self, rows: Mapping[str, Known | None], started: int) -> None:
        """Hear what an answer said of sessions (None: gone), before it is given: what is new in it is told first.

        ``started`` is when it was asked for, in nanoseconds since the epoch. Raises nothing.
        """

    def watch(self, after: int | None) -> AsyncIterator[Change | Reset]:
        """Follow the changes after a sequence (None: from now on)."""
