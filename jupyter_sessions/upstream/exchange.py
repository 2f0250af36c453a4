"""One request and its answer, on a thread: bounded in time, in size and in what it may lead to."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3.exceptions

from jupyter_sessions.model.errors import DeadlineExceeded, SessionsError, Unavailable
from jupyter_sessions.upstream.connections import Line
from jupyter_sessions.upstream.hiding import Hidden

LARGEST = 64 << 20
"""Bytes of an answer, unpacked, that are read at most."""
# A packed block unpacks to at most about a thousand times its size.
BLOCK = 16 << 10
CONNECT = 5.0
"""Seconds that connecting may take at most."""


@dataclass(frozen=True)
class Sent:
    """One request as it goes out; ``body`` is JSON already. Neither its headers nor its body are shown."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] | None = None
    body: bytes | None = field(default=None, repr=False)
    verify: bool | str = True
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Came:
    """One answer as it came: names of headers in lower case, ``content`` unpacked, ``body`` its JSON or None.

    The credentials that were sent stand nowhere in it.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    body: Any = field(default=None, repr=False)


class Fault(Exception):
    """No answer came. ``error`` is what it means to the caller.

    ``late``: the time was up. ``unsent``: nothing of the request had gone out. ``again``: a retry may help.
    """

    def __init__(self, error: SessionsError, *, late: bool = False, unsent: bool = False, again: bool = True) -> None:
        super().__init__(error.message)
        self.error = error
        self.late = late
        self.unsent = unsent
        self.again = again


def exchange(
    session: requests.Session,
    sent: Sent,
    line: Line,
    seconds: float,
    largest: int = LARGEST,
    steady: Callable[[], float] = time.monotonic,
) -> Came:
    """Send a request and read its answer within ``seconds`` (as well as one thread can), at most ``largest`` bytes.

    Raises Fault where none came. Whoever waits cuts the line when the time is up, which ends what this cannot.
    """
    request = requests.Request(sent.method, sent.url, sent.headers, params=sent.query, data=sent.body).prepare()
    end = steady() + seconds
    host = sent.url.split("/")[2]
    try:
        with line:
            response = session.send(
                request,
                stream=True,
                timeout=(min(CONNECT, seconds), seconds),
                verify=sent.verify,
                proxies=dict(sent.proxies),
                allow_redirects=False,
            )
            try:
                content = b"".join(_blocks(response, host, end, largest, steady))
            finally:
                response.close()
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise fault(error, host, seconds) from None
    hidden = Hidden(sent.headers)
    content = hidden.of_bytes(content)
    said = response.headers.items()
    headers = {name.lower(): hidden.of_header(value) for name, value in said if name.lower() != "set-cookie"}
    return Came(response.status_code, headers, content, _json(headers, content, hidden))


def _blocks(
    response: requests.Response, host: str, end: float, largest: int, steady: Callable[[], float]
) -> Iterator[bytes]:
    size = 0
    for block in response.iter_content(BLOCK):
        size += len(block)
        if size > largest:
            raise Fault(Unavailable(f"{host} sent more than {largest >> 20} MiB; the rest was not read"), again=False)
        if steady() > end:
            raise Fault(DeadlineExceeded(f"{host} did not finish its answer in time"), late=True)
        yield block
    promised, read = response.headers.get("content-length", ""), response.raw.tell()
    # Old versions of urllib3 leave it to the caller to notice.
    if promised.isdigit() and read < int(promised):
        raise Fault(Unavailable(f"{host}: the connection ended in the midst of its answer"))


def _json(headers: Mapping[str, str], content: bytes, hidden: Hidden) -> Any:
    """Give the JSON of an answer; None if it is none, does not say that it is, or is nested too deeply to be read."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return None
    try:
        return hidden.of_json(content, json.loads(content))
    except (ValueError, RecursionError):
        return None


def fault(error: Exception, host: str, seconds: float) -> Fault:
    """Say in our own words what a library's exception means: theirs may hold headers or a proxy's password."""
    causes = list(_causes(error))
    unsent = any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in causes)
    unsent = unsent or isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError)
    if isinstance(error, requests.Timeout) or any(isinstance(cause, TimeoutError) for cause in causes):
        what = (
            f"took no connection within {min(CONNECT, seconds):.3g} s"
            if unsent
            else f"did not answer within {seconds:.3g} s"
        )
        return Fault(DeadlineExceeded(f"{host} {what}"), late=True, unsent=unsent)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            words = f"its certificate is not trusted: {cause.verify_message}; `verify` may name a bundle that knows it"
            return Fault(Unavailable(f"{host}: {words}"), unsent=True, again=False)
        if isinstance(cause, socket.gaierror):
            return Fault(Unavailable(f"{host}: its name is not known ({cause.strerror})"), unsent=True)
    return Fault(Unavailable(f"{host}: {_words(error, causes)}"), unsent=unsent, again=_hopeful(error))


def _words(error: Exception, causes: list[BaseException]) -> str:
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy did not lead there"
    if isinstance(error, requests.exceptions.ContentDecodingError | urllib3.exceptions.DecodeError):
        return "its answer's packing is broken"
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed ({cause.reason or 'unknown reason'})"
        if isinstance(cause, OSError) and cause.errno and cause.strerror:
            return cause.strerror.lower()
    names = {type(cause).__name__ for cause in causes}
    if names & {"IncompleteRead", "InvalidChunkLength"}:
        return "the connection ended in the midst of its answer"
    if names & {"BadStatusLine", "UnknownProtocol", "LineTooLong", "HeaderParsingError"}:
        return "what answered does not speak HTTP"
    if isinstance(error, requests.ConnectionError | urllib3.exceptions.ProtocolError):
        return "the connection was closed without an answer"
    return f"the request failed ({type(error).__name__})"


def _hopeful(error: Exception) -> bool:
    if isinstance(error, requests.RequestException):
        broken = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
        return isinstance(error, broken) and not isinstance(error, requests.exceptions.SSLError)
    return isinstance(error, OSError | urllib3.exceptions.ProtocolError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an exception and all that it was made of, the innermost last: libraries wrap by cause, args and reason."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        waiting += [found for found in inner if isinstance(found, BaseException)]
