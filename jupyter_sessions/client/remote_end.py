"""What runs in a session's kernel: it takes values and files in pieces, and gives them; one object per client version.

It answers requests on the shell channel, so that nothing of a transfer goes to other clients of the kernel, and keeps
what is half moved apart until it is whole. What a client abandons is dropped after some minutes.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import keyword
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_sessions.client import values
from jupyter_sessions.client.pieces import FileSink, FileSource, MemorySink, MemorySource, Sink, Source, place
from jupyter_sessions.client.values import Missing, Refused

TICK = 60.0
"""Seconds between two looks at what was abandoned."""
TICKS = 5
"""Looks after which what was not asked for is dropped; they are counted, as a busy kernel does not look."""

Answer = tuple[dict[str, Any], Sequence[Any]]


class Unknown(Refused):
    """There is no such thing here."""


@dataclass
class Transfer:
    """One under way: a sink (towards the kernel) or a source, and what ends it."""

    end: Sink | Source
    finish: Callable[[], None] = lambda: None
    ticks: int = 0


class RemoteEnd:
    """Answers the requests of a transfer; ``namespace`` holds the variables, ``assign(name, value)`` sets one."""

    def __init__(self, namespace: Mapping[str, Any], assign: Callable[[str, Any], None]) -> None:
        self._namespace = namespace
        self._assign = assign
        self._transfers: dict[str, Transfer] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._answers: Mapping[str, Callable[[Mapping[str, Any], Sequence[Any]], Answer]] = {
            "push": self._push,
            "pull": self._pull,
            "upload": self._upload,
            "download": self._download,
            "write": self._write,
            "read": self._read,
            "finish": self._finish,
            "drop": self._drop,
        }

    def answer(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> Answer:
        """Answer one request; a failure is told in words and drops the transfer."""
        try:
            return self._answers[content["do"]](content, buffers)
        except BaseException as error:
            self._forget(str(content.get("id", "")))
            if isinstance(error, SystemExit):
                raise
            return _fault(error), ()

    # Values

    def _push(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> Answer:
        name, kind, described, pickled = content["name"], content["kind"], int(content["described"]), content["pickle"]
        if not name.isidentifier() or keyword.iskeyword(name):
            raise Refused(f"{name!r} is no name of a variable; use letters, digits and _")
        values.require(kind)
        sink = MemorySink(int(content["size"]))

        def finish() -> None:
            meta = json.loads(bytes(sink.data[-described:]))
            del sink.data[-described:]
            self._assign(name, values.decode(kind, meta, sink.data, allow_pickle=pickled))

        self._keep(content["id"], Transfer(sink, finish))
        return {}, ()

    def _pull(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> Answer:
        name = content["name"]
        if name not in self._namespace:
            near = difflib.get_close_matches(name, [each for each in self._namespace if not each.startswith("_")], 1)
            hint = f"did you mean {near[0]}?" if near else "run the cell that makes it first"
            raise Unknown(f"there is no variable {name} in the kernel; {hint}")
        made = values.encode(self._namespace[name], allow_pickle=content["pickle"], limit=int(content["limit"]))
        meta = json.dumps(made.meta).encode()
        source = MemorySource([*made.pieces, meta])
        self._keep(content["id"], Transfer(source))
        return {"kind": made.kind, "size": source.size, "described": len(meta)}, ()

    # Files

    def _upload(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> Answer:
        path = place(content["target"], os.path.basename(content["name"]))
        sink = FileSink(path, int(content["size"]), int(content["mode"]))
        self._keep(content["id"], Transfer(sink))
        return {"path": sink.path}, ()

    def _download(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> Answer:
        path = os.path.expanduser(content["source"])
        if not os.path.lexists(path):
            raise Unknown(f"there is no file {path} where the kernel runs ({os.getcwd()}); check the path")
        source = FileSource(path)
        self._keep(content["id"], Transfer(source))
        return {"size": source.size, "mode": source.mode, "name": os.path.basename(os.path.abspath(path))}, ()

    # Pieces

    def _write(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> Answer:
        sink: Any = self._find(content).end
        sink.write(int(content["offset"]), buffers)
        return {}, ()

    def _read(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> Answer:
        source: Any = self._find(content).end
        return {}, source.read(int(content["most"]))

    def _finish(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> Answer:
        transfer = self._find(content)
        end: Any = transfer.end
        found: dict[str, Any] = {}
        if "checksum" in content:
            end.finish(int(content["checksum"]))
            transfer.finish()
        else:
            found["checksum"] = end.finish()
        self._forget(content["id"])
        return found, ()

    def _drop(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> Answer:
        self._forget(content["id"])
        return {}, ()

    # What is under way

    def _keep(self, name: str, transfer: Transfer) -> None:
        self._transfers[name] = transfer
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self.tick)

    def _find(self, content: Mapping[str, Any]) -> Transfer:
        transfer = self._transfers.get(content["id"])
        if transfer is None:
            raise Refused("the kernel knows nothing of this transfer any more; try again")
        transfer.ticks = 0
        return transfer

    def _forget(self, name: str) -> None:
        transfer = self._transfers.pop(name, None)
        if transfer is not None:
            transfer.end.close()

    def tick(self) -> None:
        """Drop what nobody has asked for in :data:`TICKS` looks."""
        self._timer = None
        for name, transfer in list(self._transfers.items()):
            transfer.ticks += 1
            if transfer.ticks >= TICKS:
                self._forget(name)
        if self._transfers:
            self._timer = asyncio.get_running_loop().call_later(TICK, self.tick)


def _fault(error: BaseException) -> dict[str, Any]:
    if isinstance(error, Missing):
        return {"fault": "missing", "message": str(error), "kind": error.kind, "library": error.library}
    if isinstance(error, Unknown):
        return {"fault": "unknown", "message": str(error)}
    if isinstance(error, Refused):
        return {"fault": "refused", "message": str(error)}
    if isinstance(error, MemoryError):
        return {"fault": "refused", "message": "the kernel has not enough memory for it; free some, or send less of it"}
    if isinstance(error, KeyboardInterrupt):
        return {"fault": "interrupted", "message": "the kernel was interrupted"}
    return {"fault": "refused", "message": values.told(error)}


def install(request: str, reply: str, shell: Any) -> str:
    """Answer messages of type ``request`` in the kernel of this IPython shell; give "" or why that cannot be."""
    kernel = getattr(shell, "kernel", None)
    handlers = getattr(kernel, "shell_handlers", None)
    if kernel is None or handlers is None:
        return "it is no ipykernel"
    if request in handlers:
        return ""
    end = RemoteEnd(shell.user_ns, lambda name, value: shell.push({name: value}))

    def handle(stream: Any, ident: Any, parent: Mapping[str, Any]) -> None:
        content, buffers = end.answer(parent["content"], parent.get("buffers") or ())
        kernel.session.send(stream, reply, content, parent, ident, buffers=list(buffers))

    handlers[request] = handle
    return ""
