"""Code run in a session's kernel by a program: outputs, errors, input, interrupts, threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from jupyter_sessions.client import ExecutionFailed, SessionHandle, SessionsClient
from jupyter_sessions.client.execution import Output
from jupyter_sessions.model.errors import DeadlineExceeded, NotFound
from tests.real.server import TOKEN, RealServer, real_server, wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Run one server for this module."""
    with real_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def shared(server: RealServer) -> Iterator[SessionHandle]:
    """Give one session for what leaves nothing behind."""
    with SessionsClient(server.url, TOKEN) as client, client.session("shared") as session:
        yield session


def test_what_is_printed_shown_and_given_back(shared: SessionHandle) -> None:
    show = "display({'text/html': '<b>', 'text/plain': 'b'}, raw=True)"
    result = shared.run(f"import sys\nprint('out')\nprint('err', file=sys.stderr)\n{show}\n6 * 7")
    assert result.status == "ok" and result.error is None and result.kernel_id
    assert [one.type for one in result.outputs] == ["stream", "stream", "display_data", "execute_result"]
    assert {one.content["name"]: one.text for one in result.outputs[:2]} == {"stdout": "out\n", "stderr": "err\n"}
    assert result.outputs[2].content["data"] == {"text/html": "<b>", "text/plain": "b"}
    assert result.data == {"text/plain": "42"} and result.text.endswith("42\n")
    assert shared.run("_ + 1").data["text/plain"] == "43", "the kernel is the same"
    again = shared.run("1")
    assert again.execution_count is not None and result.execution_count is not None
    assert again.execution_count > result.execution_count


def test_outputs_need_not_be_kept(shared: SessionHandle) -> None:
    execution = shared.connect().execute("for n in range(3): print(n)\ndisplay('shown')\n6 * 7", keep=False)
    assert {one.type for one in execution} == {"stream", "display_data", "execute_result"}
    result = execution.result()
    assert [one.type for one in result.outputs] == ["execute_result"] and result.data == {"text/plain": "42"}


def test_outputs_arrive_before_the_end(shared: SessionHandle) -> None:
    execution = shared.start("print('first', flush=True)\nanswer = input('and? ')\nprint(answer)", on_input=typed)
    asked.clear()
    outputs = [one.text for one in execution]
    assert asked == [("and? ", False)] and "".join(outputs) == "first\nyes\n"
    assert execution.done and execution.result().status == "ok" and list(execution) == []


asked: list[tuple[str, bool]] = []


def typed(prompt: str, password: bool) -> str:
    """Answer a prompt."""
    asked.append((prompt, password))
    return "yes"


def test_input_without_anybody_to_ask_fails_in_words(shared: SessionHandle) -> None:
    with pytest.raises(ExecutionFailed, match="input"):
        shared.run("input('name? ')")


def test_an_error_is_raised_with_its_remote_traceback(shared: SessionHandle) -> None:
    with pytest.raises(ExecutionFailed, match="ZeroDivisionError: division by zero") as failed:
        shared.run("def f():\n    return 1 / 0\nprint('before')\nf()")
    assert failed.value.ename == "ZeroDivisionError" and any("f()" in line for line in failed.value.traceback)
    result = shared.run("print('before')\n1 / 0", check=False)
    assert result.status == "error" and result.error is not None and result.text == "before\n"


def test_a_hundred_thousand_lines_come_whole_and_in_order(shared: SessionHandle) -> None:
    told: list[Output] = []
    result = shared.run("for number in range(100_000):\n    print(number)", on_output=told.append)
    assert result.text == "".join(f"{number}\n" for number in range(100_000))
    assert "".join(one.text for one in told) == result.text and len(result.outputs) == 1


def test_running_code_is_interrupted(shared: SessionHandle) -> None:
    execution = shared.start("import time\nprint('on\\n', end='', flush=True)\nwhile True: time.sleep(0.01)")
    assert next(execution).text == "on\n"
    execution.interrupt()
    result = execution.result(60)
    assert result.error is not None and result.error.ename == "KeyboardInterrupt"
    assert shared.run("'still there'").data["text/plain"] == "'still there'"


