"""The output spool: bounds, order, places."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_sessions.host import segment
from jupyter_sessions.host.spool import Cursor, Entry, Log, Spool

KIB = 1 << 10
Opener = Callable[[Path, int, int], Spool]


@pytest.fixture
def open_spool() -> Iterator[Opener]:
    """Make spools whose files are closed in the end."""
    made: list[Spool] = []

    def opener(directory: Path, memory: int, disk: int) -> Spool:
        made.append(Spool(directory, memory, disk))
        return made[-1]

    yield opener
    for spool in made:
        for log in list(spool.logs):
            log.close()


def numbered(number: int, size: int = KIB) -> list[bytes]:
    return [b"h%d" % number, b"", b"x" * size]


def add(log: Log, *numbers: int, size: int = KIB) -> None:
    for number in numbers:
        log.append([numbered(number, size)])
        log.spool.spill()


def read(cursor: Cursor, limit: int = 64 * KIB) -> list[int]:
    found: list[int] = []
    while cursor.behind:
        taken = cursor.take(limit)
        found.extend(int(bytes(entry.parts[0])[1:]) for entry in taken.entries)
        cursor.advance(taken.entries[-1])
    return found


def files(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.exists() else []


def test_without_a_cursor_nothing_is_kept(open_spool: Opener, tmp_path: Path) -> None:
    spool = open_spool(tmp_path / "spool", KIB, 1 << 30)
    log = spool.open_log()
    add(log, *range(100))
    assert spool.memory_used == spool.disk_used == 0
    late = log.cursor()
    add(log, 100)
    assert read(late) == [100]


def test_each_cursor_reads_all_in_order_at_its_own_pace(open_spool: Opener, tmp_path: Path) -> None:
    spool = open_spool(tmp_path, 16 * KIB, 1 << 30)
    log = spool.open_log()
    slow, quick = log.cursor(), log.cursor()
    for number in range(300):
        add(log, number)
        assert read(quick) == [number]
    assert spool.memory_used <= 16 * KIB
    assert spool.disk_used > 250 * KIB
    assert not slow.quick
    assert read(slow) == list(range(300))
    assert spool.memory_used == spool.disk_used == 0


def test_a_cursor_moves_only_when_told(open_spool: Opener, tmp_path: Path) -> None:
    log = open_spool(tmp_path, 4 * KIB, 1 << 30).open_log()
    cursor = log.cursor()
    add(log, *range(20))
    first = cursor.take(3 * KIB).entries
    assert [entry.number for entry in cursor.take(3 * KIB).entries] == [entry.number for entry in first]
    cursor.advance(first[0])
    assert cursor.take(1).entries[0].number == 1


def test_parts_come_back_as_they_were(open_spool: Opener, tmp_path: Path) -> None:
    log = open_spool(tmp_path, 0, 1 << 30).open_log()
    cursor = log.cursor()
    messages = [[b"", b"a" * (300 * KIB), b"b"], [b"x"], [], [b"", b""], [b"y" * (2 << 20)]]
    log.append(messages)
    log.spool.spill()
    found: list[Entry] = []
    while cursor.behind:
        found.extend(taken := cursor.take(1).entries)
        cursor.advance(taken[-1])
    assert [list(entry.parts) for entry in found] == messages


def test_beyond_the_disk_the_oldest_goes_and_is_counted(
    open_spool: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "SEGMENT", 64 * KIB)
    spool = open_spool(tmp_path, 16 * KIB, 256 * KIB)
    log = spool.open_log()
    cursor = log.cursor()
    add(log, *range(1000))
    assert spool.disk_used <= 256 * KIB
    assert spool.memory_used <= 16 * KIB
    taken = cursor.take()
    assert taken.lost_messages == taken.entries[0].number > 500
    assert taken.lost_bytes == taken.entries[0].start
    rest = read(cursor)
    assert rest == list(range(1000 - len(rest), 1000))
    assert len(rest) > 150


def test_a_full_disk_drops_the_oldest_and_stops_nobody(
    open_spool: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    log = open_spool(tmp_path, 16 * KIB, 1 << 30).open_log()
    cursor = log.cursor()
    with monkeypatch.context() as patch:
        patch.setattr("os.pwritev", refuse)
        add(log, *range(100))
    assert log.memory_used <= 16 * KIB
    add(log, *range(100, 200))
    taken = cursor.take()
    assert taken.lost_messages > 80
    assert read(cursor) == list(range(taken.lost_messages, 200))


def test_what_a_client_waits_for_is_not_written_first(open_spool: Opener, tmp_path: Path) -> None:
    spool = open_spool(tmp_path, KIB, 1 << 30)
    log = spool.open_log()
    cursor = log.cursor()
    cursor.waiting = True
    add(log, 0, size=64 * KIB)
    assert spool.disk_used == 0
    assert cursor.quick
    assert read(cursor) == [0]


def test_nothing_is_left_on_disk(open_spool: Opener, tmp_path: Path) -> None:
    spool = open_spool(tmp_path, 0, 1 << 30)
    log = spool.open_log()
    cursor = log.cursor()
    add(log, *range(50))
    assert spool.disk_used > 0
    assert files(tmp_path) == []
    cursor.close()
    assert spool.disk_used == 0
    log.close()


def test_the_bounds_hold_over_all_logs(open_spool: Opener, tmp_path: Path) -> None:
    spool = open_spool(tmp_path, 32 * KIB, 1 << 30)
    logs = [spool.open_log() for _ in range(4)]
    cursors = [log.cursor() for log in logs]
    for number in range(100):
        for log in logs:
            add(log, number)
        assert spool.memory_used <= 32 * KIB
    for cursor in cursors:
        assert read(cursor) == list(range(100))


def test_readers_and_the_writer_do_not_disturb_one_another(
    open_spool: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "SEGMENT", 32 * KIB)
    log = open_spool(tmp_path, 8 * KIB, 1 << 30).open_log()
    cursors = [log.cursor() for _ in range(3)]
    found: list[list[int]] = [[] for _ in cursors]

    def follow(index: int) -> None:
        while len(found[index]) < 3000:
            found[index].extend(read(cursors[index], KIB << index))

    readers = [threading.Thread(target=follow, args=(index,)) for index in range(3)]
    with contextlib.ExitStack() as stack:
        for reader in readers:
            reader.start()
            stack.callback(reader.join)
        for number in range(3000):
            add(log, number)
    assert found == [list(range(3000))] * 3
    assert log.memory_used == log.disk_used == 0
