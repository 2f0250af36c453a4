"""Which files are read, which wins, what the administrator's lock keeps, and that a fault takes nothing else down."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_core import paths

from jupyter_sessions.config.faults import ConfigFaults
from jupyter_sessions.config.folders import Folder, folders, own_folder
from jupyter_sessions.config.locations import THIS_MACHINE, Auth, Provider
from jupyter_sessions.config.reading import TRAIT, read_locations
from tests.config.files import Files, names, only, told

LIST = "locations:\n"
GOOGLE_ENTRY = "  - project: p\n    location: us-central1\n    auth: google\n"
OTHER_ENTRY = "  - {project: p, location: us-central1, endpoint: 'https://other.example'}\n"
BESIDE_ENTRY = "  - {project: q, location: r, endpoint: 'https://beside.example'}\n"
GOOGLE, OTHER, BESIDE = LIST + GOOGLE_ENTRY, LIST + OTHER_ENTRY, LIST + BESIDE_ENTRY


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_where_nothing_is_configured_there_is_this_machine(files: Files) -> None:
    read = read_locations((), files.folders)
    assert read.locations == (THIS_MACHINE,) and read.sources == () and read.faults == ()


def test_a_user_wins_over_the_system_and_a_trait_over_the_user(files: Files) -> None:
    system, user = files.write("system", GOOGLE), files.write("user", OTHER)
    read = files.read()
    assert only(read).endpoint == "https://other.example" and only(read).auth is Auth.NONE
    assert only(read).source == str(user) and read.sources == (str(system), str(user))
    read = files.read({"project": "p", "location": "us-central1", "endpoint": "https://trait.example"})
    assert only(read).endpoint == "https://trait.example" and only(read).source == TRAIT


def test_the_files_of_a_folder_are_read_by_name_and_the_last_wins(files: Files) -> None:
    files.write("user", OTHER, "20.yaml")
    files.write("user", GOOGLE, "10.yml")
    files.write("user", "locations: nonsense", ".hidden.yaml")
    files.write("user", "locations: nonsense", "notes.txt")
    assert only(files.read()).endpoint == "https://other.example"


def test_a_location_is_replaced_whole(files: Files) -> None:
    files.write("system", GOOGLE + "    quota_project: pays\n    display_name: Spark\n")
    files.write("user", GOOGLE)
    assert (only(files.read()).quota_project, only(files.read()).display_name) == ("", "p / us-central1")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "locations:\n", "locations: []\n"])
def test_an_empty_file_says_nothing(files: Files, text: str) -> None:
    files.write("user", text)
    assert read_locations((), files.folders).locations == (THIS_MACHINE,)


def test_this_machine_may_be_taken_out_and_put_back(files: Files) -> None:
    files.write("system", "local: false")
    assert files.read().locations == () and files.read().faults == ()
    files.write("user", "local: true")
    assert files.read().locations == (THIS_MACHINE,)


def test_this_machine_may_be_described(files: Files) -> None:
    files.write("user", "locations: [{project: local, location: local, display_name: Mine, limits: {ttl: 1h}}]")
    (found,) = read_locations((), files.folders).locations
    assert (found.provider, found.display_name, found.limits.ttl) == (Provider.EMBEDDED, "Mine", 3600.0)


def test_another_server_takes_this_machines_name_only_where_it_is_taken_out(files: Files) -> None:
    text = "locations: [{project: local, location: local, endpoint: 'https://x.example'}]\n"
    files.write("user", text)
    assert files.read().locations == (THIS_MACHINE,) and told(files.read()) == {(1, "locations[0]")}
    files.write("user", "local: false\n" + text)
    (found,) = read_locations((), files.folders).locations
    assert found.provider is Provider.UPSTREAM


def test_one_location_at_a_time_is_embedded(files: Files) -> None:
    text = "locations: [{project: a, location: b, provider: embedded}, {project: a, location: c, provider: embedded}]\n"
    files.write("user", text)
    assert names(files.read()) == ["local/local"]
    assert told(files.read()) == {(1, "locations[0]"), (1, "locations[1]")}
    assert "local: false" in files.read().faults[0].remedy
    files.write("user", "local: false\n" + text)
    assert names(files.read()) == ["a/b"] and told(files.read()) == {(2, "locations[1]")}


def test_this_machine_comes_first(files: Files) -> None:
    files.write("user", GOOGLE)
    files.write("user", "locations: [{project: local, location: local}]", "z.yaml")
    assert names(files.read()) == ["local/local", "p/us-central1"]


class TestLock:
    """``lock`` in the administrator's file."""

    def test_what_is_named_cannot_be_changed(self, files: Files) -> None:
        system = files.write("system", "lock: true\nlocal: false\n" + GOOGLE)
        user = files.write("user", OTHER + BESIDE_ENTRY + "local: true\n")
        read = files.read({"project": "p", "location": "us-central1", "endpoint": "https://trait.example"})
        assert names(read) == ["p/us-central1", "q/r"]
        assert read.locations[0].source == str(system)
        assert {(fault.source, fault.line, fault.field) for fault in read.faults} == {
            (str(user), 2, "locations[0]"),
            (str(user), 4, "local"),
            (TRAIT, 0, "[0]"),
        }
        assert all(str(system) in fault.rule for fault in read.faults)

    def test_all_is_everything(self, files: Files) -> None:
        files.write("system", "lock: all")
        files.write("user", BESIDE + "local: true\n")
        assert files.read().locations == (THIS_MACHINE,)
        assert told(files.read()) == {(2, "locations[0]"), (3, "local")}

    def test_it_binds_the_environment_and_not_the_files_beside_it(self, files: Files) -> None:
        files.write("system", "lock: all", "10.yaml")
        files.write("system", GOOGLE, "20.yaml")
        assert names(files.read()) == ["local/local", "p/us-central1"] and files.read().faults == ()
        files.write("environment", BESIDE)
        assert names(files.read()) == ["local/local", "p/us-central1"] and len(files.read().faults) == 1

    def test_a_user_locks_nothing(self, files: Files) -> None:
        files.write("user", "lock: true\n" + GOOGLE)
        read = files.read({"project": "p", "location": "us-central1", "endpoint": "https://trait.example"})
        assert told(read) == {(1, "lock")}
        assert read.locations[1].endpoint == "https://trait.example"

    def test_who_locked_this_machine_out_finds_no_other_embedded_location(self, files: Files) -> None:
        files.write("system", "lock: true\nlocal: false\n")
        files.write("user", "locations: [{project: a, location: b, provider: embedded}]")
        assert files.read().locations == () and told(files.read()) == {(1, "locations[0]")}

    def test_one_that_is_written_wrongly_locks(self, files: Files) -> None:
        files.write("system", "lock: yes please\n" + GOOGLE)
        files.write("user", OTHER)
        read = files.read()
        assert {(fault.line, fault.field) for fault in read.faults} == {(1, "lock"), (2, "locations[0]")}
        assert read.locations[1].auth is Auth.GOOGLE

    def test_a_faulty_entry_is_locked_too(self, files: Files) -> None:
        files.write("system", "lock: true\nlocations: [{project: p, location: us-central1, auth: gogle}]")
        files.write("user", OTHER)
        assert names(files.read()) == ["local/local"] and len(files.read().faults) == 2


