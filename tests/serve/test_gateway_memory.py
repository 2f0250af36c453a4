"""What the gateway remembers of kernels: told by hosts, or by a host that says little, wrong things or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.model.api import Caller, KernelHost, OfferedKernel, Unsubscribe
from jupyter_sessions.model.errors import Cancelled, DeadlineExceeded, Internal
from jupyter_sessions.model.names import LOCAL, SessionName, TemplateName
from jupyter_sessions.model.resources import SessionTemplate
from jupyter_sessions.model.states import State
from jupyter_sessions.serve import gateway_memory, gateway_templates
from jupyter_sessions.serve.gateway import GatewaySetup
from jupyter_sessions.serve.gateway_memory import KernelMemory
from jupyter_sessions.serve.gateway_specs import (
    NO_DEFAULT,
    default_of,
    name_offers,
    template_id,
    template_model,
)
from jupyter_sessions.service.embedded import EmbeddedSessions
from tests.kernels.peer import Peer, a_path, listening, until
from tests.service.fake_engine import World
from tests.service.servers import ALICE, serving

LOG = logging.getLogger("tests.gateway")


class Hosts:
    """A KernelHosts that says what the test says."""

    def __init__(self, *hosts: KernelHost) -> None:
        self._hosts = {host.session_uuid: host for host in hosts}
        self._listeners: list[Callable[[KernelHost], None]] = []

    def kernel_hosts(self) -> Sequence[KernelHost]:
        """Give those that are ACTIVE."""
        return [host for host in self._hosts.values() if host.state is State.ACTIVE]

    def watch_hosts(self, listener: Callable[[KernelHost], None]) -> Unsubscribe:
        """Call ``listener`` for each ``put``."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def put(self, host: KernelHost) -> None:
        """Change a host."""
        self._hosts[host.session_uuid] = host
        for listener in list(self._listeners):
            listener(host)


def host(session: str = "one-session", kernels: Sequence[str] = ("python3",), **fields: Any) -> KernelHost:
    """Give a host that nobody listens for."""
    offered = tuple(OfferedKernel(name, {"display_name": name.title(), "language": "x"}) for name in kernels)
    given = {"state": State.ACTIVE, "state_message": "", "address": "unix:/nowhere/s", **fields}
    return KernelHost(SessionName(LOCAL, session), f"uuid-of-{session}", "", kernels=offered, **given)


def model(kernel_id: str = "k", state: str = "idle", **fields: Any) -> dict[str, Any]:
    """Give a kernel's model as hosts write it."""
    stock = {"name": "python3", "last_activity": "2026-01-01T00:00:00.000000Z", "connections": 1}
    return {"id": kernel_id, "execution_state": state, "usage": {}, "started": 1.0, **stock, **fields}


def states(memory: KernelMemory, uuid: str = "uuid-of-one-session") -> dict[str, tuple[Any, str]]:
    """Give each kernel's state and message."""
    return {kernel.id: (kernel.model["execution_state"], kernel.message) for kernel in memory.of_session(uuid)}


@contextlib.asynccontextmanager
async def remembering(hosts: Hosts) -> AsyncIterator[KernelMemory]:
    """Give a memory over hosts, closed at the end."""
    memory = KernelMemory(hosts, LOG)
    try:
        yield memory
    finally:
        await memory.close()


def test_a_host_tells_states_deaths_and_ends() -> None:
    memory, one = KernelMemory(Hosts(), LOG), host()
    memory.take(one, {"type": "kernels", "kernels": [model("a"), model("b", "busy"), model("c")]})
    memory.take(one, {"type": "kernel", "kernel": model("a", "starting")})
    memory.take(one, {"type": "gone", "id": "b", "reason": "shut down"})
    memory.take(one, {"type": "gone", "id": "c", "reason": "the session ended"})
    memory.take(one, {"type": "gone", "id": "unknown", "reason": "died"})
    memory.take(one, {"type": "kernel", "kernel": model("late", "dead")})
    assert states(memory) == {"a": ("starting", ""), "c": ("dead", "the session ended")}
    assert set(memory.find("a")[0].model) == {"id", "name", "last_activity", "execution_state", "connections"}
    memory.take(one, {"type": "kernels", "kernels": [model("d")]})
    assert states(memory)["a"] == ("dead", "the kernel has ended")
    memory.take(one, {"type": "kernel", "kernel": model("a")})
    assert states(memory)["a"] == ("idle", "")


