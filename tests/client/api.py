"""The client seen as ``SessionsApi``, so that the contract's suite can ask it everything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeVar

from jupyter_sessions.client import SessionsClient
from jupyter_sessions.client.watching import Watch
from jupyter_sessions.model.api import Caller, Change, ListRequest, Location, LogPage, Page, Reset, Unsubscribe
from jupyter_sessions.model.names import LocationName, OperationName, SessionName, TemplateName
from jupyter_sessions.model.resources import Operation, OperationType, Session, SessionTemplate
from jupyter_sessions.model.states import State

T = TypeVar("T")
ENDS = {OperationType.CREATE: State.ACTIVE, OperationType.TERMINATE: State.TERMINATED}


async def off(call: Callable[..., T], *args: Any, **options: Any) -> T:
    """Call a client's method as an asyncio program does."""
    return await asyncio.to_thread(call, *args, **options)


class ClientApi:
    """Every method of ``SessionsApi`` by the client's own; whoever calls is the token's owner."""

    def __init__(self, client: SessionsClient, parent: LocationName) -> None:
        self.client = client
        self._parent = parent
        self._repeated: dict[tuple[str, str], Operation] = {}
        self._heard: list[Change] | None = None
        self._watches: list[Watch] = []
        self._threads: list[threading.Thread] = []

    def close(self) -> None:
        """End every watch."""
        for watch in self._watches:
            watch.close()
        for thread in self._threads:
            thread.join(20)
        self.client.close()

    async def list_locations(self, project: str) -> Sequence[Location]:
        return await off(self.client.locations.list, project)

    async def get_location(self, name: LocationName) -> Location:
        return await off(self.client.calls.get_location, name)

    async def create_session(
        self, caller: Caller, parent: LocationName, session: Session, session_id: str = "", request_id: str = ""
    ) -> Operation:
        made = await asyncio.to_thread(
            lambda: self.client.create(session_id, session, location=str(parent), request_id=request_id)
        )
        self._repeated[caller.name, request_id] = made.operation
        return made.operation

    async def repeated_create(self, caller: Caller, parent: LocationName, request_id: str) -> Operation | None:
        return self._repeated.get((caller.name, request_id))

    async def get_session(self, caller: Caller, name: SessionName) -> Session:
        return await off(self.client.get, str(name))

    async def list_sessions(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[Session]:
        return await off(self.client.calls.list_sessions, parent, request)

    async def update_session(
        self, caller: Caller, name: SessionName, session: Session, update_mask: Sequence[str] | None
    ) -> Session:
        return await off(self.client.update, str(name), session, update_mask)

    async def terminate_session(self, caller: Caller, name: SessionName, request_id: str = "") -> Operation:
        return (await off(self.client.terminate, str(name), request_id=request_id)).operation

    async def delete_session(self, caller: Caller, name: SessionName, request_id: str = "") -> Operation:
        return (await off(self.client.delete, str(name), request_id=request_id)).operation

    async def create_template(self, caller: Caller, parent: LocationName, template: SessionTemplate) -> SessionTemplate:
        return await off(self.client.templates.create, template.name, template)

    async def get_template(self, caller: Caller, name: TemplateName) -> SessionTemplate:
        return await off(self.client.templates.get, str(name))

    async def list_templates(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[SessionTemplate]:
        return await off(self.client.calls.list_templates, parent, request)

    async def update_template(
        self, caller: Caller, name: TemplateName, template: SessionTemplate, update_mask: Sequence[str] | None
    ) -> SessionTemplate:
        return await off(self.client.templates.update, str(name), template, update_mask)

    async def delete_template(self, caller: Caller, name: TemplateName) -> None:
        await off(self.client.templates.delete, str(name))

    async def get_operation(self, caller: Caller, name: OperationName) -> Operation:
        operation = await off(self.client.operations.get, str(name))
        if operation.done:
            await self._heard_of(operation)
        return operation

    async def list_operations(
        self, caller: Caller, parent: LocationName, request: ListRequest, partial: bool = False
    ) -> Page[Operation]:
        return await off(self.client.calls.list_operations, parent, request, partial)

    async def cancel_operation(self, caller: Caller, name: OperationName) -> None:
        await off(self.client.operations.cancel, str(name))

    async def delete_operation(self, caller: Caller, name: OperationName) -> None:
        await off(self.client.operations.delete, str(name))

    async def read_log(self, caller: Caller, name: SessionName, offset: int, limit: int) -> LogPage:
        return await off(self.client.calls.read_log, name, offset, limit)

    async def list_kernels(self, caller: Caller, name: SessionName) -> Sequence[Mapping[str, Any]]:
        return await off(self.client.kernels, str(name))

    def watch(
        self, caller: Caller, parent: LocationName, after: Mapping[LocationName, int]
    ) -> AsyncIterator[Change | Reset]:
        queue: asyncio.Queue[Change | Reset] = asyncio.Queue()
        self._follow(parent, {str(place): sequence for place, sequence in after.items()}, queue.put_nowait)

        async def read() -> AsyncIterator[Change | Reset]:
            while True:
                yield await queue.get()

        return read()

    def subscribe(self, listener: Callable[[Change], None]) -> Unsubscribe:
        heard: list[Change] = []
        self._heard = heard

        def take(change: Change | Reset) -> None:
            if isinstance(change, Change) and self._heard is heard:
                heard.append(change)
                listener(change)

        self._follow(self._parent, {}, take)

        def undo() -> None:
            self._heard = None

        return undo

    def _follow(self, parent: LocationName, after: Mapping[str, int], take: Callable[[Change | Reset], object]) -> None:
        loop = asyncio.get_running_loop()
        watch = self.client.watch(parent, after=after)

        def run() -> None:
            for change in watch:
                loop.call_soon_threadsafe(take, change)

        thread = threading.Thread(target=run)
        thread.start()
        self._watches.append(watch)
        self._threads.append(thread)

    async def _heard_of(self, operation: Operation) -> None:
        """Wait until the watch has told the end that the operation tells: the two come on different connections."""
        wanted = ENDS.get(operation.metadata.operation_type, State.STATE_UNSPECIFIED)
        uuid = operation.metadata.session_uuid
        end = asyncio.get_running_loop().time() + 20
        while self._heard is not None and operation.error is None:
            if any(one.session_uuid == uuid and one.new_state is wanted for one in self._heard):
                return
            assert asyncio.get_running_loop().time() < end, f"the watch does not tell {wanted.name} of {uuid}"
            await asyncio.sleep(0.01)
