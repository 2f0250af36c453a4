"""Two users and an admin on one service: over REST, events and websockets, nothing of one is the other's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pwd
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from tests.serve.serving import LOCATION, Served, serving, until

SESSION = f"{LOCATION}/sessions/alices-own"
TEMPLATE = f"{LOCATION}/sessionTemplates/alices"


async def prepared(served: Served) -> str:
    """Make a session and a template of Alice's; give the name of her create operation."""
    operation = await served.call("alice", "POST", f"{LOCATION}/sessions?sessionId=alices-own&requestId=first", {})
    await served.call("alice", "POST", f"{LOCATION}/sessionTemplates", {"name": TEMPLATE})

    async def look() -> bool:
        return bool((await served.call("alice", "GET", SESSION))["state"] == "ACTIVE")

    await until(look, "Alice's session to be ACTIVE", 60.0)
    return str(operation["name"])


def methods(operation: str) -> Sequence[tuple[str, str, Any]]:
    """Give every method that names one thing, on Alice's: HTTP method, path, body; the last ones end them."""
    return (
        ("GET", SESSION, None),
        ("PATCH", f"{SESSION}?updateMask=labels", {"labels": {"x": "y"}}),
        ("GET", f"{SESSION}/logs", None),
        ("GET", f"{SESSION}/kernels", None),
        ("GET", TEMPLATE, None),
        ("PATCH", TEMPLATE, {"description": "changed"}),
        ("POST", f"{LOCATION}/sessions", {"sessionTemplate": TEMPLATE}),
        ("GET", operation, None),
        ("GET", operation.replace("/locations/", "/regions/"), None),
        ("POST", f"{operation}:cancel", None),
        ("POST", f"{SESSION}:terminate", {}),
        ("DELETE", TEMPLATE, None),
        ("DELETE", operation, None),
        ("DELETE", SESSION, None),
    )


