"""One SessionsApi over several: by location, and over all of them at once for lists and the change feed."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial as bind
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from jupyter_sessions import merged
from jupyter_sessions.merged import Fetch, MergedList, Order, merged_feed
from jupyter_sessions.model.api import (
    Caller,
    Change,
    KernelHost,
    KernelHosts,
    ListRequest,
    Location,
    LogPage,
    Page,
    Reset,
    SessionsApi,
    Unsubscribe,
)
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument, NotFound
from jupyter_sessions.model.names import WILDCARD, LocationName, OperationName, SessionName, TemplateName

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Operation, Session, SessionTemplate

T = TypeVar("T")


class Backend(SessionsApi, KernelHosts, Protocol):
    """What stands behind one location: the embedded service or another server's proxy."""


@runtime_checkable
class Remembering(Protocol):
    """A backend behind a network, which knows what it last saw."""

    def last_known(self, parent: LocationName, request: ListRequest) -> Page[Session] | None:
        """Give a page of sessions as last seen, named unreachable, None where nothing is known. No I/O."""


class Router:
    """Picks the implementation of a location; implements SessionsApi and KernelHosts itself.

    ``backends`` maps each configured location to what stands behind it. ``page_key`` gives the key that signs the page
    tokens of lists over several locations, asked for at each list; where it gives none (or is not there) such a token
    lives as long as this router.
    """

    def __init__(self, backends: Mapping[LocationName, Backend], page_key: Callable[[], bytes] | None = None) -> None:
        self._backends = dict(backends)
        self._page_key = page_key or bytes
        self._own_key = secrets.token_bytes(32)

    def _at(self, location: LocationName) -> Backend:
        if WILDCARD in (location.project, location.location):
            raise InvalidArgument(f"{location}: the wildcard '-' stands only in lists and in the change stream")
        if location not in self._backends:
            known = ", ".join(map(str, self._backends)) or "none"
            raise NotFound(f"{location} is not configured; the configured locations are: {known}")
        return self._backends[location]

    def _covered(self, parent: LocationName) -> list[LocationName]:
        """Give the locations that a parent stands for, perhaps none where it is a wildcard; raises as ``_at``."""
        if parent.wild:
            return [location for location in self._backends if parent.covers(location)]
        self._at(parent)
        return [parent]

    async def _list(
        self,
        parent: LocationName,
        collection: str,
        order: Callable[[T], Order],
        request: ListRequest,
        fetch: Fetch[T],
        partial: bool = True,
        remembered: Callable[[LocationName, ListRequest], Page[T] | None] | None = None,
    ) -> Page[T]:
        if not parent.wild:
            return await fetch(parent, request)
        # Named apart: a backend may sign its own tokens with the same key.
        key, name = self._page_key() or self._own_key, f"{parent}/{collection} merged"
        together = MergedList(key, name, order, fetch, self._patience, remembered)
        return await together.page(self._covered(parent), request, partial)

    def _patience(self, location: LocationName) -> float:
        return merged.PROMPT if isinstance(self._at(location), Remembering) else merged.PATIENCE

    async def list_locations(self, project: str) -> Sequence[Location]:
        """Give the configured locations of ``project`` (``-``: of every project), perhaps none."""
        return [
            await backend.get_location(name)
            for name, backend in self._backends.items()
            if project in (WILDCARD, name.project)
        ]

    async def get_location(self, name: LocationName) -> Location:
        """Give one location."""
        return await self._at(name).get_location(name)

    async def create_session(
        self, caller: Caller, parent: LocationName, session: Session, session_id: str = "", request_id: str = ""
    ) -> Operation:
        """Make a session in its location."""
        return await self._at(parent).create_session(caller, parent, session, session_id, request_id)

    async def repeated_create(self, caller: Caller, parent: LocationName, request_id: str) -> Operation | None:
        """Give what an earlier create with this request id began."""
        return await self._at(parent).repeated_create(caller, parent, request_id)

    async def get_session(self, caller: Caller, name: SessionName) -> Session:
        """Give one session."""
        return await self._at(name.parent).get_session(caller, name)

    async def list_sessions(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[Session]:
        """List sessions of one location or of several, newest first."""

        async def fetch(location: LocationName, part: ListRequest) -> Page[Session]:
            return await self._at(location).list_sessions(caller, location, part)

        def remembered(location: LocationName, part: ListRequest) -> Page[Session] | None:
            backend = self._at(location)
            return backend.last_known(location, part) if isinstance(backend, Remembering) else None

        return await self._list(parent, "sessions", _by_create_time, request, fetch, remembered=remembered)

    async def update_session(
        self, caller: Caller, name: SessionName, session: Session, update_mask: Sequence[str] | None
    ) -> Session:
        """Change a session."""
        return await self._at(name.parent).update_session(caller, name, session, update_mask)

    async def terminate_session(self, caller: Caller, name: SessionName, request_id: str = "") -> Operation:
        """End a session."""
        return await self._at(name.parent).terminate_session(caller, name, request_id)

    async def delete_session(self, caller: Caller, name: SessionName, request_id: str = "") -> Operation:
        """End and remove a session."""
        return await self._at(name.parent).delete_session(caller, name, request_id)

    async def create_template(self, caller: Caller, parent: LocationName, template: SessionTemplate) -> SessionTemplate:
        """Store a template in its location."""
        return await self._at(parent).create_template(caller, parent, template)

    async def get_template(self, caller: Caller, name: TemplateName) -> SessionTemplate:
        """Give one template."""
        return await self._at(name.parent).get_template(caller, name)

    async def list_templates(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[SessionTemplate]:
        """List templates of one location or of several, newest first."""

        async def fetch(location: LocationName, part: ListRequest) -> Page[SessionTemplate]:
            return await self._at(location).list_templates(caller, location, part)

        return await self._list(parent, "sessionTemplates", _by_create_time, request, fetch)

    async def update_template(
        self, caller: Caller, name: TemplateName, template: SessionTemplate, update_mask: Sequence[str] | None
    ) -> SessionTemplate:
        """Change a template."""
        return await self._at(name.parent).update_template(caller, name, template, update_mask)

    async def delete_template(self, caller: Caller, name: TemplateName) -> None:
        """Remove a template."""
        await self._at(name.parent).delete_template(caller, name)

    async def get_operation(self, caller: Caller, name: OperationName) -> Operation:
        """Give one operation."""
        return await self._at(name.parent).get_operation(caller, name)

    async def list_operations(
        self, caller: Caller, parent: LocationName, request: ListRequest, partial: bool = False
    ) -> Page[Operation]:
        """List operations of one location or of several, newest first; ``partial`` allows silent locations."""

        async def fetch(location: LocationName, part: ListRequest) -> Page[Operation]:
            return await self._at(location).list_operations(caller, location, part, partial)

        return await self._list(parent, "operations", _by_operation_time, request, fetch, partial)

    async def cancel_operation(self, caller: Caller, name: OperationName) -> None:
        """Cancel a running create."""
        await self._at(name.parent).cancel_operation(caller, name)

    async def delete_operation(self, caller: Caller, name: OperationName) -> None:
        """Forget an operation."""
        await self._at(name.parent).delete_operation(caller, name)

    async def read_log(self, caller: Caller, name: SessionName, offset: int, limit: int) -> LogPage:
        """Read a session's log."""
        return await self._at(name.parent).read_log(caller, name, offset, limit)

    async def list_kernels(self, caller: Caller, name: SessionName) -> Sequence[Mapping[str, Any]]:
        """Give the kernels of a session."""
        return await self._at(name.parent).list_kernels(caller, name)

    def watch(
        self, caller: Caller, parent: LocationName, after: Mapping[LocationName, int]
    ) -> AsyncIterator[Change | Reset]:
        """Follow one change log or several as one; raises NotFound or InvalidArgument at once.

        A location that ``after`` names and ``parent`` does not cover is an InvalidArgument.
        """
        covered = self._covered(parent)
        strange = [str(name) for name in after if name not in covered]
        if strange:
            rule = f"names {', '.join(strange)}, which {parent} does not hold"
            raise InvalidArgument([FieldViolation("after", rule)])
        if not parent.wild:
            return self._at(parent).watch(caller, parent, after)
        return merged_feed({name: bind(self._watch_one, caller, name) for name in covered}, after)

    def _watch_one(self, caller: Caller, name: LocationName, after: int | None) -> AsyncIterator[Change | Reset]:
        return self._at(name).watch(caller, name, {} if after is None else {name: after})

    def subscribe(self, listener: Callable[[Change], None]) -> Unsubscribe:
        """Call ``listener`` for each change of every location."""
        return _together([backend.subscribe(listener) for backend in self._distinct()])

    def kernel_hosts(self) -> Sequence[KernelHost]:
        """Give every ACTIVE session of every location, from memory."""
        return [host for backend in self._distinct() for host in backend.kernel_hosts()]

    def watch_hosts(self, listener: Callable[[KernelHost], None]) -> Unsubscribe:
        """Call ``listener`` for every location's sessions that come, change or go."""
        return _together([backend.watch_hosts(listener) for backend in self._distinct()])

    def _distinct(self) -> list[Backend]:
        """Give each backend once, however many locations it stands behind."""
        return list({id(backend): backend for backend in self._backends.values()}.values())


def _together(undo: Sequence[Unsubscribe]) -> Unsubscribe:
    def unsubscribe() -> None:
        for each in undo:
            each()

    return unsubscribe


def _by_create_time(row: Session | SessionTemplate) -> Order:
    return (-row.create_time, row.name)


def _by_operation_time(row: Operation) -> Order:
    return (-row.metadata.create_time, row.name)
