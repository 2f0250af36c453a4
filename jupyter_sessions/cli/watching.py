"""``jupyter sessions list --watch``: a table that follows on a terminal, else a line for each change."""

from __future__ import annotations

import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from jupyter_sessions.cli import output
from jupyter_sessions.cli.listing import Wanted, nothing
from jupyter_sessions.model.api import Change, Reset
from jupyter_sessions.model.states import State
from jupyter_sessions.model.words import plain, short

if TYPE_CHECKING:
    from rich.console import RenderableType

    from jupyter_sessions.client.watching import Watch
    from jupyter_sessions.model.resources import Session

TICK_S = 1.0
"""How often the lengths on a terminal are written anew, in seconds."""
KERNELS_S = 10.0
"""How often the sessions and their kernels are asked for where nothing was told, in seconds."""


def watch(wanted: Wanted, form: output.Format) -> None:
    """Follow the sessions until Ctrl-C; raises ServerGone when the server stays away."""
    with wanted.client.watch(wanted.location) as changes:
        if form is output.Format.TABLE and sys.stdout.isatty():
            _Screen(wanted, changes).run()
        else:
            _write_changes(wanted, changes, form)


def _write_changes(wanted: Wanted, changes: Watch, form: output.Format) -> None:
    known = {one.name for one in wanted.read()} if wanted.filter else set()
    where = "all locations" if wanted.everywhere else str(wanted.client.location)
    output.say(f"watching {where}; Ctrl-C ends it")
    for change in changes:
        if isinstance(change, Reset):
            output.say("the stream broke off; changes may be missing here")
            continue
        if wanted.filter:
            before, known = known, {one.name for one in wanted.read()}
            if change.session not in before | known:
                continue
        _write_change(change, form)
        sys.stdout.flush()


def _write_change(change: Change, form: output.Format) -> None:
    told = as_json(change)
    if form is output.Format.NAME:
        output.names([change.session])
    elif form is output.Format.JSON:
        print(output.as_json(told))
    elif form is output.Format.YAML:
        print("---")
        output.write(told, form)
    else:
        print(plain(" ".join(_words(change).split())))


def _words(change: Change) -> str:
    from jupyter_sessions.model.times import format_time

    old, new = change.old_state.name, change.new_state.name
    if change.new_state is State.STATE_UNSPECIFIED:
        became = "deleted"
    elif change.old_state is State.STATE_UNSPECIFIED:
        became = new
    else:
        became = new if old == new else f"{old} → {new}"
    return f"{format_time(change.time)} {short(change.session)} {became} {change.state_message}"


def as_json(change: Change) -> dict[str, Any]:
    """Give a change as the stream tells it, with its location."""
    from jupyter_sessions.model.times import format_time

    return {
        "location": str(change.location),
        "sequence": str(change.sequence),
        "session": change.session,
        "sessionUuid": change.session_uuid,
        "oldState": change.old_state.name,
        "newState": change.new_state.name,
        "stateMessage": change.state_message,
        "time": format_time(change.time),
    }


class _Screen:
    """The table on a terminal: read again at each change, its lengths running on in between."""

    def __init__(self, wanted: Wanted, changes: Watch) -> None:
        self._wanted = wanted
        self._changes = changes
        self._told: queue.Queue[BaseException | None] = queue.Queue()
        self._found: list[Session] = []
        self._kernels: dict[str, list[Any]] = {}

    def run(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._read()
        threading.Thread(target=self._listen, daemon=True).start()
        with Live(self._table(), console=Console(), auto_refresh=False, vertical_overflow="crop") as live:
            asked = time.monotonic()
            while True:
                if self._news() or time.monotonic() - asked > KERNELS_S:
                    self._read()
                    asked = time.monotonic()
                live.update(self._table(), refresh=True)

    def _listen(self) -> None:
        try:
            for _ in self._changes:
                self._told.put(None)
        except Exception as error:
            # Whoever draws raises it.
            self._told.put(error)

    def _news(self) -> bool:
        """Wait for a change, a tick at the most; says whether there was one, however many came at once."""
        try:
            told = [self._told.get(timeout=TICK_S)]
        except queue.Empty:
            return False
        while not self._told.empty():
            told.append(self._told.get())
        for error in told:
            if error is not None:
                raise error
        return True

    def _read(self) -> None:
        from jupyter_sessions.cli.ends import kernels_by_session
        from jupyter_sessions.model.errors import Unavailable

        try:
            self._found = self._wanted.read()
            self._kernels = kernels_by_session(self._wanted.client)
        except Unavailable:
            # The stream tells when the server is back, or raises when it stays away.
            return

    def _table(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        from jupyter_sessions.cli.tables import fill

        now = time.time_ns()
        rows: list[RenderableType] = [Text(nothing(self._wanted))]
        if self._found:
            made, lacking = fill(self._found, self._kernels, self._wanted.everywhere, now, self._wanted.away)
            rows = [made, *([output.cell(lacking, "dim")] if lacking else [])]
        rows += [output.cell(f"{place} does not answer", "yellow") for place in self._wanted.unreachable]
        return Group(*rows, Text("Ctrl-C ends this", "dim"))
