"""One location whose truth is at a server behind: Google's managed Spark, or another jupyter_sessions."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from functools import partial as bind
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_sessions.model import pages
from jupyter_sessions.model.api import (
    Caller,
    Change,
    KernelHost,
    ListRequest,
    Location,
    LogPage,
    Page,
    Reset,
    Unsubscribe,
)
from jupyter_sessions.model.errors import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    SessionsError,
    Unavailable,
)
from jupyter_sessions.model.names import WILDCARD, LocationName, OperationName, SessionName, TemplateName
from jupyter_sessions.model.resources import Operation, OperationType, Session, SessionTemplate
from jupyter_sessions.model.wire import load
from jupyter_sessions.storage.file import StoreFault
from jupyter_sessions.upstream.calls import Calls
from jupyter_sessions.upstream.described import describe
from jupyter_sessions.upstream.feed import Follower
from jupyter_sessions.upstream.identity import Identity
from jupyter_sessions.upstream.journal import Journal
from jupyter_sessions.upstream.known import Known
from jupyter_sessions.upstream.mirror import Mirror, last_known_token
from jupyter_sessions.upstream.pagecache import Kept
from jupyter_sessions.upstream.place import Place, RawPage
from jupyter_sessions.upstream.poller import Pace
from jupyter_sessions.upstream.pulse import Pulse

if TYPE_CHECKING:
    from jupyter_sessions.config.locations import LocationConfig
    from jupyter_sessions.upstream.base import Credentials, Transport
    from jupyter_sessions.upstream.feed import MakeGateway

T = TypeVar("T")
log = logging.getLogger(__name__)
AWAY = (Unavailable, DeadlineExceeded)
TEMPLATES_HOLD = 5.0
"""Seconds for which a page of templates holds: no feed tells of their changes, and many browsers open at once."""
REPEATED = 1000
"""How many creates of this server's callers are remembered by their request ids."""


