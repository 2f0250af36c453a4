"""What the doctor says of a location, by real servers that are well, refuse, hang or pretend."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.config.locations import Auth, Bearer, LocationConfig, Provider
from jupyter_sessions.doctor.findings import Finding, Level
from jupyter_sessions.doctor.location import LocationCheck, check_locations
from jupyter_sessions.model.names import LocationName
from tests.doctor.places import bad, levels
from tests.faults.certificates import authority
from tests.faults.listening import Listener
from tests.faults.replies import black_hole, denied, error, garbage, nonsense, ok, raw, redirect, unauthenticated
from tests.faults.server import FaultServer, Reply, Request
from tests.faults.sockets import Proxy

NAME = LocationName("p", "r")
TOKEN = "a-secret-token-of-4711"
OURS = {"name": str(NAME), "metadata": {"service": "jupyter_sessions", "version": "0.1.0", "gateway": {"path": "/"}}}
SPECS = {"default": "a", "kernelspecs": {"a": {"name": "a", "spec": {}}, "b": {"name": "b", "spec": {}}}}


def config(endpoint: str, **fields: Any) -> LocationConfig:
    return LocationConfig(NAME, Provider.UPSTREAM, endpoint=endpoint, **fields)


def bearer(tmp_path: Path, mode: int = 0o600) -> dict[str, Any]:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(mode)
    return {"auth": Auth.BEARER, "bearer": Bearer(file=path)}


def service(request: Request, **replies: Reply) -> Reply:
    """Answer as a server of ours does that wants TOKEN; ``replies`` replace the answers of ``sessions`` and so on."""
    last = request.path.rpartition("/")[2]
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        return unauthenticated()
    answers = {"sessions": ok({"sessions": []}), "r": ok(OURS), "kernelspecs": ok(SPECS)}
    return {**answers, **replies}[last]


async def examined(location: LocationConfig, seconds: float = 3.0) -> list[Finding]:
    check = LocationCheck(location, lambda text: None, seconds)
    found = await check.run()
    assert all(row.remedy for row in found if row.level is Level.FAULT)
    assert TOKEN not in repr(found)
    return found


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Listen, and accept nothing that is said: the connection stands, and no answer ever comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def full() -> Iterator[str]:
    """Have a port to which no further connection is made: a black hole for who connects."""
    with socket.socket() as server, contextlib.ExitStack() as held:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(server.getsockname())
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def closed() -> Iterator[str]:
    """Have a port at which nothing listens; it is bound, so that nothing else takes it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


@contextlib.asynccontextmanager
async def secure(tmp_path: Path, *hosts: str, **replies: Reply) -> AsyncIterator[tuple[FaultServer, Path]]:
    made = authority(tmp_path, *hosts)
    async with FaultServer(route=lambda request: service(request, **replies), tls=made.server) as server:
        yield server, made.bundle


async def test_a_good_server_is_good_in_every_respect(tmp_path: Path) -> None:
    async with secure(tmp_path) as (server, bundle):
        found = await examined(config(server.url, verify=str(bundle), **bearer(tmp_path)))
    assert levels(found) == dict.fromkeys(
        ("name", "connection", "tls", "answer", "credentials", "sessions", "service", "kernel gateway"), "ok"
    )
    told = {row.check: row for row in found}
    assert "2 kernels" in told["kernel gateway"].what and "jupyter_sessions 0.1.0" in told["service"].what
    assert str(tmp_path / "token") in told["credentials"].why and "TLSv1" in told["tls"].what
    without = [request for request in server.requests if "authorization" not in request.headers]
    assert [request.path for request in without] == ["/v1/projects/p/locations/r"]


async def test_a_name_that_is_not_known() -> None:
    found = bad(await examined(config("https://no-such-host.invalid")))
    assert found.check == "name" and "no-such-host.invalid" in found.what and "DNS" in found.remedy


async def test_a_closed_port() -> None:
    with closed() as place:
        found = bad(await examined(config(f"https://{place}")))
    assert (found.check, found.level) == ("connection", Level.FAULT)
    assert place in found.what and "refuses" in found.what and "start the server" in found.remedy


async def test_a_port_that_takes_no_connection_is_given_up_in_time() -> None:
    with full() as place:
        began = time.monotonic()
        found = bad(await examined(config(f"https://{place}"), 1.0))
    assert found.check == "connection" and "firewall" in found.remedy and time.monotonic() - began < 5


@pytest.mark.parametrize(("scheme", "check"), [("https", "tls"), ("http", "answer")])
async def test_a_black_hole_is_given_up_in_time(scheme: str, check: str) -> None:
    with silent() as place:
        began = time.monotonic()
        found = bad(await examined(config(f"{scheme}://{place}"), 1.0))
    assert found.check == check and "says nothing within" in found.why and time.monotonic() - began < 5


