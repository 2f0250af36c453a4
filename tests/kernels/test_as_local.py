"""A session's kernel answers message for message as a local one does, on one server and side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.kernel import KernelSocket, Message, execution
from tests.real.server import RealServer, real_server, wait_for

Story = Callable[[RealServer, str, bool], list[Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One server with one ACTIVE session for the module; each test starts kernels of its own."""
    with real_server(tmp_path_factory.mktemp("as-local")) as running:
        running.create("compare")
        yield running


def plain(value: Any) -> Any:
    """Blank what differs between any two runs: ids, times, addresses, paths of temporary cells, process ids."""
    if isinstance(value, dict):
        volatile = {"msg_id", "session", "date", "started", "comm_id", "display_id", "engine", "pid", "seq", "username"}
        return {k: "…" if k in volatile else plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, str):
        return re.sub(r"0x[0-9a-f]+|\nTip: .*\n|ipykernel_\d+/\d+|[0-9a-f]{8}-[0-9a-f-]{27,}|\b\d+_\d+\b", "…", value)
    return value


def told(messages: list[Message], *left_out: str) -> list[Any]:
    """Give messages comparably, each channel's in its order."""
    rows = [
        (m["channel"], m["header"]["msg_type"], m["parent_header"].get("msg_type"), plain(m["content"]), m["buffers"])
        for m in messages
        if m["header"]["msg_type"] not in left_out
    ]
    return sorted(rows, key=lambda row: row[0])


def execute_and_errors(server: RealServer, kernel: str, v1: bool) -> list[Any]:
    """Results, streams, displays and their updates, errors, silent code, user expressions."""
    socket = KernelSocket(server, kernel, v1=v1)
    display = (
        "from IPython.display import display\nh = display('one', display_id='same')\nh.update('two')\n"
        "display({'a/b': 1}, raw=True)"
    )
    codes = ["x = 41\nx + 1", "import sys\nprint('out')\nprint('err', file=sys.stderr)", display, "1/0", "def broken(:"]
    # Else an older kernel aborts what follows an error closely, sooner for the quicker of the two connections.
    found = [told(socket.execute(code, stop_on_error=False)) for code in codes]
    found.append(told(socket.execute("x", silent=True)))
    found.append(told(socket.execute("x", user_expressions={"y": "x + 1", "bad": "nope"})))
    socket.close()
    return found


def stdin(server: RealServer, kernel: str, v1: bool) -> list[Any]:
    """A prompt, answered."""
    socket = KernelSocket(server, kernel, v1=v1)
    sent = socket.send("shell", "execute_request", execution("print(input('name? '))"))
    found = told(socket.answers(sent, answer="Ada"))
    refused = told(socket.execute("input()", allow_stdin=False))
    socket.close()
    return [found, refused]


def questions(server: RealServer, kernel: str, v1: bool) -> list[Any]:
    """Completion, inspection, history, completeness, kernel and comm information."""
    socket = KernelSocket(server, kernel, v1=v1)
    socket.execute("answer = 42")
    asked: list[tuple[str, Message]] = [
        ("complete_request", {"code": "answ", "cursor_pos": 4}),
        ("inspect_request", {"code": "answer", "cursor_pos": 3, "detail_level": 0}),
        ("is_complete_request", {"code": "for i in x:"}),
        (
            "history_request",
            {"output": False, "raw": True, "hist_access_type": "range", "session": 0, "start": 0, "stop": 5},
        ),
        ("kernel_info_request", {}),
        ("comm_info_request", {}),
    ]
    found = [told(socket.request("shell", kind, content)) for kind, content in asked]
    found.append(told(socket.request("control", "kernel_info_request", {})))
    socket.close()
    return found


def comms(server: RealServer, kernel: str, v1: bool) -> list[Any]:
    """A comm opened by the browser that echoes, binary buffers both ways."""
    socket = KernelSocket(server, kernel, v1=True)
    code = (
        "def opened(comm, message):\n"
        "    comm.on_msg(lambda m: comm.send({'n': 1}, buffers=[bytes(b)[::-1] for b in m['buffers']]))\n"
        "get_ipython().kernel.comm_manager.register_target('echo', opened)"
    )
    socket.execute(code)
    socket.send("shell", "comm_open", {"comm_id": "c1", "target_name": "echo", "data": {}})
    sent = socket.send("shell", "comm_msg", {"comm_id": "c1", "data": {}}, (b"abc", bytes(range(256)) * 4000))
    found: list[Message] = []
    while not found or found[-1]["header"]["msg_type"] != "status" or found[-1]["content"]["execution_state"] != "idle":
        message = socket.receive()
        if message["parent_header"].get("msg_id") == sent:
            found.append(message)
    socket.close()
    return [told(found)]


