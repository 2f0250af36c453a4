"""ACTIVE sessions of an upstream as the kernels room sees them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from jupyter_sessions.model.api import KernelHost, OfferedKernel
from jupyter_sessions.model.names import SessionName
from jupyter_sessions.model.states import State
from jupyter_sessions.upstream.known import Known
from jupyter_sessions.upstream.mirror import Mirror
from tests.upstream.proxies import FAR

URL = "https://gateway.example"
PYTHON = OfferedKernel("python3", {"language": "python"})
TEMPLATE = OfferedKernel("9c-small", {"language": "python"})


class Gateway:
    """What a gateway offers, from memory."""

    url = URL

    def __init__(self) -> None:
        self.by_session: dict[str, Sequence[OfferedKernel]] = {}
        self.others: Sequence[OfferedKernel] = ()
        self.wanted = 0

    def offered(self, session: SessionName) -> Sequence[OfferedKernel]:
        """Give what a session offers."""
        return self.by_session.get(str(session), ())

    def want(self) -> None:
        """Hear that a session is missed."""
        self.wanted += 1

    def loose(self, known: Collection[str] | None = None) -> Sequence[OfferedKernel]:
        """Give the rest, and what names none of the sessions."""
        strange = [] if known is None else [name for name in self.by_session if name not in known]
        return [*self.others, *(kernel for name in strange for kernel in self.by_session[name])]


def row(session_id: str, state: str, uuid: str = "u-1", **fields: Any) -> dict[str, Known | None]:
    name = f"{FAR}/sessions/{session_id}"
    display = {"jupyterSession": {"displayName": "Mine"}}
    return {name: Known({"name": name, "uuid": uuid, "state": state, **display, **fields})}


def mirrored() -> tuple[Mirror, Gateway, list[KernelHost]]:
    """Make a mirror with a gateway, and the list of what the kernels room is told."""
    mirror, gateway = Mirror(FAR, "Far away"), Gateway()
    told: list[KernelHost] = []
    mirror.watch_hosts(told.append)
    gateway.by_session[f"{FAR}/sessions/mine"] = [PYTHON]
    mirror.use(gateway)  # type: ignore[arg-type]  # as much of a gateway as is asked
    return mirror, gateway, told


def test_an_active_session_is_a_host_behind_the_gateway() -> None:
    mirror, gateway, told = mirrored()
    mirror.put(row("mine", "CREATING"))
    assert told == [] and mirror.moving
    mirror.put(row("mine", "ACTIVE"))
    (host,) = told
    assert (host.session, host.session_uuid, host.display_name) == (SessionName(FAR, "mine"), "u-1", "Mine")
    assert (host.address, host.kernels, host.token) == (URL, (PYTHON,), "")
    assert id(host.gateway) == id(gateway)
    assert list(mirror.hosts()) == told and not mirror.moving
    mirror.put(row("mine", "ACTIVE", labels={"a": "1"}))
    assert len(told) == 1, "nothing that the kernels room knows has changed"
    mirror.put(row("mine", "TERMINATING", stateMessage="as asked"))
    assert (told[-1].state, told[-1].state_message, told[-1].gateway) == (State.TERMINATING, "as asked", None)
    assert list(mirror.hosts()) == []
    mirror.put(row("mine", "TERMINATED"))
    assert len(told) == 2, "its end was told"


def test_a_deleted_one_and_its_successor_are_two() -> None:
    mirror, _, told = mirrored()
    mirror.put(row("mine", "ACTIVE"))
    mirror.put(row("mine", "ACTIVE", uuid="u-2"))
    assert [(host.session_uuid, host.state) for host in told] == [
        ("u-1", State.ACTIVE),
        ("u-1", State.STATE_UNSPECIFIED),
        ("u-2", State.ACTIVE),
    ]
    mirror.put({f"{FAR}/sessions/mine": None})
    assert (told[-1].session_uuid, told[-1].state) == ("u-2", State.STATE_UNSPECIFIED)
    assert list(mirror.hosts()) == []


def test_sessions_become_hosts_once_there_is_a_gateway() -> None:
    mirror, told = Mirror(FAR, "Far away"), list[KernelHost]()
    mirror.watch_hosts(told.append)
    mirror.put(row("mine", "ACTIVE"))
    assert told == []
    gateway: Any = Gateway()
    mirror.use(gateway)
    assert [host.session.id for host in told] == ["mine"] and told[0].kernels == ()
    gateway.by_session[f"{FAR}/sessions/mine"] = [PYTHON]
    mirror.offers_changed()
    assert told[-1].kernels == (PYTHON,)
    mirror.offers_changed()
    assert len(told) == 2


def test_what_belongs_to_no_session_is_offered_by_the_gateway_itself() -> None:
    mirror, gateway, told = mirrored()
    gateway.others = [TEMPLATE]
    mirror.offers_changed()
    (starter,) = told
    assert (starter.starter, starter.session.id, starter.session_uuid) == (True, "gateway", f"gateway:{FAR}")
    assert (starter.state, starter.address, starter.kernels) == (State.ACTIVE, URL, (TEMPLATE,))
    gateway.others = []
    mirror.offers_changed()
    assert told[-1].starter and told[-1].state is State.STATE_UNSPECIFIED


def test_what_the_gateway_named_before_its_session_was_known_is_that_sessions_alone() -> None:
    mirror, gateway, told = mirrored()
    gateway.by_session[f"{FAR}/sessions/later"] = [PYTHON]
    mirror.offers_changed()
    assert told == [], "before any session is known"
    mirror.put(row("mine", "ACTIVE"))
    assert [host.starter for host in mirror.hosts()] == [False, True]
    mirror.put(row("later", "ACTIVE", uuid="u-2"))
    assert [host.session.id for host in mirror.hosts()] == ["mine", "later"]
    assert told[-1].starter and told[-1].state is State.STATE_UNSPECIFIED


def test_addresses_in_an_upstreams_answer_are_data() -> None:
    mirror, _, told = mirrored()
    endpoints = {"Jupyter Kernels": "http://169.254.169.254/", "Spark Connect Server": "sc://elsewhere"}
    mirror.put(row("mine", "ACTIVE", runtimeInfo={"endpoints": endpoints}))
    assert told[0].address == URL
