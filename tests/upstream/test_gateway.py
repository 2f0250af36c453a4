"""What a location's gateway offers and how it is kept in memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from jupyter_sessions.config.locations import Auth, LocationConfig, Provider
from jupyter_sessions.model.errors import Unauthenticated
from jupyter_sessions.model.names import LocationName, SessionName
from jupyter_sessions.upstream import gateway as gateways
from jupyter_sessions.upstream.gateway import LocationGateway, make_gateway
from tests.faults.replies import JSON, black_hole, garbage, html, ok, raw, redirect, reset, truncated
from tests.faults.server import FaultServer
from tests.kernels.gateway_peer import PARENT, SESSION, TOKEN, Gateway, a_gateway, host_of, spec, starter_of
from tests.kernels.peer import until
from tests.upstream.carrying import Passes


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, so that no test waits."""
    monkeypatch.setattr(gateways, "QUICK", 0.03)
    monkeypatch.setattr(gateways, "SLOW", 0.1)


@contextlib.asynccontextmanager
async def looking(gateway: LocationGateway) -> AsyncIterator[LocationGateway]:
    """Start a gateway's end and close it afterwards."""
    gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close()


def names(kernels: Any) -> list[str]:
    """Give what kernels are called."""
    return [kernel.name for kernel in kernels]


async def test_specs_are_sorted_by_what_they_belong_to() -> None:
    async with a_gateway() as peer, looking(peer.made()) as gateway:
        assert gateway.offered(SESSION) == [] and gateway.loose() == []
        told: list[str] = []
        undo = gateway.watch(lambda: told.append("once"))
        await until(lambda: gateway.loose())
        assert names(gateway.offered(SESSION)) == ["etl-1.python3"]
        assert names(gateway.loose()) == ["tpl-daily", "cluster-spark"]
        assert names(gateway.loose(known=[])) == ["tpl-daily", "cluster-spark", "etl-1.python3"]
        assert names(gateway.loose(known=[str(SESSION)])) == ["tpl-daily", "cluster-spark"]
        assert gateway.offered(SessionName(PARENT, "other-1")) == []
        (offered,) = gateway.offered(SESSION)
        assert offered.spec["argv"] == [] and offered.spec["metadata"] == {"a": 1}
        assert told == ["once"] and gateway.url == peer.url
        peer.specs["etl-1.r"] = spec("etl-1.r", str(SESSION))
        await until(lambda: len(gateway.offered(SESSION)) == 2)
        undo()
        del peer.specs["tpl-daily"]
        await until(lambda: names(gateway.loose()) == ["cluster-spark"])
        assert told == ["once", "once"]


async def test_the_headers_are_googles_and_a_refused_token_is_renewed() -> None:
    async with a_gateway() as peer:
        peer.refuse = 1
        credentials = Passes([TOKEN, "second"])
        async with looking(peer.made(credentials)) as gateway:
            await until(lambda: gateway.loose())
        assert [headers["Authorization"] for headers in peer.headers[:2]] == [f"Bearer {TOKEN}", "Bearer second"]
        assert peer.headers[0]["Cookie"] == "_xsrf=XSRF" and peer.headers[0]["X-Xsrftoken"] == "XSRF"
        assert len(credentials.refusals) == 1


async def test_a_token_that_stays_refused_is_tried_twice_and_told() -> None:
    async with a_gateway() as peer:
        peer.refuse = 10**6
        async with looking(peer.made()) as gateway:
            await until(lambda: gateway.fault)
            assert "401" in gateway.fault and gateway.loose() == []
            assert TOKEN not in gateway.fault + repr(gateway)


async def test_without_credentials_the_remedy_is_told_and_nothing_sent() -> None:
    async with a_gateway() as peer:
        credentials = Passes([TOKEN], error=Unauthenticated("there are no credentials"))
        async with looking(peer.made(credentials)) as gateway:
            await until(lambda: gateway.fault)
            assert gateway.fault.startswith("there are no credentials")
            assert peer.headers == []
            credentials.error = None
            await until(lambda: gateway.loose())
            assert gateway.fault == ""


SPECS = {"default": "a", "kernelspecs": {"a": spec("a")}}
FAULTS = {
    "garbage": garbage(),
    "html": html(),
    "truncated": truncated(b'{"kernelspecs": {}}'),
    "reset": reset(),
    "no specs": ok({"hello": 1}),
    "too deep": raw(200, b"[" * 200_000, JSON),
    "black hole": black_hole(),
}


@pytest.mark.parametrize("what", list(FAULTS))
async def test_a_fault_leaves_what_was_known(what: str) -> None:
    config = LocationConfig(PARENT, Provider.UPSTREAM, request_timeout=0.3)
    async with FaultServer(ok(SPECS), otherwise=FAULTS[what]) as server:
        made = make_gateway(replace(config, gateway=server.url), "other", Passes([TOKEN]), {})
        assert made is not None
        async with looking(made) as gateway:
            await until(lambda: gateway.fault)
            assert names(gateway.loose()) == ["a"]


