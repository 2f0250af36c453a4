"""Each method of the API as one request to the upstream, and its answer read into our models."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_sessions.config.locations import LocationConfig
from jupyter_sessions.model import wire
from jupyter_sessions.model.api import ListRequest, LogPage, Page
from jupyter_sessions.model.bodies import (
    load_log,
    mask_query,
    next_token,
    page_query,
    rows,
    session_body,
    template_body,
)
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument, Unimplemented
from jupyter_sessions.model.merge import apply_template_mask
from jupyter_sessions.model.names import OperationName, SessionName, TemplateName, new_session_id, parse_session
from jupyter_sessions.model.paths import location_path, session_path, template_path
from jupyter_sessions.model.resources import Operation, Session, SessionTemplate
from jupyter_sessions.upstream.base import Transport
from jupyter_sessions.upstream.identity import Identity, Kind
from jupyter_sessions.upstream.paths import OperationPaths

Json = Mapping[str, Any]


class Calls:
    """The requests of one location. Every method raises what the transport raises, and nothing else.

    A create, a terminate and a delete carry a ``requestId``, ours where the caller has none, and so may be repeated
    after a fault.
    """

    def __init__(self, config: LocationConfig, transport: Transport, identity: Identity) -> None:
        self._transport = transport
        self._identity = identity
        self._parent = location_path(config.name)
        self._location = config.name
        self._operations = OperationPaths("regions" if identity.kind is Kind.GOOGLE else "locations")

    async def create_session(self, session: Session, session_id: str, request_id: str) -> Operation:
        """Make a session under ``session_id``, the id in its name, or one made here."""
        query = {"sessionId": _session_id(session, session_id), "requestId": request_id or new_request_id()}
        return self._operation(await self._send("POST", f"{self._parent}/sessions", query, session_body(session)))

    async def get_session(self, name: SessionName) -> Json:
        """Give one session as the upstream sent it."""
        return await self._get(session_path(name))

    async def list_sessions(self, request: ListRequest, *, probe: bool = False) -> tuple[Sequence[Json], str]:
        """Give one page of sessions as the upstream sent them, and the token of the next."""
        path = f"{self._parent}/sessions"
        answer = (await self._transport.call("GET", path, page_query(request), safe=True, probe=probe)).body
        return rows(answer, "sessions"), next_token(answer)

    async def update_session(self, name: SessionName, session: Session, mask: Sequence[str] | None) -> Session:
        """Change labels and limits."""
        path, body = session_path(name), session_body(session)
        return wire.load(Session, (await self._transport.call("PATCH", path, mask_query(mask), body)).body)

    async def terminate_session(self, name: SessionName, request_id: str) -> Operation:
        """End a session."""
        body = {"requestId": request_id or new_request_id()}
        return self._operation(await self._send("POST", f"{session_path(name)}:terminate", {}, body))

    async def delete_session(self, name: SessionName, request_id: str) -> Operation:
        """End and remove a session."""
        query = {"requestId": request_id or new_request_id()}
        return self._operation(await self._send("DELETE", session_path(name), query, None))

    async def create_template(self, template: SessionTemplate) -> SessionTemplate:
        """Store a template under the id in its name."""
        path = f"{self._parent}/sessionTemplates"
        return wire.load(
            SessionTemplate, (await self._transport.call("POST", path, None, template_body(template))).body
        )

    async def get_template(self, name: TemplateName) -> SessionTemplate:
        """Give one template."""
        return wire.load(SessionTemplate, await self._get(template_path(name)))

    async def list_templates(self, request: ListRequest) -> Page[SessionTemplate]:
        """Give one page of templates."""
        answer = await self._get(f"{self._parent}/sessionTemplates", page_query(request))
        found = [wire.load(SessionTemplate, row) for row in rows(answer, "sessionTemplates")]
        return Page(found, next_token(answer))

    async def update_template(
        self, name: TemplateName, template: SessionTemplate, mask: Sequence[str] | None
    ) -> SessionTemplate:
        """Change a template; an upstream that knows no mask is sent the whole, as it will be."""
        query = mask_query(mask)
        if mask is not None and self._identity.kind is not Kind.JUPYTER_SESSIONS:
            template = apply_template_mask(await self.get_template(name), template, mask)
            query = {}
        body = {**template_body(template), "name": str(name)}
        return wire.load(SessionTemplate, (await self._transport.call("PATCH", template_path(name), query, body)).body)

    async def delete_template(self, name: TemplateName) -> None:
        """Remove a template."""
        await self._transport.call("DELETE", template_path(name))

    async def get_operation(self, name: OperationName) -> Operation:
        """Give one operation."""
        return self._operation(await self._get(self._operations.of(name)))

    async def list_operations(self, request: ListRequest) -> Page[Operation]:
        """Give one page of operations."""
        answer = await self._get(self._operations.all(self._location), page_query(request))
        found = [self._operation(row) for row in rows(answer, "operations")]
        return Page(found, next_token(answer))

    async def cancel_operation(self, name: OperationName) -> None:
        """Cancel a running create."""
        await self._transport.call("POST", f"{self._operations.of(name)}:cancel", safe=True)

    async def delete_operation(self, name: OperationName) -> None:
        """Forget an operation."""
        await self._transport.call("DELETE", self._operations.of(name))

    async def read_log(self, name: SessionName, offset: int, limit: int) -> LogPage:
        """Give a piece of a session's log; only another jupyter_sessions has one."""
        self._refuse_google("a session's log", "read the files under runtimeInfo.outputUri instead")
        answer = await self._get(f"{session_path(name)}/logs", {"offset": str(offset), "limit": str(limit)})
        return load_log(answer)

    async def list_kernels(self, name: SessionName) -> Sequence[Json]:
        """Give the kernels of a session; only another jupyter_sessions lists them."""
        self._refuse_google("a session's kernels", "they are listed by /api/kernels of this server")
        return rows(await self._get(f"{session_path(name)}/kernels"), "kernels")

    def check_update(self) -> None:
        """Raise Unimplemented where the upstream is known to change no session."""
        if not self._identity.updates:
            raise Unimplemented(
                f"sessions in {self._location} cannot be changed once they are made: the upstream has no such method; "
                "terminate the session and create another with the labels and limits wanted"
            )

    def _refuse_google(self, what: str, instead: str) -> None:
        if self._identity.kind is Kind.GOOGLE:
            raise Unimplemented(f"the API of {self._location} has no method for {what}; {instead}")

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        return (await self._transport.call("GET", path, query, safe=True)).body

    async def _send(self, method: str, path: str, query: Mapping[str, str], body: Json | None) -> Json:
        """Send what carries a requestId."""
        return (await self._transport.call(method, path, query, body, safe=True)).body

    def _operation(self, answer: Json) -> Operation:
        self._operations.saw(str(answer.get("name", "")))
        return wire.load(Operation, answer)


def new_request_id() -> str:
    """Make the id of one call, kept for all its tries."""
    return secrets.token_hex(16)


def _session_id(session: Session, session_id: str) -> str:
    of_name = parse_session(session.name).id if session.name else ""
    if session_id and of_name and session_id != of_name:
        raise InvalidArgument([FieldViolation("name", f"ends in {of_name!r}, but sessionId is {session_id!r}")])
    return session_id or of_name or new_session_id()
