"""``%%session --background``: cells that run while the local kernel goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.magics.local import LocalKernel, Ran, local_kernel
from tests.real.server import RealServer

HELD = "import pathlib, time\nwhile not pathlib.Path({gate!r}).exists(): time.sleep(0.01)\n"


@pytest.fixture(scope="module")
def kernel(server: RealServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKernel]:
    """Run one local kernel for the module; a session ``behind`` is attached to it."""
    server.create("behind")
    with local_kernel(server, tmp_path_factory.mktemp("kernel")) as running:
        running.run("%session attach behind")
        yield running


def held(tmp_path: Path) -> tuple[Path, str]:
    """Give a file, and code that waits until it is there."""
    gate = tmp_path / "gate"
    return gate, HELD.format(gate=str(gate))


def test_a_cell_runs_behind_and_is_waited_for(kernel: LocalKernel, tmp_path: Path) -> None:
    gate, wait = held(tmp_path)
    begun = kernel.run(f"%%session --background run -o total\nprint('begun', flush=True)\n{wait}total = 41\ntotal + 1")
    assert "execute_result" not in [message["msg_type"] for message in begun.messages], "it is in its variable"
    assert kernel.run("print(run.done, 2 + 2)").text() == "False 4\n", "the local kernel goes on"
    late = kernel.run("run.wait(0.01)", ok=False)
    assert late.reply["ename"] == "DeadlineExceeded" and "wait again, or interrupt() it" in late.reply["evalue"]
    assert "wait() waits" in kernel.run("run").of("execute_result")[0]["data"]["text/plain"]
    gate.touch()
    ended = kernel.run("result = run.result(60)\nprint(result.status, result.data['text/plain'], run.text, total)")
    assert ended.text() == "ok 42 begun\n42\n 41\n"
    shown = kernel.run("run.show()")
    assert shown.text() == "begun\n" and shown.shown[-1]["text/plain"] == "42"
    assert ".result()" in kernel.run("run").of("execute_result")[0]["data"]["text/plain"]


def place_of(begun: Ran) -> str:
    """Give the display below a cell that is updated."""
    displays = (content["transient"].get("display_id") for content in begun.of("display_data"))
    (place,) = {display for display in displays if display}
    return str(place)


def until(kernel: LocalKernel, place: str, words: str) -> dict[str, Any]:
    """Wait until a display holds words, and give its MIME bundle."""
    for message in kernel.messages():
        content = message["content"]
        if message["msg_type"] == "update_display_data" and content["transient"]["display_id"] == place:
            data: dict[str, Any] = content["data"]
            if words in data["text/html"]:
                return data
    raise AssertionError(words)


def test_its_outputs_show_in_place(kernel: LocalKernel, tmp_path: Path) -> None:
    gate, wait = held(tmp_path)
    code = f"from IPython.display import HTML, display\nprint('<one>', flush=True)\n{wait}display(HTML('<b>two</b>'))"
    begun = kernel.run(f"%%session --background place\n{code}")
    gate.touch()
    data = until(kernel, place_of(begun), "ended after")
    assert "&lt;one&gt;" in data["text/html"] and "<b>two</b>" in data["text/html"], "text escaped, HTML as it is"
    assert data["text/plain"].startswith("<one>\n")
    kernel.run("place.wait()")


@pytest.mark.parametrize(
    ("names", "words"), [("-o first -o second", "; brought first, second"), ("-o nowhere", "ended with NotFound")]
)
def test_what_it_brings_is_there_when_it_ended(kernel: LocalKernel, tmp_path: Path, names: str, words: str) -> None:
    gate, wait = held(tmp_path)
    begun = kernel.run(f"%%session --background brings {names}\n{wait}first, second = 6, 7")
    gate.touch()
    until(kernel, place_of(begun), words)
    if "second" in names:
        assert kernel.run("print(first * second)").text() == "42\n"
    else:
        late = kernel.run("brings.wait()", ok=False)
        assert late.reply["ename"] == "NotFound" and "nowhere" in late.reply["evalue"]


def test_what_is_cleared_goes_as_in_a_notebook(kernel: LocalKernel) -> None:
    code = (
        "from IPython.display import clear_output, display\nprint(1)\nclear_output()\nprint(2, flush=True)\n"
        "clear_output(wait=True)\nprint(3, flush=True)\nclear_output(wait=True)"
    )
    kernel.run(f"%%session --background cleared\n{code}")
    assert kernel.run("cleared.wait(60)\nprint(cleared.text)").text() == "3\n\n", (
        "a clear that waits waits for an output"
    )


def test_several_at_a_time_and_one_that_fails(server: RealServer, kernel: LocalKernel, tmp_path: Path) -> None:
    gate, wait = held(tmp_path)
    kernel.run(f"%%session --background one --kernel new\n{wait}print('one')")
    kernel.run(f"%%session --background two --kernel new\n{wait}1/0")
    kernel.run("%%session --background three\nprint('three')")
    assert kernel.run("three.wait(60)\nprint(one.done, two.done, three.text)").text() == "False False three\n\n"
    gate.touch()
    assert kernel.run("one.wait(60)\nprint(one.text)").text() == "one\n\n"
    failed = kernel.run("two.wait(60)", ok=False)
    assert failed.reply["ename"] == "ZeroDivisionError"
    assert "failed with ZeroDivisionError" in kernel.run("two").of("execute_result")[0]["data"]["text/plain"]
    kernels = server.call("GET", "projects/local/locations/local/sessions/behind/kernels")["kernels"]
    assert len(kernels) == 3


def test_code_that_waits_its_turn_leaves_the_other_alone(kernel: LocalKernel, tmp_path: Path) -> None:
    gate, wait = held(tmp_path)
    kernel.run(f"%%session --background other\nprint('on', flush=True)\n{wait}print('whole')")
    kernel.run("%%session --background queued\nimport time\nwhile True: time.sleep(0.01)")
    kernel.run("queued.interrupt()")
    asked = kernel.begin("%%session\nimport time\nwhile True: time.sleep(0.01)")

    def look(message: dict[str, Any]) -> None:
        said = message["content"].get("text", "") if message["msg_type"] == "stream" else ""
        if "busy with other code" in said:
            kernel.interrupt()
        elif "will be interrupted as it begins" in said:
            gate.touch()

    ran = kernel.finish(asked, look)
    assert ran.reply["ename"] == "KeyboardInterrupt"
    assert kernel.run("print(other.wait(60).text)").text() == "on\nwhole\n\n"
    assert kernel.run("queued.wait(60)", ok=False).reply["ename"] == "KeyboardInterrupt"


def test_without_a_variable_it_is_the_cells_result(kernel: LocalKernel, tmp_path: Path) -> None:
    begun = kernel.run("%%session --background\nimport time\nwhile True: time.sleep(0.01)")
    assert begun.of("execute_result")[0]["data"]["text/plain"].startswith("<BackgroundRun running in session behind")
    ended = kernel.run("_.interrupt()\n_.wait(60)", ok=False)
    assert ended.reply["ename"] == "KeyboardInterrupt"


def test_a_word_that_is_no_variable_is_refused(kernel: LocalKernel) -> None:
    ran = kernel.run("%%session --background etl-nightly\n1", ok=False)
    assert "write the session's name before --background" in ran.reply["evalue"]


def test_a_session_that_dies_ends_what_runs_in_it(server: RealServer, kernel: LocalKernel) -> None:
    server.create("behind-short")
    kernel.run("%%session behind-short --background short\nimport time\nwhile True: time.sleep(0.01)")
    server.call("POST", "projects/local/locations/local/sessions/behind-short:terminate", {})
    ended = kernel.run("short.wait(60)", ok=False)
    assert ended.reply["ename"] == "KernelDied" and "behind-short" in ended.reply["evalue"]
