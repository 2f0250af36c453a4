"""A kernel manager of ``jupyter_client`` in the test's own process, as a program has one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from tests.bridge.programs import install
from tests.cli.beside import environment
from tests.real.server import RealServer

SECONDS = 60


def live_beside(server: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process the environment of a program of the server's user."""
    monkeypatch.delenv("JUPYTER_TOKEN", raising=False)
    for name, value in environment(server).items():
        if name.startswith(("JUPYTER", "IPYTHON")):
            monkeypatch.setenv(name, value)


@contextlib.contextmanager
def managed(name: str, **traits: Any) -> Iterator[tuple[Any, Any]]:
    """Start a kernel of a kernelspec; gives its manager and a client that is ready. At the end it is shut down."""
    manager = KernelManager(kernel_name=name, **traits)
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
        yield manager, client
    finally:
        client.stop_channels()
        if manager.has_kernel:
            manager.shutdown_kernel()
        else:
            manager.cleanup_resources()
        if client.context is not manager.context:
            client.context.destroy(0)
        manager.context.destroy(0)


def installed(server: RealServer, session: str, *words: str) -> str:
    """Make a session, and a kernelspec for it of the same name; gives the name."""
    server.create(session)
    install(server, session, *words)
    return session


def printed_by(client: Any, code: str) -> str:
    """Run code to its end and give what it prints; an error fails the test."""
    text: list[str] = []

    def hear(message: Mapping[str, Any]) -> None:
        if message["msg_type"] == "stream":
            text.append(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=hear, timeout=SECONDS)
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(text)
