"""Every method of the API, over HTTP, on a service with a fake engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.handlers.serving import PARENT, Rest, embedded, query, rest, until, until_done
from tests.service.fake_engine import FakeEngine, World

SESSIONS, TEMPLATES, OPERATIONS = (f"{PARENT}/{name}" for name in ("sessions", "sessionTemplates", "operations"))


async def test_a_session_from_its_create_to_its_end(jp_serverapp: Any, http_server_client: Any, tmp_path: Path) -> None:
    call = rest(jp_serverapp, http_server_client)
    async with embedded(jp_serverapp, tmp_path):
        body = {"labels": {"team": "blue"}, "jupyter_session": {"displayName": "Näme"}, "createTime": ""}
        made = await call("POST", f"{SESSIONS}?sessionId=my-session&requestId=one", body)
        assert made.status == 200 and made.body["metadata"]["operationType"] == "CREATE"
        assert (await call("POST", f"{SESSIONS}?sessionId=other-id&requestId=one", {})).body["name"] == made.body[
            "name"
        ]
        faulty = await call("POST", f"{SESSIONS}?sessionId=other-id&requestId=one", {"labels": 1, "nonsense": True})
        assert (faulty.status, faulty.body.get("name")) == (200, made.body["name"])
        done = await until_done(call, made.body)
        assert done["response"]["state"] == "ACTIVE"
        got = await call("GET", f"{SESSIONS}/my-session")
        assert got.body["jupyterSession"] == {"kernel": "PYTHON", "displayName": "Näme"}
        assert got.headers["Cache-Control"] == "no-store"
        assert (await call("GET", f"{SESSIONS}/my-session/kernels")).status == 503
        log = await call("GET", f"{SESSIONS}/my-session/logs?offset=-10&limit=4")
        assert log.body == {
            "content": "last",
            "offset": 11,
            "nextOffset": 15,
            "truncated": False,
            "complete": False,
        }
        changed = await call("PATCH", f"{SESSIONS}/my-session?updateMask=labels.team", {"labels": {"team": "red"}})
        assert changed.body["labels"] == {"team": "red"}
        ended = await call("POST", f"{SESSIONS}/my-session:terminate", {"requestId": "two"})
        assert (await until_done(call, ended.body))["response"]["state"] == "TERMINATED"
        again = await call("POST", f"{SESSIONS}/my-session:terminate")
        again.refused(400, "FAILED_PRECONDITION")
        gone = await call("DELETE", f"{SESSIONS}/my-session?requestId=three")
        assert (await until_done(call, gone.body))["metadata"]["operationType"] == "DELETE"
        (await call("GET", f"{SESSIONS}/my-session")).refused(404, "NOT_FOUND")


async def test_a_server_makes_an_id_and_enums_may_be_numbers(
    jp_serverapp: Any, http_server_client: Any, tmp_path: Path
) -> None:
    call = rest(jp_serverapp, http_server_client)
    async with embedded(jp_serverapp, tmp_path):
        numbers = "%24alt=json%3Benum-encoding%3Dint"
        made = await call("POST", f"{SESSIONS}?sessionId=&{numbers}", {"jupyterSession": {"kernel": 1}})
        assert made.body["metadata"]["operationType"] == 1
        name = made.body["metadata"]["session"]
        done = await until_done(call, made.body)
        assert done["response"]["state"] == "ACTIVE"
        assert (await call("GET", f"{name}?{numbers}")).body["state"] == 2
        assert (await call("GET", f"{SESSIONS}?1732450000000&{numbers}")).body["sessions"][0]["state"] == 2
        assert (await call("HEAD", name)).raw == b""


async def test_lists_have_pages_filters_and_span_locations(
    jp_serverapp: Any, http_server_client: Any, tmp_path: Path
) -> None:
    call = rest(jp_serverapp, http_server_client)
    async with embedded(jp_serverapp, tmp_path):
        made = [f"session-{number}" for number in range(5)]
        for name in made:
            await call("POST", f"{SESSIONS}?sessionId={name}", {"labels": {"odd": str(int(name[-1]) % 2)}})
        for parent in (PARENT, "projects/-/locations/-", "projects/local/locations/-"):
            names, token, pages = [], "", 0
            while token or not pages:
                answer = await call("GET", f"{parent}/sessions" + query(pageSize="2", pageToken=token))
                names += [row["name"].rpartition("/")[2] for row in answer.body["sessions"]]
                token, pages = answer.body.get("nextPageToken", ""), pages + 1
            assert (names, pages) == (made[::-1], 3)
        some = await call("GET", SESSIONS + query(filter='labels.odd = "1" AND session_id != session-1'))
        assert [row["name"].rpartition("/")[2] for row in some.body["sessions"]] == ["session-3"]
        bad = await call("GET", SESSIONS + query(filter="state = "))
        assert "column" in bad.refused(400, "INVALID_ARGUMENT")
        assert (await call("GET", SESSIONS + query(pageSize="-1"))).violations.keys() == {"pageSize"}
        token = (await call("GET", SESSIONS + query(pageSize="2"))).body["nextPageToken"]
        other = await call("GET", SESSIONS + query(pageToken=token, filter="state = ACTIVE"))
        other.refused(400, "INVALID_ARGUMENT")
        operations = await call("GET", OPERATIONS + query(pageSize="3", returnPartialSuccess="true"))
        assert len(operations.body["operations"]) == 3 and operations.body["nextPageToken"]
        assert (await call("GET", "projects/-/locations/-/operations")).body["operations"]
        assert (await call("GET", "projects/nobody/locations/-/sessions")).body == {"sessions": []}


async def test_templates_are_made_changed_used_and_removed(
    jp_serverapp: Any, http_server_client: Any, tmp_path: Path
) -> None:
    call = rest(jp_serverapp, http_server_client)
    async with embedded(jp_serverapp, tmp_path):
        (await call("POST", TEMPLATES, {"labels": {"a": "b"}})).refused(400, "INVALID_ARGUMENT")
        name = f"{TEMPLATES}/small"
        body = {"name": name, "description": "first", "labels": {"from": "template"}, "creator": "x", "createTime": ""}
        made = await call("POST", TEMPLATES, body)
        assert made.status == 200 and made.body["name"] == name and made.body["creator"] != "x"
        (await call("POST", TEMPLATES, body)).refused(409, "ALREADY_EXISTS")
        assert (await call("GET", name)).body == made.body
        changed = await call("PATCH", f"{name}?updateMask=description", {"description": "second"})
        assert (changed.body["description"], changed.body["labels"]) == ("second", {"from": "template"})
        whole = await call("PATCH", name, {"name": name, "labels": {"from": "template"}})
        assert "description" not in whole.body
        listed = await call("GET", "projects/-/locations/-/sessionTemplates")
        assert [row["name"] for row in listed.body["sessionTemplates"]] == [name]
        session = await call("POST", f"{SESSIONS}?sessionId=from-it", {"sessionTemplate": "small"})
        assert (await until_done(call, session.body))["response"]["labels"] == {"from": "template"}
        assert (await call("DELETE", name)).body == {}
        (await call("GET", name)).refused(404, "NOT_FOUND")


async def test_operations_are_got_cancelled_and_forgotten(
    jp_serverapp: Any, http_server_client: Any, tmp_path: Path
) -> None:
    call = rest(jp_serverapp, http_server_client)
    world = World(ready=False)
    async with embedded(jp_serverapp, tmp_path, FakeEngine(world)):
        made = (await call("POST", f"{SESSIONS}?sessionId=never-ready", {})).body
        regions = made["name"].replace("/locations/", "/regions/")
        assert (await call("GET", regions)).body["metadata"]["session"] == f"{SESSIONS}/never-ready"
        assert (await call("GET", "projects/local/regions/local/operations")).body["operations"]
        assert (await call("POST", f"{regions}:cancel")).body == {}
        done = await until_done(call, made)
        assert (done["error"]["code"], "response" in done) == (1, False)
        assert (await call("POST", f"{made['name']}:cancel", {})).body == {}
        assert (await call("DELETE", made["name"])).body == {}
        (await call("GET", made["name"])).refused(404, "NOT_FOUND")
        assert (await call("GET", f"{SESSIONS}/never-ready")).status == 200


async def test_locations_are_listed(jp_serverapp: Any, http_server_client: Any, tmp_path: Path) -> None:
    call = rest(jp_serverapp, http_server_client)
    async with embedded(jp_serverapp, tmp_path):
        listed = await call("GET", "projects/local/locations")
        (location,) = listed.body["locations"]
        assert (location["name"], location["locationId"], location["metadata"]["engine"]) == (PARENT, "local", "fake")
        assert (await call("GET", PARENT)).body == location
        assert (await call("GET", "projects/nobody/locations")).body == {"locations": []}
        (await call("GET", "projects/local/locations/nowhere")).refused(404, "NOT_FOUND")


@pytest.mark.parametrize("word", [":terminate", "%3Aterminate", "%3aterminate"])
async def test_a_colon_may_be_percent_encoded(
    jp_serverapp: Any, http_server_client: Any, tmp_path: Path, word: str
) -> None:
    call = rest(jp_serverapp, http_server_client)
    async with embedded(jp_serverapp, tmp_path):
        made = await call("POST", f"{SESSIONS}?sessionId=my-session", {})
        await until_done(call, made.body)
        assert (await call("POST", f"{SESSIONS}/my-session{word}")).status == 200


async def test_a_request_waits_for_a_service_that_starts(
    jp_serverapp: Any, http_server_client: Any, tmp_path: Path
) -> None:
    call = rest(jp_serverapp, http_server_client)
    waiting = asyncio.ensure_future(call("GET", SESSIONS))
    await until(_wants(jp_serverapp), "the request to wait")
    async with embedded(jp_serverapp, tmp_path):
        assert (await waiting).body == {"sessions": []}


def _wants(serverapp: Any) -> Any:
    from tests.handlers.serving import extension_of

    return extension_of(serverapp).gate.wanted.is_set


async def test_max_sessions_is_told(jp_serverapp: Any, http_server_client: Any, tmp_path: Path) -> None:
    call: Rest = rest(jp_serverapp, http_server_client)
    async with embedded(jp_serverapp, tmp_path, sessions=1):
        assert (await call("POST", SESSIONS, {})).status == 200
        (await call("POST", SESSIONS, {})).refused(429, "RESOURCE_EXHAUSTED")
