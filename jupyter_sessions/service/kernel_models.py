"""The kernels of one session, as its host tells them on its stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_sessions.model.api import KernelHost
from jupyter_sessions.model.errors import Unavailable

if TYPE_CHECKING:
    from jupyter_sessions.engines.hostlink import HostSocket

ANSWER_S = 10.0
MEASURE_S = 0.5
"""How long to wait for a first measure where nobody else listens to the host and it measures nothing yet."""


async def read_kernels(host: KernelHost) -> Sequence[Mapping[str, Any]]:
    """Give Jupyter's kernel models, oldest first, each with ``usage`` (``cpu_percent`` and ``memory_bytes``).

    Raises Unavailable where the host does not answer.
    """
    from jupyter_sessions.engines.hostlink import MAX_TOLD, HostLink, HostUnreachable

    if not host.address:
        raise Unavailable(f"the host of {host.session} cannot be reached now; try again in a moment")
    link = HostLink(host.address, host.token, host.uid)
    try:
        socket = await link.websocket("/host/stream", max_message_size=MAX_TOLD, timeout=ANSWER_S)
        try:
            kernels = await asyncio.wait_for(_first(socket), ANSWER_S)
            return await _measured(socket, kernels)
        finally:
            socket.close()
    except (HostUnreachable, asyncio.TimeoutError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unavailable(f"the host of {host.session} does not answer: {error or 'it took too long'}") from error
    finally:
        link.close()


async def _next(socket: HostSocket) -> dict[str, Any]:
    message = await socket.read_message()
    if message is None:
        raise ValueError("it closed its stream")
    told = json.loads(message)
    if not isinstance(told, dict):
        raise ValueError("it told no object")
    return told


async def _first(socket: HostSocket) -> dict[str, dict[str, Any]]:
    """Read what the host tells first: all its kernels."""
    while (told := await _next(socket)).get("type") != "kernels":
        pass
    return {kernel["id"]: kernel for kernel in told["kernels"]}


async def _measured(socket: HostSocket, kernels: dict[str, dict[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Wait shortly for the measures that are missing, then give the models."""
    loop = asyncio.get_running_loop()
    end = loop.time() + MEASURE_S
    while any(not kernel["usage"]["memory_bytes"] for kernel in kernels.values()):
        try:
            told = await asyncio.wait_for(_next(socket), end - loop.time())
        except asyncio.TimeoutError:
            break
        if told.get("type") == "kernel":
            kernels[told["kernel"]["id"]] = told["kernel"]
        elif told.get("type") == "gone":
            kernels.pop(told["id"], None)
    oldest_first = sorted(kernels.values(), key=lambda kernel: kernel["started"])
    return [{key: value for key, value in kernel.items() if key != "started"} for kernel in oldest_first]
