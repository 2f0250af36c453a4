"""The change stream over ``text/event-stream``, taken up by sequence wherever it breaks off."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing

import requests

from jupyter_sessions.client.calls import PREFIX
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


def watch(
    transport: Transport, parent: LocationName, after: Mapping[str, int], patience: float = PATIENCE
) -> Iterator[Change | Reset]:
    """Yield changes until closed; ``after`` holds the sequence after which each location is told, by its name.

    A stream that breaks is opened again and goes on after the last sequence seen. Where none was seen yet, a Reset of
    ``parent`` says that something may have been missed. Raises ServerGone when the server stays away for ``patience``
    seconds, and what it answers to the first request.
    """
    seen = {str(parse_location(name, "after")): sequence for name, sequence in after.items()}
    away, pace, opened = time.monotonic(), Pace(), False
    while True:
        try:
            with closing(_open(transport, parent, seen)) as response:
                if opened and not seen:
                    yield Reset(parent, 0)
                opened = True
                pace.reset()
                for change in _changes(response, parent):
                    seen[str(change.location)] = change.sequence
                    yield change
            away = time.monotonic()
        except (Unavailable, requests.RequestException) as error:
            # What was open a moment ago counts from now on.
            away = time.monotonic() if isinstance(error, requests.RequestException) else away
            if not opened or time.monotonic() - away > patience:
                raise _gone(transport, error) from error
        pace.wait()


def _open(transport: Transport, parent: LocationName, seen: Mapping[str, int]) -> requests.Response:
    if parent.wild:
        query = [("after", f"{place},{sequence}") for place, sequence in sorted(seen.items())]
    else:
        query = [("after", str(sequence)) for place, sequence in seen.items() if place == str(parent)]
    return transport.stream(f"{PREFIX}/{location_path(parent)}/sessions:watch", query=query)


def _gone(transport: Transport, error: Exception) -> Exception:
    return error if isinstance(error, Unavailable) else transport.gone(str(error))


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