def interrupt_and_restart(server: RealServer, kernel: str, v1: bool) -> list[Any]:
    """An interrupted cell, then a restart."""
    socket = KernelSocket(server, kernel, v1=v1)
    socket.execute("import time\nkept = 1")
    sent = socket.send("shell", "execute_request", execution("print('started', flush=True)\ntime.sleep(60)"))
    seen: list[Message] = []
    while not any(m["header"]["msg_type"] == "stream" for m in seen):
        message = socket.receive()
        if message["parent_header"].get("msg_id") == sent:
            seen.append(message)
    server.jupyter("POST", f"kernels/{kernel}/interrupt")
    answers = [*seen, *socket.answers(sent)]
    for message in answers:
        # Where in the cell the signal arrives differs from run to run.
        message["content"].pop("traceback", None)
    interrupted = told(answers)
    model = server.jupyter("POST", f"kernels/{kernel}/restart")
    wait_for(lambda: server.jupyter("GET", f"kernels/{kernel}")["execution_state"] == "idle", "the restart")
    # JupyterLab connects anew after each restart, with the same session id.
    socket.close()
    socket = KernelSocket(server, kernel, session=socket.session, v1=v1)
    after = told(socket.execute("'kept' in globals()"))
    socket.close()
    return [interrupted, sorted(model), after]


def debug(server: RealServer, kernel: str, v1: bool) -> list[Any]:
    """The debugger's first exchanges, over control."""
    socket = KernelSocket(server, kernel, v1=v1)
    found = []
    base = {"type": "request", "seq": 1}
    for command, arguments in (("debugInfo", {}), ("dumpCell", {"code": "a = 1"})):
        content = {**base, "command": command, "arguments": arguments}
        reply = [m for m in socket.request("control", "debug_request", content) if m["channel"] == "control"]
        body = reply[0]["content"].get("body", {})
        found.append((reply[0]["content"].get("success"), sorted(body)))
    socket.close()
    return found


def two_clients(server: RealServer, kernel: str, v1: bool) -> list[Any]:
    """What one client runs, the other sees on iopub and only there."""
    first, second = KernelSocket(server, kernel, v1=v1), KernelSocket(server, kernel, v1=v1)
    second.execute("0")
    sent = first.send("shell", "execute_request", execution("print('hello')\n7"))
    mine = told(first.answers(sent))
    theirs: list[Message] = []
    while not theirs or theirs[-1]["content"].get("execution_state") != "idle":
        message = second.receive()
        if message["parent_header"].get("msg_id") == sent:
            theirs.append(message)
    first.close()
    second.close()
    return [mine, told(theirs)]


STORIES: list[Story] = [
    execute_and_errors,
    stdin,
    questions,
    comms,
    interrupt_and_restart,
    debug,
    two_clients,
]


def started(server: RealServer, name: str) -> str:
    """Start a kernel and wait until it is idle; give its id."""
    kernel: str = server.jupyter("POST", "kernels", {"name": name})["id"]
    socket = KernelSocket(server, kernel)
    socket.request("shell", "kernel_info_request", {})
    socket.close()
    return kernel


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "json"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_same_messages(server: RealServer, story: Story, v1: bool) -> None:
    """Each exchange gives the same messages, channel by channel, in the same order."""
    local, remote = started(server, "python3"), started(server, "compare.python3")
    try:
        assert story(server, remote, v1) == story(server, local, v1)
    finally:
        for kernel in (local, remote):
            server.jupyter("DELETE", f"kernels/{kernel}")


def test_models_have_the_same_keys(server: RealServer, tmp_path: Path) -> None:
    """A remote kernel's model has the stock keys and no other."""
    local, remote = started(server, "python3"), started(server, "compare.python3")
    models = {one["id"]: one for one in server.jupyter("GET", "kernels")}
    assert sorted(models[remote]) == sorted(models[local])
    specs = server.jupyter("GET", "kernelspecs")["kernelspecs"]
    assert sorted(specs["compare.python3"]) == sorted(specs["python3"])
    assert specs["compare.python3"]["spec"]["metadata"]["jupyter_sessions"]["session"].endswith("/sessions/compare")
    for kernel in (local, remote):
        server.jupyter("DELETE", f"kernels/{kernel}")
