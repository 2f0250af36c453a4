"""What is kept of an upstream: compared before it is written, never overwritten by what was seen earlier."""

from __future__ import annotations

import contextlib
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from jupyter_sessions.model.names import LocationName
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import format_time
from jupyter_sessions.storage import changes
from jupyter_sessions.upstream.journal import FILE, Journal
from jupyter_sessions.upstream.known import Known, steps
from tests.upstream.proxies import FAR

SECOND = 10**9
NOW = time.time_ns() - 1000 * SECOND
"""When it all began, in nanoseconds: what is older than a week is not kept."""
NAME = f"{FAR}/sessions/mine"


def at(state: str, second: int, *history: tuple[str, int], uuid: str = "u-1", **fields: Any) -> Known:
    """Make a session that is in a state since a second, after others."""
    rows = [{"state": old, "stateStartTime": format_time(NOW + when * SECOND)} for old, when in history]
    first = history[0][1] if history else second
    times = {"stateTime": format_time(NOW + second * SECOND), "createTime": format_time(NOW + first * SECOND)}
    return Known({"name": NAME, "uuid": uuid, "state": state, "stateHistory": rows, **times, **fields})


CREATING = at("CREATING", 1)
ACTIVE = at("ACTIVE", 2, ("CREATING", 1))
ENDED = at("TERMINATED", 4, ("CREATING", 1), ("ACTIVE", 2), ("TERMINATING", 3))


@contextlib.asynccontextmanager
async def journal(folder: Path, location: LocationName = FAR) -> AsyncIterator[Journal]:
    """Open the journal of a directory."""
    made = Journal(folder, location)
    await made.database.open()
    try:
        yield made
    finally:
        await made.database.close()


async def told(made: Journal) -> list[tuple[State, State]]:
    """Give the old and new state of every change that was logged."""
    rows = await made.database.read(lambda c: changes.read(c, 0, FAR))
    return [(row.old_state, row.new_state) for row in rows]


async def test_the_first_list_tells_nothing_and_the_next_what_differs(tmp_path: Path) -> None:
    async with journal(tmp_path) as made:
        assert (await made.whole([CREATING], NOW + 10)).first and await told(made) == []
        written = await made.whole([ACTIVE], NOW + 20)
        assert not written.first and written.rows == {NAME: ACTIVE}
        assert await told(made) == [(State.CREATING, State.ACTIVE)]
        assert (await made.whole([ACTIVE], NOW + 30)).rows == {}
        assert (await made.whole([], NOW + 40)).rows == {NAME: None}
        assert (await told(made))[-1] == (State.ACTIVE, State.STATE_UNSPECIFIED)
        assert await made.rows() == {}
        assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


async def test_a_clock_that_was_set_back_keeps_nothing_as_it_was(tmp_path: Path) -> None:
    async with journal(tmp_path) as made:
        ahead = time.time_ns() + 3600 * SECOND
        await made.whole([ACTIVE], ahead)
        await made.some({NAME: None}, time.time_ns())
        assert await made.rows() == {}
        await made.whole([ENDED], ahead)
        await made.whole([], ahead)
        assert (await made.whole([ACTIVE], time.time_ns())).rows == {NAME: ACTIVE}
        assert await made.rows() == {NAME: ACTIVE}


async def test_what_was_seen_earlier_comes_too_late(tmp_path: Path) -> None:
    async with journal(tmp_path) as made, journal(tmp_path) as other:
        await made.whole([ACTIVE], NOW + 10)
        await made.some({NAME: ENDED}, NOW + 30)
        for found in ([ACTIVE], []):
            assert (await other.whole(found, NOW + 20)).rows == {NAME: ENDED}, "what stands is given instead"
        await made.some({NAME: None}, NOW + 40)
        assert (await other.whole([ENDED], NOW + 35)).rows == {NAME: None}, (
            "a list from before its deletion brings none back"
        )
        assert await told(made) == [
            (State.ACTIVE, State.TERMINATING),
            (State.TERMINATING, State.TERMINATED),
            (State.TERMINATED, State.STATE_UNSPECIFIED),
        ]


async def test_a_list_that_lags_takes_no_state_back(tmp_path: Path) -> None:
    async with journal(tmp_path) as made:
        await made.whole([CREATING], NOW + 10)
        await made.some({NAME: ACTIVE}, NOW + 20)
        assert (await made.whole([CREATING], NOW + 30)).rows == {NAME: ACTIVE}
        assert (await made.rows())[NAME].session.state is State.ACTIVE


async def test_locations_share_the_file_and_nothing_else(tmp_path: Path) -> None:
    elsewhere = LocationName("acme", "europe-west1")
    async with journal(tmp_path) as made, journal(tmp_path, elsewhere) as other:
        await made.whole([ACTIVE], NOW + 10)
        assert not await other.listed() and await other.rows() == {}
        assert (await other.whole([], NOW + 20)).first
        assert await made.rows() == {NAME: ACTIVE}
        await other.follow(7)
        assert (await made.sequence(), await other.sequence()) == (0, 7)


async def test_samples_of_usage_are_no_change(tmp_path: Path) -> None:
    used = at("ACTIVE", 2, ("CREATING", 1), runtimeInfo={"currentUsage": {"milliDcu": "7"}})
    more = at("ACTIVE", 2, ("CREATING", 1), runtimeInfo={"currentUsage": {"milliDcu": "9"}})
    async with journal(tmp_path) as made:
        await made.whole([used], NOW + 10)
        assert (await made.whole([more], NOW + 20)).rows == {} and await told(made) == []


def test_the_steps_are_those_of_the_upstreams_history() -> None:
    now = NOW + 100 * SECOND
    unknown = State.STATE_UNSPECIFIED
    assert [step[:2] for step in steps(None, ENDED, now)] == [
        (unknown, State.CREATING),
        (State.CREATING, State.ACTIVE),
        (State.ACTIVE, State.TERMINATING),
        (State.TERMINATING, State.TERMINATED),
    ]
    assert [(step[3] - NOW) // SECOND for step in steps(ACTIVE, ENDED, now)] == [3, 4]
    assert steps(ACTIVE, ACTIVE, now) == []
    noted = at("ACTIVE", 2, ("CREATING", 1), stateMessage="ends in 10 min")
    assert steps(ACTIVE, noted, now) == [(State.ACTIVE, State.ACTIVE, "ends in 10 min", now)]
    without = Known({"name": NAME, "uuid": "u-1", "state": "FAILED", "stateTime": format_time(NOW + 9 * SECOND)})
    assert [step[:2] for step in steps(ACTIVE, without, now)] == [(State.ACTIVE, State.FAILED)], "none is made up"
    assert steps(ACTIVE, None, now) == [(State.ACTIVE, unknown, "", now)]
    another = [(step[0], step[1]) for step in steps(ACTIVE, at("CREATING", 50, uuid="u-2"), now)]
    assert another == [(State.ACTIVE, unknown), (unknown, State.CREATING)]
