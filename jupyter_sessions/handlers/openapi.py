"""The OpenAPI 3.1 document, made from the route table and the models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jupyter_sessions
from jupyter_sessions.handlers.query import Parameter
from jupyter_sessions.handlers.refusals import MAX_BODY
from jupyter_sessions.handlers.routes import AFTER, CONNECT, PREFIX, ROUTES, WATCH, Route
from jupyter_sessions.model import errors

Schema = dict[str, Any]
_REF = "#/components/schemas/{model}"
_TEXT: Schema = {"type": "string"}
_ERRORS: dict[int, str] = {
    400: "INVALID_ARGUMENT or FAILED_PRECONDITION",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED: the path does not take this HTTP method",
    409: "ALREADY_EXISTS or ABORTED",
    413: f"INVALID_ARGUMENT: the body has more than {MAX_BODY} bytes",
    415: "INVALID_ARGUMENT: the body is not application/json",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_BODY_ERRORS = (413, 415)


def document(base_url: str) -> Schema:
    """Give the whole document for a server whose base URL is ``base_url``."""
    paths: dict[str, Schema] = {}
    for route in ROUTES:
        for path in _spellings(route.path):
            suffix = "" if path == route.path else ".regions"
            paths.setdefault(f"/{path}", {})[route.verb.lower()] = _operation(route, route.id + suffix)
    paths[f"/{WATCH}"] = {"get": _watch()}
    paths[f"/{CONNECT}"] = {"get": _connect()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jupyter Sessions",
            "version": jupyter_sessions.__version__,
            "description": (
                "Sessions, their templates and operations in proto3 JSON. Any method also takes the standard query "
                "parameters alt and $alt (json, or json;enum-encoding=int for enums as numbers), fields, prettyPrint, "
                "key, quotaUser, uploadType and upload_protocol."
            ),
        },
        "servers": [{"url": f"{base_url.rstrip('/')}/{PREFIX}"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "The server's token."}},
            "schemas": {**_model_schemas(), **_own_schemas()},
            "responses": {str(code): _error_response(text) for code, text in _ERRORS.items()},
        },
    }


def _spellings(path: str) -> Iterator[str]:
    yield path
    if "/operations" in path:
        yield path.replace("/locations/", "/regions/")


def _operation(route: Route, operation_id: str) -> Schema:
    codes = [code for code in _ERRORS if route.body or code not in _BODY_ERRORS]
    found: Schema = {
        "operationId": operation_id,
        "summary": route.summary,
        "tags": [route.id.partition(".")[0]],
        "parameters": [*_path_parameters(route.path), *map(_query_parameter, route.query)],
        "responses": {"200": _success(route.answer, route.summary), **_error_refs(codes)},
    }
    if route.body:
        found["requestBody"] = {"content": {"application/json": {"schema": _ref(route.body)}}}
        found["requestBody"]["required"] = route.body != "TerminateSessionRequest"
    return found


def _watch() -> Schema:
    return {
        "operationId": "sessions.watch",
        "summary": "Follow the changes of sessions, as a websocket or as server-sent events",
        "tags": ["sessions"],
        "parameters": [*_path_parameters(WATCH), _query_parameter(AFTER)],
        "responses": {
            "101": {"description": "A websocket, one Change as JSON in each text frame"},
            "200": {
                "description": "Server-sent events (Accept: text/event-stream), one Change as JSON in each data",
                "content": {"text/event-stream": {"schema": _TEXT}},
            },
            **_error_refs([code for code in _ERRORS if code not in _BODY_ERRORS]),
        },
    }


def _connect() -> Schema:
    summary = "Tell how a location is connected: the file that names it, and what may stand there"
    return {
        "operationId": "connect.get",
        "summary": summary,
        "tags": ["connect"],
        "responses": {
            "200": _success("ConnectHelp", summary),
            **_error_refs([code for code in _ERRORS if code not in _BODY_ERRORS]),
        },
    }


def _path_parameters(path: str) -> list[Schema]:
    names = [part.partition("}")[0] for part in path.split("{")[1:]]
    rule = {"type": "string", "minLength": 1, "maxLength": 253}
    return [{"name": name, "in": "path", "required": True, "schema": rule} for name in names]


def _query_parameter(parameter: Parameter) -> Schema:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _success(answer: str, summary: str) -> Schema:
    return {"description": summary, "content": {"application/json": {"schema": _ref(answer)}}}


def _error_refs(codes: Sequence[int]) -> Schema:
    return {str(code): {"$ref": f"#/components/responses/{code}"} for code in codes}


def _error_response(text: str) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": _ref("Error")}}}


def _ref(name: str) -> Schema:
    return {"$ref": _REF.format(model=name)}


def _object(properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    found: Schema = {"type": "object", "properties": dict(properties)}
    return {**found, "required": list(required)} if required else found


def _list_of(key: str, item: Schema) -> Schema:
    rows = {"type": "array", "items": item}
    unreachable = {
        "type": "array",
        "items": _TEXT,
        "description": "Locations that did not answer a list over several.",
    }
    return _object({key: rows, "nextPageToken": _TEXT, "unreachable": unreachable}, [key])


def _model_schemas() -> dict[str, Schema]:
    from pydantic.json_schema import models_json_schema

    from jupyter_sessions.model import resources

    kinds = (resources.Session, resources.SessionTemplate, resources.Operation)
    _, found = models_json_schema([(kind, "validation") for kind in kinds], ref_template=_REF)
    schemas: dict[str, Schema] = found["$defs"]
    return schemas


def _own_schemas() -> dict[str, Schema]:
    statuses = sorted({kind.status for kind in errors.KINDS})
    whole: Schema = {"type": "integer"}
    labels: Schema = {"type": "object", "additionalProperties": _TEXT}
    error = _object(
        {
            "code": {"type": "integer", "description": "The HTTP status."},
            "status": {"type": "string", "enum": statuses},
            "message": _TEXT,
            "details": {"type": "array", "items": {"type": "object"}},
        },
        ["code", "status", "message", "details"],
    )
    location = {"name": _TEXT, "locationId": _TEXT, "displayName": _TEXT, "labels": labels, "metadata": _object({})}
    log = {"content": _TEXT, "offset": whole, "nextOffset": whole, "truncated": {"type": "boolean"}}
    log["complete"] = {"type": "boolean"}
    kernel = {"id": _TEXT, "name": _TEXT, "execution_state": _TEXT, "last_activity": _TEXT, "connections": whole}
    kernels: Schema = {"type": "array", "items": _object(kernel, ["id", "name"])}
    example = _object({"title": _TEXT, "yaml": _TEXT}, ["title", "yaml"])
    connect = {"path": _TEXT, "examples": {"type": "array", "items": example}}
    return {
        "Empty": {"type": "object", "maxProperties": 0},
        "ConnectHelp": _object(connect, list(connect)),
        "Error": _object({"error": error}, ["error"]),
        "Location": _object(location, list(location)),
        "ListLocationsResponse": _object({"locations": {"type": "array", "items": _ref("Location")}}, ["locations"]),
        "ListSessionsResponse": _list_of("sessions", _ref("Session")),
        "ListSessionTemplatesResponse": _list_of("sessionTemplates", _ref("SessionTemplate")),
        "ListOperationsResponse": _list_of("operations", _ref("Operation")),
        "TerminateSessionRequest": _object({"requestId": _TEXT}),
        "Log": _object(log, list(log)),
        "ListKernelsResponse": _object({"kernels": kernels}, ["kernels"]),
        "Change": _change(whole),
    }


def _change(whole: Schema) -> Schema:
    change = {
        "sequence": whole,
        "reset": {"type": "boolean", "description": "The log is shorter than asked for: list again."},
        "location": {"type": "string", "description": "Only in a stream over several locations."},
    }
    for name in ("session", "sessionUuid", "oldState", "newState", "stateMessage", "time"):
        change[name] = _TEXT
    return _object(change, ["sequence"])
