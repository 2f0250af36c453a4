"""The file of a notebook that runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from jupyter_sessions.bridge import notebook as notebooks
from jupyter_sessions.bridge.notebook import File, Run, Watcher, read
from tests.bridge.programs import write_notebook


async def test_a_file_that_cannot_be_written_now_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks, "SAVE_EVERY", 0.001)
    path = write_notebook(tmp_path / "in.ipynb", ["1"])
    notebook, watcher = read(path), cast("Watcher", object())
    (tmp_path / "folder").mkdir()
    file = File(tmp_path / "folder" / "out.ipynb", notebook)
    (tmp_path / "folder").rename(tmp_path / "away")
    saving = asyncio.ensure_future(Run(notebook, None, file, watcher)._save_now_and_then())
    file.changed = True
    tried = asyncio.Event()
    real = File.save

    def trying(self: File) -> None:
        try:
            real(self)
        finally:
            tried.set()

    monkeypatch.setattr(File, "save", trying)
    await asyncio.wait_for(tried.wait(), 60)
    (tmp_path / "away").rename(tmp_path / "folder")
    end = asyncio.get_running_loop().time() + 60
    while file.changed:
        assert not saving.done() and asyncio.get_running_loop().time() < end, "it is written"
        await asyncio.sleep(0.001)
    assert read(file.path).cells[0].source == "1"
    saving.cancel()
