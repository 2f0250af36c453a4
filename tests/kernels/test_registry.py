"""The kernels of sessions in memory, and what is kept of them on disk."""

from __future__ import annotations

import dataclasses
import sqlite3
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.kernels.records import NotebookRow, Records
from jupyter_sessions.kernels.registry import DEAD_KEPT, ENDED_NAMES, Registry, RemoteKernel
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.model.states import State
from tests.kernels.room import a_host

EARLY = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
LATE = EARLY + timedelta(minutes=1)


def a_kernel(kernel_id: str = "k1", **more: Any) -> RemoteKernel:
    fields = {"name": "etl.python3", "host_kernel": "python3", "session_uuid": "uuid-etl", "session": "s", **more}
    return RemoteKernel(kernel_id=kernel_id, **fields)


def noted(registry: Registry) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []
    registry.subscribe(lambda kernel, what: told.append((kernel.kernel_id, what)))
    return told


def test_a_model_has_the_stock_keys_and_no_other() -> None:
    kernel = a_kernel(started=EARLY, execution_state="idle")
    assert kernel.model() == {
        "id": "k1",
        "name": "etl.python3",
        "last_activity": "2026-01-02T03:04:05.678901Z",
        "execution_state": "idle",
        "connections": 0,
    }
    kernel.reason = "why"
    assert kernel.model()["reason"] == "why"


def test_only_a_real_change_is_told() -> None:
    registry = Registry()
    told = noted(registry)
    registry.add(a_kernel(started=EARLY))
    model = {"execution_state": "busy", "last_activity": "2026-01-02T03:05:05.678901Z", "connections": 2}
    registry.update("k1", model)
    registry.update("k1", model)
    registry.update("k1", {"last_activity": "2026-01-02T03:00:00Z"})
    registry.update("nobody", model)
    assert told == [("k1", "added"), ("k1", "changed")]
    kernel = registry.get("k1")
    assert kernel is not None and kernel.last_activity == LATE and kernel.connections == 2


def test_what_a_host_says_amiss_is_left_out() -> None:
    registry = Registry()
    registry.add(a_kernel(started=EARLY, execution_state="idle"))
    registry.update("k1", {"execution_state": None, "last_activity": "yesterday", "connections": "many"})
    kernel = registry.get("k1")
    assert kernel is not None and (kernel.execution_state, kernel.last_activity) == ("idle", EARLY)


def test_dead_is_told_once_and_for_good() -> None:
    registry = Registry()
    registry.add(a_kernel())
    told = noted(registry)
    registry.mark_dead("k1", "killed")
    registry.mark_dead("k1", "again")
    registry.update("k1", {"execution_state": "idle"})
    assert told == [("k1", "dead")]
    kernel = registry.get("k1")
    assert kernel is not None and kernel.reason == "killed" and kernel.dead


def test_a_hosts_list_adopts_updates_and_ends() -> None:
    registry = Registry()
    registry.set_host(a_host())
    registry.add(a_kernel("known", seen=True))
    registry.add(a_kernel("missing", seen=True))
    registry.add(a_kernel("elsewhere", seen=True, session_uuid="uuid-other"))
    registry.add(a_kernel("just started"))
    told = noted(registry)
    models = [{"id": "known", "name": "python3", "execution_state": "idle"}, {"id": "new", "name": "python3"}]
    registry.sync("uuid-etl", models)
    assert told == [("known", "changed"), ("new", "added"), ("missing", "dead")]
    new = registry.get("new")
    assert new is not None and new.name == "etl.python3" and new.session == str(a_host().session)
    # A list sent before a start lacks the kernel; the next one would not.
    registry.sync("uuid-etl", models)
    started = registry.get("just started")
    assert started is not None and started.dead


def test_a_dead_kernel_that_another_server_started_again_lives() -> None:
    registry = Registry()
    registry.set_host(a_host())
    registry.add(a_kernel())
    registry.mark_dead("k1", "killed")
    told = noted(registry)
    registry.take("uuid-etl", {"id": "k1", "name": "python3", "execution_state": "dead"})
    registry.take("uuid-etl", {"id": "k1", "name": "python3", "execution_state": "idle"})
    kernel = registry.get("k1")
    assert kernel is not None and (kernel.execution_state, kernel.reason) == ("idle", "")
    assert told == [("k1", "added"), ("k1", "changed")]
    registry.set_host(dataclasses.replace(a_host(), state=State.FAILED))
    registry.take("uuid-etl", {"id": "k1", "name": "python3", "execution_state": "idle"})
    assert kernel.dead


def test_a_kernel_of_an_unknown_session_is_not_adopted() -> None:
    registry = Registry()
    registry.sync("uuid-etl", [{"id": "new", "name": "python3"}])
    assert registry.all() == []


@pytest.mark.parametrize("state", [State.TERMINATING, State.TERMINATED, State.FAILED, State.STATE_UNSPECIFIED])
def test_leaving_active_takes_the_kernels(state: State) -> None:
    registry = Registry()
    registry.set_host(a_host())
    registry.add(a_kernel())
    heard: list[State] = []
    registry.subscribe_hosts(lambda host: heard.append(host.state))
    registry.set_host(dataclasses.replace(a_host(), state=state, state_message="", kernels=()))
    kernel = registry.get("k1")
    assert kernel is not None and kernel.reason == f"the session etl is {state.name}" and heard == [state]
    assert registry.offers() == {} and registry.host("uuid-etl") is None and registry.ended("ETL.python3")
    registry.set_host(a_host("etl", "uuid-2"))
    assert registry.ended("etl.python3") == ""


