"""The first answer after a start names what sessions offered before, until they are heard of again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.kernels.records import Records
from jupyter_sessions.kernels.registry import Registry, RemoteKernel
from jupyter_sessions.model.api import KernelHost, OfferedKernel
from jupyter_sessions.model.names import LocationName, SessionName
from jupyter_sessions.model.states import State

PYTHON = OfferedKernel("python3", {"display_name": "Python 3", "language": "python"})
FAR = LocationName("acme", "far")


def host(name: str, parent: LocationName = FAR, **fields: Any) -> KernelHost:
    """Give an ACTIVE session's host."""
    more = {"state": State.ACTIVE, "kernels": (PYTHON,), "address": "unix:/x", **fields}
    return KernelHost(SessionName(parent, name), f"uuid-{name}", name.title(), state_message="", **more)


def kernel(name: str) -> RemoteKernel:
    """Give a restored kernel of a session."""
    return RemoteKernel(
        kernel_id=f"kernel-{name}",
        name=f"acme.far.{name}.python3",
        host_kernel="python3",
        session_uuid=f"uuid-{name}",
        session=str(SessionName(FAR, name)),
    )


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """Run a server that hears of three sessions, one of which ends."""
    registry, records = Registry(), Records(tmp_path, "/root")
    records.follow(registry)
    for name in ("early", "later", "gone"):
        registry.set_host(host(name))
    registry.set_host(host("gone", state=State.TERMINATED, kernels=(), address=""))
    records._writer.shutdown()
    yield tmp_path


def restarted(folder: Path) -> tuple[Registry, Records]:
    """Give what the next server knows before anything is heard."""
    registry, records = Registry(), Records(folder, "/root")
    registry.remembered.restore(records.load_offered())
    records.follow(registry)
    return registry, records


async def test_they_are_named_at_once_with_their_titles(kept: Path) -> None:
    registry, _ = restarted(kept)
    offers = registry.offers()
    assert sorted(offers) == ["acme.far.early.python3", "acme.far.later.python3"]
    assert offers["acme.far.early.python3"].spec()["display_name"] == "Early: Python 3"
    assert not offers["acme.far.early.python3"].host.address and registry.hosts() == []


async def test_a_session_that_has_not_said_yet_what_it_offers_keeps_it(kept: Path) -> None:
    registry, _ = restarted(kept)
    registry.set_host(host("early", kernels=()))
    assert registry.offers()["acme.far.early.python3"].host.address == "unix:/x"
    other = OfferedKernel("r", {"display_name": "R", "language": "r"})
    registry.set_host(host("early", kernels=(other,)))
    assert sorted(registry.offers()) == ["acme.far.early.r", "acme.far.later.python3"]


async def test_what_nobody_knows_any_more_is_forgotten_unless_a_kernel_waits_for_it(kept: Path) -> None:
    registry, records = restarted(kept)
    registry.add(kernel("later"))
    registry.completed()
    assert list(registry.offers()) == ["acme.far.later.python3"]
    records.keep_offered({offer.host.session_uuid for offer in registry.offers().values()})
    registry.mark_dead("kernel-later", "its session has ended")
    assert list(registry.offers()) == []
    await records.close()
    assert [each.session.id for each in restarted(kept)[1].load_offered()] == ["later"]


async def test_one_that_ended_meanwhile_is_refused_with_its_reason(kept: Path) -> None:
    registry, _ = restarted(kept)
    registry.set_host(host("early", state=State.FAILED, kernels=(), address=""))
    assert "acme.far.early.python3" not in registry.offers()


async def test_a_file_of_an_older_server_remembers_nothing(tmp_path: Path) -> None:
    records = Records(tmp_path, "/root")
    assert records.load_offered() == []
    assert not (tmp_path / "kernels.sqlite").exists()
