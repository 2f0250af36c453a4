"""Values and files between here and a session's kernel, in frames of at most 8 MiB.

They go as requests and replies of the kernel's shell channel, which only the asker gets; a program for the kernel's end
is brought there by a silent execution, kept apart from the user's variables. A variable is set, and a file is in its
place, only when all of it arrived; what fails is dropped at both ends.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import keyword
import os
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_sessions.client import values
from jupyter_sessions.client.errors import ServerGone, TransferRefused
from jupyter_sessions.client.pieces import FileSink, FileSource, MemorySink, MemorySource, Sink, Source, place
from jupyter_sessions.client.remote_program import bring
from jupyter_sessions.client.values import Missing, Refused
from jupyter_sessions.client.waiting import NO_END, Patience
from jupyter_sessions.model.errors import NotFound, SessionsError

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.client.kernel import KernelConnection
    from jupyter_sessions.client.messages import Message
    from jupyter_sessions.model.resources import Session

LIMIT = 1 << 30
"""The most bytes of one value, unless the caller says another limit."""
FRAME = 8 << 20
"""The most bytes of one websocket message, headers included."""
CHUNK = 2 << 20
"""The bytes of a value in one frame, which is far below :data:`FRAME` with its headers: both ends work on one while the
next is under way."""
WINDOW = 4
"""Requests under way at once: what a transfer takes of memory on its way."""

Progress = Callable[[int, int], None]
"""Called with the bytes done and those in all."""

_MADE_UP_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Sent:
    """What arrived in the kernel: a variable's or file's ``name``, its ``kind`` and ``size`` in bytes."""

    name: str
    kind: str
    size: int


def push(
    connection: KernelConnection,
    name: str,
    value: Any,
    *,
    pickle: bool = False,
    own: bool = False,
    limit: int = LIMIT,
    patience: Patience = NO_END,
) -> Sent:
    """Set a variable in a kernel.

    ``pickle`` allows pickle for what Arrow and JSON cannot hold, and needs ``own``: the session is the caller's (see
    :func:`own_session`). ``limit`` is bytes. Raises TransferRefused with reason and remedy, KernelDied, ServerGone, and
    DeadlineExceeded where the kernel's answers take longer than ``patience`` has; nothing is set then.
    """
    _check_pickle(pickle, own)
    if not name.isidentifier() or keyword.iskeyword(name):
        raise TransferRefused(f"{name!r} is no name of a variable; use letters, digits and _")
    with _Words(f"{name} cannot be sent"):
        made = values.encode(value, allow_pickle=pickle, limit=limit)
        meta = json.dumps(made.meta).encode()
        source = MemorySource([*made.pieces, meta])
        remote = _Remote(connection, patience)
        asked = {"name": name, "kind": made.kind, "described": len(meta), "size": source.size, "pickle": pickle}
        remote.send("push", asked, source, None)
    return Sent(name, made.kind, made.size)


def pull(
    connection: KernelConnection,
    name: str,
    *,
    pickle: bool = False,
    own: bool = False,
    limit: int = LIMIT,
    patience: Patience = NO_END,
) -> Any:
    """Give the value of a variable of a kernel; the options are those of :func:`push`.

    Nothing is unpickled unless ``pickle`` and ``own``. Raises NotFound for a variable that is not there besides.
    """
    _check_pickle(pickle, own)
    with _Words(f"{name} cannot be brought here"):
        remote = _Remote(connection, patience)
        found = remote.begin("pull", {"name": name, "pickle": pickle, "limit": limit})
        try:
            size, kind, described = int(found["size"]), str(found["kind"]), int(found["described"])
            values.within(size - described, limit)
            values.require(kind)
            sink = MemorySink(size)
            remote.receive(sink, None)
        except BaseException:
            remote.drop()
            raise
        meta = json.loads(bytes(sink.data[-described:]))
        del sink.data[-described:]
        return values.decode(kind, meta, sink.data, allow_pickle=pickle)


def upload(
    connection: KernelConnection,
    path: str | os.PathLike[str],
    target: str = "",
    progress: Progress | None = None,
    patience: Patience = NO_END,
) -> Sent:
    """Copy a file to where a kernel runs, with its permission bits; ``target`` is relative to its working directory.

    A target that is empty or a directory keeps the file's name; its directory must exist, a file there is replaced when
    all has arrived. Raises TransferRefused with reason and remedy, KernelDied, ServerGone, DeadlineExceeded as
    :func:`push`.
    """
    with _Words(f"{path} cannot be uploaded"):
        source = FileSource(os.path.expanduser(path))
        with contextlib.closing(source):
            asked = {"target": target, "name": os.path.abspath(source.path), "size": source.size, "mode": source.mode}
            found = _Remote(connection, patience).send("upload", asked, source, progress)
    return Sent(str(found["path"]), "file", source.size)


def download(
    connection: KernelConnection,
    source: str,
    path: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    patience: Patience = NO_END,
) -> Path:
    """Copy a file from where a kernel runs, with its permission bits; give where it is now.

    ``source`` is relative to the kernel's working directory; ``path`` None or a directory keeps its name. Raises
    NotFound where it is not there, else as :func:`upload`.
    """
    with _Words(f"{source} cannot be downloaded"):
        remote = _Remote(connection, patience)
        found = remote.begin("download", {"source": source})
        sink: FileSink | None = None
        try:
            at = place("" if path is None else os.fspath(path), os.path.basename(str(found["name"])))
            sink = FileSink(at, int(found["size"]), int(found["mode"]))
            remote.receive(sink, progress)
        except BaseException:
            remote.drop()
            raise
        finally:
            if sink is not None:
                sink.close()
    return Path(at)


def own_session(client: SessionsClient, session: Session) -> bool:
    """Say whether a session is the caller's own: made by the caller, for nobody else, as the server names the caller.

    A user that Jupyter made up for a token stands for the server's owner, who is the account of this process.
    """
    try:
        found = client.transport.call("GET", "api/me", safe=True)
        identity = dict(found["identity"])
    except (SessionsError, KeyError, TypeError, ValueError):
        return False
    name = str(identity.get("username") or "")
    invented = _MADE_UP_ID.fullmatch(name) and str(identity.get("name") or "").startswith("Anonymous ")
    if invented or name == "anonymous":
        name = _owner()
    return bool(name) and session.creator == name and session.user in ("", name)


def _owner() -> str:
    if os.environ.get("JUPYTERHUB_USER"):
        return os.environ["JUPYTERHUB_USER"]
    try:
        # As the server does: the account's own name first, whatever the environment says.
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return getpass.getuser()


def _check_pickle(pickle: bool, own: bool) -> None:
    if pickle and not own:
        raise TransferRefused(
            "pickle runs code at the other end, so it is allowed only towards a session that you made for yourself, "
            "and this one is not known to be; leave the option out, or use a session of your own"
        )


class _Words:
    """Turns what refuses a transfer at this end into TransferRefused; ``what`` begins the sentence."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Missing):
            here = f"{error.kind} needs {error.library}, which is missing in this Python"
            raise TransferRefused(f"{self._what}: {here}; run pip install {error.library}") from error
        if isinstance(error, Refused):
            raise TransferRefused(f"{self._what}: {error}") from error
        if isinstance(error, MemoryError):
            raise TransferRefused(f"{self._what}: there is not enough memory here; send less of it") from error


