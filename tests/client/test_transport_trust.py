"""What the client says of a server that it cannot reach or does not trust, and that it asks no such one again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.client import ServerGone, ServerNotTrusted, SessionsClient
from jupyter_sessions.client import transport as transports
from jupyter_sessions.client.kernel import KernelConnection
from jupyter_sessions.client.transport import Patience
from jupyter_sessions.client.waiting import Pace
from jupyter_sessions.client.watching import Watch
from jupyter_sessions.model.errors import InvalidArgument
from jupyter_sessions.model.names import LocationName
from tests.client.test_transport import PLACE, SESSION, asked
from tests.faults.certificates import authority
from tests.faults.replies import ok
from tests.faults.server import FaultServer
from tests.faults.sockets import nobody

INNARDS = r"HTTPS?Connection|object at 0x|Max retries|\(_ssl|Errno"


@pytest.fixture(autouse=True)
def no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take from the environment what it says of certificates."""
    for name in transports.BUNDLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that waits to try again."""

    def slept(*_: Any) -> None:
        raise AssertionError("it was tried again")

    monkeypatch.setattr(Patience, "sleep", slept)
    monkeypatch.setattr(Pace, "wait", slept)


CALLS: list[Callable[[SessionsClient], Any]] = [
    lambda client: client.get("etl-1"),
    lambda client: client.templates.create("small"),
    lambda client: Watch(client.transport, LocationName("p", "l"), {}),
    lambda client: KernelConnection(client.transport, "k1").open(60),
]


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize("call", CALLS, ids=["get", "create", "watch", "channels"])
async def test_a_certificate_that_is_not_trusted_is_refused_at_once(
    tmp_path: Path, call: Callable[[SessionsClient], Any]
) -> None:
    async with FaultServer(otherwise=ok(SESSION), tls=authority(tmp_path).server) as server:
        with pytest.raises(ServerNotTrusted, match=r"not trusted: .*REQUESTS_CA_BUNDLE.*verify=") as refused:
            await asked(server, call)
        assert server.url in str(refused.value)
        refused.match("self-signed certificate in certificate chain|unable to get local issuer certificate")
        assert not server.requests


async def test_the_environment_says_what_is_trusted_also_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.bundle))
    async with FaultServer(otherwise=ok(SESSION), tls=made.server) as server:
        assert (await asked(server, lambda client: client.get("etl-1"))).name == SESSION["name"]


@pytest.mark.parametrize("name", ["verify", "CURL_CA_BUNDLE"])
def test_a_bundle_that_is_not_there_is_a_faulty_argument(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name != "verify":
        monkeypatch.setenv(name, "/no/such/bundle.pem")
    with pytest.raises(InvalidArgument, match=f"{name}: there is no /no/such/bundle.pem"):
        SessionsClient("http://127.0.0.1:1", "t", PLACE, verify="/no/such/bundle.pem" if name == "verify" else True)


@pytest.mark.usefixtures("once")
async def test_a_server_that_speaks_no_tls_is_said_to() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with SessionsClient(f"https://127.0.0.1:{port}", "t", PLACE) as client:
            with pytest.raises(ServerGone, match=r"speaks no TLS.*is the URL right"):
                await asyncio.to_thread(client.get, "etl-1")


@pytest.mark.parametrize("call", [CALLS[0], CALLS[1], lambda client: KernelConnection(client.transport, "k1").open(0)])
async def test_a_failing_connection_is_told_in_plain_words(call: Callable[[SessionsClient], Any]) -> None:
    with nobody() as port, SessionsClient(f"http://127.0.0.1:{port}", "secret", PLACE) as client:
        with pytest.raises(ServerGone, match="cannot be reached: Connection refused; is it running") as gone:
            await asyncio.to_thread(call, client)
        assert "secret" not in str(gone.value)
    with SessionsClient("http://no-such-host.invalid", "t", PLACE) as client:
        with pytest.raises(ServerGone, match="cannot be reached: ") as gone:
            await asyncio.to_thread(call, client)
    with pytest.raises(AssertionError):
        gone.match(INNARDS)


@pytest.mark.usefixtures("once")
def test_a_connection_that_does_not_come_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "CONNECT", 0.2)
    with socket.socket() as full, socket.socket() as filling:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        filling.connect(full.getsockname())
        with SessionsClient(f"http://127.0.0.1:{full.getsockname()[1]}", "t", PLACE) as client:
            with pytest.raises(ServerGone, match=r"there was no connection in 0\.2 s"):
                client.get("etl-1")


@pytest.mark.parametrize("token", ["sec\nret", "sec ret", "secrét"])
def test_a_token_that_no_header_can_hold_is_refused_unseen(token: str) -> None:
    with pytest.raises(InvalidArgument, match="token: must be printable ASCII") as refused:
        SessionsClient("http://127.0.0.1:1", token, PLACE)
    assert "sec" not in str(refused.value).replace("must be", "")


async def test_the_end_of_a_line_behind_a_token_is_none_of_it() -> None:
    async with FaultServer(otherwise=ok(SESSION)) as server:
        with SessionsClient(server.url, "secret\n", PLACE) as client:
            await asyncio.to_thread(client.get, "etl-1")
        assert server.requests[0].headers["authorization"] == "token secret"
