"""What each method does: from a parsed request to the service's call and back to JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_sessions.model import names
from jupyter_sessions.model.api import Caller, ListRequest, Location, Page, SessionsApi
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument, gather
from jupyter_sessions.model.names import LocationName, OperationName, SessionName, TemplateName

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Session, SessionTemplate

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One call of a method: who calls, the path's parts, the query's values, the body's JSON object."""

    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    int_enums: bool = False

    @property
    def location(self) -> LocationName:
        """The one location that the path names."""
        return names.parse_location(self._parent, "parent")

    @property
    def locations(self) -> LocationName:
        """The location that the path names, or a wildcard for several."""
        return names.parse_location(self._parent, "parent", wildcard=True)

    @property
    def session(self) -> SessionName:
        """The session that the path names."""
        return names.parse_session(f"{self._parent}/sessions/{self.path['session']}")

    @property
    def template(self) -> TemplateName:
        """The template that the path names."""
        return names.parse_template(f"{self._parent}/sessionTemplates/{self.path['template']}")

    @property
    def operation(self) -> OperationName:
        """The operation that the path names."""
        return names.parse_operation(f"{self._parent}/operations/{self.path['operation']}")

    @property
    def page(self) -> ListRequest:
        """The page of a list that the query asks for."""
        return ListRequest(self.query["pageSize"], self.query["pageToken"], self.query["filter"])

    @property
    def _parent(self) -> str:
        return f"projects/{self.path['project']}/locations/{self.path['location']}"

    def dump(self, message: Any) -> Json:
        """Write a message as the query asks for."""
        from jupyter_sessions.model import wire

        return wire.dump(message, enum_numbers=self.int_enums)

    def dump_page(self, key: str, page: Page[Any]) -> Json:
        """Write one page of a list, its rows under ``key``."""
        answer: dict[str, Any] = {key: [self.dump(item) for item in page.items]}
        if page.next_page_token:
            answer["nextPageToken"] = page.next_page_token
        if page.unreachable:
            answer["unreachable"] = list(page.unreachable)
        return answer

    def read_session(self) -> Session:
        """Read the body as a Session; raises InvalidArgument with every fault."""
        from jupyter_sessions.model import resources, wire

        return wire.parse(resources.Session, self.body, parent=self.location)

    def read_template(self, *required: str) -> SessionTemplate:
        """Read the body as a SessionTemplate with the ``required`` fields; raises InvalidArgument with every fault."""
        from jupyter_sessions.model import resources, wire

        return wire.parse(resources.SessionTemplate, self.body, parent=self.location, required=required)

    def mask(self, kind: type[Session] | type[SessionTemplate]) -> Sequence[str] | None:
        """Read ``updateMask``, None where every mutable field is meant; raises InvalidArgument."""
        from jupyter_sessions.model.merge import parse_mask

        return parse_mask(self.query["updateMask"], kind)


def dump_location(location: Location) -> Json:
    """Write a location."""
    return {
        "name": str(location.name),
        "locationId": location.name.location,
        "displayName": location.display_name,
        "labels": dict(location.labels),
        "metadata": dict(location.metadata),
    }


async def list_locations(api: SessionsApi, request: Request) -> Json:
    """Answer the configured locations of a project."""
    found = await api.list_locations(request.path["project"])
    return {"locations": [dump_location(location) for location in found]}


async def get_location(api: SessionsApi, request: Request) -> Json:
    """Answer one location."""
    return dump_location(await api.get_location(request.location))


async def create_session(api: SessionsApi, request: Request) -> Json:
    """Answer the operation that makes a session."""
    query = request.query
    try:
        session = request.read_session()
    except InvalidArgument as error:
        known = await api.repeated_create(request.caller, request.location, query["requestId"])
        if known is not None:
            return request.dump(known)
        session_id = query["sessionId"]
        of_id = gather(lambda: names.check_session_id(session_id)) if session_id else []
        raise InvalidArgument([*of_id, *error.violations]) from error
    made = await api.create_session(request.caller, request.location, session, query["sessionId"], query["requestId"])
    return request.dump(made)