def test_a_new_kernel_survives_one_list_that_is_older_than_it() -> None:
    memory, one = KernelMemory(Hosts(), LOG), host()
    memory.started(one, model("new"))
    memory.take(one, {"type": "kernels", "kernels": []})
    assert states(memory) == {"new": ("idle", "")}
    memory.take(one, {"type": "kernels", "kernels": []})
    assert states(memory) == {"new": ("dead", "the kernel has ended")}


def test_the_last_moments_of_a_kernel_that_was_ended_do_not_bring_it_back() -> None:
    memory, one = KernelMemory(Hosts(), LOG), host()
    memory.started(one, model())
    memory.forget(memory.find("k")[0])
    memory.take(one, {"type": "kernel", "kernel": model(state="busy")})
    memory.take(one, {"type": "kernels", "kernels": [model()]})
    assert states(memory) == {}
    memory.started(one, model(state="starting"))
    assert states(memory) == {"k": ("starting", "")}
    memory.forget(memory.find("k")[0])
    memory.take(one, {"type": "gone", "id": "k", "reason": "shut down"})
    memory.take(one, {"type": "kernel", "kernel": model(state="busy")})
    assert states(memory) == {"k": ("busy", "")}


def test_the_oldest_dead_kernels_are_forgotten_and_living_ones_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_memory, "DEAD_KEPT", 2)
    memory, one = KernelMemory(Hosts(), LOG), host()
    memory.take(one, {"type": "kernels", "kernels": [model(name) for name in "abcd"]})
    for name in "abc":
        memory.take(one, {"type": "gone", "id": name, "reason": "died"})
    assert list(states(memory)) == ["d", "b", "c"]


def test_a_host_may_say_anything_but_not_without_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_memory, "KERNELS_KEPT", 2)
    memory, one = KernelMemory(Hosts(), LOG), host()
    for wrong in (model(state="x" * 300), model(name=7), model(connections="many"), {"id": "k"}):
        with pytest.raises((ValueError, KeyError)):
            memory.take(one, {"type": "kernel", "kernel": wrong})
    memory.take(one, {"type": "kernels", "kernels": [model(name) for name in "abc"]})
    memory.take(one, {"type": "gone", "id": "a", "reason": "x" * 5000})
    assert (list(states(memory)), len(states(memory)["a"][1])) == (["b", "a"], 1000)
    memory.take(one, {"type": "unheard of"})


async def test_kernels_end_with_their_session_and_say_how() -> None:
    hosts = Hosts(host())
    async with remembering(hosts) as memory:
        memory.started(host(), model())
        memory.started(host("other-session"), model("other"))
        memory.hosts.watch_hosts(memory._changed)
        hosts.put(host(state=State.FAILED, state_message="The machine was restarted", address=""))
        why = "the session one-session is FAILED: The machine was restarted"
        assert states(memory) == {"k": ("dead", why)}
        assert states(memory, "uuid-of-other-session") == {"other": ("idle", "")}
        assert await memory.death(memory.find("k")[0], 0.0) == why
        assert await memory.death(memory.find("other")[0], 0.01) == ""


async def test_it_waits_for_a_hosts_first_word_but_for_a_silent_one_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_memory, "PATIENCE", 0.3)
    with a_path() as path:
        peer = Peer(path)
        peer.models["k"] = model()
        with listening(peer):
            silent = host("silent-one")
            async with remembering(Hosts(peer.host(), silent)) as memory:
                await memory.ready(["uuid-1", silent.session_uuid])
                assert states(memory, "uuid-1") == {"k": ("idle", "")}
                assert (memory.silent("uuid-1"), memory.silent(silent.session_uuid)) == (False, True)
                begun = time.monotonic()
                await memory.ready(["uuid-1", silent.session_uuid])
                assert time.monotonic() - begun < 0.2
                peer.tell({"type": "kernel", "kernel": model(state="busy")})
                await until(lambda: states(memory, "uuid-1") == {"k": ("busy", "")})


