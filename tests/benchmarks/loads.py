"""Loads that would break a leaky wire: many lines, large buffers, a reader that stops."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable

from tests.benchmarks.cells import Cells, Message
from tests.benchmarks.servers import Server

LINES = 50_000
MB = 1 << 20
_COMM = "import os, hashlib, comm; c = comm.create_comm(target_name='bench', data={})\n"


def flushed_lines(server: Server, spec: str) -> None:
    """Print how many of 50,000 flushed lines arrive, and in what time to ``idle``."""
    texts: list[str] = []

    def seen(message: Message) -> None:
        if message.kind == "stream":
            texts.append(json.loads(message.content)["text"])

    kernel_id = server.start_kernel(spec)
    with Cells(server, kernel_id) as cells:
        cells.run("1")
        start = time.perf_counter()
        cells.run(f"for n in range({LINES}): print(n, flush=True)", seen)
        took = time.perf_counter() - start
    wanted = [str(n) for n in range(LINES)]
    got = "".join(texts).split()
    print(f"\n{LINES} flushed lines: {len(got)} arrived in {len(texts)} messages, in order and whole: {got == wanted};")
    print(f"  idle arrived after {took:.1f} s")
    server.end_kernel(kernel_id)


def buffers_equal(server: Server, spec: str) -> None:
    """Print whether 64 MB of binary buffers arrive byte-equal, and how fast."""
    found: dict[str, object] = {}

    def seen(message: Message) -> None:
        if message.kind == "comm_msg":
            found["got"] = hashlib.sha256(b"".join(message.buffers)).hexdigest()
            found["size"] = sum(map(len, message.buffers))
        elif message.kind == "stream":
            found["wanted"] = json.loads(message.content)["text"].strip()

    kernel_id = server.start_kernel(spec)
    with Cells(server, kernel_id) as cells:
        cells.run(_COMM + f"b = os.urandom({64 * MB}); print(hashlib.sha256(b).hexdigest())", seen)
        start = time.perf_counter()
        cells.run("c.send({}, buffers=[b[:1000], b[1000:]])", seen)
        took = time.perf_counter() - start
    print(
        f"\n64 MB of buffers: {found.get('size')} bytes, equal: {found.get('got') == found.get('wanted')}, {took:.2f} s"
    )
    server.end_kernel(kernel_id)


def stopped_reader(server: Server, spec: str) -> None:
    """Print what 300 MB for a browser that stopped reading cost the server and the host."""
    kernel_id = server.start_kernel(spec)
    host = server.host()
    with Cells(server, kernel_id, receive_buffer=65536) as cells:
        cells.run(_COMM + f"b = os.urandom({MB})")
        before = server.rss(), host.rss()
        peak = list(before)
        request = cells.execute("for n in range(300): c.send({'n': n}, buffers=[b])")
        _watch(lambda: server.call("GET", f"api/kernels/{kernel_id}")["execution_state"] == "idle", server, peak)
        count = 0
        while True:
            message = cells.read()
            count += message.kind == "comm_msg"
            if message.parent == request and message.kind == "status" and b'"idle"' in message.content:
                break
    growth = [(now - then) / MB for now, then in zip(peak, before, strict=True)]
    print(f"\n300 MB to a reader that stopped: server +{growth[0]:.1f} MB, host +{growth[1]:.1f} MB;")
    print(f"  {count} of 300 messages and idle arrived once it read again")
    server.end_kernel(kernel_id)


def _watch(idle: Callable[[], bool], server: Server, peak: list[int]) -> None:
    """Sample memory until the kernel has been idle for two seconds (at most two minutes)."""
    host, end, since = server.host(), time.monotonic() + 120, 0.0
    while time.monotonic() < end:
        peak[:] = [max(peak[0], server.rss()), max(peak[1], host.rss())]
        if not idle():
            since = 0.0
        elif not since:
            since = time.monotonic()
        elif time.monotonic() - since > 2:
            return
        time.sleep(0.02)
