"""HTTP towards one server: pooled, with deadlines, and repeated only where repeating is safe."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ReadTimeoutError
from urllib3.util import Retry

from jupyter_sessions.client.errors import ServerGone, ServerNotTrusted
from jupyter_sessions.client.reasons import distrust, in_words, lasting, reason
from jupyter_sessions.model.answers import BY_CODE, made, read_error
from jupyter_sessions.model.errors import (
    FieldViolation,
    Internal,
    InvalidArgument,
    SessionsError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

TRIES = 5
"""How often a safe call is repeated."""
BROKEN = 2
"""How often a safe call is repeated whose answer broke off."""
LONGEST_WAIT = 30.0
"""The most seconds that an answer's Retry-After is waited for; beyond, the answer is the call's error."""
CONNECT = 10.0
"""Seconds within which a connection must be there."""
SHOWN = 200
API = "jupyter-sessions/"
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The environment variables that name the certificates to trust, where the caller names none."""
_AGAIN = frozenset((429, 502, 503, 504))


class Patience(Retry):
    """When a call is repeated, and how long is waited before: with jitter, and as the server's Retry-After says."""

    def get_backoff_time(self) -> float:
        """Give the seconds before the next try, spread so that many clients do not come back at once."""
        return float(super().get_backoff_time()) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """Say whether an answer is worth another try."""
        return status_code in self.status_forcelist and super().is_retry(method, status_code, has_retry_after)

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: TracebackType | None = None,
    ) -> Patience:
        """Count a try; raises MaxRetryError where another would fail as well, or waiting for it would be too long."""
        late = isinstance(error, (ReadTimeoutError, ConnectTimeoutError)) and not isinstance(error, NewConnectionError)
        if error is not None and (late or lasting(error)):
            raise MaxRetryError(_pool, url or "", error)
        if response is not None and (self.get_retry_after(response) or 0) > LONGEST_WAIT:
            raise MaxRetryError(_pool, url or "")
        return super().increment(method, url, response, error, _pool, _stacktrace)


