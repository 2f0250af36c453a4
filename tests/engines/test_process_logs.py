"""The log by absolute offsets, written and rotated by a real host log."""

from __future__ import annotations

import threading
from pathlib import Path

from jupyter_sessions.engines.process.logs import DirectoryLog, read_log
from jupyter_sessions.host.log import HostLog


def written(directory: Path, *pieces: bytes, file_bytes: int = 1 << 20, files: int = 3) -> Path:
    log = HostLog(directory, file_bytes, files)
    for piece in pieces:
        log.write(piece)
    log.close()
    return directory


def test_no_log_is_an_empty_page(tmp_path: Path) -> None:
    page = read_log(DirectoryLog(tmp_path / "log"), 0, 100, ended=True)
    assert (page.content, page.offset, page.next_offset, page.truncated, page.complete) == ("", 0, 0, False, True)


def test_offsets_go_on_over_rotation_and_say_what_is_gone(tmp_path: Path) -> None:
    lines = [f"line {number:04}\n".encode() for number in range(50)]
    directory = written(tmp_path / "log", *lines, file_bytes=100)
    whole = read_log(DirectoryLog(directory), 0, 0, ended=False)
    assert whole.truncated
    assert not whole.complete
    assert whole.next_offset == 500
    assert whole.content == b"".join(lines)[whole.offset :].decode()
    piece = read_log(DirectoryLog(directory), 395, 20, ended=False)
    assert (piece.offset, piece.next_offset, piece.truncated) == (395, 415, False)
    assert piece.content == b"".join(lines)[395:415].decode()
    assert read_log(DirectoryLog(directory), -10, 0, ended=True).content == "line 0049\n"
    beyond = read_log(DirectoryLog(directory), 900, 0, ended=True)
    assert (beyond.content, beyond.next_offset, beyond.complete) == ("", 500, True)


def test_characters_are_never_cut(tmp_path: Path) -> None:
    text = "aé€😀" * 30
    directory = written(tmp_path / "log", text.encode())
    read, offset = "", 0
    while not (page := read_log(DirectoryLog(directory), offset, 7, ended=True)).complete:
        read, offset = read + page.content, page.next_offset
    assert read + page.content == text
    assert (
        "\ufffd"
        not in read_log(DirectoryLog(directory), -3, 0, ended=True).content
        + read_log(DirectoryLog(directory), -6, 0, True).content
    )


def test_a_half_written_character_waits_for_its_rest(tmp_path: Path) -> None:
    directory = written(tmp_path / "log", b"a\xe2\x82")
    assert read_log(DirectoryLog(directory), 0, 0, ended=False).content == "a"
    assert read_log(DirectoryLog(directory), 0, 0, ended=True).content == "a\ufffd"


def test_a_reader_during_rotations_misses_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    log = HostLog(directory, 200, 3)
    total = 400

    def write() -> None:
        for number in range(total):
            log.write(f"line {number:04}\n".encode())

    writer = threading.Thread(target=write)
    writer.start()
    offset, seen = 0, 0
    while writer.is_alive() or offset < total * 10:
        page = read_log(DirectoryLog(directory), offset, 0, ended=False)
        assert page.offset >= offset
        for line in page.content.splitlines():
            assert len(line) == 9, page
            seen += 1
        offset = page.next_offset
    writer.join()
    log.close()
    assert offset == total * 10
    assert seen > 0
