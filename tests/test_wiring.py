"""What runs behind the extension: the configured locations, and the user's own kernelspecs."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from jupyter_sessions import wiring
from jupyter_sessions.wiring import OwnSpecs
from tests.faults import replies
from tests.faults.server import FaultServer
from tests.handlers.serving import PARENT, extension_of, rest
from tests.upstream.cloud import cloud
from tests.upstream.proxies import until

FOUND = {"mine": {"resource_dir": "", "spec": {}}}


class Plain:
    """A kernelspec manager with plain methods, as nb_conda_kernels has; it notes the thread it is used on."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.loops: list[asyncio.AbstractEventLoop] = []

    def get_all_specs(self) -> Any:
        """Give them."""
        self.threads.append(threading.current_thread())
        self.loops.append(asyncio.get_running_loop())
        return FOUND


class Coroutines(Plain):
    """One with coroutines, as a gateway's."""

    async def get_all_specs(self) -> Any:
        """Give them, later."""
        found = super().get_all_specs()
        await asyncio.sleep(0)
        return found


class Broken(KernelSpecManager):
    """One that cannot say what there is."""

    def get_all_specs(self) -> Any:
        """Fail."""
        raise OSError("conda is not there")


class Server:
    """As much of a server as is asked."""

    def __init__(self, manager: Any) -> None:
        self.kernel_spec_manager = manager


@pytest.mark.parametrize("kind", [Plain, Coroutines])
async def test_own_specs_are_asked_for_where_the_server_does(kind: type[Plain]) -> None:
    manager = kind()
    server: Any = Server(manager)
    specs = OwnSpecs(None, server)
    assert await asyncio.to_thread(specs) == FOUND
    assert manager.threads == [threading.current_thread()]
    assert manager.loops == [asyncio.get_running_loop()]


async def test_a_manager_that_fails_says_so() -> None:
    server: Any = Server(Broken())
    with pytest.raises(OSError, match="conda is not there"):
        await asyncio.to_thread(OwnSpecs(None, server))


class Started:
    """A server with the extension, started with these locations."""

    def __init__(self, serverapp: Any) -> None:
        self.serverapp = serverapp
        self.extension = extension_of(serverapp)

    async def start(self) -> None:
        """Start the extension as a server does, and wait for the service alone."""
        await self.serverapp.extension_manager.start_all_extensions()
        await self.extension.gate.api()

    async def stop(self) -> None:
        """Stop it."""
        await self.extension.stop_extension()


@pytest.fixture
def jp_web_app(jp_configurable_serverapp: Callable[..., Any], tmp_path: Path) -> Any:
    """Serve a server with the extension and a directory of its own."""
    config = Config({"ServerApp": {"jpserver_extensions": {"jupyter_sessions": True}}})
    config.SessionsExtension.update({"data_dir": str(tmp_path / "sessions")})
    return jp_configurable_serverapp(config=config).web_app


def far(url: str, location: str = "far") -> dict[str, Any]:
    """Configure an upstream."""
    return {"project": "acme", "location": location, "endpoint": url, "auth": "none"}


async def test_configured_locations_stand_beside_this_machine(http_server_client: Any) -> None:
    call = rest(ServerApp.instance(), http_server_client)
    async with cloud() as (upstream, server):
        upstream.add("there-one", "ACTIVE")
        parent = str(upstream.location)
        extension = Started(ServerApp.instance())
        extension.extension.locations = [far(server.url, upstream.location.location)]
        await extension.start()
        found = (await call("GET", "projects/-/locations")).body["locations"]
        assert [row["name"] for row in found] == [PARENT, parent]
        assert [row["metadata"]["provider"] for row in found] == ["embedded", "upstream"]
        page = (await call("GET", "projects/-/locations/-/sessions")).body
        assert [row["name"] for row in page["sessions"]] == [upstream.name("there-one")]
        made = (await call("POST", f"{parent}/sessions?sessionId=made-one", {"jupyterSession": {}})).body
        assert made["metadata"]["session"] == upstream.name("made-one") and "made-one" in upstream.rows
        await extension.stop()


async def test_an_upstream_that_never_answers_costs_the_others_nothing(
    http_server_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "FIRST_SIGHT", 2.0)
    call = rest(ServerApp.instance(), http_server_client)
    async with FaultServer(otherwise=replies.black_hole()) as server:
        extension = Started(ServerApp.instance())
        extension.extension.locations = [far(server.url)]
        began = time.monotonic()
        await extension.start()
        assert (await call("GET", f"{PARENT}/sessions")).body == {"sessions": []}
        assert time.monotonic() - began < 5, "its start delays nothing"
        name = "projects/acme/locations/far"
        known = extension.extension._mounted.registry._complete
        assert not known.is_set(), "a start of a kernelspec that nobody knows waits"

        async def located() -> dict[str, Any]:
            found: dict[str, Any] = (await call("GET", name)).body["metadata"]["status"]
            return found

        service: Any = extension.extension._service
        (upstream,) = service._upstreams.values()
        await until(lambda: upstream._pulse.silent, "it to be found silent")
        assert (await located())["reachable"] is False
        for path in ("projects/-/locations/-/sessions", "projects/-/locations/-/sessionTemplates"):
            began = time.monotonic()
            assert (await call("GET", path)).body["unreachable"] == [name]
            assert time.monotonic() - began < 1
        await until(known.is_set, "the wait for it to end")
        began = time.monotonic()
        await extension.stop()
        assert time.monotonic() - began < 5


async def test_a_faulty_location_is_told_and_harms_no_other(
    http_server_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    call = rest(ServerApp.instance(), http_server_client)
    async with FaultServer(otherwise=replies.ok()) as server:
        extension = Started(ServerApp.instance())
        extension.extension.locations = [
            far("http://far.example.com"),  # credentials or not: in clear over a network
            far(server.url, "good"),
        ]
        with caplog.at_level(logging.ERROR):
            await extension.start()
        assert "endpoint" in caplog.text
        found = (await call("GET", "projects/-/locations")).body["locations"]
        assert [row["name"] for row in found] == [PARENT, "projects/acme/locations/good"]
        (fault,) = found[0]["metadata"]["configuration"]["faults"]
        assert "endpoint" in fault["field"] and fault["rule"] and fault["remedy"]
        assert (await call("GET", f"{PARENT}/sessions")).status == 200
        await extension.stop()


UNTOUCHED = """
import asyncio, sys
from jupyter_sessions import wiring
found = wiring._configured([])
assert [str(one.name) for one in found.locations] == ["projects/local/locations/local"], found
assert asyncio.run(wiring._upstreams(found.locations, None)) == {}
print(*sorted(name for name in sys.modules if name.startswith("jupyter_sessions.")), sep="\\n")
"""


def test_nothing_is_loaded_for_locations_where_none_is_configured(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "JUPYTER_NO_CONFIG": "1"}
    command = [sys.executable, "-c", UNTOUCHED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
    loaded = done.stdout.split()
    assert "jupyter_sessions.config.locations" in loaded
    assert [name for name in loaded if name.startswith("jupyter_sessions.upstream")] == []
    heavy = {"jupyter_sessions.config.shapes", "jupyter_sessions.config.yamlfile", "jupyter_sessions.config.sources"}
    assert not heavy & set(loaded)