class TestFaults:
    """Faults of one source leave the others, and this machine, as they are."""

    def test_the_strict_reading_raises_every_fault_of_every_file(self, files: Files) -> None:
        first = files.write("system", "locations: [{project: p}]\ncolour: red\n")
        second = files.write("user", "locations: [7]\n")
        with pytest.raises(ConfigFaults) as error:
            read_locations([{"location": "x"}], files.folders)
        sources = [fault.source for fault in error.value.faults]
        assert sources.count(str(first)) == 3 and sources.count(str(second)) == 1 and sources.count(TRAIT) == 2
        assert str(error.value).count("\n") == len(sources) - 1
        assert f"{first}:2: colour: is not a field here; the fields here are locations, local, lock" in str(error.value)

    def test_a_slip_of_the_pen_is_one_fault_with_a_guess(self, files: Files) -> None:
        files.write("user", OTHER.replace("endpoint", "endpont"))
        (fault,) = files.read().faults
        assert fault.field == "locations[0].endpont" and fault.remedy == "did you mean endpoint?"
        files.write("user", OTHER.replace("endpoint", "colour"))
        rules = {fault.field: fault.remedy for fault in files.read().faults}
        assert rules["locations[0].colour"].startswith("the fields here are project, ")

    def test_a_location_whose_strongest_entry_is_faulty_is_left_out(self, files: Files) -> None:
        files.write("system", GOOGLE + BESIDE_ENTRY)
        files.write("user", OTHER.replace("https", "http"))
        assert names(files.read()) == ["local/local", "q/r"] and len(files.read().faults) == 1

    def test_a_faulty_entry_of_this_machine_leaves_it_as_it_is(self, files: Files) -> None:
        files.write("user", "locations: [{project: local, location: local, limits: {ttl: 1s}}]")
        assert files.read().locations == (THIS_MACHINE,) and told(files.read()) == {(1, "locations[0].limits.ttl")}

    def test_two_of_one_name_in_one_file_are_both_in_doubt(self, files: Files) -> None:
        files.write("user", GOOGLE + OTHER_ENTRY + BESIDE_ENTRY)
        read = files.read()
        assert names(read) == ["local/local", "q/r"] and told(read) == {(5, "locations[1]")}
        assert "locations[0]" in read.faults[0].rule

    @pytest.mark.parametrize(
        ("text", "line"),
        [("locations: [\n", 2), ("a: b: c\n", 1), ("\tlocations: 1\n", 1), ("a: !!python/name:os.system\n", 1)],
    )
    def test_what_is_no_yaml_says_where(self, files: Files, text: str, line: int) -> None:
        path = files.write("user", text, "bad.yaml")
        files.write("user", BESIDE, "good.yaml")
        read = files.read()
        assert names(read) == ["local/local", "q/r"]
        assert [(fault.source, fault.line) for fault in read.faults] == [(str(path), line)]

    @pytest.mark.parametrize("text", ["just words", "- a list", "7"])
    def test_what_is_no_mapping_says_so(self, files: Files, text: str) -> None:
        files.write("user", text)
        assert [fault.rule for fault in files.read().faults] == ["must be a mapping with locations, local, lock"]

    @pytest.mark.parametrize(
        ("text", "field"), [("locations: 7", "locations"), ("local: perhaps", "local"), ("lock: 3", "lock")]
    )
    def test_fields_at_the_top_are_judged(self, files: Files, text: str, field: str) -> None:
        files.write("system", text)
        assert told(files.read()) == {(1, field)}

    def test_a_key_that_stands_twice_is_told_and_its_location_left_out(self, files: Files) -> None:
        files.write("user", GOOGLE + "    auth: none\n" + BESIDE_ENTRY)
        assert told(files.read()) == {(5, "locations[0].auth")} and names(files.read()) == ["local/local", "q/r"]

    def test_anchors_and_merges_are_read(self, files: Files) -> None:
        files.write(
            "user",
            """
            locations:
              - &base {project: p, location: a, endpoint: 'https://x.example', request_timeout: 3}
              - {<<: *base, location: b, request_timeout: 4}
            """,
        )
        read = files.read()
        assert [config.request_timeout for config in read.locations[1:]] == [3.0, 4.0] and read.faults == ()

    def test_a_file_that_unfolds_without_end_is_refused(self, files: Files) -> None:
        bomb = "\n".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]" for n in range(9))
        files.write("user", f"a0: &a0 [x]\n{bomb}\n")
        assert "at most" in files.read().faults[0].rule
        files.write("user", "a: &a [*a]\n")
        assert "at most" in files.read().faults[0].rule

    def test_a_file_that_is_too_large_or_no_text_is_refused(self, files: Files) -> None:
        files.write("user", "# " + "x" * (1 << 20))
        assert "at most" in files.read().faults[0].rule
        files.write("user", "").write_bytes(b"a: 1\nb: \xff\n")
        assert [(fault.line, "UTF-8" in fault.rule) for fault in files.read().faults] == [(2, True)]

    def test_what_cannot_be_read_is_a_fault(self, files: Files) -> None:
        (files.root / "user").mkdir()
        (files.root / "user" / "a.yaml").symlink_to(files.root / "nowhere")
        (files.root / "user" / "b.yaml").mkdir()
        assert [fault.rule.partition(":")[0] for fault in files.read().faults] == ["cannot be read"] * 2


