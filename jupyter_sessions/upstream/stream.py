"""The news of another jupyter_sessions: its own change stream, under its own sequences, resumed where it broke off."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from jupyter_sessions.engines.hostlink import HostUnreachable
from jupyter_sessions.engines.patience import within
from jupyter_sessions.model.api import Change, Reset
from jupyter_sessions.model.bodies import load_change
from jupyter_sessions.model.errors import Internal, NotFound, SessionsError, Unavailable
from jupyter_sessions.model.names import LocationName, parse_session
from jupyter_sessions.model.paths import location_path
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import format_time
from jupyter_sessions.upstream.ending import end
from jupyter_sessions.upstream.known import Known
from jupyter_sessions.upstream.listing import is_of, read_all
from jupyter_sessions.upstream.place import Place

if TYPE_CHECKING:
    from jupyter_sessions.upstream.gateway_wire import GatewaySocket, Wire
    from jupyter_sessions.upstream.hiding import Hidden

log = logging.getLogger(__name__)
KEPT = 10_000
"""Changes kept for watchers that come back."""
FEW = 16
"""Sessions that are asked for one by one after a batch of changes; of more, all are listed."""
PAUSE = (0.2, 10.0)
"""The first and the longest wait before a broken stream is opened again, in seconds."""
PATIENCE = 2.0
"""Seconds that an answer waits for the stream to tell what it shows."""
PARTING = 1.0
"""Seconds that the upstream has to agree to a stream's end."""
HOLD = 30.0
"""Seconds for which a page holds while the stream says nothing: samples of usage are not told."""
MESSAGE = 1 << 20
"""Largest change that is read, in bytes."""
WAITING = 100
"""Messages of a stream that wait for whoever reads it before the stream itself waits."""


class _Line:
    """One open stream of the upstream's; while WAITING messages of it are not read, the upstream is not read either."""

    socket: GatewaySocket

    def __init__(self) -> None:
        self._messages: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._ended, self._room = asyncio.Event(), asyncio.Event()
        self._parting = False

    def take(self, message: str | bytes | None) -> Awaitable[None] | None:
        """Keep a message, None for the end; gives what has to be waited for before the next."""
        if message is None:
            self._ended.set()
        elif self._parting:
            return None
        self._messages.put_nowait(message)
        if message is None or self._messages.qsize() < WAITING:
            return None
        self._room.clear()
        return self._read()

    async def next(self) -> str | bytes | None:
        """Wait for the next message; None at the end."""
        message = await self._messages.get()
        self._room.set()
        return message

    async def _read(self) -> None:
        await self._room.wait()

    async def batch(self) -> list[str | bytes | None]:
        """Wait for a message and give it with those behind it."""
        found = [await self.next()]
        while not self._messages.empty():
            found.append(await self.next())
        return found

    async def close(self) -> None:
        """Say goodbye and wait a moment for the answer."""
        self._parting = True
        self._room.set()
        self.socket.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self._ended.wait(), PARTING)