async def test_over_rest_what_is_anothers_is_not_found(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        operation = await prepared(served)
        for prefix in ("v1", "jupyter-sessions/v1"):
            for method, path, body in methods(operation):
                answer = await asyncio.to_thread(served.request, "bob", method, f"{prefix}/{path}", body)
                assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND"), (method, path)
        for collection in ("sessions", "sessionTemplates", "operations"):
            for parent in (LOCATION, "projects/-/locations/-"):
                found = await served.call(
                    "bob", "GET", f"{parent}/{collection}?filter=create_time > 2000-01-01T00:00:00Z"
                )
                assert found.get(collection, []) == [], found
        refused = await served.call("bob", "POST", f"{LOCATION}/sessions?sessionId=alices-own", {}, ok=False)
        assert refused["error"]["status"] == "ALREADY_EXISTS"
        again = await served.call("bob", "POST", f"{LOCATION}/sessions?sessionId=bobs-own&requestId=first", {})
        assert again["metadata"]["session"] == f"{LOCATION}/sessions/bobs-own"
        other = await served.call("bob", "POST", f"{LOCATION}/sessions", {"user": "alice"}, ok=False)
        assert other["error"]["status"] == "PERMISSION_DENIED" and "user: 'alice'" in other["error"]["message"]
        session = await served.call("alice", "GET", SESSION)
        assert (session["state"], session["creator"], session["user"]) == ("ACTIVE", "alice", "alice")
        assert "labels" not in session
        assert "description" not in await served.call("alice", "GET", TEMPLATE)
        assert (await served.call("alice", "GET", operation))["done"]


async def test_an_admin_reaches_what_is_everybodys(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        operation = await prepared(served)
        await served.call("bob", "POST", f"{LOCATION}/sessionTemplates", {"name": TEMPLATE.replace("alices", "bobs")})
        found = await served.call("root", "GET", f"{LOCATION}/sessionTemplates")
        assert {row["name"].rpartition("/")[2] for row in found["sessionTemplates"]} == {"alices", "bobs"}
        made = await served.call("root", "POST", f"{LOCATION}/sessions?sessionId=for-alice", {"user": "alice"})
        session = await served.call("alice", "GET", made["metadata"]["session"])
        assert (session["creator"], session["user"]) == ("root", "alice")
        for method, path, body in methods(operation):
            if path == f"{LOCATION}/sessions":
                body = {**body, "user": "alice"}
            answer = await asyncio.to_thread(served.request, "root", method, f"v1/{path}", body)
            assert answer.ok, (method, path, answer.text)


async def test_each_users_sessions_run_as_their_own_account(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.active("alice", "alices-own")
        await served.active("bob", "bobs-own")
        hosts = served.processes()
        assert {process.username() for process in hosts} == {"alice", "bob"}
        assert all(set(process.uids()) == {pwd.getpwnam(process.username()).pw_uid} for process in hosts)
        log = await served.call("alice", "GET", f"{SESSION}/logs")
        assert log["offset"] == 0
        assert await served.call("alice", "GET", f"{SESSION}/kernels") == {"kernels": []}
        refused = await served.call("root", "POST", f"{LOCATION}/sessions", {}, ok=False)
        (violation,) = refused["error"]["details"][0]["fieldViolations"]
        assert violation["field"] == "user" and "never run as 'root'" in violation["description"]
        await served.stop()
        assert {process.username() for process in served.processes()} == {"alice", "bob"}
        await served.start()
        assert (await served.call("alice", "GET", SESSION))["state"] == "ACTIVE"
        await served.call("alice", "DELETE", SESSION)
        await until(lambda: {process.username() for process in served.processes()} == {"bob"}, "Alice's to end", 30.0)


async def events(served: Served, user: str, path: str) -> AsyncIterator[dict[str, Any]]:
    """Give what a stream of server-sent events tells ``user``."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    rest = b""

    def take(chunk: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                told.put_nowait(json.loads(line[6:]))

    headers = {**served.headers(user), "Accept": "text/event-stream"}
    client = AsyncHTTPClient(force_instance=True)
    request = HTTPRequest(f"{served.url}/{path}", headers=headers, streaming_callback=take, request_timeout=120)
    fetched = client.fetch(request, raise_error=False)
    fetched.add_done_callback(lambda done: done.exception())
    try:
        while True:
            yield await told.get()
    finally:
        client.close()


async def frames(served: Served, user: str, path: str) -> AsyncIterator[dict[str, Any]]:
    """Give what a websocket tells ``user``."""
    url = f"{served.url}/{path}".replace("http", "ws", 1)
    socket = await websocket_connect(HTTPRequest(url, headers=served.headers(user)))
    try:
        while (message := await socket.read_message()) is not None:
            yield json.loads(message)
    finally:
        socket.close()
        while await socket.read_message() is not None:
            pass


@pytest.mark.parametrize("stream", [events, frames])
async def test_a_stream_tells_only_of_ones_own_sessions(tmp_path: Path, stream: Any) -> None:
    async with serving(tmp_path) as served:
        told: dict[tuple[str, str], list[dict[str, Any]]] = {}

        async def follow(user: str, path: str) -> None:
            async with contextlib.aclosing(stream(served, user, path)) as changes:
                async for change in changes:
                    told[user, path].append(change)

        one, many = f"v1/{LOCATION}/sessions:watch?after=0", "v1/projects/-/locations/-/sessions:watch"
        many += f"?after={LOCATION},0"
        tasks = []
        for user in ("alice", "bob", "root"):
            for path in (one, many):
                told[user, path] = []
                tasks.append(asyncio.ensure_future(follow(user, path)))
        await prepared(served)
        await served.call("bob", "POST", f"{LOCATION}/sessions?sessionId=bobs-own", {})
        await served.call("alice", "DELETE", SESSION)

        def gone(user: str, path: str) -> bool:
            return any(change["newState"] == "STATE_UNSPECIFIED" for change in told[user, path])

        for path in (one, many):
            for user in ("alice", "root"):
                await until(lambda u=user, p=path: gone(u, p), f"{user} to be told of the delete", 30.0)  # type: ignore[misc]  # mypy knows no types of a lambda's defaults
            await until(lambda p=path: told["bob", p], "Bob to be told of his session")  # type: ignore[misc]  # as above
            for user, expected in (("alice", {"alices-own"}), ("bob", {"bobs-own"})):
                assert {change["session"].rpartition("/")[2] for change in told[user, path]} == expected
            everybodys = {change["session"].rpartition("/")[2] for change in told["root", path]}
            assert everybodys == {"alices-own", "bobs-own"}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_nobody_is_let_in_without_a_token_of_their_own(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        url = f"{served.url}/v1/{LOCATION}/sessions"
        plain: list[dict[str, Any]] = [
            {},
            {"headers": {"Authorization": "Bearer the-token-of-nobody"}},
            {"headers": {"Authorization": "Basic the-token-of-alice"}},
            {"cookies": {"username": "alice", "token": served.token("alice")}},
            {"params": {"token": served.token("alice")}},
            {"params": {"access_token": served.token("alice")}},
        ]
        for options in plain:
            answer = await asyncio.to_thread(served.request, "", "GET", url.removeprefix(served.url), None, **options)
            assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED"), options
            assert answer.headers["WWW-Authenticate"].startswith("Bearer") and "Set-Cookie" not in answer.headers
        for scheme in ("Bearer", "bearer", "token"):
            headers = {"Authorization": f"{scheme} {served.token('alice')}"}
            answer = await asyncio.to_thread(served.request, "", "GET", url.removeprefix(served.url), headers=headers)
            assert answer.ok and "Set-Cookie" not in answer.headers
        for path in ("sessions:watch", "sessions:watch?token=the-token-of-alice"):
            with pytest.raises(HTTPClientError) as refused:
                await websocket_connect(f"{served.url}/v1/{LOCATION}/{path}".replace("http", "ws", 1))
            assert refused.value.code == 401
        assert served.token("alice") not in served.log and "the-token-of" not in served.log


async def test_a_browser_elsewhere_gets_nowhere(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        path = f"v1/{LOCATION}/sessions"
        rebound = await asyncio.to_thread(served.request, "alice", "GET", path, headers={"Host": "evil.example"})
        assert rebound.status_code == 403 and "Host header" in rebound.json()["error"]["message"]
        headers = {"Origin": "https://evil.example", "Cookie": "_xsrf=x"}
        posted = await asyncio.to_thread(served.request, "", "POST", path, {}, headers=headers)
        assert posted.status_code == 401
