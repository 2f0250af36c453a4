"""What the doctor says of kernelspecs whose session has ended or is gone."""

from __future__ import annotations

import json
from pathlib import Path

from jupyter_sessions.bridge.wanted import Wanted
from tests.cli.beside import ran
from tests.doctor.places import Home
from tests.real.server import PARENT, real_server


def told(home: Home) -> dict[str, tuple[str, str, str]]:
    """Give what the doctor finds of kernelspecs: level, what and remedy of each subject."""
    _, report, _ = home.doctor()
    rows = [row for row in report["findings"] if row["check"] == "kernelspecs"]
    return {row["subject"]: (row["level"], row["what"], row["remedy"]) for row in rows}


def test_the_kernelspec_of_a_session_that_has_ended_or_is_gone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with real_server(tmp_path) as server:
        assert "kernelspecs" not in {row["check"] for row in home.doctor()[1]["findings"]}
        for name in ("goes-on", "has-ended", "was-deleted"):
            server.create(name)
            assert ran(server, "kernelspec", "install", name).returncode == 0
        assert told(home)[""][0] == "ok"
        server.call("POST", f"{PARENT}/sessions/has-ended:terminate")
        server.until("has-ended", "TERMINATED")
        assert ran(server, "delete", "was-deleted").returncode == 0
        found = told(home)
    assert set(found) == {"kernelspec has-ended", "kernelspec was-deleted"}
    level, what, remedy = found["kernelspec has-ended"]
    assert (level, what) == ("warn", "its session has-ended is TERMINATED")
    assert remedy.startswith("jupyter sessions kernelspec remove has-ended,")
    assert found["kernelspec was-deleted"][1] == "its session was-deleted is not there"


def test_what_cannot_be_judged_from_here_is_left_alone(tmp_path: Path) -> None:
    gone = f"{PARENT}/sessions/gone-away"
    for name, wanted in {
        "elsewhere": Wanted(session="projects/p/locations/l/sessions/gone-away"),
        "maker": Wanted(session=gone, template=f"{PARENT}/sessionTemplates/gpu"),
        "served": Wanted(session=gone, url="http://127.0.0.1:1"),
    }.items():
        folder = tmp_path / "data" / "kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps(wanted.kernelspec(name, "python")))
    assert told(Home(tmp_path)) == {}