class Relayed:
    """The feed of another server of ours.

    ``wire`` reaches its endpoint; ``probe`` asks whether it answers at all, and raises nothing.
    """

    def __init__(self, place: Place, wire: Wire, probe: Callable[[], Awaitable[None]]) -> None:
        self._place = place
        self._wire = wire
        self._probe = probe
        place.journal.logs = False
        self._path = f"/v1/{location_path(place.location)}/sessions:watch"
        self._ring: deque[Change] = deque()
        self._floor: int | None = None
        self._newest: int | None = None
        self._told: dict[str, tuple[str, State]] = {}
        self._resets = 0
        self._live = False
        self._complete = False
        self._closed = False
        self._alone: set[_Line] = set()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def holds(self) -> float:
        """Pages hold while the stream is open."""
        return HOLD if self._live else 0.0

    def start(self) -> None:
        """Begin to follow."""
        self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """End every watch and the stream."""
        self._closed = True
        self._wake()
        await end([self._task])
        await asyncio.gather(*(line.close() for line in self._alone))
        self._wire.close()

    def touch(self) -> None:
        """Nothing: an open stream costs nothing."""

    def poke(self) -> None:
        """Nothing: the stream tells."""

    def reset(self) -> None:
        """Have every watcher list again."""
        self._resets += 1
        self._wake()

    async def saw(self, rows: Mapping[str, Known | None], started: int) -> None:
        """Wait a moment until what an answer shows has been told; where the stream is broken, only remember it."""
        if self._live:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self._until_told(rows), PATIENCE)
            return
        with contextlib.suppress(SessionsError):
            self._place.mirror.put((await self._place.journal.some(rows, started)).rows)

    async def watch(self, after: int | None) -> AsyncIterator[Change | Reset]:
        """Follow the upstream's sequences; what is older than is remembered here comes from the upstream itself."""
        if after is not None and not self._holds(after):
            async for item in self._upstreams(after):
                yield item
            return
        position, resets = self._newest if after is None else after, self._resets
        while not self._closed:
            news = self._news
            if resets != self._resets or (position is not None and not self._holds(position)):
                resets, position = self._resets, self._newest
                yield Reset(self._place.location, position or 0)
                continue
            for change in [change for change in self._ring if position is None or change.sequence > position]:
                position = change.sequence
                yield change
            if news is self._news:
                await news.wait()

    def _holds(self, sequence: int) -> bool:
        """Whether every change after a sequence is remembered here."""
        return self._floor is not None and self._newest is not None and self._floor <= sequence <= self._newest

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _until_told(self, rows: Mapping[str, Known | None]) -> None:
        while self._live and not all(self._reflected(name, known) for name, known in rows.items()):
            await self._news.wait()

    def _reflected(self, name: str, known: Known | None) -> bool:
        uuid, state = self._told.get(name, ("", State.STATE_UNSPECIFIED))
        if known is None:
            # A session may be found gone while its last change is yet to be told.
            gone = self._place.mirror.get(name) is None
            return gone and (name not in self._told or state is State.STATE_UNSPECIFIED)
        if uuid == known.uuid:
            return _rank(state) >= _rank(known.session.state)
        before = self._place.mirror.get(name)
        return before is not None and (before.uuid == known.uuid) and not before.older_than(known)

    async def _run(self) -> None:
        pause, told = PAUSE[0], ""
        with contextlib.suppress(SessionsError):
            self._newest = self._floor = await self._place.journal.sequence() or None
        clock = asyncio.get_running_loop().time
        while True:
            why, began = "it ended", clock()
            try:
                await self._follow()
            except HostUnreachable as error:
                why = error.reason
            except SessionsError as error:
                why = error.message
            except Exception as error:
                log.exception("the changes of %s cannot be followed", self._place.location)
                why = str(error)
            finally:
                heard, self._live = self._live, False
            # One that opens and breaks at once is no better than one that does not open.
            if heard and clock() - began > PAUSE[1]:
                pause, told = PAUSE[0], ""
            if why != told:
                log.warning("the changes of %s are not told now: %s", self._place.location, why)
                told = why
            await self._probe()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(2 * pause, PAUSE[1])

    async def _follow(self) -> None:
        """Read the stream until it ends."""
        # Without a sequence to go on from, what was told since the last stream is not told again.
        blind = self._newest is None
        line = await self._open(self._newest)
        try:
            # A circuit that is open learns from this that the upstream is back.
            await self._probe()
            known = self._place.read.is_set()
            if blind or not self._complete:
                await self._list()
            if blind and known:
                self.reset()
            self._live = True
            while True:
                batch = await line.batch()
                location, hidden = self._place.location, line.socket.hidden
                await self._take([read_change(location, one, hidden) for one in batch if one is not None])
                if batch[-1] is None:
                    raise HostUnreachable(line.socket.close_reason or "the upstream ended its stream")
                if not self._complete:
                    # To open the stream again lists every session; no other change may come of the one that is missing.
                    raise Internal("a session that has changed could not be read")
        finally:
            await line.close()

    async def _open(self, after: int | None) -> _Line:
        path = self._path if after is None else f"{self._path}?after={after}"
        line = _Line()
        line.socket = await self._wire.websocket(path, max_message_size=MESSAGE, sink=line.take)
        return line

    async def _list(self) -> None:
        """Bring memory up to every session that there is."""
        self._complete = False
        started = time.time_ns()
        listed = await read_all(self._place)
        written = await self._place.journal.whole(list(listed.sessions.values()), started)
        self._place.changed()
        self._place.mirror.put(written.rows)
        self._complete = True
        self._place.read.set()

    async def _take(self, items: Sequence[Change | Reset]) -> None:
        """Bring memory up to what was told, then tell it on."""
        if not items:
            return
        if any(isinstance(item, Reset) for item in items):
            await self._list()
        else:
            await self._look(list({item.session for item in items if isinstance(item, Change)}), items)
        self._place.changed()
        for item in items:
            self._tell(item)
        self._wake()
        with contextlib.suppress(SessionsError):
            await self._place.journal.follow(items[-1].sequence)

    def _tell(self, item: Change | Reset) -> None:
        if isinstance(item, Reset):
            self._ring.clear()
            self._told.clear()
            self._floor = self._newest = item.sequence
            self._resets += 1
            return
        if self._floor is None:
            self._floor = item.sequence - 1
        self._newest = item.sequence
        self._ring.append(item)
        if len(self._ring) > KEPT:
            self._floor = self._ring.popleft().sequence
        self._told.pop(item.session, None)
        self._told[item.session] = (item.session_uuid, item.new_state)
        if len(self._told) > KEPT:
            del self._told[next(iter(self._told))]
        self._place.listeners.tell(item)

    async def _look(self, names: Sequence[str], items: Sequence[Change | Reset]) -> None:
        """Read the sessions that changed; of one that cannot be read, what the change itself says is remembered."""
        if len(names) > FEW:
            return await self._list()
        started = time.time_ns()
        told = {item.session: item for item in items if isinstance(item, Change)}
        found = await asyncio.gather(*(self._get(told[name]) for name in names))
        rows = dict(zip(names, found, strict=True))
        with contextlib.suppress(SessionsError):
            await self._place.journal.some(rows, started)
        self._place.mirror.put(rows)

    async def _get(self, change: Change) -> Known | None:
        if change.new_state is State.STATE_UNSPECIFIED or not is_of(self._place, change.session):
            # Perhaps another session has taken the name by now; then its own changes follow.
            return None
        try:
            return Known(await self._place.calls.get_session(parse_session(change.session)))
        except NotFound:
            return None
        except SessionsError:
            self._complete = False
            before = self._place.mirror.get(change.session)
            if before is None or before.uuid != change.session_uuid:
                return None
            said = {"state": change.new_state.name, "stateMessage": change.state_message}
            return Known({**before.raw, **said, "stateTime": format_time(change.time)})

    async def _upstreams(self, after: int) -> AsyncIterator[Change | Reset]:
        """Read a stream of the upstream's for one watcher alone."""
        location = self._place.location
        try:
            line = await self._open(after)
        except HostUnreachable as error:
            raise Unavailable(f"the changes of {location} cannot be read now: {error.reason}") from None
        self._alone.add(line)
        try:
            while (message := await line.next()) is not None:
                yield read_change(location, message, line.socket.hidden)
            if not self._closed:
                raise Unavailable(f"the changes of {location} broke off; ask again after the last one")
        finally:
            self._alone.discard(line)
            await line.close()


def _rank(state: State) -> int:
    return int(state) or len(State)


def read_change(location: LocationName, message: str | bytes, hidden: Hidden) -> Change | Reset:
    """Read a message of a change stream, without the credentials that the stream was opened with; raises Internal."""
    try:
        content = hidden.of_bytes(message.encode() if isinstance(message, str) else message)
        data = hidden.of_json(content, json.loads(content))
        # The upstream's location may have another name here.
        entry = {key: value for key, value in data.items() if key != "location"}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Internal(f"a change of {location} cannot be read: {error!r}") from None
    return load_change(entry, location)