async def test_a_fault_of_our_own_ends_no_gateways_news(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_gateway() as peer, looking(peer.made()) as gateway:
        await until(lambda: gateway.loose())
        with monkeypatch.context() as broken:
            broken.setattr(gateways, "Specs", lambda answer: 1 // 0)
            await until(lambda: "a fault of ours" in gateway.fault)
        await until(lambda: not gateway.fault)
        peer.specs["etl-1.r"] = spec("etl-1.r", str(SESSION))
        await until(lambda: len(gateway.offered(SESSION)) == 2)
    assert sum("cannot be looked after" in record.getMessage() for record in caplog.records) == 1


async def test_a_redirect_is_never_followed() -> None:
    async with (
        FaultServer() as elsewhere,
        FaultServer(otherwise=redirect(f"{elsewhere.url}/api/kernelspecs")) as server,
    ):
        config = LocationConfig(PARENT, Provider.UPSTREAM, gateway=server.url)
        made = make_gateway(config, "google", Passes([TOKEN]), {})
        assert made is not None
        async with looking(made) as gateway:
            await until(lambda: "302" in gateway.fault)
        assert elsewhere.requests == []


async def test_warnings_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with a_gateway() as peer:
        peer.warnings = [{"id": "w1", "message": "the API is off in project p", "sticky": True}]
        with caplog.at_level(logging.WARNING):
            async with looking(peer.made()) as gateway:
                await until(lambda: gateway.loose() and peer.asked("GET", "/api/kernelspecs") > 3)
        assert sum("the API is off in project p" in record.getMessage() for record in caplog.records) == 1
        assert TOKEN not in caplog.text


async def test_nobody_there_means_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateways, "LOOKED", 0.1)
    monkeypatch.setattr(gateways, "SOON", 0.0)
    async with a_gateway() as peer, looking(peer.made()) as gateway:
        await until(lambda: gateway.loose() and gateway._pace() is None)
        await asyncio.sleep(0.1)
        before = len(peer.requests)
        await asyncio.sleep(0.3)
        assert len(peer.requests) == before
        gateway.touch()
        await until(lambda: len(peer.requests) > before)


async def test_the_pace_follows_what_is_open() -> None:
    async with a_gateway() as peer:
        gateway = peer.made()
        assert gateway._pace() is None
        gateway.touch()
        assert gateway._pace() == gateways.SLOW
        closed = gateway.opened()
        assert gateway._pace() == gateways.QUICK
        closed()
        assert gateway._pace() == gateways.SLOW
        await gateway.close()


async def test_a_session_that_is_not_listed_yet_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateways, "SLOW", 60.0)
    async with a_gateway() as peer, looking(peer.made()) as gateway:
        await until(lambda: gateway.loose())
        new = SessionName(PARENT, "new-1")
        assert gateway.offered(new) == []
        peer.specs["new-1.python3"] = spec("new-1.python3", str(new))
        await until(lambda: gateway.offered(new))


async def test_kernels_are_told_to_the_session_they_name() -> None:
    async with a_gateway() as peer, looking(peer.made()) as gateway:
        mine, other = peer.make("etl-1.python3"), peer.make("x", session=f"{PARENT}/sessions/other-1")
        ended = peer.make("etl-1.python3", state="dead")
        ended["message"] = "out of quota"
        heard: list[Any] = []
        everything: list[Any] = []
        undo = gateway.follow(host_of(gateway), heard.append)
        gateway.follow(starter_of(gateway), everything.append)
        await until(lambda: heard and everything)
        assert {model["id"] for model in heard[-1]["kernels"]} == {mine["id"], ended["id"]}
        assert [model["reason"] for model in heard[-1]["kernels"] if model["id"] == ended["id"]] == ["out of quota"]
        assert {model["id"] for model in everything[-1]["kernels"]} == {mine["id"], other["id"], ended["id"]}
        peer.answers["/api/kernels"] = (503, {"message": "busy"})
        await until(lambda: gateway.fault)
        told = len(heard)
        del peer.models[mine["id"]]
        closed = gateway.opened()
        await asyncio.sleep(0.15)
        # Nothing is told, and nothing is gone, while no whole list can be read.
        assert len(heard) == told
        del peer.answers["/api/kernels"]
        await until(lambda: [model["id"] for model in heard[-1]["kernels"]] == [ended["id"]])
        closed()
        undo()
        told = len(heard)
        await until(lambda: not gateway.fault)
        assert len(heard) == told


