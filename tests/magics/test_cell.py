"""``%%session``: cells of a local kernel that run in a session, as a front end and nbclient see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nbclient.exceptions import CellExecutionError

from tests.magics.local import LocalKernel, local_kernel, printed, run_notebook
from tests.real.server import RealServer, wait_for

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def kernel(server: RealServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKernel]:
    """Run one local kernel for the module; a session ``cells`` is attached to it."""
    server.create("cells")
    with local_kernel(server, tmp_path_factory.mktemp("kernel")) as running:
        running.run("%session attach cells\nimport time, os")
        yield running


def remote_kernels(server: RealServer, name: str) -> list[dict[str, Any]]:
    """Give the kernels of a session."""
    found: list[dict[str, Any]] = server.call("GET", f"projects/local/locations/local/sessions/{name}/kernels")[
        "kernels"
    ]
    return found


def test_a_cell_runs_there_and_says_where_once(server: RealServer, kernel: LocalKernel) -> None:
    code = "%%session cells\nimport os\nmarked = 'JUPYTER_SESSIONS_MARK' in os.environ\nprint(os.getpid(), marked)"
    first = kernel.run(code)
    pid, marked = first.text().split()
    assert marked == "True" and pid != kernel.run("print(os.getpid())").text().strip()
    (model,) = remote_kernels(server, "cells")
    assert [data["text/plain"] for data in first.shown] == [f"session cells, kernel {model['id']}"]
    again = kernel.run(code)
    assert again.text() == first.text() and again.shown == [], "the same kernel is not named again"
    other = kernel.run("%%session --kernel new\nprint(os.getpid() if 'os' in globals() else 'new')")
    assert other.text() == "new\n" and other.shown[0]["text/plain"] != first.shown[0]["text/plain"]
    new = other.shown[0]["text/plain"].rpartition(" ")[2]
    assert len(remote_kernels(server, "cells")) == 2
    assert kernel.run(f"%%session --kernel {new}\nx = 1").shown == []
    assert kernel.run("%%session --quiet\nprint(1)").shown == []
    assert kernel.run("%%session --kernel main\nprint(1)").shown != [], "named again after another"


def test_streams_arrive_before_the_cell_ends(kernel: LocalKernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    asked = kernel.begin(
        "%%session\nimport sys, time, pathlib\nprint('first', flush=True)\nprint('bad', file=sys.stderr, flush=True)\n"
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\nprint('last')"
    )
    seen = ""

    def look(message: dict[str, Any]) -> None:
        nonlocal seen
        if message["msg_type"] == "stream":
            seen += message["content"]["text"]
            if "first" in seen and "bad" in seen and not gate.exists():
                assert "last" not in seen
                gate.touch()

    ran = kernel.finish(asked, look)
    assert (ran.text(), ran.text("stderr")) == ("first\nlast\n", "bad\n")


def test_rich_outputs_updates_and_clearing(kernel: LocalKernel) -> None:
    ran = kernel.run(
        "%%session\nimport base64\nfrom IPython.display import HTML, Image, clear_output, display, update_display\n"
        f"display(Image(base64.b64decode({PNG!r})))\ndisplay(HTML('<b>bold</b>'), metadata={{'isolated': True}})\n"
        "display('one', display_id='mine')\nupdate_display('two', display_id='mine')\nclear_output(wait=True)\n"
        "{'a': [1]}"
    )
    image, bold, one, result = ran.of("display_data")
    assert image["data"]["image/png"].strip() == PNG
    assert bold["data"]["text/html"] == "<b>bold</b>" and bold["metadata"] == {"isolated": True}
    (two,) = ran.of("update_display_data")
    assert two["data"]["text/plain"] == "'two'"
    assert one["transient"]["display_id"] == two["transient"]["display_id"] != "mine"
    assert ran.of("clear_output") == [{"wait": True}]
    assert result["data"]["text/plain"] == "{'a': [1]}"
    kinds = [message["msg_type"] for message in ran.messages if message["msg_type"] in ("clear_output", "display_data")]
    assert kinds == ["display_data"] * 3 + ["clear_output", "display_data"], "in the order in which they were made"


def test_buffers_of_a_display_come_along(kernel: LocalKernel) -> None:
    ran = kernel.run(
        "%%session --quiet\npub = get_ipython().display_pub\ndef with_buffers(message):\n"
        "    message['buffers'] = [b'\\x00one', b'two']\n    return message\npub.register_hook(with_buffers)\n"
        "display('rich')\npub.unregister_hook(with_buffers)\ndisplay('plain')"
    )
    shown = {
        message["content"]["data"]["text/plain"]: [bytes(one) for one in message["buffers"]]
        for message in ran.messages
        if message["msg_type"] == "display_data"
    }
    assert shown == {"'rich'": [b"\x00one", b"two"], "'plain'": []}


def test_help_and_history_of_a_remote_cell(kernel: LocalKernel) -> None:
    (page,) = kernel.run("%%session\nimport textwrap\ntextwrap.dedent?").reply["payload"]
    assert "Remove any common leading whitespace" in page["data"]["text/plain"]


def test_an_error_is_the_remote_one(kernel: LocalKernel) -> None:
    ran = kernel.run("%%session\ndef divide(by):\n    return 1 / by\nprint('before')\ndivide(0)", ok=False)
    assert ran.text() == "before\n"
    assert (ran.reply["status"], ran.reply["ename"], ran.reply["evalue"]) == (
        "error",
        "ZeroDivisionError",
        "division by zero",
    )
    (shown,) = ran.of("error")
    trace = "\n".join(shown["traceback"])
    assert "divide" in trace and "jupyter_sessions" not in trace
    caught = kernel.run(
        "try:\n    get_ipython().run_cell_magic('session', '', '1/0')\nexcept Exception as error:\n"
        "    print(type(error).__name__, error, isinstance(error, __import__('jupyter_sessions.client', "
        "fromlist=['x']).ExecutionFailed))"
    )
    assert caught.text() == "ZeroDivisionError division by zero True\n"
    assert kernel.run("%%session\nprint('on')").text() == "on\n"


def test_variables_go_and_come_back(kernel: LocalKernel) -> None:
    kernel.run("limit = 10\nwords = {'a': [1, None, 'x']}")
    ran = kernel.run("%%session -i limit -i words -o total -o found\ntotal = sum(range(limit))\nfound = words['a']")
    assert ran.text() == ""
    assert kernel.run("print(total, found)").text() == "45 [1, None, 'x']\n"
    kernel.run("import pandas\nframe = pandas.DataFrame({'a': [1, 2], 'b': ['x', None]})")
    kernel.run("%session push frame limit\n%session pull frame total")
    assert kernel.run("print(list(frame.columns), total)").text() == "['a', 'b'] 45\n"
    failed = kernel.run("%%session -o never\n1/0", ok=False)
    assert failed.reply["ename"] == "ZeroDivisionError"
    missing = kernel.run("%%session -o total -o not_there\ntotal = 1", ok=False)
    assert missing.reply["ename"] == "NotFound" and "not_there" in missing.reply["evalue"]
    assert kernel.run("print(total)").text() == "45\n", "all that was asked for comes, or nothing"
    large = kernel.run("big = 'x' * 2_000_000\n%session push big --limit 1M", ok=False)
    assert large.reply["ename"] == "TransferRefused" and "big" in large.reply["evalue"]
    kernel.run("class Own:\n    pass\nvalue = {1, 2, 3}")
    refused = kernel.run("%%session -i value\nprint(value)", ok=False)
    assert refused.reply["ename"] == "TransferRefused"
    assert kernel.run("%%session -i value --pickle\nprint(value)").text() == "{1, 2, 3}\n"


def test_a_variable_for_a_busy_kernel_waits_and_says_so(kernel: LocalKernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    busy = f"import os, time\nprint('on')\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)"
    kernel.run(f"%%session --background run\n{busy}")

    def look(message: dict[str, Any]) -> None:
        if "may be busy with other code" in str(message["content"].get("data", "")):
            gate.touch()

    asked = kernel.begin("limit = 10\n%session push limit")
    assert "sent limit: json" in str(kernel.finish(asked, look).shown)
    assert kernel.run("%%session\nprint(limit)").text() == "10\n" and gate.exists()


def test_an_interrupt_ends_the_remote_cell(kernel: LocalKernel) -> None:
    asked = kernel.begin(
        "%%session\nimport time\ntry:\n    print('begun', flush=True)\n    while True: time.sleep(0.01)\n"
        "finally:\n    print('ended')"
    )

    def look(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and "begun" in message["content"]["text"]:
            kernel.interrupt()

    ran = kernel.finish(asked, look)
    assert ran.reply["ename"] == "KeyboardInterrupt"
    assert ran.text() == "begun\nended\n", "what it says while it ends is shown"
    assert kernel.run("%%session\nprint('on')").text() == "on\n"


def test_a_second_interrupt_lets_go(kernel: LocalKernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    asked = kernel.begin(
        "%%session\nimport time, pathlib\nprint('begun', flush=True)\n"
        f"while not pathlib.Path({str(gate)!r}).exists():\n    try:\n        time.sleep(0.01)\n"
        "    except KeyboardInterrupt:\n        print('no', flush=True)"
    )

    def look(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            kernel.interrupt()

    ran = kernel.finish(asked, look)
    assert ran.reply["ename"] == "KeyboardInterrupt"
    assert "Let go of the cell: it is still running in the session" in ran.text("stderr")
    gate.touch()
    assert kernel.run("%%session\nprint('on')").text() == "on\n"


def test_input_is_asked_here(kernel: LocalKernel) -> None:
    asked = kernel.begin("%%session\nimport getpass\nprint(input('name? '), getpass.getpass('word? '))", asks=True)
    for prompt, password, answer in (("name? ", False, "Ada"), ("word? ", True, "secret")):
        message = kernel.client.get_stdin_msg(timeout=60)
        assert message["content"] == {"prompt": prompt, "password": password}
        kernel.client.input(answer)
    assert kernel.finish(asked).text() == "Ada secret\n"
    refused = kernel.run("%%session\ninput('name? ')", ok=False)
    assert refused.reply["ename"] == "StdinNotImplementedError"


def test_code_is_completed_and_explained_there(kernel: LocalKernel) -> None:
    kernel.run("%%session\nimport json\nonly_there = json.dumps")
    code = "%%session --quiet\nx = 1\nonly_th"

    def completed() -> dict[str, Any] | None:
        # A kernel's first completion may take longer than a person at a front end is let wait.
        reply = kernel.complete(code)
        return reply if reply["matches"] == ["only_there"] else None

    found = wait_for(completed, "the remote kernel's completion")
    assert (found["cursor_start"], found["cursor_end"]) == (len(code) - 7, len(code))
    attributes = kernel.complete("%%session cells\nonly_there.__kwdef")
    assert [text.rpartition(".")[2] for text in attributes["matches"]] == ["__kwdefaults__"]
    help_there = kernel.inspect("%%session\nonly_there", len("%%session\nonly_"))
    assert help_there["found"] and "Serialize" in json.dumps(help_there["data"])
    assert not kernel.inspect("only_there")["found"], "it is not here"
    assert kernel.complete("%%session not-there\nimport o")["matches"], "without a kernel, as if we were not there"


def test_a_session_that_starts_is_waited_for_and_one_that_ended_is_said(
    server: RealServer, kernel: LocalKernel
) -> None:
    kernel.run("%session create cells-late --no-wait")
    ran = kernel.run("%%session cells-late\nprint('there')")
    assert ran.text() == "there\n"
    asked = kernel.begin("%%session cells-late\nimport time\nprint('begun', flush=True)\nwhile True: time.sleep(0.01)")

    def look(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and "begun" in message["content"]["text"]:
            server.call("POST", "projects/local/locations/local/sessions/cells-late:terminate", {})

    died = kernel.finish(asked, look)
    assert died.reply["ename"] in ("KernelDied", "SessionEnded"), died.reply
    assert "cells-late" in died.reply["evalue"]
    server.until("cells-late", "TERMINATED")
    ended = kernel.run("%%session cells-late\n1", ok=False)
    assert ended.reply["ename"] == "SessionEnded" and "TERMINATED" in ended.reply["evalue"]


def test_a_notebook_of_remote_cells(server: RealServer, tmp_path: Path) -> None:
    cells = [
        "%load_ext jupyter_sessions",
        "%session create cells-book --attach",
        "%%session\nfrom IPython.display import HTML\nprint('streamed')\nHTML('<i>x</i>')",
        "%%session -o total\ntotal = sum(range(10))",
        "print(total)",
        "%session terminate",
    ]
    made = run_notebook(cells, server, tmp_path)
    assert printed(made.cells[2]) == "streamed\n"
    assert made.cells[2].outputs[-1].data["text/html"] == "<i>x</i>"
    assert printed(made.cells[4]) == "45\n"
    with pytest.raises(CellExecutionError) as caught:
        run_notebook(["%load_ext jupyter_sessions", "%%session cells\nprint('x')\nint('y')"], server, tmp_path)
    assert (caught.value.ename, caught.value.evalue) == (
        "ValueError",
        "invalid literal for int() with base 10: 'y'",
    )


def test_the_session_is_not_asked_for_with_each_cell(server: RealServer, kernel: LocalKernel) -> None:
    kernel.run("%%session cells\n1")
    wait_for(lambda: remote_kernels(server, "cells"), "its kernel")
    kernel.run(
        "import jupyter_sessions.client.transport as transport\ncalls = []\nbefore = transport.Transport.call\n"
        "transport.Transport.call = lambda self, *a, **k: (calls.append(a), before(self, *a, **k))[1]"
    )
    kernel.run("%%session cells\n1")
    assert kernel.run("transport.Transport.call = before\nprint(calls)").text() == "[]\n"