def test_jupyters_own_folders_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTER_NO_CONFIG", raising=False)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", f"{tmp_path / 'strong'}:{tmp_path / 'weak'}")
    monkeypatch.setattr(paths, "SYSTEM_CONFIG_PATH", ["/usr/local/etc/jupyter", "/etc/jupyter"])
    monkeypatch.setattr(paths, "ENV_CONFIG_PATH", [str(tmp_path / "env")])
    found = folders()
    assert [folder.path for folder in found if folder.system] == [
        Path("/etc/jupyter/jupyter_sessions"),
        Path("/usr/local/etc/jupyter/jupyter_sessions"),
        tmp_path / "env" / "jupyter_sessions",
    ]
    users = [folder.path for folder in found[3:]]
    assert [path.parent.name for path in users[-3:]] == ["weak", "strong", "mine"]
    assert own_folder() == users[-1]
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "1")
    assert [folder.system for folder in folders()] == [True] * 3 + [False]


def test_a_user_who_names_the_systems_folder_is_no_administrator_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "SYSTEM_CONFIG_PATH", [str(tmp_path)])
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path))
    assert [folder for folder in folders() if folder.path.parent == tmp_path] == [
        Folder(tmp_path / "jupyter_sessions", True)
    ]


def test_nothing_heavy_is_loaded_before_something_is_read() -> None:
    code = (
        "import sys, jupyter_sessions.config.reading, jupyter_sessions.config.example, jupyter_sessions.config.tokens\n"
        "print(*{'yaml', 'pydantic', 'requests', 'jupyter_sessions.config.shapes'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
