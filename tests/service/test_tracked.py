"""What a server remembers of a session between two looks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State, advance, begin
from jupyter_sessions.service.directories import Directories
from jupyter_sessions.service.rows import SessionRow
from jupyter_sessions.service.tracked import track
from tests.service.servers import HERE

CREATING = begin(Session(name=f"{LOCAL}/sessions/some-one", uuid="u"), 1)


def test_an_older_snapshot_is_not_gone_back_to(tmp_path: Path) -> None:
    first = SessionRow(CREATING, HERE, tmp_path)
    tracked = track(first, "store", Directories(tmp_path), HERE, 10.0)
    ending = replace(first, session=advance(CREATING, State.TERMINATING, "ended", 2), version=2)
    tracked.take(ending, 20.0)
    tracked.take(first, 30.0)
    assert tracked.row is ending and tracked.job.session is ending.session and tracked.since == 20.0


def test_what_waits_for_long_is_looked_at_less_often(tmp_path: Path) -> None:
    tracked = track(SessionRow(CREATING, HERE, tmp_path), "store", Directories(tmp_path), HERE, 10.0)
    tracked.rest(20.0)
    assert tracked.due == 20.05
    tracked.rest(200.5)
    assert tracked.due == 201.0
