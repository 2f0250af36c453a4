"""Who is admitted, and as whom."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from jupyter_server.auth import IdentityProvider, PasswordIdentityProvider, User

from jupyter_sessions.model.api import Caller
from jupyter_sessions.model.errors import PermissionDenied
from jupyter_sessions.serve import identity
from jupyter_sessions.serve.identity import Admission, OfThisMachine, OwnToken, TokenIdentityProvider, only
from jupyter_sessions.serve.settings import Refused


class Directory(IdentityProvider):
    """A provider that knows its users."""


def everybody(name: str) -> str:
    """Refuse nobody."""
    return ""


def test_a_name_of_ours_is_never_taken_for_one_that_jupyter_made_up() -> None:
    admit = Admission("carol", everybody)
    assert admit(User("anonymous"), TokenIdentityProvider(), ()) == Caller("anonymous")
    assert admit(User("0" * 32, "Anonymous Moon"), TokenIdentityProvider(), ()) == Caller("0" * 32)
    assert admit(User("alice"), Directory(), ["alice"]) == Caller("alice", admin=True)


@pytest.mark.parametrize("provider", [PasswordIdentityProvider(), Directory()])
def test_a_made_up_user_is_the_one_account_of_a_service_that_is_not_root(
    monkeypatch: pytest.MonkeyPatch, provider: IdentityProvider
) -> None:
    made_up = User("0" * 32, "Anonymous Moon")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("JUPYTERHUB_USER", "mallory")
    assert Admission("carol", only("carol"))(made_up, provider, ["carol"]) == Caller("carol", admin=True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(PermissionDenied, match="made this user up"):
        Admission("root", everybody)(made_up, provider, ())


def test_a_service_that_is_not_root_admits_its_own_account_alone() -> None:
    admit = Admission("carol", only("carol"))
    assert admit(User("carol"), Directory(), ()) == Caller("carol")
    with pytest.raises(PermissionDenied, match="serves that user alone"):
        admit(User("alice"), Directory(), ["alice"])


def test_an_account_of_this_machine_is_remembered_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = 0.0, list[str]()
    there = {"alice"}

    def look(name: str) -> None:
        asked.append(name)
        if name not in there:
            raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", look)
    refusal = OfThisMachine(lambda: now)
    assert refusal("alice") == refusal("alice") == "" and asked == ["alice"]
    assert "'bob' has no account on this machine" in refusal("bob")
    there.add("bob")
    assert refusal("bob") == ""
    there.clear()
    now = 59.0
    assert refusal("alice") == ""
    now = 61.0
    assert refusal("alice") and refusal("bob")


def test_a_provider_must_ask_for_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Refused, match="lets anybody in"):
        identity.check_provider(PasswordIdentityProvider(token=""))
    identity.check_provider(PasswordIdentityProvider(token="something"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(Refused, match="not who"):
        identity.check_provider(PasswordIdentityProvider(token="something"))
    identity.check_provider(Directory(token="something"))


def test_the_token_of_the_start_is_one_users(tmp_path: Path) -> None:
    path = tmp_path / "new" / "token"
    first, second = OwnToken("carol", path), OwnToken("carol", path)
    assert first.token != second.token
    assert first.user(first.token) == "carol"
    for wrong in ("", second.token, first.token + "x", first.token[:-1], "\ud800"):
        assert first.user(wrong) is None
    for each in (first, second):
        each.keep()
        assert path.read_text() == f"{each.token}\n"
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["token"]


def test_a_token_that_was_kept_is_the_next_starts_unless_others_could_have_read_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    first = OwnToken("carol", path)
    first.keep()
    assert OwnToken("carol", path).token == first.token
    path.chmod(0o644)
    assert OwnToken("carol", path).token != first.token
    path.chmod(0o600)
    path.write_text("short\n")
    assert len(OwnToken("carol", path).token) == 43
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text(first.token)
    assert OwnToken("carol", path).token != first.token
