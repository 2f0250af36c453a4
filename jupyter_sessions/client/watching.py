"""The change stream over ``text/event-stream``, taken up by sequence wherever it breaks off."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from types import TracebackType

import requests

from jupyter_sessions.client.calls import PREFIX
from jupyter_sessions.client.errors import ServerNotTrusted
from jupyter_sessions.client.transport import Transport
from jupyter_sessions.client.waiting import Pace
from jupyter_sessions.model.answers import read_error
from jupyter_sessions.model.api import Change, Reset
from jupyter_sessions.model.bodies import load_change
from jupyter_sessions.model.errors import Internal, Unavailable
from jupyter_sessions.model.names import LocationName, parse_location
from jupyter_sessions.model.paths import location_path

PATIENCE = 60.0
"""Seconds that a server may be away before a watch gives up."""
STEADY = 5.0
"""Seconds after which a stream that is open is one that works, though it had no change to tell."""
QUIET = 50.0
"""Seconds after which a silent stream is broken: a server that lives says something every 15 s."""

_BROKEN = (requests.RequestException, OSError, ValueError, AttributeError)


class Watch(Iterator["Change | Reset"]):
    """Changes as they come, for a ``for`` loop; open from the moment it is made, and until ``close``.

    ``after`` holds the sequence after which each location is told, by its name; one not named is told from now on. A
    stream that breaks is opened again and goes on after the last sequence seen. Where none was seen yet, a Reset of
    ``parent`` says that something may have been missed. Raises ServerGone when the server stays away for ``patience``
    seconds, and at once what it answers to the first request.
    """

    def __init__(
        self, transport: Transport, parent: LocationName, after: Mapping[str, int], patience: float = PATIENCE
    ) -> None:
        self._transport = transport
        self._parent = parent
        self._patience = patience
        self._seen = {str(parse_location(name, "after")): sequence for name, sequence in after.items()}
        self._closed = False
        self._response = self._open()
        self._items = _changes(self._response, parent)
        self._opened = time.monotonic()
        self._alive()

    def __next__(self) -> Change | Reset:
        while not self._closed:
            try:
                change = next(self._items)
            except (StopIteration, *_BROKEN):
                # A stream that was closed here is not opened again.
                if not self._closed and self._reopen():
                    return Reset(self._parent, 0)
                continue
            self._seen[str(change.location)] = change.sequence
            self._alive()
            return change
        raise StopIteration

    def close(self) -> None:
        """End it, also from another thread: a ``for`` loop over it then ends."""
        self._closed = True
        _hang_up(self._response)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _alive(self) -> None:
        """Note that the stream does what it should: where it breaks, it is opened again at once."""
        self._pace, self._heard, self._tried = Pace(), time.monotonic(), False

    def _reopen(self) -> bool:
        """Open the stream again; says whether something may have been missed."""
        _hang_up(self._response)
        if time.monotonic() - self._opened >= STEADY:
            self._alive()
        error: Unavailable = self._transport.gone("its stream of changes breaks off again and again")
        while not self._closed:
            # A stream that breaks at once is no better than one that does not open.
            if self._tried:
                if time.monotonic() > self._heard + self._patience:
                    raise error
                self._pace.wait()
            self._tried, self._opened = True, time.monotonic()
            try:
                self._response = self._open()
            except Unavailable as fault:
                error = fault
                if isinstance(fault, ServerNotTrusted):
                    raise
                continue
            self._items = _changes(self._response, self._parent)
            if self._closed:
                # It was closed meanwhile, which ended the old one.
                _hang_up(self._response)
            return not self._seen and not self._closed
        return False

    def _open(self) -> requests.Response:
        if self._parent.wild:
            query = [("after", f"{place},{sequence}") for place, sequence in sorted(self._seen.items())]
        else:
            query = [("after", str(sequence)) for place, sequence in self._seen.items() if place == str(self._parent)]
        path = f"{PREFIX}/{location_path(self._parent)}/sessions:watch"
        return self._transport.stream(path, query=query, quiet=QUIET)


def _hang_up(response: requests.Response) -> None:
    """Close a response, and wake a thread that is reading it."""
    sock = getattr(getattr(response.raw, "connection", None), "sock", None)
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(*_BROKEN):
        response.close()


def _changes(response: requests.Response, parent: LocationName) -> Iterator[Change | Reset]:
    for kind, data in _events(response):
        content = json.loads(data)
        if kind == "error":
            raise read_error(500, content) or Internal(f"the change stream of {parent} broke")
        yield load_change(content, parent)


def _events(response: requests.Response) -> Iterator[tuple[str, str]]:
    """Give each event's type and data (source: the HTML standard's event streams; its ids are in the data here)."""
    kind = ""
    data: list[str] = []
    for line in _lines(response):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield kind, "\n".join(data)
            kind, data = "", []
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)


def _lines(response: requests.Response) -> Iterator[str]:
    rest = b""
    # One piece as it comes: a size would wait until so much is there.
    for piece in response.iter_content(None):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.rstrip(b"\r").decode("utf-8", "replace")
