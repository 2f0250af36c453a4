"""Acts on kernels of sessions, and what hosts say on their own."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jupyter_sessions.kernels.registry import Registry, RemoteKernel
from jupyter_sessions.kernels.remote import RemoteHosts
from jupyter_sessions.model import errors
from jupyter_sessions.model.names import LOCAL, SessionName
from jupyter_sessions.model.states import State
from tests.kernels.peer import TOKEN, Peer, a_path, listening, until


def kernel(kernel_id: str = "k1", uuid: str = "uuid-1", seen: bool = True) -> RemoteKernel:
    """Make one kernel of a session."""
    return RemoteKernel(
        kernel_id=kernel_id,
        name="etl.python3",
        host_kernel="python3",
        session_uuid=uuid,
        session=str(SessionName(LOCAL, "etl")),
        seen=seen,
    )


def model(kernel_id: str, state: str = "idle", **more: Any) -> dict[str, Any]:
    """Write a kernel's model as a host does."""
    base = {"id": kernel_id, "name": "python3", "execution_state": state, "connections": 0}
    return {**base, "last_activity": "2026-11-24T10:00:00.000000Z", **more}


@contextlib.asynccontextmanager
async def running(*kernels: RemoteKernel, serve: bool = True) -> AsyncIterator[tuple[RemoteHosts, Registry, Peer]]:
    """Give hosts, registry and a peer that serves; all ended afterwards."""
    registry = Registry()
    hosts = RemoteHosts(registry)
    with a_path() as path, contextlib.ExitStack() as stack:
        peer = Peer(path)
        if serve:
            stack.enter_context(listening(peer))
        registry.set_host(peer.host())
        for each in kernels:
            registry.add(each)
        try:
            yield hosts, registry, peer
        finally:
            await hosts.close()


def state(registry: Registry, kernel_id: str) -> str:
    """Give a kernel's state, ``-`` where there is none."""
    found = registry.get(kernel_id)
    return found.execution_state if found else "-"


async def test_a_start_says_all_the_host_needs() -> None:
    async with running() as (hosts, _, peer):
        made = await hosts.start(peer.host(), "python3", "k9", "/data/in", {"JPY_SESSION_NAME": "a.ipynb"})
        assert made["id"] == "k9" and made["execution_state"] == "starting"
        await hosts.start(peer.host(), "ir", "k10")
        assert peer.requests == [
            (
                "POST",
                "/api/kernels",
                {"name": "python3", "kernel_id": "k9", "env": {"JPY_SESSION_NAME": "a.ipynb"}, "cwd": "/data/in"},
            ),
            ("POST", "/api/kernels", {"name": "ir", "kernel_id": "k10", "env": {}}),
        ]
        assert peer.tokens == {f"token {TOKEN}"}


async def test_interrupt_restart_and_shutdown_reach_the_host() -> None:
    one = kernel()
    async with running(one) as (hosts, registry, peer):
        await hosts.interrupt(one)
        await hosts.restart(one)
        told: list[tuple[str, str]] = []
        registry.subscribe(lambda k, what: told.append((what, k.reason)))
        await hosts.shutdown(one)
        assert [request[:2] for request in peer.requests] == [
            ("POST", "/api/kernels/k1/interrupt"),
            ("POST", "/api/kernels/k1/restart"),
            ("DELETE", "/api/kernels/k1"),
        ]
        assert told == [("dead", "the kernel was shut down"), ("removed", "the kernel was shut down")]
        assert registry.get("k1") is None


async def test_an_answer_never_overtakes_what_the_stream_has_told() -> None:
    one = kernel()
    async with running(one) as (hosts, registry, peer):
        registry.take("uuid-1", model("k1", "idle"))
        # Written by the host before the kernel was idle again, read here after the stream has said so.
        peer.models["k1"] = model("k1", "restarting")
        await hosts.restart(one)
        assert one.execution_state == "idle"


async def test_a_shutdown_of_what_is_gone_is_no_error() -> None:
    one, two, other = kernel(), kernel("k2"), kernel("k3", "uuid-of-an-ended-session")
    async with running(one, two, other) as (hosts, registry, peer):
        await hosts.shutdown(one)
        registry.mark_dead("k2", "crashed")
        await hosts.shutdown(two)
        await hosts.shutdown(other)
        assert registry.all() == []
        assert [request[1] for request in peer.requests] == ["/api/kernels/k1"]


ANSWERS = [
    (400, {"message": "name: no such kernel"}, errors.InvalidArgument, "name: no such kernel"),
    (403, {"message": "no"}, errors.PermissionDenied, "no"),
    (404, {"reason": "none"}, errors.NotFound, "none"),
    (409, {"error": {"message": "taken"}}, errors.AlreadyExists, "taken"),
    (429, "too many kernels", errors.ResourceExhausted, "too many kernels"),
    (503, {}, errors.Unavailable, "it answered 503"),
    (500, {"message": "kernel died: no module named ipykernel"}, errors.Internal, "no module named ipykernel"),
    (302, {}, errors.Internal, "it answered 302"),
]


@pytest.mark.parametrize(("status", "body", "kind", "words"), ANSWERS)
async def test_a_hosts_refusal_keeps_its_meaning(
    status: int, body: Any, kind: type[errors.SessionsError], words: str
) -> None:
    async with running(kernel()) as (hosts, registry, peer):
        peer.answer = (status, body)
        with pytest.raises(kind) as caught:
            await hosts.start(peer.host(), "python3", "k9")
        assert type(caught.value) is kind
        assert str(caught.value).startswith("session etl: ") and words in str(caught.value)
        with pytest.raises(kind):
            await hosts.interrupt(registry.all()[0])


