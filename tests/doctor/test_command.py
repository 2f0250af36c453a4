"""``jupyter sessions doctor`` as a pipe and a program read it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.running import run
from tests.doctor.places import Home


def test_in_a_pipe_each_finding_is_one_line_no_wider_than_its_words(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.configure("locations:\n  - {project: p, location: r, auth: google, colour: red}\n")
    done = run("doctor", env=home.environment())
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and all(line.split()[0] in ("ok", "warn", "fault") for line in lines)
    (told,) = [line for line in lines if "colour" in line]
    assert told.startswith("fault  configuration ") and " → the fields here are" in told
    assert "  " not in told.removeprefix("fault  configuration").strip()


def test_names_are_those_of_the_checks_that_found_something(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.configure("colour: red\n")
    done = run("doctor", "-q", "-o", "name", env=home.environment())
    assert done.returncode == 1 and "configuration" in done.stdout.splitlines()
    assert run("doctor", "-o", "name", env=home.environment()).stdout.splitlines().count("engine") == 1
