"""Requests and websockets to a gateway: through proxies, with certificates, to no other host, freshly signed in."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.engines.hostlink import AnswerLost, HostRefused, HostUnreachable
from jupyter_sessions.upstream import gateway_tunnel
from jupyter_sessions.upstream.gateway_wire import Wire, fault_of
from tests.faults.certificates import authority
from tests.faults.replies import black_hole, cut, html, redirect, reset, truncated
from tests.faults.server import FaultServer
from tests.faults.sockets import Proxy, full_queue, nobody
from tests.kernels.gateway_peer import TOKEN, Gateway, a_gateway
from tests.kernels.peer import until
from tests.upstream.carrying import Passes


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine's own settings decide nothing."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextlib.asynccontextmanager
async def a_wire(url: str, **options: Any) -> AsyncIterator[Wire]:
    """Make a wire and close it."""
    wire = Wire(url, options.pop("credentials", None) or Passes([TOKEN, "second"]), **options)
    try:
        yield wire
    finally:
        wire.close()


async def speak(wire: Wire, peer: Gateway) -> None:
    """Ask by REST and say something on a websocket, and see both arrive."""
    status, answer = await wire.request("GET", "/api/kernels")
    assert (status, answer) == (200, [])
    heard: list[Any] = []
    socket = await wire.websocket("/api/kernels/k1/channels?session_id=s", sink=heard.append)
    frame = {"header": {"msg_type": "kernel_info_request", "msg_id": "m1"}, "channel": "control"}
    await socket.write_message(json.dumps(frame))
    await until(lambda: heard)
    assert json.loads(heard[0])["parent_header"]["msg_id"] == "m1"
    assert peer.received == [frame]
    socket.close()
    await until(lambda: heard[-1] is None)


async def test_a_peer_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    mine = authority(tmp_path)
    async with a_gateway(tls=mine.server) as peer:
        async with a_wire(peer.url, verify=str(mine.bundle)) as wire:
            await speak(wire, peer)
        async with a_wire(peer.url, verify=False) as wire:
            peer.received.clear()
            await speak(wire, peer)
        seen = len(peer.headers)
        async with a_wire(peer.url) as wire:
            with pytest.raises(HostUnreachable, match=r"is not trusted: .*verify"):
                await wire.request("GET", "/api/kernels")
            with pytest.raises(HostUnreachable, match=r"is not trusted: .*verify"):
                await wire.websocket("/api/kernels/k1/channels")
        assert len(peer.headers) == seen


async def test_the_environments_bundle_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(mine.bundle))
    async with a_gateway(tls=mine.server) as peer, a_wire(peer.url) as wire:
        await speak(wire, peer)


async def test_a_bundle_that_is_not_there_is_said() -> None:
    async with a_wire("https://127.0.0.1:1", verify="/no/such.pem") as wire:
        with pytest.raises(HostUnreachable, match="No such file"):
            await wire.request("GET", "/api/kernels")


async def test_everything_goes_through_the_proxy(tmp_path: Path) -> None:
    mine = authority(tmp_path, "gateway.test")
    async with a_gateway(tls=mine.server) as peer, Proxy({"gateway.test:443": peer.port}) as proxy:
        told = proxy.url.replace("//", "//me:pa%3Ass@")
        async with a_wire("https://gateway.test", verify=str(mine.bundle), proxy=told) as wire:
            await speak(wire, peer)
        assert len(proxy.requests) == 2
        for request in proxy.requests:
            assert (request.method, request.target) == ("CONNECT", "gateway.test:443")
            pair = base64.b64decode(request.headers["proxy-authorization"].partition(" ")[2]).decode()
            assert pair == "me:pa:ss"
            assert TOKEN not in str(request)
        assert all("Proxy-Authorization" not in headers for headers in peer.headers)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY", ""])
async def test_what_is_spoken_plainly_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    async with a_gateway() as peer, Proxy({f"127.0.0.1:{peer.port}": peer.port}) as proxy:
        if name:
            monkeypatch.setenv(name, proxy.url)
        async with a_wire(peer.url, proxy="" if name else proxy.url) as wire:
            await speak(wire, peer)
        assert not proxy.requests, "it would read the token"


async def test_the_environments_proxy_is_taken_as_requests_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = authority(tmp_path, "gateway.test")
    async with a_gateway(tls=mine.server) as peer, Proxy({"gateway.test:443": peer.port}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with a_wire("https://gateway.test", verify=str(mine.bundle)) as wire:
            await speak(wire, peer)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        asked = len(proxy.requests)
        async with a_wire(peer.url, verify=str(mine.bundle)) as wire:
            assert (await wire.request("GET", "/api/kernels"))[0] == 200
        assert len(proxy.requests) == asked == 2


async def test_a_name_that_is_not_answered_for_holds_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on, look_up = threading.Semaphore(0), threading.Event(), socket.getaddrinfo

    def hanging(host: str, *rest: Any, **more: Any) -> Any:
        if host != "silent.test":
            return look_up(host, *rest, **more)
        asked.release()
        go_on.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    monkeypatch.setattr(gateway_tunnel, "LOOK_UP", 0.3)
    many = 40  # more than the loop's own threads
    try:
        async with a_wire("https://silent.test", verify=False) as wire:
            dialing = [asyncio.ensure_future(wire.websocket("/api/kernels/k1/channels")) for _ in range(many)]
            asking = asyncio.ensure_future(wire.request("GET", "/api/kernels"))
            assert await asyncio.wait_for(asyncio.to_thread(_all_asked, asked, many), 10)
            assert await asyncio.wait_for(asyncio.to_thread(int), 5) == 0
            for fault in await asyncio.gather(*dialing, asking, return_exceptions=True):
                assert isinstance(fault, HostUnreachable) and not isinstance(fault, AnswerLost)
                assert "could not be looked up within 0.3 s" in fault.reason
    finally:
        go_on.set()


def _all_asked(asked: threading.Semaphore, many: int) -> bool:
    return all(asked.acquire(timeout=5) for _ in range(many))


async def test_a_proxy_that_refuses_or_is_not_there_is_said() -> None:
    async with Proxy({}) as proxy, a_wire("https://gateway.test", proxy=proxy.url) as wire:
        with pytest.raises(HostUnreachable, match=r"refuses a tunnel to gateway.test:443: 502"):
            await wire.request("GET", "/api/kernels")
        with pytest.raises(HostUnreachable, match=r"refuses a tunnel to gateway.test:443: 502"):
            await wire.websocket("/api/kernels/k1/channels")
    with nobody() as port:
        async with a_wire("https://gateway.test", proxy=f"http://127.0.0.1:{port}") as wire:
            with pytest.raises(HostUnreachable, match=r"the proxy .* cannot be reached"):
                await wire.request("GET", "/api/kernels")
    async with FaultServer(otherwise=black_hole()) as silent:
        async with a_wire("https://gateway.test", proxy=silent.url) as wire:
            with pytest.raises(HostUnreachable, match="in time through the proxy"):
                await wire.request("GET", "/api/kernels", timeout=0.2)
    for wrong in ("socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://", "http://[::1"):
        async with a_wire("https://gateway.test", proxy=wrong) as wire:
            with pytest.raises(HostUnreachable, match="proxy: must be http://"):
                await wire.request("GET", "/api/kernels")


async def test_a_refused_token_is_renewed_once() -> None:
    async with a_gateway() as peer:
        for speaking in (False, True):
            credentials = Passes([TOKEN, "second"])
            peer.refuse = 1
            peer.headers.clear()
            async with a_wire(peer.url, credentials=credentials) as wire:
                if speaking:
                    (await wire.websocket("/api/kernels/k1/channels")).close()
                else:
                    assert (await wire.request("GET", "/api/kernels"))[0] == 200
            assert [headers["Authorization"] for headers in peer.headers] == [f"Bearer {TOKEN}", "Bearer second"]
        peer.refuse = 4
        async with a_wire(peer.url) as wire:
            assert (await wire.request("GET", "/api/kernels"))[0] == 401
            with pytest.raises(HostRefused) as refused:
                await wire.websocket("/api/kernels/k1/channels")
            assert refused.value.status == 401


async def test_a_redirect_leads_nowhere() -> None:
    async with FaultServer() as elsewhere, FaultServer(otherwise=redirect(f"{elsewhere.url}/x")) as server:
        async with a_wire(server.url) as wire:
            assert (await wire.request("GET", "/api/kernels"))[0] == 302
            with pytest.raises(HostRefused) as refused:
                await wire.websocket("/api/kernels/k1/channels")
            assert refused.value.status == 302
        assert elsewhere.connections == 0


LOST = {"black hole": black_hole(), "cut": cut(), "reset": reset(), "truncated": truncated()}


@pytest.mark.parametrize("what", list(LOST))
async def test_an_answer_that_was_lost_is_told_from_a_request_that_never_went(what: str) -> None:
    async with FaultServer(otherwise=LOST[what]) as server, a_wire(server.url) as wire:
        with pytest.raises(AnswerLost):
            await wire.request("POST", "/api/kernels", {"name": "a"}, timeout=0.3)
        assert len(server.requests) == 1


async def test_what_never_went_is_no_lost_answer() -> None:
    with nobody() as port:
        async with a_wire(f"http://127.0.0.1:{port}") as wire:
            with pytest.raises(HostUnreachable) as never:
                await wire.request("POST", "/api/kernels", {})
            assert not isinstance(never.value, AnswerLost)
    async with full_queue() as port, a_wire(f"http://127.0.0.1:{port}") as wire:
        with pytest.raises(HostUnreachable) as never:
            await wire.request("POST", "/api/kernels", {}, timeout=0.2)
        assert not isinstance(never.value, AnswerLost)


async def test_words_that_are_no_json_are_text() -> None:
    async with FaultServer(otherwise=html(200)) as server, a_wire(server.url) as wire:
        status, answer = await wire.request("GET", "/api/kernels")
        assert status == 200 and answer.startswith("<html>")


async def test_a_websocket_that_opened_for_nobody_is_closed() -> None:
    async with a_gateway() as peer, a_wire(peer.url) as wire:
        opening = asyncio.ensure_future(wire.websocket("/api/kernels/k1/channels"))
        for _ in range(6):
            await asyncio.sleep(0)
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
        await until(lambda: not peer.sockets)


URLS = [
    ("https://a.example", ""),
    ("https://a.example:8443/base", ""),
    ("http://127.0.0.1:8888", ""),
    ("http://[::1]:8888", ""),
    ("http://localhost:1", ""),
    ("http://a.example", "must be https"),
    ("http://127.0.0.1.evil.example", "must be https"),
    ("ftp://a.example", "must be https"),
    ("https://", "must be https"),
    ("https://user@a.example", "without user"),
    ("https://a.example/?x=1", "without user, query"),
    ("https://a.example:99999", "is no URL"),
    ("", "must be https"),
]


@pytest.mark.parametrize(("url", "why"), URLS)
def test_where_it_may_speak_to(url: str, why: str) -> None:
    assert (why in fault_of(url)) if why else fault_of(url) == ""
    if why:
        with pytest.raises(ValueError, match="gateway: "):
            Wire(url, Passes([TOKEN]))
