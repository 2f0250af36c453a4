"""A kernel of another language: no Unix sockets, no Python inside, the same channels."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from .serving import python_entry, serving, text_of

ECHO = """
import time
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class Echo(Kernel):
    implementation, implementation_version, banner = "echo", "1", "echo"
    language_info = {"name": "echo", "mimetype": "text/plain", "file_extension": ".txt"}
    asked = []

    def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False):
        self.asked.append(code)
        said = {"name": "stdout", "text": "%s %d" % (code, len(self.asked))}
        try:
            # Within: who hears it may interrupt before this thread has gone on.
            self.send_response(self.iopub_socket, "stream", said)
            if code == "sleep":
                time.sleep(60)
        except KeyboardInterrupt:
            return {"status": "error", "ename": "Interrupted", "evalue": "", "traceback": []}
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}


IPKernelApp.launch_instance(kernel_class=Echo)
"""


async def test_it_answers_is_interrupted_and_restarted(tmp_path: Path) -> None:
    program = tmp_path / "echo.py"
    program.write_text(ECHO)
    entry = python_entry(argv=[sys.executable, str(program), "-f", "{connection_file}"], language="echo")
    async with serving(kernels={"echo": entry}) as host:
        kernel = await host.start()
        async with host.channels(kernel) as channels:
            # The first it ever hears is the client's: the host asks nothing in a language it does not know.
            assert text_of(await channels.run("hello")) == "hello 1"
            request = await channels.execute("sleep")
            await channels.until(lambda m: bool(m["msg_type"] == "stream"))
            answers = asyncio.create_task(channels.answers(request))
            while not answers.done():
                # A signal that meets the kernel within a C callback is lost there, as a user's would be: ask again.
                assert (await host.request(f"/api/kernels/{kernel}/interrupt", "POST")).code == 204
                await asyncio.wait([answers], timeout=2)
            reply = [m["content"] for m in await answers if m["channel"] == "shell"]
            assert [content.get("ename") for content in reply] == ["Interrupted"]
            (before,) = host.kernels.pids()
            await host.json(f"/api/kernels/{kernel}/restart", "POST", {})
            assert host.kernels.pids() != [before]
            assert text_of(await channels.run("again")) == "again 1"
