"""Moments, ends and the line that a session's states are drawn on, without a server."""

from __future__ import annotations

import time

import pytest

from jupyter_sessions.cli.ends import ends_of
from jupyter_sessions.cli.tables import fill
from jupyter_sessions.cli.timeline import drawn, spans_of, widths
from jupyter_sessions.cli.words import moment
from jupyter_sessions.model.resources import EnvironmentConfig, ExecutionConfig, Session
from jupyter_sessions.model.states import State, advance, begin
from jupyter_sessions.model.times import SECOND, format_time

START = 1_700_000_000 * SECOND
HOUR = 3600 * SECOND


def test_moments_are_short_near_now() -> None:
    noon = int(time.mktime((2026, 11, 24, 12, 0, 0, 0, 0, -1))) * SECOND
    assert moment(noon + HOUR, noon) == "13:00"
    assert moment(noon + 48 * HOUR, noon) == time.strftime("%a 12:00", time.localtime((noon + 48 * HOUR) // SECOND))
    assert moment(noon + 24 * 30 * HOUR, noon) == "24 Dec 2026"


def active(ttl: int = 0, idle_ttl: int = 0) -> Session:
    """Give a session that was CREATING for 4 s and is ACTIVE since."""
    limits = EnvironmentConfig(execution_config=ExecutionConfig(ttl=ttl, idle_ttl=idle_ttl))
    made = begin(Session(name="a", environment_config=limits), START, "starting")
    return advance(made, State.ACTIVE, "", START + 4 * SECOND)


def test_the_spans_run_on_but_for_a_final_state() -> None:
    now = START + 2 * HOUR
    creating, current = spans_of(active(), now)
    assert (creating.state, creating.length, creating.message) == (State.CREATING, 4 * SECOND, "starting")
    assert current.current and current.length == now - START - 4 * SECOND
    ended = advance(advance(active(), State.TERMINATING, "", START + HOUR), State.TERMINATED, "", START + HOUR + SECOND)
    assert [span.length for span in spans_of(ended, now)][-2:] == [SECOND, 0]


def test_the_line_is_to_scale_with_a_floor() -> None:
    assert widths([1, 1000], [10, 10], 100) == [10, 90]
    assert widths([300, 700], [10, 10], 100) == [30, 70]
    assert sum(widths([1, 5, 100, 3], [10, 12, 9, 11], 80)) == 80
    assert widths([0, 0], [10, 10], 80) == [10, 10]
    assert widths([5, 5], [50, 50], 80) == [50, 50]


def test_the_drawing() -> None:
    names, line, below = drawn(spans_of(active(), START + 2 * HOUR), 60).plain.split("\n")
    assert names.split() == ["CREATING", "ACTIVE"] and below.split("  ")[0] == "4.0 s"
    assert len(line) == 60 and line.endswith("━▶") and line.index("╋") == names.index("ACTIVE") - 1
    failed = advance(active(), State.FAILED, "no luck", START + HOUR)
    assert drawn(spans_of(failed, START + 2 * HOUR), 60).plain.split("\n")[1].endswith("╋✕")


def test_ends() -> None:
    now = START + HOUR
    assert ends_of(active()).sentence(now) == "no limit will end it" and ends_of(active()).word(now) == ""
    session = active(ttl=24 * HOUR, idle_ttl=2 * HOUR)
    begun = START + 4 * SECOND
    idle = {"execution_state": "idle", "last_activity": format_time(begun + HOUR)}
    assert (ends_of(session).idle, ends_of(session).latest) == (begun + 2 * HOUR, begun + 24 * HOUR)
    assert ends_of(session, [idle]).idle == begun + 3 * HOUR
    assert "if idle until then" in ends_of(session, [idle]).sentence(now) and "(idle)" in ends_of(session).word(now)
    busy = ends_of(session, [idle, {"execution_state": "busy", "last_activity": "when?"}])
    assert busy.idle == 0 and busy.word(now).endswith("(age)")
    assert ends_of(advance(session, State.TERMINATING, "", now)).latest == 0


def test_a_narrow_table_leaves_out_columns_rather_than_cut_all(monkeypatch: pytest.MonkeyPatch) -> None:
    labelled = active(ttl=HOUR).model_copy(update={"labels": {"team": "fx"}})
    failed = advance(active(), State.FAILED, "its host died, perhaps of too little memory", START + HOUR)
    heads: dict[int, list[object]] = {}
    lacking: dict[int, str] = {}
    for columns in (200, 70, 40, 20):
        monkeypatch.setenv("COLUMNS", str(columns))
        made, lacking[columns] = fill([labelled, failed], {}, False, START + 2 * HOUR)
        heads[columns] = [column.header for column in made.columns]
    assert heads[200] == ["name", "state", "for", "kernel", "ends", "labels", "message"]
    assert heads[70] == ["name", "state", "for", "ends", "message"]
    assert lacking[200] == "" and lacking[70].startswith("no room for kernel, labels: ")
    assert heads[40][:3] == heads[20] == ["name", "state", "for"]