async def test_a_certificate_of_nobody_we_know(tmp_path: Path) -> None:
    async with secure(tmp_path) as (server, _bundle):
        found = await examined(config(server.url, **bearer(tmp_path)))
    assert bad(found).check == "tls" and "verify" in bad(found).remedy and "not trusted" in bad(found).what
    assert "sessions" not in levels(found) and levels(found)["credentials"] == "ok"
    assert [request for request in server.requests if "authorization" in request.headers] == []


@contextlib.asynccontextmanager
async def speaking(data: bytes, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Say ``data`` to whoever connects."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    listener = Listener(say)
    await listener.open(host, tls)
    try:
        yield f"{host}:{listener.port}"
    finally:
        await listener.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the whole of 127.0.0.0/8")
async def test_a_certificate_of_another_host(tmp_path: Path) -> None:
    made = authority(tmp_path)
    async with speaking(b"", "127.0.0.2", made.server) as place:
        found = bad(await examined(config(f"https://{place}", verify=str(made.bundle))))
    assert found.check == "tls" and "127.0.0.2" in found.why and "as the certificate names it" in found.remedy


async def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    async with secure(tmp_path) as (server, _bundle):
        for path in (tmp_path / "nowhere.pem", tmp_path / "empty.pem"):
            found = bad(await examined(config(server.url, verify=str(path))))
            assert found.check == "tls" and str(path) in found.what and "verify" in found.remedy


async def test_https_where_there_is_none() -> None:
    async with speaking(b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
        found = bad(await examined(config(f"https://{place}")))
    assert found.check == "tls" and "does not speak TLS" in found.what


async def test_what_is_no_http() -> None:
    async with FaultServer(otherwise=nonsense()) as server:
        found = bad(await examined(config(server.url)))
    assert found.check == "answer" and "does not speak HTTP" in found.what


@pytest.mark.parametrize(
    ("reply", "words", "remedy"),
    [
        (unauthenticated(), "401 UNAUTHENTICATED", "token"),
        (denied(), "403 PERMISSION_DENIED", "access"),
        (error(404, "NOT_FOUND", "no such location"), "404 NOT_FOUND", "project and location"),
        (error(429, "RESOURCE_EXHAUSTED", "Quota exceeded."), "429 RESOURCE_EXHAUSTED", "quota"),
        (error(500, "INTERNAL", "Internal error encountered."), "500 INTERNAL", "who runs"),
        (error(503, "UNAVAILABLE", "not now"), "503 UNAVAILABLE", "again"),
        (garbage(), "503 UNAVAILABLE", "again"),
        (redirect("https://evil.example/"), "503 UNAVAILABLE", "again"),
    ],
)
async def test_a_list_that_is_refused(tmp_path: Path, reply: Reply, words: str, remedy: str) -> None:
    async with FaultServer(route=lambda request: service(request, sessions=reply)) as server:
        found = await examined(config(server.url, **bearer(tmp_path)))
    one = bad(found)
    assert (one.check, one.level) == ("sessions", Level.FAULT)
    assert words in one.what and one.why and remedy in one.remedy
    assert "kernel gateway" not in levels(found)


async def test_a_server_that_says_our_token_back_is_not_quoted(tmp_path: Path) -> None:
    reply = error(403, "PERMISSION_DENIED", f"Bearer {TOKEN} is not allowed")
    async with FaultServer(route=lambda request: service(request, sessions=reply)) as server:
        found = bad(await examined(config(server.url, **bearer(tmp_path))))
    assert "is not allowed" in found.why


async def test_a_list_that_never_comes(tmp_path: Path) -> None:
    async with FaultServer(route=lambda request: service(request, sessions=black_hole())) as server:
        found = bad(await examined(config(server.url, request_timeout=0.5, **bearer(tmp_path)), 2.0))
    assert found.check == "sessions" and ("504" in found.what or "503" in found.what)


async def test_a_token_file_that_others_can_read(tmp_path: Path) -> None:
    async with FaultServer(route=service) as server:
        found = await examined(config(server.url, **bearer(tmp_path, 0o644)))
    assert bad(found).check == "credentials" and "chmod 600" in bad(found).why
    assert [request for request in server.requests if "authorization" in request.headers] == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Bearer(environment="NO_SUCH_VARIABLE_HERE"), "NO_SUCH_VARIABLE_HERE"),
        (Bearer(command=("/bin/sh", "-c", "exit 3")), "/bin/sh"),
        (Bearer(file=Path("/nowhere/token")), "/nowhere/token"),
    ],
)
async def test_credentials_that_are_not_there_are_told_beside_a_dead_server(source: Bearer, words: str) -> None:
    with closed() as place:
        found = await examined(config(f"https://{place}", auth=Auth.BEARER, bearer=source))
    assert levels(found) == {"name": "ok", "connection": "fault", "credentials": "fault"}
    told = next(row for row in found if row.check == "credentials")
    assert words in told.why and words in told.remedy


