"""A client made for Google's API, given nothing but the service's address as its endpoint."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import dataproc_v1 as dataproc

from tests.handlers.test_google_client import Clients
from tests.serve.serving import LOCATION, OWN, serving


async def test_a_session_from_its_create_to_its_end(tmp_path: Path) -> None:
    async with serving(tmp_path, users=[OWN], admins=[]) as served:
        clients = Clients(served.url.removeprefix("http://"), served.token(OWN))

        def story() -> None:
            template = dataproc.SessionTemplate(name=f"{LOCATION}/sessionTemplates/small", labels={"a": "b"})
            clients.templates.create_session_template(parent=LOCATION, session_template=template)
            request = dataproc.CreateSessionRequest(
                parent=LOCATION, session_id="googles", session=dataproc.Session(session_template=template.name)
            )
            made = clients.sessions.create_session(request).result(timeout=60)
            assert (made.name, made.state) == (f"{LOCATION}/sessions/googles", dataproc.Session.State.ACTIVE)
            assert (made.creator, dict(made.labels)) == (OWN, {"a": "b"})
            assert [row.name for row in clients.sessions.list_sessions(parent=LOCATION)] == [made.name]
            ended = clients.sessions.terminate_session(name=made.name).result(timeout=60)
            assert ended.state == dataproc.Session.State.TERMINATED
            clients.sessions.delete_session(name=made.name).result(timeout=60)
            with pytest.raises(exceptions.NotFound):
                clients.sessions.get_session(name=made.name)

        try:
            await asyncio.to_thread(story)
        finally:
            clients.close()


async def test_a_wrong_token_is_unauthenticated(tmp_path: Path) -> None:
    async with serving(tmp_path, users=[OWN], admins=[]) as served:
        clients = Clients(served.url.removeprefix("http://"), "nobodys")
        try:
            with pytest.raises(exceptions.Unauthorized):
                await asyncio.to_thread(clients.sessions.get_session, name=f"{LOCATION}/sessions/any-one")
        finally:
            clients.close()