def test_the_memory_of_ended_sessions_is_bounded() -> None:
    registry = Registry()
    for number in range(ENDED_NAMES + 5):
        host = a_host(f"s{number}")
        registry.set_host(host)
        registry.set_host(dataclasses.replace(host, state=State.TERMINATED))
    assert registry.ended("s0.python3") == "" and registry.ended(f"s{ENDED_NAMES}.python3")


def test_the_memory_of_dead_kernels_is_bounded() -> None:
    registry = Registry()
    registry.set_host(a_host())
    registry.add(a_kernel("alive"))
    for number in range(DEAD_KEPT + 5):
        registry.add(a_kernel(f"k{number}"))
        registry.mark_dead(f"k{number}", "crashed")
    assert registry.get("k4") is None and registry.get("alive") is not None
    assert len(registry.all()) == DEAD_KEPT + 1 and registry.get(f"k{DEAD_KEPT + 4}") is not None


def test_a_listener_that_fails_keeps_no_other_from_the_news() -> None:
    registry = Registry()

    def fail(kernel: RemoteKernel, what: str) -> None:
        raise RuntimeError("no")

    stop = registry.subscribe(fail)
    told = noted(registry)
    registry.add(a_kernel())
    stop()
    stop()
    registry.remove("k1")
    assert registry.remove("k1") is None and told == [("k1", "added"), ("k1", "removed")]


def test_names_follow_the_users_own() -> None:
    registry = Registry()
    far = a_host("etl", "uuid-far", LocationName("p", "l"))
    for host in (a_host(), far):
        registry.set_host(host)
    assert registry.spec_name(far, "python3") == "p.l.etl.python3"
    registry.set_taken(["P.L.etl.Python3"])
    assert registry.spec_name(far, "python3") == "p.l.etl.python3.2"
    assert registry.spec_name(far, "not offered") == "p.l.etl.not-offered"


async def test_records_survive(tmp_path: Path) -> None:
    registry, records = Registry(), Records(tmp_path / "folder", str(tmp_path))
    stop = records.follow(registry)
    spec = {"display_name": "Python 3", "metadata": {"debugger": True}}
    registry.add(a_kernel("k1", started=EARLY, spec=spec, cwd="/work"))
    registry.add(a_kernel("k2", started=LATE))
    row = NotebookRow("n1", "a.ipynb", None, "notebook", "k1")
    records.save(row)
    records.save(NotebookRow("n2", "b.ipynb", "b", "console", "k2"))
    registry.remove("k2")
    stop()
    registry.remove("k1")
    await records.close()
    # A server that stops says nothing any more.
    records.save(row)
    kernels, rows = Records(tmp_path / "folder", str(tmp_path)).load()
    assert rows == [row] and len(kernels) == 1
    kept = kernels[0]
    assert (kept.kernel_id, kept.started, kept.spec, kept.cwd) == ("k1", EARLY, spec, "/work")
    assert kept.execution_state == "unknown" and kept.kernel_spec.metadata == {"debugger": True}
    assert Records(tmp_path / "folder", str(tmp_path / "folder")).load()[1] == []


async def test_a_server_that_adopts_a_kernel_keeps_what_its_starter_wrote(tmp_path: Path) -> None:
    starter, adopter = Records(tmp_path, str(tmp_path)), Records(tmp_path, str(tmp_path))
    for records, kernel in ((starter, a_kernel("k1", cwd="/work")), (adopter, a_kernel("k1"))):
        registry = Registry()
        records.follow(registry)
        registry.add(kernel)
        await records.close()
    assert [kernel.cwd for kernel in Records(tmp_path, str(tmp_path)).load()[0]] == ["/work"]


async def test_a_link_to_the_root_is_the_root(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    records = Records(tmp_path, str(tmp_path / "link"))
    row = NotebookRow("n1", "a.ipynb", "a", "notebook", "k1")
    records.save(row)
    await records.close()
    assert Records(tmp_path, str(tmp_path / "real")).load()[1] == [row]


async def test_a_file_in_use_or_unwritable_costs_nothing(tmp_path: Path) -> None:
    records = Records(tmp_path, "/")
    records.save(NotebookRow("n1", "a.ipynb", "a", "notebook", "k1"))
    await records.flush()
    other = sqlite3.connect(tmp_path / "kernels.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert records.load() == ([], [])
    other.execute("ROLLBACK")
    assert len(records.load()[1]) == 1
    # Another program's kernel, with a field this one cannot read.
    other.execute("INSERT INTO kernel VALUES ('k', 'n', 'h', 'u', 's', '{not json', '', '')")
    assert records.load()[0] == []
    other.close()
    await records.close()
    (tmp_path / "file").touch()
    blocked = Records(tmp_path / "file" / "folder", "/")
    blocked.drop("n1")
    await blocked.close()
    assert blocked.load() == ([], [])


async def test_a_file_damaged_while_the_server_runs_is_begun_anew(tmp_path: Path) -> None:
    records, registry = Records(tmp_path, "/"), Registry()
    records.follow(registry)
    registry.add(a_kernel("k1"))
    await records.flush()
    (tmp_path / "kernels.sqlite").write_bytes(b"rubbish" * 1000)
    registry.add(a_kernel("k2"))
    await records.close()
    assert [kernel.kernel_id for kernel in records.load()[0]] == ["k2"]
    assert (tmp_path / "kernels.sqlite.damaged").read_bytes().startswith(b"rubbish")
