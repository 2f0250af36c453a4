"""Two users and an admin at one kernel gateway: what is another's is not found, by any path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serve.gatewaying import GatewayUser, activate, served_for_long
from tests.serve.serving import LOCATION, Served

ALICES = f"{LOCATION}/sessions/alices-own"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service on which Alice and Bob have a session each."""
    with served_for_long(tmp_path_factory.mktemp("users"), ["alice", "bob"], ["root"]) as running:
        activate(running, "alice", "alices-own")
        activate(running, "bob", "bobs-own")
        yield running


@pytest.fixture
def alice(served: Served) -> Iterator[GatewayUser]:
    """Alice; what she leaves running is ended."""
    made = GatewayUser(served, "alice")
    with made.closing:
        yield made
    for kernel in made.kernels():
        made.ask("DELETE", f"api/kernels/{kernel}")


@pytest.fixture
def bob(served: Served) -> Iterator[GatewayUser]:
    """Bob; what he leaves running is ended."""
    made = GatewayUser(served, "bob")
    with made.closing:
        yield made
    for kernel in made.kernels():
        made.ask("DELETE", f"api/kernels/{kernel}")


def test_each_is_offered_their_own_kernels_alone(alice: GatewayUser, bob: GatewayUser) -> None:
    for user, own in ((alice, "alices-own.python3"), (bob, "bobs-own.python3")):
        listed = user.json("GET", "api/kernelspecs")
        assert (listed["default"], list(listed["kernelspecs"])) == (own, [own])
    bob.refused(404, "GET", "api/kernelspecs/alices-own.python3")
    bob.refused(404, "GET", "kernelspecs/alices-own.python3/logo-64x64.png")
    bob.refused(404, "POST", "api/kernels", {"name": "alices-own.python3"})
    assert alice.kernels() == {}


def test_each_is_told_who_they_are(alice: GatewayUser, bob: GatewayUser) -> None:
    for user, name in ((alice, "alice"), (bob, "bob")):
        assert user.json("GET", "api/me")["identity"]["username"] == name
    bob.refused(405, "POST", "api/me", {})


def test_anothers_kernel_is_not_found(alice: GatewayUser, bob: GatewayUser) -> None:
    kernel = alice.start("alices-own.python3")
    path = f"api/kernels/{kernel}"
    assert bob.kernels() == {}
    answers = set()
    for method, action in (("GET", ""), ("DELETE", ""), ("POST", "/interrupt"), ("POST", "/restart")):
        answers.add(bob.refused(404, method, path + action))
    assert answers == {f"Kernel does not exist: {kernel}"}
    assert bob.status_of(f"{path}/channels?session_id=mine") == 404
    assert bob.status_of(f"host/stream?session={ALICES}") == 404
    assert alice.channels(kernel).text("print('untouched')") == "untouched\n"


def test_anothers_id_tells_nothing_and_is_a_kernel_of_ones_own(alice: GatewayUser, bob: GatewayUser) -> None:
    kernel = alice.start("alices-own.python3")
    socket = alice.channels(kernel)
    socket.ready()
    assert bob.start("bobs-own.python3", kernel_id=kernel) == kernel
    marks = set()
    for user, session in ((alice, "alices-own"), (bob, "bobs-own")):
        assert user.json("GET", f"api/kernels/{kernel}")["name"] == f"{session}.python3"
        marks.add(user.channels(kernel).text("import os; print(os.environ['JUPYTER_SESSIONS_MARK'])"))
    assert len(marks) == 2
    assert bob.ask("DELETE", f"api/kernels/{kernel}").status_code == 204
    assert socket.text("print('still here')") == "still here\n"


def test_an_admin_reaches_everybodys(served: Served, alice: GatewayUser) -> None:
    admin = GatewayUser(served, "root")
    kernel = alice.start("alices-own.python3")
    with admin.closing:
        assert set(admin.json("GET", "api/kernelspecs")["kernelspecs"]) == {"alices-own.python3", "bobs-own.python3"}
        assert set(admin.kernels()) == {kernel}
        assert admin.channels(kernel).text("print(6 * 7)") == "42\n"
        assert admin.side_stream("alices-own").recv()
    assert admin.ask("DELETE", f"api/kernels/{kernel}").status_code == 204
