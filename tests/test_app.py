"""The extension in a Jupyter server: linked, loaded, started, stopped, and when something fails."""

from __future__ import annotations

import gc
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from traitlets import TraitError
from traitlets.config import Config

from jupyter_sessions import wiring
from jupyter_sessions.app import SessionsExtension, uncollected
from jupyter_sessions.engines.process.engine import ProcessEngine
from jupyter_sessions.service.store import FILE
from tests.handlers.serving import PARENT, Rest, extension_of, rest, until

SESSIONS = f"{PARENT}/sessions"
MakeServer = Callable[..., Any]


@pytest.fixture
def make(jp_configurable_serverapp: MakeServer, tmp_path: Path) -> MakeServer:
    """Give a function that makes a server with traits of the extension set."""

    def made(**traits: Any) -> Any:
        config = Config({"ServerApp": {"jpserver_extensions": {"jupyter_sessions": True}}})
        config.SessionsExtension.update({"data_dir": str(tmp_path / "sessions"), **traits})
        return jp_configurable_serverapp(config=config)

    return made


@pytest.fixture
def jp_web_app(make: MakeServer, request: pytest.FixtureRequest) -> Any:
    """Serve a server with the traits that the test is parametrized with."""
    serverapp = make(**getattr(request, "param", {}))
    # The default server's configuration must not be used beside it.
    return serverapp.web_app


def server() -> Any:
    """Give the server that the fixtures made."""
    return ServerApp.instance()


async def start() -> Any:
    """Start the extensions as a server does once its loop runs, and give ours."""
    await server().extension_manager.start_all_extensions()
    return extension_of(server())


async def fetch(call: Rest, path: str) -> Any:
    """GET a path of Jupyter's own API."""
    answer = await call("GET", f"/a%40b/api/{path}")
    assert answer.status == 200, answer
    return answer.body


async def test_the_service_starts_behind_the_listening_server_and_stops_with_it(http_server_client: Any) -> None:
    call = rest(server(), http_server_client)
    extension = await start()
    assert (await call("GET", SESSIONS)).body == {"sessions": []}
    location = (await call("GET", PARENT)).body
    assert (location["metadata"]["engine"], location["metadata"]["fault"]) == ("process", "")
    assert extension._mounted.bound
    await extension.stop_extension()
    assert "stops" in (await call("GET", SESSIONS)).refused(503, "UNAVAILABLE")
    await extension.stop_extension()


@pytest.mark.parametrize(
    "jp_web_app", [{"max_sessions": 3, "default_ttl": 7200, "max_ttl": 9000, "max_idle_ttl": 8000}], indirect=True
)
async def test_traits_become_the_locations_limits(http_server_client: Any) -> None:
    call = rest(server(), http_server_client)
    await start()
    limits = (await call("GET", PARENT)).body["metadata"]["limits"]
    assert (limits["ttl"], limits["maxTtl"], limits["sessions"]) == ("7200s", "9000s", 3)
    body = {"environmentConfig": {"executionConfig": {"ttl": "9001s", "idleTtl": "8001s"}}}
    refused = await call("POST", SESSIONS, body)
    assert refused.violations.keys() == {f"environmentConfig.executionConfig.{name}" for name in ("ttl", "idleTtl")}


@pytest.mark.parametrize("jp_web_app", [{"max_ttl": 9000, "max_idle_ttl": 8000}], indirect=True)
async def test_a_lower_maximum_lowers_the_default(http_server_client: Any) -> None:
    call = rest(server(), http_server_client)
    await start()
    limits = (await call("GET", PARENT)).body["metadata"]["limits"]
    assert (limits["ttl"], limits["idleTtl"]) == ("9000s", "8000s")


@pytest.mark.parametrize("name", ["default_ttl", "max_ttl", "default_idle_ttl", "max_idle_ttl"])
def test_limits_that_no_session_may_have_are_refused(name: str) -> None:
    for seconds in (599, 14 * 86_400 + 1):
        with pytest.raises(TraitError, match=name):
            SessionsExtension(**{name: seconds})


async def test_a_page_token_over_several_locations_outlives_the_service(http_server_client: Any) -> None:
    call = rest(server(), http_server_client)
    extension = await start()
    for name in ("one", "two"):
        body = {"name": f"{PARENT}/sessionTemplates/{name}"}
        assert (await call("POST", f"{PARENT}/sessionTemplates", body)).status == 200
    first = (await call("GET", "projects/-/locations/-/sessionTemplates?pageSize=1")).body
    await extension.stop_extension()
    await extension._start_jupyter_server_extension(server())
    await extension._start
    path = f"projects/-/locations/-/sessionTemplates?pageSize=1&pageToken={first['nextPageToken']}"
    assert [row["name"] for row in (await call("GET", path)).body["sessionTemplates"]] == [
        f"{PARENT}/sessionTemplates/one"
    ]


