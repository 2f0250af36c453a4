"""The kernel gateway of one location: what it offers, its kernels, and the way to their channels."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from jupyter_sessions.config.locations import Auth
from jupyter_sessions.engines.hostlink import HostUnreachable
from jupyter_sessions.engines.patience import within
from jupyter_sessions.engines.sidestream import PATH as SIDE_STREAM
from jupyter_sessions.engines.sidestream import SideStream
from jupyter_sessions.upstream.ending import end
from jupyter_sessions.upstream.gateway_follow import Book, Follower, Take
from jupyter_sessions.upstream.gateway_link import GatewayLink
from jupyter_sessions.upstream.gateway_logos import MAX_LOGO, Pictures
from jupyter_sessions.upstream.gateway_specs import Specs, models_of
from jupyter_sessions.upstream.gateway_wire import NO_HEADERS, Wire, fault_of

if TYPE_CHECKING:
    from jupyter_sessions.config.locations import LocationConfig
    from jupyter_sessions.model.api import KernelHost, KernelSocket, OfferedKernel, Sink, Unsubscribe
    from jupyter_sessions.model.names import SessionName
    from jupyter_sessions.upstream.base import Credentials

log = logging.getLogger(__name__)

GOOGLE_GATEWAY = "https://{projectNumber}-dot-{location}.kernels.googleusercontent.com"
GOOGLE_HOSTS = (".googleapis.com", ".kernels.googleusercontent.com")
GOOGLE_HEADERS: Mapping[str, str] = {"Cookie": "_xsrf=XSRF", "X-XSRFToken": "XSRF"}
RESOURCE_MANAGER = "https://cloudresourcemanager.googleapis.com"

QUICK, SLOW, STILL = 2.0, 10.0, 30.0
"""Seconds between two looks while a kernel is open or starting; while somebody looks; while kernels only run."""
LOOKED = 90.0
"""Seconds for which somebody who asked is taken to be there."""
SOON = 60.0
"""Seconds for which a session whose kernelspecs are not listed yet is looked for quickly."""
STREAM_MESSAGE = 16 << 20
"""Largest event of a side stream, in bytes."""
AT_ONCE = 0.1
"""Seconds until the next look when a session has just become ACTIVE; the one after comes in twice that, up to QUICK."""


class LocationGateway:
    """Implements KernelGateway for one location; used on the event loop.

    ``template`` is its URL, in which ``{projectNumber}`` alone may be left to fill in (see ``make_gateway``).
    """

    def __init__(self, config: LocationConfig, template: str, credentials: Credentials, *, streams: bool) -> None:
        self.v1 = self.takes_ids = self._streams = streams
        self.start_timeout = config.start_timeout
        self.url = "" if "{projectNumber}" in template else template.rstrip("/")
        self.fault = ""
        self._config, self._template, self._credentials = config, template, credentials
        self._extra = NO_HEADERS if streams else GOOGLE_HEADERS
        self._wire: Wire | None = self._made(self.url, self._extra) if self.url else None
        self._specs, self._book = Specs(), Book()
        self._pictures = Pictures(self._fetch_logo, self._tell)
        self._warned: set[str] = set()
        self._followers: list[Follower] = []
        self._side_streams: list[SideStream] = []
        self._listeners: list[Callable[[], None]] = []
        self._open = self._starting = 0
        self._looked = self._wanted = -LOOKED
        self._least = QUICK
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"LocationGateway({str(self._config.name)!r}, {self.url or self._template!r})"

    def start(self) -> None:
        """Begin to look after kernelspecs and kernels, on the running loop."""
        if self._task is None:
            self.touch()
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """End what is under way; open websockets stay their owners'."""
        task, self._task = self._task, None
        await end([task])
        await self._pictures.close()
        await end(stream.task for stream in self._side_streams)
        self._side_streams.clear()
        self._followers.clear()
        if self._wire is not None:
            self._wire.close()

    def touch(self) -> None:
        """Hear that somebody looks: what is known is kept up to date for LOOKED seconds."""
        self._looked = asyncio.get_running_loop().time()
        self._wake.set()

    def want(self) -> None:
        """Hear that a session has just become ACTIVE: what it offers is looked for at once, then less often."""
        self._wanted, self._least = asyncio.get_running_loop().time(), AT_ONCE
        self._wake.set()

    def offered(self, session: SessionName) -> Sequence[OfferedKernel]:
        """Give what an ACTIVE session offers, its default first, from memory."""
        found = self._specs.of(str(session))
        if not found and self._task is not None:
            self._miss()
        return self._pictured(found)

    def loose(self, known: Collection[str] | None = None) -> Sequence[OfferedKernel]:
        """Give what belongs to no session, from memory; with ``known`` also what names a session not among these."""
        return self._pictured(self._specs.loose(known))

    def _pictured(self, kernels: Sequence[OfferedKernel]) -> Sequence[OfferedKernel]:
        return [replace(kernel, resource_dir=self._pictures.folder(kernel.name)) for kernel in kernels]

    def watch(self, listener: Callable[[], None]) -> Unsubscribe:
        """Call ``listener`` on the loop whenever ``url``, ``offered`` or ``loose`` has changed."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def link(self) -> GatewayLink:
        """Give a way to the gateway, for one act."""
        return GatewayLink(self)

    def follow(self, host: KernelHost, take: Take) -> Unsubscribe:
        """Call ``take`` with each event of one session's kernels, of a ``starter`` all the gateway's, until undone."""
        if self._streams:
            if host.starter:
                return lambda: None
            stream = self._side_stream(str(host.session), take)
            self._side_streams.append(stream)

            def unfollow() -> None:
                stream.close()
                _discard(self._side_streams, stream)

            return unfollow
        follower = Follower(None if host.starter else str(host.session), take)
        self._followers.append(follower)
        self._wake.set()
        return lambda: _discard(self._followers, follower)

    def _side_stream(self, session: str, take: Take) -> SideStream:
        wire, path = self.wire, f"{SIDE_STREAM}?session={quote(session, safe='')}"

        async def dial(sink: Sink) -> KernelSocket:
            return await wire.websocket(path, max_message_size=STREAM_MESSAGE, sink=sink)

        def broke(why: str) -> None:
            log.info("%s: %s; its kernels' states may be old", session, why)

        return SideStream(dial, take, broke)

    @property
    def wire(self) -> Wire:
        """The way to the gateway; raises HostUnreachable where its URL is not known yet."""
        if self._wire is None:
            raise HostUnreachable(self.fault or "the address of the location's kernel gateway is not known yet")
        return self._wire

    def busy(self, kernel_id: str) -> bool:
        """Whether a kernel was busy when it was last listed."""
        return self._book.get(kernel_id).get("execution_state") == "busy"

    def opened(self) -> Callable[[], None]:
        """Hear that a kernel's channels are opened; gives what to call once they have closed."""
        self._open += 1
        self._wake.set()
        return self._closed

    def _closed(self) -> None:
        self._open -= 1

    async def started(self, starting: Awaitable[tuple[int, Any]]) -> tuple[int, Any]:
        """See a start through, looking often meanwhile."""
        self._starting += 1
        self._wake.set()
        try:
            status, answer = await starting
        finally:
            self._starting -= 1
        if status < 300 and isinstance(answer, Mapping) and isinstance(answer.get("id"), str):
            self._book.note(answer)
        return status, answer

    def ended(self, kernel_id: str) -> None:
        """Hear that a kernel was shut down through this gateway."""
        self._book.drop(kernel_id)

    def _miss(self) -> None:
        now = asyncio.get_running_loop().time()
        # Once for each new session: one that the gateway never lists must not be looked for for ever.
        if now - self._wanted > LOOKED:
            self._wanted = now
            self._wake.set()

    def _pace(self) -> float | None:
        """Give the seconds until the next look, None while nobody is there."""
        now = asyncio.get_running_loop().time()
        if now - self._wanted < SOON:
            return self._least
        if self._open or self._starting:
            return QUICK
        if now - self._looked < LOOKED:
            return SLOW
        return STILL if any(self._book.of(follower.session) for follower in self._followers) else None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._wake.clear()
            self._least = min(2 * self._least, QUICK)
            try:
                await self._look()
                self._say("")
            except HostUnreachable as error:
                self._say(error.reason)
            except Exception:
                if not self.fault:
                    log.exception("the kernel gateway of %s cannot be looked after", self._config.name)
                self._say("a fault of ours; the server's log says more")
            await self._rest(began)

    async def _rest(self, began: float) -> None:
        loop = asyncio.get_running_loop()
        spread = random.uniform(0.9, 1.1)  # noqa: S311 - no secret
        woken = False
        while True:
            woken = woken or self._wake.is_set()
            self._wake.clear()
            # A wake shortens the rest, but never below the least.
            pace = self._least if woken else self._pace()
            left = None if pace is None else began + pace * spread - loop.time()
            if left is not None and left <= 0:
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self._wake.wait(), left)

    def _say(self, fault: str) -> None:
        if fault and fault != self.fault:
            log.warning("the kernel gateway of %s: %s", self._config.name, fault)
        self.fault = fault

    async def _look(self) -> None:
        if self._wire is None:
            await self._find()
        specs = await self._read_specs()
        if not self._streams and (self._followers or self._starting):
            models = models_of(await self._get("/api/kernels"))
            if models is None:
                raise HostUnreachable("its list of kernels cannot be read")
            self._book.read(models)
            for follower in list(self._followers):
                follower.tell(self._book)
        if specs != self._specs:
            self._specs = specs
            self._tell()
        self._pictures.want(specs.logos)

    async def _read_specs(self) -> Specs:
        answer = await self._get("/api/kernelspecs")
        if not isinstance(answer, Mapping) or not isinstance(answer.get("kernelspecs"), Mapping):
            raise HostUnreachable("its list of kernelspecs cannot be read")
        specs = Specs(answer)
        for warning in specs.warnings:
            message = str(warning.get("message") or warning.get("id") or "")
            if message and message not in self._warned:
                self._warned.add(message)
                log.warning("the kernel gateway of %s says: %s", self._config.name, message)
        return specs

    async def _get(self, path: str) -> Any:
        status, answer = await self.wire.request("GET", path, timeout=self._config.request_timeout)
        if status == 200:
            return answer
        said = answer.get("message") if isinstance(answer, Mapping) else None
        raise HostUnreachable(f"it answers {status} to {path}" + (f": {said}" if said else ""))

    async def _fetch_logo(self, path: str) -> tuple[int, bytes]:
        return await self.wire.read(path, MAX_LOGO, self._config.request_timeout)

    async def _find(self) -> None:
        """Fill in the project's number, asked of the Resource Manager."""
        manager = self._made(RESOURCE_MANAGER, NO_HEADERS)
        path = f"/v1/projects/{quote(self._config.name.project, safe=':')}"
        try:
            status, answer = await manager.request("GET", path, timeout=self._config.request_timeout)
        finally:
            manager.close()
        number = str(answer.get("projectNumber", "")) if isinstance(answer, Mapping) else ""
        if status != 200 or not number.isdigit():
            raise HostUnreachable(
                f"the number of project {self._config.name.project} cannot be read ({status}): allow "
                "resourcemanager.projects.get, or set the location's project_number"
            )
        self.url = self._template.replace("{projectNumber}", number).rstrip("/")
        self._wire = self._made(self.url, self._extra)
        self._tell()

    def _made(self, url: str, extra: Mapping[str, str]) -> Wire:
        return Wire(url, self._credentials, extra, self._config.verify, self._config.proxy)

    def _tell(self) -> None:
        for listener in list(self._listeners):
            try:
                listener()
            except Exception:
                log.exception("a listener failed on news of the gateway of %s", self._config.name)


