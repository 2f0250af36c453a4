"""The kernel's end of a transfer by itself: pieces in order, nothing half made, nothing kept that was abandoned."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.client.pieces import FileSink, FileSource, MemorySink, MemorySource
from jupyter_sessions.client.remote_end import TICKS, RemoteEnd, install
from jupyter_sessions.client.values import Refused, encode

Ask = Callable[..., Mapping[str, Any]]


class Kernel:
    """The end that is tried, and the variables of its kernel."""

    def __init__(self) -> None:
        self.variables: dict[str, Any] = {}
        self.end = RemoteEnd(self.variables, self.variables.__setitem__)

    def ask(self, do: str, *buffers: Any, **content: Any) -> Mapping[str, Any]:
        """Give the content of an answer."""
        return self.end.answer({"do": do, "id": "1", **content}, buffers)[0]

    def read(self, most: int) -> bytes:
        """Give the next bytes."""
        return b"".join(map(bytes, self.end.answer({"do": "read", "id": "1", "most": most}, ())[1]))


def run(work: Callable[[Kernel], None]) -> None:
    """Do something with a kernel's end, where its loop is."""

    async def inside() -> None:
        work(Kernel())

    asyncio.run(inside())


def pushed(kernel: Kernel, data: bytes, **more: Any) -> Mapping[str, Any]:
    """Begin to push bytes called x; give the answer."""
    told = {"name": "x", "kind": "bytes", "size": len(data) + 2, "described": 2, "pickle": False}
    return kernel.ask("push", **{**told, **more})


def test_a_variable_is_set_when_all_is_there_and_right() -> None:
    def work(kernel: Kernel) -> None:
        assert pushed(kernel, b"abcdef") == {}
        assert kernel.ask("write", b"abc", b"de", offset=0) == {}
        assert kernel.ask("write", b"f{}", offset=5) == {}
        assert kernel.variables == {}
        assert kernel.ask("finish", checksum=zlib.crc32(b"abcdef{}")) == {}
        assert kernel.variables == {"x": b"abcdef"}
        assert "knows nothing of this transfer" in kernel.ask("finish", checksum=0)["message"]

    run(work)


@pytest.mark.parametrize(
    ("offset", "data", "checksum", "words"),
    [
        (0, b"abcdef{}", 1, "the checksums differ"),
        (0, b"abc", zlib.crc32(b"abc"), "only 3 of 8 bytes arrived"),
        (3, b"def{}", 0, "bytes 3 to 8 came where 0 of 8 were there"),
        (0, b"abcdefghi", 0, "bytes 0 to 9 came where 0 of 8 were there"),
    ],
    ids=["checksum", "short", "out of order", "long"],
)
def test_what_is_wrong_sets_no_variable_and_is_dropped(offset: int, data: bytes, checksum: int, words: str) -> None:
    def work(kernel: Kernel) -> None:
        pushed(kernel, b"abcdef")
        answers = [kernel.ask("write", data, offset=offset), kernel.ask("finish", checksum=checksum)]
        found = next(answer for answer in answers if "fault" in answer)
        assert found["fault"] == "refused" and words in found["message"] and "try again" in found["message"]
        assert kernel.variables == {}
        assert "knows nothing of this transfer" in kernel.ask("write", b"", offset=0)["message"]

    run(work)


def test_a_value_is_given_as_it_was_when_it_was_asked_for() -> None:
    def work(kernel: Kernel) -> None:
        kernel.variables["x"] = bytearray(b"abcdef")
        found = kernel.ask("pull", name="x", pickle=False, limit=100)
        assert (found["kind"], found["size"], found["described"]) == ("bytearray", 8, 2)
        kernel.variables["x"][0:3] = b"---"
        assert kernel.read(4) + kernel.read(100) == b"abcdef{}"
        assert kernel.ask("finish") == {"checksum": zlib.crc32(b"abcdef{}")}

    run(work)


def test_the_limit_is_checked_before_anything_is_given() -> None:
    def work(kernel: Kernel) -> None:
        kernel.variables["x"] = bytes(100)
        found = kernel.ask("pull", name="x", pickle=False, limit=99)
        assert found["fault"] == "refused" and "100 B, more than the limit of 99 B" in found["message"]
        assert kernel.read(100) == b""

    run(work)


