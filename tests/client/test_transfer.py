"""Values there and back through a real server and a session's kernel."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pandas
import polars
import pyarrow
import pytest

from jupyter_sessions.client import (
    KernelDied,
    SessionHandle,
    SessionsClient,
    TransferRefused,
    pieces,
    remote_program,
    transfer,
)
from jupyter_sessions.client.execution import Result
from jupyter_sessions.client.kernel import KernelConnection
from jupyter_sessions.client.pieces import FileSource
from jupyter_sessions.model.errors import NotFound
from jupyter_sessions.model.resources import Session
from tests.client.moving import answer, session, under_way
from tests.real.server import wait_for


@pytest.fixture(scope="module")
def handle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionHandle]:
    """Run one session for this module."""
    with session(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture
def fresh(handle: SessionHandle) -> SessionHandle:
    """Give the session with nothing of another test in its kernel."""
    handle.connect().restart()
    return handle


TIMES = pandas.date_range("2020", periods=3, freq="D", tz="UTC")
KINDS = {
    "json": {"a": [1, 2.5, None, True, "für"]},
    "bytes": b"\0\1" * 10,
    "numpy.ndarray": numpy.arange(12).reshape(3, 4),
    "numpy.scalar": numpy.float32(1.5),
    "pandas.DataFrame": pandas.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"]}, index=TIMES),
    "pandas.Series": pandas.Series([1.5, 2.5], name="s"),
    "polars.DataFrame": polars.DataFrame({"a": [1, None], "b": ["x", "y"]}),
    "polars.Series": polars.Series("s", [1, 2]),
    "pyarrow.Table": pyarrow.table({"a": [1, None]}),
    "pyarrow.RecordBatch": pyarrow.record_batch([pyarrow.array([1])], names=["a"]),
}


def equal(one: Any, other: Any) -> bool:
    """Say whether two values of any kind are the same."""
    if isinstance(one, numpy.ndarray):
        return bool(numpy.array_equal(one, other))
    return bool(one.equals(other) if hasattr(one, "equals") else one == other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_goes_there_and_comes_back(handle: SessionHandle, kind: str) -> None:
    value = KINDS[kind]
    (sent,) = handle.push(value=value)
    assert (sent.name, sent.kind) == ("value", kind) and sent.size > 0
    assert (
        answer(handle, "print(type(value).__name__, len(repr(value)))") == f"{type(value).__name__} {len(repr(value))}"
    )
    back = handle.pull("value")
    assert type(back) is type(value) and equal(back, value)


def test_a_value_of_many_frames_is_equal(handle: SessionHandle) -> None:
    frame = pandas.DataFrame(numpy.random.default_rng(1).random((300_000, 8)))
    assert frame.memory_usage().sum() > 4 * transfer.CHUNK
    handle.push(large=frame)
    assert answer(handle, "print(large.shape, large[7].sum())") == f"{frame.shape} {frame[7].sum()}"
    pandas.testing.assert_frame_equal(handle.pull("large"), frame)
    data = numpy.random.default_rng(2).bytes(3 * transfer.CHUNK)
    handle.push(data=data)
    assert handle.pull("data") == data
    assert under_way(handle) == "0"


def test_several_variables_go_at_once(handle: SessionHandle) -> None:
    assert [sent.name for sent in handle.push(one=1, two=[2])] == ["one", "two"]
    assert answer(handle, "print(one, two)") == "1 [2]"


def test_nothing_of_the_user_is_touched(fresh: SessionHandle) -> None:
    look = "print(sorted(globals()), len(In), get_ipython().execution_count)"
    fresh.run("40 + 2")
    before = fresh.run(look, store_history=False).text
    fresh.push(value=1)
    fresh.run("del value", store_history=False)
    assert fresh.pull("_") == 42
    assert fresh.run(look, store_history=False).text == before


def test_an_exec_of_the_users_own_is_not_called(fresh: SessionHandle) -> None:
    fresh.run("def exec(*words): raise SystemError\nimport builtins, sys, json\nsys, json = None, None")
    fresh.push(value=[1])
    assert fresh.pull("value") == [1]


def test_other_clients_of_the_kernel_get_nothing_of_it(handle: SessionHandle) -> None:
    heard: list[Any] = []
    kernel_id = handle.connect().kernel_id
    with KernelConnection(handle.client.transport, kernel_id, take=heard.append).open():
        data = bytes(2 * transfer.CHUNK)
        handle.push(data=data)
        handle.pull("data")
        handle.run("print('the end')")
        wait_for(lambda: any(each.content.get("text") == "the end\n" for each in heard), "the last output")
        assert {each.type for each in heard} == {"status", "execute_input", "stream"}
        assert sum(len(part) for each in heard for part in [*each.parts, *each.buffers]) < 100_000


def test_a_variable_that_is_not_there_is_named(handle: SessionHandle) -> None:
    handle.run("prices = 1")
    with pytest.raises(NotFound, match=r"no variable price in the kernel; did you mean prices\?"):
        handle.pull("price")
    with pytest.raises(NotFound, match="no variable zzzzzz in the kernel; run the cell that makes it first"):
        handle.pull("zzzzzz")


def test_a_name_that_is_none_is_refused(handle: SessionHandle) -> None:
    for name in ("1x", "a b", "class", "a.b"):
        with pytest.raises(TransferRefused, match="is no name of a variable; use letters, digits and _"):
            transfer.push(handle.connect(), name, 1)


def test_what_would_change_is_refused_in_either_direction(handle: SessionHandle) -> None:
    with pytest.raises(TransferRefused, match=r"value cannot be sent: it is of type tuple.*turn it into list"):
        handle.push(value=(1, 2))
    handle.run("value = {1, 2}")
    with pytest.raises(TransferRefused, match=r"value cannot be brought here: it is of type set.*or allow pickle"):
        handle.pull("value")


def test_the_limit_holds_in_either_direction_before_anything_is_sent(handle: SessionHandle) -> None:
    words = r"it takes 1\.0 MiB, more than the limit of 1\.0 KiB; send less of it, or raise the limit \(limit=1 << 20\)"
    with pytest.raises(TransferRefused, match=words):
        handle.push(value=bytes(1 << 20), limit=1024)
    handle.run("value = bytes(1 << 20)")
    with pytest.raises(TransferRefused, match=words):
        handle.pull("value", limit=1024)
    assert handle.pull("value", limit=1 << 20) == bytes(1 << 20)


def test_pickle_goes_where_it_is_allowed_and_the_session_is_the_users_own(handle: SessionHandle) -> None:
    value = {(1, 2): {3}}
    (sent,) = handle.push(value=value, pickle=True)
    assert sent.kind == "pickle"
    assert handle.pull("value", pickle=True) == value
    with pytest.raises(TransferRefused, match="of type"):
        handle.push(value=lambda: None)
    with pytest.raises(TransferRefused, match="cannot be pickled"):
        handle.push(value=lambda: None, pickle=True)


def test_pickle_is_refused_towards_a_session_of_somebody_else(handle: SessionHandle) -> None:
    client, own = handle.client, handle.refresh()
    assert transfer.own_session(client, own)
    for change in ({"creator": "eve"}, {"user": "eve"}, {"creator": ""}):
        assert not transfer.own_session(client, own.model_copy(update=change))
    words = "only towards a session that you made for yourself"
    with pytest.raises(TransferRefused, match=words):
        transfer.push(handle.connect(), "value", 1, pickle=True, own=False)
    with pytest.raises(TransferRefused, match=words):
        transfer.pull(handle.connect(), "value", pickle=True, own=False)


class Naming:
    """A client of a server that names the caller so."""

    def __init__(self, **identity: Any) -> None:
        self.transport = self
        self._identity = identity

    def call(self, method: str, path: str, **options: Any) -> Any:
        assert (method, path) == ("GET", "api/me")
        return {"identity": self._identity}


def test_whose_a_session_is_goes_by_the_servers_name_for_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def own(creator: str, user: str = "", **identity: Any) -> bool:
        client: Any = Naming(**identity)
        return transfer.own_session(client, Session(creator=creator, user=user))

    monkeypatch.setenv("JUPYTERHUB_USER", "owner")
    made_up = {"username": "0123456789abcdef" * 2, "name": "Anonymous Europa"}
    assert own("ann", "ann", username="ann", name="Ann") and own("ann", username="ann")
    assert own("owner", **made_up) and own("owner", username="anonymous")
    assert not own("ann", **made_up)
    assert not own("owner", username="ann")
    assert not own("ann", "bob", username="ann")
    assert not own("", username="")
    assert not own(made_up["username"], username=made_up["username"], name="Anonymous Europa")


def test_whose_a_session_is_needs_a_server_that_says_who_asks(handle: SessionHandle) -> None:
    with SessionsClient(handle.client.url, "a-wrong-token", location=str(handle.name.parent)) as stranger:
        assert not transfer.own_session(stranger, handle.resource)


def test_nothing_of_a_kernel_is_unpickled_unasked(handle: SessionHandle) -> None:
    # A kernel that answers with a pickle where none was allowed.
    name = remote_program.bring(handle.connect()).removesuffix("_request")
    trap = f"""
