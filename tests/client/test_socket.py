"""The ways to a kernel's channels: by TLS, in the legacy form, through ``serve`` and to another server's session."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.client import KernelDied, ServerGone, SessionHandle, SessionsClient
from jupyter_sessions.client.errors import SessionEnded
from jupyter_sessions.client.kernel import KernelConnection
from jupyter_sessions.client.kernels import kernels_of
from jupyter_sessions.model.errors import NotFound, Unauthenticated
from tests.client.line import Line
from tests.faults.certificates import Authority, authority
from tests.real.server import TOKEN, RealServer, real_server, wait_for
from tests.serve.serving import LOCATION, OWN, Served
from tests.upstream.test_contract_chain import told

SHOWN = "'display_data', {'data': {}, 'metadata': {}}, k.get_parent(), buffers=[b'ab', b'c']"
BUFFERS = f"k = get_ipython().kernel\nsent = k.session.send(k.iopub_socket, {SHOWN})\nprint(input('? '))"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Run a server that speaks the legacy protocol only."""
    options = ("--ZMQChannelsWebsocketConnection.kernel_ws_protocol=",)
    with real_server(tmp_path_factory.mktemp("server"), options=options) as running:
        yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run a service."""
    running = Served(tmp_path_factory.mktemp("serve"), [OWN], [])
    asyncio.run(running.start())
    try:
        yield running
    finally:
        asyncio.run(running.close())


def check(session: SessionHandle) -> None:
    """Run what prints, shows buffers and asks."""
    result = session.run(BUFFERS, on_input=lambda prompt, password: "typed")
    assert [bytes(one) for one in result.outputs[0].buffers] == [b"ab", b"c"] and result.text == "\ntyped\n"


def test_a_server_that_speaks_the_legacy_form(server: RealServer) -> None:
    with SessionsClient(server.url, TOKEN) as client, client.session("legacy") as session:
        check(session)
        connection = session.connect()
        sent = connection.send("shell", "comm_msg", {"comm_id": "none", "data": {}}, buffers=[b"x", b"yz"])
        assert sent and session.run("1").data["text/plain"] == "1"
        connection.shutdown()
        wait_for(lambda: connection.closed, "the connection to have heard of it")


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make an authority and a server's certificate."""
    return authority(tmp_path_factory.mktemp("tls"), "127.0.0.2")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_channels_by_tls(
    server: RealServer, trusted: Authority, host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = authority(tmp_path).bundle
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with Line(server.port, host, trusted.server) as line:
        with (
            SessionsClient(line.url, TOKEN, verify=str(trusted.bundle)) as client,
            client.session("encrypted") as session,
        ):
            assert session.run("1").data["text/plain"] == "1"
            kernel = session.connect().kernel_id
        with SessionsClient(line.url, TOKEN, verify=False) as careless, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert careless.session("encrypted").run("2").data["text/plain"] == "2"
        with SessionsClient(line.url, TOKEN) as distrustful, pytest.raises(ServerGone, match=r"(?i)certificate"):
            KernelConnection(distrustful.transport, kernel).open(0)


def test_a_wrong_token_is_said_to_be(server: RealServer) -> None:
    with SessionsClient(server.url, TOKEN) as client, client.session("guarded") as session:
        kernel = session.connect().kernel_id
        with SessionsClient(server.url, "wrong") as other, pytest.raises(Unauthenticated, match="token"):
            KernelConnection(other.transport, kernel).open()


def test_kernels_of_a_service(served: Served) -> None:
    with SessionsClient(served.url, served.token(OWN), LOCATION) as client, client.session("direct") as session:
        check(session)
        main, other = session.connect().kernel_id, session.connect("new").kernel_id
        assert [model["id"] for model in session.kernels()] == [main, other]
        session.connect(other).shutdown()
        wait_for(lambda: len(session.kernels()) == 1, "the other kernel to be gone")
        with pytest.raises(NotFound, match=main):
            session.connect(other)
        execution = session.start("while True: pass")
        session.terminate()
        with pytest.raises(KernelDied):
            execution.result(60)
        with pytest.raises(SessionEnded, match="TERMINAT"):
            session.run("1")


def test_kernels_of_another_server_s_session(served: Served, tmp_path: Path) -> None:
    place: dict[str, Any] = {"project": "local", "location": "serve", "endpoint": served.url, "auth": "bearer"}
    place["bearer"] = {"file": str(told(tmp_path, served.token(OWN)))}
    file = tmp_path / "config" / "jupyter_sessions" / "locations.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"locations": [place]}))
    with real_server(tmp_path) as near, SessionsClient(near.url, TOKEN, LOCATION) as client:
        with client.session("far-away") as session:
            check(session)
            main = session.connect().kernel_id
            assert [model["id"] for model in kernels_of(client, session.resource)] == [main]
            other = session.connect("new")
            assert other.kernel_id != main and session.run("'k' in globals()", kernel=other.kernel_id).text == "False\n"
            execution = session.start("while True: pass")
            session.terminate()
            with pytest.raises(KernelDied, match="far-away"):
                execution.result(60)
