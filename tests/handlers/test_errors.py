"""Every failure under the prefix: one shape, the right code, no word about the inside."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.handlers.refusals import MAX_BODY
from jupyter_sessions.model import errors
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.router import Router
from tests.handlers.scripted import ScriptedSessions
from tests.handlers.serving import PARENT, ROOT, Rest, embedded, rest, serve

SESSIONS = f"{PARENT}/sessions"
KINDS = sorted(errors.KINDS, key=lambda kind: kind.code)


@pytest.fixture
def api(jp_serverapp: Any) -> ScriptedSessions:
    """Give the scripted location behind the server."""
    scripted = ScriptedSessions(LOCAL)
    serve(jp_serverapp, Router({LOCAL: scripted}))
    return scripted


@pytest.fixture
def call(jp_serverapp: Any, http_server_client: Any) -> Rest:
    """Give a caller with the server's token."""
    return rest(jp_serverapp, http_server_client)


async def test_each_error_has_its_http_status_and_shape(api: ScriptedSessions, call: Rest) -> None:
    statuses = {400, 401, 403, 404, 409, 429, 499, 500, 501, 503, 504}
    for kind in KINDS:
        api.failures["get_session"] = kind(f"why {kind.status}")
        answer = await call("GET", f"{SESSIONS}/my-session")
        assert answer.refused(kind.http, kind.status) == f"why {kind.status}"
        statuses.discard(answer.status)
    assert statuses == set()
    assert len(KINDS) == 13


async def test_details_are_passed_on(api: ScriptedSessions, call: Rest) -> None:
    faults = [errors.FieldViolation("labels.A", "is no label"), errors.FieldViolation("ttl", "is too long")]
    api.failures["create_session"] = errors.InvalidArgument(faults)
    answer = await call("POST", SESSIONS, {})
    assert answer.violations == {"labels.A": "is no label", "ttl": "is too long"}


async def test_unavailable_says_when_to_come_again(api: ScriptedSessions, call: Rest) -> None:
    api.failures["get_session"] = errors.Unavailable("away")
    assert (await call("GET", f"{SESSIONS}/my-session")).headers["Retry-After"] == "1"


async def test_a_fault_of_ours_tells_nothing_of_itself(
    api: ScriptedSessions, call: Rest, caplog: pytest.LogCaptureFixture
) -> None:
    api.failures["get_session"] = RuntimeError("the secret is 42")
    with caplog.at_level(logging.ERROR):
        answer = await call("GET", f"{SESSIONS}/my-session")
    assert answer.refused(500, "INTERNAL") == "an internal error; the log of the Jupyter server says more"
    assert b"secret" not in answer.raw and b"Traceback" not in answer.raw
    assert "the secret is 42" in caplog.text


UNKNOWN = [
    "",
    "nothing",
    "projects",
    "projects/p",
    f"{PARENT}/",
    f"{PARENT}/nothing",
    f"{SESSIONS}/",
    f"{SESSIONS}/my-session/",
    f"{SESSIONS}/my-session:fly",
    f"{SESSIONS}/my-session/nothing",
    f"{SESSIONS}:nothing",
    f"{PARENT}/operations/op:terminate",
    "projects/local/regions/local/sessions",
    "openapi.json/more",
    "projects//locations/l",
]


async def test_an_unknown_path_is_not_found_whatever_the_method(api: ScriptedSessions, call: Rest) -> None:
    for path in UNKNOWN:
        for method in ("GET", "POST", "DELETE", "PUT", "OPTIONS"):
            (await call(method, path)).refused(404, "NOT_FOUND")
    (await call("GET", ROOT[:-1])).refused(404, "NOT_FOUND")
    assert (await call("HEAD", "nothing")).status == 404
    assert api.calls == []


async def test_a_wrong_method_is_told_which_are_right(api: ScriptedSessions, call: Rest) -> None:
    wrong = [
        ("PUT", SESSIONS, "GET, HEAD, OPTIONS, POST"),
        ("DELETE", SESSIONS, "GET, HEAD, OPTIONS, POST"),
        ("POST", f"{SESSIONS}/my-session", "GET, HEAD, OPTIONS, PATCH, DELETE"),
        ("GET", f"{SESSIONS}/my-session:terminate", "OPTIONS, POST"),
        ("POST", f"{SESSIONS}:watch", "GET, HEAD, OPTIONS"),
        ("POST", "openapi.json", "GET, HEAD, OPTIONS"),
    ]
    for method, path, allowed in wrong:
        answer = await call(method, path)
        assert allowed in answer.refused(405, "UNIMPLEMENTED")
        assert answer.headers["Allow"] == allowed
    (await call("BREW", SESSIONS)).refused(405, "UNIMPLEMENTED")
    assert api.calls == []


async def test_options_says_what_a_path_takes(
    api: ScriptedSessions, jp_serverapp: Any, http_server_client: Any
) -> None:
    nobody = Rest(http_server_client, None)
    answer = await nobody("OPTIONS", f"{SESSIONS}/my-session")
    assert (answer.status, answer.raw) == (204, b"")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, PATCH, DELETE"
    assert (await nobody("OPTIONS", f"{SESSIONS}:watch")).headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_spark_applications_are_unimplemented(api: ScriptedSessions, call: Rest) -> None:
    for path in ("sparkApplications", "sparkApplications/app:access", "sparkApplications:search"):
        for method in ("GET", "POST"):
            (await call(method, f"{SESSIONS}/my-session/{path}")).refused(501, "UNIMPLEMENTED")


