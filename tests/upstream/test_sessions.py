"""Every method of the proxy against the public API: what is sent, what comes back, and what is not sent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jupyter_sessions.model import wire
from jupyter_sessions.model.api import Caller, ListRequest
from jupyter_sessions.model.errors import AlreadyExists, InvalidArgument, NotFound, Unimplemented
from jupyter_sessions.model.names import LocationName, OperationName, SessionName, TemplateName
from jupyter_sessions.model.resources import (
    EnvironmentConfig,
    ExecutionConfig,
    JupyterConfig,
    Kernel,
    RuntimeConfig,
    Session,
    SessionTemplate,
)
from jupyter_sessions.model.states import State
from tests.faults import replies
from tests.faults.server import FaultServer
from tests.upstream.cloud import cloud
from tests.upstream.proxies import FAR, GOOGLE, proxy, upstream_at

ME = Caller("me")
FULL = Session(
    labels={"team": "blue"},
    jupyter_session=JupyterConfig(kernel=Kernel.PYTHON, display_name="Mine"),
    runtime_config=RuntimeConfig(version="2.3", properties={"spark.executor.cores": "4"}),
    environment_config=EnvironmentConfig(
        execution_config=ExecutionConfig(ttl=7200 * 10**9, idle_ttl=3600 * 10**9, service_account="a@example.com")
    ),
)


def name(session_id: str) -> SessionName:
    return SessionName(FAR, session_id)


async def test_every_request_is_one_that_the_api_knows(tmp_path: Path) -> None:
    template = TemplateName(FAR, "small")
    async with cloud() as (far, server), proxy(GOOGLE, tmp_path, reached_at=server.url) as api:
        made = await api.create_session(ME, FAR, FULL, "first-one")
        assert "/regions/" in made.name and made.metadata.session == str(name("first-one"))
        far.move("first-one", "ACTIVE")
        far.finish(made.name)
        done = await api.get_operation(ME, made.parsed_name)
        assert done.response is not None and done.response.state is State.ACTIVE
        assert (await api.get_session(ME, name("first-one"))).properties == {"spark.executor.cores": "4"}
        page = await api.list_sessions(ME, FAR, ListRequest(5, "", "state = ACTIVE"))
        assert [row.name for row in page.items] == [str(name("first-one"))]
        assert (await api.list_operations(ME, FAR, ListRequest())).items[0].name == made.name
        await api.cancel_operation(ME, made.parsed_name)
        await api.create_template(ME, FAR, SessionTemplate(name=str(template), description="one", labels={"a": "1"}))
        await api.update_template(ME, template, SessionTemplate(description="two"), ["description"])
        found = await api.get_template(ME, template)
        assert (found.description, found.labels) == ("two", {"a": "1"}), "a mask changes no other field"
        assert len((await api.list_templates(ME, FAR, ListRequest())).items) == 1
        await api.delete_template(ME, template)
        await api.terminate_session(ME, name("first-one"))
        await api.delete_session(ME, name("first-one"))
        await api.delete_operation(ME, made.parsed_name)
        with pytest.raises(NotFound):
            await api.get_operation(ME, made.parsed_name)
        assert all("/regions/" in asked.path for asked in far.asked if "/operations" in asked.path)
        assert all(asked.headers.get("authorization") is None for asked in far.asked)


async def test_a_request_id_is_made_and_kept_for_the_tries_of_one_call(tmp_path: Path) -> None:
    async with cloud() as (far, server), proxy(GOOGLE, tmp_path, reached_at=server.url) as api:
        server.on(f"/v1/{FAR}/sessions", replies.unavailable(), replies.reset())
        await api.create_session(ME, FAR, Session())
        await api.create_session(ME, FAR, Session())
        posts = [asked for asked in server.requests if asked.method == "POST"]
        ids = [asked.query["requestId"] for asked in posts]
        assert len(far.rows) == 2 and len(set(ids)) == 2
        assert {asked.query["sessionId"] for asked in posts} == set(far.rows)
        await api.create_session(ME, FAR, Session(), "mine-one", "my-request")
        assert [asked for asked in server.requests if asked.method == "POST"][-1].query["requestId"] == "my-request"


async def test_a_create_of_ours_is_remembered_by_its_request_id(tmp_path: Path) -> None:
    async with cloud() as (_, server), proxy(GOOGLE, tmp_path, reached_at=server.url) as api:
        made = await api.create_session(ME, FAR, Session(), "mine-one", "my-request")
        known = await api.repeated_create(ME, FAR, "my-request")
        assert known is not None and known.name == made.name
        assert await api.repeated_create(Caller("another"), FAR, "my-request") is None
        assert await api.repeated_create(ME, FAR, "another") is None


async def test_fields_of_a_newer_upstream_survive(tmp_path: Path) -> None:
    async with cloud() as (far, server), proxy(GOOGLE, tmp_path, reached_at=server.url) as api:
        news = {
            "quantumConfig": {"qubits": "9"},
            "labels": {"UPPER": "as it is"},
            "jupyterSession": {"kernel": "JULIA"},
        }
        row = far.add("newer-one", **news)
        shown = wire.dump(await api.get_session(ME, name("newer-one")))
        assert {key: shown[key] for key in news} == news and shown["uuid"] == row["uuid"]
        (listed,) = (await api.list_sessions(ME, FAR, ListRequest())).items
        assert wire.dump(listed) == shown


async def test_what_the_api_lacks_is_said_without_a_call(tmp_path: Path) -> None:
    async with cloud() as (far, server), proxy(GOOGLE, tmp_path, reached_at=server.url) as api:
        far.add("there-one")
        await api.get_session(ME, name("there-one"))
        for call, words in (
            (api.update_session(ME, name("there-one"), Session(labels={"a": "1"}), None), "create another"),
            (api.read_log(ME, name("there-one"), 0, 10), "outputUri"),
            (api.list_kernels(ME, name("there-one")), "/api/kernels"),
        ):
            with pytest.raises(Unimplemented, match=words):
                await call
        location = await api.get_location(FAR)
        assert location.metadata["capabilities"]["update"] is False and location.metadata["upstream"] == "google"
        assert location.metadata["status"]["reachable"] is True
        assert location.metadata["limits"]["maxTtl"] == "1209600s"


async def test_errors_come_back_as_they_were(tmp_path: Path) -> None:
    async with cloud() as (far, server), proxy(GOOGLE, tmp_path, reached_at=server.url) as api:
        far.add("taken-one")
        with pytest.raises(AlreadyExists, match="Already exists: taken-one"):
            await api.create_session(ME, FAR, Session(), "taken-one")
        with pytest.raises(NotFound, match="Not found: session"):
            await api.get_session(ME, name("missing"))
        with pytest.raises(InvalidArgument, match="sessionId"):
            await api.create_session(ME, FAR, Session(name=str(name("other-one"))), "this-one")


async def test_another_location_is_not_here(tmp_path: Path) -> None:
    elsewhere = LocationName("acme", "europe-west1")
    async with cloud() as (_, server), proxy(upstream_at(server.url), tmp_path) as api:
        for call in (
            api.get_session(ME, SessionName(elsewhere, "abcd")),
            api.get_operation(ME, OperationName(elsewhere, "op")),
            api.list_sessions(ME, elsewhere, ListRequest()),
            api.get_location(elsewhere),
        ):
            with pytest.raises(NotFound, match="not configured"):
                await call
        assert await api.list_locations("another") == []


async def test_callers_who_ask_the_same_share_one_request(tmp_path: Path) -> None:
    async with cloud() as (far, server), proxy(GOOGLE, tmp_path, reached_at=server.url) as api:
        far.add("there-one")
        many = await asyncio.gather(*(api.get_session(ME, name("there-one")) for _ in range(20)))
        assert {session.name for session in many} == {str(name("there-one"))}
        assert far.counts["GET sessions"] == 1
        await asyncio.gather(*(api.list_templates(ME, FAR, ListRequest()) for _ in range(20)))
        await api.list_templates(ME, FAR, ListRequest())
        assert far.counts["GET sessionTemplates"] == 1
        made = await api.create_template(ME, FAR, SessionTemplate(name=f"{FAR}/sessionTemplates/small"))
        listed = await api.list_templates(ME, FAR, ListRequest())
        assert [template.name for template in listed.items] == [made.name], "what we changed is asked for anew"


async def test_a_name_is_escaped_in_a_path(tmp_path: Path) -> None:
    strange = LocationName("example.com:acme", "us%2Fcentral?x=1")
    missing = replies.error(404, "NOT_FOUND", "Not found")
    async with FaultServer(otherwise=missing) as server, proxy(upstream_at(server.url, strange), tmp_path) as api:
        with pytest.raises(NotFound):
            await api.get_template(ME, TemplateName(strange, "abc"))
        asked = next(one for one in server.requests if "sessionTemplates" in one.path)
        assert asked.target == "/v1/projects/example.com:acme/locations/us%252Fcentral%3Fx%3D1/sessionTemplates/abc"
