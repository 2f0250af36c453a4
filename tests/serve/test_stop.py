"""Health, and a stop that lets open requests finish and sessions run on."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from pathlib import Path

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.serve.serving import LOCATION, OWN, Served, serving, until


async def health(served: Served) -> tuple[int, dict[str, str]]:
    """Ask for the service's health."""
    answer = await asyncio.to_thread(served.request, "", "GET", "healthz")
    return answer.status_code, answer.json()


async def test_a_healthy_service_says_so_to_anybody(tmp_path: Path) -> None:
    async with serving(tmp_path, users=[OWN], admins=[]) as served:
        assert await health(served) == (200, {"status": "ok"})
        for method, status in (("HEAD", 200), ("POST", 405)):
            assert (await asyncio.to_thread(served.request, "", method, "healthz")).status_code == status


async def test_a_store_that_cannot_be_used_is_no_health(tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir(mode=0o700)
    (tmp_path / "sessions" / "sessions.db").write_bytes(b"this is no database" * 100)
    async with serving(tmp_path, users=[OWN], admins=[]) as served:
        status, answer = await health(served)
        assert status == 503 and answer["status"] == "unavailable" and "sessions.db" in answer["reason"]
        refused = await served.call(OWN, "GET", f"{LOCATION}/sessions", ok=False)
        assert refused["error"]["status"] == "UNAVAILABLE"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_sessions_outlive_a_stop_and_the_next_service_takes_them_up(tmp_path: Path, number: int) -> None:
    async with serving(tmp_path, users=[OWN], admins=[]) as served:
        before = await served.active(OWN, "lasting-one")
        hosts = {process.pid for process in served.processes()}
        assert await served.stop(number) == 0
        assert {process.pid for process in served.processes()} == hosts != set()
        await served.start()
        after = await served.call(OWN, "GET", f"{LOCATION}/sessions/lasting-one")
        assert (after["uuid"], after["state"], after["stateTime"]) == (before["uuid"], "ACTIVE", before["stateTime"])
        kernels = await served.call(OWN, "GET", f"{LOCATION}/sessions/lasting-one/kernels")
        assert kernels == {"kernels": []}
        await served.call(OWN, "DELETE", f"{LOCATION}/sessions/lasting-one")
        await until(lambda: not served.processes(), "the session to end", 30.0)


async def test_an_open_request_is_answered_and_a_new_one_refused_while_the_service_stops(tmp_path: Path) -> None:
    async with serving(tmp_path, users=[OWN], admins=[]) as served:
        port = int(served.url.rpartition(":")[2])
        body = b'{"labels": {"slow": "yes"}}'
        head = [f"POST /v1/{LOCATION}/sessions?sessionId=slow-one HTTP/1.1", "Host: localhost"]
        head += [f"Authorization: {served.headers(OWN)['Authorization']}", "Content-Type: application/json"]
        head += [f"Content-Length: {len(body)}", "", ""]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write("\r\n".join(head).encode() + body[:5])
            await writer.drain()
            # Its head has been read once a later request was answered.
            assert (await health(served))[0] == 200
            assert served.process is not None
            served.process.send_signal(signal.SIGTERM)

            async def stopping() -> bool:
                return (await health(served))[0] == 503

            await until(stopping, "the service to say that it stops", 10.0)
            assert (await health(served))[1]["reason"] == "the service is stopping"
            refused = await asyncio.to_thread(served.request, OWN, "GET", f"v1/{LOCATION}/sessions")
            assert refused.status_code == 503 and refused.headers["Retry-After"]
            writer.write(body[5:])
            answer = await asyncio.wait_for(reader.read(), 20)
            assert answer.split(b"\r\n")[0].split()[1] == b"200", answer
            assert b'"Create session"' in answer
        finally:
            writer.close()
        assert await served.stop() == 0


async def test_a_watch_is_closed_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with serving(tmp_path, users=[OWN], admins=[]) as served:
        url = f"{served.url}/v1/{LOCATION}/sessions:watch".replace("http", "ws", 1)
        watch = await websocket_connect(HTTPRequest(url, headers=served.headers(OWN)))
        headers = {**served.headers(OWN), "Accept": "text/event-stream"}
        with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as events:
            lines = [f"GET /v1/{LOCATION}/sessions:watch HTTP/1.1", "Host: localhost"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            events.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            assert await asyncio.to_thread(events.recv, 4096)
            began = time.monotonic()
            assert await served.stop() == 0
            assert time.monotonic() - began < 8
            assert await watch.read_message() is None
            assert (watch.close_code, watch.close_reason) == (1001, "the server stops")
            watch.close()
