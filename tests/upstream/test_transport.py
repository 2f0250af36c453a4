"""What goes out and what comes back when nothing is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_sessions import __version__
from jupyter_sessions.config.locations import Auth, Bearer
from jupyter_sessions.model.errors import InvalidArgument, Unavailable
from jupyter_sessions.upstream.base import Transport
from jupyter_sessions.upstream.credentials import make_credentials
from jupyter_sessions.upstream.exchange import Sent
from jupyter_sessions.upstream.transport import HttpTransport, make_transport
from tests.faults.certificates import authority
from tests.faults.replies import JSON, ok, packed, raw, redirect
from tests.faults.server import FaultServer
from tests.faults.sockets import Proxy
from tests.upstream.carrying import BASE, PARENT, SESSIONS, Passes, carried


async def test_a_request_goes_out_as_it_was_asked_for() -> None:
    async with FaultServer(ok({"name": "x"})) as server, carried(server.url, Passes(["secret"])) as transport:
        answer = await transport.call(
            "POST", SESSIONS, {"sessionId": "a b&c", "requestId": "r1"}, {"labels": {"ä": "ö"}}, safe=True
        )
        (request,) = server.requests
    assert answer.body == {"name": "x"}
    assert (request.method, request.path) == ("POST", f"/v1/{SESSIONS}")
    assert request.query == {"sessionId": "a b&c", "requestId": "r1"}
    assert request.json() == {"labels": {"ä": "ö"}}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["user-agent"] == f"jupyter_sessions/{__version__}"
    assert request.headers["accept-encoding"] == "gzip"


async def test_without_a_body_there_is_no_content_type() -> None:
    async with FaultServer() as server, carried(server.url) as transport:
        await transport.call("DELETE", f"{SESSIONS}/s1")
        (request,) = server.requests
    assert "content-type" not in request.headers
    assert "authorization" not in request.headers
    assert request.body == b""


async def test_the_project_that_pays_is_named() -> None:
    async with FaultServer() as server, carried(server.url, config=replace(BASE, quota_project="payer")) as transport:
        await transport.call("GET", SESSIONS)
        assert server.requests[0].headers["x-goog-user-project"] == "payer"


async def test_credentials_may_name_the_project_that_pays() -> None:
    class Paying(Passes):
        async def headers(self) -> dict[str, str]:
            return {"x-goog-user-project": "other"}

    config = replace(BASE, quota_project="payer")
    async with FaultServer() as server, carried(server.url, Paying([""]), config) as transport:
        await transport.call("GET", SESSIONS)
        assert server.requests[0].headers["x-goog-user-project"] == "other"


async def test_connections_are_used_again() -> None:
    async with FaultServer() as server, carried(server.url) as transport:
        for _ in range(5):
            await transport.call("GET", SESSIONS)
        assert (server.connections, len(server.requests)) == (1, 5)


async def test_an_empty_answer_is_an_empty_object() -> None:
    async with FaultServer(raw(200, b"", {}), raw(204, b"", {})) as server, carried(server.url) as transport:
        assert (await transport.call("POST", f"{PARENT}/operations/o:cancel")).body == {}
        assert (await transport.call("POST", f"{PARENT}/operations/o:cancel")).body == {}


async def test_a_packed_answer_is_unpacked() -> None:
    async with FaultServer(packed({"sessions": []})) as server, carried(server.url) as transport:
        assert (await transport.call("GET", SESSIONS)).body == {"sessions": []}


async def test_cookies_are_neither_kept_nor_handed_on() -> None:
    async with FaultServer(ok({}, {"Set-Cookie": "id=1; Path=/"}), ok()) as server, carried(server.url) as transport:
        answer = await transport.call("GET", SESSIONS)
        await transport.call("GET", SESSIONS)
        assert "set-cookie" not in answer.headers
        assert "cookie" not in server.requests[1].headers


async def test_netrc_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password netrc-secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with FaultServer() as server, carried(server.url) as transport:
        await transport.call("GET", SESSIONS)
        assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    "path", ["", "../admin", f"{SESSIONS}/..", f"{SESSIONS}/./x", "a?b", "a#b", "a b", "a\\b", "a\r\nb"]
)
async def test_what_is_no_resource_becomes_no_url(path: str) -> None:
    async with FaultServer() as server, carried(server.url) as transport:
        with pytest.raises(InvalidArgument, match="no resource's"):
            await transport.call("GET", path)
        assert server.requests == []


async def test_https_by_the_locations_bundle(tmp_path: Path) -> None:
    trusted = authority(tmp_path)
    config = replace(BASE, verify=str(trusted.bundle))
    async with FaultServer(tls=trusted.server) as server, carried(server.url, config=config) as transport:
        assert (await transport.call("GET", SESSIONS)).body == {}


async def test_a_certificate_of_a_stranger_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async with FaultServer(tls=authority(tmp_path).server) as server, carried(server.url, Passes(["s"])) as transport:
        with pytest.raises(Unavailable, match=r"certificate is not trusted.*`verify` may name a bundle"):
            await transport.call("GET", SESSIONS, safe=True)
        assert server.requests == []
    async with FaultServer(tls=authority(tmp_path).server) as server:
        async with carried(server.url, config=replace(BASE, verify=False)) as transport:
            with pytest.warns(match="Unverified HTTPS"):
                assert (await transport.call("GET", SESSIONS)).body == {}


async def test_a_proxy_sees_where_to_and_nothing_more(tmp_path: Path) -> None:
    trusted = authority(tmp_path, "sessions.example.org")
    async with FaultServer(tls=trusted.server) as server, Proxy({"sessions.example.org:443": server.port}) as proxy:
        config = replace(BASE, verify=str(trusted.bundle), proxy=proxy.url)
        async with carried("https://sessions.example.org", Passes(["secret"]), config) as transport:
            await transport.call("GET", SESSIONS)
        assert server.requests[0].headers["authorization"] == "Bearer secret"
        (request,) = proxy.requests
        assert request.target == "sessions.example.org:443"
        assert "secret" not in str(request.headers)


async def test_the_environments_proxy_is_used_where_none_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = authority(tmp_path, "sessions.example.org")
    async with FaultServer(tls=trusted.server) as server, Proxy({"sessions.example.org:443": server.port}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted.bundle))
        async with carried("https://sessions.example.org") as transport:
            await transport.call("GET", SESSIONS)
        assert len(proxy.requests) == len(server.requests) == 1


async def test_what_is_plain_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Proxy({}) as proxy, FaultServer() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with carried(server.url, config=replace(BASE, proxy=proxy.url)) as transport:
            await transport.call("GET", SESSIONS)
        assert proxy.requests == [] and len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_told_and_not_followed(status: int) -> None:
    async with FaultServer() as other, FaultServer() as server:
        target = other.url.replace("127.0.0.1", "localhost") + "/v1/stolen?key=1"
        server.otherwise(redirect(target, status))
        async with carried(server.url, Passes(["secret"])) as transport:
            with pytest.raises(Unavailable, match=r"redirect to localhost.*no credentials were sent there") as caught:
                await transport.call("GET", SESSIONS, safe=True)
        assert other.requests == [] and other.connections == 0
        assert "stolen" not in caught.value.message
        assert len(server.requests) == 1


async def test_a_closed_transport_says_so() -> None:
    async with FaultServer() as server, carried(server.url) as transport:
        await transport.close()
        with pytest.raises(Unavailable, match="closed"):
            await transport.call("GET", SESSIONS, safe=True)
        await transport.close()
        assert server.requests == []


async def test_a_location_has_its_transport() -> None:
    async with FaultServer(raw(200, b'{"sessions": []}', JSON)) as server:
        config = replace(BASE, endpoint=server.url)
        transport: Transport = make_transport(config, make_credentials(config))
        assert isinstance(transport, HttpTransport)
        assert (await transport.call("GET", SESSIONS, safe=True)).body == {"sessions": []}
        await transport.close()


async def test_nothing_of_a_request_shows_in_what_is_printed() -> None:
    sent = Sent("GET", "https://h/v1/x", {"Authorization": "Bearer secret-token"}, None, b"secret-token")
    assert "secret-token" not in repr(sent)
    config = replace(BASE, auth=Auth.BEARER, bearer=Bearer(environment="OUR_TOKEN"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUR_TOKEN", "secret-token")
        async with FaultServer() as server, carried(server.url, config=config) as transport:
            answer = await transport.call("GET", SESSIONS)
            assert server.requests[0].headers["authorization"] == "Bearer secret-token"
            assert "secret-token" not in repr(answer) + repr(transport) + repr(vars(transport))
