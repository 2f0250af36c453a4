"""A location kept in memory, whose every answer and failure a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from jupyter_sessions.model import pages
from jupyter_sessions.model.api import (
    Caller,
    Change,
    KernelHost,
    ListRequest,
    Location,
    LogPage,
    Page,
    Reset,
    Unsubscribe,
)
from jupyter_sessions.model.errors import NotFound
from jupyter_sessions.model.names import LocationName, OperationName, SessionName, TemplateName
from jupyter_sessions.model.resources import Operation, Session, SessionOperationMetadata, SessionTemplate
from jupyter_sessions.model.states import State

SECOND = 1_000_000_000
KEY = b"the key of a scripted location"


def session(parent: LocationName, session_id: str, second: int) -> Session:
    """Make a session that was created ``second`` seconds after the epoch."""
    return Session(name=f"{parent}/sessions/{session_id}", uuid=f"uuid-{session_id}", create_time=second * SECOND)


def change(location: LocationName, sequence: int, session_id: str = "abcd") -> Change:
    """Make an entry of a change log."""
    name = f"{location}/sessions/{session_id}"
    return Change(location, sequence, name, "uuid", State.CREATING, State.ACTIVE, "", sequence * SECOND)


class ScriptedSessions:
    """One location. ``failures`` maps a method's name to what it raises; ``calls`` holds what was called, in order."""

    def __init__(self, location: LocationName) -> None:
        self.location = location
        self.sessions: list[Session] = []
        self.log: list[Change | Reset] = []
        self.kernels: list[dict[str, Any]] = []
        self.failures: dict[str, BaseException] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.readers = 0
        self._news = asyncio.Event()
        self._listeners: list[Callable[[Change], None]] = []
        self._host_listeners: list[Callable[[KernelHost], None]] = []
        self.hosts: list[KernelHost] = []

    def _called(self, method: str, *arguments: Any) -> None:
        self.calls.append((method, *arguments))
        if method in self.failures:
            raise self.failures[method]

    def _operation(self, name: str) -> Operation:
        return Operation(name=f"{self.location}/operations/op", metadata=SessionOperationMetadata(session=name))

    def tell(self, entry: Change | Reset) -> None:
        """Add an entry to the change log."""
        self.log.append(entry)
        news, self._news = self._news, asyncio.Event()
        news.set()
        if isinstance(entry, Change):
            for listener in self._listeners:
                listener(entry)

    async def list_locations(self, project: str) -> Sequence[Location]:
        self._called("list_locations", project)
        return [await self.get_location(self.location)]

    async def get_location(self, name: LocationName) -> Location:
        self._called("get_location", name)
        return Location(self.location, "Scripted", {"kind": "test"}, {"engine": "none"})

    async def create_session(
        self, caller: Caller, parent: LocationName, session: Session, session_id: str = "", request_id: str = ""
    ) -> Operation:
        self._called("create_session", caller, parent, session, session_id, request_id)
        return self._operation(f"{parent}/sessions/{session_id}")

    async def repeated_create(self, caller: Caller, parent: LocationName, request_id: str) -> Operation | None:
        self._called("repeated_create", caller, parent, request_id)
        return None

    async def get_session(self, caller: Caller, name: SessionName) -> Session:
        self._called("get_session", caller, name)
        for row in self.sessions:
            if row.name == str(name):
                return row
        raise NotFound(f"{name} does not exist")

    async def list_sessions(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[Session]:
        self._called("list_sessions", caller, parent, request)
        rows = sorted(self.sessions, key=lambda row: (-row.create_time, row.name))
        if request.page_token:
            cursor = pages.verify(KEY, request.page_token, parent, request.filter)
            seen = (-cursor.create_time, cursor.name)
            rows = [row for row in rows if (-row.create_time, row.name) > seen]
        size = pages.page_size(request.page_size)
        page, more = rows[:size], rows[size:]
        last = pages.Cursor(page[-1].create_time, page[-1].name) if page else None
        return Page(page, pages.sign(KEY, parent, request.filter, last) if more and last else "")

    async def update_session(
        self, caller: Caller, name: SessionName, session: Session, update_mask: Sequence[str] | None
    ) -> Session:
        self._called("update_session", caller, name, session, update_mask)
        return session.model_copy(update={"name": str(name)})

    async def terminate_session(self, caller: Caller, name: SessionName, request_id: str = "") -> Operation:
        self._called("terminate_session", caller, name, request_id)
        return self._operation(str(name))

    async def delete_session(self, caller: Caller, name: SessionName, request_id: str = "") -> Operation:
        self._called("delete_session", caller, name, request_id)
        return self._operation(str(name))

    async def create_template(self, caller: Caller, parent: LocationName, template: SessionTemplate) -> SessionTemplate:
        self._called("create_template", caller, parent, template)
        return template

    async def get_template(self, caller: Caller, name: TemplateName) -> SessionTemplate:
        self._called("get_template", caller, name)
        return SessionTemplate(name=str(name))

    async def list_templates(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[SessionTemplate]:
        self._called("list_templates", caller, parent, request)
        return Page([SessionTemplate(name=f"{self.location}/sessionTemplates/one", create_time=1)])

    async def update_template(
        self, caller: Caller, name: TemplateName, template: SessionTemplate, update_mask: Sequence[str] | None
    ) -> SessionTemplate:
        self._called("update_template", caller, name, template, update_mask)
        return template.model_copy(update={"name": str(name)})

    async def delete_template(self, caller: Caller, name: TemplateName) -> None:
        self._called("delete_template", caller, name)

    async def get_operation(self, caller: Caller, name: OperationName) -> Operation:
        self._called("get_operation", caller, name)
        return Operation(name=str(name))

    async def list_operations(
        self, caller: Caller, parent: LocationName, request: ListRequest, partial: bool = False
    ) -> Page[Operation]:
        self._called("list_operations", caller, parent, request, partial)
        return Page([self._operation(f"{self.location}/sessions/abcd")])

    async def cancel_operation(self, caller: Caller, name: OperationName) -> None:
        self._called("cancel_operation", caller, name)

    async def delete_operation(self, caller: Caller, name: OperationName) -> None:
        self._called("delete_operation", caller, name)

    async def read_log(self, caller: Caller, name: SessionName, offset: int, limit: int) -> LogPage:
        self._called("read_log", caller, name, offset, limit)
        return LogPage("héllo", 0, 6, False, True)

    async def list_kernels(self, caller: Caller, name: SessionName) -> Sequence[Mapping[str, Any]]:
        self._called("list_kernels", caller, name)
        return self.kernels

    async def watch(
        self, caller: Caller, parent: LocationName, after: Mapping[LocationName, int]
    ) -> AsyncIterator[Change | Reset]:
        self._called("watch", caller, parent, dict(after))
        at = 0 if parent in after else len(self.log)
        self.readers += 1
        try:
            while True:
                news = self._news
                while at < len(self.log):
                    if "watch_step" in self.failures:
                        raise self.failures.pop("watch_step")
                    entry, at = self.log[at], at + 1
                    if entry.sequence > after.get(parent, -1):
                        yield entry
                if news is self._news:
                    await news.wait()
        finally:
            self.readers -= 1

    def subscribe(self, listener: Callable[[Change], None]) -> Unsubscribe:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def kernel_hosts(self) -> Sequence[KernelHost]:
        return self.hosts

    def watch_hosts(self, listener: Callable[[KernelHost], None]) -> Unsubscribe:
        self._host_listeners.append(listener)
        return lambda: self._host_listeners.remove(listener)

    def tell_host(self, host: KernelHost) -> None:
        """Tell a host to those who watch."""
        for listener in self._host_listeners:
            listener(host)
