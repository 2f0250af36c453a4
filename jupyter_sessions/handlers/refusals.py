"""Which HTTP answer a failure becomes: the one place that maps errors, for every path under the prefix."""

from __future__ import annotations

from tornado.web import HTTPError

from jupyter_sessions.model.errors import (
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    SessionsError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

MAX_BODY = 1 << 20
"""The most bytes a request's body may have."""

RETRY_SECONDS = 1
"""What ``Retry-After`` says with an Unavailable answer, in seconds."""


class MethodNotAllowed(Unimplemented):
    """The path exists, the HTTP method does not; ``allow`` lists those that do."""

    http = 405

    def __init__(self, verb: str, allow: str) -> None:
        super().__init__(f"{verb} is not implemented on this path; it takes {allow}")
        self.allow = allow


class BodyTooLarge(InvalidArgument):
    """The request's body has more than ``MAX_BODY`` bytes."""

    http = 413

    def __init__(self) -> None:
        super().__init__(f"the body has more than {MAX_BODY} bytes (1 MiB); send a smaller one")


class UnsupportedMediaType(InvalidArgument):
    """The request's body is not declared as JSON."""

    http = 415


def as_error(exception: BaseException | None, status: int, known_user: bool) -> SessionsError:
    """Give the error that ``exception`` is told as.

    ``status`` is the HTTP status where there is no exception; ``known_user`` says whether the caller is
    authenticated: a refusal of Jupyter's own without a user is Unauthenticated. What is neither ours nor HTTP's
    becomes Internal and tells nothing of itself.
    """
    if isinstance(exception, SessionsError):
        return exception
    if isinstance(exception, HTTPError):
        status = exception.status_code
        detail = exception.reason or _logged(exception)
    else:
        detail = ""
    if status in (401, 403) and not known_user:
        return Unauthenticated("this server needs its token (Authorization: Bearer TOKEN) or a login cookie")
    return _from_status(status, detail)


def _logged(exception: HTTPError) -> str:
    """Give what is logged of an exception; tornado's own method for it came with 6.5."""
    text = exception.log_message or ""
    return text % exception.args if exception.args else text.replace("%%", "%")


def _from_status(status: int, detail: str) -> SessionsError:
    if status == 403:
        return PermissionDenied(detail or "this request is not allowed")
    if status == 404:
        return NotFound("there is nothing at this path; the API's paths are in openapi.json")
    if status == 405:
        return MethodNotAllowed("this method", "GET, HEAD, OPTIONS, POST, PATCH, DELETE")
    if status == 413:
        return BodyTooLarge()
    if status == 429:
        return ResourceExhausted(detail or "too many requests; wait and repeat")
    if status == 503:
        return Unavailable(detail or "the server cannot answer now; repeat in a moment")
    if 400 <= status < 500:
        # Tornado's own text may quote the request (a token among it), so it stays in the log.
        return InvalidArgument("the request is malformed: its URL, query and headers must be valid UTF-8 and HTTP")
    return Internal("an internal error; the log of the Jupyter server says more")


def headers_of(error: SessionsError) -> dict[str, str]:
    """Give the HTTP headers that belong to an error's answer."""
    if isinstance(error, MethodNotAllowed):
        return {"Allow": error.allow}
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="jupyter"'}
    if isinstance(error, Unavailable):
        return {"Retry-After": str(RETRY_SECONDS)}
    return {}
