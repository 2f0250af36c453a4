"""Our classes stand before whatever the user, a gateway or another extension set, and step aside when they fail."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.gateway.connections import GatewayWebSocketConnection
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import (
    GatewayKernelSpecManager,
    GatewayMappingKernelManager,
    GatewaySessionManager,
)
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyter_server.services.sessions.sessionmanager import SessionManager
from traitlets.config import Config

from jupyter_sessions.kernels import mount
from jupyter_sessions.kernels.connection import wrap_connection
from jupyter_sessions.kernels.manager import SessionKernelManager
from jupyter_sessions.kernels.notebook_sessions import NotebookSessions
from jupyter_sessions.kernels.specs import SessionSpecs, SessionSpecsWithResources
from tests.kernels.room import EXTENSION, SPEC, a_room, an_app


class UsersManager(AsyncMappingKernelManager):
    """A user's own."""


class UsersSpecs(KernelSpecManager):
    """As nb_conda_kernels does: kernelspecs from elsewhere, by overriding the finding and the listing."""

    def find_kernel_specs(self) -> dict[str, str]:
        return {**super().find_kernel_specs(), "conda-env-py": super().find_kernel_specs()["python3"]}

    def get_kernel_spec(self, kernel_name: str) -> Any:
        return super().get_kernel_spec("python3" if kernel_name == "conda-env-py" else kernel_name)

    def get_all_specs(self) -> dict[str, Any]:
        found = self.find_kernel_specs()
        return {n: {"resource_dir": d, "spec": self.get_kernel_spec(n).to_dict()} for n, d in found.items()}