async def list_sessions(api: SessionsApi, request: Request) -> Json:
    """Answer a page of sessions."""
    return request.dump_page("sessions", await api.list_sessions(request.caller, request.locations, request.page))


async def get_session(api: SessionsApi, request: Request) -> Json:
    """Answer one session."""
    return request.dump(await api.get_session(request.caller, request.session))


async def update_session(api: SessionsApi, request: Request) -> Json:
    """Answer the changed session."""
    name, session = request.session, request.read_session()
    return request.dump(await api.update_session(request.caller, name, session, request.mask(type(session))))


async def terminate_session(api: SessionsApi, request: Request) -> Json:
    """Answer the operation that ends a session."""
    request_id = read_terminate(request.body)
    return request.dump(await api.terminate_session(request.caller, request.session, request_id))


def read_terminate(body: Json) -> str:
    """Read the body of ``:terminate`` and give its request id, perhaps empty; raises InvalidArgument."""
    spellings = ("requestId", "request_id")
    faults = [
        FieldViolation(name, "is no field of this request; it takes requestId")
        for name in body
        if name not in spellings
    ]
    repeated: frozenset[str] = getattr(body, "repeated", frozenset())
    if all(name in body for name in spellings) or not repeated.isdisjoint(spellings):
        faults.append(FieldViolation("requestId", "is given more than once; keep one"))
    value = body.get("requestId", body.get("request_id"))
    if value is not None and not isinstance(value, str):
        faults.append(FieldViolation("requestId", "must be a string"))
    if faults:
        raise InvalidArgument(faults)
    return value or ""


async def delete_session(api: SessionsApi, request: Request) -> Json:
    """Answer the operation that removes a session."""
    return request.dump(await api.delete_session(request.caller, request.session, request.query["requestId"]))


async def read_log(api: SessionsApi, request: Request) -> Json:
    """Answer a piece of a session's log."""
    page = await api.read_log(request.caller, request.session, request.query["offset"], request.query["limit"])
    return {
        "content": page.content,
        "offset": page.offset,
        "nextOffset": page.next_offset,
        "truncated": page.truncated,
        "complete": page.complete,
    }


async def list_kernels(api: SessionsApi, request: Request) -> Json:
    """Answer the kernels of a session."""
    return {"kernels": [dict(kernel) for kernel in await api.list_kernels(request.caller, request.session)]}


async def create_template(api: SessionsApi, request: Request) -> Json:
    """Answer the stored template."""
    return request.dump(await api.create_template(request.caller, request.location, request.read_template("name")))


async def list_templates(api: SessionsApi, request: Request) -> Json:
    """Answer a page of templates."""
    page = await api.list_templates(request.caller, request.locations, request.page)
    return request.dump_page("sessionTemplates", page)


async def get_template(api: SessionsApi, request: Request) -> Json:
    """Answer one template."""
    return request.dump(await api.get_template(request.caller, request.template))


async def update_template(api: SessionsApi, request: Request) -> Json:
    """Answer the changed template."""
    name, template = request.template, request.read_template()
    return request.dump(await api.update_template(request.caller, name, template, request.mask(type(template))))


async def delete_template(api: SessionsApi, request: Request) -> Json:
    """Answer nothing: the template is gone."""
    await api.delete_template(request.caller, request.template)
    return {}


async def list_operations(api: SessionsApi, request: Request) -> Json:
    """Answer a page of operations."""
    partial = request.query["returnPartialSuccess"]
    page = await api.list_operations(request.caller, request.locations, request.page, partial)
    return request.dump_page("operations", page)


async def get_operation(api: SessionsApi, request: Request) -> Json:
    """Answer one operation."""
    return request.dump(await api.get_operation(request.caller, request.operation))


async def cancel_operation(api: SessionsApi, request: Request) -> Json:
    """Answer nothing: a running create is cancelled."""
    await api.cancel_operation(request.caller, request.operation)
    return {}


async def delete_operation(api: SessionsApi, request: Request) -> Json:
    """Answer nothing: the operation is forgotten."""
    await api.delete_operation(request.caller, request.operation)
    return {}