import sys, pickle
class Trap:
    def __reduce__(self):
        return exec, ("import sys; sys.modules['trap'] = sys",)
_values = sys.modules["{name}.values"]
_encode, _values.encode = _values.encode, lambda value, **options: _values.Encoded(
    "pickle", [pickle.dumps(Trap())], {{"parts": [], "body": len(pickle.dumps(Trap()))}})
"""
    handle.run(trap)
    try:
        with pytest.raises(TransferRefused, match="came as a pickle, which was not asked for"):
            handle.pull("Trap")
        assert "trap" not in sys.modules
    finally:
        handle.run("_values.encode = _encode")


def test_a_library_that_is_missing_is_named_with_its_end(fresh: SessionHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = KINDS["pandas.DataFrame"]
    fresh.push(frame=frame)
    fresh.run("import sys; sys.modules['pyarrow'] = None")
    there = "needs pyarrow, which is missing in the session's kernel; run %pip install pyarrow in it"
    for work in (lambda: fresh.push(frame=frame), lambda: fresh.pull("frame")):
        with pytest.raises(TransferRefused, match=there):
            work()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        TransferRefused, match="needs pyarrow, which is missing in this Python; run pip install pyarrow"
    ):
        fresh.push(frame=frame)
    fresh.run("del sys.modules['pyarrow']")
    with pytest.raises(TransferRefused, match="missing in this Python"):
        fresh.pull("frame")
    assert under_way(fresh) == "0"


class Broken(Exception):
    """What a source ends with."""


def test_a_transfer_that_breaks_off_sets_nothing_and_leaves_nothing(
    fresh: SessionHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.run("value = 'old'")
    data = bytes(5 * transfer.CHUNK)
    read = pieces.MemorySource.read

    def breaks(source: Any, most: int) -> Any:
        if source.size - sum(view.nbytes for view in source._left) > 2 * transfer.CHUNK:
            raise Broken
        return read(source, most)

    monkeypatch.setattr(pieces.MemorySource, "read", breaks)
    with pytest.raises(Broken):
        fresh.push(value=data)
    monkeypatch.undo()
    assert answer(fresh, "print(value)") == "old"
    assert under_way(fresh) == "0"
    fresh.push(value=data)

    def full(sink: Any, offset: int, buffers: Any) -> None:
        raise Broken

    monkeypatch.setattr(pieces.MemorySink, "write", full)
    with pytest.raises(Broken):
        fresh.pull("value")
    monkeypatch.undo()
    assert under_way(fresh) == "0"
    assert fresh.pull("value") == data


def test_a_kernel_that_dies_meanwhile_is_told(fresh: SessionHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.run("value = bytes(50_000_000)")
    write = pieces.MemorySink.write

    def kills(sink: Any, offset: int, buffers: Any) -> None:
        if offset == 0:
            threading.Thread(target=lambda: fresh.start("import os; os._exit(9)")).start()
        write(sink, offset, buffers)

    monkeypatch.setattr(pieces.MemorySink, "write", kills)
    with pytest.raises(KernelDied):
        fresh.pull("value")
    monkeypatch.undo()
    fresh.run("1")
    fresh.push(value=1)
    assert fresh.pull("value") == 1


def test_a_busy_kernel_is_waited_for(handle: SessionHandle, tmp_path: Path) -> None:
    flag = tmp_path / "go"
    waiting = f"import pathlib, time\nwhile not pathlib.Path({str(flag)!r}).exists(): time.sleep(0.01)\nvalue = 'cell'"
    running = handle.start(waiting)
    pushing = threading.Thread(target=lambda: handle.push(value="pushed"))
    pushing.start()
    flag.touch()
    running.result(60)
    pushing.join(60)
    assert handle.pull("value") == "pushed"


def test_clients_of_several_versions_use_one_kernel(fresh: SessionHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.push(value=1)
    first = remote_program.bring(fresh.connect())
    monkeypatch.setattr(remote_program, "_LAUNCH", remote_program._LAUNCH + "# another version\n")
    remote_program._program.cache_clear()
    try:
        assert fresh.pull("value") == 1
        assert remote_program.bring(fresh.connect()) != first
    finally:
        monkeypatch.undo()
        remote_program._program.cache_clear()
    assert remote_program.bring(fresh.connect()) == first
    assert fresh.pull("value") == 1


class OfR:
    """A connection to a kernel of another language."""

    def execute(self, code: str, **options: Any) -> Any:
        assert (code, options["silent"]) == ("", True), "nothing of Python is run in it"
        return self

    def result(self, timeout: float | None = None) -> Result:
        return Result("ok", [], "", reply={"status": "ok", "user_expressions": {}})

    def kernel_info(self, timeout: float | None = 60.0) -> dict[str, Any]:
        return {"language_info": {"name": "R"}}


def test_a_kernel_of_another_language_is_refused_in_words() -> None:
    foreign: Any = OfR()
    with pytest.raises(TransferRefused, match=r"transfers need a Python kernel \(ipykernel\), and this one speaks R"):
        transfer.push(foreign, "value", 1)


def test_an_upload_that_is_refused_leaves_no_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign: Any = OfR()
    opened: list[FileSource] = []

    def opening(path: str) -> FileSource:
        opened.append(FileSource(path))
        return opened[-1]

    monkeypatch.setattr(transfer, "FileSource", opening)
    (tmp_path / "file").touch()
    with pytest.raises(TransferRefused, match="this one speaks R"):
        transfer.upload(foreign, tmp_path / "file")
    assert [source._file.closed for source in opened] == [True]


def test_a_python_kernel_that_is_no_ipykernel_is_refused_in_words(fresh: SessionHandle) -> None:
    fresh.run("_kernel, get_ipython().kernel = get_ipython().kernel, None")
    with pytest.raises(TransferRefused, match=r"transfers need ipykernel in the session.*it is no ipykernel"):
        fresh.push(value=1)
    fresh.run("get_ipython().kernel = _kernel")


def test_a_cell_that_failed_before_does_not_abort_a_transfer(handle: SessionHandle) -> None:
    for _ in range(5):
        failing = handle.start("1/0")
        handle.push(value=5)
        assert failing.result().status == "error"
    assert handle.pull("value") == 5