async def test_google_without_a_sign_in_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    monkeypatch.setenv("HTTPS_PROXY", "")
    location = config("https://us-central1-dataproc.googleapis.com.invalid", auth=Auth.GOOGLE)
    found = await examined(location)
    told = next(row for row in found if row.check == "credentials")
    assert told.level is Level.FAULT and "gcloud auth application-default login" in told.remedy


@pytest.mark.parametrize(("hours", "words"), [(1, "behind"), (-1, "ahead of")])
async def test_a_clock_that_differs(hours: int, words: str) -> None:
    date = email.utils.formatdate(time.time() + 3600 * hours, usegmt=True)
    reply = raw(401, b"{}", {"Date": date, "Content-Type": "application/json"})
    async with FaultServer(reply, otherwise=ok({"sessions": []})) as server:
        found = await examined(config(server.url))
    told = next(row for row in found if row.check == "clock")
    assert told.level is Level.WARN and words in told.what
    seconds = int(told.what.partition(" s ")[0].rpartition(" ")[2])
    assert abs(seconds - 3600) < 30


async def test_a_clock_that_agrees() -> None:
    reply = raw(200, b"{}", {"Date": email.utils.formatdate(usegmt=True)})
    async with FaultServer(reply, otherwise=ok({"sessions": []})) as server:
        found = await examined(config(server.url))
    assert levels(found)["clock"] == "ok"


@pytest.mark.parametrize(
    ("body", "level", "words"),
    [
        ({}, "warn", "says not what it is"),
        ({"metadata": {"service": "jupyter_sessions", "version": "9.9.9"}}, "warn", "another version"),
        ({"metadata": {"service": "jupyter_sessions"}}, "warn", "another version"),
        ({"metadata": ["odd"]}, "warn", "says not what it is"),
    ],
)
async def test_what_kind_of_server_it_is(body: Mapping[str, Any], level: str, words: str) -> None:
    async with FaultServer(otherwise=ok(body)) as server:
        found = await examined(config(server.url))
    told = next(row for row in found if row.check == "service")
    assert told.level.value == level and words in told.what
    assert levels(found)["kernel gateway"] == "warn"


@pytest.mark.parametrize(
    ("reply", "words"), [(denied(), "403"), (ok({"odd": 1}), "200"), (black_hole(), ""), (nonsense(), "")]
)
async def test_a_gateway_that_does_not_work(tmp_path: Path, reply: Reply, words: str) -> None:
    async with FaultServer(route=lambda request: service(request, kernelspecs=reply)) as server:
        found = bad(await examined(config(server.url, **bearer(tmp_path)), 2.0))
    assert (found.check, found.level) == ("kernel gateway", Level.FAULT) and words in found.why


async def test_a_proxy_is_tried_in_the_servers_place(tmp_path: Path) -> None:
    async with secure(tmp_path, "jupyter.example") as (server, bundle):
        async with Proxy({"jupyter.example:443": server.port}) as proxy:
            through = {"verify": str(bundle), "proxy": proxy.url, **bearer(tmp_path)}
            found = await examined(config("https://jupyter.example", **through))
            assert set(levels(found).values()) == {"ok"} and "tls" not in levels(found)
            assert proxy.url.removeprefix("http://") in found[0].what
            refused = bad(await examined(config("https://other.example", **through)))
            assert refused.check == "answer" and "NO_PROXY" in refused.remedy


async def test_a_proxy_of_the_environment_that_is_no_url_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://user:hidden/word@proxy.example:3128")
    found = bad(await examined(config("https://jupyter.example")))
    assert (found.check, found.what) == ("connection", "the proxy of the environment is no URL")
    assert "hidden" not in repr(found) and "percent" in found.remedy


async def test_locations_are_tried_at_the_same_time(tmp_path: Path) -> None:
    with silent() as one, silent() as two, silent() as three:
        began = time.monotonic()
        configs = [config(f"https://{place}") for place in (one, two, three)]
        found = [rows async for rows, _secrets in check_locations(configs, lambda text: None, 1.0)]
    assert [bad(rows).check for rows in found] == ["tls"] * 3 and time.monotonic() - began < 2.4


async def test_the_secrets_are_known_to_who_writes_the_report(tmp_path: Path) -> None:
    async with FaultServer(route=service) as server:
        check = LocationCheck(config(server.url, **bearer(tmp_path)), lambda text: None, 3.0)
        await check.run()
    assert TOKEN in check.secrets
