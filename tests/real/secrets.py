"""Where secrets may have got to: how they are spelt, which files others may read, what processes show."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil


def spellings(value: bytes) -> list[bytes]:
    """Give how a secret may be written down."""
    # A host's name is told in lower case.
    encoded = [value.lower(), base64.b64encode(value), base64.urlsafe_b64encode(value)]
    escaped = quote(value, safe="").encode()
    return [value, value.hex().encode(), escaped, json.dumps(value.decode("latin-1"))[1:-1].encode(), *encoded]


def parts_of(named: dict[str, bytes]) -> dict[str, bytes]:
    """Give secrets with their beginnings and their halves: a text that is cut off may hold these alone."""
    found = dict(named)
    for name, whole in named.items():
        half = len(whole) // 2
        found |= {f"the beginning of {name}": whole[:10], f"a half of {name}": whole[:half]}
        found[f"the other half of {name}"] = whole[half:]
    return found


def found_in(text: bytes, named: dict[str, bytes]) -> list[str]:
    """Give the names of the secrets that stand in a text."""
    return [name for name, value in named.items() if any(form in text for form in spellings(value))]


def hmac_key(data: Path) -> bytes:
    """Read the key of the page tokens from the store of a data directory."""
    with contextlib.closing(sqlite3.connect(data / "sessions.db")) as store:
        (key,) = store.execute("SELECT value FROM meta WHERE key = 'hmac_key'").fetchone()
    assert len(key) >= 32
    return bytes(key)


def kernel_keys(place: Path) -> dict[str, bytes]:
    """Read the keys of a session's kernels."""
    files = list((place / "kernels").glob("*.json"))
    assert files, f"no connection file in {place}"
    return {f"the key of a kernel ({path.name})": json.loads(path.read_text())["key"].encode() for path in files}


def open_files(home: Path) -> Iterator[Path]:
    """Give every file below ``home`` that its own mode lets somebody else read, whatever its directories say."""
    for path in home.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077:
            yield path


def check_modes(places: list[Path]) -> None:
    """See that every directory and file of ours, and the host's socket, is closed to all but their owner.

    A kernel makes its own sockets, with its own umask: their directory is what closes them.
    """
    for place in places:
        assert place.lstat().st_mode & 0o077 == 0 and not place.is_symlink(), place
        for path in place.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # a file that is being replaced
                if path.is_socket() and path.name != "host.sock":
                    continue
                assert path.lstat().st_mode & 0o077 == 0, path


def process_texts(processes: list[psutil.Process]) -> Iterator[tuple[str, bytes]]:
    """Give command line and environment of each process."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield f"argv of {process.pid}", "\0".join(process.cmdline()).encode()
            yield f"environment of {process.pid}", repr(process.environ()).encode()


class Watcher:
    """Looks again and again what every process of this machine shows, of those whose environment names ``home``.

    ``seen`` holds process id, command line and environment, each once.
    """

    def __init__(self, home: Path) -> None:
        self.seen: set[tuple[int, bytes, bytes]] = set()
        self._home = str(home).encode()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._over.wait(0.1):
            self.look()

    def look(self) -> None:
        """Look once."""
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words, environment = (place / "cmdline").read_bytes(), (place / "environ").read_bytes()
                if self._home in environment or self._home in words:
                    self.seen.add((int(place.name), words, environment))
