"""Transfers to and from a kernel that has other things to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_sessions.client import SessionHandle, waiting
from jupyter_sessions.model.errors import DeadlineExceeded
from tests.client.moving import answer, session, under_way


@pytest.fixture(scope="module")
def handle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionHandle]:
    """Run one session for this module."""
    with session(tmp_path_factory.mktemp("server")) as made:
        yield made


@contextlib.contextmanager
def busy(handle: SessionHandle, gate: Path) -> Iterator[None]:
    """Keep the kernel busy until the gate is a file, and at the longest until the block ends."""
    code = f"import os, time\nprint('on')\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)"
    execution = handle.start(code)
    next(execution)
    try:
        yield
    finally:
        gate.touch()
        execution.result(60)


@pytest.mark.parametrize("known", [False, True])
def test_a_busy_kernel_is_waited_for_so_long_and_nothing_is_half_done(
    handle: SessionHandle, tmp_path: Path, known: bool
) -> None:
    handle.connect().restart()
    if known:
        handle.push(value="old")
    else:
        handle.run("value = 'old'")
    file = tmp_path / "file"
    file.write_text("text")
    with busy(handle, tmp_path / "gate"):
        with pytest.raises(DeadlineExceeded, match=r"gave no answer for 0\.2 s; it may be busy with other code"):
            handle.push(value="new", timeout=0.2)
        with pytest.raises(DeadlineExceeded, match="busy"):
            handle.pull("value", timeout=0.2)
        with pytest.raises(DeadlineExceeded, match="busy"):
            handle.upload(file, str(tmp_path / "there"), timeout=0.2)
        with pytest.raises(DeadlineExceeded, match="busy"):
            handle.download(str(file), tmp_path / "here", timeout=0.2)
    assert answer(handle, "print(value)") == "old"
    assert under_way(handle) == "0"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "gate"]


def test_a_wait_is_told_once_and_ends_when_the_kernel_is_free(
    handle: SessionHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "SOON", 0.1)
    file = tmp_path / "file"
    file.write_text("text")
    gate, told = tmp_path / "gate", []

    def tell() -> None:
        told.append("waits")
        gate.touch()

    with busy(handle, gate):
        handle.upload(file, str(tmp_path / "there"), on_wait=tell, timeout=60)
    assert told == ["waits"] and (tmp_path / "there").read_text() == "text"
    handle.download(str(tmp_path / "there"), tmp_path / "here", on_wait=tell)
    assert told == ["waits"] and (tmp_path / "here").read_text() == "text"
