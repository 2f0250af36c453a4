"""What a bridge holds back, refuses and reads, each part by itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from jupyter_sessions.bridge.asked import Arrival, said
from jupyter_sessions.bridge.inbox import HELD, Inbox
from jupyter_sessions.bridge.relay import Relay
from jupyter_sessions.bridge.sockets import DELIMITER, Sockets, read_connection_file
from jupyter_sessions.bridge.wanted import Wanted
from jupyter_sessions.client.errors import KernelDied, ServerGone
from jupyter_sessions.client.messages import Message
from jupyter_sessions.model.errors import InvalidArgument, SessionsError
from tests.real.server import free_port

PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
MESSAGES = 30_000


def connection_file(folder: Path, **more: Any) -> Path:
    path = folder / "connection.json"
    path.write_text(json.dumps({"key": "secret", **{port: free_port() for port in PORTS}, **more}))
    return path


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[tuple[Sockets, dict[str, Any]]]:
    info = read_connection_file(connection_file(tmp_path))
    made = Sockets(info)
    yield made, info
    made.close()


class Program:
    """A program's shell and iopub sockets."""

    def __init__(self, info: dict[str, Any]) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.shell = self._connected(zmq.DEALER, info["shell_port"])
        self.iopub = self._connected(zmq.SUB, info["iopub_port"])
        self.iopub.subscribe(b"")

    def _connected(self, kind: int, port: int) -> zmq.Socket[bytes]:
        socket = self.context.socket(kind)
        socket.linger = 0
        socket.connect(f"tcp://127.0.0.1:{port}")
        return socket

    def close(self) -> None:
        self.context.destroy(0)


@pytest.fixture
def program(sockets: tuple[Sockets, dict[str, Any]]) -> Iterator[Program]:
    made = Program(sockets[1])
    assert sockets[0].iopub.poll(60_000), "its subscription comes"
    yield made
    made.close()


def kinds(frames: list[bytes]) -> str:
    return str(json.loads(frames[frames.index(DELIMITER) + 2])["msg_type"])


class Scene:
    """A relay with a program before it and, in the kernel's place, the test."""

    def __init__(self, sockets: Sockets, program: Program) -> None:
        self.inbox: Inbox[Arrival] = Inbox()
        self.complaints: list[str] = []
        self.ends: list[SessionsError] = []
        self.relay = Relay(sockets, self.inbox, self.complaints.append, self.ends.append)
        self.program = program
        self.request = said("shell", "execute_request", {"code": "1"})
        self.relay.ask([b"who"], self.request)
        (self.asked,) = self.relay._waiting.values()

    def kernel_says(self, channel: str, kind: str, content: dict[str, Any]) -> None:
        message = said(channel, kind, content, self.request)
        if not self.asked.replied or channel != "iopub":
            self.asked.take(message)
        else:
            self.relay.take(message)
        self.relay.deliver()

    def published(self) -> str:
        assert self.program.iopub.poll(60_000)
        return kinds(self.program.iopub.recv_multipart())


@pytest.fixture
def scene(sockets: tuple[Sockets, dict[str, Any]], program: Program) -> Scene:
    return Scene(sockets[0], program)