BODIES = [
    (b"{", "line 1 column 2"),
    (b'{"labels":\n  {"a" "b"}}', "line 2 column 8"),
    (b"[]", "object"),
    (b'"text"', "object"),
    (b"\xff\xfe{}", "UTF-8"),
    (b"\xef\xbb\xbf{}", "JSON"),
    (b'{"user": "\\ud800"}', "user"),
    (b'{"a": NaN}', "NaN"),
    (b'{"user": "a", "user": "b"}', "user"),
    (b'{"userName": "a"}', "userName"),
    (b"[" * 500_000, "JSON"),
    (b'{"a":' * 150_000, "JSON"),
    (b'{"a": ' + b"9" * 5000 + b"}", "a"),
]


async def test_a_faulty_body_says_where_it_is_faulty(api: ScriptedSessions, call: Rest) -> None:
    for body, word in BODIES:
        assert word in (await call("POST", SESSIONS, body)).refused(400, "INVALID_ARGUMENT")
    # A repeated create is answered whatever its body holds.
    assert {name for name, *_ in api.calls} == {"repeated_create"}


async def test_every_fault_of_a_body_is_told_at_once(api: ScriptedSessions, call: Rest) -> None:
    body = {"labels": {"A": "b"}, "environmentConfig": {"executionConfig": {"ttl": "1s"}}, "nonsense": 1}
    answer = await call("POST", SESSIONS, body)
    answer.refused(400, "INVALID_ARGUMENT")
    assert answer.violations.keys() == {"labels.A", "environmentConfig.executionConfig.ttl", "nonsense"}


async def test_the_faults_of_query_and_body_are_told_together(
    jp_serverapp: Any, http_server_client: Any, tmp_path: Path
) -> None:
    call = rest(jp_serverapp, http_server_client)
    async with embedded(jp_serverapp, tmp_path, max_ttl=7200.0):
        wrong = f"{SESSIONS}?sessionId=A&requestId=a%20b"
        ttl = "environmentConfig.executionConfig.ttl"
        assert (await call("POST", wrong, {"labels": {"A": "b"}})).violations.keys() == {"sessionId", "labels.A"}
        body: dict[str, Any] = {"environmentConfig": {"executionConfig": {"ttl": "7201s"}}}
        assert (await call("POST", wrong, body)).violations.keys() == {"requestId", "sessionId", ttl}
        body["name"] = "projects/local/locations/local/sessions/another-one"
        answer = await call("POST", f"{SESSIONS}?sessionId=my-session", body)
        assert answer.violations.keys() == {"name", ttl}
        assert (await call("GET", SESSIONS)).body == {"sessions": []}


async def test_a_terminate_body_takes_only_a_request_id(api: ScriptedSessions, call: Rest) -> None:
    path = f"{SESSIONS}/my-session:terminate"
    for body, field in [
        ({"requestId": 1}, "requestId"),
        ({"why": "x"}, "why"),
        ({"requestId": "a", "request_id": "a"}, "requestId"),
        (b'{"requestId": "a", "requestId": "b"}', "requestId"),
    ]:
        assert (await call("POST", path, body)).violations.keys() == {field}
    assert api.calls == []
    for good in ({"request_id": "two"}, {"requestId": None}, {}):
        assert (await call("POST", path, good)).status == 200
    assert [entry[3] for entry in api.calls] == ["two", "", ""]


async def test_a_method_without_a_body_takes_none(api: ScriptedSessions, call: Rest) -> None:
    (await call("DELETE", f"{SESSIONS}/my-session", {"force": True})).refused(400, "INVALID_ARGUMENT")
    (await call("POST", f"{PARENT}/operations/op:cancel", {"why": ""})).refused(400, "INVALID_ARGUMENT")
    assert api.calls == []
    assert (await call("DELETE", f"{SESSIONS}/my-session", {})).status == 200


async def test_the_media_type_is_json(api: ScriptedSessions, call: Rest) -> None:
    for given in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data"):
        answer = await call("POST", SESSIONS, b"{}", {"Content-Type": given})
        told = answer.refused(415, "INVALID_ARGUMENT")
        assert given in told and "curl: -H 'Content-Type: application/json'" in told
    (await call("POST", SESSIONS, b"{}", {"Content-Type": ""})).refused(415, "INVALID_ARGUMENT")
    (await call("POST", SESSIONS, b"{}", {"Content-Encoding": "gzip"})).refused(415, "INVALID_ARGUMENT")
    assert api.calls == []
    for given in ("application/json; charset=utf-8", "Application/JSON;x=y"):
        assert (await call("POST", SESSIONS, b"{}", {"Content-Type": given})).status == 200
    assert (await call("POST", f"{SESSIONS}/my-session:terminate", b"", {"Content-Type": ""})).status == 200