class _Token(AuthBase):
    """Says the token, and keeps ``.netrc`` from saying another."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"token {self._token}"
        return request


class Transport:
    """The way to the server at ``url``; may be used from several threads.

    ``verify``: whether the server's certificate is checked, or a bundle to check it against (default: the one that
    REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names, else what requests trusts). ``timeout``: the seconds that an answer may
    take. Every call raises ``SessionsError`` subclasses and nothing else; a token or a bundle that cannot be used is
    InvalidArgument here.
    """

    def __init__(self, url: str, token: str, *, timeout: float = 30.0, verify: bool | str = True) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.verify = _bundle(verify)
        self._token = _sendable(token)
        again = Patience(
            TRIES,
            allowed_methods=None,
            status_forcelist=_AGAIN,
            backoff_factor=0.2,
            backoff_max=8,
            raise_on_status=False,
        )
        # What never reached the server may be repeated always.
        once = Patience(TRIES, connect=2, read=0, status=0, other=0, allowed_methods=None, backoff_factor=0.2)
        self._again, self._once = self._http(again), self._http(once)

    def _http(self, patience: Retry) -> requests.Session:
        http = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=32, max_retries=patience)
        http.mount("http://", adapter)
        http.mount("https://", adapter)
        http.auth = _Token(self._token)
        http.verify = self.verify
        http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        # A proxy of the environment has no way to this machine's own loopback.
        http.trust_env = urlsplit(self.url).hostname not in ("localhost", "127.0.0.1", "::1")
        return http

    def headers(self) -> dict[str, str]:
        """Give the headers that let a websocket in."""
        return {"Authorization": f"token {self._token}"} if self._token else {}

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        safe: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Send one request below the server's URL and give the answer's JSON, None where it is empty.

        ``safe``: it may be repeated after a fault, being idempotent or carrying a requestId.
        """
        limit = self.timeout if timeout is None else timeout
        options = {"params": query, "json": body, "timeout": (min(CONNECT, limit), limit)}
        response = self._whole(method, path, options) if safe else self._send(self._once, method, path, **options)
        if not response.ok or response.is_redirect:
            raise self._refusal(path, response)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise self._strange(response) from None

    def stream(
        self,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        quiet: float = 90.0,
    ) -> requests.Response:
        """Open a ``text/event-stream``; whoever asked closes it. Silent for ``quiet`` seconds, it is broken."""
        wanted = {"Accept": "text/event-stream", "Cache-Control": "no-store", **(headers or {})}
        timeout = (CONNECT, quiet)
        response = self._send(self._once, "GET", path, params=list(query), headers=wanted, stream=True, timeout=timeout)
        if not response.ok or response.is_redirect:
            try:
                raise self._refusal(path, response)
            finally:
                response.close()
        return response

    def close(self) -> None:
        """Close the connections that are kept."""
        self._again.close()
        self._once.close()

    def _whole(self, method: str, path: str, options: Mapping[str, Any]) -> requests.Response:
        """Send what may be repeated, again also where the answer broke off in its body."""
        for _ in range(BROKEN):
            try:
                return self._send(self._again, method, path, **options)
            except ServerGone as error:
                if not isinstance(error.__cause__, requests.exceptions.ChunkedEncodingError):
                    raise
        return self._send(self._again, method, path, **options)

    def _send(self, http: requests.Session, method: str, path: str, **options: Any) -> requests.Response:
        if self.verify is not True:
            # Said of the session alone, the environment's REQUESTS_CA_BUNDLE would come before it.
            options["verify"] = self.verify
        try:
            return http.request(method, f"{self.url}/{path.lstrip('/')}", allow_redirects=False, **options)
        except requests.exceptions.ChunkedEncodingError as error:
            raise self.gone("its answer broke off") from error
        except (OSError, ValueError) as error:
            raise self.failed(error, options["timeout"]) from error

    def failed(self, error: BaseException, timeout: tuple[float, float] = (CONNECT, CONNECT)) -> ServerGone:
        """Give the error of a connection that failed so; ``timeout``: the seconds to connect in, and to answer in."""
        why = distrust(error)
        if why:
            return ServerNotTrusted(
                f"the certificate of the server at {self.url} is not trusted: {why}; set {BUNDLES[0]} to a file with "
                "the certificate that signed it (in a program, verify= does the same)"
            )
        if isinstance(error, requests.ConnectTimeout):
            return self.gone(f"there was no connection in {timeout[0]:g} s")
        return self.gone(f"it did not answer in {timeout[1]:g} s" if _timed_out(error) else reason(error))

    def gone(self, why: str) -> ServerGone:
        """Give the error of a server that does not answer."""
        return ServerGone(f"the server at {self.url} cannot be reached: {why}; is it running, and is the URL right?")

    def _refusal(self, path: str, response: requests.Response) -> SessionsError:
        try:
            body = response.json()
        except (ValueError, requests.RequestException):
            body = None
        known = read_error(response.status_code, body)
        if isinstance(known, Unavailable):
            return Unavailable(in_words(known.message), known.details)
        if known is not None:
            return self._with_remedy(known)
        if response.is_redirect or response.status_code in (401, 403):
            return self._with_remedy(Unauthenticated(f"the server at {self.url} does not take the token"))
        if path.startswith(API) and response.status_code == 404:
            return Unimplemented(
                f"the server at {self.url} has no jupyter_sessions: install it there, enable it, and restart the server"
            )
        said = body.get("message") if isinstance(body, dict) else None
        kind = BY_CODE.get(response.status_code, Internal if response.status_code >= 500 else Unavailable)
        return made(kind, str(said)) if said else self._strange(response)

    def _with_remedy(self, error: SessionsError) -> SessionsError:
        if not isinstance(error, Unauthenticated):
            return error
        remedy = "`jupyter server list` shows a running server's token; set JUPYTER_SESSIONS_TOKEN, or pass token="
        return Unauthenticated(f"{error.message} ({remedy})", error.details)

    def _strange(self, response: requests.Response) -> Unavailable:
        text = " ".join(response.text.split())[:SHOWN]
        said = "".join(sign if sign.isprintable() else " " for sign in text)
        return Unavailable(
            f"{self.url} answered HTTP {response.status_code} where JSON was expected{': ' + said if said else ''}; "
            "is it the address of a Jupyter server?"
        )


def _timed_out(error: BaseException) -> bool:
    inside = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.Timeout) or isinstance(inside, ReadTimeoutError)


def _sendable(token: str) -> str:
    """Give a token as a header can hold it; raises InvalidArgument, which shows nothing of it."""
    token = token.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        rule = "must be printable ASCII without spaces; copy it anew, as `jupyter server list` shows it"
        raise InvalidArgument([FieldViolation("token", rule)])
    return token


def _bundle(verify: bool | str) -> bool | str:
    """Give what certificates are checked against; raises InvalidArgument for a bundle that is not there."""
    name = "verify"
    if verify is True:
        name = next((name for name in BUNDLES if os.environ.get(name)), "")
        verify = os.environ[name] if name else True
    if isinstance(verify, str) and not os.path.exists(verify):
        raise InvalidArgument([FieldViolation(name, f"there is no {verify}; name a file with certificates in PEM")])
    return verify
