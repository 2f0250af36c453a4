"""What the client does about a peer that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from jupyter_sessions.client import SessionsClient
from jupyter_sessions.client.errors import ServerGone
from jupyter_sessions.model.errors import (
    InvalidArgument,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from tests.faults.replies import (
    black_hole,
    error,
    garbage,
    html,
    ok,
    raw,
    redirect,
    reset,
    too_many,
    truncated,
    unauthenticated,
    unavailable,
)
from tests.faults.server import FaultServer, Reply
from tests.faults.sockets import nobody

T = TypeVar("T")
PLACE = "projects/p/locations/l"
SESSION = {"name": f"{PLACE}/sessions/etl-1", "state": "ACTIVE"}
OPERATION = {"name": f"{PLACE}/operations/o1", "metadata": {"session": SESSION["name"]}}


async def asked(server: FaultServer, call: Callable[[SessionsClient], T], **options: Any) -> T:
    """Call a client of this server off the loop."""
    with SessionsClient(server.url, "secret", PLACE, **options) as client:
        return await asyncio.to_thread(call, client)


@pytest.mark.parametrize(
    "fault", [unavailable(), too_many("0"), reset(), truncated(), error(504, "DEADLINE_EXCEEDED", "slow")]
)
async def test_what_is_safe_is_repeated(fault: Reply) -> None:
    async with FaultServer(fault, ok(SESSION)) as server:
        assert (await asked(server, lambda client: client.get("etl-1"))).name == SESSION["name"]
        assert len(server.requests) == 2


@pytest.mark.parametrize("call", ["create", "terminate", "delete"])
async def test_a_repeated_change_has_the_same_request_id(call: str) -> None:
    async with FaultServer(reset(), unavailable(), ok(OPERATION)) as server:
        await asked(server, lambda client: getattr(client, call)("etl-1"))
    ids = [
        request.json()["requestId"] if call == "terminate" else request.query["requestId"]
        for request in server.requests
    ]
    assert len(ids) == 3 and len(set(ids)) == 1 and ids[0]


@pytest.mark.parametrize("fault", [unavailable(), reset()])
async def test_what_might_be_done_twice_is_sent_once(fault: Reply) -> None:
    async with FaultServer(otherwise=fault) as server:
        with pytest.raises(Unavailable):
            await asked(server, lambda client: client.templates.create("small"))
        with pytest.raises(Unavailable):
            await asked(server, lambda client: client.templates.delete("small"))
        assert [request.method for request in server.requests] == ["POST", "DELETE"]


async def test_a_wait_that_is_asked_for_is_kept_and_a_long_one_is_the_error() -> None:
    async with FaultServer(too_many("1"), ok(SESSION)) as server:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asked(server, lambda client: client.get("etl-1"))
        assert loop.time() - began >= 1
    async with FaultServer(otherwise=too_many("3600")) as server:
        with pytest.raises(ResourceExhausted):
            await asked(server, lambda client: client.get("etl-1"))
        assert len(server.requests) == 1


async def test_errors_come_back_as_they_were_sent() -> None:
    rows = [
        {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": "a", "description": "b"}]}
    ]
    async with FaultServer(otherwise=error(400, "INVALID_ARGUMENT", "a: b", rows)) as server:
        with pytest.raises(InvalidArgument, match="a: b") as refused:
            await asked(server, lambda client: client.get("etl-1"))
    assert [(fault.field, fault.description) for fault in refused.value.violations] == [("a", "b")]


async def test_a_redirect_is_not_followed_and_the_token_goes_nowhere() -> None:
    async with FaultServer() as elsewhere, FaultServer(otherwise=redirect(f"{elsewhere.url}/login")) as server:
        with pytest.raises(Unauthenticated) as refused:
            await asked(server, lambda client: client.get("etl-1"))
        assert elsewhere.requests == [] and "secret" not in str(refused.value)
        assert server.requests[0].headers["authorization"] == "token secret"


@pytest.mark.parametrize("answer", [garbage(), html()])
async def test_what_is_no_json_is_said_to_be_none(answer: Reply) -> None:
    async with FaultServer(otherwise=answer) as server:
        with pytest.raises(Unavailable, match="where JSON was expected"):
            await asked(server, lambda client: client.get("etl-1"))


async def test_a_server_without_the_extension_is_said_to_be_one() -> None:
    for reply in (html(404), raw(404, b'{"message": "Not Found"}', {"Content-Type": "application/json"})):
        async with FaultServer(otherwise=reply) as server:
            with pytest.raises(Unimplemented, match="has no jupyter_sessions"):
                await asked(server, lambda client: client.get("etl-1"))


async def test_a_refused_token_is_said_with_the_remedy() -> None:
    async with FaultServer(otherwise=unauthenticated()) as server:
        with pytest.raises(Unauthenticated, match="JUPYTER_SESSIONS_TOKEN"):
            await asked(server, lambda client: client.get("etl-1"))


async def test_a_black_hole_and_nobody_are_given_up() -> None:
    async with FaultServer(otherwise=black_hole()) as server:
        with pytest.raises(ServerGone, match=r"did not answer in 0\.2 s"):
            await asked(server, lambda client: client.templates.create("small"), timeout=0.2)
    with nobody() as port, SessionsClient(f"http://127.0.0.1:{port}", "secret", PLACE) as client:
        with pytest.raises(ServerGone, match="refused") as gone:
            await asyncio.to_thread(client.templates.create, "small")
        assert client.url in str(gone.value) and "secret" not in str(gone.value)
