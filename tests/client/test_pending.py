"""What waits for a kernel's answers: what a probe settles, what an execution makes of half an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jupyter_sessions.client.errors import KernelDied, ServerGone
from jupyter_sessions.client.execution import Execution
from jupyter_sessions.client.kernel import KernelConnection
from jupyter_sessions.client.messages import Message
from jupyter_sessions.client.pending import Pending, Probe, Requests
from jupyter_sessions.client.transport import Transport
from jupyter_sessions.model.errors import DeadlineExceeded


def answer(channel: str, kind: str, parent: str = "r1", **content: Any) -> Message:
    """Make a message that answers a request."""
    parts: tuple[dict[str, Any], ...] = ({"msg_id": "m", "msg_type": kind}, {"msg_id": parent}, {}, content)
    return Message(channel, [json.dumps(part).encode() for part in parts])


def status(state: str) -> Message:
    """Make a status that answers a request."""
    return answer("iopub", "status", execution_state=state)


@pytest.fixture
def execution() -> Execution:
    """Give an execution that nothing was sent of."""
    return Execution(KernelConnection(Transport("http://127.0.0.1:1", ""), "k1"), None)


def test_requests_hand_on_and_forget() -> None:
    requests, pending = Requests(), Pending("shell", "kernel_info_request", "k1")
    requests.add("r1", "shell", pending)
    assert requests.waiting() == [], "it was not sent"
    requests.sending("r1")
    assert requests.waiting() == [("r1", "shell", pending)]
    assert requests.take(status("busy")) and not requests.take(answer("shell", "kernel_info_reply", "other"))
    with pytest.raises(DeadlineExceeded, match=r"k1 has not answered kernel_info_request in 0\.01 s"):
        pending.result(0.01)
    assert requests.take(answer("shell", "kernel_info_reply", banner="b")) and requests.waiting() == []
    assert pending.result().content == {"banner": "b"} and not requests.take(status("idle"))
    requests.sending("r2")
    requests.add("r2", "shell", pending)
    assert requests.waiting() == [], "nobody waited for it when it was sent"


def test_failing_some_leaves_the_others() -> None:
    requests, takers = Requests(), [Pending("shell", "x_request", "k1") for _ in range(2)]
    for name, taker in zip(("r1", "r2"), takers, strict=True):
        requests.add(name, "shell", taker)
    requests.fail(ServerGone("lost"), ["r1", "r3"])
    with pytest.raises(ServerGone, match="lost"):
        takers[0].result()
    assert not takers[1].replied
    requests.fail(KernelDied("dead"))
    with pytest.raises(KernelDied, match="dead"):
        takers[1].result()


def test_a_probe_waits_for_its_reply_and_the_end_of_its_output() -> None:
    told: list[str] = []
    probe = Probe(lambda: told.append("all"))
    assert not probe.take(status("busy")) and not probe.take(status("idle")) and told == []
    assert probe.take(answer("shell", "kernel_info_reply")) and told == ["all"]


def test_an_execution_ends_with_reply_and_idle(execution: Execution) -> None:
    assert not execution.begun and not execution.take(status("busy")) and execution.begun
    assert not execution.take(answer("shell", "execute_reply", status="ok", execution_count=3))
    assert not execution.take(answer("iopub", "stream", name="stdout", text="late"))
    assert not execution.take(answer("iopub", "comm_msg", comm_id="c")) and not execution.done
    assert execution.take(status("idle")) and execution.done
    result = execution.result()
    assert (result.status, result.text, result.execution_count, result.breaks) == ("ok", "late", 3, 0)


@pytest.mark.parametrize("status", ["aborted", "abort"])
def test_an_aborted_one_needs_no_more(execution: Execution, status: str) -> None:
    execution.take(answer("shell", "execute_reply", status=status))
    if status == "abort":
        execution.settle()
    assert execution.result().status == "aborted"


def test_an_execution_with_its_reply_is_settled_as_that_says(execution: Execution) -> None:
    execution.take(answer("shell", "execute_reply", status="error", ename="E", evalue="v", traceback=["t"]))
    execution.broke()
    assert not execution.done and execution.replied
    execution.settle()
    result = execution.result(1)
    assert result.breaks == 1 and result.missing.startswith("the connection broke while")
    assert result.error is not None and str(result.error) == "E: v"


def test_a_failed_execution_gives_what_came_first(execution: Execution) -> None:
    execution.take(answer("iopub", "stream", name="stdout", text="half"))
    execution.fail(KernelDied("dead"))
    execution.fail(ServerGone("closed"))
    assert next(execution).text == "half"
    for _ in range(2):
        with pytest.raises(KernelDied, match="dead"):
            next(execution)
    with pytest.raises(KernelDied):
        execution.result()
    execution.interrupt()


def test_streams_are_joined_and_others_kept_apart(execution: Execution) -> None:
    for name, text in [("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")]:
        execution.take(answer("iopub", "stream", name=name, text=text))
    execution.take(answer("iopub", "clear_output", wait=True))
    execution.take(answer("iopub", "stream", name="stdout", text="e"))
    execution.take(answer("iopub", "execute_result", data={"text/plain": ["4", "2"]}, metadata={"m": 1}))
    execution.take(answer("shell", "execute_reply", status="ok"))
    execution.take(status("idle"))
    result = execution.result()
    assert [one.text for one in result.outputs] == ["ab", "c", "d", "", "e", "42"]
    assert result.outputs[3].content == {"wait": True} and result.metadata == {"m": 1}
    assert [one.text for one in execution] == [], "it has been read"


def test_a_connection_that_was_never_opened_says_so() -> None:
    connection = KernelConnection(Transport("http://127.0.0.1:1", ""), "k1")
    connection.close()
    with pytest.raises(ServerGone, match="closed; connect again"):
        connection.execute("1")
