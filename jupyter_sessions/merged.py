"""Several locations as one: pages of a list in one order, change logs in one stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from jupyter_sessions.model import pages
from jupyter_sessions.model.api import Change, ListRequest, Page, Reset
from jupyter_sessions.model.errors import DeadlineExceeded, InvalidArgument, SessionsError, Unavailable
from jupyter_sessions.model.names import LocationName

T = TypeVar("T")
Order = tuple[int, str]
"""Where a row stands: newest first, then by name; the smaller comes first."""
PATIENCE = 15.0
"""How long one location may take for its part of a list, in seconds."""
PROMPT = 2.0
"""The same for a location behind a network, whose silence is not to hold up the others."""
SILENT = (Unavailable, DeadlineExceeded, asyncio.TimeoutError)
"""What says that a location does not answer."""
RETRY = (1.0, 30.0)
"""The first and the longest wait before a broken change log is opened again, in seconds."""
BACKLOG = 1000
"""How many changes wait for a slow reader of several locations before the locations wait too."""


@dataclass(frozen=True)
class Place:
    """How far a list has come in one location: the token of a page of its own, and the last row told of that page."""

    token: str = ""
    last: Order | None = None


@dataclass
class _Part(Generic[T]):
    """One location's contribution to a page: rows with the token of the page each came from, then what follows."""

    rows: list[T] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    following: str = ""
    unreachable: bool = False


Fetch = Callable[[LocationName, ListRequest], Awaitable[Page[T]]]


class MergedList(Generic[T]):
    """A list over several locations, each of which lists newest first, then by name.

    A token of ours holds each location's place: the token of its page that was not used up, and the last row told, so
    that rows which come and go between two pages make neither a duplicate nor a gap. It is signed with ``key`` and
    bound to ``collection`` and filter.

    ``patience`` gives the seconds that a location may take. ``remembered`` gives what was last known of one that does
    not answer, None where that is nothing: such rows come, and the location is named all the same.
    """

    def __init__(
        self,
        key: bytes,
        collection: str,
        order: Callable[[T], Order],
        fetch: Fetch[T],
        patience: Callable[[LocationName], float] | None = None,
        remembered: Callable[[LocationName, ListRequest], Page[T] | None] | None = None,
    ) -> None:
        self._key = key
        self._collection = collection
        self._order = order
        self._fetch = fetch
        self._patience = patience or (lambda name: PATIENCE)
        self._remembered = remembered or (lambda name, request: None)

    async def page(self, locations: Sequence[LocationName], request: ListRequest, partial: bool) -> Page[T]:
        """Give one page; locations that do not answer are named in it if ``partial``, else Unavailable is raised.

        Raises InvalidArgument for a token that is not ours, or of another collection or filter.
        """
        size = pages.page_size(request.page_size)
        places = self._read_token(request, locations)
        parts, faults = await self._gather(places, size, request.filter)
        unreachable = [name for name in places if name in faults or parts[name].unreachable]
        if unreachable and not partial:
            raise _refusal(faults, unreachable)
        rows = sorted((row for part in parts.values() for row in part.rows), key=self._order)[:size]
        last = self._order(rows[-1]) if rows else None
        left = {name: self._advance(places[name], part, last) for name, part in parts.items()}
        ongoing = {name: place for name, place in left.items() if place is not None}
        token = ""
        if ongoing:
            token = self._write_token({**ongoing, **{name: places[name] for name in faults}}, request.filter)
        return Page(rows, token, [str(name) for name in unreachable])

    async def _gather(
        self, places: Mapping[LocationName, Place], size: int, filter: str
    ) -> tuple[dict[LocationName, _Part[T]], dict[LocationName, BaseException]]:
        """Give each location's part, and what kept those that have none from giving it."""
        alone = len(places) == 1
        tasks = [
            asyncio.wait_for(self._read(name, place, size, filter), PATIENCE if alone else self._patience(name))
            for name, place in places.items()
        ]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        parts: dict[LocationName, _Part[T]] = {}
        faults: dict[LocationName, BaseException] = {}
        for (name, place), answer in zip(places.items(), answers, strict=True):
            if not isinstance(answer, BaseException):
                parts[name] = answer
                continue
            if isinstance(answer, InvalidArgument) or not isinstance(answer, (SessionsError, *SILENT)):
                raise answer
            # It says nothing about the request: the others' rows come all the same.
            page = self._remembered(name, ListRequest(size, place.token, filter))
            if page is None:
                faults[name] = answer
            else:
                parts[name] = _Part(unreachable=True)
                self._add(parts[name], place, place.token, page)
        return parts, faults

    async def _read(self, name: LocationName, place: Place, size: int, filter: str) -> _Part[T]:
        """Read a location from its place until it gave ``size`` rows or has no more."""
        part: _Part[T] = _Part(following=place.token)
        while True:
            token = part.following
            self._add(part, place, token, await self._fetch(name, ListRequest(size, token, filter)))
            if len(part.rows) >= size or not part.following:
                return part

    def _add(self, part: _Part[T], place: Place, token: str, page: Page[T]) -> None:
        fresh = [row for row in page.items if place.last is None or self._order(row) > place.last]
        part.rows += fresh
        part.tokens += [token] * len(fresh)
        part.following = page.next_page_token
        part.unreachable = part.unreachable or bool(page.unreachable)

    def _advance(self, place: Place, part: _Part[T], last: Order | None) -> Place | None:
        """Give the place after all rows up to ``last`` were told, None where the location has no more."""
        told = [row for row in part.rows if last is not None and self._order(row) <= last]
        if len(told) == len(part.rows):
            return Place(part.following) if part.following else None
        return Place(part.tokens[len(told)], self._order(told[-1]) if told else place.last)

    def _write_token(self, places: Mapping[LocationName, Place], filter: str) -> str:
        rows = [[str(name), place.token, place.last] for name, place in places.items()]
        return pages.sign(self._key, self._collection, filter, pages.Cursor(0, json.dumps(rows)))

    def _read_token(self, request: ListRequest, locations: Sequence[LocationName]) -> dict[LocationName, Place]:
        if not request.page_token:
            return {name: Place() for name in locations}
        cursor = pages.verify(self._key, request.page_token, self._collection, request.filter)
        known = {str(name): name for name in locations}
        rows: list[tuple[str, str, list[Any] | None]] = json.loads(cursor.name)
        return {
            known[name]: Place(token, (last[0], last[1]) if last else None)
            for name, token, last in rows
            if name in known
        }


