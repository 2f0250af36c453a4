"""The gateway's acts on hosts that do not answer, or answer with errors."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.model.api import KernelHost
from jupyter_sessions.model.errors import (
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    SessionsError,
    Unavailable,
)
from jupyter_sessions.serve import gateway_memory
from jupyter_sessions.serve.gateway_kernels import GatewayKernels, Wanted, ask
from jupyter_sessions.serve.gateway_memory import KernelMemory
from tests.kernels.peer import Peer, a_path, listening
from tests.service.servers import ALICE, BOB, active, named, serving

LOG = logging.getLogger("tests.gateway")
ID = "6f0cc9e4-22c8-4a8e-8c5e-9a0d1c3b2e71"


async def nothing(name: str) -> KernelHost | None:
    """Know no other kernelspecs."""
    return None


async def test_a_host_that_does_not_answer_is_unavailable_and_tells_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_memory, "PATIENCE", 0.05)
    async with serving(tmp_path, private=True) as service:
        session = await active(service)
        kernels = GatewayKernels(service, KernelMemory(service, LOG))
        try:
            with pytest.raises(Unavailable, match="has not told its kernels yet"):
                await kernels.find(service, ALICE, ID)
            with pytest.raises(NotFound):
                await kernels.find(service, BOB, ID)
            assert list(await kernels.offers(service, ALICE)) == ["one-session.python3"]
            assert await kernels.offers(service, BOB) == {}
            with pytest.raises(Unavailable, match="one-session does not answer") as refused:
                await kernels.start(service, ALICE, Wanted(), nothing)
            assert str(tmp_path) not in refused.value.message
            with pytest.raises(NotFound):
                await kernels.start(service, BOB, Wanted(name="one-session.python3"), nothing)
            model = {"id": ID, "name": "python3", "last_activity": "", "execution_state": "idle", "connections": 0}
            host = await kernels.session_host(service, ALICE, named("one-session"))
            kernels.memory.started(host, model)
            for act in (kernels.interrupt, kernels.restart, kernels.shutdown):
                with pytest.raises(Unavailable, match="does not answer"):
                    await act(service, ALICE, ID)
            assert not await kernels.lives(await kernels.find(service, ALICE, ID))
            await service.terminate_session(ALICE, session.parsed_name)
            with pytest.raises(FailedPrecondition, match="the session one-session is TERMINAT"):
                await kernels.restart(service, ALICE, ID)
            with pytest.raises(Unavailable, match="has no host"):
                await kernels.session_host(service, ALICE, named("one-session"))
            await kernels.shutdown(service, ALICE, ID)
            with pytest.raises(NotFound):
                await kernels.find(service, ALICE, ID)
        finally:
            await kernels.memory.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, InvalidArgument), (404, NotFound), (429, ResourceExhausted), (500, Internal), (503, Unavailable)],
)
async def test_a_hosts_refusal_keeps_its_words(status: int, error: type[SessionsError]) -> None:
    with a_path() as path:
        peer = Peer(path)
        peer.answer = (status, {"message": "the host's own words", "reason": None})
        with listening(peer), pytest.raises(error, match="session etl: the host's own words"):
            await ask(peer.host(), "POST", "/api/kernels", {}, 5.0)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"name": 1, "path": [], "cwd": "\0"}, {"name", "path", "cwd"}),
        ({"kernel_id": "short"}, {"kernel_id"}),
        ({"kernel_id": "a-b-c-d-" + "e" * 65}, {"kernel_id"}),
        ({"env": ["A"]}, {"env"}),
        ({"env": {"A": None}}, {"env"}),
    ],
)
def test_a_start_names_every_fault(body: dict[str, Any], fields: set[str]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Wanted.read(body)
    assert {violation.field for violation in refused.value.violations} == fields


def test_what_a_start_leaves_out_is_nothing() -> None:
    assert Wanted.read({"name": None, "env": None, "unknown": 1}) == Wanted()
