"""Runs the cells of a notebook in a kernel, and keeps a file as far as they are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

SAVE_EVERY = 1.0
"""Seconds between two writes of the file while a cell's output comes; longer where a write takes long."""
SHARE = 10
"""A write may take one part in so many of the time."""


class Watcher(Protocol):
    """Is told of each cell, by its number among those with code, from 1."""

    def begins(self, number: int, count: int, source: str) -> None:
        """A cell begins to run."""

    def ended(self, number: int, count: int, nanoseconds: int, failed: bool) -> None:
        """A cell has run."""


class Stopped(Exception):
    """The run was to stop after a cell."""


def read(path: Path) -> NotebookNode:
    """Read a notebook, older ones as format 4; raises OSError, and ValueError for what is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # half typed
            return found
        except OSError:
            raise
        except Exception as error:
            raise ValueError(f"it is no notebook: {error}") from error


class File:
    """The notebook's file: written whole or not at all."""

    def __init__(self, path: Path, notebook: NotebookNode) -> None:
        self.path = path
        self._notebook = notebook
        self.changed = False
        self.took = 0.0

    def save(self) -> None:
        """Write it as it is now; raises OSError."""
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text: str = nbformat.writes(self._notebook)  # type: ignore[no-untyped-call]  # half typed
        target = self.path.resolve()
        handle, made = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text if text.endswith("\n") else f"{text}\n")
            os.chmod(made, target.stat().st_mode if target.exists() else 0o666 & ~_umask())
            os.replace(made, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(made)
            raise
        self.changed = False
        self.took = time.monotonic() - began


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


class Run(NotebookClient):
    """One run of a notebook in a manager's kernel, which is there already and is left as it is.

    ``interrupted`` makes it stop after the cell that runs. Raises CellExecutionError, DeadKernelError, Stopped.
    """

    def __init__(self, notebook: NotebookNode, manager: Any, file: File, watcher: Watcher, **options: Any) -> None:
        super().__init__(notebook, km=manager, **options)
        self.on_cell_execute = self._begins
        self.on_cell_executed = self._ended
        self._file = file
        self._watcher = watcher
        self._numbers = {index: at for at, index in enumerate(_with_code(notebook), 1)}
        self._began = 0
        self._open: tuple[NotebookNode, list[str]] | None = None
        self.interrupted = False
        self.failure: dict[str, Any] | None = None

    @asynccontextmanager
    async def async_setup_kernel(self, **kwargs: Any) -> AsyncIterator[None]:
        """Connect to the kernel, and write the file now and then; starting, ending and signals are others' concern."""
        await self.async_start_new_kernel_client()
        saving = asyncio.ensure_future(self._save_now_and_then())
        try:
            yield
        finally:
            saving.cancel()
            if self.kc is not None:
                self.kc.stop_channels()

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(max(SAVE_EVERY, self._file.took * SHARE))
            if self._file.changed:
                # Where it cannot be written now, the next write or the cell's own says so.
                with contextlib.suppress(OSError):
                    self.save()

    def save(self) -> None:
        """Write the file; raises OSError."""
        self._settle()
        self._file.save()

    async def _begins(self, cell: NotebookNode, cell_index: int) -> None:
        self._began = time.monotonic_ns()
        self._watcher.begins(self._numbers[cell_index], len(self._numbers), cell.source)

    async def _ended(self, cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        content = execute_reply["content"]
        failed = content["status"] != "ok"
        cell["execution_count"] = content.get("execution_count") or cell["execution_count"]
        self.save()
        taken = time.monotonic_ns() - self._began
        self._watcher.ended(self._numbers[cell_index], len(self._numbers), taken, failed)
        self.failure = content if failed else self.failure
        if self.interrupted:
            raise Stopped

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Take a message of the kernel's."""
        self._file.changed = True
        return super().process_message(msg, cell, cell_index)

    def output(self, outs: list[NotebookNode], msg: dict[str, Any], display_id: Any, cell_index: int) -> Any:
        """Take an output; pieces of one stream that follow each other become one."""
        content, last = msg["content"], self._open
        if msg["msg_type"] == "stream" and last is not None and outs and outs[-1] is last[0]:
            if last[0]["name"] == content["name"] and not self.clear_before_next_output:
                last[1].append(content["text"])
                return last[0]
        self._settle()
        made = super().output(outs, msg, display_id, cell_index)
        if made is not None and made["output_type"] == "stream":
            self._open = (made, [made["text"]])
        return made

    def _settle(self) -> None:
        if self._open is not None:
            made, pieces = self._open
            made["text"] = "".join(pieces)
            self._open = (made, [made["text"]])


def _with_code(notebook: NotebookNode) -> list[int]:
    return [at for at, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]


def clear(notebook: NotebookNode) -> None:
    """Take the outputs out of a notebook, so that those in it are all of one run."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
