"""What is to be done about one session, from what its row says and what the engine sees. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass

from jupyter_sessions.engines.base import Alive, CannotTell, Gone, Observation
from jupyter_sessions.model.hostfile import End
from jupyter_sessions.model.states import State
from jupyter_sessions.service import words
from jupyter_sessions.service.machine import Place

READY_S = 45.0
STUCK_S = 60.0
TERM_S = 10.0
"""Seconds after which an engine's ``stop`` goes from asking to TERM: where no host is left to be asked."""
TRIES = 5


@dataclass(frozen=True)
class Facts:
    """One row as a verdict needs it.

    ``waited`` is how long this server saw it in its state, ``ending`` how long this server has been ending it (0: it
    has not begun), both in seconds of the steady clock: a server that starts anew gives a session its whole time.
    ``incarnation`` counts the hosts that were started, whatever server did it: no restart of servers makes more.
    """

    state: State
    message: str
    incarnation: int
    place: Place
    waited: float = 0.0
    ending: float = 0.0
    deleting: bool = False
    limits_pending: bool = False
    failing: str = ""


@dataclass(frozen=True)
class Wait:
    """Nothing to do."""


@dataclass(frozen=True)
class Start:
    """Write down and start this incarnation."""

    incarnation: int


@dataclass(frozen=True)
class Remark:
    """The message within the state changed."""

    message: str


@dataclass(frozen=True)
class Activate:
    """The host serves: the session is ACTIVE."""

    alive: Alive


@dataclass(frozen=True)
class Push:
    """Hand the row's limits to the host."""


@dataclass(frozen=True)
class Doom:
    """Write down that a CREATING session shall fail with ``message`` once nothing of it is left."""

    message: str


@dataclass(frozen=True)
class Stop:
    """Do the next step of an end; ``skip`` is added to the seconds since the first such step."""

    reason: str
    skip: float = 0.0


@dataclass(frozen=True)
class Step:
    """One transition; ``time`` is seconds since the epoch, 0 for now."""

    state: State
    message: str
    time: float = 0.0


@dataclass(frozen=True)
class Finish:
    """Write these transitions in one transaction; ``with_log`` adds the log's last lines to the last message."""

    steps: tuple[Step, ...]
    with_log: bool = False


@dataclass(frozen=True)
class Remove:
    """Remove directories and row."""


Verdict = Wait | Start | Remark | Activate | Push | Doom | Stop | Finish | Remove


def judge(facts: Facts, seen: Observation) -> Verdict:
    """Say what to do now. CannotTell and another machine's session change nothing."""
    if facts.place is Place.ELSEWHERE:
        # What has ended there runs nowhere: its row may go when a user asks.
        return Remove() if facts.state.final and facts.deleting else Wait()
    if facts.place is Place.REBOOTED and not (isinstance(seen, Gone) and seen.end is not None):
        # Nothing survives a restart, whatever a stale lock on a network file system may say.
        seen = Gone(facts.incarnation)
    if facts.state is State.CREATING:
        return _creating(facts, seen)
    if facts.state is State.ACTIVE:
        return _active(facts, seen)
    if facts.state is State.TERMINATING:
        return _terminating(facts, seen)
    return _removing(facts, seen) if facts.deleting else Wait()


def _clean(seen: Observation) -> bool:
    return isinstance(seen, Gone) and seen.marked == 0


def _creating(facts: Facts, seen: Observation) -> Verdict:
    if facts.failing:
        return _failed(facts.failing, with_log=True) if _clean(seen) else _ending(facts, seen, facts.failing)
    if isinstance(seen, CannotTell):
        return Wait()
    if isinstance(seen, Alive):
        return _starting(facts, seen)
    return _not_started(facts, seen)


def _starting(facts: Facts, seen: Alive) -> Verdict:
    if seen.address:
        return Activate(seen)
    if facts.waited > READY_S:
        return Doom(words.late(READY_S, seen.step or facts.message))
    return Remark(seen.step) if seen.step and seen.step != facts.message else Wait()


def _not_started(facts: Facts, seen: Gone) -> Verdict:
    end = _own_end(facts, seen)
    if facts.place is not Place.HERE:
        return _over(facts, seen)
    if seen.marked:
        return Doom(words.late(READY_S, facts.message)) if facts.waited > READY_S or end else Wait()
    if end is not None and not _worth_a_retry(end):
        return _over(facts, seen)
    if facts.waited > READY_S:
        return _failed(words.late(READY_S, facts.message), with_log=True)
    tried = facts.incarnation
    return Start(tried + 1) if tried < TRIES else _failed(words.worn_out(tried, end), with_log=True)


def _worth_a_retry(end: End) -> bool:
    # A signal or nothing known: killed from outside. An exit status or what a host says itself would come again.
    if end.exit_status is None:
        return end.cause == "died"
    return end.exit_status < 0 and end.cause in ("died", "start")


def _active(facts: Facts, seen: Observation) -> Verdict:
    if isinstance(seen, CannotTell):
        return Wait()
    if isinstance(seen, Gone):
        return _ending(facts, seen, "the session's host is gone", TERM_S) if seen.marked else _over(facts, seen)
    if facts.limits_pending:
        return Push()
    message = (seen.heartbeat.warning if seen.heartbeat else facts.message) or words.READY
    return Remark(message) if message != facts.message else Wait()


def _terminating(facts: Facts, seen: Observation) -> Verdict:
    if isinstance(seen, Gone) and seen.marked == 0:
        end = _own_end(facts, seen)
        return Finish((Step(State.TERMINATED, facts.message, end.ended_at if end else 0.0),))
    return _ending(facts, seen, facts.message)


def _ending(facts: Facts, seen: Observation, reason: str, skip: float = 0.0) -> Verdict:
    """Say the next step of an end, or what survived every signal."""
    if facts.ending > STUCK_S and not isinstance(seen, CannotTell):
        stuck = words.stuck(seen.marked if isinstance(seen, Gone) else 0)
        return _failed(f"{facts.failing} {stuck}".strip())
    # A host that cannot tell (a stopped process, a stale heartbeat) is ended all the same: it is wanted.
    return Stop(reason, skip)


def _removing(facts: Facts, seen: Observation) -> Verdict:
    if isinstance(seen, CannotTell):
        return Wait()
    return Remove() if _clean(seen) else Stop(facts.message)


def _own_end(facts: Facts, seen: Gone) -> End | None:
    """The end of the incarnation the row speaks of; an earlier one's says nothing about it."""
    return seen.end if seen.end is not None and seen.end.incarnation >= facts.incarnation else None


def _over(facts: Facts, seen: Gone) -> Verdict:
    """Nothing of the session lives: say how it went."""
    end = _own_end(facts, seen)
    if end is not None and end.cause in ("asked", "ttl", "idleTtl"):
        terminating = Step(State.TERMINATING, end.message, end.terminating_at)
        return Finish((terminating, Step(State.TERMINATED, end.message, end.ended_at)))
    if end is None and facts.place is Place.REBOOTED:
        return _failed(words.REBOOTED)
    if end is None and facts.place is Place.SIBLING:
        return _failed(words.CONTAINER)
    return _failed(words.died(end, seen.heartbeat), with_log=end is None or end.cause != "memory")


def _failed(message: str, with_log: bool = False) -> Finish:
    return Finish((Step(State.FAILED, message),), with_log)