async def test_a_side_stream_is_followed_and_dialed_again() -> None:
    async with a_gateway(streams=True) as peer, looking(peer.made()) as gateway:
        assert gateway.v1 and gateway.takes_ids
        model = peer.make("etl-1.python3")
        heard: list[Any] = []
        undo = gateway.follow(host_of(gateway), heard.append)
        await until(lambda: heard and peer.side)
        assert peer.side[0].session == str(SESSION)
        assert heard[0]["kernels"][0]["id"] == model["id"]
        peer.side[0].tell({"type": "gone", "id": model["id"], "reason": "shut down"})
        await until(lambda: len(heard) == 2)
        peer.side[0].close()
        await until(lambda: len(heard) == 3 and peer.side)
        undo()
        await until(lambda: not peer.side)


async def number_server(peer: Gateway, config: LocationConfig) -> LocationGateway:
    """Make a gateway whose URL needs the project's number."""
    template = f"http://127.0.0.1:{peer.port}/{{projectNumber}}"
    made = make_gateway(replace(config, gateway=template), "google", Passes([TOKEN]), {})
    assert made is not None
    return made


async def test_the_projects_number_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    config = LocationConfig(LocationName("my-project", "us-central1"), Provider.UPSTREAM)
    async with a_gateway() as peer, FaultServer(otherwise=ok({"projectNumber": "4711"})) as manager:
        monkeypatch.setattr(gateways, "RESOURCE_MANAGER", manager.url)
        gateway = await number_server(peer, config)
        assert gateway.url == ""
        told: list[str] = []
        gateway.watch(lambda: told.append(gateway.url))
        async with looking(gateway):
            await until(lambda: gateway.url)
            await until(lambda: "404" in gateway.fault)
        assert gateway.url == f"http://127.0.0.1:{peer.port}/4711" and told == [gateway.url]
        (asked,) = manager.requests
        assert asked.path == "/v1/projects/my-project" and "cookie" not in asked.headers


async def test_a_number_that_cannot_be_read_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    config = LocationConfig(LocationName("my-project", "us-central1"), Provider.UPSTREAM)
    async with a_gateway() as peer, FaultServer(otherwise=html(403)) as manager:
        monkeypatch.setattr(gateways, "RESOURCE_MANAGER", manager.url)
        async with looking(await number_server(peer, config)) as gateway:
            await until(lambda: gateway.fault)
            assert "project_number" in gateway.fault and "resourcemanager.projects.get" in gateway.fault


GOOGLE = LocationConfig(
    LocationName("p", "us-central1"),
    Provider.UPSTREAM,
    endpoint="https://us-central1-dataproc.googleapis.com",
    auth=Auth.GOOGLE,
    project_number="4711",
)
OURS = LocationConfig(PARENT, Provider.UPSTREAM, endpoint="https://host.example:8443/base")
MADE: list[tuple[LocationConfig, str, dict[str, Any], str]] = [
    (GOOGLE, "google", {}, "https://4711-dot-us-central1.kernels.googleusercontent.com"),
    (replace(GOOGLE, gateway="https://{project}-{location}-{projectNumber}.googleapis.com/"), "google", {}, ""),
    (OURS, "jupyter_sessions", {"gateway": {"path": "/"}}, "https://host.example:8443"),
    (OURS, "jupyter_sessions", {"gateway": {"path": "/user/me/"}}, "https://host.example:8443/user/me"),
    (replace(OURS, gateway="https://other.example"), "jupyter_sessions", {}, "https://other.example"),
    (replace(OURS, gateway="https://other.example"), "other", {}, "https://other.example"),
]


@pytest.mark.parametrize(("config", "kind", "metadata", "url"), MADE)
def test_where_a_gateway_is(config: LocationConfig, kind: str, metadata: dict[str, Any], url: str) -> None:
    made = make_gateway(config, kind, Passes([TOKEN]), metadata)
    assert made is not None
    assert made.url == (url or "https://p-us-central1-4711.googleapis.com")
    assert made.v1 is made.takes_ids is (kind == "jupyter_sessions")
    assert made.start_timeout == config.start_timeout


NONE: list[tuple[LocationConfig, str, dict[str, Any], str]] = [
    (OURS, "jupyter_sessions", {}, ""),
    (OURS, "jupyter_sessions", {"gateway": {"path": "//evil.example/"}}, ""),
    (OURS, "other", {"gateway": {"path": "/"}}, ""),
    (replace(OURS, gateway="http://other.example"), "other", {}, "must be https"),
    (replace(OURS, gateway="https://me:secret@other.example"), "other", {}, "without user"),
    (replace(GOOGLE, gateway="https://evil.example"), "google", {}, "Google's credentials go only to"),
    (replace(GOOGLE, gateway="https://evilgoogleapis.com"), "google", {}, "Google's credentials go only to"),
    (
        replace(OURS, auth=Auth.BEARER, gateway="https://{projectNumber}.example"),
        "other",
        {},
        "set the location's project_number",
    ),
]


@pytest.mark.parametrize(("config", "kind", "metadata", "why"), NONE)
def test_where_there_is_none(
    config: LocationConfig, kind: str, metadata: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert make_gateway(config, kind, Passes([TOKEN]), metadata) is None
    assert why in caplog.text and bool(why) == bool(caplog.records)
