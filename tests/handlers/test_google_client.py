"""Google's generated client against a real server: every method, every error code."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from google.api_core import exceptions
from google.cloud import dataproc_v1 as dataproc
from google.cloud.dataproc_v1.services.session_controller.transports import SessionControllerRestTransport
from google.cloud.dataproc_v1.services.session_template_controller.transports import (
    SessionTemplateControllerRestTransport,
)
from google.oauth2.credentials import Credentials

from jupyter_sessions.model import errors
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.router import Router
from tests.handlers.scripted import ScriptedSessions
from tests.handlers.serving import PARENT, embedded, serve
from tests.service.fake_engine import FakeEngine, World

T = TypeVar("T")


class Fixed(Credentials):
    """A token that nothing refreshes: a 401 is answered by trying once more with the same."""

    def refresh(self, request: Any) -> None:
        self.token = self.token


class Clients:
    """Google's clients for one server, as Any: its packages are typed in part."""

    def __init__(self, host: str, token: str) -> None:
        fixed = Fixed(token=token)  # type: ignore[no-untyped-call]  # google.auth types its calls in part
        options: dict[str, Any] = {"host": host, "url_scheme": "http", "credentials": fixed}
        sessions, templates = SessionControllerRestTransport, SessionTemplateControllerRestTransport
        self.sessions: Any = dataproc.SessionControllerClient(transport=sessions(**options))
        self.templates: Any = dataproc.SessionTemplateControllerClient(transport=templates(**options))

    def create(self, session_id: str, session: Any = None, request_id: str = "") -> Any:
        """Create a session as the client's users do."""
        request = dataproc.CreateSessionRequest(
            parent=PARENT, session=session or dataproc.Session(), session_id=session_id, request_id=request_id
        )
        return self.sessions.create_session(request)

    def close(self) -> None:
        """Close the connections."""
        for client in (self.sessions, self.templates):
            client.transport.close()


@pytest.fixture
def clients(jp_serverapp: Any, http_server_client: Any, jp_http_port: int) -> Iterator[Clients]:
    """Give Google's clients for the server."""
    made = Clients(f"127.0.0.1:{jp_http_port}/a%40b/jupyter-sessions", jp_serverapp.identity_provider.token)
    yield made
    made.close()


async def apart(work: Callable[[], T]) -> T:
    """Run the synchronous client in a thread, so that the server's loop can answer it."""
    return await asyncio.to_thread(work)


async def test_a_session_from_its_create_to_its_end(clients: Clients, jp_serverapp: Any, tmp_path: Path) -> None:
    def story() -> None:
        wanted = dataproc.Session(
            labels={"team": "blue"},
            jupyter_session=dataproc.JupyterConfig(kernel="PYTHON", display_name="Mine"),
            environment_config={"execution_config": {"ttl": "7200s", "idle_ttl": "3600s"}},
        )
        operation = clients.create("my-session", wanted)
        assert operation.metadata.operation_type == dataproc.SessionOperationMetadata.SessionOperationType.CREATE
        made = operation.result(timeout=30)
        assert (made.name, made.state) == (f"{PARENT}/sessions/my-session", dataproc.Session.State.ACTIVE)
        assert made.environment_config.execution_config.ttl.seconds == 7200
        got = clients.sessions.get_session(name=made.name)
        assert (got.uuid, got.jupyter_session.kernel) == (made.uuid, dataproc.JupyterConfig.Kernel.PYTHON)
        assert [past.state.name for past in got.state_history] == ["CREATING"]
        ended = clients.sessions.terminate_session(name=made.name).result(timeout=30)
        assert ended.state == dataproc.Session.State.TERMINATED
        deleted = clients.sessions.delete_session(name=made.name).result(timeout=30)
        assert deleted.uuid == made.uuid
        with pytest.raises(exceptions.NotFound):
            clients.sessions.get_session(name=made.name)

    async with embedded(jp_serverapp, tmp_path):
        await apart(story)


async def test_lists_with_pages_and_filters(clients: Clients, jp_serverapp: Any, tmp_path: Path) -> None:
    def story() -> None:
        for number in range(5):
            clients.create(f"session-{number}", dataproc.Session(labels={"odd": str(number % 2)})).result(timeout=30)
        request = dataproc.ListSessionsRequest(parent=PARENT, page_size=2)
        pages = list(clients.sessions.list_sessions(request).pages)
        assert [[row.name[-1] for row in page.sessions] for page in pages] == [["4", "3"], ["2", "1"], ["0"]]
        some = dataproc.ListSessionsRequest(parent=PARENT, filter="state = ACTIVE and labels.odd = 1")
        assert [row.name[-1] for row in clients.sessions.list_sessions(some)] == ["3", "1"]
        everywhere = dataproc.ListSessionsRequest(parent="projects/-/locations/-", page_size=4)
        assert len(list(clients.sessions.list_sessions(everywhere))) == 5
        bad = dataproc.ListSessionsRequest(parent=PARENT, filter="state == ACTIVE")
        with pytest.raises(exceptions.BadRequest, match="column"):
            clients.sessions.list_sessions(bad)

    async with embedded(jp_serverapp, tmp_path):
        await apart(story)


