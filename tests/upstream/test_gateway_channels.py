"""Channels that may stay mute, and the link that kernels are reached by."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jupyter_sessions.engines.hostlink import HostSocket, HostUnreachable
from jupyter_sessions.relay import frames
from jupyter_sessions.upstream import gateway as gateways
from jupyter_sessions.upstream import gateway_channels as channels
from jupyter_sessions.upstream.gateway import LocationGateway
from tests.kernels.gateway_peer import Gateway, a_gateway, starter_of
from tests.kernels.peer import until

PATH = "/api/kernels/k1/channels?session_id=s"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for little."""
    monkeypatch.setattr(gateways, "QUICK", 0.03)
    monkeypatch.setattr(channels, "SILENCE", 0.3)
    monkeypatch.setattr(channels, "BUSY_SILENCE", 0.1)


@contextlib.asynccontextmanager
async def both(streams: bool = False) -> AsyncIterator[tuple[Gateway, LocationGateway]]:
    """Give a peer and our end, which does not look by itself."""
    async with a_gateway(streams=streams) as peer:
        gateway = peer.made()
        try:
            yield peer, gateway
        finally:
            await gateway.close()


@contextlib.asynccontextmanager
async def opened(gateway: LocationGateway, heard: list[Any], **options: Any) -> AsyncIterator[HostSocket]:
    """Open a kernel's channels."""
    socket = await gateway.link().websocket(PATH, sink=heard.append, **options)
    try:
        yield socket
    finally:
        socket.close()
        await until(lambda: heard[-1:] == [None])


async def test_a_channel_is_proved_and_the_proof_kept_from_the_browser() -> None:
    async with both() as (peer, gateway):
        heard: list[Any] = []
        async with opened(gateway, heard) as socket:
            (asked,) = peer.received
            assert (asked["channel"], asked["header"]["msg_type"]) == ("control", "kernel_info_request")
            assert asked["header"]["session"] == "s"
            (far,) = peer.sockets
            far.reply("status", asked["header"], "iopub", execution_state="busy")
            far.reply("status", {"msg_id": "another"}, "iopub", execution_state="idle")
            await until(lambda: heard)
            assert [json.loads(each)["content"] for each in heard] == [{"execution_state": "idle"}]
            await socket.write_message(json.dumps({"header": {"msg_type": "x"}, "channel": "shell"}))
            await until(lambda: len(peer.received) == 2)
            assert gateway._open == 1
        assert gateway._open == 0


async def test_a_mute_channel_is_given_up() -> None:
    async with both() as (peer, gateway):
        peer.mute = 1
        heard: list[Any] = []
        with pytest.raises(HostUnreachable, match="stayed mute"):
            await gateway.link().websocket(PATH, sink=heard.append)
        await until(lambda: not peer.sockets and gateway._open == 0)
        async with opened(gateway, heard):
            assert peer.opened == 2


async def test_any_word_proves_a_channel() -> None:
    async with both() as (peer, gateway):
        peer.mute = 1
        heard: list[Any] = []
        opening = asyncio.ensure_future(gateway.link().websocket(PATH, sink=heard.append))
        await until(lambda: peer.sockets)
        peer.sockets[0].reply("stream", {"msg_id": "m"}, "iopub", text="still here")
        socket = await opening
        assert json.loads(heard[0])["content"] == {"text": "still here"}
        socket.close()


async def test_a_busy_kernels_silence_is_no_fault() -> None:
    async with both() as (peer, gateway):
        model = peer.make("etl-1.python3", "k1", state="busy")
        gateway.follow(starter_of(gateway), lambda event: None)
        gateway.start()
        await until(lambda: gateway.busy(str(model["id"])))
        peer.mute = 1
        heard: list[Any] = []
        async with opened(gateway, heard) as socket:
            await socket.write_message(json.dumps({"header": {"msg_type": "x"}, "channel": "shell"}))
            await until(lambda: len(peer.received) == 2)
        assert peer.opened == 1


async def test_a_channel_that_ends_at_once_is_said() -> None:
    async with both() as (peer, gateway):
        peer.mute = 1
        opening = asyncio.ensure_future(gateway.link().websocket(PATH, sink=lambda message: None))
        await until(lambda: peer.sockets)
        peer.sockets[0].close()
        with pytest.raises(HostUnreachable, match="closed the kernel's channels"):
            await opening
        assert gateway._open == 0


async def test_v1_channels_pass_without_a_probe() -> None:
    async with both(streams=True) as (peer, gateway):
        heard: list[Any] = []
        async with opened(gateway, heard, subprotocols=[frames.V1]) as socket:
            assert socket.selected_subprotocol == frames.V1
            await socket.write_message(b"\x01\x02", binary=True)
            await until(lambda: peer.received == [b"\x01\x02"])


async def test_before_its_address_is_known_a_gateway_cannot_be_reached() -> None:
    async with both() as (peer, _):
        gateway = peer.made(gateway="https://{projectNumber}.example")
        with pytest.raises(HostUnreachable, match="not known yet"):
            await gateway.link().request("GET", "/api/kernels")
        with pytest.raises(HostUnreachable, match="not known yet"):
            await gateway.link().websocket(PATH, sink=lambda message: None)
        assert gateway._open == 0
        await gateway.close()


async def test_a_browser_that_leaves_while_the_proof_arrives_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with both() as (peer, gateway):
        opening = asyncio.ensure_future(gateway.link().websocket(PATH, sink=lambda message: None))
        take = channels.Probe.take

        def taken(probe: channels.Probe, message: Any) -> Any:
            heard = take(probe, message)
            # The cancellation reaches the waiting task in the turn in which the proof does.
            asyncio.get_running_loop().call_soon(opening.cancel)
            return heard

        monkeypatch.setattr(channels.Probe, "take", taken)
        with pytest.raises(asyncio.CancelledError):
            await opening
        await until(lambda: not peer.sockets)
