"""Sessions for a program: every method of the API, and handles to run code in them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, overload

from typing_extensions import Unpack

from jupyter_sessions.client.calls import Calls
from jupyter_sessions.client.discovery import find_server, server_at
from jupyter_sessions.client.drafts import Wanted, draft, limits
from jupyter_sessions.client.errors import NameTaken
from jupyter_sessions.client.groups import Locations, Operations, Templates, find_location
from jupyter_sessions.client.handle import SessionHandle
from jupyter_sessions.client.hints import ended, taken
from jupyter_sessions.client.listing import Listing
from jupyter_sessions.client.logs import read_log
from jupyter_sessions.client.operation import OperationHandle, Progress
from jupyter_sessions.client.transport import Transport
from jupyter_sessions.client.watching import Watch
from jupyter_sessions.model import wire
from jupyter_sessions.model.api import ListRequest
from jupyter_sessions.model.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    SessionsError,
)
from jupyter_sessions.model.names import (
    LOCAL,
    LocationName,
    SessionName,
    check_session_id,
    parse_location,
    parse_session,
)
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State

LIVE = (State.CREATING, State.ACTIVE)
"""The states of a session that can be used, now or soon."""
LOCATION = "JUPYTER_SESSIONS_LOCATION"
"""The environment variable that names the location to work in."""


class SessionsClient:
    """A way to one server, for programs; it may be used from several threads, and in a ``with`` statement.

    Without ``url`` it finds the running Jupyter server of this user (see :mod:`jupyter_sessions.client.discovery`).
    ``location`` is where bare names are looked for: ``projects/P/locations/L`` or the location's id; else
    ``JUPYTER_SESSIONS_LOCATION``, else this machine's, else the only one. ``timeout``: the seconds that one answer
    may take. ``verify``: check the server's certificate, or a bundle to check it against.

    A session's name is its id, or its full name ``projects/P/locations/L/sessions/ID``. Every method raises
    ``SessionsError`` subclasses: those of google.rpc, and the client's own (:mod:`jupyter_sessions.client.errors`).
    From asyncio, call it through ``asyncio.to_thread``.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        location: str | None = None,
        *,
        timeout: float = 30.0,
        verify: bool | str = True,
    ) -> None:
        server = find_server(token=token) if url is None else server_at(url, token)
        self.transport = Transport(server.url, server.token, timeout=timeout, verify=verify)
        self.calls = Calls(self.transport)
        self._wanted = location or os.environ.get(LOCATION, "")
        self._location: LocationName | None = None
        self.templates = Templates(self.calls, self._place)
        self.operations = Operations(self.calls, self._place)
        self.locations = Locations(self.calls)

    @property
    def url(self) -> str:
        """The server's base URL."""
        return self.transport.url

    @property
    def location(self) -> LocationName:
        """Where bare names are looked for; the server is asked once. Raises InvalidArgument, FailedPrecondition."""
        if self._location is None:
            self._location = self._settle()
        return self._location

    def _settle(self) -> LocationName:
        if self._wanted.startswith("projects/"):
            return parse_location(self._wanted, "location")
        if self._wanted:
            return find_location(self._wanted, self.locations.list).name
        names = [one.name for one in self.locations.list()]
        if LOCAL in names or len(names) == 1:
            return LOCAL if LOCAL in names else names[0]
        listed = ", ".join(map(str, names)) or "none"
        raise FailedPrecondition(f"name a location (location=, --location or {LOCATION}); there are: {listed}")

    def _place(self, location: str | LocationName | None) -> LocationName:
        if location is None:
            return self.location
        if isinstance(location, LocationName):
            return location
        if location == "-":
            return LocationName("-", "-")
        if location.startswith("projects/"):
            return parse_location(location, "location", wildcard=True)
        return find_location(location, self.locations.list).name

    def name(self, text: str) -> SessionName:
        """Give the full name that a session's id or name means; raises InvalidArgument."""
        return parse_session(text) if "/" in text else SessionName(self.location, check_session_id(text, "name"))

    @overload
    def create(
        self,
        session_id: str = "",
        session: Session | Mapping[str, Any] | None = None,
        *,
        wait: Literal[True],
        location: str | None = None,
        replace: bool = False,
        request_id: str = "",
        timeout: float | None = None,
        progress: Progress | None = None,
        **wanted: Unpack[Wanted],
    ) -> SessionHandle: ...

    @overload
    def create(
        self,
        session_id: str = "",
        session: Session | Mapping[str, Any] | None = None,
        *,
        wait: Literal[False] = False,
        location: str | None = None,
        replace: bool = False,
        request_id: str = "",
        timeout: float | None = None,
        progress: Progress | None = None,
        **wanted: Unpack[Wanted],
    ) -> OperationHandle: ...

    def create(
        self,
        session_id: str = "",
        session: Session | Mapping[str, Any] | None = None,
        *,
        wait: bool = False,
        location: str | None = None,
        replace: bool = False,
        request_id: str = "",
        timeout: float | None = None,
        progress: Progress | None = None,
        **wanted: Unpack[Wanted],
    ) -> OperationHandle | SessionHandle:
        """Begin to make a session and give the operation's handle; with ``wait`` the session's, once it is ACTIVE.

        ``session`` is the resource or its JSON; on top comes what is said besides: ``template``, ``labels``,
        ``kernel`` (``python``, ``scala``), ``display_name``, ``properties``, ``ttl`` and ``idle_ttl`` (seconds, or
        text as ``8h``), ``user``. Without an id the server makes one.

        Raises InvalidArgument with every faulty field, AlreadyExists, NotFound (a template), ResourceExhausted; with
        ``wait`` also what ended the start, and DeadlineExceeded after ``timeout`` seconds: it then goes on.
        Of a session that has ended the name is taken: NameTaken, or with ``replace`` that one is deleted first, with
        its history and log; of any other that is FailedPrecondition, and it goes on.
        """
        parent = self.name(session_id).parent if "/" in session_id else self._place(location)
        resource = draft(parent, session, **wanted)
        bare = session_id.rpartition("/")[2]
        try:
            operation = self.calls.create_session(parent, resource, bare, request_id)
        except AlreadyExists as error:
            self._make_way(SessionName(parent, bare), error, replace)
            operation = self.calls.create_session(parent, resource, bare, request_id)
        handle = OperationHandle(self, operation)
        return handle.result(timeout, progress) if wait else handle

    def _make_way(self, name: SessionName, error: AlreadyExists, replace: bool) -> None:
        """Delete the ended session that keeps a name, if that is wanted; raises what keeps it from being made."""
        try:
            found = self.calls.get_session(name, hint=False)
        except NotFound:
            # It is gone meanwhile, or somebody else's.
            raise error from None
        if not replace:
            raise taken(error, found) from error
        if not found.state.final:
            raise FailedPrecondition(
                f"session {name.id} is {found.state.name}: only one that has ended is replaced; terminate it first, "
                "or choose another name"
            ) from error
        self.delete(str(name), wait=True)

    def get(self, name: str) -> Session:
        """Give one session; raises NotFound."""
        return self.calls.get_session(self.name(name))

    def list(
        self, *, filter: str = "", location: str | LocationName | None = None, page_size: int = 0
    ) -> Listing[Session]:
        """List sessions, newest first; ``filter`` is AIP-160, ``location`` may be ``-`` for all."""
        parent = self._place(location)
        return Listing(lambda token: self.calls.list_sessions(parent, ListRequest(page_size, token, filter)))

    def only(self) -> Session:
        """Give the one live session of the client's location; raises FailedPrecondition that lists what there is."""
        live = [one for one in self.list(filter="state = CREATING OR state = ACTIVE") if one.state in LIVE]
        if len(live) == 1:
            return live[0]
        listed = ", ".join(one.name.rpartition("/")[2] for one in live)
        if live:
            raise FailedPrecondition(f"{len(live)} sessions are live, so name the one that is meant: {listed}")
        raise FailedPrecondition(f"no session is live in {self.location}; create one, or name an ended one")

    def update(
        self, name: str, session: Session | Mapping[str, Any], update_mask: Sequence[str] | None = None
    ) -> Session:
        """Change labels and limits: the paths of ``update_mask``, without it all that may change."""
        full = self.name(name)
        given = session if isinstance(session, Session) else wire.parse(Session, dict(session), parent=full.parent)
        return self.calls.update_session(full, given, update_mask)

    def extend(self, name: str, *, ttl: float | str | None = None, idle_ttl: float | str | None = None) -> Session:
        """Set how long a session may live, and be idle, from its ACTIVE time on: seconds, or text as ``8h``."""
        if ttl is None and idle_ttl is None:
            rule = "give the new ttl, the new idle_ttl or both"
            raise InvalidArgument([FieldViolation("environmentConfig.executionConfig", rule)])
        paths = {"ttl": ttl, "idleTtl": idle_ttl}
        mask = [f"environmentConfig.executionConfig.{path}" for path, value in paths.items() if value is not None]
        return self.update(name, Session(environment_config=limits(None, ttl, idle_ttl)), mask)

    def terminate(
        self,
        name: str,
        *,
        request_id: str = "",
        wait: bool = False,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> OperationHandle:
        """End a session, which stays listed; with ``wait`` until it has ended."""
        handle = OperationHandle(self, self.calls.terminate_session(self.name(name), request_id))
        if wait:
            handle.result(timeout, progress)
        return handle

    def delete(
        self,
        name: str,
        *,
        request_id: str = "",
        wait: bool = False,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> OperationHandle:
        """End a session if it lives, and remove it with its history and log; with ``wait`` until it is gone."""
        handle = OperationHandle(self, self.calls.delete_session(self.name(name), request_id))
        if wait:
            handle.result(timeout, progress)
        return handle

    def watch(self, location: str | LocationName | None = None, *, after: Mapping[str, int] | None = None) -> Watch:
        """Give every change from now on, or after the sequence of each location in ``after``, until it is closed.

        It is open when this returns, so that nothing done afterwards is missed; iterate over it. A broken stream is
        taken up where it broke off; a Reset says that the log is too short for that: list again.
        Raises ServerGone when the server stays away for a minute.
        """
        return Watch(self.transport, self._place(location), after or {})

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """Yield a session's log; ``tail`` begins so many bytes before its end, ``follow`` goes on until it ended."""
        return read_log(self.calls, self.name(name), follow, tail)

    def kernels(self, name: str) -> Sequence[Mapping[str, Any]]:
        """Give Jupyter's models of a session's kernels, oldest first, with ``usage``."""
        return self.calls.list_kernels(self.name(name))

    def session(
        self,
        name: str | None = None,
        *,
        end: bool = False,
        replace: bool = False,
        timeout: float | None = None,
        progress: Progress | None = None,
        **wanted: Unpack[Wanted],
    ) -> SessionHandle:
        """Give the live session of this name, made with ``create``'s arguments if there is none, once it is ACTIVE.

        Without a name it is the only live one. With ``end`` it is terminated at the end of its ``with`` statement.
        Of an ended session the name is taken: FailedPrecondition, or with ``replace`` that one is deleted first.
        """
        if name is None and not wanted:
            return SessionHandle(self, self.only(), end=end).wait(timeout, progress)
        found = self._reusable(name, replace) if name else None
        if found is None:
            try:
                operation = self.create(name or "", **wanted)
                return SessionHandle(self, self._started(operation, end, timeout, progress), end=end)
            except AlreadyExists:
                # Somebody else made it a moment ago.
                found = self.get(name or "")
        return SessionHandle(self, found, end=end).wait(timeout, progress)

    def _started(
        self, operation: OperationHandle, end: bool, timeout: float | None, progress: Progress | None
    ) -> Session:
        """Wait for a session; one that is to end with its ``with`` statement ends also where that is never entered."""
        try:
            return operation.result(timeout, progress).resource
        except BaseException:
            if end:
                # Where it failed by itself there is nothing to end.
                with contextlib.suppress(SessionsError):
                    self.terminate(operation.session)
            raise

    def _reusable(self, name: str, replace: bool) -> Session | None:
        try:
            found = self.calls.get_session(self.name(name), hint=False)
        except NotFound:
            return None
        if found.state in LIVE:
            return found
        if not replace and found.state.final:
            raise FailedPrecondition(NameTaken(ended(found), found).message)
        if not replace:
            raise FailedPrecondition(f"{name} is {found.state.name}; wait until it has ended, or pass replace=True")
        self.delete(name, wait=True)
        return None

    def close(self) -> None:
        """Close the connections that are kept; what runs at the server goes on."""
        self.transport.close()

    def __enter__(self) -> SessionsClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SessionsClient {self.url}>"
