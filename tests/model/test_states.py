"""The table of states, the history, and times that strictly increase."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_sessions.model import states
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import IllegalTransition, State

NEXT = {
    State.STATE_UNSPECIFIED: {State.CREATING},
    State.CREATING: {State.ACTIVE, State.TERMINATING, State.FAILED},
    State.ACTIVE: {State.TERMINATING, State.FAILED},
    State.TERMINATING: {State.TERMINATED, State.FAILED},
    State.TERMINATED: set(),
    State.FAILED: set(),
}
PATHS = {
    State.CREATING: [],
    State.ACTIVE: [State.ACTIVE],
    State.TERMINATING: [State.ACTIVE, State.TERMINATING],
    State.TERMINATED: [State.ACTIVE, State.TERMINATING, State.TERMINATED],
    State.FAILED: [State.FAILED],
}
NAMED = Session(name="projects/local/locations/local/sessions/abcd")


def reach(state: State) -> Session:
    """Give a session that went the usual way to a state."""
    session = states.begin(NAMED, 1_000)
    for step in PATHS[state]:
        session = states.advance(session, step, "why", 0)
    return session


@pytest.mark.parametrize("old", State)
def test_the_table(old: State) -> None:
    assert states.allowed(old) == NEXT[old]
    assert old.final == (old in (State.TERMINATED, State.FAILED))


@pytest.mark.parametrize(("old", "new"), list(itertools.product(PATHS, State)))
def test_every_pair_of_states(old: State, new: State) -> None:
    session = reach(old)
    if new in NEXT[old]:
        moved = states.advance(session, new, "because", 5_000)
        assert (moved.state, moved.state_message, moved.state_time) == (new, "because", 5_000)
        assert moved.state_history[:-1] == session.state_history
        assert moved.state_history[-1] == session.as_history()
    else:
        with pytest.raises(IllegalTransition, match=f"{new.name} cannot follow {old.name}"):
            states.advance(session, new, "because", 5_000)


def test_a_session_begins_once() -> None:
    session = states.begin(NAMED, 7, "starting")
    assert (session.state, session.state_message) == (State.CREATING, "starting")
    assert (session.create_time, session.state_time, session.state_history) == (7, 7, [])
    with pytest.raises(IllegalTransition):
        states.begin(session, 8)
    with pytest.raises(IllegalTransition):
        states.advance(NAMED, State.CREATING, "", 8)
    with pytest.raises(ValueError, match="after the epoch"):
        states.begin(NAMED, 0)


def test_the_message_says_what_may_follow() -> None:
    with pytest.raises(IllegalTransition, match="sessions/abcd: ACTIVE cannot follow TERMINATED, only nothing can"):
        states.advance(reach(State.TERMINATED), State.ACTIVE, "", 1)
    with pytest.raises(IllegalTransition, match="only TERMINATING, FAILED can"):
        states.advance(reach(State.ACTIVE), State.CREATING, "", 1)


def test_a_failure_has_its_reason() -> None:
    with pytest.raises(ValueError, match="FAILED needs a message"):
        states.advance(reach(State.ACTIVE), State.FAILED, "", 9_000)


def test_history_holds_the_states_left_with_their_last_message() -> None:
    session = states.remark(states.begin(NAMED, 1_000, "step 1"), "step 2")
    assert (session.state, session.state_time, session.state_history) == (State.CREATING, 1_000, [])
    session = states.advance(session, State.ACTIVE, "", 2_000)
    session = states.advance(session, State.TERMINATING, "idle", 3_000)
    session = states.advance(session, State.TERMINATED, "idle for 600 s", 4_000)
    assert [(past.state, past.state_message, past.state_start_time) for past in session.state_history] == [
        (State.CREATING, "step 2", 1_000), (State.ACTIVE, "", 2_000), (State.TERMINATING, "idle", 3_000),
    ]  # fmt: skip
    assert session.state_history[0].state_start_time == session.create_time


@pytest.mark.parametrize("state", [State.TERMINATED, State.FAILED])
def test_the_last_word_stands(state: State) -> None:
    with pytest.raises(IllegalTransition):
        states.remark(reach(state), "afterthought")


def test_what_has_not_begun_has_no_message() -> None:
    with pytest.raises(IllegalTransition):
        states.remark(NAMED, "early")


def test_nothing_is_changed_in_place() -> None:
    before = reach(State.ACTIVE)
    copy = before.model_copy(deep=True)
    states.advance(before, State.TERMINATING, "m", 9_000)
    states.remark(before, "m")
    assert before == copy


@given(st.data())
def test_times_strictly_increase_whatever_the_clock_does(data: st.DataObject) -> None:
    clock = st.integers(-(10**18), 2 * 10**18)
    session = states.begin(NAMED, data.draw(st.integers(1, 2 * 10**18)))
    while session.state is not State.STATE_UNSPECIFIED and states.allowed(session.state):
        if data.draw(st.booleans()):
            session = states.remark(session, data.draw(st.text(max_size=3)))
        session = states.advance(
            session, data.draw(st.sampled_from(sorted(states.allowed(session.state)))), "m", data.draw(clock)
        )
        times = [past.state_start_time for past in session.state_history] + [session.state_time]
        assert times[0] == session.create_time
        assert all(earlier < later for earlier, later in itertools.pairwise(times))
        walked = [past.state for past in session.state_history] + [session.state]
        assert all(new in NEXT[old] for old, new in itertools.pairwise([State.STATE_UNSPECIFIED, *walked]))


def test_a_clock_that_stands_still_gives_one_nanosecond_more() -> None:
    session = states.begin(NAMED, 1_000)
    assert states.advance(session, State.ACTIVE, "", 1_000).state_time == 1_001
    assert states.advance(session, State.ACTIVE, "", 3).state_time == 1_001
    assert states.advance(session, State.ACTIVE, "", 1_001).state_time == 1_001