async def test_a_stream_that_breaks_or_lies_is_read_anew_and_what_is_known_stays() -> None:
    with a_path() as path:
        peer = Peer(path)
        peer.models["k"] = model()
        with listening(peer):
            async with remembering(Hosts(peer.host())) as memory:
                await memory.ready(["uuid-1"])
                peer.tell({"type": "kernel", "kernel": {"id": "half"}})
                await until(lambda: not peer.streams)
                await until(lambda: peer.streams)
                assert states(memory, "uuid-1") == {"k": ("idle", "")}
                peer.models["more"] = model("more")
                for stream in list(peer.streams):
                    stream.close()
                await until(lambda: set(states(memory, "uuid-1")) == {"k", "more"})


def test_kernelspecs_are_named_by_session_and_safe_in_urls() -> None:
    offers = name_offers([host("one-session", ["IR", "ir", "C++ 17", "ünï"]), host("two-session")])
    names = ["one-session.ir", "one-session.ir.2", "one-session.c---17", "one-session.-n-", "two-session.python3"]
    assert list(offers) == names
    assert [offer.kernel.name for offer in offers.values()] == ["IR", "ir", "C++ 17", "ünï", "python3"]
    assert (default_of(offers), default_of({})) == ("one-session.ir", NO_DEFAULT)
    shown = offers["one-session.ir"].model("/base/", {"logo-64x64": "logo 64.png"})
    assert shown["spec"]["display_name"] == "one-session: Ir"
    assert shown["resources"] == {
        "logo-64x64": "/base/kernelspecs/one-session.ir/logo%2064.png",
        "endpointParentResource": f"//dataproc.googleapis.com/{LOCAL}/sessions/one-session",
    }


def test_a_templates_kernelspec_is_no_sessions() -> None:
    template = SessionTemplate(name=f"{LOCAL}/sessionTemplates/a-b-c")
    shown = template_model(template)
    assert (shown["name"], template_id(shown["name"])) == ("template-a-b-c", "a-b-c")
    assert shown["spec"]["display_name"] == "a-b-c (new session)"
    assert [template_id(name) for name in ("template-x.python3", "python3", "template-")] == ["", "", ""]


async def _started(
    service: EmbeddedSessions, gone: asyncio.Event, caller: Caller = ALICE, kernel_id: str = ""
) -> KernelHost:
    from jupyter_sessions.handlers.gate import Gate

    setup = GatewaySetup(Gate(), hosts=service)
    name = TemplateName(LOCAL, "small-one")
    found = await gateway_templates.find(service, caller, name.id)
    if found is None:
        found = await service.create_template(caller, LOCAL, SessionTemplate(name=str(name)))
    return await gateway_templates.started(setup, service, caller, found, kernel_id, gone)


async def test_a_start_from_a_template_waits_until_its_session_is_active(tmp_path: Path) -> None:
    world = World(ready=False)
    async with serving(tmp_path, world) as service:
        starting = asyncio.ensure_future(_started(service, asyncio.Event(), kernel_id="k" * 36))
        await until(lambda: world.hosts)
        assert not starting.done()
        world.serve(next(iter(world.hosts)))
        found = await asyncio.wait_for(starting, 20)
        assert (found.state, found.session_uuid) == (State.ACTIVE, next(iter(world.hosts)))
        again = await _started(service, asyncio.Event(), kernel_id="k" * 36)
        assert (again.session, len(world.hosts)) == (found.session, 1)


async def test_a_start_whose_session_fails_says_why(tmp_path: Path) -> None:
    world = World(ready=False)
    async with serving(tmp_path, world) as service:
        starting = asyncio.ensure_future(_started(service, asyncio.Event()))
        await until(lambda: world.hosts)
        world.kill(next(iter(world.hosts)), exit_status=3, end=True)
        with pytest.raises(Internal, match=r"is FAILED: .*exit status 3"):
            await asyncio.wait_for(starting, 20)


async def test_a_start_that_takes_too_long_or_is_given_up_leaves_its_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, gone = World(ready=False), asyncio.Event()
    async with serving(tmp_path, world) as service:
        starting = asyncio.ensure_future(_started(service, gone))
        await until(lambda: world.hosts)
        gone.set()
        with pytest.raises(Cancelled, match="goes on"):
            await asyncio.wait_for(starting, 20)
        monkeypatch.setattr(gateway_templates, "ACTIVE_SECONDS", 0.2)
        with pytest.raises(DeadlineExceeded, match="it is listed"):
            await _started(service, asyncio.Event())
        assert len(world.living) == 2
