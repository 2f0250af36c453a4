"""A kernel's channels on websockets, with real kernels."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import struct
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.kernels.connection import base
from tornado.httpclient import HTTPClientError

from jupyter_sessions.host.frames import V1
from jupyter_sessions.host.kernel import CONSUMERS

from .serving import PATIENCE, Channels, Host, Message, closed, python_entry, serving, text_of, until

# Jupyter Server's functions carry no annotations.
stock: Any = base
BUFFERS = """
import hashlib
def echo(comm, opened):
    @comm.on_msg
    def answer(message):
        buffers = [bytes(buffer) for buffer in message["buffers"]]
        comm.send({"digests": [hashlib.sha256(buffer).hexdigest() for buffer in buffers]}, buffers=buffers[::-1])
get_ipython().kernel.comm_manager.register_target("echo", echo)
"""


def kinds(messages: list[Message], channel: str = "iopub") -> list[str]:
    return [message["msg_type"] for message in messages if message["channel"] == channel]


async def test_a_cell_is_answered_as_jupyter_answers_it() -> None:
    async with serving() as host, host.channels(await host.start()) as channels:
        messages = await channels.run("print('out'); import sys; print('err', file=sys.stderr); 6 * 7")
        assert kinds(messages) == ["status", "execute_input", "stream", "stream", "execute_result", "status"]
        assert kinds(messages, "shell") == ["execute_reply"]
        assert (text_of(messages), text_of(messages, "stderr")) == ("out\n", "err\n")
        assert messages[0]["parent_header"]["session"] == channels.session_id
        # Else an older ipykernel aborts what is asked right after an error.
        failed = await channels.run("1 / 0", stop_on_error=False)
        assert "error" in kinds(failed)
        assert text_of(await channels.run("print([n for n in dir() if 'thread' in n], In[-2])")) == "[] 1 / 0\n"


async def test_the_first_word_is_heard_and_asked_for_at_once() -> None:
    entry = python_entry(argv=[*python_entry().argv, "--IPKernelApp.exec_lines=import time; time.sleep(0.5)"])
    async with serving(kernels={"python3": entry}) as host, host.channels(await host.start()) as channels:
        request = await channels.execute("print('first')")
        messages = await channels.until(lambda m: bool(m["content"].get("execution_state") == "idle"))
        ours = [message for message in messages if message["parent_header"].get("msg_id") == request]
        assert kinds(ours) == ["status", "execute_input", "stream", "status"]
        assert all(m["parent_header"].get("session") in (channels.session_id, None) for m in messages)


async def test_the_legacy_protocol_text_and_buffers() -> None:
    async with serving() as host:
        kernel = await host.start()
        socket = await host.websocket(f"/api/kernels/{kernel}/channels?session_id=legacy")
        assert socket.selected_subprotocol is None

        async def read() -> dict[str, Any]:
            frame = await asyncio.wait_for(asyncio.ensure_future(socket.read_message()), PATIENCE)
            assert frame is not None
            found: dict[str, Any] = (
                stock.deserialize_binary_message(frame) if isinstance(frame, bytes) else json.loads(frame)
            )
            return found

        async def send(kind: str, content: Any, buffers: list[bytes] | None = None) -> str:
            header = {
                "msg_id": uuid.uuid4().hex,
                "msg_type": kind,
                "session": "legacy",
                "username": "",
                "version": "5.3",
            }
            message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
            if buffers:
                await socket.write_message(stock.serialize_binary_message({**message, "buffers": buffers}), binary=True)
            else:
                await socket.write_message(json.dumps({**message, "buffers": []}))
            return str(header["msg_id"])

        request = await send("execute_request", {"code": BUFFERS + "print('é')", "silent": False})
        while (message := await read())["msg_type"] != "stream":
            assert message["channel"] in ("iopub", "shell")
        assert message["content"]["text"] == "é\n"
        assert message["parent_header"]["msg_id"] == request
        await send("comm_open", {"comm_id": "c", "target_name": "echo", "data": {}})
        sent = [os.urandom(1000), b"\0\1"]
        await send("comm_msg", {"comm_id": "c", "data": {}}, sent)
        while (message := await read())["msg_type"] != "comm_msg":
            pass
        assert message["buffers"] == sent[::-1]
        socket.close()
        await closed(socket)


async def test_64_megabytes_of_buffers_arrive_byte_equal_both_ways() -> None:
    async with serving() as host, host.channels(await host.start()) as channels:
        await channels.run(BUFFERS)
        await channels.send("comm_open", {"comm_id": "c", "target_name": "echo", "data": {}})
        sent = [os.urandom(60 << 20), b"", os.urandom(4 << 20)]
        await channels.send("comm_msg", {"comm_id": "c", "data": {}}, buffers=sent)
        message = (await channels.until(lambda m: bool(m["msg_type"] == "comm_msg")))[-1]
        assert message["content"]["data"]["digests"] == [hashlib.sha256(buffer).hexdigest() for buffer in sent]
        assert [bytes(buffer) for buffer in message["buffers"]] == sent[::-1]


@pytest.mark.parametrize("frame", [b"", (2**40).to_bytes(8, "little"), struct.pack("<7Q", 6, 56, 9, 9, 9, 9, 9), "{}"])
async def test_a_malformed_frame_ends_its_websocket_and_nothing_else(frame: bytes | str) -> None:
    async with serving() as host:
        kernel = await host.start()
        async with host.channels(kernel) as channels, host.channels(kernel) as other:
            await channels.connection.write_message(frame, binary=isinstance(frame, bytes))
            while await channels.parts() is not None:
                pass
            assert channels.connection.close_code == 1007
            assert text_of(await other.run("print(1)")) == "1\n"


async def test_two_clients_hear_one_another_and_get_their_own_replies() -> None:
    async with serving() as host:
        kernel = await host.start()
        async with host.channels(kernel) as one, host.channels(kernel) as two:
            first, second = await asyncio.gather(one.run("print('one')"), two.run("print('two')"))
            assert (text_of(first), text_of(second)) == ("one\n", "two\n")
            await asyncio.gather(*(each.send("kernel_info_request", {}, "control") for each in (one, two)))
            for client in (one, two):
                heard = await client.until(lambda m: bool(m["msg_type"] == "kernel_info_reply"))
                assert kinds(heard, "shell") == []
            assert (await host.json(f"/api/kernels/{kernel}"))["connections"] == 2


async def test_standard_input_is_asked_for_and_given() -> None:
    async with serving() as host, host.channels(await host.start()) as channels:
        request = await channels.execute("print(input('name? '))", allow_stdin=True)
        asked = (await channels.until(lambda m: bool(m["channel"] == "stdin")))[-1]
        assert (asked["msg_type"], asked["content"]["prompt"]) == ("input_request", "name? ")
        await channels.send("input_reply", {"value": "me"}, channel="stdin")
        assert text_of(await channels.answers(request)) == "me\n"


@pytest.mark.parametrize("mode", ["signal", "message"])
async def test_an_interrupt_ends_a_cell_and_keeps_the_kernel(mode: str) -> None:
    entry = python_entry(interrupt_mode=mode)
    async with serving(kernels={"python3": entry}) as host:
        kernel = await host.start()
        async with host.channels(kernel) as channels:
            await channels.run("x = 1")
            request = await channels.execute("import time\nprint('go', flush=True)\nwhile True: time.sleep(0.01)")
            await channels.until(lambda m: bool(m["msg_type"] == "stream"))
            assert (await host.request(f"/api/kernels/{kernel}/interrupt", "POST")).code == 204
            answers = await channels.answers(request)
            assert [m["content"]["ename"] for m in answers if m["msg_type"] == "error"] == ["KeyboardInterrupt"]
            # A kernel may drop what is asked of it while it still deals with the interrupt.
            while dropped(last := await channels.run("print(x)")):
                pass
            assert text_of(last) == "1\n"


def dropped(answers: list[Message]) -> bool:
    """Say whether a kernel aborted a request."""
    return any(m["channel"] == "shell" and m["content"]["status"] in ("abort", "aborted") for m in answers)


async def test_control_is_answered_while_a_cell_floods() -> None:
    async with serving() as host:
        kernel = await host.start()
        async with host.channels(kernel) as channels:
            await channels.run("pass")
            code = "import time\nend = time.time() + 30\nwhile time.time() < end: print('x' * 5000, flush=True)"
            request = await channels.execute(code)
            await channels.until(lambda m: bool(m["msg_type"] == "stream"))
            ask = {"type": "request", "seq": 1, "command": "debugInfo"}
            question = await channels.send("debug_request", ask, "control")
            seen = await channels.until(
                lambda m: m["channel"] == "control" and m["parent_header"]["msg_id"] == question
            )
            assert not [m for m in seen if m["channel"] == "shell"]
            await host.request(f"/api/kernels/{kernel}/interrupt", "POST")
            assert [m for m in await channels.answers(request) if m["msg_type"] == "error"]


async def test_a_restart_keeps_websocket_and_id_and_forgets_the_variables() -> None:
    async with serving() as host:
        kernel = await host.start()
        async with host.channels(kernel) as channels:
            await channels.run("x = 1")
            (before,) = host.kernels.pids()
            model = await host.json(f"/api/kernels/{kernel}/restart", "POST", {})
            assert model["id"] == kernel
            assert host.kernels.pids() != [before]
            messages = await channels.run("print('x' in globals())")
            assert text_of(messages) == "False\n"
            assert model["connections"] == 1


@pytest.mark.parametrize("name", ["python3", "other"])
async def test_a_killed_kernel_comes_back_and_says_so(name: str) -> None:
    other = python_entry(argv=[sys.executable, "-mipykernel_launcher", "-f", "{connection_file}"])
    async with serving(kernels={"python3": python_entry(), "other": other}) as host:
        kernel = await host.start(name=name)
        async with host.channels(kernel) as channels:
            await channels.run("x = 1")
            (before,) = host.kernels.pids()
            await channels.execute("import os, time\nprint('last', flush=True)\ntime.sleep(60)")
            await channels.until(lambda m: bool(m["msg_type"] == "stream"))
            os.kill(before, signal.SIGKILL)
            await channels.until(lambda m: bool(m["content"].get("execution_state") == "restarting"))
            assert text_of(await channels.run("print('x' in globals())")) == "False\n"
            assert host.kernels.pids() not in ([], [before])
            await until(lambda: host.kernels.models()[0]["execution_state"] == "idle")


async def test_a_dead_kernel_says_dead_after_its_last_word_then_closes(tmp_path: Path) -> None:
    said = tmp_path / "said"
    async with serving() as host:
        kernel = await host.start()
        async with host.channels(kernel) as channels:
            await channels.run("print('x')")
            code = f"print('last word', flush=True)\nopen({str(said)!r}, 'w').close()\nimport time; time.sleep(60)"
            await channels.execute(code)
            await until(said.exists)
            assert (await host.request(f"/api/kernels/{kernel}", "DELETE")).code == 204
            messages = await channels.until(lambda m: bool(m["content"].get("execution_state") == "dead"))
            assert text_of(messages) == "last word\n"
            assert await channels.parts() is None
            assert channels.connection.close_code == 1000
        assert host.kernels.spool.logs == set()
        with pytest.raises(HTTPClientError) as caught:
            await host.websocket(f"/api/kernels/{kernel}/channels?session_id=x", [V1])
        assert caught.value.code == 404


async def test_a_kernel_that_cannot_come_back_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as host:
        kernel = await host.start()
        async with host.channels(kernel) as channels:
            await channels.run("pass")
            manager = host.kernels.get(kernel).manager
            assert manager is not None
            manager.kernel_spec.argv[:] = ["/nonexistent/python"]
            os.kill(host.kernels.pids()[0], signal.SIGKILL)
            await channels.until(lambda m: bool(m["content"].get("execution_state") == "dead"))
            await until(lambda: host.kernels.count() == 0)


async def test_a_second_websocket_of_a_client_closes_the_first() -> None:
    async with serving() as host:
        kernel = await host.start()
        async with host.channels(kernel, "same") as first:
            await first.run("pass")
            async with host.channels(kernel, "same") as second:
                while await first.parts() is not None:
                    pass
                assert first.connection.close_code not in (1000, 1001)
                assert text_of(await second.run("print(2)")) == "2\n"
                assert (await host.json(f"/api/kernels/{kernel}"))["connections"] == 1


async def test_one_client_too_many_is_turned_away_and_a_gone_one_makes_room() -> None:
    async with serving() as host:
        kernel = await host.start()
        async with _crowd(host, kernel) as crowd:
            extra = await host.websocket(f"/api/kernels/{kernel}/channels?session_id=extra", [V1])
            assert await asyncio.wait_for(asyncio.ensure_future(extra.read_message()), PATIENCE) is None
            assert extra.close_code == 1013
            extra.close()
            crowd[0].connection.close()
            await until(lambda: host.kernels.models()[0]["connections"] == CONSUMERS - 1)
            async with host.channels(kernel, "extra") as late:
                assert text_of(await late.run("print(3)")) == "3\n"
            assert crowd[0].session_id not in host.kernels.get(kernel).consumers


@contextlib.asynccontextmanager
async def _crowd(host: Host, kernel: str) -> AsyncIterator[list[Channels]]:
    """Give as many clients as a kernel serves."""
    async with contextlib.AsyncExitStack() as stack:
        names = (f"client{number}" for number in range(CONSUMERS))
        yield [await stack.enter_async_context(host.channels(kernel, name)) for name in names]