async def test_a_body_over_the_limit_is_refused(api: ScriptedSessions, call: Rest) -> None:
    most = b'{"user": "' + b"x" * (MAX_BODY - 12) + b'"}'
    assert len(most) == MAX_BODY
    assert (await call("POST", SESSIONS, most)).status == 200
    (await call("POST", SESSIONS, most + b" ")).refused(413, "INVALID_ARGUMENT")
    for path in ("nothing", f"{SESSIONS}:watch", f"{SESSIONS}/my-session/sparkApplications"):
        assert (await call("POST", path, b" " * (5 << 20))).status in (404, 405, 413, 501)
    assert len([entry for entry in api.calls if entry[0] == "create_session"]) == 1


async def raw_request(port: int, text: bytes, pieces: list[bytes]) -> bytes:
    """Send a request by hand and give the answer up to the end of its JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answer = await asyncio.wait_for(reader.readuntil(b"]}}"), 20)
    writer.close()
    return answer


async def test_a_chunked_body_over_the_limit_is_refused(
    api: ScriptedSessions, jp_serverapp: Any, http_server_client: Any, jp_http_port: int
) -> None:
    head = (
        f"POST {ROOT}{SESSIONS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {jp_serverapp.identity_provider.token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    chunk = b"%x\r\n%s\r\n" % (1 << 16, b"x" * (1 << 16))
    answer = await raw_request(jp_http_port, head, [chunk] * 24 + [b"0\r\n\r\n"])
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["status"] == "INVALID_ARGUMENT"
    assert api.calls == []


async def test_an_announced_length_over_the_limit_is_refused_before_it_is_sent(
    api: ScriptedSessions, jp_serverapp: Any, http_server_client: Any, jp_http_port: int
) -> None:
    head = (
        f"POST {ROOT}{SESSIONS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {jp_serverapp.identity_provider.token}\r\n"
        f"Expect: 100-continue\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
    ).encode()
    assert (await raw_request(jp_http_port, head, [])).startswith(b"HTTP/1.1 413 ")


async def test_a_refusal_is_heard_whole_and_the_connection_goes_on(
    api: ScriptedSessions, jp_serverapp: Any, http_server_client: Any, jp_http_port: int
) -> None:
    url = f"{ROOT}{SESSIONS}"
    token = {"Authorization": f"Bearer {jp_serverapp.identity_provider.token}", "Content-Type": "application/json"}

    def ask() -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", jp_http_port, timeout=20)
        connection.connect()
        socket, statuses = connection.sock, []
        for method, body, headers in [
            ("GET", b"", {}),
            ("POST", b" " * (5 << 20), {}),
            ("POST", b" " * (5 << 20), token),
            ("PUT", b"{}", token),
            ("GET", b"", token),
        ]:
            connection.request(method, url, body, headers)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
            assert connection.sock is socket, statuses
        connection.close()
        return statuses

    assert await asyncio.to_thread(ask) == [401, 401, 413, 405, 200]


NAMES = [
    ("GET", f"{SESSIONS}/UPPER", "name"),
    ("GET", f"{SESSIONS}/a", "name"),
    ("GET", f"{SESSIONS}/with%2Fslash", "name"),
    ("GET", f"{SESSIONS}/with%20space", "name"),
    ("GET", "projects/-/locations/-/sessions/my-session", "name"),
    ("POST", "projects/-/locations/-/sessions", "parent"),
    ("GET", "projects/-/locations/local/sessions", "parent"),
    ("GET", f"{PARENT}/sessionTemplates/-", "name"),
    ("GET", "projects/-/locations/-/operations/op", "name"),
    ("GET", "projects/-/locations/-", "parent"),
]


async def test_a_name_that_cannot_be_is_invalid(api: ScriptedSessions, call: Rest) -> None:
    for method, path, field in NAMES:
        answer = await call(method, path)
        answer.refused(400, "INVALID_ARGUMENT")
        assert answer.violations.keys() == {field}, path
    (await call("GET", f"{SESSIONS}/%ff%fe")).refused(400, "INVALID_ARGUMENT")


async def test_names_in_a_body_must_be_those_of_the_url(
    jp_serverapp: Any, http_server_client: Any, tmp_path: Path
) -> None:
    call = rest(jp_serverapp, http_server_client)
    async with embedded(jp_serverapp, tmp_path):
        for name in ("projects/p/locations/l/sessions/my-session", f"{SESSIONS}/another-one", "my-session"):
            answer = await call("POST", f"{SESSIONS}?sessionId=my-session", {"name": name})
            answer.refused(400, "INVALID_ARGUMENT")
            assert "name" in answer.violations
        assert (await call("GET", SESSIONS)).body == {"sessions": []}


async def test_a_failed_start_is_told_to_every_request(jp_serverapp: Any, call: Rest) -> None:
    from tests.handlers.serving import extension_of

    extension_of(jp_serverapp).gate.close("the sessions service could not start: no disk")
    for method, path in [("GET", SESSIONS), ("POST", SESSIONS), ("GET", "projects/local/locations")]:
        assert "no disk" in (await call(method, path)).refused(503, "UNAVAILABLE")