class UpstreamSessions:
    """Implements ``SessionsApi`` and ``KernelHosts`` for one location behind ``config.endpoint``.

    All callers of this server are one caller there: whoever the credentials are. ``data_dir`` keeps what was last
    seen, also for other servers on it. ``make_gateway`` makes the location's kernel gateway once it is known what the
    upstream is. An upstream that cannot be read changes no state and shortens no list: sessions are then answered as
    last seen, and a list of them names the location as unreachable.
    """

    def __init__(
        self,
        config: LocationConfig,
        data_dir: Path,
        *,
        transport: Transport,
        credentials: Credentials,
        make_gateway: MakeGateway | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._pulse = Pulse(transport)
        self._identity = Identity(config, self._pulse)
        self._calls = Calls(config, self._pulse, self._identity)
        mirror = Mirror(config.name, config.display_name)
        self._place = Place(config.name, self._calls, Journal(data_dir, config.name), mirror)
        self._feed = Follower(config, self._place, self._identity, self._pulse, credentials, make_gateway, pace)
        self._templates = Kept[Page[SessionTemplate]]()
        self._edits = 0
        self._repeated: OrderedDict[tuple[str, str], Operation] = OrderedDict()

    async def start(self) -> None:
        """Open what is remembered and begin to follow the upstream in the background. Raises nothing."""
        try:
            await self._place.journal.database.open()
            self._place.mirror.replace(await self._place.journal.rows())
            await self._place.journal.listed()
        except (StoreFault, SessionsError) as error:
            log.error("what was last seen of %s cannot be kept: %s", self._config.name, error)
        self._feed.start()

    async def stop(self) -> None:
        """End every stream, connection and request."""
        await self._feed.close()
        await self._place.shared.close()
        await self._pulse.close()
        await self._place.journal.database.close()

    async def seen(self) -> None:
        """Wait until the sessions and what they offer are known, for as long as it takes."""
        await self._feed.seen()

    async def list_locations(self, project: str) -> Sequence[Location]:
        """Give this location if it is of ``project`` (``-``: of any)."""
        return [self._location()] if project in (WILDCARD, self._config.name.project) else []

    async def get_location(self, name: LocationName) -> Location:
        """Give this location from memory, with how well the upstream can be reached."""
        self._check(name)
        return self._location()

    def _location(self) -> Location:
        return describe(self._config, self._identity, self._pulse.reach, self._credentials.remedy())

    async def create_session(
        self, caller: Caller, parent: LocationName, session: Session, session_id: str = "", request_id: str = ""
    ) -> Operation:
        """Make a session there."""
        self._check(parent)
        operation = await self._acted(self._calls.create_session(session, session_id, request_id))
        if request_id:
            self._repeated[caller.name, request_id] = operation
            while len(self._repeated) > REPEATED:
                self._repeated.popitem(last=False)
        return operation

    async def repeated_create(self, caller: Caller, parent: LocationName, request_id: str) -> Operation | None:
        """Give the operation that a create through this server began with this request id."""
        self._check(parent)
        known = self._repeated.get((caller.name, request_id))
        return None if known is None else await self.get_operation(caller, known.parsed_name)

    async def get_session(self, caller: Caller, name: SessionName) -> Session:
        """Give one session; as last seen while the upstream does not answer."""
        self._check(name.parent)
        self._feed.touch()
        started = time.time_ns()
        try:
            raw = await self._place.shared.run(("session", name), bind(self._calls.get_session, name))
        except NotFound:
            await self._feed.saw({str(name): None}, started)
            raise
        except AWAY:
            known = self._place.mirror.get(str(name))
            if known is None:
                raise
            return known.session
        known = Known(raw)
        await self._feed.saw({known.name: known}, started)
        return known.session

    async def list_sessions(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[Session]:
        """List sessions, newest first; as last seen, and named unreachable, while the upstream does not answer."""
        self._check(parent, wildcard=True)
        pages.page_size(request.page_size)
        self._feed.touch()
        if last_known_token(request.page_token):
            return self._last_known(request)
        key = (request.page_size, request.page_token, request.filter)
        kept = self._place.pages.get(key, self._feed.holds)
        if kept is not None:
            return self._page(kept)
        asked = asyncio.ensure_future(self._place.shared.run(key, bind(self._read_page, key, request)))
        if self._pulse.silent and not request.page_token:
            # Whether it is back is found out without anybody waiting for it.
            asked.add_done_callback(_heard)
            if not self._feed.listed:
                raise self._silence()
            return self._last_known(request)
        try:
            return self._page(await asked)
        except AWAY:
            if request.page_token or not self._feed.listed:
                raise
            return self._last_known(request)

    def last_known(self, parent: LocationName, request: ListRequest) -> Page[Session] | None:
        """Give a page as last seen, None where nothing was; for lists over several locations that do not wait."""
        if not self._feed.listed or (request.page_token and not last_known_token(request.page_token)):
            return None
        return self._last_known(request)

    def _last_known(self, request: ListRequest) -> Page[Session]:
        page = self._place.mirror.page(request)
        reachable = self._pulse.reach.reachable
        return Page(page.items, page.next_page_token, ()) if reachable else page

    async def _read_page(self, key: tuple[int, str, str], request: ListRequest) -> RawPage:
        generation, started = self._place.shared.generation, time.time_ns()
        rows, token = await self._calls.list_sessions(request)
        await self._feed.saw_known([Known(row) for row in rows], started)
        if generation == self._place.shared.generation:
            self._place.pages.put(key, (rows, token))
        return rows, token

    def _page(self, page: RawPage) -> Page[Session]:
        rows, token = page
        found = []
        for row in rows:
            known = self._place.mirror.get(str(row.get("name", "")))
            found.append(known.session if known is not None and known.raw is row else load(Session, row))
        return Page(found, token)

    async def update_session(
        self, caller: Caller, name: SessionName, session: Session, update_mask: Sequence[str] | None
    ) -> Session:
        """Change labels and limits, where the upstream can."""
        self._check(name.parent)
        self._calls.check_update()
        return await self._acted(self._calls.update_session(name, session, update_mask))

    async def terminate_session(self, caller: Caller, name: SessionName, request_id: str = "") -> Operation:
        """End a session there."""
        self._check(name.parent)
        return await self._acted(self._calls.terminate_session(name, request_id))

    async def delete_session(self, caller: Caller, name: SessionName, request_id: str = "") -> Operation:
        """End a session there and remove it."""
        self._check(name.parent)
        return await self._acted(self._calls.delete_session(name, request_id))

    async def _acted(self, call: Awaitable[T]) -> T:
        """Await a call that changes sessions, and have the change looked for at once."""
        self._feed.touch()
        try:
            return await call
        finally:
            self._place.stir()
            self._feed.poke()

    async def create_template(self, caller: Caller, parent: LocationName, template: SessionTemplate) -> SessionTemplate:
        """Store a template there."""
        self._check(parent)
        return await self._edited(self._calls.create_template(template))

    async def get_template(self, caller: Caller, name: TemplateName) -> SessionTemplate:
        """Give one template."""
        self._check(name.parent)
        self._feed.touch()
        return await self._place.shared.run(("template", name), bind(self._calls.get_template, name))

    async def list_templates(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[SessionTemplate]:
        """List templates."""
        self._check(parent, wildcard=True)
        kept = self._templates.get(request, TEMPLATES_HOLD)
        if kept is not None:
            return kept
        return await self._prompt(("templates", request), bind(self._read_templates, request))

    async def _read_templates(self, request: ListRequest) -> Page[SessionTemplate]:
        edits = self._edits
        page = await self._calls.list_templates(request)
        if edits == self._edits:
            self._templates.put(request, page)
        return page

    async def _edited(self, call: Awaitable[T]) -> T:
        """Await a call that changes templates, and answer no list of them from before it."""
        try:
            return await call
        finally:
            self._edits += 1
            self._place.shared.changed()
            self._templates.clear()

    async def update_template(
        self, caller: Caller, name: TemplateName, template: SessionTemplate, update_mask: Sequence[str] | None
    ) -> SessionTemplate:
        """Change a template."""
        self._check(name.parent)
        return await self._edited(self._calls.update_template(name, template, update_mask))

    async def delete_template(self, caller: Caller, name: TemplateName) -> None:
        """Remove a template."""
        self._check(name.parent)
        await self._edited(self._calls.delete_template(name))

    async def get_operation(self, caller: Caller, name: OperationName) -> Operation:
        """Give one operation; what it says of its session is told before."""
        self._check(name.parent)
        self._feed.touch()
        started = time.time_ns()
        operation = await self._place.shared.run(("operation", name), bind(self._calls.get_operation, name))
        if operation.done and operation.metadata.operation_type is not OperationType.DELETE:
            await self._seen_again(operation.metadata.session)
        elif operation.done and operation.response is not None:
            known = self._place.mirror.get(operation.metadata.session)
            if known is None or known.uuid == operation.metadata.session_uuid:
                await self._feed.saw({operation.metadata.session: None}, started)
        return operation

    async def list_operations(
        self, caller: Caller, parent: LocationName, request: ListRequest, partial: bool = False
    ) -> Page[Operation]:
        """List operations."""
        self._check(parent, wildcard=True)
        return await self._prompt(("operations", request), bind(self._calls.list_operations, request))

    async def cancel_operation(self, caller: Caller, name: OperationName) -> None:
        """Cancel a running create."""
        self._check(name.parent)
        await self._acted(self._calls.cancel_operation(name))

    async def delete_operation(self, caller: Caller, name: OperationName) -> None:
        """Forget an operation, not its work."""
        self._check(name.parent)
        await self._calls.delete_operation(name)

    async def read_log(self, caller: Caller, name: SessionName, offset: int, limit: int) -> LogPage:
        """Give a piece of a session's log, where the upstream has one."""
        self._check(name.parent)
        return await self._calls.read_log(name, offset, limit)

    async def list_kernels(self, caller: Caller, name: SessionName) -> Sequence[Mapping[str, Any]]:
        """Give the kernels of a session, where the upstream lists them."""
        self._check(name.parent)
        return await self._calls.list_kernels(name)

    def watch(
        self, caller: Caller, parent: LocationName, after: Mapping[LocationName, int]
    ) -> AsyncIterator[Change | Reset]:
        """Follow the changes from the sequence named for this location (absent: from now on) until closed."""
        self._check(parent, wildcard=True)
        return self._feed.watch(after.get(self._config.name))

    def subscribe(self, listener: Callable[[Change], None]) -> Unsubscribe:
        """Call ``listener`` for each change, in order, on the event loop; also before ``start``."""
        return self._place.listeners.add(listener)

    def kernel_hosts(self) -> Sequence[KernelHost]:
        """Give every ACTIVE session from memory, once the location has a gateway."""
        return self._place.mirror.hosts()

    def watch_hosts(self, listener: Callable[[KernelHost], None]) -> Unsubscribe:
        """Call ``listener`` whenever a session becomes, stays with new data, or ceases to be ACTIVE."""
        return self._place.mirror.watch_hosts(listener)

    async def _prompt(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Share a request; where the upstream is silent just now, nobody waits for it."""
        self._feed.touch()
        asked = asyncio.ensure_future(self._place.shared.run(key, work))
        if self._pulse.silent:
            asked.add_done_callback(_heard)
            raise self._silence()
        return await asked

    def _silence(self) -> Unavailable:
        return Unavailable(f"{self._config.name} cannot be read now: {self._pulse.reach.message}; repeat later")

    async def _seen_again(self, session: str) -> None:
        """Look at a session that an operation has finished with, so that its change is told before."""
        known = self._place.mirror.get(session)
        if known is not None and known.session.state.final:
            return
        try:
            await self.get_session(Caller(""), load(Session, {"name": session}).parsed_name)
        except (SessionsError, InvalidArgument):
            return

    def _check(self, parent: LocationName, wildcard: bool = False) -> None:
        if parent != self._config.name and not (wildcard and parent.wild and parent.covers(self._config.name)):
            raise NotFound(f"location {parent} is not configured here; this is {self._config.name}")


def _heard(task: asyncio.Future[Any]) -> None:
    """Hear the fault of a task that nobody waits for."""
    if not task.cancelled():
        task.exception()