def replies(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    found: list[Message] = []
    monkeypatch.setattr(scene.relay._sockets, "reply", lambda identity, message: found.append(message))
    return found


def test_a_reply_waits_for_the_end_of_its_output(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    found = replies(scene, monkeypatch)
    scene.kernel_says("shell", "execute_reply", {"status": "ok"})
    assert found == []
    scene.kernel_says("iopub", "stream", {"name": "stdout", "text": "late"})
    assert found == []
    scene.kernel_says("iopub", "status", {"execution_state": "idle"})
    assert [message.type for message in found] == ["execute_reply"]
    assert [scene.published(), scene.published()] == ["stream", "status"]


def test_a_reply_waits_no_longer_for_output_that_does_not_come(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    found = replies(scene, monkeypatch)
    scene.kernel_says("shell", "execute_reply", {"status": "ok"})
    scene.asked.since -= 60
    scene.relay.deliver()
    assert [message.type for message in found] == ["execute_reply"]


def test_an_aborted_reply_waits_for_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    found = replies(scene, monkeypatch)
    scene.kernel_says("shell", "execute_reply", {"status": "aborted"})
    assert [message.type for message in found] == ["execute_reply"]


def test_what_is_interrupted_was_asked_here(scene: Scene) -> None:
    header = {**scene.request.header, "session": "another's"}
    theirs = Message("shell", [json.dumps(header).encode(), *map(bytes, scene.request.parts[1:])])
    assert scene.relay.ours, "it is asked and may begin at any time"
    scene.relay.take(said("iopub", "status", {"execution_state": "busy"}, theirs))
    scene.relay.deliver()
    assert not scene.relay.ours
    scene.relay.take(said("iopub", "status", {"execution_state": "idle"}, theirs))
    scene.kernel_says("iopub", "status", {"execution_state": "busy"})
    assert scene.relay.ours
    scene.kernel_says("iopub", "status", {"execution_state": "idle"})
    scene.kernel_says("shell", "execute_reply", {"status": "ok"})
    assert not scene.relay.ours, "what runs now, if anything, is somebody else's"


def test_a_request_that_was_lost_is_answered_with_an_error(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    found = replies(scene, monkeypatch)
    scene.asked.fail(ServerGone("lost on its way"))
    scene.relay.deliver()
    (reply,) = found
    assert (reply.type, reply.content["status"], reply.content["evalue"]) == (
        "execute_reply",
        "error",
        "lost on its way",
    )
    assert reply.parent == scene.request.header["msg_id"]
    assert [scene.published(), scene.published()] == ["error", "status"]
    assert not scene.ends


def test_a_request_that_died_with_its_kernel_ends_the_bridge_once(scene: Scene) -> None:
    for error in (KernelDied("it was restarted"), KernelDied("the same again")):
        scene.asked.fail(error)
        scene.relay.deliver()
    assert [str(error) for error in scene.ends] == ["it was restarted"]
    assert scene.published() == "stream" and not scene.program.iopub.poll(0)


def test_a_slow_reader_loses_nothing(sockets: tuple[Sockets, dict[str, Any]], program: Program) -> None:
    made, sent = sockets[0], 0
    message = said("iopub", "stream", {"name": "stdout", "text": "x" * 200})
    while sent < MESSAGES and made.publish(b"kernel.stream", message):
        sent += 1
    assert sent < MESSAGES, "a reader that does not read holds the output back"
    for _ in range(sent):
        assert program.iopub.poll(60_000)
        program.iopub.recv_multipart()
    assert made.publish(b"kernel.stream", message)


def test_who_brings_much_waits_until_some_is_taken() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1, HELD)
    bringing = threading.Thread(target=inbox.put, args=(2, HELD))
    bringing.start()
    inbox.put(3)
    assert inbox.take() == 1
    bringing.join(60)
    assert not bringing.is_alive()
    assert [inbox.take(), inbox.take(), inbox.take()] == [3, 2, None]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"shell_port": 0}, "must give shell_port"),
        ({"ip": 1}, "must give ip"),
        ({"signature_scheme": "hmac-nothing"}, "signature_scheme"),
        ({"hb_port": "x"}, "must give hb_port"),
    ],
)
def test_a_faulty_connection_file_is_said_in_words(tmp_path: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        Sockets(read_connection_file(connection_file(tmp_path, **more)))


def test_ports_that_are_taken_are_said_in_words(sockets: tuple[Sockets, dict[str, Any]]) -> None:
    with pytest.raises(InvalidArgument, match="cannot be bound"):
        Sockets(sockets[1])


def test_a_kernelspec_says_the_same_on_its_command_line() -> None:
    wanted = Wanted(session="etl", template="gpu", kernel="main", url="http://127.0.0.1:1")
    spec = wanted.kernelspec("ETL", "python")
    assert Wanted.of_argv(spec["argv"]) == wanted == Wanted.read(spec["metadata"]["kernel_provisioner"]["config"])
    assert "kernel_provisioner" not in wanted.kernelspec("ETL", "python", portable=True)["metadata"]
    assert Wanted.of_argv(["python", "-m", "ipykernel_launcher"]) is None
    with pytest.raises(InvalidArgument, match=r"sesion: is not known.*kernel: must be text"):
        Wanted.read({"sesion": "x", "kernel": 1})
