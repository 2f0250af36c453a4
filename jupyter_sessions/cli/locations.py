"""``jupyter sessions locations``: where sessions can run, and whether each place answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_sessions.cli import output
from jupyter_sessions.cli.connection import FormOption, Misused, UrlOption, connect
from jupyter_sessions.cli.rows import show_rows
from jupyter_sessions.model.times import SECOND, parse_duration, parse_time
from jupyter_sessions.model.words import length

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.model.api import Location
    from jupyter_sessions.model.resources import Session

EXAMPLE = "Examples: `jupyter sessions locations`; `jupyter sessions locations -o json | jq '.[].name'`"
COLUMNS = ("name", "shown as", "provider", "engine", "state", "limits", "default")
LIMITS = (("ttl", "maxTtl", "ttl"), ("idleTtl", "maxIdleTtl", "idle ttl"))

LIST = "list"
ListWord = Annotated[str, typer.Argument(metavar="list", help="May be said, as to templates.", show_default=False)]

app = typer.Typer(rich_markup_mode="markdown")


@app.command(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def locations(word: ListWord = "", form: FormOption = output.Format.TABLE, url: UrlOption = "") -> None:
    """List the locations: name, provider, engine, whether it answers, and the limits of its sessions."""
    if word not in ("", LIST):
        raise Misused(f"{word}: all locations are listed; write jupyter sessions locations")
    with connect(url) as client:
        found = list(client.locations.list())
        default = str(client.location)
    if form is output.Format.NAME:
        output.names(str(one.name) for one in found)
    elif form is output.Format.TABLE:
        _show(found, default)
    else:
        output.write([as_json(one) for one in found], form)


def _show(found: Sequence[Location], default: str) -> None:
    rows = []
    for one in found:
        engine, name = str(one.metadata.get("engine", "")), str(one.name)
        cells = [name, one.display_name, _provider(one), engine, state(one), _limits(one)]
        rows.append([*cells, "*" if name == default else ""])
    show_rows(COLUMNS, rows, "no location is configured")


def _provider(location: Location) -> str:
    """Give what serves a location: ``embedded``, or ``upstream`` with what it is."""
    told = location.metadata
    return f"{told.get('provider', '')} ({told['upstream']})" if told.get("upstream") else str(told.get("provider", ""))


def state(location: Location) -> str:
    """Say whether a location answers, since when it does not, and why."""
    told = location.metadata.get("status")
    status: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    fault = location.metadata.get("fault")
    if status.get("reachable", True):
        return f"fault: {fault}" if fault else "ready"
    since = f" since {status['since']}" if status.get("since") else ""
    return f"unreachable{since}: {status.get('message') or status.get('status') or 'no reason known'}"


def unreachable_for(location: Location, now: int) -> str:
    """Give for how long a location has not answered, as ``3 min``; ``""`` where it answers or that is not known."""
    status = location.metadata.get("status")
    if not isinstance(status, Mapping) or status.get("reachable", True):
        return ""
    try:
        return roughly(now - parse_time(str(status.get("since") or "")))
    except ValueError:
        return ""


def say_if_away(client: SessionsClient, session: Session) -> None:
    """Say on stderr where a session's location does not answer: what is shown is then what was last known of it."""
    from jupyter_sessions.model.errors import SessionsError

    try:
        place = client.locations.get(str(session.parsed_name.parent))
    except SessionsError:
        # The session itself is there, and is worth more than how fresh it is.
        return
    if (place.metadata.get("status") or {}).get("reachable", True):
        return
    since = unreachable_for(place, time.time_ns())
    how = f" for {since}" if since else ""
    output.say(f"{place.name} has not answered{how}: this is {session.parsed_name.id} as it was last seen")


def roughly(ns: int) -> str:
    """Give nanoseconds in one unit: ``40 s``, ``3 min``, ``2 h``, ``4 d``."""
    seconds = max(ns, 0) // SECOND
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    size, word = next((one for one in units if seconds >= one[0]), units[-1])
    return f"{seconds // size} {word}"


def _limits(location: Location) -> str:
    told = location.metadata.get("limits")
    limits: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    shown = []
    for key, most, word in LIMITS:
        usual, longest = _length(limits.get(key)), _length(limits.get(most))
        if usual or longest:
            shown.append(f"{word} {usual or '?'}" + (f" (at most {longest})" if longest not in ("", usual) else ""))
    return ", ".join([*shown, *([f"{limits['sessions']} sessions"] if limits.get("sessions") else [])])


def _length(told: object) -> str:
    """Give a limit for people, as it is where it is no duration."""
    text = str(told or "")
    try:
        return length(parse_duration(text))
    except ValueError:
        return text


def as_json(location: Location) -> dict[str, Any]:
    """Give a location as REST answers it."""
    return {
        "name": str(location.name),
        "locationId": location.name.location,
        "displayName": location.display_name,
        "labels": dict(location.labels),
        "metadata": dict(location.metadata),
    }
