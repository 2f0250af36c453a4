"""What a kernel's iopub tells of it: state, last activity, last execution. Read at the spool's entrance."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from jupyter_sessions.host.frames import Parts, read_json

UNTRACKED = frozenset(
    {
        "comm_info_request",
        "comm_info_reply",
        "kernel_info_request",
        "kernel_info_reply",
        "shutdown_request",
        "shutdown_reply",
        "interrupt_request",
        "interrupt_reply",
        "debug_request",
        "debug_reply",
        "stream",
        "display_data",
        "update_display_data",
        "execute_input",
        "execute_result",
        "error",
        "status",
        "clear_output",
        "debug_event",
        "input_request",
        "input_reply",
    }
)
"""Message types that are nobody's doing: they neither count as activity nor decide whether a kernel is busy."""

EXECUTIONS = frozenset({"execute_request", "comm_msg"})
"""Requests that run a user's code; only these keep a session from being idle."""

_STARTING = frozenset({"starting", "restarting", "autorestarting"})


def isoformat(seconds: float) -> str:
    """Write seconds since the epoch as Jupyter's REST does: UTC, microseconds, ``Z``."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Seen:
    """What one message told: the state or the activity changed, and of a status its own state and parent's id.

    ``hidden``: it is the answer to a question of the host's own and no client's business.
    """

    state: bool = False
    activity: bool = False
    status: str = ""
    parent_id: str = ""
    hidden: bool = False


_NOTHING = Seen()
_ACTIVITY = Seen(activity=True)
_HIDDEN = Seen(hidden=True)


class Activity:
    """State of one kernel as its iopub tells it. Written on the drain's thread, read on any."""

    def __init__(self, own_session: str) -> None:
        self.execution_state = "starting"
        self.last_activity = time.time()
        self.last_execution = 0.0
        self._own = own_session
        self._executing = False

    def begin(self, state: str) -> None:
        """Say that a new process of the kernel is on its way: ``starting`` or ``restarting``."""
        self.execution_state = state
        self._executing = False

    def end(self) -> None:
        """Say that the kernel is dead: whatever is still read of it does not change that."""
        self.execution_state = "dead"
        self._executing = False

    def observe(self, parts: Parts) -> Seen:
        """Take in one iopub message (its parts without signature)."""
        header = bytes(parts[0])
        # Most of a flood is neither: two searches are a tenth of the price of reading the JSON.
        if b'"status"' in header and read_json(header).get("msg_type") == "status":
            return self._status(read_json(parts[1]), read_json(parts[3]).get("execution_state"))
        if b'"iopub_welcome"' in header:
            return _HIDDEN
        if self.execution_state == "busy":
            self._touch(self._executing)
            return _ACTIVITY
        kind, parent = read_json(header).get("msg_type"), read_json(parts[1]).get("msg_type")
        # A message without a parent (a thread's late print) has no request to be judged by: its own type decides.
        if kind in UNTRACKED and (parent is None or parent in UNTRACKED):
            return _NOTHING
        self._touch(parent in EXECUTIONS)
        return _ACTIVITY

    def _status(self, parent: dict[str, Any], state: Any) -> Seen:
        if not isinstance(state, str) or self.execution_state == "dead":
            return _NOTHING
        kind = parent.get("msg_type")
        before = self.execution_state
        hidden = parent.get("session") == self._own
        tracked = kind is not None and kind not in UNTRACKED and not hidden
        if tracked:
            self._executing = state == "busy" and kind in EXECUTIONS
            self.execution_state = state
        elif before in _STARTING and state not in _STARTING:
            self.execution_state = "idle"
        active = tracked or before == "busy"
        if active:
            self._touch(kind in EXECUTIONS)
        changed = self.execution_state != before
        return Seen(changed, active, state, str(parent.get("msg_id", "")), hidden)

    def _touch(self, execution: bool) -> None:
        self.last_activity = time.time()
        if execution:
            self.last_execution = self.last_activity
