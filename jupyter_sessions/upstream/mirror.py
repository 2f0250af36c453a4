"""The sessions of one location as last seen, in memory, and the kernel hosts that the ACTIVE ones are."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from jupyter_sessions.model import filter as filters
from jupyter_sessions.model import pages
from jupyter_sessions.model.api import KernelHost, ListRequest, Page, Unsubscribe
from jupyter_sessions.model.names import LocationName, SessionName
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State
from jupyter_sessions.storage.listeners import Listeners
from jupyter_sessions.upstream.known import Known

if TYPE_CHECKING:
    from jupyter_sessions.upstream.gateway import LocationGateway

_TOKEN = "last-known."  # noqa: S105 - the beginning of a page token
STARTER = "gateway"
"""The id of the session that stands for the gateway itself."""


class Mirror:
    """What was last seen of one location. Used on the event loop; ``put`` tells the kernels room at once."""

    def __init__(self, location: LocationName, display_name: str) -> None:
        self._location = location
        self._display_name = display_name
        self._known: dict[str, Known] = {}
        self._moving: set[str] = set()
        self._hosts: dict[str, KernelHost] = {}
        self._listeners = Listeners[KernelHost]()
        self._gateway: LocationGateway | None = None
        self._key = secrets.token_bytes(32)

    @property
    def moving(self) -> bool:
        """Whether a session is on its way from one state to another."""
        return bool(self._moving)

    def get(self, name: str) -> Known | None:
        """Give one session as last seen."""
        return self._known.get(name)

    def names(self) -> Sequence[str]:
        """Give the names of all sessions."""
        return list(self._known)

    def put(self, rows: Mapping[str, Known | None]) -> None:
        """Take in how sessions now stand, None for one that is gone."""
        names = set(self._known)
        for name, known in rows.items():
            before = self._known.get(name)
            if before is not None and (known is None or known.uuid != before.uuid):
                self._ended(before)
            if known is None:
                self._known.pop(name, None)
                self._moving.discard(name)
                continue
            self._known[name] = known
            (self._moving.add if known.moving else self._moving.discard)(name)
            self._tell(known)
        if self._gateway is not None and names != set(self._known):
            # What the gateway named before its session was known is that session's, and no longer its own.
            self._tell_starter()

    def freshen(self, known: Known) -> None:
        """Take in what differs from what was known in samples alone."""
        self._known[known.name] = known

    def replace(self, rows: Mapping[str, Known]) -> None:
        """Take in all sessions."""
        self.put({**dict.fromkeys(self._known), **rows})

    def page(self, request: ListRequest) -> Page[Session]:
        """Give one page of the sessions last seen, newest first, marked as what could not be read now.

        Its tokens are this page's own (``last_known_token``), for its filter and as long as this object lives. Raises
        InvalidArgument.
        """
        size = pages.page_size(request.page_size)
        expression = filters.parse(request.filter, Session)
        fits = filters.predicate(expression, Session) if expression is not None else None
        after = self._after(request) if request.page_token else None
        rows = [known.session for known in self._known.values()]
        rows = [row for row in rows if (fits is None or fits(row)) and (after is None or _order(row) > after)]
        rows.sort(key=_order)
        token = ""
        if len(rows) > size:
            cursor = pages.Cursor(rows[size - 1].create_time, rows[size - 1].name)
            token = _TOKEN + pages.sign(self._key, self._location, request.filter, cursor)
        return Page(rows[:size], token, [str(self._location)])

    def _after(self, request: ListRequest) -> tuple[int, str]:
        token = request.page_token.removeprefix(_TOKEN)
        cursor = pages.verify(self._key, token, self._location, request.filter)
        return (-cursor.create_time, cursor.name)

    def use(self, gateway: LocationGateway | None) -> None:
        """Reach the kernels of ACTIVE sessions through a gateway from now on, or no longer."""
        self._gateway = gateway
        self.offers_changed()

    def offers_changed(self) -> None:
        """Look again at what the gateway offers for each ACTIVE session, and for none."""
        for known in list(self._known.values()):
            self._tell(known)
        self._tell_starter()

    def hosts(self) -> Sequence[KernelHost]:
        """Give the ACTIVE sessions, and the gateway where it offers more."""
        return list(self._hosts.values())

    def watch_hosts(self, listener: Callable[[KernelHost], None]) -> Unsubscribe:
        """Call ``listener`` with each host that comes, changes or goes."""
        return self._listeners.add(listener)

    def _ended(self, known: Known) -> None:
        host = self._hosts.pop(known.uuid, None)
        if host is not None:
            message = "the session was deleted"
            self._listeners.tell(
                KernelHost(host.session, host.session_uuid, host.display_name, State.STATE_UNSPECIFIED, message)
            )

    def _tell(self, known: Known) -> None:
        gateway, session = self._gateway, known.session
        before = self._hosts.get(known.uuid)
        name = SessionName(self._location, session.name.rpartition("/")[2])
        display = session.jupyter_session.display_name if session.jupyter_session else ""
        if gateway is None or session.state is not State.ACTIVE:
            if self._hosts.pop(known.uuid, None) is not None:
                state, message = session.state, session.state_message
                self._listeners.tell(KernelHost(name, known.uuid, display or name.id, state, message))
            return
        host = KernelHost(
            session=name,
            session_uuid=known.uuid,
            display_name=display or name.id,
            state=session.state,
            state_message=session.state_message,
            kernels=tuple(gateway.offered(name)),
            address=gateway.url,
            gateway=gateway,
        )
        if before is None and not host.kernels:
            gateway.want()
        self._keep(host, before)

    def _tell_starter(self) -> None:
        gateway = self._gateway
        uuid = f"gateway:{self._location}"
        before = self._hosts.get(uuid)
        name, title = SessionName(self._location, STARTER), self._display_name or self._location.location
        # Before any session is known, what names one may well be one's own.
        kernels = tuple(gateway.loose(self._known or None)) if gateway is not None else ()
        if gateway is None or not kernels:
            if before is not None:
                del self._hosts[uuid]
                message = "the gateway offers no other kernels now"
                self._listeners.tell(KernelHost(name, uuid, title, State.STATE_UNSPECIFIED, message, starter=True))
            return
        active = State.ACTIVE
        host = KernelHost(name, uuid, title, active, "", kernels, gateway.url, gateway=gateway, starter=True)
        self._keep(host, before)

    def _keep(self, host: KernelHost, before: KernelHost | None) -> None:
        if host != before:
            self._hosts[host.session_uuid] = host
            self._listeners.tell(host)


def _order(session: Session) -> tuple[int, str]:
    return (-session.create_time, session.name)


def last_known_token(token: str) -> bool:
    """Say whether a page token is one of ``Mirror.page``, and none of the upstream's."""
    return token.startswith(_TOKEN)
