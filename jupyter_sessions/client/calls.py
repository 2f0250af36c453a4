"""Each method of the API as one request; the counterpart of ``model.api.SessionsApi`` on this side of the wire."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_sessions.client.hints import Hints
from jupyter_sessions.client.transport import Transport
from jupyter_sessions.model import wire
from jupyter_sessions.model.api import ListRequest, Location, LogPage, Page
from jupyter_sessions.model.bodies import (
    load_location,
    load_log,
    mask_query,
    next_token,
    page_query,
    rows,
    session_body,
    template_body,
)
from jupyter_sessions.model.errors import NotFound
from jupyter_sessions.model.names import LocationName, OperationName, SessionName, TemplateName
from jupyter_sessions.model.paths import location_path, operation_path, part, session_path, template_path
from jupyter_sessions.model.resources import Operation, Session, SessionTemplate

PREFIX = "jupyter-sessions/v1"


class Calls:
    """The requests, through one transport. Every method raises what the transport raises.

    A create, a terminate and a delete carry a ``requestId``, one of ours where the caller has none, and so may be
    repeated after a fault. A NotFound of a session or a template has a hint at what was meant.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._hints = Hints(transport)

    def list_locations(self, project: str) -> Sequence[Location]:
        """Give the configured locations of a project, of all with ``-``."""
        answer = self._get(f"projects/{part(project)}/locations")
        return [load_location(row) for row in rows(answer, "locations")]

    def get_location(self, name: LocationName) -> Location:
        """Give one location."""
        return load_location(self._get(location_path(name)))

    def create_session(self, parent: LocationName, session: Session, session_id: str, request_id: str) -> Operation:
        """Begin to make a session; without an id the server makes one."""
        query = {"requestId": request_id or new_request_id(), **({"sessionId": session_id} if session_id else {})}
        path = f"{location_path(parent)}/sessions"
        return wire.load(Operation, self._send("POST", path, query, session_body(session)))

    def get_session(self, name: SessionName, hint: bool = True) -> Session:
        """Give one session; without ``hint`` none is looked for where it is not there."""
        return wire.load(Session, self._send("GET", session_path(name), hint=hint))

    def list_sessions(self, parent: LocationName, request: ListRequest) -> Page[Session]:
        """Give one page of sessions, newest first."""
        answer = self._get(f"{location_path(parent)}/sessions", page_query(request))
        found = [wire.load(Session, row) for row in rows(answer, "sessions")]
        return Page(found, next_token(answer), _unreachable(answer))

    def update_session(self, name: SessionName, session: Session, mask: Sequence[str] | None) -> Session:
        """Change labels and limits; None as mask replaces every mutable field. It may be repeated: it says a state."""
        answer = self._send("PATCH", session_path(name), mask_query(mask), session_body(session))
        return wire.load(Session, answer)

    def terminate_session(self, name: SessionName, request_id: str) -> Operation:
        """Begin to end a session."""
        body = {"requestId": request_id or new_request_id()}
        return wire.load(Operation, self._send("POST", f"{session_path(name)}:terminate", {}, body))

    def delete_session(self, name: SessionName, request_id: str) -> Operation:
        """Begin to end and remove a session."""
        query = {"requestId": request_id or new_request_id()}
        return wire.load(Operation, self._send("DELETE", session_path(name), query))

    def create_template(self, parent: LocationName, template: SessionTemplate) -> SessionTemplate:
        """Store a template under the id in its name; not repeated once it was sent."""
        path = f"{location_path(parent)}/sessionTemplates"
        return wire.load(SessionTemplate, self._send("POST", path, {}, template_body(template), safe=False))

    def get_template(self, name: TemplateName) -> SessionTemplate:
        """Give one template."""
        return wire.load(SessionTemplate, self._get(template_path(name)))

    def list_templates(self, parent: LocationName, request: ListRequest) -> Page[SessionTemplate]:
        """Give one page of templates, newest first."""
        answer = self._get(f"{location_path(parent)}/sessionTemplates", page_query(request))
        found = [wire.load(SessionTemplate, row) for row in rows(answer, "sessionTemplates")]
        return Page(found, next_token(answer), _unreachable(answer))

    def update_template(
        self, name: TemplateName, template: SessionTemplate, mask: Sequence[str] | None
    ) -> SessionTemplate:
        """Change a template."""
        answer = self._send("PATCH", template_path(name), mask_query(mask), template_body(template))
        return wire.load(SessionTemplate, answer)

    def delete_template(self, name: TemplateName) -> None:
        """Remove a template; not repeated once it was sent, for a second try would not find it."""
        self._send("DELETE", template_path(name), safe=False)

    def get_operation(self, name: OperationName) -> Operation:
        """Give one operation."""
        return wire.load(Operation, self._get(operation_path(name)))

    def list_operations(self, parent: LocationName, request: ListRequest, partial: bool = False) -> Page[Operation]:
        """Give one page of operations, newest first; ``partial`` allows unreachable locations."""
        query = {**page_query(request), **({"returnPartialSuccess": "true"} if partial else {})}
        answer = self._get(f"{location_path(parent)}/operations", query)
        found = [wire.load(Operation, row) for row in rows(answer, "operations")]
        return Page(found, next_token(answer), _unreachable(answer))

    def cancel_operation(self, name: OperationName) -> None:
        """Cancel a running create."""
        self._send("POST", f"{operation_path(name)}:cancel")

    def delete_operation(self, name: OperationName) -> None:
        """Forget an operation, not its work."""
        self._send("DELETE", operation_path(name), safe=False)

    def read_log(self, name: SessionName, offset: int, limit: int) -> LogPage:
        """Give a piece of a session's log; a negative offset counts from the end."""
        return load_log(self._get(f"{session_path(name)}/logs", {"offset": str(offset), "limit": str(limit)}))

    def list_kernels(self, name: SessionName) -> Sequence[Mapping[str, Any]]:
        """Give the kernel models of a session, oldest first."""
        return rows(self._get(f"{session_path(name)}/kernels"), "kernels")

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        return self._send("GET", path, query)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        safe: bool = True,
        hint: bool = True,
    ) -> Mapping[str, Any]:
        try:
            return self._transport.call(method, f"{PREFIX}/{path}", query=query, body=body, safe=safe) or {}
        except NotFound as error:
            hinted = self._hints.missing(error) if hint else error
        raise hinted


def new_request_id() -> str:
    """Make the id of one call, kept for all its tries."""
    return secrets.token_hex(16)


def _unreachable(answer: Mapping[str, Any]) -> Sequence[str]:
    return [str(name) for name in answer.get("unreachable") or ()]