class UsersSessions(SessionManager):
    """As jupyter_server_documents does: needs a local kernel manager for every notebook."""

    async def create_session(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        model: dict[str, Any] = await super().create_session(*args, **kwargs)
        assert model["kernel"]["id"] in self.kernel_manager._kernels
        return model


class UsersConnection(ZMQChannelsWebsocketConnection):
    """A user's own."""


USERS = {
    "kernel_manager_class": UsersManager,
    "kernel_spec_manager_class": UsersSpecs,
    "session_manager_class": UsersSessions,
    "kernel_websocket_connection_class": UsersConnection,
}


@pytest.fixture
def extension() -> Iterator[Any]:
    """Give a maker of throw-away extension modules: ``extension(name, link=f, load=f)``."""
    made: list[str] = []

    def make(name: str, link: Any = None, load: Any = None) -> str:
        module: Any = types.ModuleType(name)
        module._jupyter_server_extension_points = lambda: [{"module": name}]
        module._load_jupyter_server_extension = load or (lambda serverapp: None)
        if link is not None:
            module._link_jupyter_server_extension = link
        sys.modules[name] = module
        made.append(name)
        return name

    yield make
    for name in made:
        del sys.modules[name]


def assert_ours(app: Any, users: Mapping[str, type]) -> None:
    """Every instance is ours and the user's, under the user's name, and bound."""
    pairs = [
        (app.kernel_manager, SessionKernelManager, users["kernel_manager_class"]),
        (app.kernel_spec_manager, SessionSpecs, users["kernel_spec_manager_class"]),
        (app.session_manager, NotebookSessions, users["session_manager_class"]),
    ]
    for instance, ours, theirs in pairs:
        assert isinstance(instance, ours) and isinstance(instance, theirs)
        assert type(instance).__name__ == theirs.__name__
        assert type(instance).__module__ == mount.__name__
    used = app.web_app.settings["kernel_websocket_connection_class"]
    assert issubclass(used, users["kernel_websocket_connection_class"]) and wrap_connection(used) is used
    assert app.web_app.settings["mounted"].bound


async def assert_works(app: Any) -> None:
    """A remote kernel starts for a notebook, a local one too, and both are listed."""
    async with a_room(app) as room:
        assert (await room.open("r.ipynb"))["kernel"]["name"] == SPEC
        assert (await room.open("l.ipynb", name="python3"))["kernel"]["name"] == "python3"
        specs = (await room.get("api/kernelspecs"))["kernelspecs"]
        assert {SPEC, "python3"} <= specs.keys()
        assert len(await room.get("api/kernels")) == len(await room.get("api/sessions")) == 2
        await app.kernel_manager.shutdown_all()


async def test_before_the_stock_classes(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        assert_ours(
            app,
            {
                "kernel_manager_class": AsyncMappingKernelManager,
                "kernel_spec_manager_class": KernelSpecManager,
                "session_manager_class": SessionManager,
                "kernel_websocket_connection_class": ZMQChannelsWebsocketConnection,
            },
        )
        # Merely having the method makes Jupyter Server warn for every logo.
        assert not hasattr(app.kernel_spec_manager, "get_kernel_spec_resource")
        await assert_works(app)


async def test_before_the_users_configured_classes(jp_configurable_serverapp: Any) -> None:
    names = {trait: f"{each.__module__}.{each.__name__}" for trait, each in USERS.items()}
    with an_app(jp_configurable_serverapp, ServerApp=names, UsersManager={"cull_idle_timeout": 77}) as app:
        assert_ours(app, USERS)
        assert app.kernel_manager.cull_idle_timeout == 77
        await assert_works(app)


@pytest.mark.parametrize("name", ["aaa_before_us", "zzz_after_us"])
@pytest.mark.parametrize("way", ["update_config", "trait", "config in place"])
async def test_before_another_extensions_classes(
    jp_configurable_serverapp: Any, extension: Any, name: str, way: str
) -> None:
    def link(serverapp: Any) -> None:
        for trait, theirs in USERS.items():
            if way == "update_config":
                serverapp.update_config(Config({"ServerApp": {trait: theirs}}))
            elif way == "trait":
                setattr(serverapp, trait, theirs)
            else:
                serverapp.config.ServerApp[trait] = theirs

    last = extension("zzzz_last", link=lambda app: app.update_config(Config({"Another": {"x": len(app.base_url)}})))
    with an_app(jp_configurable_serverapp, (EXTENSION, extension(name, link=link), last)) as app:
        assert_ours(app, USERS)
        await assert_works(app)


@pytest.mark.parametrize("name", ["aaa_before_us", "zzz_after_us"])
async def test_before_a_connection_class_set_at_load(jp_configurable_serverapp: Any, extension: Any, name: str) -> None:
    def load(serverapp: Any) -> None:
        serverapp.web_app.settings["kernel_websocket_connection_class"] = UsersConnection

    with an_app(jp_configurable_serverapp, (EXTENSION, extension(name, load=load))) as app:
        async with a_room(app):
            used = app.web_app.settings["kernel_websocket_connection_class"]
            assert issubclass(used, UsersConnection) and used is not UsersConnection


async def test_the_servers_stop_closes_connections_of_both_kinds(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        await app.kernel_websocket_connection_class.close_all()


class HubApp(ServerApp):
    """As a hub's single-user server: a ServerApp with a configuration section of its own."""


async def test_before_a_class_configured_in_a_subclasss_section() -> None:
    app = HubApp(config=Config({"HubApp": {"session_manager_class": f"{__name__}.UsersSessions"}}))
    try:
        mount.link(app)
        app.update_config(Config({"Another": {"x": 1}}))
        assert issubclass(app.session_manager_class, NotebookSessions)
        assert issubclass(app.session_manager_class, UsersSessions)
        app.update_config(Config({"HubApp": {"session_manager_class": SessionManager}}))
        assert issubclass(app.session_manager_class, NotebookSessions)
        assert not issubclass(app.session_manager_class, UsersSessions)
    finally:
        GatewayClient.clear_instance()


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Stand in for a gateway: notes what is asked of it."""
    asked: list[str] = []
    spec = {"argv": ["x"], "display_name": "Far", "language": "python", "metadata": {}}

    async def answer(url: str, **options: Any) -> Any:
        asked.append(url.partition("//")[2])
        if "kernelspecs" in url:
            body: Any = {"default": "far", "kernelspecs": {"far": {"name": "far", "spec": spec, "resources": {}}}}
        else:
            body = []
        return types.SimpleNamespace(body=json.dumps(body).encode(), code=200, reason="OK")

    monkeypatch.setattr("jupyter_server.gateway.managers.gateway_request", answer)
    GatewayClient.clear_instance()
    yield asked
    GatewayClient.clear_instance()


async def test_before_a_gateways_classes(jp_configurable_serverapp: Any, gateway: list[str]) -> None:
    def with_url(**options: Any) -> Any:
        return jp_configurable_serverapp(argv=["--gateway-url=http://gateway.invalid:1"], **options)

    with an_app(with_url) as app:
        assert_ours(
            app,
            {
                "kernel_manager_class": GatewayMappingKernelManager,
                "kernel_spec_manager_class": GatewayKernelSpecManager,
                "session_manager_class": GatewaySessionManager,
                "kernel_websocket_connection_class": GatewayWebSocketConnection,
            },
        )
        assert isinstance(app.kernel_spec_manager, SessionSpecsWithResources)
        async with a_room(app) as room:
            opened = await room.open("r.ipynb")
            assert set((await room.get("api/kernelspecs"))["kernelspecs"]) == {"far", SPEC}
            logo = await room.call("GET", f"kernelspecs/{SPEC}/logo-64x64.png")
            assert logo.code == 200 and logo.headers["Content-Type"] == "image/png"
            asked = len(gateway)
            assert (await room.get(f"api/kernels/{opened['kernel']['id']}"))["name"] == SPEC
            assert (await room.get(f"api/kernelspecs/{SPEC}"))["name"] == SPEC
            assert len(gateway) == asked
            # The gateway's list, which does not name it, costs a remote kernel nothing.
            assert [each["id"] for each in await room.get("api/kernels")] == [opened["kernel"]["id"]]
            assert [each["id"] for each in await room.get("api/sessions")] == [opened["id"]]


async def test_a_link_that_fails_leaves_local_kernels(
    jp_configurable_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(mount, "_configured", fail)
    with an_app(jp_configurable_serverapp) as app:
        await assert_local_only(app)


async def test_a_class_we_cannot_stand_before_leaves_local_kernels(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp, ServerApp={"session_manager_class": "tests.kernels.test_mount.Odd"}) as app:
        await assert_local_only(app)


class Odd(SessionManager):
    """Pretends to be no SessionManager."""


@pytest.fixture(autouse=True)
def odd_is_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the room take ``Odd`` for a class of another family."""
    own = mount.wrapped
    monkeypatch.setattr(mount, "wrapped", lambda trait, each: each if each is Odd else own(trait, each))


async def test_a_load_that_fails_leaves_local_kernels(
    jp_configurable_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(NotebookSessions, "bind_sessions", fail)
    with an_app(jp_configurable_serverapp) as app:
        await assert_local_only(app)


async def assert_local_only(app: Any) -> None:
    """Local kernels work, remote ones are not shown, and nothing of the room raises."""
    async with a_room(app) as room:
        assert not room.mounted.bound
        assert (await room.open("l.ipynb", name="python3"))["kernel"]["name"] == "python3"
        assert SPEC not in (await room.get("api/kernelspecs"))["kernelspecs"]
        assert len(await room.get("api/kernels")) == len(await room.get("api/sessions")) == 1
        await app.kernel_manager.shutdown_all()


async def test_a_damaged_file_does_not_stop_the_server(jp_configurable_serverapp: Any, jp_data_dir: Any) -> None:
    folder = jp_data_dir / "jupyter_sessions"
    folder.mkdir(mode=0o700)
    (folder / "kernels.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            model = await room.start()
            await room.mounted.records.flush()
            assert [kernel.kernel_id for kernel in room.mounted.records.load()[0]] == [model["id"]]
            assert (folder / "kernels.sqlite.damaged").exists()
