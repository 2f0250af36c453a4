"""The file of hashed tokens: whose token is whose, what is refused, and that it is read again."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_sessions.config.tokens import TokensFault, add_token, read_tokens, revoke_tokens


def row(name: str, token: str) -> str:
    return f"{name}:sha256:{hashlib.sha256(token.encode()).hexdigest()}\n"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def test_a_token_is_its_users(path: Path) -> None:
    write(path, f"# people\n\n{row('alice', 'one')}{row('bob@x.org', 'two')}  {row('alice', 'three')}")
    tokens = read_tokens(path)
    assert tokens.names == ["alice", "bob@x.org"]
    assert [tokens.user(token) for token in ("one", "two", "three")] == ["alice", "bob@x.org", "alice"]
    assert [tokens.user(token) for token in ("", "ONE", "one ", "\udcff", "alice")] == [None] * 5
    upper = hashlib.sha256(b"one").hexdigest().upper()
    assert read_tokens(write(path, f"alice:sha256:{upper}\n")).user("one") == "alice"


def test_every_digest_is_compared_in_constant_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = read_tokens(write(path, row("a", "one") + row("b", "two") + row("c", "three")))
    compared: list[bytes] = []
    real: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def counting(left: bytes, right: bytes) -> bool:
        compared.append(left)
        return real(left, right)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    assert tokens.user("one") == "a" and len(compared) == 3
    assert tokens.user("nobody's") is None and len(compared) == 6


def test_every_faulty_line_is_named_and_none_is_quoted(path: Path) -> None:
    secret = "a-token-by-mistake"
    lines = ["alice:sha256:abc", row("ok", "x").strip(), secret, f"a b:sha256:{'0' * 64}", row("bob", "x").strip()]
    write(path, "\n".join([*lines, f"-x:sha256:{'0' * 64}", f"{'0' * 64}"]))
    with pytest.raises(TokensFault) as error:
        read_tokens(path)
    said = str(error.value)
    assert [number for number in range(1, 8) if f"line {number} " in said] == [1, 3, 4, 5, 6, 7]
    assert secret not in said and "abc" not in said and "000" not in said


@pytest.mark.parametrize("text", ["", "# nobody yet\n"])
def test_a_file_that_names_nobody_is_refused(path: Path, text: str) -> None:
    with pytest.raises(TokensFault, match="names nobody"):
        read_tokens(write(path, text))


def test_what_is_no_file_is_refused(path: Path) -> None:
    with pytest.raises(TokensFault, match="serve token NAME"):
        read_tokens(path)
    os.mkfifo(path, 0o600)
    with pytest.raises(TokensFault, match="is not a file"):
        read_tokens(path)
    path.unlink()
    path.write_bytes(b"a\n\xff\n")
    path.chmod(0o600)
    with pytest.raises(TokensFault, match="line 2 is not UTF-8"):
        read_tokens(path)


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o601])
def test_a_file_that_is_open_to_others_is_refused(path: Path, mode: int) -> None:
    write(path, row("alice", "one"), mode)
    with pytest.raises(TokensFault, match="chmod 600"):
        read_tokens(path)
    with pytest.raises(TokensFault, match="chmod 600"):
        add_token(path, "bob")
    assert path.read_text() == row("alice", "one")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_accounts_file_is_refused(path: Path) -> None:
    os.chown(write(path, row("alice", "one")), 4711, 4711)
    with pytest.raises(TokensFault, match="another account"):
        read_tokens(path)


def test_a_changed_file_is_read_again(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokens = read_tokens(write(path, row("alice", "one")))
    write(path, row("alice", "two") + row("bob", "three"))
    assert [tokens.user(token) for token in ("one", "two", "three")] == [None, "alice", "bob"]
    assert tokens.names == ["alice", "bob"] and not caplog.records


def test_a_line_that_is_damaged_later_lets_nobody_in_and_the_others_stand(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = read_tokens(write(path, row("alice", "one") + row("bob", "two")))
    write(path, row("alice", "one") + row("bob", "two")[:-9])
    assert [tokens.user(token) for token in ("one", "two", "one")] == ["alice", None, "alice"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] and "line 2 " in caplog.text


@pytest.mark.parametrize("spoil", [lambda path: path.chmod(0o644), lambda path: path.unlink()])
def test_a_file_that_cannot_be_trusted_lets_nobody_in_until_it_is_mended(
    path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    tokens = read_tokens(write(path, row("alice", "one")))
    spoil(path)
    assert [tokens.user("one") for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    write(path, row("alice", "one"))
    assert tokens.user("one") == "alice"


def test_a_made_token_is_kept_as_a_hash_alone(path: Path) -> None:
    one, two = add_token(path, "alice"), add_token(path, "alice")
    assert path.stat().st_mode & 0o777 == 0o600
    assert one != two and len(one) >= 43
    text = path.read_text()
    assert one not in text and two not in text and text.startswith("#")
    tokens = read_tokens(path)
    assert [tokens.user(token) for token in (one, two)] == ["alice", "alice"]
    assert sorted(path.parent.iterdir()) == [path]


def test_what_is_in_the_file_stays(path: Path) -> None:
    write(path, "# mine\n" + row("alice", "one").strip())
    token = add_token(path, "bob")
    assert path.read_text().startswith("# mine\n" + row("alice", "one"))
    assert read_tokens(path).user(token) == "bob"
    assert revoke_tokens(path, "bob") == 1 and revoke_tokens(path, "bob") == 0
    assert path.read_text() == "# mine\n" + row("alice", "one")


@pytest.mark.parametrize("name", ["", "a:b", "a b", "#a", "-a", "a\n", "a" * 254])
def test_a_name_that_may_not_stand_in_the_file_is_refused(path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="a user's name must be"):
        add_token(path, name)
    assert not path.exists()


def test_nothing_is_revoked_in_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(TokensFault, match="no such file"):
        revoke_tokens(path, "alice")


def test_a_link_is_followed_and_stays_one(path: Path, tmp_path: Path) -> None:
    kept = write(tmp_path / "kept", row("alice", "one"))
    path.symlink_to(kept)
    token = add_token(path, "bob")
    assert path.is_symlink() and read_tokens(kept).user(token) == "bob"


def test_tokens_made_at_the_same_time_are_all_kept(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from jupyter_sessions.config.tokens import add_token\n"
        "[print(add_token(Path(sys.argv[1]), sys.argv[2])) for _ in range(20)]"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], stdout=subprocess.PIPE, text=True)
        for name in ("alice", "bob", "carol")
    ]
    made = [process.communicate(timeout=60)[0].split() for process in running]
    tokens = read_tokens(path)
    assert [[tokens.user(token) for token in mine] for mine in made] == [[name] * 20 for name in tokens.names]
