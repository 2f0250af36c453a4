"""Messages pass through a bridge as they are, each to whom it is for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from nbclient import NotebookClient

from tests.bridge.managers import SECONDS, installed, live_beside, managed, printed_by
from tests.bridge.programs import formats, write_notebook
from tests.real.server import RealServer

ECHO = """
def opened(comm, message):
    @comm.on_msg
    def answer(heard):
        comm.send(heard["content"]["data"], buffers=[bytes(one)[::-1] for one in heard["buffers"]])
get_ipython().kernel.comm_manager.register_target("echo", opened)
"""


@pytest.fixture
def kernel(server: RealServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """Start a kernel in a session, and give its manager and a client."""
    live_beside(server, monkeypatch)
    name = f"relay-{uuid.uuid4().hex[:8]}"
    with managed(installed(server, name)) as both:
        yield both


def test_each_client_gets_its_own_answers_and_all_the_output(kernel: tuple[Any, Any]) -> None:
    manager, first = kernel
    second = BlockingKernelClient(connection_file=manager.connection_file)
    second.load_connection_file()
    second.start_channels()
    try:
        second.wait_for_ready(timeout=SECONDS)
        asked = {client: client.execute(f"print({number})") for number, client in enumerate((first, second))}
        for client, msg_id in asked.items():
            reply = client.get_shell_msg(timeout=SECONDS)
            while reply["parent_header"]["msg_id"] != msg_id:
                assert reply["msg_type"] == "kernel_info_reply", reply
                reply = client.get_shell_msg(timeout=SECONDS)
            heard: set[tuple[str, str]] = set()
            while len(heard) < 2:
                message = client.get_iopub_msg(timeout=SECONDS)
                if message["msg_type"] == "stream":
                    heard.add((message["parent_header"]["msg_id"], message["content"]["text"]))
            assert heard == {(asked[first], "0\n"), (asked[second], "1\n")}
    finally:
        second.stop_channels()
        second.context.destroy(0)


def test_input_is_asked_of_who_ran_the_code(kernel: tuple[Any, Any]) -> None:
    _, client = kernel
    client.execute("print('hello', input('who? '))", allow_stdin=True)
    asked = client.get_stdin_msg(timeout=SECONDS)
    assert asked["content"] == {"prompt": "who? ", "password": False}
    client.input("you")
    text = ""
    while "hello" not in text:
        message = client.get_iopub_msg(timeout=SECONDS)
        text += message["content"].get("text", "")
    assert text == "hello you\n"


def test_buffers_pass_both_ways(kernel: tuple[Any, Any]) -> None:
    _, client = kernel
    printed_by(client, ECHO)
    comm, sent = uuid.uuid4().hex, bytes(range(256)) * 4096
    for kind, content in (
        ("comm_open", {"target_name": "echo", "data": {}}),
        ("comm_msg", {"data": {"of": "the test"}}),
    ):
        message = client.session.msg(kind, {"comm_id": comm, **content})
        message["buffers"] = [sent]
        client.session.send(client.shell_channel.socket, message, buffers=[sent])
    while True:
        heard = client.get_iopub_msg(timeout=SECONDS)
        if heard["msg_type"] == "comm_msg":
            break
    assert heard["content"]["data"] == {"of": "the test"}
    assert [bytes(one) for one in heard["buffers"]] == [sent[::-1]]


def test_every_line_of_fast_output_comes(server: RealServer, kernel: tuple[Any, Any], tmp_path: Path) -> None:
    manager, _ = kernel
    lines = 5_000
    path = write_notebook(tmp_path / "lines.ipynb", [f"for i in range({lines}): print(i, flush=True)"])
    notebook = formats.read(path, as_version=4)
    NotebookClient(notebook, kernel_name=manager.kernel_name, iopub_timeout=SECONDS).execute()
    text = "".join(output["text"] for output in notebook.cells[0].outputs)
    assert text == "".join(f"{number}\n" for number in range(lines))


def test_a_reader_is_greeted_and_a_forger_is_not_heard(kernel: tuple[Any, Any]) -> None:
    manager, client = kernel
    info = manager.get_connection_info()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.SUB) as heard, context.socket(zmq.DEALER) as forger:
        heard.connect(f"tcp://{info['ip']}:{info['iopub_port']}")
        heard.subscribe(b"")
        assert heard.poll(SECONDS * 1000)
        frames = heard.recv_multipart()
        assert json.loads(frames[frames.index(b"<IDS|MSG>") + 2])["msg_type"] == "iopub_welcome"
        forger.connect(f"tcp://{info['ip']}:{info['shell_port']}")
        header = json.dumps({"msg_id": "forged", "msg_type": "execute_request", "session": "x"}).encode()
        code = json.dumps({"code": "forged = True"}).encode()
        forger.send_multipart([b"<IDS|MSG>", b"0" * 64, header, b"{}", b"{}", code])
        forger.send_multipart([b"nonsense"])
        assert printed_by(client, "print(globals().get('forged'))") == "None\n"
        assert not forger.poll(0)


def test_a_manager_may_ask_for_encrypted_sockets(server: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_client.manager import KernelManager

    if "transport_encryption" not in KernelManager.class_trait_names():
        pytest.skip("this jupyter_client knows no encryption")
    live_beside(server, monkeypatch)
    with managed(installed(server, "encrypted"), transport_encryption="required") as (manager, client):
        assert manager.get_connection_info()["curve_publickey"]
        assert printed_by(client, "print(1 + 1)") == "2\n"
