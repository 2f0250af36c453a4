"""Every error the service answers, one class for each google.rpc code it uses.

::

    SessionsError
    ├─ InvalidArgument      400   names each faulty field
    ├─ FailedPrecondition   400
    ├─ Unauthenticated      401
    ├─ PermissionDenied     403
    ├─ NotFound             404
    ├─ AlreadyExists        409
    ├─ Aborted              409
    ├─ ResourceExhausted    429
    ├─ Cancelled            499
    ├─ Internal             500
    ├─ Unimplemented        501
    ├─ Unavailable          503
    └─ DeadlineExceeded     504
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, order=True)
class FieldViolation:
    """One faulty field of a request.

    ``field`` is the lowerCamelCase path of the field (``labels.KEY``, ``environmentConfig.executionConfig.ttl``),
    ``description`` names the rule and the remedy.
    """

    field: str
    description: str


class SessionsError(Exception):
    """A failure with a google.rpc code; ``str(error)`` is the message alone."""

    code: ClassVar[int] = 13
    status: ClassVar[str] = "INTERNAL"
    http: ClassVar[int] = 500

    def __init__(self, message: str, details: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details: list[dict[str, Any]] = [dict(detail) for detail in details]

    def rpc(self) -> dict[str, Any]:
        """Give the ``google.rpc.Status`` of this error, as an Operation's ``error`` holds it."""
        return {"code": self.code, "message": self.message, "details": self.details}

    def body(self, http: int | None = None) -> dict[str, Any]:
        """Give the JSON body of a failed REST answer; ``http`` replaces the status code (405, 413, 415)."""
        error = {"code": http or self.http, "status": self.status, "message": self.message, "details": self.details}
        return {"error": error}


class InvalidArgument(SessionsError):
    """A faulty request; carries every faulty field at once."""

    code, status, http = 3, "INVALID_ARGUMENT", 400

    def __init__(self, violations: str | Sequence[FieldViolation]) -> None:
        self.violations: list[FieldViolation] = [] if isinstance(violations, str) else list(violations)
        if isinstance(violations, str):
            super().__init__(violations)
            return
        rows = [{"field": v.field, "description": v.description} for v in self.violations]
        message = "; ".join(f"{v.field}: {v.description}" if v.field else v.description for v in self.violations)
        super().__init__(message, [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": rows}])


def gather(*checks: Callable[[], object]) -> list[FieldViolation]:
    """Run every check and give the faults of those that raise InvalidArgument, so that all are told at once."""
    found: list[FieldViolation] = []
    for check in checks:
        try:
            check()
        except InvalidArgument as error:
            found += error.violations or [FieldViolation("", error.message)]
    return found


class FailedPrecondition(SessionsError):
    """The resource's state does not allow the call."""

    code, status, http = 9, "FAILED_PRECONDITION", 400


class Unauthenticated(SessionsError):
    """The caller is not known."""

    code, status, http = 16, "UNAUTHENTICATED", 401


class PermissionDenied(SessionsError):
    """The caller is known and may not do this."""

    code, status, http = 7, "PERMISSION_DENIED", 403


class NotFound(SessionsError):
    """No such resource."""

    code, status, http = 5, "NOT_FOUND", 404


class AlreadyExists(SessionsError):
    """The id is taken."""

    code, status, http = 6, "ALREADY_EXISTS", 409


class Aborted(SessionsError):
    """The work was cut short by another call."""

    code, status, http = 10, "ABORTED", 409


class ResourceExhausted(SessionsError):
    """A limit is reached."""

    code, status, http = 8, "RESOURCE_EXHAUSTED", 429


class Cancelled(SessionsError):
    """The caller cancelled the operation."""

    code, status, http = 1, "CANCELLED", 499


class Internal(SessionsError):
    """A fault of ours."""

    code, status, http = 13, "INTERNAL", 500


class Unimplemented(SessionsError):
    """The method does not exist here."""

    code, status, http = 12, "UNIMPLEMENTED", 501


class Unavailable(SessionsError):
    """The service cannot answer now; a retry may succeed."""

    code, status, http = 14, "UNAVAILABLE", 503


class DeadlineExceeded(SessionsError):
    """The work took longer than its limit."""

    code, status, http = 4, "DEADLINE_EXCEEDED", 504


KINDS: tuple[type[SessionsError], ...] = tuple(SessionsError.__subclasses__())
"""The classes that a service answers; a client's own come on top of them."""
