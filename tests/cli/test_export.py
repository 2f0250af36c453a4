"""``jupyter sessions export``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from tests.cli.beside import ran
from tests.real.server import RealServer, real_server

NAME = "etl-nightly"
CODES = ("x = 20", "x + 1", "print('said')", "'ä' * 2\n")
RESULTS = [[], ["21"], [], ["'ää'"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("export")) as running:
        running.create(NAME)
        done = ran(running, "export", NAME, "-o", "-")
        assert (done.returncode, done.stdout) == (1, "") and "has no kernel" in done.stderr
        for code in CODES:
            assert ran(running, "exec", NAME, code).returncode == 0
        yield running


def test_a_notebook_of_what_was_run(server: RealServer, tmp_path: Path) -> None:
    done = ran(server, "export", NAME, "-o", "etl.ipynb", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "4 cells in etl.ipynb" in done.stderr and "what was printed" in done.stderr
    made = json.loads((tmp_path / "etl.ipynb").read_text())
    nbformat.validate(made)
    assert [cell["source"].rstrip("\n") for cell in made["cells"]] == [code.rstrip("\n") for code in CODES]
    assert [[out["data"]["text/plain"] for out in cell["outputs"]] for cell in made["cells"]] == RESULTS
    assert [cell["execution_count"] for cell in made["cells"]] == [1, 2, 3, 4]
    assert made["metadata"]["kernelspec"]["name"] and NAME in made["metadata"]["kernelspec"]["display_name"]
    assert made["metadata"]["language_info"]["name"] == "python"
    assert [file.name for file in tmp_path.iterdir()] == ["etl.ipynb"]


def test_nothing_is_written_over_unasked(server: RealServer, tmp_path: Path) -> None:
    path = tmp_path / "etl.ipynb"
    path.write_text("mine")
    done = ran(server, "export", "-o", str(path))
    assert done.returncode == 2 and "--force" in done.stderr and path.read_text() == "mine"
    assert ran(server, "export", "-o", str(path), "--force").returncode == 0
    assert len(json.loads(path.read_text())["cells"]) == len(CODES)


def test_stdout_and_what_is_refused(server: RealServer, tmp_path: Path) -> None:
    done = ran(server, "export", NAME, "-o", "-")
    assert len(json.loads(done.stdout)["cells"]) == len(CODES) and "4 cells" in done.stderr
    assert ran(server, "export", NAME).returncode == 2
    done = ran(server, "export", NAME, "-o", str(tmp_path / "nowhere" / "x.ipynb"))
    assert (done.returncode, done.stdout) == (1, "") and "cannot be written" in done.stderr