def test_faults_are_answered_in_words() -> None:
    def work(kernel: Kernel) -> None:
        kernel.variables["value"] = object()
        assert "did you mean value?" in kernel.ask("pull", name="valeu", pickle=False, limit=1)["message"]
        assert "type object" in kernel.ask("pull", name="value", pickle=False, limit=1)["message"]
        assert pushed(kernel, b"", name="1x")["message"].startswith("'1x' is no name of a variable")
        assert kernel.ask("dance")["fault"] == "refused"

    run(work)


def test_what_a_client_abandons_is_dropped_after_some_looks(tmp_path: Path) -> None:
    def work(kernel: Kernel) -> None:
        kernel.ask("upload", target=str(tmp_path / "f"), name="f", size=3, mode=0o600)
        for _ in range(TICKS - 1):
            kernel.end.tick()
        kernel.ask("write", b"a", offset=0)
        for _ in range(TICKS - 1):
            kernel.end.tick()
        assert len(os.listdir(tmp_path)) == 1
        kernel.end.tick()
        assert os.listdir(tmp_path) == []
        assert "knows nothing of this transfer" in kernel.ask("write", b"b", offset=1)["message"]

    run(work)


def test_a_kernel_without_handlers_is_told_apart() -> None:
    assert install("a", "b", None) == "it is no ipykernel"
    assert install("a", "b", type("Shell", (), {"kernel": object()})()) == "it is no ipykernel"


# Pieces


def test_memory_is_read_in_pieces_of_at_most_the_size_asked() -> None:
    pieces = [b"abc", b"", memoryview(b"defgh"), *[b"x"] * 100]
    source = MemorySource(pieces)
    read: list[Sequence[Any]] = []
    while found := source.read(4):
        read.append(found)
    assert [sum(map(len, each)) for each in read] == [4] * 27
    assert b"".join(b"".join(map(bytes, each)) for each in read) == b"abcdefgh" + b"x" * 100
    assert source.size == 108 and source.finish() == zlib.crc32(b"abcdefgh" + b"x" * 100)
    many = MemorySource([b"x"] * 1000)
    assert len(many.read(1000)) == 1, "many buffers of one message are joined"


def test_memory_takes_an_empty_value() -> None:
    sink = MemorySink(0)
    sink.finish(0)
    assert sink.data == b""
    assert encode(b"").size == 0


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abcdef")
    source = FileSource(str(path))
    source.read(3)
    path.write_bytes(b"ab")
    with pytest.raises(Refused, match="became shorter while it was copied; try again"):
        source.read(3)
    path.write_bytes(b"abcdefgh")
    with pytest.raises(Refused, match="was changed while it was copied; try again"):
        source.finish()
    source.close()


def test_a_file_is_in_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    sink = FileSink(str(path), 6, 0o750)
    sink.write(0, [b"abc"])
    with pytest.raises(Refused, match="only 3 of 6 bytes"):
        sink.finish(zlib.crc32(b"abc"))
    sink.close()
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["f"]
    sink = FileSink(str(path), 6, 0o750)
    sink.write(0, [b"abc", b"def"])
    sink.finish(zlib.crc32(b"abcdef"))
    sink.close()
    assert path.read_bytes() == b"abcdef" and os.listdir(tmp_path) == ["f"]
    assert path.stat().st_mode & 0o777 == 0o750


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "f")
    sink = FileSink(str(tmp_path / "link"), 1, 0o600)
    sink.write(0, [b"a"])
    sink.finish(zlib.crc32(b"a"))
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there" / "f").read_bytes() == b"a"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder", r"folder is a directory; pack it into one file first: tar -czf folder\.tgz folder"),
        ("pipe", "pipe is no regular file"),
        ("missing", "missing cannot be read: No such file or directory; check the path"),
    ],
)
def test_what_is_no_file_is_refused_with_the_remedy(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused, match=words):
        FileSource(str(tmp_path / name))