def make_gateway(
    config: LocationConfig, kind: str, credentials: Credentials, metadata: Mapping[str, Any]
) -> LocationGateway | None:
    """Make the gateway of a location, None where it has none; it does nothing before ``start``.

    ``kind`` is ``google``, ``jupyter_sessions`` or ``other``, ``metadata`` the upstream location's own, in which a
    jupyter_sessions says ``gateway: {"path"}``, a path on the endpoint's origin. Logs what is wrong with its URL.
    """
    template = config.gateway or _own_gateway(config, kind, metadata)
    if not template:
        return None
    name = config.name
    number = config.project_number or (name.project if name.project.isdigit() else "")
    url = template.replace("{project}", name.project).replace("{location}", name.location)
    url = url.replace("{projectNumber}", number) if number else url
    wrong = fault_of(url.replace("{projectNumber}", "0"))
    host = urlsplit(url).hostname or "" if not wrong else ""
    if not wrong and config.auth is Auth.GOOGLE and not host.endswith(GOOGLE_HOSTS):
        wrong = f"gateway: Google's credentials go only to *{' and *'.join(GOOGLE_HOSTS)}, not to {host}"
    if not wrong and config.auth is Auth.BEARER and "{projectNumber}" in url:
        # Google knows the number, and the token is none of Google's.
        wrong = (
            "gateway: {projectNumber} is looked up with Google's credentials alone; set the location's project_number"
        )
    if wrong:
        log.error("location %s has no kernels: %s", name, wrong)
        return None
    return LocationGateway(config, url, credentials, streams=kind == "jupyter_sessions")


def _own_gateway(config: LocationConfig, kind: str, metadata: Mapping[str, Any]) -> str:
    """Give the URL of the gateway that an upstream has where none is configured."""
    endpoint = urlsplit(config.endpoint)
    if kind == "google" and (endpoint.hostname or "").endswith(".googleapis.com"):
        return GOOGLE_GATEWAY
    told = metadata.get("gateway")
    path = told.get("path") if isinstance(told, Mapping) else None
    if kind != "jupyter_sessions" or not isinstance(path, str) or not path.startswith("/") or path.startswith("//"):
        return ""
    return f"{endpoint.scheme}://{endpoint.netloc}{path.rstrip('/')}"


def _discard(items: list[Any], item: object) -> None:
    if item in items:
        items.remove(item)
