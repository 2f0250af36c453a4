"""A file of hashed tokens: who may use a service, and what of their token is known.

One ``NAME:sha256:HEX`` a line; empty lines and ``#`` comments aside. A token is 256 random bits, so that its plain
SHA-256 tells nothing of it. A user may have several. Nothing of a line is ever quoted in a fault.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,252}")
NAME_RULE = "letters, digits and . _ @ + -, beginning with a letter, a digit or _"
_LINE = re.compile(rf"(?P<name>{NAME.pattern}):sha256:(?P<digest>[0-9a-fA-F]{{64}})")
_HEAD = (
    "# Users of `jupyter sessions serve`, one NAME:sha256:HEX a line; `jupyter sessions serve token NAME` adds one.\n"
)
MOST_BYTES = 1 << 20


class TokensFault(Exception):
    """The file cannot be used; the message names each line and what is wrong with it, and quotes none."""


@dataclass(frozen=True)
class _Contents:
    """What a file holds: whose each hash is, the faults of its lines, and what tells this state from the next."""

    rows: Mapping[bytes, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    stamp: tuple[int, ...] = ()


class Tokens:
    """Whose token is whose; the file is read again when it has changed.

    A line that is damaged then is logged and lets nobody in, the others stand. Where the file cannot be read, or
    others could read or change it, nobody is let in until it is mended.
    """

    def __init__(self, path: Path, contents: _Contents) -> None:
        self._path = path
        self._contents = contents
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """Every user of the file, sorted."""
        return sorted(set(self._fresh().values()))

    def user(self, token: str) -> str | None:
        """Give the user whose token this is, None for nobody's; takes as long for any."""
        given = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = None
        for digest, name in self._fresh().items():
            if hmac.compare_digest(digest, given):
                found = name
        return found

    def _fresh(self) -> Mapping[bytes, str]:
        with self._lock:
            try:
                if _stamp(os.stat(self._path)) != self._contents.stamp:
                    self._contents = _read(self._path)
                    for fault in self._contents.faults:
                        log.error("%s: %s; it lets nobody in", self._path, fault)
            except (OSError, TokensFault) as error:
                # Told once for each state of the file, for the stamp of an unreadable one is none.
                if self._contents.rows or self._contents.stamp:
                    log.error("nobody is let in by a token of %s: %s", self._path, error)
                self._contents = _Contents()
            return self._contents.rows


def read_tokens(path: Path) -> Tokens:
    """Read a file of hashed tokens; raises TokensFault with every fault.

    The file must belong to this account or root, and be readable and writable by its owner alone.
    """
    contents = _read(path)
    faults = contents.faults
    if faults or not contents.rows:
        raise TokensFault(f"{path}: {'; '.join(faults) or 'it names nobody'}")
    return Tokens(path, contents)


def add_token(path: Path, name: str) -> str:
    """Make a token for a user, append its hash to the file (made with mode 0600 if there is none), give the token.

    Raises ValueError for a name that may not stand in the file, TokensFault for a file that others could read or
    change, OSError.
    """
    if NAME.fullmatch(name) is None:
        raise ValueError(f"a user's name must be {NAME_RULE}")
    token = secrets.token_urlsafe(32)
    row = f"{name}:sha256:{hashlib.sha256(token.encode()).hexdigest()}\n"

    def add(text: str) -> str:
        return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{row}"

    _rewrite(path, add, make=True)
    return token


def revoke_tokens(path: Path, name: str) -> int:
    """Take every token of a user out of the file and give how many there were; raises TokensFault, OSError."""
    taken: list[str] = []

    def remove(text: str) -> str:
        kept: list[str] = []
        for line in text.splitlines(keepends=True):
            found = _LINE.fullmatch(line.strip())
            mine = found is not None and found["name"] == name
            (taken if mine else kept).append(line)
        return "".join(kept)

    _rewrite(path, remove, make=False)
    return len(taken)


def _rewrite(path: Path, change: Callable[[str], str], make: bool) -> None:
    """Replace a file whole, so that no reader sees half of it; whoever else rewrites it waits."""
    # Here: there is none on Windows, where this module is still imported.
    import fcntl

    path = Path(os.path.realpath(path.expanduser()))
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            text, state = _open(path)
        except FileNotFoundError:
            if not make:
                raise TokensFault(f"{path}: there is no such file") from None
            text, state = _HEAD, None
        _replace(path, change(text), state)
    finally:
        os.close(folder)


def _replace(path: Path, text: str, state: os.stat_result | None) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            if state is not None and state.st_uid != os.geteuid():
                os.fchown(out.fileno(), state.st_uid, state.st_gid)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _stamp(state: os.stat_result) -> tuple[int, ...]:
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _open(path: Path) -> tuple[str, os.stat_result]:
    """Read a file that is its owner's alone; raises FileNotFoundError, TokensFault."""
    try:
        # A pipe nobody writes to would otherwise be waited for.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as source:
            state = os.fstat(source.fileno())
            _check_private(path, state)
            data = source.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TokensFault(f"{path} cannot be read: {error.strerror}; make it readable for this account") from error
    if len(data) > MOST_BYTES:
        raise TokensFault(f"{path} must be at most {MOST_BYTES} bytes")
    try:
        return data.decode("utf-8"), state
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TokensFault(f"{path}: line {line} is not UTF-8") from error


def _check_private(path: Path, state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise TokensFault(f"{path} is not a file")
    if state.st_uid not in (os.geteuid(), 0):
        raise TokensFault(f"{path} belongs to another account, which could let anybody in; chown it to this one")
    if state.st_mode & 0o077:
        raise TokensFault(f"{path} is open to other accounts (mode {state.st_mode & 0o777:03o}); run: chmod 600 {path}")


def _read(path: Path) -> _Contents:
    """Read the file; raises TokensFault where nothing of it can be used."""
    try:
        text, state = _open(path)
    except FileNotFoundError:
        remedy = f"`jupyter sessions serve token NAME --tokens {path}` makes it"
        raise TokensFault(f"{path}: there is no such file; {remedy}") from None
    rows: dict[bytes, str] = {}
    faults: list[str] = []
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            faults.append(f"line {number} must be NAME:sha256:HEX with 64 hexadecimal digits, NAME of {NAME_RULE}")
        elif rows.setdefault(bytes.fromhex(found["digest"]), found["name"]) != found["name"]:
            faults.append(f"line {number} gives a user a token that another user has")
    return _Contents(rows, tuple(faults), _stamp(state))
