"""``%session`` in a local kernel, towards a real server: what each command does and says."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbclient.exceptions import CellExecutionError

from tests.magics.local import LocalKernel, Ran, printed, run_notebook
from tests.real.server import PARENT, TOKEN, RealServer


def told(ran: Ran) -> str:
    """Give the last line that a cell told, as a terminal would show it."""
    return str(ran.of("display_data", "update_display_data")[-1]["data"]["text/plain"])


def test_a_life_by_magic(server: RealServer, kernel: LocalKernel) -> None:
    created = kernel.run(
        "%session create magic-life --label team=fx --ttl 8h --idle-ttl 90m --property local:env.A=1 "
        "--display-name 'A life' --attach"
    )
    assert told(created) == "magic-life is ACTIVE and is what %%session uses"
    steps = [content["data"]["text/plain"] for content in created.of("display_data", "update_display_data")]
    assert steps[0].startswith("magic-life is CREATING: "), "its steps are told as they come"
    assert len({content["transient"]["display_id"] for content in created.of("display_data")}) == 1, "in one place"
    made = server.session("magic-life")
    assert made["labels"] == {"team": "fx"} and made["runtimeConfig"]["properties"] == {"local:env.A": "1"}
    assert made["environmentConfig"]["executionConfig"] == {"ttl": "28800s", "idleTtl": "5400s"}
    assert made["jupyterSession"]["displayName"] == "A life"

    info = told(kernel.run("%session info"))
    assert "● ACTIVE" in info and "team:fx" in info and "28800s" in info
    assert "or after 1 h 30 m idle" in told(kernel.run("%session extend --ttl 12h"))
    assert server.session("magic-life")["environmentConfig"]["executionConfig"]["ttl"] == "43200s"
    assert "has no kernel" in told(kernel.run("%session kernels"))
    history = told(kernel.run("%session history magic-life"))
    assert history.index("CREATING") < history.index("ACTIVE")
    kernel.run("%session logs")

    assert told(kernel.run("%session terminate")).startswith("magic-life is TERMINATED")
    assert server.session("magic-life")["state"] == "TERMINATED"
    failed = kernel.run("%session attach magic-life", ok=False)
    assert failed.reply["ename"] == "FailedPrecondition" and "attach a live one" in failed.reply["evalue"]
    taken = kernel.run("%session create magic-life", ok=False).reply["evalue"]
    assert "it ended" in taken and "add --replace, or delete it first (%session delete magic-life)" in taken
    assert told(kernel.run("%session create magic-life --replace")).endswith("magic-life is ACTIVE")
    live = kernel.run("%session create magic-life --replace", ok=False).reply["evalue"]
    assert "magic-life is ACTIVE: only one that has ended is replaced" in live
    guessed = kernel.run("%session info magic-lief", ok=False).reply["evalue"]
    assert "there is no session magic-lief" in guessed and "did you mean magic-life?" in guessed
    assert "is gone" in told(kernel.run("%session delete magic-life"))
    assert server.call("GET", "projects/local/locations/local/sessions/magic-life", ok=False)["error"]["code"] == 404


def shown_until(kernel: LocalKernel, display: str, words: str) -> None:
    """Wait until what a cell shows in one place holds words, be it that the cell has ended."""
    for message in kernel.messages():
        content = message["content"]
        there = message["msg_type"] in ("display_data", "update_display_data")
        if there and content["transient"].get("display_id") == display and words in content["data"]["text/plain"]:
            return


def test_the_table_follows_what_starts_and_ends(server: RealServer, kernel: LocalKernel) -> None:
    kernel.run("%session create magic-table --no-wait")
    asked = kernel.begin("%session")
    first = next(
        message["content"]
        for message in kernel.messages()
        if message["msg_type"] == "display_data" and message["parent_header"]["msg_id"] == asked
    )
    assert set(first["data"]) == {"text/html", "text/plain"}
    if "● ACTIVE" not in first["data"]["text/plain"]:
        shown_until(kernel, first["transient"]["display_id"], "● ACTIVE")
    (again,) = kernel.run("%session list").of("display_data")
    display = again["transient"]["display_id"]
    assert display != first["transient"]["display_id"], "the next table is another, and alone goes on"
    server.call("POST", f"{PARENT}/sessions/magic-table:terminate")
    shown_until(kernel, display, "■ TERMINATED")


def test_a_list_can_be_narrowed(server: RealServer, kernel: LocalKernel) -> None:
    server.create("magic-table-two")
    again = kernel.run("%session list --filter 'state = ACTIVE'")
    assert "magic-table-two" in told(again)


def test_faults_are_words_and_fail_the_cell(server: RealServer, kernel: LocalKernel) -> None:
    faults = {
        "%session bogus": ("InvalidArgument", "%session has no command 'bogus'; there are: list, create"),
        "%session create --bogus": ("InvalidArgument", "unrecognized arguments: --bogus"),
        "%session create X": ("InvalidArgument", "sessionId"),
        "%session info not-there": ("NotFound", "make it with: %session create not-there"),
        "%session push nothing_here --session not-there": ("NotFound", "there is no variable nothing_here here"),
        "%session extend magic-none": ("InvalidArgument", "give --ttl, --idle-ttl or both"),
        "%%session not-there\n1": ("NotFound", "make it with: %session create not-there"),
        "%%session -i nothing_here\n1": ("NotFound", "there is no variable nothing_here here"),
        "%%session not-there -o 1x\n1": ("InvalidArgument", "-o needs the name of a variable, not '1x'"),
        "%%session --limit much\n1": ("InvalidArgument", "--limit: must be bytes"),
    }
    for code, (name, words) in faults.items():
        ran = kernel.run(code, ok=False)
        assert (ran.reply["status"], ran.reply["ename"]) == ("error", name), code
        assert words in ran.reply["evalue"], code
        assert len(ran.reply["traceback"]) == 1, "the frames of this package tell nobody anything"


def test_what_is_not_there_says_what_lists_it(server: RealServer, kernel: LocalKernel) -> None:
    for command in ("kernels not-there", "logs not-there", "extend not-there --ttl 3h", "terminate not-there"):
        ran = kernel.run(f"%session {command}", ok=False)
        assert ran.reply["ename"] == "NotFound"
        assert ran.reply["traceback"][0].endswith("does not exist\nThose that there are: %session list --all"), command


def test_lengths_and_counts_are_refused_by_the_name_of_their_option(server: RealServer, kernel: LocalKernel) -> None:
    server.create("magic-refused")
    faults = {
        "create magic-never --ttl never": "--ttl: must be seconds, or a number with",
        "extend magic-refused --idle-ttl never": "--idle-ttl: must be seconds, or a number with",
        "logs magic-refused --tail -5": "--tail: must be 0 or more, not -5",
    }
    for command, words in faults.items():
        ran = kernel.run(f"%session {command}", ok=False)
        assert ran.reply["ename"] == "InvalidArgument" and words in ran.reply["evalue"], command


def test_an_interrupt_starts_no_kernel(server: RealServer, kernel: LocalKernel) -> None:
    server.create("magic-quiet")
    for which, words in (("main", "has no kernel"), ("new", "has no kernel 'new'"), ("nope", "has no kernel 'nope'")):
        ran = kernel.run(f"%session interrupt magic-quiet --kernel {which}", ok=False)
        assert ran.reply["ename"] == "NotFound" and words in ran.reply["evalue"]
    assert server.call("GET", f"{PARENT}/sessions/magic-quiet/kernels")["kernels"] == []
    kernel.run(
        "%%session magic-quiet --background run\nimport time\nprint('on', flush=True)\nwhile True: time.sleep(0.01)"
    )
    kernel.run(
        "import time\nend = time.monotonic() + 60\nwhile not run.text and time.monotonic() < end: time.sleep(0.01)"
    )
    assert told(kernel.run("%session interrupt magic-quiet")).startswith("interrupted kernel ")
    assert kernel.run("run.wait(60)", ok=False).reply["ename"] == "KeyboardInterrupt"


def test_a_token_is_asked_of_a_person(server: RealServer, kernel: LocalKernel) -> None:
    line = f"%session connect --url {server.url} --ask-token"
    refused = kernel.run(line, ok=False)
    assert refused.reply["ename"] == "FailedPrecondition" and "JUPYTER_SESSIONS_TOKEN" in refused.reply["evalue"]
    asked = kernel.begin(line, asks=True)
    assert kernel.client.get_stdin_msg(timeout=60)["content"] == {"prompt": "Token: ", "password": True}
    kernel.client.input(TOKEN)
    assert told(kernel.finish(asked)).startswith(f"connected to {server.url}")


def test_without_a_name_and_with_several_sessions_it_lists_them(server: RealServer, kernel: LocalKernel) -> None:
    for name in ("magic-many-a", "magic-many-b"):
        server.create(name)
    ran = kernel.run("%%session\n1", ok=False)
    assert ran.reply["ename"] == "FailedPrecondition"
    assert "magic-many-a" in ran.reply["evalue"] and "%session attach NAME" in ran.reply["evalue"]


def test_connecting_elsewhere(server: RealServer, kernel: LocalKernel) -> None:
    assert told(kernel.run(f"%session connect --url {server.url}/lab")).startswith(f"connected to {server.url}, ")
    ran = kernel.run("%session connect --url http://127.0.0.1:1", ok=False)
    assert ran.reply["ename"] == "ServerGone"
    server.create("magic-connect")
    assert "magic-connect" in told(kernel.run("%session list")), "the server that was connected is still the one"


def test_completion_of_the_words(server: RealServer, kernel: LocalKernel) -> None:
    server.create("magic-complete")
    assert kernel.complete("%session cr")["matches"] == ["create"]
    assert "--idle-ttl" in kernel.complete("x = 1\n%session extend magic-complete --")["matches"]
    found = kernel.complete("%session info magic-com")
    assert found["matches"] == ["magic-complete"]
    assert (found["cursor_start"], found["cursor_end"]) == (14, 23)
    assert "magic-complete" in kernel.complete("%%session magic")["matches"]
    assert kernel.complete("%session help te")["matches"] == ["terminate"]
    kernel.run("a_variable = 1")
    assert kernel.complete("%session push a_var")["matches"] == ["a_variable"]
    assert kernel.complete("import o")["matches"], "what is not ours is answered as before"


def test_help(kernel: LocalKernel) -> None:
    assert "usage: %session [COMMAND]" in kernel.run("%session help").text()
    assert "usage: %session create" in kernel.run("%session create --help").text()
    (page,) = kernel.run("%session?").reply["payload"]
    assert "a cell that begins with %%session" in page["data"]["text/plain"].lower()
    (page,) = kernel.run("%%session?").reply["payload"]
    assert "--background" in page["data"]["text/plain"]
    assert "Make a session" in kernel.inspect("%session")["data"]["text/plain"]


def test_unloading_takes_all_of_it_away(kernel: LocalKernel) -> None:
    kernel.run("%unload_ext jupyter_sessions")
    assert kernel.run("%session", ok=False).text("stderr").count("not found") == 1
    assert kernel.complete("%session cr")["matches"] == []
    assert kernel.run("'do_inspect' in get_ipython().kernel.__dict__").shown[0]["text/plain"] == "False"
    kernel.run("%load_ext jupyter_sessions\n%load_ext jupyter_sessions\n%reload_ext jupyter_sessions")
    assert kernel.complete("%session cr")["matches"] == ["create"]


def test_in_a_notebook(server: RealServer, tmp_path: Path) -> None:
    made = run_notebook(["%load_ext jupyter_sessions", "%session create magic-book", "%session list"], server, tmp_path)
    (steps,) = made.cells[1].outputs
    assert steps.data["text/plain"] == "magic-book is ACTIVE", "the steps end as the last one"
    assert "magic-book" in made.cells[2].outputs[0].data["text/html"] and not printed(made.cells[2], "stderr")
    with pytest.raises(CellExecutionError) as caught:
        run_notebook(["%load_ext jupyter_sessions", "%session info not-there"], server, tmp_path)
    assert caught.value.ename == "NotFound" and "%session create not-there" in caught.value.evalue
