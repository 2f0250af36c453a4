"""The files between service, engine and host: private, whole or not at all, versioned."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.model import hostfile
from jupyter_sessions.model.hostfile import (
    FILES,
    VERSION,
    End,
    Heartbeat,
    HostProcess,
    Intent,
    KernelSpecEntry,
    Ready,
    UnknownVersion,
)

SPEC = KernelSpecEntry(["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "Python 3", "python")
RECORDS: list[Any] = [
    Intent("store", "uuid", 3, "run", "/s", "/l", {"python3": SPEC}, "/home", kernel_env={"A": "ä"}, reason="idle"),
    HostProcess(42, 1.5, 3, "boot"),
    Ready(3, "unix:/s/host.sock", 2.5),
    Heartbeat(3, 9.25, kernels=2, busy=1, memory=5, ends_why="ttl"),
    End(3, "died", "killed by signal 9", 1.0, 2.0, exit_status=-9),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_as_it_was(tmp_path: Path, record: Any) -> None:
    assert hostfile.read(tmp_path, type(record)) is None
    hostfile.write(tmp_path, record)
    assert hostfile.read(tmp_path, type(record)) == record
    changed = dataclasses.replace(record, incarnation=4)
    hostfile.write(tmp_path, changed)
    assert hostfile.read(tmp_path, type(record)) == changed
    assert [path.name for path in tmp_path.iterdir()] == [FILES[type(record)]], "nothing is left beside"
    assert stat.S_IMODE((tmp_path / FILES[type(record)]).stat().st_mode) == 0o600


def test_the_mark_names_store_session_and_incarnation() -> None:
    intent = RECORDS[0]
    assert isinstance(intent, Intent)
    assert intent.mark == "store/uuid/3"


def change(directory: Path, **fields: Any) -> None:
    """Write a Ready file with other fields."""
    data = {**dataclasses.asdict(RECORDS[2]), **fields}
    hostfile.write_private(directory / FILES[Ready], json.dumps(data))


def test_versions(tmp_path: Path) -> None:
    change(tmp_path, version=VERSION - 1)
    assert hostfile.read(tmp_path, Ready) is not None
    for version in (VERSION + 1, VERSION - 2, None, "1"):
        change(tmp_path, version=version)
        with pytest.raises(UnknownVersion, match=r"ready\.json has version"):
            hostfile.read(tmp_path, Ready)


def test_unknown_keys_are_ignored(tmp_path: Path) -> None:
    change(tmp_path, newer="field")
    assert hostfile.read(tmp_path, Ready) == RECORDS[2]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"version": 1}'])
def test_what_is_no_record_cannot_tell(tmp_path: Path, text: str) -> None:
    (tmp_path / FILES[Ready]).write_text(text)
    with pytest.raises(ValueError, match=r".+"):
        hostfile.read(tmp_path, Ready)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    hostfile.write(tmp_path, RECORDS[2])
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        change(tmp_path, address="unix:/other")
    assert hostfile.read(tmp_path, Ready) == RECORDS[2]
    assert [path.name for path in tmp_path.iterdir()] == [FILES[Ready]]
