"""Each fault that an upstream can show, with what the caller sees of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from jupyter_sessions.model import errors
from jupyter_sessions.model.errors import SessionsError
from tests.faults import replies
from tests.faults.pages import Pages, session
from tests.faults.server import FaultServer, Reply
from tests.upstream.carrying import BASE, SESSIONS, Passes, carried

TOKEN = "very-secret-token"


@dataclass(frozen=True)
class Seen:
    """What is sent by the upstream and what comes of it: kind, message (a pattern), requests that it cost."""

    reply: Reply
    kind: type[SessionsError]
    words: str
    requests: int = 1


FAULTS = {
    "401": Seen(replies.unauthenticated(), errors.Unauthenticated, r"invalid authentication.* \[Sign in again\.\]$"),
    "403": Seen(
        replies.denied(), errors.PermissionDenied, r"^Permission 'dataproc\.sessions\.list' denied on resource\.$"
    ),
    "404": Seen(replies.error(404, "NOT_FOUND", "Not found: x"), errors.NotFound, "^Not found: x$"),
    "409": Seen(replies.error(409, "ALREADY_EXISTS", "There is one"), errors.AlreadyExists, "^There is one$"),
    "429": Seen(replies.too_many(), errors.ResourceExhausted, r"^Quota exceeded\.$", 3),
    "429 later": Seen(
        replies.too_many("999"), errors.ResourceExhausted, r"^Quota exceeded\. \[It asks to wait 999 s\.\]$"
    ),
    "500": Seen(replies.internal(), errors.Internal, "^Internal error encountered"),
    "503": Seen(replies.unavailable(), errors.Unavailable, "^The service is currently unavailable", 3),
    "garbage": Seen(
        replies.garbage(), errors.Unavailable, r"answered HTTP 200 with application/json where a JSON object"
    ),
    "html": Seen(replies.html(), errors.Unavailable, r"HTTP 200 with text/html .*: Sign in to the network$"),
    "html 403": Seen(replies.html(403), errors.Unavailable, r"HTTP 403 with text/html"),
    "html 404": Seen(replies.html(404), errors.Unavailable, r"HTTP 404 with text/html"),
    "html 502": Seen(replies.html(502), errors.Unavailable, r"HTTP 502 with text/html", 3),
    "no type": Seen(replies.raw(200, b"{}", {}), errors.Unavailable, "with nothing where a JSON object was expected"),
    "a list": Seen(replies.raw(200, b"[1]", replies.JSON), errors.Unavailable, r"a JSON object was expected: \[1\]$"),
    "deep": Seen(replies.raw(200, b"[" * 100_000, replies.JSON), errors.Unavailable, "a JSON object was expected"),
    "empty 500": Seen(replies.raw(500, b"", {}), errors.Unavailable, "HTTP 500 .*an empty body"),
    "odd 500": Seen(replies.raw(500, b'{"error": "boom"}', replies.JSON), errors.Unavailable, "HTTP 500 .*boom"),
    "odd code": Seen(replies.error(418, "TEAPOT", "short"), errors.Unavailable, "HTTP 418 .*short"),
    "redirect": Seen(
        replies.redirect("https://elsewhere.example/x"), errors.Unavailable, r"redirect to elsewhere\.example"
    ),
    "relative": Seen(replies.redirect("/login?next=x"), errors.Unavailable, r"redirect to 127\.0\.0\.1"),
    "reset": Seen(replies.reset(), errors.Unavailable, "connection reset by peer", 3),
    "reset in body": Seen(replies.reset(b" " * 20_000), errors.Unavailable, "reset by peer|in the midst", 3),
    "truncated": Seen(replies.truncated(), errors.Unavailable, "ended in the midst of its answer", 3),
    "cut": Seen(replies.cut(), errors.Unavailable, "closed without an answer", 3),
    "no http": Seen(replies.nonsense(), errors.Unavailable, "does not speak HTTP", 3),
    "bad gzip": Seen(
        replies.raw(200, b"not packed", {**replies.JSON, "Content-Encoding": "gzip"}),
        errors.Unavailable,
        "packing is broken",
    ),
    "black hole": Seen(replies.black_hole(), errors.DeadlineExceeded, r"did not answer within 0\.2 s"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_what_a_caller_sees(fault: Seen) -> None:
    patient = 0.2 if "did not answer" in fault.words else 5.0
    config = replace(BASE, request_timeout=patient)
    async with FaultServer(otherwise=fault.reply) as server, carried(server.url, Passes([TOKEN]), config) as transport:
        with pytest.raises(SessionsError, match=fault.words) as caught:
            await transport.call("GET", SESSIONS, {"pageSize": "5"}, safe=True)
        assert type(caught.value) is fault.kind
        assert len(server.requests) == fault.requests
        assert TOKEN not in repr(caught.value.__dict__)
        assert len(caught.value.message) < 450
        assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, SessionsError)


async def test_a_burst_of_503_is_not_seen_at_all() -> None:
    burst = [replies.unavailable()] * 2
    async with FaultServer(*burst, replies.ok({"name": "x"})) as server, carried(server.url) as transport:
        assert (await transport.call("GET", SESSIONS, safe=True)).body == {"name": "x"}
        assert transport.reach.reachable


async def test_the_connection_is_good_again_after_each_fault() -> None:
    quick = [fault.reply for name, fault in FAULTS.items() if name not in ("black hole", "401")]
    async with FaultServer() as server, carried(server.url) as transport:
        for reply in quick:
            server.script(reply, replies.ok({"name": "x"}))
            with pytest.raises(SessionsError):
                await transport.call("POST", SESSIONS)
            assert (await transport.call("GET", SESSIONS, probe=True)).body == {"name": "x"}


async def test_ten_thousand_sessions_in_pages() -> None:
    pages = Pages([session(number) for number in range(10_000)])
    async with FaultServer(route=pages.reply) as server, carried(server.url) as transport:
        names, token = [], ""
        while True:
            query = {"pageSize": "1000", "pageToken": token}
            body = (await transport.call("GET", SESSIONS, query, safe=True)).body
            names += [row["name"] for row in body["sessions"]]
            token = body.get("nextPageToken", "")
            if not token:
                break
        assert len(server.requests) == 10 and server.connections == 1
    assert names == [row["name"] for row in pages.rows]


async def test_duplicate_and_vanished_pages_come_as_they_are() -> None:
    rows = [session(number) for number in range(30)]
    pages = Pages(rows, duplicate=True, vanished=2)
    async with FaultServer(route=pages.reply) as server, carried(server.url) as transport:
        second = await transport.call("GET", SESSIONS, {"pageSize": "10", "pageToken": "from-10"}, safe=True)
        assert [row["name"] for row in second.body["sessions"]] == [row["name"] for row in rows[9:20]]
        with pytest.raises(errors.InvalidArgument, match="page token is invalid"):
            await transport.call("GET", SESSIONS, {"pageSize": "10", "pageToken": "from-20"}, safe=True)
        circle = Pages(rows, circle=True)
        server.otherwise(circle.reply(server.requests[0]))
        last = await transport.call("GET", SESSIONS, {"pageSize": "10", "pageToken": "from-20"}, safe=True)
        assert last.body["nextPageToken"] == "from-20"