async def test_a_stop_lets_go_of_the_engine(http_server_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[ProcessEngine] = []
    close = ProcessEngine.close

    async def recorded(engine: ProcessEngine) -> None:
        closed.append(engine)
        await close(engine)

    monkeypatch.setattr(ProcessEngine, "close", recorded)
    extension = await start()
    await extension.gate.api()
    await extension.stop_extension()
    assert len(closed) == 1


@pytest.mark.parametrize("jp_web_app", [{"enabled": False}], indirect=True)
async def test_off_is_off(http_server_client: Any) -> None:
    call = rest(server(), http_server_client)
    extension = await start()
    assert (await call("GET", SESSIONS)).status == 404
    assert server().kernel_manager_class is AsyncMappingKernelManager
    assert (extension._service, extension._mounted) == (None, None)
    await extension.stop_extension()


@pytest.mark.parametrize("jp_web_app", [{"kernels": False}], indirect=True)
async def test_without_kernels_no_class_of_jupyter_is_touched(http_server_client: Any) -> None:
    call = rest(server(), http_server_client)
    extension = await start()
    assert (await call("GET", SESSIONS)).status == 200
    assert server().kernel_manager_class is AsyncMappingKernelManager
    assert type(server().kernel_spec_manager).__module__.startswith("jupyter_client")
    assert extension._mounted is None


async def test_a_start_that_fails_is_told_and_local_kernels_are_there(
    http_server_client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no room on the device")

    monkeypatch.setattr(wiring, "assemble", fail)
    call = rest(server(), http_server_client)
    with caplog.at_level(logging.ERROR):
        await start()
        message = (await call("GET", SESSIONS)).refused(503, "UNAVAILABLE")
    assert "no room on the device" in message
    assert "local kernels are not affected" in caplog.text
    assert "python3" in (await fetch(call, "kernelspecs"))["kernelspecs"]
    assert await fetch(call, "kernels") == []


async def test_a_store_that_cannot_be_opened_is_told_and_not_overwritten(
    http_server_client: Any, tmp_path: Path
) -> None:
    (tmp_path / "sessions").mkdir(exist_ok=True)
    store = tmp_path / "sessions" / FILE
    store.write_bytes(b"this is no database" * 100)
    call = rest(server(), http_server_client)
    await start()
    assert "store" in (await call("GET", SESSIONS)).refused(503, "UNAVAILABLE")
    assert "python3" in (await fetch(call, "kernelspecs"))["kernelspecs"]
    assert store.read_bytes() == b"this is no database" * 100


async def test_without_posix_it_says_so(http_server_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    call = rest(server(), http_server_client)
    extension = extension_of(server())
    await extension._start_jupyter_server_extension(server())
    assert "POSIX" in (await call("GET", SESSIONS)).refused(503, "UNAVAILABLE")
    assert extension._start is None


async def test_a_stop_while_the_service_starts_leaves_nothing(http_server_client: Any) -> None:
    extension = await start()
    await extension.stop_extension()
    assert (extension._start, extension._service) == (None, None)


async def test_changes_are_told_on_the_event_system(http_server_client: Any) -> None:
    from jupyter_sessions.events.publisher import SCHEMA_ID

    extension = await start()
    await extension.gate.api()
    assert SCHEMA_ID in server().event_logger.schemas


def test_every_trait_has_a_help_and_can_be_configured() -> None:
    traits = SessionsExtension.class_own_traits(config=True)
    assert {"enabled", "kernels", "max_sessions", "data_dir", "log_bytes", "spool_disk", "admins"} <= set(traits)
    assert all(trait.help for trait in traits.values())


def test_jupyter_lists_the_extension(tmp_path: Path) -> None:
    config = tmp_path / "config" / "jupyter_server_config.d"
    config.mkdir(parents=True)
    text = json.dumps({"ServerApp": {"jpserver_extensions": {"jupyter_sessions": True}}})
    (config / "jupyter_sessions.json").write_text(text)
    command = [sys.executable, "-m", "jupyter_server.extension.serverextension", "list"]
    environment = {"JUPYTER_CONFIG_DIR": str(config.parent), "PATH": "/usr/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    text = done.stdout + done.stderr
    assert "jupyter_sessions" in text and "enabled" in text
    assert "Validating jupyter_sessions..." in text.replace("\x1b[32m", "") and "error" not in text.lower()


async def test_a_request_hurries_a_start_that_waits_for_a_quiet_moment(
    http_server_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jupyter_sessions import app

    monkeypatch.setattr(app, "QUIET_SECONDS", 3600.0)
    call = rest(server(), http_server_client)
    extension = await start()
    assert extension._service is None
    assert (await call("GET", SESSIONS)).status == 200
    await until(lambda: extension._service, "the service")


@pytest.mark.parametrize("on", [True, False])
def test_an_import_of_the_start_leaves_the_collector_as_it_was(on: bool) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        with pytest.raises(ImportError), uncollected():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is on
    finally:
        (gc.enable if was else gc.disable)()
