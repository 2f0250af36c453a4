"""A host is its user's own program: whatever it says or keeps to itself, other users' calls go on."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_sessions.model.api import Caller, KernelHost, Page
from jupyter_sessions.model.errors import NotFound, Unavailable
from jupyter_sessions.model.names import SessionName
from jupyter_sessions.serve import gateway_memory
from jupyter_sessions.serve.gateway_kernels import GatewayKernels, Wanted
from jupyter_sessions.serve.gateway_memory import KernelMemory
from jupyter_sessions.service.kernel_models import read_kernels
from tests.kernels.peer import Peer, a_path, listening
from tests.serve.test_gateway_memory import LOG, Hosts, host, model, remembering, states


class Owners:
    """As much of a SessionsApi as the gateway asks: who sees which sessions."""

    def __init__(self, **sessions: list[KernelHost]) -> None:
        self._sessions = sessions

    async def list_sessions(self, caller: Caller, *_: Any) -> Page[Any]:
        """Give the caller's."""
        return Page([SimpleNamespace(uuid=each.session_uuid) for each in self._sessions[caller.name]])

    async def get_session(self, caller: Caller, name: SessionName) -> Any:
        """Give one of the caller's."""
        for each in self._sessions[caller.name]:
            if each.session == name:
                return SimpleNamespace(uuid=each.session_uuid)
        raise NotFound(str(name))


async def test_a_host_that_says_nothing_keeps_its_own_user_waiting_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_memory, "PATIENCE", 20.0)
    with a_path() as path:
        peer = Peer(path)
        peer.models["k"] = model()
        with listening(peer):
            bobs, silent = peer.host(), host("silent-one")
            api: Any = Owners(bob=[bobs], mallory=[silent])
            hosts = Hosts(bobs, silent)
            async with remembering(hosts) as memory:
                kernels, bob = GatewayKernels(hosts, memory), Caller("bob")
                begun = time.monotonic()
                assert [shown["id"] for shown in await kernels.models(api, bob)] == ["k"]
                assert (await kernels.find(api, bob, "k")).id == "k"
                with pytest.raises(NotFound):
                    await kernels.find(api, bob, "no-such-kernel-any-where")
                assert await kernels.offers(api, bob) == {}
                assert time.monotonic() - begun < 5
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(kernels.models(api, Caller("mallory")), 0.2)


def test_a_list_without_an_end_does_not_hold_the_loop() -> None:
    memory, one = KernelMemory(Hosts(), LOG), host()
    endless = [model(f"{number:x}") for number in range(100_000)]
    begun = time.monotonic()
    for _ in range(3):
        memory.take(one, {"type": "kernels", "kernels": endless})
        memory.take(one, {"type": "kernels", "kernels": []})
    assert time.monotonic() - begun < 1.0
    assert len(states(memory)) <= gateway_memory.KERNELS_KEPT


def test_half_letters_are_not_told_on() -> None:
    memory, one = KernelMemory(Hosts(), LOG), host()
    with pytest.raises(ValueError, match="a word that is none"):
        memory.take(one, {"type": "kernel", "kernel": model("\ud800")})
    memory.take(one, {"type": "kernels", "kernels": [model()]})
    memory.take(one, {"type": "gone", "id": "k", "reason": "\udc00"})
    assert states(memory)["k"][1].encode()
    good = {"logo-64x64": "/kernelspecs/x/logo.png"}
    for resources in ({**good, "\ud800": "a"}, {**good, "b": "\ud800"}, {**good, "c": 7}):
        assert gateway_memory._files({"resources": resources}) == {"logo-64x64": "logo.png"}
    strange: list[object] = [None, [], {"resources": "x"}, "x"]
    for none in strange:
        assert gateway_memory._files(none) == {}


@pytest.mark.parametrize("answer", [{}, {"id": "k"}, {**model(), "name": 7}, "[]", '"k"', "7"])
async def test_a_host_that_answers_no_kernel_fails_its_own_users_call_in_words(answer: Any) -> None:
    with a_path() as path:
        peer = Peer(path)
        peer.models["k"] = model()
        with listening(peer):
            bobs = dataclasses.replace(peer.host(), kernels=host().kernels)
            api: Any = Owners(bob=[bobs])
            async with remembering(Hosts(bobs)) as memory:
                kernels, bob = GatewayKernels(memory.hosts, memory), Caller("bob")
                await kernels.find(api, bob, "k")
                peer.answer = (200, answer)
                for call in (
                    kernels.start(api, bob, Wanted("etl.python3"), nothing_else),
                    kernels.restart(api, bob, "k"),
                ):
                    with pytest.raises(Unavailable, match="session etl: what its host answered is no kernel"):
                        await call
                assert set(states(memory, "uuid-1")) == {"k"}


async def nothing_else(name: str) -> None:
    """Give no other session."""


async def test_what_a_host_tells_of_its_kernels_is_read_up_to_a_size() -> None:
    with a_path() as path:
        peer = Peer(path)
        peer.models["k"] = model(pad="x" * (3 << 20))
        with listening(peer):
            with pytest.raises(Unavailable):
                await read_kernels(peer.host())
            peer.models["k"] = model(usage={"cpu_percent": 1.0, "memory_bytes": 1})
            assert [kernel["id"] for kernel in await read_kernels(peer.host())] == ["k"]
