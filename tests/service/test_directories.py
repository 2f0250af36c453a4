"""Where the files of sessions lie, and who else may get at them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyter_sessions.service.directories import Directories

UUID = "0f87cdaf-e126-4d0d-bf60-8046384fb1cc"


def test_every_directory_is_private_whatever_the_umask(tmp_path: Path) -> None:
    directories = Directories(tmp_path / "data", "store")
    locks = tmp_path / "temporary" / UUID
    old = os.umask(0)
    try:
        directories.make(UUID, locks)
    finally:
        os.umask(old)
    for folder in (directories.root, directories.of(UUID), locks.parent, locks):
        assert folder.stat().st_mode & 0o077 == 0, folder
    assert (directories.of(UUID) / "store").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("open_one", ["parent", "locks"])
def test_a_place_of_locks_that_others_may_change_is_refused(tmp_path: Path, open_one: str) -> None:
    """Where the temporary directory was cleaned, somebody else may have made the parent anew, or the place itself."""
    directories = Directories(tmp_path / "data", "store")
    locks = tmp_path / "temporary" / UUID
    locks.mkdir(parents=True, mode=0o700)
    locks.parent.chmod(0o700)
    (locks.parent if open_one == "parent" else locks).chmod(0o777)
    with pytest.raises(PermissionError, match="0700"):
        directories.make(UUID, locks)


def test_a_link_is_no_place_of_locks(tmp_path: Path) -> None:
    directories = Directories(tmp_path / "data", "store")
    (tmp_path / "temporary").mkdir(mode=0o700)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "temporary" / UUID).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="0700"):
        directories.make(UUID, tmp_path / "temporary" / UUID)


def test_names_in_the_sessions_directory_lead_nowhere_else(tmp_path: Path) -> None:
    """What a session's directory says of its sockets is believed only where it can be the session's own place."""
    directories = Directories(tmp_path / "data", "store")
    directories.make(UUID, directories.of(UUID))
    kept = tmp_path / "kept"
    kept.mkdir()
    (directories.of(UUID) / "intent.json").write_text(f'{{"socket_dir": "{kept}"}}')
    directories.remove(UUID, directories.of(UUID))
    assert kept.is_dir() and not directories.of(UUID).exists()
