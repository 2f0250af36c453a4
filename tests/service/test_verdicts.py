"""The table of what is done, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_sessions.engines.base import Alive, CannotTell, Gone, Observation
from jupyter_sessions.model.hostfile import End, Heartbeat
from jupyter_sessions.model.states import State
from jupyter_sessions.service import words
from jupyter_sessions.service.machine import Place
from jupyter_sessions.service.verdicts import (
    Activate,
    Doom,
    Facts,
    Finish,
    Push,
    Remark,
    Remove,
    Start,
    Step,
    Stop,
    Verdict,
    Wait,
    judge,
)

CREATING = Facts(State.CREATING, "waiting", 1, Place.HERE)
ACTIVE = Facts(State.ACTIVE, words.READY, 1, Place.HERE)
TERMINATING = Facts(State.TERMINATING, "Terminated by alice", 1, Place.HERE)
FAILED = Facts(State.FAILED, "reason", 1, Place.HERE)
SERVING = Alive(1, address="unix:/x", token="t", uid=1)
LOADING = Alive(1, "loading")
ASKED = End(1, "asked", "Terminated by alice", 10.0, 11.0, 0)
IDLE = End(1, "idleTtl", "idle", 10.0, 11.0, 0)
KILLED = End(1, "died", "The host was ended by signal 9", 10.0, 10.0, -9)
CRASHED = End(1, "died", "The host ended with exit status 1", 10.0, 10.0, 1)
KILLED_EARLY = End(1, "start", "Before it was ready, the host was ended by signal 9", 10.0, 10.0, -9)
CANNOT_BEGIN = End(1, "start", "the host could not begin: no space", 10.0, 10.0)
BLIND = CannotTell("a scheduler timed out")


def fails(verdict: Verdict, text: str) -> bool:
    """Whether a verdict fails a session with these words."""
    return isinstance(verdict, Finish) and verdict.steps[-1].state is State.FAILED and text in verdict.steps[-1].message


@pytest.mark.parametrize(
    ("facts", "seen", "wanted"),
    [
        (replace(CREATING, incarnation=0), Gone(0), Start(1)),
        (CREATING, Gone(0), Start(2)),
        (CREATING, Gone(1, KILLED), Start(2)),
        (CREATING, Gone(1, KILLED_EARLY), Start(2)),
        (replace(CREATING, incarnation=2), Gone(1, KILLED), Start(3)),
        (CREATING, Gone(1, marked=1), Wait()),
        (CREATING, LOADING, Remark("loading")),
        (replace(CREATING, message="loading"), LOADING, Wait()),
        (CREATING, SERVING, Activate(SERVING)),
        (CREATING, BLIND, Wait()),
        (replace(CREATING, waited=99), BLIND, Wait()),
        (replace(CREATING, waited=99), LOADING, Doom(words.late(45, "loading"))),
        (replace(CREATING, failing="late"), LOADING, Stop("late")),
        (replace(CREATING, failing="late"), BLIND, Stop("late")),
        (ACTIVE, SERVING, Wait()),
        (ACTIVE, BLIND, Wait()),
        (replace(ACTIVE, limits_pending=True), SERVING, Push()),
        (
            ACTIVE,
            replace(SERVING, heartbeat=Heartbeat(1, 1.0, warning="ends in 10 min: idle")),
            Remark("ends in 10 min: idle"),
        ),
        (replace(ACTIVE, message="ends"), replace(SERVING, heartbeat=Heartbeat(1, 1.0)), Remark(words.READY)),
        (ACTIVE, Gone(1, KILLED, marked=2), Stop("the session's host is gone", 10.0)),
        (ACTIVE, Gone(1, IDLE), Finish((Step(State.TERMINATING, "idle", 10.0), Step(State.TERMINATED, "idle", 11.0)))),
        (TERMINATING, SERVING, Stop("Terminated by alice")),
        (TERMINATING, BLIND, Stop("Terminated by alice")),
        (replace(TERMINATING, ending=99), BLIND, Stop("Terminated by alice")),
        (TERMINATING, Gone(1, marked=1), Stop("Terminated by alice")),
        (TERMINATING, Gone(1, KILLED), Finish((Step(State.TERMINATED, "Terminated by alice", 10.0),))),
        (TERMINATING, Gone(1), Finish((Step(State.TERMINATED, "Terminated by alice"),))),
        (FAILED, Gone(1), Wait()),
        (replace(FAILED, deleting=True), Gone(1), Remove()),
        (replace(FAILED, deleting=True), Gone(1, marked=1), Stop("reason")),
        (replace(FAILED, deleting=True), BLIND, Wait()),
        (replace(FAILED, deleting=True, place=Place.ELSEWHERE), BLIND, Remove()),
    ],
)
def test_what_is_done(facts: Facts, seen: Observation, wanted: Verdict) -> None:
    assert judge(facts, seen) == wanted


@pytest.mark.parametrize(
    ("facts", "seen", "text"),
    [
        (CREATING, Gone(1, CRASHED), "exit status 1"),
        (CREATING, Gone(1, CANNOT_BEGIN), "could not begin: no space."),
        (CREATING, Gone(1, replace(CANNOT_BEGIN, exit_status=1)), "could not begin: no space."),
        (replace(CREATING, incarnation=5), Gone(5, replace(KILLED_EARLY, incarnation=5)), "ended by signal 9"),
        (replace(CREATING, waited=99), Gone(0), "not ready within 45 s"),
        (replace(CREATING, incarnation=5), Gone(5), "5 times"),
        (replace(CREATING, failing="late"), Gone(1), "late"),
        (ACTIVE, Gone(1), "without a word"),
        (ACTIVE, Gone(1, replace(KILLED, incarnation=0)), "without a word"),
        (ACTIVE, Gone(1, End(1, "memory", "over its limit of 1 GiB", 1.0, 2.0)), "over its limit"),
        (replace(ACTIVE, place=Place.REBOOTED), SERVING, "machine restarted"),
        (replace(ACTIVE, place=Place.REBOOTED), BLIND, "machine restarted"),
        (replace(CREATING, place=Place.REBOOTED), Gone(0), "machine restarted"),
        (replace(ACTIVE, place=Place.SIBLING), Gone(1), "container"),
        (replace(TERMINATING, ending=99), Gone(1, marked=3), "3 of its processes"),
        (replace(TERMINATING, ending=99), SERVING, "SIGKILL did not end its host"),
        (replace(ACTIVE, ending=99), Gone(1, KILLED, marked=2), "2 of its processes"),
        (replace(CREATING, failing="It was late.", ending=99), LOADING, "It was late. The session could not be ended"),
    ],
)
def test_what_fails_and_why(facts: Facts, seen: Observation, text: str) -> None:
    assert fails(judge(facts, seen), text)


@pytest.mark.parametrize("facts", [CREATING, ACTIVE, TERMINATING, FAILED, replace(CREATING, waited=1e6)])
@pytest.mark.parametrize("seen", [SERVING, LOADING, BLIND, Gone(0), Gone(1, KILLED), Gone(1, marked=2), Gone(1, ASKED)])
def test_another_machines_session_is_never_touched(facts: Facts, seen: Observation) -> None:
    assert judge(replace(facts, place=Place.ELSEWHERE), seen) == Wait()


def test_words() -> None:
    assert words.died(KILLED, None) == "The host was ended by signal 9."
    assert words.died(None, Heartbeat(1, 1.0, memory=3 << 20)).endswith("of memory). It last used 3 MiB of memory.")
    assert words.on_machine("", "laptop") == "On machine laptop"
    assert words.with_log("It failed.", "") == "It failed."
    assert words.with_log("It failed.", "a\n\nb\n") == "It failed. The log's last lines:\na\nb"
    assert words.asked_by("", "Terminated") == "Terminated"
