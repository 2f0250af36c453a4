"""What a kernel's messages tell of it."""

from __future__ import annotations

import json

import pytest

from jupyter_sessions.host.activity import Activity, isoformat


def message(kind: str, parent: str | None = None, session: str = "client", **content: str) -> list[bytes]:
    above = {} if parent is None else {"msg_id": "request", "msg_type": parent, "session": session}
    return [json.dumps(field).encode() for field in ({"msg_id": "m", "msg_type": kind}, above, {}, content)]


def status(state: str, parent: str | None = "execute_request", session: str = "client") -> list[bytes]:
    return message("status", parent, session, execution_state=state)


def test_an_execution_makes_busy_then_idle() -> None:
    activity = Activity("own")
    seen = activity.observe(status("busy"))
    assert (activity.execution_state, seen.state, seen.activity) == ("busy", True, True)
    executed = activity.last_execution
    assert executed > 0
    assert activity.observe(message("stream", "execute_request")).activity
    seen = activity.observe(status("idle"))
    assert (activity.execution_state, seen.status, seen.parent_id) == ("idle", "idle", "request")
    assert activity.last_execution >= executed


@pytest.mark.parametrize("parent", ["kernel_info_request", "debug_request", "comm_info_request", "interrupt_request"])
def test_a_control_request_leaves_a_busy_kernel_busy(parent: str) -> None:
    activity = Activity("own")
    activity.observe(status("busy"))
    assert not activity.observe(status("idle", parent)).state
    assert activity.execution_state == "busy"


def test_after_its_start_a_kernel_is_idle_whoever_asked() -> None:
    activity = Activity("own")
    assert not activity.observe(status("starting", None)).state
    assert activity.observe(status("busy", "kernel_info_request")).state
    assert activity.execution_state == "idle"
    assert activity.last_execution == 0


def test_asking_after_completions_is_activity_but_no_execution() -> None:
    activity = Activity("own")
    before = activity.last_activity
    activity.observe(status("busy", "complete_request"))
    activity.observe(status("idle", "complete_request"))
    assert activity.last_activity > before
    assert activity.last_execution == 0


def test_the_hosts_own_questions_are_hidden_and_no_activity() -> None:
    activity = Activity("own")
    assert activity.observe(status("busy", "execute_request", "own")).hidden
    assert activity.observe(message("iopub_welcome")).hidden
    assert activity.last_execution == 0
    assert activity.execution_state == "idle"


def test_a_dead_kernels_last_words_do_not_revive_it() -> None:
    activity = Activity("own")
    activity.end()
    for state in ("busy", "idle"):
        assert not activity.observe(status(state)).state
        assert activity.execution_state == "dead"


@pytest.mark.parametrize("parent", [None, "kernel_info_request"])
def test_output_of_nobodys_doing_is_no_activity(parent: str | None) -> None:
    activity = Activity("own")
    before = activity.last_activity
    assert not activity.observe(message("stream", parent)).activity
    assert activity.last_activity == before


def test_what_is_no_json_tells_nothing() -> None:
    activity = Activity("own")
    assert not activity.observe([b'"status"', b"", b"", b""]).state
    assert not activity.observe([b'{"msg_type": "status"}', b"[]", b"", b"[1]"]).state
    assert activity.execution_state == "starting"


def test_times_are_written_as_jupyter_writes_them() -> None:
    assert isoformat(0.5) == "1970-01-01T00:00:00.500000Z"
