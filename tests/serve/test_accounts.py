"""The accounts that tests make: gone at the end of the last run, and nobody else's touched."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.accounts import MARK

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes accounts")
ROOT = Path(__file__).parents[2]
RUN = """
import sys, pytest
from tests.serve.accounts import make_account
try:
    make_account(sys.argv[1])
except pytest.skip.Exception as said:
    print(said, flush=True)
else:
    print("made", flush=True)
input()
"""


@pytest.fixture
def name() -> Iterator[str]:
    """Give a name that is no account's."""
    made = f"jst-{uuid.uuid4().hex[:12]}"
    yield made
    if _account(made) is not None:
        subprocess.run(["userdel", "--remove", made], capture_output=True, timeout=30, check=False)


def _account(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


class Run:
    """A run of tests that uses one account until it is let go."""

    def __init__(self, name: str) -> None:
        words = [sys.executable, "-c", RUN, name]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().strip()

    def end(self, kill: bool = False) -> str:
        """End it and give what it printed as an error."""
        if kill:
            self.process.kill()
        _, errors = self.process.communicate("\n", timeout=60)
        return errors


def test_an_account_goes_with_the_last_run_that_uses_it(name: str) -> None:
    first, second = Run(name), Run(name)
    assert first.said == second.said == "made"
    made = _account(name)
    assert made is not None and Path(made.pw_dir).is_dir()
    assert first.end() == ""
    assert _account(name) == made
    assert second.end() == ""
    assert _account(name) is None and not Path(made.pw_dir).exists()


def test_what_a_killed_run_has_left_goes_with_the_next(name: str) -> None:
    Run(name).end(kill=True)
    assert _account(name) is not None
    assert Run(name).end() == ""
    assert _account(name) is None


def test_somebodys_own_account_is_left_alone_in_words(name: str) -> None:
    subprocess.run(["useradd", "--create-home", name], check=True, timeout=30)
    before = _account(name)
    run = Run(name)
    assert run.said == f"{name!r} is somebody's account on this machine, which the tests do not touch"
    assert run.end() == ""
    assert before is not None and _account(name) == before and before.pw_gecos != MARK
    assert Path(before.pw_dir).is_dir()


def test_one_of_the_systems_own_is_used_and_stays() -> None:
    run = Run("root")
    assert (run.said, run.end()) == ("made", "")
    assert _account("root") is not None