async def test_a_request_id_makes_a_call_once(clients: Clients, jp_serverapp: Any, tmp_path: Path) -> None:
    def story() -> None:
        request_id = uuid.uuid4().hex
        first = clients.create("my-session", request_id=request_id)
        again = clients.create("other-one", request_id=request_id)
        assert again.operation.name == first.operation.name
        first.result(timeout=30)
        end = dataproc.TerminateSessionRequest(name=f"{PARENT}/sessions/my-session", request_id=uuid.uuid4().hex)
        names = {clients.sessions.terminate_session(end).operation.name for _ in range(2)}
        assert len(names) == 1
        gone = dataproc.DeleteSessionRequest(name=f"{PARENT}/sessions/my-session", request_id=uuid.uuid4().hex)
        assert len({clients.sessions.delete_session(gone).operation.name for _ in range(2)}) == 1
        made = clients.create("")
        assert made.result(timeout=30).name.startswith(f"{PARENT}/sessions/")

    async with embedded(jp_serverapp, tmp_path):
        await apart(story)


async def test_templates(clients: Clients, jp_serverapp: Any, tmp_path: Path) -> None:
    name = f"{PARENT}/sessionTemplates/small"

    def story() -> None:
        template = dataproc.SessionTemplate(name=name, description="first", labels={"a": "b"})
        made = clients.templates.create_session_template(parent=PARENT, session_template=template)
        assert (made.name, made.description, bool(made.creator), bool(made.uuid)) == (name, "first", True, True)
        with pytest.raises(exceptions.Conflict):
            clients.templates.create_session_template(parent=PARENT, session_template=template)
        assert clients.templates.get_session_template(name=name) == made
        template.description = "second"
        changed = clients.templates.update_session_template(session_template=template)
        assert (changed.description, changed.create_time) == ("second", made.create_time)
        assert [row.name for row in clients.templates.list_session_templates(parent=PARENT)] == [name]
        session = clients.create("from-it", dataproc.Session(session_template=name)).result(timeout=30)
        assert (session.session_template, dict(session.labels)) == (name, {"a": "b"})
        clients.templates.delete_session_template(name=name)
        with pytest.raises(exceptions.NotFound):
            clients.templates.get_session_template(name=name)

    async with embedded(jp_serverapp, tmp_path):
        await apart(story)


async def test_operations(clients: Clients, jp_serverapp: Any, tmp_path: Path) -> None:
    def story() -> None:
        operation = clients.create("never-ready")
        name = operation.operation.name
        assert not operation.done()
        listed = clients.sessions.list_operations({"name": f"{PARENT}/operations", "filter": "done = false"})
        assert name in [row.name for row in listed.operations]
        clients.sessions.cancel_operation({"name": name})
        with pytest.raises(exceptions.GoogleAPICallError):
            operation.result(timeout=30)
        raw = clients.sessions.get_operation({"name": name})
        assert (raw.done, raw.error.code, raw.HasField("response")) == (True, 1, False)
        clients.sessions.delete_operation({"name": name})
        with pytest.raises(exceptions.NotFound):
            clients.sessions.get_operation({"name": name})

    async with embedded(jp_serverapp, tmp_path, FakeEngine(World(ready=False))):
        await apart(story)


# What the REST client raises for each HTTP status.
RAISED = {
    400: exceptions.BadRequest,
    401: exceptions.Unauthorized,
    403: exceptions.Forbidden,
    404: exceptions.NotFound,
    409: exceptions.Conflict,
    429: exceptions.TooManyRequests,
    499: exceptions.ClientError,
    500: exceptions.InternalServerError,
    501: exceptions.MethodNotImplemented,
    503: exceptions.ServiceUnavailable,
    504: exceptions.GatewayTimeout,
}


async def test_every_error_code(clients: Clients, jp_serverapp: Any) -> None:
    api = ScriptedSessions(LOCAL)
    serve(jp_serverapp, Router({LOCAL: api}))
    seen = set()
    for kind in errors.KINDS:
        api.failures["terminate_session"] = kind(f"why {kind.status}")

        def fail(expected: type[Exception] = RAISED[kind.http], word: str = kind.status) -> Any:
            with pytest.raises(expected, match=f"why {word}") as caught:
                clients.sessions.terminate_session(name=f"{PARENT}/sessions/my-session", retry=None)
            return caught.value

        seen.add((await apart(fail)).code)
    assert seen == set(RAISED)


async def test_violations_reach_the_client(clients: Clients, jp_serverapp: Any, tmp_path: Path) -> None:
    def story() -> None:
        wanted = dataproc.Session(labels={"BAD": "x"}, environment_config={"execution_config": {"ttl": "1s"}})
        with pytest.raises(exceptions.BadRequest) as caught:
            clients.create("my-session", wanted)
        (detail,) = caught.value.details
        fields = {violation["field"] for violation in detail["fieldViolations"]}
        assert fields == {"labels.BAD", "environmentConfig.executionConfig.ttl"}

    async with embedded(jp_serverapp, tmp_path):
        await apart(story)


async def test_a_wrong_token_is_unauthorized(
    clients: Clients, jp_serverapp: Any, jp_http_port: int, tmp_path: Path
) -> None:
    stranger = Clients(f"127.0.0.1:{jp_http_port}/a%40b/jupyter-sessions", "wrong")

    def story() -> None:
        with pytest.raises(exceptions.Unauthorized):
            stranger.sessions.get_session(name=f"{PARENT}/sessions/my-session")
        with pytest.raises(exceptions.Unauthorized):
            stranger.create("my-session")

    async with embedded(jp_serverapp, tmp_path):
        await apart(story)
    stranger.close()
