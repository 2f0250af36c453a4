"""Who may call, as whom, and from where."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth import Authorizer, IdentityProvider, User
from jupyter_server.base.handlers import JupyterHandler
from traitlets.config import Config

from jupyter_sessions.handlers.identity import caller_of, made_up, owner_name
from jupyter_sessions.handlers.routes import ROUTES
from jupyter_sessions.model.api import Caller
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.router import Router
from tests.handlers.scripted import ScriptedSessions
from tests.handlers.serving import PARENT, Rest, config, embedded, rest, serve

SESSIONS = f"{PARENT}/sessions"
ASKED: list[tuple[str, str, str]] = []


class Guests(IdentityProvider):
    """Knows a user with a token by a header, and falls back to what Jupyter makes up."""

    async def get_user(self, handler: Any) -> User | None:
        made: User | None = await super()._get_user(handler)
        name = handler.request.headers.get("X-Name")
        return User(name) if name and made else made


class Guard(Authorizer):
    """Notes what it is asked; lets readers read and nobody named mallory do anything."""

    async def is_authorized(self, handler: JupyterHandler, user: User, action: str, resource: str) -> bool:
        ASKED.append((user.username, action, resource))
        return user.username != "mallory" and (user.username != "reader" or action == "read")


@pytest.fixture
def jp_server_config() -> Config:
    """Give a server with users and an authorizer of its own."""
    found = config(admins={"root-of-all"})
    found.ServerApp.identity_provider_class = Guests
    found.ServerApp.authorizer_class = Guard
    ASKED.clear()
    return found


@pytest.fixture
def api(jp_serverapp: Any) -> ScriptedSessions:
    """Give the scripted location behind the server."""
    scripted = ScriptedSessions(LOCAL)
    serve(jp_serverapp, Router({LOCAL: scripted}))
    return scripted


CALLS = [
    ("GET", PARENT, "read"),
    ("GET", SESSIONS, "read"),
    ("HEAD", SESSIONS, "read"),
    ("POST", SESSIONS, "write"),
    ("PATCH", f"{SESSIONS}/my-session", "write"),
    ("DELETE", f"{SESSIONS}/my-session", "write"),
    ("POST", f"{SESSIONS}/my-session:terminate", "execute"),
    ("GET", f"{SESSIONS}/my-session/logs", "read"),
    ("GET", f"{SESSIONS}:watch", "read"),
    ("GET", f"{PARENT}/sessionTemplates", "read"),
    ("POST", f"{PARENT}/sessionTemplates", "write"),
    ("POST", f"{PARENT}/operations/op:cancel", "execute"),
    ("DELETE", f"{PARENT}/operations/op", "write"),
    ("GET", "openapi.json", "read"),
    ("GET", f"{SESSIONS}/my-session/sparkApplications", "read"),
]


async def test_the_authorizer_is_asked_for_every_call(
    api: ScriptedSessions, jp_serverapp: Any, http_server_client: Any
) -> None:
    call = rest(jp_serverapp, http_server_client)
    for method, path, action in CALLS:
        ASKED.clear()
        answer = await call(method, path, headers={"X-Name": "mallory"})
        assert ASKED == [("mallory", action, "jupyter_sessions")], path
        assert answer.status == 403
        if method != "HEAD":
            assert action in answer.refused(403, "PERMISSION_DENIED")
    assert api.calls == []


async def test_a_reader_reads_and_changes_nothing(
    api: ScriptedSessions, jp_serverapp: Any, http_server_client: Any
) -> None:
    call = rest(jp_serverapp, http_server_client)
    for method, path, action in CALLS:
        answer = await call(method, path, headers={"X-Name": "reader"})
        assert (answer.status == 403) == (action != "read"), path


async def test_nobody_is_told_so_in_json_and_never_sent_to_a_login(
    api: ScriptedSessions, http_server_client: Any
) -> None:
    for call in (Rest(http_server_client, None), Rest(http_server_client, "wrong")):
        for method, path, _ in [*CALLS, ("GET", "nothing", ""), ("PUT", SESSIONS, "")]:
            answer = await call(method, path)
            assert answer.status == 401, path
            assert "Location" not in answer.headers
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            if method != "HEAD":
                assert "token" in answer.refused(401, "UNAUTHENTICATED")
    assert (ASKED, api.calls) == ([], [])


VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


async def test_no_verb_of_any_path_lets_nobody_in(api: ScriptedSessions, http_server_client: Any) -> None:
    nobody = Rest(http_server_client, None)
    parts = {"project": "local", "location": "local", "session": "my-session", "template": "t", "operation": "op"}
    paths = {route.path.format(**parts) for route in ROUTES} | {path for _, path, _ in CALLS} | {"nothing"}
    for path in paths:
        for method in VERBS:
            for headers in ({}, {"Accept": "text/event-stream"}):
                body: dict[str, Any] | None = None if method in ("GET", "HEAD") else {}
                assert (await nobody(method, path, body, headers)).status == 401, (method, path)
    assert (ASKED, api.calls) == ([], [])


async def test_a_foreign_host_is_refused(api: ScriptedSessions, jp_serverapp: Any, http_server_client: Any) -> None:
    call = rest(jp_serverapp, http_server_client)
    for path in (SESSIONS, f"{SESSIONS}:watch", "openapi.json", "nothing"):
        answer = await call("GET", path, headers={"Host": "evil.example"})
        assert "ServerApp.local_hostnames" in answer.refused(403, "PERMISSION_DENIED")
    (await Rest(http_server_client, None)("GET", SESSIONS, headers={"Host": "evil.example"})).refused(
        403, "PERMISSION_DENIED"
    )


async def test_a_cookie_needs_the_xsrf_token_and_the_origin(
    api: ScriptedSessions, jp_serverapp: Any, http_server_client: Any
) -> None:
    token_call, call = rest(jp_serverapp, http_server_client), Rest(http_server_client, None)
    found = await token_call("GET", SESSIONS)
    login = found.headers["Set-Cookie"].partition(";")[0]
    assert (await call("GET", SESSIONS, headers={"Cookie": login})).status == 200
    for method, path in [("POST", SESSIONS), ("DELETE", f"{SESSIONS}/my-session"), ("PATCH", f"{SESSIONS}/my-session")]:
        answer = await call(method, path, {}, {"Cookie": login})
        assert "XSRF" in answer.refused(403, "PERMISSION_DENIED")
    both = {"Cookie": f"{login}; _xsrf=abc", "X-XSRFToken": "abc"}
    assert (await call("POST", SESSIONS, {}, both)).status == 200
    assert (await call("POST", f"{SESSIONS}?_xsrf=abc", {}, {"Cookie": both["Cookie"]})).status == 200
    foreign = {**both, "Origin": "http://evil.example"}
    (await call("POST", SESSIONS, {}, foreign)).refused(403, "PERMISSION_DENIED")
    (await call("GET", SESSIONS, headers={"Cookie": login, "Origin": "http://evil.example"})).refused(
        403, "PERMISSION_DENIED"
    )
    assert (await token_call("POST", SESSIONS, {}, {"Origin": "http://elsewhere.example"})).status == 200


async def test_a_token_in_the_query_is_a_token_and_other_keys_are_not(
    api: ScriptedSessions, jp_serverapp: Any, http_server_client: Any
) -> None:
    token, call = jp_serverapp.identity_provider.token, Rest(http_server_client, None)
    assert (await call("GET", f"{SESSIONS}?token={token}")).status == 200
    for name in ("key", "access_token", "oauth_token"):
        (await call("GET", f"{SESSIONS}?{name}={token}")).refused(401, "UNAUTHENTICATED")


async def test_a_caller_is_who_the_identity_provider_knows(
    api: ScriptedSessions, jp_serverapp: Any, http_server_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    call = rest(jp_serverapp, http_server_client)
    for headers in ({"X-Name": "ada@example.org"}, {"X-Name": "root-of-all"}, {}, {}):
        await call("GET", SESSIONS, headers=headers)
    monkeypatch.setenv("JUPYTERHUB_USER", "hub-owner")
    await call("GET", SESSIONS)
    owner = Caller(owner_name_without_hub())
    assert [entry[1] for entry in api.calls] == [
        Caller("ada@example.org"),
        Caller("root-of-all", admin=True),
        owner,
        owner,
        Caller("hub-owner"),
    ]


async def test_a_template_is_changed_by_its_owner_and_by_admins(
    jp_serverapp: Any, http_server_client: Any, tmp_path: Path
) -> None:
    call = rest(jp_serverapp, http_server_client)
    path = f"{PARENT}/sessionTemplates/small"
    async with embedded(jp_serverapp, tmp_path):
        made = await call("POST", f"{PARENT}/sessionTemplates", {"name": path}, {"X-Name": "ada"})
        assert made.body["creator"] == "ada"
        for name, status in (("bob", 403), ("ada", 200), ("root-of-all", 200)):
            changed = await call("PATCH", path, {"description": f"by {name}"}, {"X-Name": name})
            assert changed.status == status, name
        (await call("DELETE", path, headers={"X-Name": "bob"})).refused(403, "PERMISSION_DENIED")
        assert (await call("GET", path, headers={"X-Name": "bob"})).body["description"] == "by root-of-all"
        assert (await call("DELETE", path, headers={"X-Name": "ada"})).body == {}


async def test_a_token_that_is_no_text_is_a_malformed_request(api: ScriptedSessions, http_server_client: Any) -> None:
    answer = await Rest(http_server_client, None)("GET", f"{SESSIONS}?token=%ff%fe")
    answer.refused(400, "INVALID_ARGUMENT")
    (await Rest(http_server_client, None)("GET", f"{SESSIONS}?no_track_activity=%ff")).refused(401, "UNAUTHENTICATED")


def owner_name_without_hub() -> str:
    return getpass.getuser()


def test_the_owner_is_the_hubs_user_or_the_os_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "someone")
    assert owner_name() == "someone"
    monkeypatch.delenv("JUPYTERHUB_USER")
    assert owner_name() == owner_name_without_hub()


def test_names_that_jupyter_makes_up_are_the_owner() -> None:
    invented = User("0123456789abcdef0123456789abcdef", "Anonymous Io")
    assert made_up(invented, IdentityProvider())
    assert made_up(User("any"), IdentityProvider())
    assert made_up(invented, Guests())
    assert made_up(User("anonymous"), Guests())
    assert not made_up(User("0123456789abcdef0123456789abcdef", "Ada"), Guests())
    assert caller_of(User("ada", "Anonymous Ada"), Guests(), ()) == Caller("ada")
    assert caller_of(None, Guests(), ()).name == owner_name()