async def test_a_host_that_cannot_be_reached_is_unavailable() -> None:
    async with running(kernel(), serve=False) as (hosts, registry, peer):
        with pytest.raises(errors.Unavailable, match="the session etl cannot be reached: there is no socket"):
            await hosts.start(peer.host(), "python3", "k9")
        with pytest.raises(errors.Unavailable, match="cannot be reached"):
            await hosts.shutdown(registry.all()[0])
        assert state(registry, "k1") == "unknown"
        with pytest.raises(errors.Unavailable, match="is CREATING: it has no kernels"):
            await hosts.start(dataclasses.replace(peer.host(State.CREATING), address=""), "python3", "k9")
        with pytest.raises(errors.Unavailable, match="not known to be ACTIVE"):
            await hosts.interrupt(kernel("k2", "uuid-2"))


async def test_an_answer_without_a_model_is_a_fault_of_the_host() -> None:
    async with running() as (hosts, _, peer):
        peer.answer = (201, {"unexpected": 1})
        with pytest.raises(errors.Internal, match="no kernel's model"):
            await hosts.start(peer.host(), "python3", "k9")


async def test_the_stream_brings_states_starts_and_deaths() -> None:
    async with running(kernel("k1"), kernel("lost")) as (hosts, registry, peer):
        peer.models["k1"] = model("k1", "busy", connections=3)
        hosts.follow(peer.host())
        await until(lambda: state(registry, "k1") == "busy")
        lost = registry.get("lost")
        assert lost is not None and lost.dead
        peer.tell({"type": "kernel", "kernel": model("k1", "idle", last_activity="2026-11-24T11:00:00Z")})
        await until(lambda: state(registry, "k1") == "idle")
        peer.tell({"type": "kernel", "kernel": model("theirs", "starting")})
        await until(lambda: state(registry, "theirs") == "starting")
        theirs = registry.get("theirs")
        assert theirs is not None and theirs.name == "etl.python3" and theirs.session_uuid == "uuid-1"
        told: list[tuple[str, str, str]] = []
        registry.subscribe(lambda k, what: told.append((k.kernel_id, what, k.reason)))
        peer.tell({"type": "gone", "id": "theirs", "reason": "killed by signal 9"})
        await until(lambda: len(told) == 2)
        assert told == [("theirs", "dead", "killed by signal 9"), ("theirs", "removed", "killed by signal 9")]


async def test_a_kernel_of_another_session_is_not_a_hosts_to_end() -> None:
    async with running(kernel("other", "uuid-2")) as (hosts, registry, peer):
        hosts.follow(peer.host())
        await until(lambda: peer.streams)
        peer.tell({"type": "gone", "id": "other"})
        peer.tell({"type": "kernel", "kernel": model("k1")})
        await until(lambda: state(registry, "k1") == "idle")
        assert state(registry, "other") == "unknown"


async def test_a_lost_stream_changes_nothing_and_is_found_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jupyter_sessions.kernels.remote")
    async with running(kernel(), serve=False) as (hosts, registry, peer):
        peer.models["k1"] = model("k1", "busy")
        hosts.follow(peer.host())
        with listening(peer):
            await until(lambda: state(registry, "k1") == "busy")
        await until(lambda: "the host's stream has ended" in caplog.text)
        assert state(registry, "k1") == "busy"
        peer.models = {"k1": model("k1", "idle"), "k2": model("k2")}
        with listening(peer):
            await until(lambda: state(registry, "k1") == "idle" and state(registry, "k2") == "idle")
        assert TOKEN not in caplog.text


def _left(peer: Peer, stream: Any) -> bool:
    return stream not in peer.streams


async def test_a_stream_of_nonsense_is_dialed_again() -> None:
    async with running(kernel()) as (hosts, registry, peer):
        peer.models["k1"] = model("k1", "idle")
        hosts.follow(peer.host())
        for nonsense in ("not json", "[]", '{"type": "kernels"}', '{"type": "gone"}'):
            await until(lambda: peer.streams)
            (stream,) = peer.streams
            stream.write_message(nonsense)
            await until(functools.partial(_left, peer, stream))
        await until(lambda: peer.streams)
        peer.tell({"type": "from the future"})
        peer.tell({"type": "kernel", "kernel": model("k1", "busy")})
        await until(lambda: state(registry, "k1") == "busy")


async def test_following_is_once_per_host_and_ends() -> None:
    async with running() as (hosts, _, peer):
        hosts.follow(peer.host())
        await until(lambda: len(peer.streams) == 1)
        first = peer.streams[0]
        hosts.follow(dataclasses.replace(peer.host(), display_name="new words"))
        for n in range(5):
            await hosts.start(peer.host(), "python3", f"k{n}")
        assert peer.streams == [first]
        hosts.follow(dataclasses.replace(peer.host(), token="new incarnation"))
        await until(lambda: len(peer.streams) == 1 and peer.streams[0] is not first)
        hosts.unfollow("uuid-1")
        hosts.unfollow("uuid-1")
        await until(lambda: not peer.streams)
        assert [task for task in asyncio.all_tasks() if "SideStream" in repr(task)] == []


async def test_a_deaf_host_costs_the_others_nothing() -> None:
    async with running() as (hosts, registry, peer):
        deaf = dataclasses.replace(peer.host(), session_uuid="uuid-deaf", address="unix:/nowhere/s")
        hosts.follow(deaf)
        hosts.follow(peer.host())
        await until(lambda: peer.streams)
        peer.tell({"type": "kernel", "kernel": model("k1", "busy")})
        await until(lambda: state(registry, "k1") == "busy", 2)
        await hosts.close()
        await until(lambda: not peer.streams)
