"""The kernel gateway of a real service: Jupyter's REST and channels over the hosts of its sessions."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
import websocket

from tests.real.kernel import V1
from tests.real.server import wait_for
from tests.serve.gatewaying import GatewayUser, activate, close_of, served_for_long
from tests.serve.serving import LOCATION, OWN, Served

SPEC = "work.python3"
STOCK = {"id", "name", "last_activity", "execution_state", "connections"}
PARENT = {"endpointParentResource": f"//dataproc.googleapis.com/{LOCATION}/sessions/work"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service of one user, with the ACTIVE session ``work``."""
    with served_for_long(tmp_path_factory.mktemp("gateway"), [OWN]) as running:
        activate(running, OWN, "work", jupyterSession={"displayName": "My work"})
        yield running


@pytest.fixture
def user(served: Served) -> Iterator[GatewayUser]:
    """The user; their kernels are ended behind each test."""
    made = GatewayUser(served, OWN)
    with made.closing:
        yield made
    for kernel in made.kernels():
        made.ask("DELETE", f"api/kernels/{kernel}")


def test_a_session_has_a_kernelspec_that_names_it(user: GatewayUser) -> None:
    listed = user.json("GET", "api/kernelspecs")
    spec = listed["kernelspecs"][SPEC]
    assert (listed["default"], spec["name"]) == (SPEC, SPEC)
    assert spec["spec"]["display_name"].startswith("My work: Python 3")
    assert (spec["spec"]["argv"], spec["spec"]["env"], spec["spec"]["language"]) == ([], {}, "python")
    assert {key: value for key, value in spec["resources"].items() if key in PARENT} == PARENT
    assert user.json("GET", f"api/kernelspecs/{SPEC}") == user.json("GET", f"api/kernelspecs/{SPEC.upper()}") == spec
    assert "nothing.python3" in user.refused(404, "GET", "api/kernelspecs/nothing.python3")


def test_its_logos_are_the_hosts(user: GatewayUser) -> None:
    logos = {key: path for key, path in user.json("GET", f"api/kernelspecs/{SPEC}")["resources"].items() if "/" in path}
    logo = user.ask("GET", logos["logo-64x64"].lstrip("/"))
    assert (logo.status_code, logo.headers["Content-Type"]) == (200, "image/png")
    assert logo.content.startswith(b"\x89PNG")
    for path in ("kernel.json", "..%2Fkernel.json", "logo-nothing.png"):
        user.refused(404, "GET", f"kernelspecs/{SPEC}/{path}")


def test_a_kernel_is_started_listed_and_ended(user: GatewayUser) -> None:
    answer = user.ask("POST", "api/kernels", {"name": SPEC, "env": {"KERNEL_GREETING": "hello"}, "path": "a/b"})
    model = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/api/kernels/{model['id']}")
    assert set(model) == STOCK | {"metadata"}
    assert (model["name"], model["metadata"]) == (SPEC, PARENT)
    assert set(user.kernels()) == {model["id"]}
    told = user.json("GET", f"api/kernels/{model['id']}")
    assert {**told, "last_activity": "", "execution_state": ""} == {
        **model,
        "last_activity": "",
        "execution_state": "",
    }
    socket = user.channels(model["id"])
    assert socket.text("import os; print(os.environ['KERNEL_GREETING'])") == "hello\n"
    assert user.ask("DELETE", f"api/kernels/{model['id']}").status_code == 204
    assert user.kernels() == {}
    for method, action in (("GET", ""), ("DELETE", ""), ("POST", "/interrupt"), ("POST", "/restart")):
        assert model["id"] in user.refused(404, method, f"api/kernels/{model['id']}{action}")
    assert user.status_of(f"api/kernels/{model['id']}/channels") == 404


def test_the_default_kernel_is_started_where_none_is_named(user: GatewayUser) -> None:
    for answer in (user.ask("POST", "api/kernels"), user.ask("POST", "api/kernels", {})):
        assert (answer.status_code, answer.json()["name"]) == (201, SPEC)


def test_a_kernel_id_is_taken_and_one_that_runs_is_given_again(user: GatewayUser) -> None:
    wanted = str(uuid.uuid4())
    assert user.start(SPEC, kernel_id=wanted) == wanted
    again = user.ask("POST", "api/kernels", {"name": SPEC, "kernel_id": wanted})
    assert (again.status_code, again.json()["id"], len(user.kernels())) == (201, wanted, 1)


def test_what_cannot_be_started_is_refused_with_every_fault(user: GatewayUser) -> None:
    message = user.refused(400, "POST", "api/kernels", {"name": 7, "kernel_id": "../x", "env": {"A": 1}})
    assert all(f"{field}: must be" in message for field in ("name", "kernel_id", "env"))
    assert "GET /api/kernelspecs" in user.refused(404, "POST", "api/kernels", {"name": "nothing.python3"})
    user.refused(400, "POST", "api/kernels", ["no", "object"])
    large = user.ask("POST", "api/kernels", {"name": SPEC, "env": {"A": "x" * (2 << 20)}})
    assert large.status_code == 413
    assert "it takes GET" in user.refused(405, "PATCH", "api/kernels", {})
    assert user.kernels() == {}


def test_googles_headers_are_welcome_and_nobody_else_is(user: GatewayUser) -> None:
    google = {"Cookie": "_xsrf=XSRF", "X-XSRFToken": "XSRF", "X-Goog-Request-Reason": "test"}
    made = user.ask("POST", "api/kernels", {"name": SPEC}, headers=google)
    assert made.status_code == 201
    assert user.ask("DELETE", f"api/kernels/{made.json()['id']}", headers=google).status_code == 204
    for method, path in (("GET", "api/kernels"), ("POST", "api/kernels"), ("GET", "host/stream")):
        answer = user.served.request("", method, path, headers=google)
        assert (answer.status_code, set(answer.json())) == (401, {"message", "reason"})
    stranger = {"Authorization": "Bearer wrong", **google}
    assert user.served.request("", "POST", "api/kernels", {}, headers=stranger).status_code == 401


