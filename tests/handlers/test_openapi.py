"""The OpenAPI document: complete, true, and served; schemathesis calls what it declares."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from jupyter_sessions.handlers.openapi import document
from jupyter_sessions.handlers.routes import ROUTES, by_path, pattern
from tests.handlers.serving import PARENT, ROOT, embedded, rest, until_done

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
)
EXAMPLES = 30
"""Examples for each operation of the document."""
VERBS = ("get", "post", "patch", "delete")


async def test_the_document_is_served_to_callers_with_a_token(jp_serverapp: Any, http_server_client: Any) -> None:
    call = rest(jp_serverapp, http_server_client)
    answer = await call("GET", "openapi.json")
    assert (answer.status, answer.body["openapi"]) == (200, "3.1.0")
    assert answer.body["servers"] == [{"url": ROOT.rstrip("/")}]


def test_every_route_and_no_other_is_in_the_document() -> None:
    found = document("/")
    declared = {
        (verb.upper(), path) for path, operations in found["paths"].items() for verb in operations if verb in VERBS
    }
    routes = {(route.verb, f"/{route.path}") for route in ROUTES}
    regions = {(verb, path.replace("/locations/", "/regions/")) for verb, path in routes if "/operations" in path}
    assert declared == routes | regions | {("GET", f"/{PARENT_TEMPLATE}/sessions:watch"), ("GET", "/connect")}
    ids = [operation["operationId"] for item in found["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


PARENT_TEMPLATE = "projects/{project}/locations/{location}"


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    found = document("/")
    references: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            references.update([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
            for child in value.values():
                walk(child)
        elif isinstance(value, list):
            for child in value:
                walk(child)

    walk(found)
    for reference in references:
        target: Any = found
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    session = found["components"]["schemas"]["Session"]["properties"]
    assert session["state"]["readOnly"] is True and "readOnly" not in session["labels"]


def test_patterns_take_their_own_path_alone() -> None:
    parts = {"project": "p", "location": "l", "session": "sess", "template": "t", "operation": "o"}
    paths = {path: re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], path) for path in by_path()}
    for path, example in paths.items():
        taken = [other for other in paths if re.fullmatch(pattern(other), example)]
        assert taken == [path]


async def test_real_answers_are_as_declared(jp_serverapp: Any, http_server_client: Any, tmp_path: Path) -> None:
    call = rest(jp_serverapp, http_server_client)
    schemas = document("/")["components"]

    def check(name: str, body: Any) -> None:
        Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": schemas}).validate(body)

    async with embedded(jp_serverapp, tmp_path):
        made = await call("POST", f"{PARENT}/sessions?sessionId=my-session", {"labels": {"a": "b"}})
        check("Operation", made.body)
        check("Operation", await until_done(call, made.body))
        check("Session", (await call("GET", f"{PARENT}/sessions/my-session")).body)
        check("ListSessionsResponse", (await call("GET", f"{PARENT}/sessions")).body)
        check("ListLocationsResponse", (await call("GET", "projects/local/locations")).body)
        check("Error", (await call("GET", "nothing")).body)


async def test_schemathesis_finds_no_answer_that_is_not_declared(
    jp_serverapp: Any, http_server_client: Any, jp_http_port: int, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{jp_http_port}{ROOT}".rstrip("/")
    headers = {"Authorization": f"Bearer {jp_serverapp.identity_provider.token}"}
    call = rest(jp_serverapp, http_server_client)
    async with embedded(jp_serverapp, tmp_path):
        await call("POST", f"{PARENT}/sessions?sessionId=my-session", {})
        await call("POST", f"{PARENT}/sessionTemplates", {"name": f"{PARENT}/sessionTemplates/small"})
        tried = await asyncio.to_thread(try_operations, url, headers)
    # The operations stand there under regions too; the help to connect is no method of the service.
    assert len(tried) == len(ROUTES) + 4 + 1
    assert all(count > 0 for count in tried.values())


# Beside what is generated, so that calls get past the names; None leaves what was generated.
KNOWN = {"project": "local", "location": "local", "session": "my-session", "template": "small"}


def try_operations(url: str, headers: dict[str, str]) -> dict[str, int]:
    """Call every operation but the stream with generated requests; gives how often each was called."""
    schema: Any = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)
    tried: dict[str, int] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith(":watch"):
            continue
        tried[operation.label] = try_operation(operation, url, headers)
    return tried


def try_operation(operation: Any, url: str, headers: dict[str, str]) -> int:
    """Call one operation with generated requests and check each answer; gives how often."""
    calls = 0

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), known=st.sampled_from((True, True, False)))
    def attempt(case: Any, known: bool) -> None:
        nonlocal calls
        if known and case.path_parameters:
            case.path_parameters = {name: KNOWN.get(name, value) for name, value in case.path_parameters.items()}
        case.call_and_validate(base_url=url, headers=headers, checks=CHECKS)
        calls += 1

    attempt()
    return calls
