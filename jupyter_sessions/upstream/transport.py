"""Carries one location's requests over HTTP, so that neither a dead nor a mad upstream holds anything up."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import stamina

from jupyter_sessions import __version__
from jupyter_sessions.config.locations import LocationConfig
from jupyter_sessions.model.answers import made
from jupyter_sessions.model.errors import DeadlineExceeded, InvalidArgument, SessionsError, Unauthenticated, Unavailable
from jupyter_sessions.upstream.base import Answer, Credentials, Reach, Transport
from jupyter_sessions.upstream.breaker import Breaker
from jupyter_sessions.upstream.connections import Line, PlainSession
from jupyter_sessions.upstream.errors import (
    hinted,
    redirected,
    scrubbed,
    secrets,
    strange,
    unauthenticated,
    upstream_error,
)
from jupyter_sessions.upstream.exchange import LARGEST, Came, Fault, Sent, exchange
from jupyter_sessions.upstream.offload import NoThread, in_thread
from jupyter_sessions.upstream.retry import REPEATABLE, Failed, Patience, pause, retry_after
from jupyter_sessions.upstream.targets import check_target, proxies, verification

T = TypeVar("T")
THREADS = 8
"""Requests of one location that are under way at a time; more of them wait."""
GRACE = 0.1
"""Seconds that a thread has to say by itself what it waited for in vain, before it is cut off."""
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
"""The detail in which an error says how long to wait, for whoever asks again later."""
FRONT = frozenset({502, 503, 504})
"""Answers that say that what was to answer could not."""
PATH = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[^\s?#\\\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class Clocks:
    """``now``: nanoseconds since the epoch. ``steady``: seconds, never back. ``chance``: a number between two."""

    now: Callable[[], int] = time.time_ns
    steady: Callable[[], float] = time.monotonic
    chance: Callable[[float, float], float] = random.uniform


@dataclass(frozen=True)
class _Call:
    """What was asked of ``call``, and (by the steady clock) when it has to be over."""

    method: str
    path: str
    query: Mapping[str, str] | None
    body: bytes | None
    safe: bool
    probe: bool
    end: float
    patient: bool


class HttpTransport:
    """The transport of one location. Used on one event loop, from which all that may hang is kept away.

    ``largest`` caps an answer's bytes, ``patience`` how often and how quickly a safe request is sent again.
    """

    def __init__(
        self,
        config: LocationConfig,
        credentials: Credentials,
        *,
        clocks: Clocks | None = None,
        patience: Patience | None = None,
        largest: int = LARGEST,
        threads: int = THREADS,
        logger: logging.Logger | None = None,
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._clocks = clocks or Clocks()
        self._patience = patience or Patience()
        self._largest = largest
        self._log = logger or logging.getLogger(__name__)
        self._host = urlsplit(config.endpoint).netloc.rpartition("@")[2]
        self._breaker = Breaker(self._host, self._clocks.now, self._clocks.steady)
        self._session = PlainSession(threads)
        self._slots = asyncio.Semaphore(threads)
        self._lines: dict[Line, asyncio.Future[Came]] = {}
        self._probes: set[asyncio.Task[None]] = set()
        self._trying: set[asyncio.Task[Answer]] = set()
        self._closed = False
        # Without a handler of its own, a retry would be a bare word on the terminal of whoever configured no logging.
        if not logging.getLogger("stamina").handlers:
            logging.getLogger("stamina").addHandler(logging.NullHandler())

    @property
    def reach(self) -> Reach:
        """Whether the circuit is closed; from memory."""
        return self._breaker.reach

    def watch(self, listener: Callable[[Reach], None]) -> Callable[[], None]:
        """Have ``listener`` called on the loop with each new ``reach``; what is given back ends that."""
        return self._breaker.watch(listener)

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        safe: bool = False,
        deadline: float | None = None,
        probe: bool = False,
    ) -> Answer:
        """Send one request and give its answer; see Transport.call.

        A try takes at most the location's request timeout, but one that cannot be repeated the whole ``deadline``.
        While the circuit is open an ordinary call fails at once; now and then a safe GET is then sent without anybody
        waiting for it, so that an upstream that came back is noticed also where nobody polls.
        """
        if not PATH.fullmatch(path):
            raise InvalidArgument(f"the path {path!r} is no resource's: no empty one, no `..`, `?`, `#`, `\\` or space")
        seconds = self._config.request_timeout * (self._patience.attempts if safe else 1)
        end = self._clocks.steady() + (seconds if deadline is None else deadline)
        data = None if body is None else json.dumps(body).encode()
        call = _Call(method, path, query, data, safe, probe, end, deadline is not None and not safe)
        if not probe:
            try:
                self._breaker.check()
            except SessionsError:
                self._retry_unseen(call)
                raise
        return await self._tries(call)

    async def close(self) -> None:
        """Close the connections and end what is under way: calls that wait raise Unavailable at once."""
        self._closed = True
        for probe in list(self._probes):
            probe.cancel()
        for line, future in list(self._lines.items()):
            line.cut()
            if not future.done():
                future.set_exception(Fault(Unavailable(f"{self._host}: the connection was closed"), again=False))
        # What waits for credentials, for a place or to try again holds no line.
        for task in self._trying:
            task.cancel()
        self._session.close()
        await asyncio.gather(*self._probes, return_exceptions=True)

    async def _tries(self, call: _Call) -> Answer:
        """Try until there is an answer or no use in going on."""
        last: Failed | None = None

        async def loop() -> Answer:
            nonlocal last
            hook = self._hook(call)
            patience = self._patience
            async for attempt in stamina.retry_context(
                on=hook,
                attempts=patience.attempts,
                timeout=None,
                wait_initial=patience.first,
                wait_max=patience.longest,
                wait_jitter=patience.jitter,
            ):
                with attempt:
                    try:
                        return await self._try(call)
                    except Failed as failed:
                        last = failed
                        raise
            raise AssertionError("a try either answers or raises")

        task = asyncio.get_running_loop().create_task(loop())
        # A caller who is cancelled hears no more of how it ended.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._trying.add(task)
        task.add_done_callback(self._trying.discard)
        try:
            # Each try ends in time by itself; this ends a pause that would not.
            return await asyncio.wait_for(task, self._remaining(call) + 0.5)
        except (Failed, asyncio.TimeoutError):
            failed = last or Failed(DeadlineExceeded(f"{self._host} did not answer in time"))
        except asyncio.CancelledError:
            if not self._closed or not task.cancelled():
                raise
            failed = Failed(Unavailable(f"{self._host}: the connection was closed"))
        # However many tries: one burst of these does not make an upstream unreachable.
        if failed.unreadable and not self._closed:
            self._breaker.failed(failed.error)
        raise failed.error

    def _hook(self, call: _Call) -> Callable[[Exception], bool | float]:
        def decide(error: Exception) -> bool | float:
            if self._closed:
                return False
            decided = pause(error, self._remaining(call), self._patience, self._clocks.chance)
            if decided is not False:
                self._log.debug("%s: trying again: %s", self._config.name, error)
            return decided

        return decide

    def _remaining(self, call: _Call) -> float:
        return max(0.0, call.end - self._clocks.steady())

    async def _try(self, call: _Call) -> Answer:
        """Send the request once, twice if the credentials were refused; raise Failed where there is no good answer."""
        headers = await self._headers(call)
        if not call.probe and self._breaker.refusal(headers) is not None:
            # Perhaps others can be had by now.
            self._credentials.refused(headers)
            headers = await self._headers(call)
            if (refusal := self._breaker.refusal(headers)) is not None:
                self._retry_unseen(call)
                raise Failed(refusal)
        came = await self._send(call, headers)
        if came.status == 401:
            self._credentials.refused(headers)
            fresh = await self._headers(call)
            if fresh != headers:
                headers = fresh
                came = await self._send(call, headers)
                if came.status == 401:
                    self._credentials.refused(headers)
        return self._judge(call, headers, came)

    async def _headers(self, call: _Call) -> Mapping[str, str]:
        try:
            given = await self._within(self._credentials.headers(), call, "no credentials came in time")
        except Unauthenticated as error:
            self._breaker.unauthenticated(error)
            raise Failed(error) from None
        except DeadlineExceeded as error:
            raise Failed(error) from None
        except SessionsError as error:
            # Without its issuer an upstream is out of reach as well.
            self._breaker.failed(error)
            raise Failed(error, again=call.safe) from None
        return dict(given)

    async def _within(self, work: Awaitable[T], call: _Call, words: str) -> T:
        try:
            return await asyncio.wait_for(work, self._remaining(call))
        except asyncio.TimeoutError:
            raise DeadlineExceeded(f"{self._config.name}: {words}") from None

    async def _send(self, call: _Call, headers: Mapping[str, str]) -> Came:
        """Send the request once and give what came; raise Failed where nothing did."""
        try:
            sent = self._sent(call, headers)
            await self._within(self._slots.acquire(), call, f"too many requests wait for {self._host}")
        except SessionsError as error:
            raise Failed(error) from None
        seconds = self._remaining(call)
        if not call.patient:
            seconds = min(seconds, self._config.request_timeout)
        try:
            return await self._on_thread(sent, seconds)
        except NoThread as error:
            # It says nothing of the upstream.
            raise Failed(Unavailable(f"{self._host}: nothing was sent, {error.strerror}")) from None
        except Fault as fault:
            raise self._unanswered(call, headers, fault, seconds) from None

    def _unanswered(self, call: _Call, headers: Mapping[str, str], fault: Fault, seconds: float) -> Failed:
        """Tell the circuit of a try without an answer and give what it means."""
        error = scrubbed(fault.error, secrets(headers))
        # A caller's own short time says little; the location's whole one says that nobody is there.
        at_once = fault.late and seconds >= 0.9 * self._config.request_timeout
        if not self._closed:
            self._breaker.failed(error, at_once)
        return Failed(error, again=fault.again and (call.safe or fault.unsent) and not at_once)

    async def _on_thread(self, sent: Sent, seconds: float) -> Came:
        line = Line()
        if self._closed:
            self._slots.release()
            raise Fault(Unavailable(f"{self._host}: the connection was closed"), again=False)

        def work() -> Came:
            return exchange(self._session, sent, line, seconds, self._largest, self._clocks.steady)

        def done() -> None:
            self._slots.release()

        future = in_thread(work, f"upstream {self._config.name}", done)
        self._lines[line] = future
        try:
            return await asyncio.wait_for(future, seconds + GRACE)
        except asyncio.TimeoutError:
            error = DeadlineExceeded(f"{self._host} did not answer within {seconds:.3g} s")
            raise Fault(error, late=True) from None
        finally:
            del self._lines[line]
            line.cut()

    def _sent(self, call: _Call, headers: Mapping[str, str]) -> Sent:
        url = f"{self._config.endpoint}/v1/{call.path}"
        check_target(self._config, url)
        said = {"User-Agent": f"jupyter_sessions/{__version__}", "Accept": "application/json"}
        said["Accept-Encoding"] = "gzip"
        if call.body is not None:
            said["Content-Type"] = "application/json"
        if self._config.quota_project:
            said["X-Goog-User-Project"] = self._config.quota_project
        ours = {name for name in said if name.lower() in {given.lower() for given in headers}}
        said = {name: value for name, value in said.items() if name not in ours} | dict(headers)
        config = self._config
        return Sent(call.method, url, said, call.query, call.body, verification(config), proxies(config, url))

    def _judge(self, call: _Call, headers: Mapping[str, str], came: Came) -> Answer:
        """Give a good answer; raise Failed with what another one means, and tell the circuit."""
        hidden = secrets(headers)
        if came.status == 401:
            refusal = scrubbed(self._refusal(came), hidden)
            self._breaker.unauthenticated(refusal, headers)
            raise Failed(refusal)
        if 200 <= came.status < 300:
            body = came.body if came.content.strip() else {}
            if isinstance(body, Mapping):
                self._breaker.answered()
                return Answer(body, came.headers)
        error = upstream_error(came.status, came.body, self._config, call.path) if came.status >= 400 else None
        readable = error is not None and came.status not in FRONT
        if error is None and 300 <= came.status < 400:
            error = redirected(self._host, came.status, came.headers.get("location", ""))
        error = error or strange(self._host, came.status, came.headers, came.content, "a JSON object")
        error = scrubbed(error, hidden)
        if readable:
            self._breaker.answered()
        wait = retry_after(came.headers.get("retry-after", ""), lambda: self._clocks.now() / 1e9)
        if wait:
            hint = hinted(error.message, f"It asks to wait {wait:.0f} s.")
            error = made(type(error), hint, [*error.details, {"@type": RETRY_INFO, "retryDelay": f"{wait:.3f}s"}])
        again = call.safe and came.status in REPEATABLE
        raise Failed(error, again=again, pause=wait, unreadable=not readable)

    def _refusal(self, came: Came) -> SessionsError:
        found = upstream_error(401, came.body, self._config)
        said = found.message if found is not None else f"{self._host} refused the credentials (HTTP 401)"
        return unauthenticated(said, self._credentials.remedy(), found.details if found is not None else ())

    def _retry_unseen(self, call: _Call) -> None:
        """Send a call that failed for what is remembered once more, with nobody waiting, if it is time for that."""
        if not (call.safe and call.method == "GET") or self._closed or not self._breaker.retrial():
            return
        end = self._clocks.steady() + self._config.request_timeout
        again = _Call(call.method, call.path, call.query, call.body, False, True, end, False)
        task = asyncio.get_running_loop().create_task(self._probe(again))
        self._probes.add(task)
        task.add_done_callback(self._probes.discard)

    async def _probe(self, call: _Call) -> None:
        try:
            await self._tries(call)
        except SessionsError as error:
            self._log.debug("%s: still not: %s", self._config.name, error)


def make_transport(config: LocationConfig, credentials: Credentials) -> Transport:
    """Make the transport of one location."""
    return HttpTransport(config, credentials)
