"""How a location is connected: told from what the extension gives, without the service."""

from __future__ import annotations

import dataclasses
from typing import Any

from jupyter_sessions.handlers.resources import connect_help
from tests.handlers.serving import extension_of, rest

HELP = {"path": "/etc/jupyter/jupyter_sessions/locations.yaml", "examples": [{"title": "Google", "yaml": "a: 1\n"}]}


def _give(serverapp: Any, connect: Any) -> None:
    """Let the server's handler of ``connect`` have another setup."""
    routers = [rule.target for rule in serverapp.web_app.default_router.rules]
    every = [rule for router in routers for rule in router.rules]
    rules = [rule for rule in every if rule.target_kwargs.get("document") is connect_help]
    assert len(rules) == 1
    arguments = rules[0].target_kwargs
    arguments["setup"] = dataclasses.replace(arguments["setup"], connect=connect)


async def test_what_the_extension_gives_is_answered(jp_serverapp: Any, http_server_client: Any) -> None:
    _give(jp_serverapp, lambda: HELP)
    answer = await rest(jp_serverapp, http_server_client)("GET", "connect")
    assert (answer.status, answer.body) == (200, HELP)


async def test_it_is_answered_where_the_service_could_not_start(jp_serverapp: Any, http_server_client: Any) -> None:
    _give(jp_serverapp, lambda: HELP)
    extension_of(jp_serverapp).gate.close("a location is faulty")
    call = rest(jp_serverapp, http_server_client)
    (await call("GET", "projects/-/locations")).refused(503, "UNAVAILABLE")
    assert (await call("GET", "connect")).body == HELP


async def test_the_extension_tells_the_file_and_examples_without_a_secret(
    jp_serverapp: Any, http_server_client: Any
) -> None:
    body = (await rest(jp_serverapp, http_server_client)("GET", "connect")).body
    assert body["path"].endswith(".yaml")
    assert len(body["examples"]) > 1
    for example in body["examples"]:
        assert example["title"] and "locations:" in example["yaml"]


async def test_it_is_for_readers_and_only_to_read(jp_serverapp: Any, http_server_client: Any) -> None:
    call = rest(jp_serverapp, http_server_client)
    (await call("POST", "connect", {})).refused(405, "UNIMPLEMENTED")
    (await call("GET", "connect?other=1")).refused(400, "INVALID_ARGUMENT")
    assert (await call("GET", "connect", headers={"Authorization": ""})).status == 401
    _give(jp_serverapp, None)
    (await call("GET", "connect")).refused(404, "NOT_FOUND")
