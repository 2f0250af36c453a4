"""The feed of one location: chosen once it is known what the upstream is, and there for its watchers from the start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_sessions.model.api import Change, Reset
from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.model.paths import location_path
from jupyter_sessions.upstream.base import Credentials
from jupyter_sessions.upstream.ending import end
from jupyter_sessions.upstream.gateway_wire import Wire
from jupyter_sessions.upstream.identity import Identity, Kind
from jupyter_sessions.upstream.known import Known
from jupyter_sessions.upstream.listing import is_of
from jupyter_sessions.upstream.place import Feed, Place
from jupyter_sessions.upstream.poller import Pace, Polled
from jupyter_sessions.upstream.pulse import Pulse
from jupyter_sessions.upstream.stream import Relayed

if TYPE_CHECKING:
    from jupyter_sessions.config.locations import LocationConfig
    from jupyter_sessions.upstream.gateway import LocationGateway

    MakeGateway = Callable[[LocationConfig, str, Credentials, Mapping[str, Any]], LocationGateway | None]

log = logging.getLogger(__name__)


class Follower:
    """Finds out what the upstream is, then follows it with the feed that fits and through its gateway."""

    def __init__(
        self,
        config: LocationConfig,
        place: Place,
        identity: Identity,
        pulse: Pulse,
        credentials: Credentials,
        make_gateway: MakeGateway | None,
        pace: Pace | None,
    ) -> None:
        self._config, self._place, self._identity = config, place, identity
        self._pulse, self._credentials, self._make_gateway, self._pace = pulse, credentials, make_gateway, pace
        self._feed: Feed | None = None
        self._gateway: LocationGateway | None = None
        self._closed = False
        self._known = asyncio.Event()
        self._offered = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._undo: list[Callable[[], None]] = []

    @property
    def holds(self) -> float:
        """The seconds for which a page holds unless a change is told; 0 while none would be."""
        return self._feed.holds if self._feed is not None else 0.0

    @property
    def listed(self) -> bool:
        """Whether there is a whole list of sessions in memory, however old."""
        return self._place.journal.whole_known

    def start(self) -> None:
        """Begin to ask what the upstream is."""
        self._undo.append(self._pulse.watch(self._on_pulse))
        self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """End every watch and what is under way."""
        self._closed = True
        self._known.set()
        for undo in self._undo:
            undo()
        await end([self._task])
        if self._feed is not None:
            await self._feed.close()
        if self._gateway is not None:
            await self._gateway.close()

    def touch(self) -> None:
        """Hear that somebody is there."""
        self._identity.want()
        if self._feed is not None:
            self._feed.touch()
        if self._gateway is not None:
            self._gateway.touch()

    def poke(self) -> None:
        """Hear that a call of ours changed something."""
        if self._feed is not None:
            self._feed.poke()

    async def seen(self) -> None:
        """Wait until the location was listed and its gateway, if it has one, has said what it offers."""
        await self._place.read.wait()
        await self._offered.wait()

    async def saw(self, rows: Mapping[str, Known | None], started: int) -> None:
        """Hear what an answer says of sessions, before it is given."""
        if self._feed is not None:
            await self._feed.saw(rows, started)

    async def saw_known(self, rows: Sequence[Known], started: int) -> None:
        """Hear what a page says of sessions that are not known so."""
        mirror = self._place.mirror
        ours = (row for row in rows if is_of(self._place, row.name))
        known = {row.name: row for row in ours if (old := mirror.get(row.name)) is None or old.raw != row.raw}
        if known:
            await self.saw(known, started)

    async def watch(self, after: int | None) -> AsyncIterator[Change | Reset]:
        """Follow the changes, from the moment on that there is a feed."""
        self.touch()
        await self._known.wait()
        if self._feed is None:
            return
        feed = self._feed.watch(after)
        try:
            async for item in feed:
                yield item
        finally:
            closing = getattr(feed, "aclose", None)
            if closing is not None:
                with contextlib.suppress(RuntimeError):
                    await closing()

    async def _run(self) -> None:
        try:
            await self._identity.find(self._found)
        except Exception:
            log.exception("%s cannot be followed", self._config.name)

    def _found(self) -> None:
        kind = self._identity.kind
        if kind is Kind.JUPYTER_SESSIONS:
            config = self._config
            wire = Wire(config.endpoint, self._credentials, verify=config.verify, proxy=config.proxy)
            self._feed = Relayed(self._place, wire, self._probe)
        else:
            self._feed = Polled(self._place, self._pace)
        self._feed.start()
        self._known.set()
        self._open_gateway(kind)

    def _open_gateway(self, kind: Kind) -> None:
        make = self._make_gateway
        gateway = make(self._config, kind.value, self._credentials, self._identity.metadata) if make else None
        if gateway is None:
            self._offered.set()
            return
        self._gateway = gateway
        self._undo.append(gateway.watch(self._on_offers))
        gateway.start()
        self._place.mirror.use(gateway)

    def _on_offers(self) -> None:
        self._place.mirror.offers_changed()
        self._offered.set()

    async def _probe(self) -> None:
        with contextlib.suppress(SessionsError):
            await self._pulse.call("GET", location_path(self._config.name), safe=True, probe=True)

    def _on_pulse(self, up: bool) -> None:
        if self._feed is not None:
            self._feed.reset()
            if up:
                self._feed.poke()
