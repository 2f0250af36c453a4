"""An upstream's error is the caller's error: class, message, details, and our one sentence behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jupyter_sessions.config.locations import Auth
from jupyter_sessions.model import errors
from jupyter_sessions.model.answers import made
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument, NotFound, PermissionDenied, SessionsError
from jupyter_sessions.upstream.errors import printable, redirected, scrubbed, secrets, strange, upstream_error
from tests.upstream.carrying import BASE, SESSIONS

GOOGLE = replace(BASE, auth=Auth.GOOGLE)
CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SessionsError)]
INFO = "type.googleapis.com/google.rpc.ErrorInfo"


def body(code: int, status: str, message: str = "words", details: Any = ()) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


def found(answer: Any, http: int, config: Any = BASE, path: str = SESSIONS) -> SessionsError:
    error = upstream_error(http, answer, config, path)
    assert error is not None
    return error


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not SessionsError])
def test_each_status_has_its_class_again(kind: type[SessionsError]) -> None:
    error = found(kind("words").body(), kind.http)
    assert type(error) is kind
    assert (error.message, error.body()) == ("words", kind("words").body())


@pytest.mark.parametrize(
    ("http", "status", "kind"),
    [
        (400, "OUT_OF_RANGE", InvalidArgument),
        (500, "UNKNOWN", errors.Internal),
        (500, "DATA_LOSS", errors.Internal),
        (404, "", NotFound),
        (409, "NEW_STATUS", errors.Aborted),
        (429, "", errors.ResourceExhausted),
        (405, "", errors.Unimplemented),
        (413, "", InvalidArgument),
        (504, "", errors.DeadlineExceeded),
    ],
)
def test_a_status_that_we_do_not_have_goes_by_the_nearest(http: int, status: str, kind: type[SessionsError]) -> None:
    assert type(found(body(http, status), http)) is kind


def test_details_are_handed_on_unchanged() -> None:
    details = [{"@type": INFO, "reason": "ODD", "metadata": {"ä": ["x", {"y": 1}]}}, {"@type": "t", "unknown": None}]
    error = found(body(409, "ABORTED", "words", details), 409)
    assert error.details == details


def test_a_faulty_requests_fields_are_kept() -> None:
    sent = InvalidArgument([FieldViolation("labels.KEY", "is no label"), FieldViolation("name", "is taken")])
    error = found(sent.body(), 400)
    assert isinstance(error, InvalidArgument)
    assert (error.violations, error.body()) == (sent.violations, sent.body())
    odd = found(
        body(400, "INVALID_ARGUMENT", "m", [{"fieldViolations": [None, {"field": 1}]}, {"fieldViolations": 3}]), 400
    )
    assert isinstance(odd, InvalidArgument) and odd.violations == [FieldViolation("1", "")]


@pytest.mark.parametrize(
    "answer",
    [None, [], "x", {}, {"error": "boom"}, {"error": {"code": 500}}, {"error": {"message": 1}}, {"message": "m"}],
)
def test_what_is_no_error_of_google_rpc_is_none(answer: Any) -> None:
    assert upstream_error(500, answer, BASE) is None


def test_odd_details_do_no_harm() -> None:
    answer: dict[str, Any] = {"error": {"code": 404, "status": "NOT_FOUND", "message": "", "details": "many"}}
    error = found(answer, 404)
    assert (error.message, error.details) == ("HTTP 404", [])
    answer["error"]["details"] = [1, {"@type": "t"}]
    assert found(answer, 404).details == [{"@type": "t"}]


@pytest.mark.parametrize(
    ("answer", "http", "path", "hint"),
    [
        (body(403, "PERMISSION_DENIED"), 403, SESSIONS, "The role `roles/dataproc.editor` .* project p allows this"),
        (body(404, "NOT_FOUND"), 404, SESSIONS, "Check `project` and `location` of projects/p/locations/l in /etc/loc"),
        (body(429, "RESOURCE_EXHAUSTED"), 429, SESSIONS, "quotas of the project p"),
        (
            body(403, "PERMISSION_DENIED", "words", [{"@type": INFO, "reason": "SERVICE_DISABLED"}]),
            403,
            SESSIONS,
            "`gcloud services enable dataproc.googleapis.com --project p`",
        ),
        (
            body(403, "PERMISSION_DENIED", "words", [{"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]),
            403,
            SESSIONS,
            "application-default login",
        ),
        (
            body(403, "PERMISSION_DENIED", "words", [{"reason": "USER_PROJECT_DENIED"}]),
            403,
            SESSIONS,
            "roles/serviceusage.serviceUsageConsumer",
        ),
    ],
)
def test_our_sentence_stands_apart_behind(answer: dict[str, Any], http: int, path: str, hint: str) -> None:
    error = found(answer, http, GOOGLE, path)
    with pytest.raises(SessionsError, match=rf"^words \[.*{hint}.*\.\]$"):
        raise error
    assert found(answer, http, BASE, path).message == "words"


def test_a_session_that_is_not_there_needs_no_hint() -> None:
    assert found(body(404, "NOT_FOUND"), 404, GOOGLE, f"{SESSIONS}/s1").message == "words"
    assert found(body(409, "ALREADY_EXISTS"), 409, GOOGLE, SESSIONS).message == "words"


def test_a_strange_answer_is_shown_in_part_and_without_markup() -> None:
    page = b"<html>\x1b[31m<p class='x'>Hello\r\n\tworld</p>" + "é".encode() * 400 + b"</html>"
    error = strange("h:1", 200, {"content-type": "text/html; charset=utf-8"}, page)
    assert error.message.startswith("h:1 answered HTTP 200 with text/html where JSON was expected: [31m Hello world ")
    assert error.message.endswith("é…")
    assert len(error.message.partition("expected: ")[2]) == 201
    assert "<" not in error.message and "\x1b" not in error.message


@pytest.mark.parametrize("location", ["http://[", "", "//evil.example/x?token=1", "https://u:p@evil.example/"])
def test_a_redirect_shows_its_host_alone(location: str) -> None:
    message = redirected("h", 302, location).message
    assert "token" not in message and "u:p" not in message and "HTTP 302" in message


def test_secrets_are_found_and_hidden() -> None:
    hidden = secrets({"Authorization": "Bearer abc/def", "Cookie": "_xsrf=XSRF", "Accept": "application/json"})
    assert set(hidden) == {"Bearer abc/def", "abc/def", "_xsrf=XSRF"}
    error = made(PermissionDenied, "no: Bearer abc/def", [{"@type": "t", "seen": ["abc/def", 'say "x"']}])
    clean = scrubbed(error, hidden)
    assert clean.message == "no: [hidden]"
    assert clean.details == [{"@type": "t", "seen": ["[hidden]", 'say "x"']}]
    assert scrubbed(NotFound("words"), hidden).message == "words"
    quoted = scrubbed(made(NotFound, "m", [{"x": 'a"b\\c'}]), ['a"b\\c'])
    assert quoted.details == [{"x": "[hidden]"}]


def test_printable_text() -> None:
    assert printable("a\nb\x07c <b>d</b>") == "a b c  d "