def _refusal(faults: Mapping[LocationName, BaseException], unreachable: Sequence[LocationName]) -> SessionsError:
    """Give what a list is refused with that may not be partial."""
    for error in faults.values():
        if isinstance(error, SessionsError) and not isinstance(error, SILENT):
            return error
    silent = ", ".join(map(str, unreachable))
    return Unavailable(f"{silent} does not answer; repeat, or ask for a partial answer")


Watch = Callable[[int | None], AsyncIterator[Change | Reset]]


async def merged_feed(
    watches: Mapping[LocationName, Watch], after: Mapping[LocationName, int]
) -> AsyncIterator[Change | Reset]:
    """Give the changes of several locations as they come, each location's in its order.

    A location that breaks off is opened again, from the change after the last one told; any other fault is raised.
    Ends when every location's log has ended.
    """
    queue: asyncio.Queue[Change | Reset | BaseException | None] = asyncio.Queue(BACKLOG)
    pumps = [asyncio.ensure_future(_pump(open_, after.get(name), queue)) for name, open_ in watches.items()]
    running = len(pumps)
    try:
        while running:
            item = await queue.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                running -= 1
            else:
                yield item
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(
    open_: Watch, position: int | None, queue: asyncio.Queue[Change | Reset | BaseException | None]
) -> None:
    wait = RETRY[0]
    while True:
        feed = open_(position)
        try:
            async for change in feed:
                position, wait = change.sequence, RETRY[0]
                await queue.put(change)
            await queue.put(None)
            return
        except (Unavailable, DeadlineExceeded):
            await asyncio.sleep(wait)
            wait = min(2 * wait, RETRY[1])
        except Exception as error:
            # Told to the reader, who decides; a task's exception would be seen by nobody.
            await queue.put(error)
            return
        finally:
            await close_feed(feed)


async def close_feed(feed: AsyncIterator[Change | Reset]) -> None:
    """Let a feed go, so that whoever gives it forgets its reader at once."""
    closing: Callable[[], Awaitable[None]] | None = getattr(feed, "aclose", None)
    if closing is not None:
        with contextlib.suppress(RuntimeError):  # it is being read at this moment: its reader closes it
            await closing()
