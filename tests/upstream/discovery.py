"""Whether a request is one that the public API's discovery document knows: method, path, query and body."""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import jsonschema  # type: ignore[import-untyped]  # it ships no types

from tests.faults.server import Request


@functools.cache
def document() -> dict[str, Any]:
    """Read the discovery document."""
    path = importlib.resources.files("googleapiclient.discovery_cache.documents") / "dataproc.v1.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@functools.cache
def methods() -> dict[str, dict[str, Any]]:
    """Give each method of sessions, templates and operations by its id."""
    parts = document()["resources"]["projects"]["resources"]
    places = [parts[place]["resources"] for place in ("locations", "regions")]
    kinds = [
        place[kind] for place in places for kind in ("sessions", "sessionTemplates", "operations") if kind in place
    ]
    return {method["id"]: method for kind in kinds for method in kind["methods"].values()}


def method_of(request: Request) -> dict[str, Any] | None:
    """Give the method that a request calls, None where there is none."""
    path = unquote(request.path).removeprefix("/")
    for method in methods().values():
        # A template's last part takes no colon, so that :terminate is not taken for an id.
        pattern = re.sub(r"\{[^}]+\}", "[^/:]+", method["flatPath"])
        if method["httpMethod"] == request.method and re.fullmatch(pattern, path):
            return method
    return None


def faults(request: Request) -> Iterator[str]:
    """Give what the discovery document does not know of a request."""
    method = method_of(request)
    if method is None:
        yield f"no method of the API is {request.method} {request.path}"
        return
    path = set(re.findall(r"\{\+?(\w+)\}", method["path"]))
    known = {name for name in method["parameters"] if name not in path} | set(document()["parameters"])
    yield from (f"{method['id']}: query {name}" for name in request.query if name not in known)
    body = request.json() if request.body else None
    wanted = method.get("request", {}).get("$ref")
    if wanted is None:
        if body is not None:
            yield f"{method['id']}: takes no body"
        return
    checker = jsonschema.Draft7Validator({**_schemas(), "$ref": f"#/definitions/{wanted}"})
    for error in checker.iter_errors({} if body is None else body):
        yield f"{method['id']}: {error.json_path}: {error.message}"


@functools.cache
def _schemas() -> dict[str, Any]:
    return {"definitions": {name: _strict(schema) for name, schema in document()["schemas"].items()}}


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Give a discovery schema as JSON Schema that allows no unknown and no output-only field."""
    if "$ref" in schema:
        return {"$ref": f"#/definitions/{schema['$ref']}"}
    out: dict[str, Any] = {"type": schema.get("type", "object")}
    if out["type"] == "any":
        return {}
    if "enum" in schema:
        out["enum"] = schema["enum"]
    if "items" in schema:
        out["items"] = _strict(schema["items"])
    if "properties" in schema:
        fields = {name: field for name, field in schema["properties"].items() if not field.get("readOnly")}
        out |= {"properties": {name: _strict(field) for name, field in fields.items()}, "additionalProperties": False}
    elif "additionalProperties" in schema:
        out["additionalProperties"] = _strict(schema["additionalProperties"])
    return out
