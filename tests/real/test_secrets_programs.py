"""No secret stands in what the doctor and the service's programs say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cli.running import command, run
from tests.real.secrets import found_in, open_files, parts_of
from tests.real.upstreams import GOOGLE, Upstreams, upstreams


def examined(found: Upstreams, *words: str) -> tuple[list[dict[str, Any]], bytes]:
    """Run the doctor; give its findings (where it writes JSON) and all that it says."""
    places = {f"JUPYTER_{name.upper()}_DIR": str(found.home / name) for name in ("data", "config", "runtime")}
    done = subprocess.run(
        command("doctor", *words), env={**os.environ, **places, **found.environment}, capture_output=True, timeout=120
    )
    assert done.returncode == 1, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)["findings"] if "json" in words else []
    return rows, done.stdout + done.stderr


def check(found: Upstreams, text: bytes) -> None:
    """Look for every secret, whole and in part."""
    assert found_in(text, parts_of(found.secrets)) == []


def test_the_doctor_says_no_secret(tmp_path: Path) -> None:
    """Examine every kind of upstream, whatever it says back, and each way in which Google's key may be wrong."""
    with upstreams(tmp_path) as found:
        found.configure(tmp_path / "config")
        rows, text = examined(found, "-o", "json")
        check(found, text)
        # It came as far as to send each token, and was told it again; but not where it met no HTTP without it.
        sent = found_in(found.received(), found.secrets)
        tokens = {name for name in found.secrets if name.startswith(("the token of", "access token"))}
        assert tokens - {*sent} == {f"the token of {name}" for name in (*found.services, "faults nonsense")}
        assert "the refresh token" in sent and found.proxy.requests and not found.elsewhere.requests
        well = {row["subject"] for row in rows if row["check"] == "kernel gateway" and row["level"] == "ok"}
        assert {f"projects/local/locations/{name}" for name in found.services} | {GOOGLE} <= well
        (denied,) = [
            row for row in rows if row["subject"].endswith("faults/locations/denied") and row["level"] == "fault"
        ]
        assert denied["why"] == "[hidden] may not; nor may [hidden]"
        check(found, examined(found, "-o", "table")[1])
        found.google_says_no = True
        remains = ["-o", "json", f"--location={GOOGLE}"]
        for step in (None, found.use_service_account, found.spoil_key, found.break_file):
            if step is not None:
                step()
            rows, text = examined(found, *remains)
            assert [row["check"] for row in rows if row["level"] == "fault" and row["subject"] == GOOGLE] == [
                "credentials"
            ]
            check(found, text)
        assert any(name.startswith("assertion") for name in found.secrets)


def test_a_new_token_is_printed_once_and_kept_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    done = run("serve", "token", "alice", f"--tokens={path}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (token,) = done.stdout.split()
    secret = {"the token": token.encode()}
    assert found_in(done.stdout.encode(), secret) and not found_in(done.stderr.encode(), secret)
    assert "\nalice:sha256:" in path.read_text() and path.stat().st_mode & 0o077 == 0
    again = run("serve", "token", "alice", f"--tokens={path}", cwd=tmp_path)
    revoked = run("serve", "token", "alice", "--revoke", f"--tokens={path}", cwd=tmp_path)
    for text in (again.stdout, again.stderr, revoked.stdout, revoked.stderr, path.read_text()):
        assert found_in(text.encode(), secret) == []
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or found_in(file.read_bytes(), secret) == []


def test_what_a_service_refuses_to_start_with_is_not_repeated(tmp_path: Path) -> None:
    """A file in which a token stands in place of its hash is refused, by its line and not by its words."""
    secret = {"the token": b"a-token-where-its-hash-belongs-4711"}
    path = tmp_path / "tokens"
    path.write_bytes(b"alice:" + secret["the token"] + b"\n")
    path.chmod(0o600)
    words = [sys.executable, "-m", "jupyter_sessions.serve", "--port=0", f"--tokens={path}", f"--data-dir={tmp_path}/d"]
    done = subprocess.run(words, capture_output=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 2 and str(path).encode() in done.stderr
    assert found_in(done.stdout + done.stderr, secret) == []
    assert list(open_files(tmp_path / "d")) == []
