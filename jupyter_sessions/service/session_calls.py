"""What the API does to sessions: each call commits an intent; the reconciler does the work."""

from __future__ import annotations

import dataclasses
import sqlite3
import uuid
from collections.abc import Sequence
from functools import partial

from jupyter_sessions.model import merge, names, rules, states
from jupyter_sessions.model.api import Caller, ListRequest, Page
from jupyter_sessions.model.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    SessionsError,
    gather,
)
from jupyter_sessions.model.names import LocationName, SessionName
from jupyter_sessions.model.resources import Operation, OperationType, RuntimeInfo, Session
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import format_time
from jupyter_sessions.service import lists, operation_rows, rows, template_rows, transitions, words
from jupyter_sessions.service.clocks import SECOND
from jupyter_sessions.service.core import Core, check_request_id
from jupyter_sessions.service.operation_rows import Request
from jupyter_sessions.service.rows import SessionRow

_TRIES = 20
GIVEN_UP_NS = 86_400 * SECOND
"""How long after its ttl another machine's session may be given up: clocks differ, and a machine may sleep."""


class SessionCalls:
    """Create, get, list, update, terminate and delete of one location's sessions."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def create(
        self, caller: Caller, parent: LocationName, session: Session, session_id: str, request_id: str
    ) -> Operation:
        """Check everything, then commit the session, its operation and the request id together."""
        core = self._core
        core.check(parent)
        faults = gather(lambda: check_request_id(request_id))
        request = Request(caller.name, parent, "create", request_id)
        if not faults and (known := await self.repeated(caller, parent, request_id)):
            return known
        faults += gather(lambda: _session_id(parent, session, session_id))
        wanted = await self._complete(caller, parent, session, faults)
        session_id = _session_id(parent, session, session_id)
        lock_dir_of = core.reconciler.actions().lock_dir
        for _ in range(_TRIES):
            chosen = session_id or names.new_session_id()
            fresh = wanted.model_copy(update={"name": f"{parent}/sessions/{chosen}", "uuid": str(uuid.uuid4())})
            row = SessionRow(self._begun(fresh), core.here(), await lock_dir_of(fresh.uuid))
            try:
                operation = await core.commit("create", partial(self._insert, caller, row, request))
            except AlreadyExists:
                if session_id:
                    raise
                continue  # a made-up id that somebody has: make up another
            core.reconciler.wake(operation.metadata.session_uuid)
            return operation
        raise AlreadyExists("no free session id was found; name one as sessionId")

    async def repeated(self, caller: Caller, parent: LocationName, request_id: str) -> Operation | None:
        """Give the operation of an earlier create with this request id, if there was one."""
        self._core.check(parent)
        if not request_id:
            return None
        request = Request(caller.name, parent, "create", request_id)
        return await self._core.feed.read(lambda c: operation_rows.answered(c, request))

    async def _complete(
        self, caller: Caller, parent: LocationName, session: Session, known: Sequence[FieldViolation]
    ) -> Session:
        """Merge template and defaults, and refuse what cannot be honoured, every fault (``known`` too) at once."""
        core = self._core
        fields = {fault.field for fault in known}
        faults = [fault for fault in rules.check(session, parent) if fault.field not in fields]
        if faults:
            raise InvalidArgument([*known, *faults])
        if session.user and core.only(caller) not in (None, session.user):
            raise PermissionDenied(
                f"user: {session.user!r} is not {caller.name!r}; leave it out, or have an admin make the session"
            )
        if session.session_template:
            name = names.parse_template(session.session_template, "sessionTemplate", parent)
            found = await core.feed.read(lambda c: template_rows.find(c, name))
            session = merge.apply_template(session, template_rows.seen(found, name, core.only(caller)).template)
        wanted = Session(**{key: getattr(session, key) for key in _SETTABLE}, creator=caller.name)
        limits = core.limits
        wanted = merge.fill_defaults(wanted, round(limits.ttl * SECOND), round(limits.idle_ttl * SECOND))
        faults = [*known, *limits.check(wanted), *await core.faults(wanted)]
        if faults:
            raise InvalidArgument(faults)
        return wanted

    def _begun(self, session: Session) -> Session:
        log = self._core.directories.log_uri(session)
        info = RuntimeInfo(output_uri=log, diagnostic_output_uri=log)
        return states.begin(transitions.with_info(session, info), self._core.clock.now(), words.SUBMITTED)

    def _insert(self, caller: Caller, row: SessionRow, request: Request, connection: sqlite3.Connection) -> Operation:
        known = operation_rows.answered(connection, request)
        if known is not None:
            return known
        parent, most = request.parent, self._core.limits.sessions
        if (found := rows.find(connection, parent, row.id)) is not None:
            raise AlreadyExists(self._core.taken(caller, row.session.parsed_name, found.owner, "delete it first"))
        if most and rows.count_live(connection, parent, row.owner if self._core.private else None) >= most:
            whose = f" of {row.owner}" if self._core.private else ""
            raise ResourceExhausted(f"{most} sessions{whose} are live, the most allowed here; terminate one first")
        transitions.begin(connection, row)
        return self._operation(connection, row, OperationType.CREATE, request)

    def _operation(
        self, connection: sqlite3.Connection, row: SessionRow, kind: OperationType, request: Request
    ) -> Operation:
        now = self._core.clock.now()
        operation = operation_rows.begin(connection, request.parent, kind, row.session, now)
        operation_rows.remember(connection, request, operation, now)
        return operation

    async def get(self, caller: Caller, name: SessionName) -> Session:
        """Read one session with its latest usage."""
        return self._core.shown((await self.row(caller, name)).session)

    async def row(self, caller: Caller, name: SessionName) -> SessionRow:
        """Read a session's row; raises NotFound."""
        self._core.check(name.parent)
        return await self._core.feed.read(lambda c: self._seen(c, caller, name))

    def _seen(self, connection: sqlite3.Connection, caller: Caller, name: SessionName) -> SessionRow:
        """Read the row of a session that the caller may see; raises NotFound."""
        row = rows.find(connection, name.parent, name.id)
        if row is None or self._core.only(caller) not in (None, row.owner):
            raise NotFound(f"session {name} does not exist")
        return row

    async def list(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[Session]:
        """Read a page of sessions, each with its latest usage."""
        core = self._core
        core.check(parent, wildcard=True)
        page = await lists.page(core, lists.SESSIONS, caller, parent, request)
        return dataclasses.replace(page, items=[core.shown(session) for session in page.items])

    async def update(self, caller: Caller, name: SessionName, session: Session, mask: Sequence[str] | None) -> Session:
        """Change labels and limits; new limits reach the host through the reconciler."""
        core = self._core
        core.check(name.parent)
        row = await core.commit("update", lambda c: self._update(c, caller, name, session, mask))
        core.reconciler.wake(row.uuid)
        return core.shown(row.session)

    def _update(
        self,
        connection: sqlite3.Connection,
        caller: Caller,
        name: SessionName,
        wanted: Session,
        mask: Sequence[str] | None,
    ) -> SessionRow:
        core = self._core
        row = self._seen(connection, caller, name)
        changed = merge.apply_session_mask(row.session, wanted, mask)
        lasting = row.state in (State.CREATING, State.ACTIVE)
        if not lasting and mask is None and not (wanted.ttl or wanted.idle_ttl):
            changed = changed.model_copy(update={"environment_config": row.session.environment_config})
        limits = core.limits
        changed = merge.fill_defaults(changed, round(limits.ttl * SECOND), round(limits.idle_ttl * SECOND))
        if faults := limits.check(changed, row.session):
            raise InvalidArgument(faults)
        moved = (changed.ttl, changed.idle_ttl) != (row.session.ttl, row.session.idle_ttl)
        if moved and not lasting:
            raise FailedPrecondition(f"session {name} is {row.state.name}: its limits cannot change any more")
        if moved and core.elsewhere(row):
            raise FailedPrecondition(_there(row, "change its limits"))
        pending = row.limits_pending or (moved and row.state is State.ACTIVE)
        new = rows.update(connection, row, dataclasses.replace(row, session=changed, limits_pending=pending))
        transitions.log(connection, new, row.state, row.state, changed.state_message, core.clock.now())
        return new

    async def terminate(self, caller: Caller, name: SessionName, request_id: str) -> Operation:
        """Move a live session to TERMINATING."""
        request = Request(caller.name, name.parent, "terminate", request_id)
        return await self._end(name, request, lambda c: self._terminate(c, caller, name, request))

    async def delete(self, caller: Caller, name: SessionName, request_id: str) -> Operation:
        """Mark a session as to be removed, and end it if it lives."""
        request = Request(caller.name, name.parent, "delete", request_id)
        return await self._end(name, request, lambda c: self._delete(c, caller, name, request))

    async def _end(self, name: SessionName, request: Request, work: operation_rows.Begin) -> Operation:
        self._core.check(name.parent)
        check_request_id(request.id)
        operation = await self._core.commit(request.method, lambda c: operation_rows.answered(c, request) or work(c))
        self._core.reconciler.wake(operation.metadata.session_uuid)
        return operation

    def _terminate(
        self, connection: sqlite3.Connection, caller: Caller, name: SessionName, request: Request
    ) -> Operation:
        row = self._seen(connection, caller, name)
        if row.state.final:
            raise FailedPrecondition(f"session {name} is {row.state.name} and cannot be terminated")
        kinds = (OperationType.TERMINATE, OperationType.DELETE)
        if row.state is State.TERMINATING and (known := self._running(connection, row, request, kinds)):
            return known
        if row.state is not State.TERMINATING:
            row = self.ending(connection, row, words.asked_by(caller.name, "Terminated"))
        return self._operation(connection, row, OperationType.TERMINATE, request)

    def _delete(self, connection: sqlite3.Connection, caller: Caller, name: SessionName, request: Request) -> Operation:
        row = self._seen(connection, caller, name)
        if self._core.elsewhere(row) and not row.state.final:
            row = self._given_up(connection, row, words.asked_by(caller.name, "Deleted"))
        if row.deleting and (known := self._running(connection, row, request, (OperationType.DELETE,))):
            return known
        if not row.deleting:
            marked = dataclasses.replace(row, deleting=True)
            if row.state in (State.CREATING, State.ACTIVE):
                row = self.ending(connection, marked, words.asked_by(caller.name, "Deleted"))
            else:
                # Told, so that every server knows of it should this one not live to remove it.
                row = rows.update(connection, row, marked)
                message, now = row.session.state_message, self._core.clock.now()
                transitions.log(connection, row, row.state, row.state, message, now)
        return self._operation(connection, row, OperationType.DELETE, request)

    def _given_up(self, connection: sqlite3.Connection, row: SessionRow, message: str) -> SessionRow:
        """End the record of a session whose machine did not come back, once its ttl has ended it there for certain.

        Before that time it stays: a TERMINATING one for its machine to end, another by FailedPrecondition.
        """
        now, over = self._core.clock.now(), row.session.state_time + row.session.ttl + GIVEN_UP_NS
        if now >= over:
            message = f"{message}. {words.unheard(row.machine.name)}"
            ending = [] if row.state is State.TERMINATING else [(State.TERMINATING, message, now)]
            return transitions.advance(connection, row, [*ending, (State.TERMINATED, message, now)], now)
        if row.state is State.TERMINATING:
            return row
        later = f"from {format_time(over // SECOND * SECOND)} on it can be deleted here, should that machine not return"
        raise FailedPrecondition(f"{_there(row, 'end it')}; {later}")

    def _running(
        self, connection: sqlite3.Connection, row: SessionRow, request: Request, kinds: Sequence[OperationType]
    ) -> Operation | None:
        running = operation_rows.running(connection, row.uuid)
        for kind in kinds:
            for operation in running:
                if operation.metadata.operation_type is kind:
                    operation_rows.remember(connection, request, operation, self._core.clock.now())
                    return operation
        return None

    def ending(
        self, connection: sqlite3.Connection, row: SessionRow, message: str, error: SessionsError | None = None
    ) -> SessionRow:
        """Move a CREATING or ACTIVE session to TERMINATING; ``error`` ends its create, by default ABORTED."""
        core = self._core
        if core.elsewhere(row):
            raise FailedPrecondition(_there(row, "end it"))
        now = core.clock.now()
        return transitions.advance(connection, row, [(State.TERMINATING, message, now)], now, error)


_SETTABLE = (
    "name",
    "labels",
    "jupyter_session",
    "spark_connect_session",
    "runtime_config",
    "environment_config",
    "user",
    "session_template",
)


def _there(row: SessionRow, what: str) -> str:
    return f"session {row.session.name} runs on machine {row.machine.name}; {what} from a server there"


def _session_id(parent: LocationName, session: Session, session_id: str) -> str:
    """Give the id a create asks for, empty where it asks for none; raises InvalidArgument."""
    if session_id:
        names.check_session_id(session_id)
    if not session.name:
        return session_id
    named = names.parse_session(session.name)
    if named.parent != parent or (session_id and named.id != session_id):
        rule = f"must be {parent}/sessions/{session_id or '{id}'} or be left out"
        raise InvalidArgument([FieldViolation("name", rule)])
    return named.id
