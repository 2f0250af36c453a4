"""Output that nobody reads, or not yet: kept, bounded, in order, never lost in silence."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from jupyter_sessions.host.frames import V1
from jupyter_sessions.model.hostfile import CLIENT_DONE

from .serving import Channels, Host, closed, python_entry, serving, text_of, until

LINES = 50_000
OTHER = python_entry(argv=[sys.executable, "-mipykernel_launcher", "-f", "{connection_file}"])


async def _leave(host: Host, channels: Channels) -> None:
    """Drop a websocket without a word, as a broken connection does."""
    protocol = channels.connection.protocol
    assert protocol is not None
    assert protocol.stream is not None
    protocol.stream.close()
    await until(lambda: all(model["connections"] == 0 for model in host.kernels.models()))


@pytest.mark.parametrize("name", ["python3", "other"])
async def test_fifty_thousand_flushed_lines_and_idle_last(name: str) -> None:
    lines = LINES if name == "python3" else LINES // 10
    async with serving(kernels={"python3": python_entry(), "other": OTHER}) as host:
        async with host.channels(await host.start(name=name)) as channels:
            messages = await channels.run(f"for i in range({lines}): print(i, flush=True)")
            assert text_of(messages) == "".join(f"{i}\n" for i in range(lines))
            last = [message for message in messages if message["channel"] == "iopub"][-1]
            assert last["content"] == {"execution_state": "idle"}


async def test_a_client_that_comes_back_misses_nothing() -> None:
    async with serving(spool_memory=1 << 16) as host:
        kernel = await host.start()
        async with host.channels(kernel, "mine") as channels:
            await channels.run("pass")
            code = (
                "import time\nfor i in range(3000):\n    print(i, 'x' * 99, flush=True)\n    if not i: time.sleep(0.5)"
            )
            request = await channels.execute(code)
            first = await channels.until(lambda m: bool(m["msg_type"] == "stream"))
            await _leave(host, channels)
        await until(lambda: host.kernels.get(kernel).activity.execution_state == "idle")
        assert host.kernels.spool.disk_used > 0
        async with host.channels(kernel, "stranger") as stranger:
            assert text_of(await stranger.run("print('new')")) == "new\n"
        async with host.channels(kernel, "mine") as again:
            rest = await again.answers(request)
            lines = [line.split()[0] for line in text_of([*first, *rest]).splitlines()]
            assert lines == [str(i) for i in range(3000)]
            assert "execute_reply" in [message["msg_type"] for message in rest]
            assert host.kernels.spool.disk_used == 0


async def test_input_asked_for_meanwhile_is_asked_of_who_comes_back() -> None:
    async with serving() as host:
        kernel = await host.start()
        async with host.channels(kernel, "mine") as channels:
            await channels.run("import time")
            request = await channels.execute("time.sleep(0.3)\nprint(input('?'))", allow_stdin=True)
            await _leave(host, channels)
        consumer = host.kernels.get(kernel).consumers["mine"]
        await until(lambda: consumer.replies)
        assert consumer.waits
        async with host.channels(kernel, "mine") as again:
            await again.until(lambda m: bool(m["msg_type"] == "input_request"))
            await again.send("input_reply", {"value": "there"}, channel="stdin")
            assert text_of(await again.answers(request)) == "there\n"


async def test_the_place_of_a_client_that_is_done_is_given_up_once_it_waits_for_nothing() -> None:
    async with serving() as host:
        kernel = host.kernels.get(await host.start())
        for code, kept in ((CLIENT_DONE, 0), (1000, 1)):
            async with host.channels(kernel.id, "mine") as channels:
                await channels.run("pass")
                channels.connection.close(code)
                await until(lambda: not kernel.sockets)
            assert len(kernel.consumers) == kept
        async with host.channels(kernel.id, "waiting") as channels:
            await channels.execute("import time; time.sleep(0.3)")
            await until(lambda: kernel.consumers["waiting"].waits)
            channels.connection.close(CLIENT_DONE)
            await until(lambda: "waiting" not in kernel.sockets)
            assert "waiting" in kernel.consumers


async def test_sockets_close_with_the_last_reply_and_places_after_their_time() -> None:
    async with serving() as host:
        kernel = host.kernels.get(await host.start())
        async with host.channels(kernel.id, "mine") as channels:
            await channels.run("pass")
            await channels.execute("import time; time.sleep(0.3)")
            await _leave(host, channels)
        consumer = kernel.consumers["mine"]
        assert consumer.waits
        await until(lambda: not consumer.waits)
        kernel.expire(consumer.gone_at + 10, gone=20)
        assert "mine" in kernel.consumers
        kernel.expire(consumer.gone_at + 20, gone=20)
        assert kernel.consumers == {}
        async with host.channels(kernel.id) as nameless:
            await nameless.run("pass")
        async with host.channels(kernel.id, "mine") as channels:
            assert text_of(await channels.run("print('again')")) == "again\n"


async def test_who_does_not_read_costs_no_memory() -> None:
    async with serving(spool_memory=4 << 20) as host:
        kernel = await host.start()
        path = f"/api/kernels/{kernel}/channels?session_id=deaf"
        async with host.channels(kernel, "deaf") as first:
            await first.run("pass")
        # Its client never reads: tornado's stops taking bytes from the socket once one message waits.
        deaf = Channels(await host.websocket(path, [V1]), "deaf")
        process = psutil.Process()
        before = process.memory_info().rss
        request = await deaf.execute("for i in range(150): print('x' * (1 << 20), flush=True)")
        state = host.kernels.get(kernel).activity
        await until(lambda: state.last_execution > 0 and host.kernels.spool.disk_used > 140 << 20)
        await until(lambda: state.execution_state == "idle")
        assert host.kernels.spool.memory_used <= 4 << 20
        assert process.memory_info().rss - before < 32 << 20
        messages = await deaf.answers(request)
        assert len(text_of(messages)) == 150 * ((1 << 20) + 1)
        deaf.connection.close()
        await closed(deaf.connection)


async def test_what_no_disk_has_room_for_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_sessions.host.segment.SEGMENT", 1 << 18)
    async with serving(spool_memory=1 << 16, spool_disk=1 << 20) as host:
        kernel = await host.start()
        async with host.channels(kernel, "mine") as channels:
            await channels.run("pass")
            request = await channels.execute(
                "import time; time.sleep(0.3)\nfor i in range(5000): print('x' * 1000, flush=True)"
            )
            await _leave(host, channels)
        place, output = host.kernels.get(kernel).consumers["mine"].cursor, host.kernels.get(kernel).output
        await until(lambda: output.first[0] > place.number + 2000)
        async with host.channels(kernel, "mine") as again:
            messages = await again.answers(request)
            notice = text_of(messages, "stderr")
            assert "dropped" in notice
            lost = int(notice.split()[0])
            assert 0 < len(text_of(messages)) < 5000 * 1001
            assert lost > 1000
            assert [m["content"].get("execution_state") for m in messages if m["channel"] == "iopub"][-1] == "idle"


async def test_a_dead_kernel_leaves_no_file_and_no_log(tmp_path: Path) -> None:
    async with serving(lock_dir=str(tmp_path), spool_memory=1 << 10) as host:
        kernel = await host.start()
        async with host.channels(kernel, "mine") as channels:
            await channels.run("pass")
            await channels.execute("for i in range(100): print('x' * 1000, flush=True)")
            await _leave(host, channels)
        await until(lambda: host.kernels.spool.disk_used > 0)
        assert list(await asyncio.to_thread(lambda: [*tmp_path.iterdir()])) == []
        await host.request(f"/api/kernels/{kernel}", "DELETE")
        await until(lambda: not host.kernels.spool.logs)
        assert host.kernels.spool.disk_used == 0


async def test_what_was_asked_before_the_kernel_was_there_is_done_for_who_left() -> None:
    async with serving() as host:
        kernel = await host.start()
        async with host.channels(kernel, "mine") as channels:
            request = await channels.execute("print('done')")
            await until(lambda: host.kernels.get(kernel)._held)
            await _leave(host, channels)
        async with host.channels(kernel, "mine") as again:
            assert text_of(await again.answers(request)) == "done\n"


async def test_who_reads_no_replies_is_asked_for_no_more_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_sessions.host.consumer.REPLIES", 1 << 20)
    async with serving() as host:
        kernel = await host.start()
        async with host.channels(kernel, "mine") as channels, host.channels(kernel) as other:
            await channels.run("big, count = 'x' * (1 << 20), 0")
            wanted: list[str] = []
            count = 0
            while len(wanted) < count + 5:
                wanted.append(await channels.execute("count += 1", user_expressions={"a": "big"}))
                count = int(text_of(await other.run("print(count)")))
                assert count < 20
            for request in wanted:
                messages = await channels.until(lambda m: bool(m["msg_type"] == "execute_reply"))
                assert messages[-1]["parent_header"]["msg_id"] == request
            assert text_of(await other.run("print(count)")) == f"{len(wanted)}\n"
