"""The errors: one for each google.rpc code, with the HTTP status that REST clients choose their exception by."""

from __future__ import annotations

import pytest
from google.rpc.code_pb2 import Code

from jupyter_sessions.model import errors
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument, NotFound, SessionsError

HTTP = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404, "ALREADY_EXISTS": 409, "ABORTED": 409, "RESOURCE_EXHAUSTED": 429, "CANCELLED": 499,
    "INTERNAL": 500, "UNIMPLEMENTED": 501, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip


def test_every_status_has_its_class() -> None:
    assert {kind.status: kind.http for kind in errors.KINDS} == HTTP


@pytest.mark.parametrize("kind", errors.KINDS, ids=lambda kind: kind.__name__)
def test_codes_are_google_rpcs(kind: type[SessionsError]) -> None:
    assert kind.code == Code.Value(kind.status)
    assert f"{kind.__name__} " in (errors.__doc__ or "")


def test_the_shape_of_an_answer() -> None:
    error = NotFound("no such session", [{"@type": "t"}])
    assert error.body() == {
        "error": {"code": 404, "status": "NOT_FOUND", "message": "no such session", "details": [{"@type": "t"}]}
    }
    assert error.body(http=405)["error"]["code"] == 405
    assert error.rpc() == {"code": 5, "message": "no such session", "details": [{"@type": "t"}]}
    assert str(error) == "no such session"


def test_every_faulty_field_is_named() -> None:
    error = InvalidArgument([FieldViolation("a.b", "is wrong"), FieldViolation("", "is worse")])
    assert str(error) == "a.b: is wrong; is worse"
    assert error.details == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [
                {"field": "a.b", "description": "is wrong"},
                {"field": "", "description": "is worse"},
            ],
        }
    ]
    plain = InvalidArgument("wrong")
    assert (plain.violations, plain.details, str(plain)) == ([], [], "wrong")