@pytest.mark.parametrize("v1", [True, False])
def test_a_cell_runs_and_is_interrupted_and_restarted(user: GatewayUser, v1: bool) -> None:
    kernel = user.start(SPEC)
    socket = user.channels(kernel, v1=v1)
    assert socket.socket.subprotocol == (V1 if v1 else None)
    assert socket.text("x = 41; print(x + 1)") == "42\n"
    assert any(m["msg_type"] == "input_request" for m in _types(socket.answers(_ask_for(socket), answer="me")))
    running = socket.begin("import time; time.sleep(600)")
    wait_for(lambda: user.kernels()[kernel]["execution_state"] == "busy", "the kernel to be busy")
    assert user.kernels()[kernel]["connections"] == 1
    assert user.ask("POST", f"api/kernels/{kernel}/interrupt").status_code == 204
    assert "KeyboardInterrupt" in {m["content"].get("ename") for m in socket.answers(running)}
    restarted = user.json("POST", f"api/kernels/{kernel}/restart")
    assert (restarted["id"], restarted["name"], restarted["metadata"]) == (kernel, SPEC, PARENT)
    socket.ready()
    assert socket.text("print('x' in globals())") == "False\n"


def _ask_for(socket: object) -> str:
    sender = getattr(socket, "send")  # noqa: B009 - keeps the helper free of the class
    content = {"code": "print(input('who? '))", "silent": False, "allow_stdin": True}
    return str(sender("shell", "execute_request", content))


def _types(messages: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{"msg_type": message["header"]["msg_type"]} for message in messages]  # type: ignore[index]  # a header


def test_buffers_pass_as_they_are(user: GatewayUser) -> None:
    socket = user.channels(user.start(SPEC))
    socket.ready()
    socket.text(
        "from ipykernel.comm import Comm\n"
        "def back(comm, opened):\n"
        "    comm.on_msg(lambda m: comm.send(m['content']['data'], buffers=[bytes(b) for b in m['buffers']]))\n"
        "get_ipython().kernel.comm_manager.register_target('back', back)\n"
    )
    socket.send("shell", "comm_open", {"comm_id": "c", "target_name": "back", "data": {}})
    sent = bytes(range(256)) * 8192
    socket.send("shell", "comm_msg", {"comm_id": "c", "data": {"n": 1}}, (sent, b"", b"end"))
    while (message := socket.receive())["header"]["msg_type"] != "comm_msg":
        pass
    assert [bytes(buffer) for buffer in message["buffers"]] == [sent, b"", b"end"]


def test_who_comes_again_with_its_session_id_reads_on(user: GatewayUser) -> None:
    kernel = user.start(SPEC)
    first = user.channels(kernel, session="tab-one")
    first.ready()
    later = first.send("shell", "execute_request", {"code": "import time; time.sleep(0.5); print('late')"})
    first.close()
    again = user.channels(kernel, session="tab-one")
    texts = [m["content"]["text"] for m in again.answers(later) if m["header"]["msg_type"] == "stream"]
    assert "".join(texts) == "late\n"


def test_the_hosts_close_codes_are_passed_on(user: GatewayUser) -> None:
    kernel = user.start(SPEC)
    bad = user.channels(kernel)
    bad.ready()
    bad.socket.send_binary((1 << 40).to_bytes(8, "little") + bytes(64))
    code, reason, _ = close_of(bad)
    assert (code, "malformed" in reason) == (1007, True)
    first = user.channels(kernel, session="same")
    first.ready()
    second = user.channels(kernel, session="same")
    assert close_of(first)[0] is None
    assert second.text("print(1)") == "1\n"
    user.ask("DELETE", f"api/kernels/{kernel}")
    code, reason, messages = close_of(second)
    assert (code, reason) == (1000, "the kernel is dead")
    assert b'"dead"' in messages[-1]


def test_only_a_websocket_opens_channels(user: GatewayUser) -> None:
    kernel = user.start(SPEC)
    assert "websocket" in user.refused(400, "GET", f"api/kernels/{kernel}/channels")
    assert "it takes GET" in user.refused(405, "POST", f"api/kernels/{kernel}/channels")
    assert user.status_of(f"api/kernels/{uuid.uuid4()}/channels") == 404
    assert user.status_of(f"api/kernels/{kernel}/channels?session_id={'x' * 300}") == 400
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(f"{user.url}/api/kernels/{kernel}/channels".replace("http", "ws", 1))
    assert refused.value.status_code == 401


def test_the_side_stream_tells_what_the_host_knows(user: GatewayUser) -> None:
    stream = user.side_stream("work")
    assert json.loads(stream.recv()) == {"type": "kernels", "kernels": []}
    kernel = user.start(SPEC)
    told = json.loads(stream.recv())
    assert (told["type"], told["kernel"]["id"], told["kernel"]["name"]) == ("kernel", kernel, SPEC)
    user.ask("DELETE", f"api/kernels/{kernel}")
    while (told := json.loads(stream.recv()))["type"] != "gone":
        pass
    assert told == {"type": "gone", "id": kernel, "reason": "shut down"}
    unknown = f"host/stream?session={LOCATION}/sessions/nothing-here"
    assert (user.status_of(unknown), user.status_of("host/stream?session=work")) == (404, 400)