def test_a_wait_that_is_too_short_leaves_the_code_running(shared: SessionHandle) -> None:
    execution = shared.start("import threading\ngate = threading.Event()\nprint('on', flush=True)\ngate.wait(60)")
    next(execution)
    with pytest.raises(DeadlineExceeded, match="goes on"):
        execution.result(0.2)
    execution.interrupt()
    assert execution.result(60).status == "error"


def test_what_follows_a_failure_is_aborted(shared: SessionHandle) -> None:
    first = shared.start("import time\ntime.sleep(0.3)\n1 / 0")
    second = shared.start("print('never')")
    assert first.result(60).status == "error"
    result = second.result(60)
    assert result.status == "aborted" and result.outputs == []


def test_threads_share_a_connection(shared: SessionHandle) -> None:
    results: dict[int, str] = {}

    def run(number: int) -> None:
        results[number] = shared.run(f"print({number})").text

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {number: f"{number}\n" for number in range(8)}


def test_buffers_and_updates_come_along(shared: SessionHandle) -> None:
    shown_twice = "h = display('one', display_id=True)\nh.update('two')"
    result = shared.run(f"from IPython.display import clear_output\n{shown_twice}\nclear_output()")
    assert [one.type for one in result.outputs] == ["display_data", "update_display_data", "clear_output"]
    content = "'display_data', {'data': {}, 'metadata': {}}, k.get_parent(), buffers=[b'ab']"
    code = f"k = get_ipython().kernel\nsent = k.session.send(k.iopub_socket, {content})"
    (shown,) = shared.run(code).outputs
    assert [bytes(one) for one in shown.buffers] == [b"ab"]


def test_what_is_asked_of_a_kernel(shared: SessionHandle) -> None:
    connection = shared.connect()
    assert connection.kernel_info()["language_info"]["name"] == "python"
    assert "print" in connection.complete("pri", 3)["matches"]
    assert connection.inspect("print", 5)["found"]
    shared.run("kept = 1")
    assert any(entry[2][0] == "kept = 1" for entry in connection.history())


def test_main_new_and_named_kernels(server: RealServer) -> None:
    with SessionsClient(server.url, TOKEN) as client, client.session("kernels-1") as session:
        assert list(session.kernels()) == []
        main = session.run("x = 1").kernel_id
        assert [one["id"] for one in session.kernels()] == [main]
        other = session.connect("new").kernel_id
        assert other != main and session.run("'x' in globals()", kernel=other).data["text/plain"] == "False"
        assert session.run("x", kernel=main[:8]).data["text/plain"] == "1"
        with pytest.raises(NotFound, match=main):
            session.run("x", kernel="nothing")
        client.update("kernels-1", {"labels": {"main-kernel": other}}, ["labels.main-kernel"])
        with SessionsClient(server.url, TOKEN).session("kernels-1") as marked:
            assert marked.run("1").kernel_id == other
            marked.connect().shutdown()
            wait_for(lambda: len(marked.kernels()) == 1, "the marked kernel to be gone")
            assert SessionHandle(marked.client, marked.refresh()).run("x").data["text/plain"] == "1"
            marked.client.close()


def test_two_programs_at_once_get_one_main_kernel(server: RealServer) -> None:
    clients = [SessionsClient(server.url, TOKEN) for _ in range(2)]
    first = clients[0].session("kernels-2")
    handles = [first, clients[1].session("kernels-2")]
    ids: list[str] = []
    threads = [threading.Thread(target=lambda handle=one: ids.append(handle.run("1").kernel_id)) for one in handles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ids) == 2 and len(set(ids)) == 1
    wait_for(lambda: [one["id"] for one in first.kernels()] == ids[:1], "the other kernel to be gone")
    for handle, client in zip(handles, clients, strict=True):
        handle.close()
        client.close()
