"""A session's log: one bounded file with its rotations, written by the host and, through pipes, by its kernels.

``offsets.json`` beside the files says at which absolute byte each begins, by inode: a reader that opens files while
they are renamed still knows what it reads. It is written before the renames, so no file is ever without its offset.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import threading
from pathlib import Path

from jupyter_sessions.model.hostfile import LOG_FILE, write_private

OFFSETS = "offsets.json"
_CHUNK = 1 << 16
_LONGEST_LINE = 8 << 10


class _Pipe:
    """The read end of one kernel's output, cut into lines that carry the kernel's label."""

    def __init__(self, label: str, read_end: int) -> None:
        self.read_end = read_end
        self._prefix = f"[{label}] ".encode()
        self._rest = b""

    def lines(self, data: bytes) -> bytes:
        """Give the whole lines of what was read so far, each with its label; ``b""`` as data flushes the rest."""
        text = self._rest + data
        cut = text.rfind(b"\n") + 1
        if not data or (not cut and len(text) >= _LONGEST_LINE):
            cut = len(text)
        whole, self._rest = text[:cut], text[cut:]
        if not whole:
            return b""
        return b"".join(self._prefix + line + b"\n" for line in whole.removesuffix(b"\n").split(b"\n"))


class HostLog:
    """Writes ``host.log`` in a directory, at most ``files`` files of ``file_bytes`` bytes each.

    What the kernels say is read on a thread of its own: neither a flood of it nor a slow disk holds up the event loop.
    A write that the disk refuses is lost, and nothing else happens.
    """

    def __init__(self, directory: Path, file_bytes: int, files: int) -> None:
        self._directory = directory
        self._file_bytes = max(1, file_bytes)
        self._files = max(1, files)
        self._lock = threading.Lock()
        # One of its own: the event loop asks for pipes, and must not wait for a write to a slow disk.
        self._pipes_lock = threading.Lock()
        self._pipes: dict[str, tuple[int, _Pipe]] = {}
        self._std: tuple[int, ...] = ()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._thread: threading.Thread | None = None
        self._closed = False
        directory.mkdir(mode=0o700, exist_ok=True)
        self._out = self._open(directory / LOG_FILE)
        self._start = self._known_offsets().get(os.fstat(self._out).st_ino, 0)

    def take_over(self, handles: tuple[int, ...] = (1, 2)) -> None:
        """Put these file descriptors (stdout and stderr) on the log, now and after each rotation."""
        self._std = handles
        self._redirect()

    def kernel_fd(self, label: str) -> int:
        """Give the write end of the pipe for ``label``, made at its first use; it stays this object's to close."""
        with self._pipes_lock:
            if label not in self._pipes:
                read_end, write_end = os.pipe()
                os.set_blocking(read_end, False)
                pipe = _Pipe(label, read_end)
                self._pipes[label] = (write_end, pipe)
                self._selector.register(read_end, selectors.EVENT_READ, pipe)
                self._wake()
            if self._thread is None:
                self._thread = threading.Thread(target=self._drain, name="log", daemon=True)
                self._thread.start()
            return self._pipes[label][0]

    def release(self, label: str) -> None:
        """Close the pipe of a kernel that will not start again; what it still says is read to its end."""
        with self._pipes_lock:
            entry = self._pipes.pop(label, None)
        if entry is not None:
            os.close(entry[0])

    def write(self, data: bytes) -> None:
        """Append bytes, rotating first where the file is full."""
        with self._lock:
            self._rotate_if_full()
            with contextlib.suppress(OSError):
                os.write(self._out, data)

    def check(self) -> None:
        """Rotate where the host's own words have filled the file; called each second."""
        with self._lock:
            self._rotate_if_full()

    def close(self) -> None:
        """Read what the pipes still hold, then close them and the file."""
        self._closed = True
        self._wake()
        if self._thread is not None:
            self._thread.join(timeout=2.0)
        for write_end, pipe in self._pipes.values():
            self._drain_pipe(pipe)
            self.write(pipe.lines(b""))
            os.close(write_end)
            os.close(pipe.read_end)
        self._pipes.clear()
        self._selector.close()
        for handle in (self._wake_read, self._wake_write, self._out):
            os.close(handle)

    def _wake(self) -> None:
        os.write(self._wake_write, b".")

    def _drain(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select():
                if key.fd == self._wake_read:
                    os.read(self._wake_read, _CHUNK)
                elif not self._drain_pipe(key.data):
                    self._selector.unregister(key.fd)
                    self.write(key.data.lines(b""))
                    os.close(key.fd)

    def _drain_pipe(self, pipe: _Pipe) -> bool:
        """Read once from a pipe; False at its end, when no write end is open any more."""
        try:
            data = os.read(pipe.read_end, _CHUNK)
        except BlockingIOError:
            return True
        if data and (lines := pipe.lines(data)):
            self.write(lines)
        return bool(data)

    def _open(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _redirect(self) -> None:
        for handle in self._std:
            os.dup2(self._out, handle)

    def _rotate_if_full(self) -> None:
        size = os.fstat(self._out).st_size
        if size < self._file_bytes:
            return
        # A disk too full to rotate is too full to grow the log: the old file stays.
        with contextlib.suppress(OSError):
            self._rotate(size)

    def _rotate(self, size: int) -> None:
        base = self._directory / LOG_FILE
        fresh = self._directory / f".{LOG_FILE}.new"
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        out = self._open(fresh)
        try:
            begins = self._start + size
            offsets = self._kept_offsets()
            offsets[os.fstat(out).st_ino] = begins
            write_private(self._directory / OFFSETS, json.dumps({str(k): v for k, v in offsets.items()}))
            names = [base, *(base.with_name(f"{LOG_FILE}.{n}") for n in range(1, self._files))]
            for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
                if newer.exists():
                    os.replace(newer, older)
            os.replace(fresh, base)
        except BaseException:
            os.close(out)
            raise
        os.close(self._out)
        self._out, self._start = out, begins
        self._redirect()

    def _known_offsets(self) -> dict[int, int]:
        try:
            data = json.loads((self._directory / OFFSETS).read_text(encoding="utf-8"))
            return {int(inode): int(start) for inode, start in data.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _kept_offsets(self) -> dict[int, int]:
        """Give the offsets of the files there now: the inode of a removed one may be given out again."""
        known = self._known_offsets()
        kept = {}
        for path in self._directory.glob(f"{LOG_FILE}*"):
            with contextlib.suppress(OSError):
                inode = path.stat().st_ino
                kept[inode] = known.get(inode, 0)
        return kept