class _Reply:
    """The answer to one request, to be waited for while others are under way."""

    def __init__(self) -> None:
        self._there = threading.Event()
        self._message: Message | None = None
        self._error: SessionsError | None = None

    @property
    def replied(self) -> bool:
        """Whether the reply, or a failure, is there."""
        return self._there.is_set()

    def take(self, message: Message) -> bool:
        """Take the reply; the kernel's state on its broadcast is none."""
        if message.channel != "shell":
            return False
        self._message = message
        self._there.set()
        return True

    def fail(self, error: SessionsError) -> None:
        """End without an answer."""
        self._error = error
        self._there.set()

    def broke(self) -> None:
        """Nothing: a transfer has no output."""

    def result(self, patience: Patience) -> Message:
        """Wait for it; raises KernelDied, ServerGone, DeadlineExceeded."""
        patience.wait(self._there.wait)
        if self._message is None:
            raise self._error or ServerGone("the kernel gave no answer")
        return self._message


class _Remote:
    """The kernel's end of one transfer."""

    def __init__(self, connection: KernelConnection, patience: Patience) -> None:
        self._connection = connection
        self._patience = patience
        self._id = uuid.uuid4().hex
        self._type = bring(connection, patience)

    def begin(self, what: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Begin a transfer; give what the kernel says of it."""
        return self._answer(self._ask(what, asked))[0]

    def send(self, what: str, asked: Mapping[str, Any], source: Source, progress: Progress | None) -> Mapping[str, Any]:
        """Send all of a source; give what the kernel said at its beginning."""
        try:
            found = self.begin(what, asked)
            done = 0
            waiting: deque[tuple[_Reply, int]] = deque()
            for offset in range(0, source.size, CHUNK):
                pieces = source.read(CHUNK)
                size = sum(memoryview(piece).nbytes for piece in pieces)
                waiting.append((self._ask("write", {"offset": offset}, pieces), size))
                if len(waiting) == WINDOW:
                    done = self._settle(waiting, done, source.size, progress)
            while waiting:
                done = self._settle(waiting, done, source.size, progress)
            self._answer(self._ask("finish", {"checksum": source.finish()}))
            return found
        except BaseException:
            self.drop()
            raise
        finally:
            source.close()

    def receive(self, sink: Sink, progress: Progress | None) -> None:
        """Bring all of what was begun into a sink, and finish it."""
        waiting: deque[_Reply] = deque()
        asked = 0
        while sink.got < sink.size:
            while asked < sink.size and len(waiting) < WINDOW:
                waiting.append(self._ask("read", {"most": CHUNK}))
                asked += CHUNK
            _, buffers = self._answer(waiting.popleft())
            sink.write(sink.got, buffers)
            if progress is not None:
                progress(sink.got, sink.size)
        found, _ = self._answer(self._ask("finish", {}))
        sink.finish(int(found["checksum"]))

    def drop(self) -> None:
        """Let the kernel forget what came of it, if it can still be told; nobody waits for the answer."""
        with contextlib.suppress(SessionsError):
            self._ask("drop", {})

    def _settle(self, waiting: deque[tuple[_Reply, int]], done: int, total: int, progress: Progress | None) -> int:
        reply, size = waiting.popleft()
        self._answer(reply)
        if progress is not None:
            progress(done + size, total)
        return done + size

    def _ask(self, what: str, asked: Mapping[str, Any], buffers: Sequence[Any] = ()) -> _Reply:
        reply, content = _Reply(), {"do": what, "id": self._id, **asked}
        self._connection.send("shell", self._type, content, buffers=buffers, pending=reply)
        return reply

    def _answer(self, reply: _Reply) -> tuple[Mapping[str, Any], Sequence[Any]]:
        message = reply.result(self._patience)
        found = message.content
        if found.get("fault") == "unknown":
            raise NotFound(found["message"])
        if found.get("fault") == "missing":
            there = f"{found['kind']} needs {found['library']}, which is missing in the session's kernel"
            raise Refused(f"{there}; run %pip install {found['library']} in it")
        if "fault" in found:
            raise Refused(str(found["message"]))
        return found, message.buffers
