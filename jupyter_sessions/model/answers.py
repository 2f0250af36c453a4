"""The errors of a REST answer, read back into the tree of :mod:`jupyter_sessions.model.errors`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jupyter_sessions.model import errors
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument, SessionsError, Unauthenticated, Unavailable

BY_STATUS: dict[str, type[SessionsError]] = {
    kind.status: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SessionsError)
} | {"OUT_OF_RANGE": InvalidArgument, "UNKNOWN": errors.Internal, "DATA_LOSS": errors.Internal}
BY_CODE: dict[int, type[SessionsError]] = {
    400: InvalidArgument,
    401: Unauthenticated,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    405: errors.Unimplemented,
    409: errors.Aborted,
    412: errors.FailedPrecondition,
    413: InvalidArgument,
    415: InvalidArgument,
    429: errors.ResourceExhausted,
    499: errors.Cancelled,
    500: errors.Internal,
    501: errors.Unimplemented,
    503: Unavailable,
    504: errors.DeadlineExceeded,
}


BY_RPC: dict[int, type[SessionsError]] = {kind.code: kind for kind in BY_STATUS.values()}


def read_error(http: int, body: Any) -> SessionsError | None:
    """Give the error that an answer's JSON is, message and details as they were; None if it is none of this API's.

    ``http`` is the answer's status code.
    """
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return None
    status, message = error.get("status"), error.get("message")
    kind = BY_STATUS.get(status if isinstance(status, str) else "") or BY_CODE.get(http)
    if kind is None or not isinstance(message, str):
        return None
    given = error.get("details")
    details = [dict(row) for row in given if isinstance(row, Mapping)] if isinstance(given, list) else []
    return made(kind, message or f"HTTP {http}", details)


def rpc_error(code: int, message: str, details: Iterable[Mapping[str, Any]] = ()) -> SessionsError:
    """Give the error that a ``google.rpc.Status`` is, as an Operation holds it."""
    return made(BY_RPC.get(code, errors.Internal), message, details)


def made(kind: type[SessionsError], message: str, details: Iterable[Mapping[str, Any]] = ()) -> SessionsError:
    """Make an error of a class with this message and these details; a faulty request's fields are read from them."""
    rows = [dict(detail) for detail in details]
    if not issubclass(kind, InvalidArgument):
        return kind(message, rows)
    error = kind(message)
    error.details = rows
    error.violations = [
        FieldViolation(str(row.get("field", "")), str(row.get("description", "")))
        for detail in rows
        if isinstance(detail.get("fieldViolations"), list)
        for row in detail["fieldViolations"]
        if isinstance(row, Mapping)
    ]
    return error
