"""What ACTIVE sessions offer, in Jupyter's list of kernelspecs."""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from ipykernel.kernelspec import RESOURCES
from jupyter_client.kernelspec import KernelSpec, NoSuchKernel

from jupyter_sessions.kernels.offers import name_offers
from jupyter_sessions.model.api import OfferedKernel
from jupyter_sessions.model.names import LocationName
from tests.kernels.room import PYTHON, SPEC, a_host, a_room, an_app

R = OfferedKernel("IR", {"argv": ["R"], "display_name": "R", "language": "R", "metadata": {}}, "")


async def test_one_kernelspec_for_each_kernel_offered(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            listed = (await room.get("api/kernelspecs"))["kernelspecs"]
            mine = listed[SPEC]
            assert mine["name"] == SPEC and mine["spec"] == {
                "argv": [],
                "env": {},
                "display_name": "ETL: Python 3",
                "language": "python",
                "interrupt_mode": "signal",
                "metadata": {
                    "debugger": True,
                    "jupyter_sessions": {
                        "session": "projects/local/locations/local/sessions/etl",
                        "sessionUuid": "uuid-1",
                        "location": "projects/local/locations/local",
                    },
                },
                **({"kernel_protocol_version": ""} if hasattr(KernelSpec, "kernel_protocol_version") else {}),
            }
            assert mine["resources"].keys() == listed["python3"]["resources"].keys()
            assert await room.get(f"api/kernelspecs/{SPEC}") == mine
            assert (await room.get(f"api/kernelspecs/{SPEC.upper()}"))["spec"] == mine["spec"]
            assert "secret" not in str(listed)


async def test_logos_keep_names_and_types_and_nothing_else_is_served(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            for file in ("logo-32x32.png", "logo-64x64.png", "logo-svg.svg"):
                ours = await room.call("GET", f"kernelspecs/{SPEC}/{file}")
                theirs = await room.call("GET", f"kernelspecs/python3/{file}")
                assert ours.code == theirs.code == 200
                assert ours.headers["Content-Type"] == theirs.headers["Content-Type"]
                assert ours.body != theirs.body
            (Path(app.root_dir) / "private.txt").touch()
            for path in ("private.txt", "kernel.json", "../kernels.sqlite", "..%2f..%2fkernels.sqlite"):
                assert (await room.call("GET", f"kernelspecs/{SPEC}/{path}")).code in (403, 404)


async def test_a_kernel_without_logos_has_a_folder_of_ours(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            room.hosts.tell(dataclasses.replace(room.host, kernels=(PYTHON, R), display_name=""))
            listed = (await room.get("api/kernelspecs"))["kernelspecs"]
            assert listed["etl.ir"]["resources"] == {} and listed["etl.ir"]["spec"]["display_name"] == "etl: R"
            folder = app.kernel_spec_manager.get_kernel_spec("etl.ir").resource_dir
            assert os.path.isabs(folder) and os.listdir(folder) == []
            # The host knows it by its own name.
            assert (await room.start(name="etl.ir"))["name"] == "etl.ir"
            assert room.peer.requests[-1][2]["name"] == "IR"


async def test_specs_come_and_go_with_the_session(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app, attach=False) as room:
            assert SPEC not in app.kernel_spec_manager.find_kernel_specs()
            room.mounted.attach(room.hosts)
            assert SPEC in app.kernel_spec_manager.find_kernel_specs()
            room.hosts.end()
            assert SPEC not in app.kernel_spec_manager.get_all_specs()
            with pytest.raises(NoSuchKernel):
                app.kernel_spec_manager.get_kernel_spec(SPEC)


async def test_allowed_kernelspecs_filters_ours_as_well(jp_configurable_serverapp: Any) -> None:
    allowed = {"allowed_kernelspecs": {"python3", "other.python3"}}
    with an_app(jp_configurable_serverapp, KernelSpecManager=allowed) as app:
        async with a_room(app) as room:
            room.hosts.tell(a_host("other"))
            assert set((await room.get("api/kernelspecs"))["kernelspecs"]) == {"python3", "other.python3"}


async def test_the_users_own_kernelspec_wins_its_name(jp_configurable_serverapp: Any, jp_data_dir: Path) -> None:
    own = jp_data_dir / "kernels" / SPEC
    own.mkdir(parents=True)
    (own / "kernel.json").write_text('{"argv": ["x"], "display_name": "Mine", "language": "x"}')
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            listed = (await room.get("api/kernelspecs"))["kernelspecs"]
            assert listed[SPEC]["spec"]["display_name"] == "Mine"
            assert listed[f"{SPEC}.2"]["spec"]["display_name"] == "ETL: Python 3"
            assert (await room.start(name=f"{SPEC}.2"))["name"] == f"{SPEC}.2"


async def test_own_specs_are_the_users_alone(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            assert "python3" in await room.mounted.own_specs()
            assert SPEC not in await room.mounted.own_specs()
            with pytest.raises(KeyError, match="terminate the session"):
                app.kernel_spec_manager.remove_kernel_spec(SPEC)


async def test_listing_asks_nobody(jp_configurable_serverapp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            await room.start()

            def refuse(self: Any, *args: Any) -> None:
                raise AssertionError("a listing opened a connection")

            monkeypatch.setattr(socket.socket, "connect", refuse)
            assert SPEC in app.kernel_spec_manager.get_all_specs()
            assert len(app.kernel_manager.list_kernels()) == 1
            monkeypatch.undo()


async def test_no_log_line_for_a_logo(jp_configurable_serverapp: Any, caplog: pytest.LogCaptureFixture) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            caplog.clear()
            assert (await room.call("GET", "kernelspecs/python3/logo-64x64.png")).code == 200
            assert (await room.call("GET", f"kernelspecs/{SPEC}/logo-64x64.png")).code == 200
            assert [each.message for each in caplog.records if each.levelno >= logging.WARNING] == []


def names(*hosts: Any, taken: tuple[str, ...] = ()) -> list[str]:
    return sorted(name_offers(hosts, taken))


def test_names() -> None:
    far = LocationName("proj", "europe-west1")
    assert names(a_host("demo")) == ["demo.python3"]
    assert names(a_host("demo", parent=far)) == ["proj.europe-west1.demo.python3"]
    assert names(a_host("demo", kernels=(R,))) == ["demo.ir"]
    # A domain-scoped project's name has a sign that no kernelspec's name may have.
    assert names(a_host("demo", parent=LocationName("corp.com:proj", "l1"))) == ["corp.com-proj.l1.demo.python3"]


def test_colliding_names_get_a_number_whatever_the_order() -> None:
    twice = (OfferedKernel("a", {}), OfferedKernel("A", {}))
    assert names(a_host("demo", kernels=twice)) == ["demo.a", "demo.a.2"]
    assert names(a_host("demo"), taken=("demo.python3", "demo.python3.2")) == ["demo.python3.3"]
    one, two = a_host("demo", "u1"), a_host("demo", "u2")
    assert {n: o.host.session_uuid for n, o in name_offers([one, two], ()).items()} == {
        n: o.host.session_uuid for n, o in name_offers([two, one], ()).items()
    }


def test_a_provisioner_is_the_hosts_business() -> None:
    kernel = OfferedKernel("k", {"metadata": {"kernel_provisioner": {"x": 1}, "debugger": False}, "env": {"A": "b"}})
    (offer,) = name_offers([a_host(kernels=(kernel,))], ()).values()
    assert offer.spec()["metadata"].keys() == {"debugger", "jupyter_sessions"} and offer.spec()["env"] == {}
    assert offer.spec()["argv"] == [] and PYTHON.resource_dir == RESOURCES
