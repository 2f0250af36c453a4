"""What the API does to operations."""

from __future__ import annotations

import sqlite3

from jupyter_sessions.model.api import Caller, ListRequest, Page
from jupyter_sessions.model.errors import Cancelled, NotFound
from jupyter_sessions.model.names import LocationName, OperationName
from jupyter_sessions.model.resources import Operation, OperationType
from jupyter_sessions.model.states import State
from jupyter_sessions.service import lists, operation_rows, rows, words
from jupyter_sessions.service.core import Core
from jupyter_sessions.service.session_calls import SessionCalls


class OperationCalls:
    """Get, list, cancel and delete of one location's operations."""

    def __init__(self, core: Core, sessions: SessionCalls) -> None:
        self._core = core
        self._sessions = sessions

    async def get(self, caller: Caller, name: OperationName) -> Operation:
        """Read one operation."""
        core = self._core
        core.check(name.parent)
        only = core.only(caller)
        return _found(await core.feed.read(lambda c: operation_rows.find(c, name.parent, name.id, only)), name)

    async def list(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[Operation]:
        """Read a page of operations."""
        core = self._core
        core.check(parent, wildcard=True)
        return await lists.page(core, lists.OPERATIONS, caller, parent, request)

    async def cancel(self, caller: Caller, name: OperationName) -> None:
        """Terminate the session of a running create, which ends as CANCELLED; nothing for another operation."""
        self._core.check(name.parent)
        uuid = await self._core.commit("cancel", lambda c: self._cancel(c, caller, name))
        self._core.reconciler.wake(uuid)

    def _cancel(self, connection: sqlite3.Connection, caller: Caller, name: OperationName) -> str:
        only = self._core.only(caller)
        operation = _found(operation_rows.find(connection, name.parent, name.id, only), name)
        metadata = operation.metadata
        row = rows.find_uuid(connection, metadata.session_uuid)
        if metadata.operation_type is OperationType.CREATE and not operation.done and row is not None:
            message = words.asked_by(caller.name, "Cancelled")
            if row.state is State.CREATING:
                self._sessions.ending(connection, row, message, Cancelled(message))
        return metadata.session_uuid

    async def delete(self, caller: Caller, name: OperationName) -> None:
        """Forget an operation, not its work."""
        self._core.check(name.parent)
        only = self._core.only(caller)
        if not await self._core.commit("forget", lambda c: operation_rows.hide(c, name.parent, name.id, only)):
            raise NotFound(f"operation {name} does not exist")


def _found(operation: Operation | None, name: OperationName) -> Operation:
    if operation is None:
        raise NotFound(f"operation {name} does not exist")
    return operation
