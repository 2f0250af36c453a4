"""Files to and from where a session's kernel runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_sessions.client import SessionHandle, TransferRefused, transfer
from jupyter_sessions.model.errors import NotFound
from tests.client.moving import answer, session, under_way


@pytest.fixture(scope="module")
def handle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionHandle]:
    """Run one session for this module."""
    with session(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture
def there(handle: SessionHandle, tmp_path: Path) -> Path:
    """Give an empty directory that is the kernel's working directory."""
    folder = tmp_path / "there"
    folder.mkdir()
    handle.run(f"import os; os.chdir({str(folder)!r})")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty directory that is this process's own."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_a_large_file_goes_there_and_comes_back_equal(handle: SessionHandle, there: Path, here: Path) -> None:
    data = os.urandom(20_000_000)
    (here / "data.bin").write_bytes(data)
    (here / "data.bin").chmod(0o750)
    told: list[tuple[int, int]] = []
    sent = handle.upload("data.bin", progress=lambda done, total: told.append((done, total)))
    assert sent == transfer.Sent(str(there / "data.bin"), "file", len(data))
    assert (there / "data.bin").read_bytes() == data
    assert (there / "data.bin").stat().st_mode & 0o777 == 0o750
    assert told[-1] == (len(data), len(data)) and len(told) > 5 and told == sorted(told)
    (here / "data.bin").unlink()
    told.clear()
    path = handle.download("data.bin", progress=lambda done, total: told.append((done, total)))
    assert path.resolve() == here / "data.bin" and path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o750
    assert told[-1] == (len(data), len(data)) and len(told) > 5 and told == sorted(told)
    assert os.listdir(here) == os.listdir(there) == ["data.bin"]
    assert under_way(handle) == "0"


@pytest.mark.parametrize(
    ("target", "place"),
    [("", "a.txt"), ("in", "in/a.txt"), ("in/", "in/a.txt"), ("in/b.txt", "in/b.txt"), ("b.txt", "b.txt")],
)
def test_a_target_is_a_directory_or_a_name(
    handle: SessionHandle, there: Path, here: Path, target: str, place: str
) -> None:
    for folder in (here, there):
        (folder / "in").mkdir()
    (here / "a.txt").write_text("text")
    handle.upload(here / "a.txt", target)
    assert (there / place).read_text() == "text"
    (there / "a.txt").write_text("other")
    assert handle.download("a.txt", target).resolve() == here / place
    assert (here / place).read_text() == "other"


def test_absolute_paths_and_home_are_understood(handle: SessionHandle, there: Path, here: Path) -> None:
    (here / "a").write_bytes(b"")
    handle.upload("a", str(there / "b"))
    assert (there / "b").read_bytes() == b""
    assert handle.download(str(there / "b")).resolve() == here / "b"
    handle.run(f"os.environ['HOME'] = {str(there)!r}")
    assert handle.upload("a", "~/c").name == str(there / "c")


def test_what_cannot_be_is_refused_with_the_remedy(handle: SessionHandle, there: Path, here: Path) -> None:
    (here / "folder").mkdir()
    (there / "folder").mkdir()
    (here / "a").write_text("a")
    (there / "a").write_text("a")
    packed = r"folder is a directory; pack it into one file first: tar -czf folder\.tgz folder"
    with pytest.raises(TransferRefused, match=packed):
        handle.upload("folder")
    with pytest.raises(TransferRefused, match=packed):
        handle.download("folder")
    with pytest.raises(TransferRefused, match=r"a cannot be uploaded: there is no directory .*missing; make it first"):
        handle.upload("a", "missing/a")
    with pytest.raises(
        TransferRefused, match=r"a cannot be downloaded: there is no directory .*missing; make it first"
    ):
        handle.download("a", "missing/a")
    with pytest.raises(TransferRefused, match="nothing cannot be read: No such file or directory; check the path"):
        handle.upload("nothing")
    with pytest.raises(NotFound, match=r"no file nothing where the kernel runs \(.*there\); check the path"):
        handle.download("nothing")
    assert sorted(os.listdir(here)) == sorted(os.listdir(there)) == ["a", "folder"]
    assert under_way(handle) == "0"


def test_a_transfer_that_is_stopped_leaves_nothing(handle: SessionHandle, there: Path, here: Path) -> None:
    data = bytes(20_000_000)
    (here / "up").write_bytes(data)
    (there / "down").write_bytes(data)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        handle.upload("up", progress=stop)
    assert under_way(handle) == "0"
    with pytest.raises(KeyboardInterrupt):
        handle.download("down", progress=stop)
    assert under_way(handle) == "0"
    assert os.listdir(here) == ["up"] and os.listdir(there) == ["down"]


def test_a_file_in_the_way_is_replaced_when_the_new_one_is_whole(
    handle: SessionHandle, there: Path, here: Path
) -> None:
    (here / "a").write_text("new")
    (there / "a").write_text("old")
    seen: list[str] = []
    handle.upload("a", progress=lambda done, total: seen.append((there / "a").read_text()))
    assert seen == ["old"] and (there / "a").read_text() == "new"
    assert answer(handle, "print(open('a').read())") == "new"
