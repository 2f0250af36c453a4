"""How the kernels of sessions get into a Jupyter server, in three steps: link, load, start; then attach.

*Link* puts our mixins before the classes the user configured, also before those an extension sets later. *Load* binds
the instances made of them and restores what the last server knew. *Start* looks whether the websocket's class was
replaced meanwhile. *Attach* hands in the hosts, once the service runs. A mixin that is not bound does nothing, so
that a failure anywhere leaves local kernels as they were.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.paths import jupyter_data_dir
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.services.kernels.connection.base import BaseKernelWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
from jupyter_server.services.sessions.sessionmanager import SessionManager
from traitlets.config import Config

from jupyter_sessions.kernels.actions import SCHEMA, Actions
from jupyter_sessions.kernels.connection import wrap_connection
from jupyter_sessions.kernels.links import reachable
from jupyter_sessions.kernels.logos import Logos
from jupyter_sessions.kernels.manager import SessionKernelManager
from jupyter_sessions.kernels.notebook_sessions import NotebookSessions
from jupyter_sessions.kernels.records import Records
from jupyter_sessions.kernels.registry import Registry, RemoteKernel, What
from jupyter_sessions.kernels.remote import RemoteHosts
from jupyter_sessions.kernels.settling import Settling
from jupyter_sessions.kernels.specs import SessionSpecs, SessionSpecsWithResources
from jupyter_sessions.kernels.starts import GatewayStarts
from jupyter_sessions.model.states import State

if TYPE_CHECKING:
    from jupyter_sessions.model.api import Caller, KernelHost, KernelHosts, SessionsApi

log = logging.getLogger(__name__)

CONNECTION = "kernel_websocket_connection_class"


def mixed(mixin: type, user_class: type) -> type:
    """Give the user's class with a mixin of ours before it; one that has it already is given back.

    It keeps the user's name, by which configuration finds its section.
    """
    if issubclass(user_class, mixin):
        return user_class
    metaclass: Any = type(user_class)
    made: type = metaclass(
        user_class.__name__, (mixin, user_class), {"__module__": __name__, "__doc__": user_class.__doc__}
    )
    return made


def _specs(user_class: type) -> type:
    return mixed(
        SessionSpecsWithResources if hasattr(user_class, "get_kernel_spec_resource") else SessionSpecs, user_class
    )


# Each trait of the server, what the user's class must be, and how ours is made of it.
CLASSES: dict[str, tuple[type, Callable[[type], type]]] = {
    "kernel_manager_class": (MappingKernelManager, lambda user_class: mixed(SessionKernelManager, user_class)),
    "kernel_spec_manager_class": (KernelSpecManager, _specs),
    "session_manager_class": (SessionManager, lambda user_class: mixed(NotebookSessions, user_class)),
    CONNECTION: (BaseKernelWebsocketConnection, wrap_connection),
}


def wrapped(trait: str, user_class: Any) -> Any:
    """Give ours made of the user's class for a trait of the server; a class we cannot stand before is given back."""
    kind, wrap = CLASSES[trait]
    if not isinstance(user_class, type) or not issubclass(user_class, kind):
        log.warning("%s is %r, which is no %s: sessions' kernels are off", trait, user_class, kind.__name__)
        return user_class
    return wrap(user_class)


def link(serverapp: Any) -> None:
    """Put our classes before those configured, now and whenever one is set until the server has made its instances.

    Raises nothing: what cannot be wrapped stays as it is, and ``load`` says so.
    """
    try:
        if getattr(serverapp, "gateway_config", None) is None:
            # The class traits' defaults read it; Jupyter Server sets it after the extensions are linked.
            serverapp.gateway_config = GatewayClient.instance(parent=serverapp)
        for trait in CLASSES:
            _install(serverapp, trait, wrapped(trait, _configured(serverapp, trait)))
        serverapp.observe(_on_class, names=list(CLASSES))
    except Exception:
        log.exception("the kernels of sessions cannot be linked; local kernels are not affected")


def _sections(serverapp: Any) -> list[str]:
    return [name for name in type(serverapp).section_names() if name in serverapp.config]


def _configured(serverapp: Any, trait: str) -> Any:
    """Give the class that would be used, also one that another extension put in the configuration without loading."""
    from traitlets.utils.importstring import import_item

    for section in reversed(_sections(serverapp)):
        value = serverapp.config[section].get(trait)
        if value is not None:
            return import_item(value) if isinstance(value, str) else value
    return getattr(serverapp, trait)


def _install(serverapp: Any, trait: str, ours: type) -> None:
    # By configuration: the trait alone would fall back to the configured class whenever configuration is loaded again.
    config = Config()
    for section in {"ServerApp", *(name for name in _sections(serverapp) if trait in serverapp.config[name])}:
        config[section][trait] = ours
    serverapp.update_config(config)
    if getattr(serverapp, trait) is not ours:
        setattr(serverapp, trait, ours)


def _on_class(change: Any) -> None:
    """Stand before a class that an extension linked after us has set."""
    try:
        ours = wrapped(change.name, change.new)
        if ours is not change.new:
            _install(change.owner, change.name, ours)
    except Exception:
        log.exception("cannot stand before %r; local kernels are not affected", change.new)


def load(serverapp: Any, folder: Path | None = None) -> Mounted:
    """Bind the server's instances and restore its remote kernels and notebook sessions, before it listens.

    ``folder`` holds what is kept (default: ``jupyter_sessions`` in Jupyter's data directory). Raises nothing: where
    binding fails, what is given has ``bound`` False and local kernels are as they were.
    """
    mounted = Mounted(serverapp, folder or Path(jupyter_data_dir()) / "jupyter_sessions")
    try:
        mounted.bind()
    except Exception:
        mounted.unbind()
        log.exception("the kernels of sessions are off; local kernels are not affected")
    return mounted


def _canceller(task: asyncio.Task[None]) -> Callable[[], None]:
    def cancel() -> None:
        task.cancel()

    return cancel


class Mounted:
    """The kernels room of one server: ``registry``, ``remote`` and what holds them to Jupyter's instances."""

    def __init__(self, serverapp: Any, folder: Path) -> None:
        self._app = serverapp
        self._folder = folder
        self._undo: list[Callable[[], None]] = []
        self._settling: Settling | None = None
        self.bound = False
        self.registry = Registry()
        self.remote = RemoteHosts(self.registry)
        self.records = Records(folder, str(serverapp.root_dir))
        self.starts = GatewayStarts(self.registry, self.remote, self.records)
        self.actions = Actions(self.remote, self.registry, self._emit, self.starts)

    def bind(self) -> None:
        """Bring the mixins to life; raises RuntimeError where an instance has none."""
        app = self._app
        manager, specs, notebooks = app.kernel_manager, app.kernel_spec_manager, app.session_manager
        for instance, mixin in (
            (manager, SessionKernelManager),
            (specs, SessionSpecs),
            (notebooks, NotebookSessions),
        ):
            if not isinstance(instance, mixin):
                raise RuntimeError(f"the server's {type(instance).__name__} was made without {mixin.__name__}")
        self.wrap_connection()
        kernels, rows = self.records.load()
        self.starts.restore(self.records.load_asked())
        self.registry.remembered.restore(self.records.load_offered())
        for kernel in kernels:
            self.registry.add(kernel)
        # Kernels before rows: a row without its kernel is dropped.
        self._undo.append(manager.bind_sessions(self.registry, self.actions))
        self._undo.append(specs.bind_sessions(self.registry, Logos(self._folder / "logos")))
        self._undo.append(notebooks.bind_sessions(self.registry, self.records, rows))
        self._undo.append(self.records.follow(self.registry))
        self._undo.append(self.registry.subscribe(self._on_kernel))
        self.bound = True

    def unbind(self) -> None:
        """Let the instances be the user's own again; harmless twice."""
        self.bound = False
        while self._undo:
            self._undo.pop()()

    def wrap_connection(self) -> None:
        """Make the server's websockets ours where a kernel is, whoever set their class last."""
        settings = self._app.web_app.settings
        settings[CONNECTION] = wrapped(CONNECTION, settings[CONNECTION])

    async def start(self) -> None:
        """Do what needs the running loop, after every extension is loaded."""
        if not self.bound:
            return
        self.wrap_connection()
        manager = self._app.kernel_manager
        if self.registry.all() and not manager._initialized_culler:
            manager.initialize_culler()

    def attach(
        self,
        hosts: KernelHosts,
        sessions: SessionsApi | None = None,
        caller: Caller | None = None,
        seen: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """Take in the hosts, now and as they change; call it on the loop once the service has started.

        With ``sessions`` and ``caller`` the restored kernels whose session is not ACTIVE are asked after: those of one
        that has ended are dead, those of one that cannot be asked stay ``unknown``. ``seen`` waits until
        every session is known, and a start of a kernelspec that nobody knows for it.
        """
        if not self.bound:
            return
        self._undo.append(hosts.watch_hosts(self._on_host))
        for host in hosts.kernel_hosts():
            self._on_host(host)
        if seen is None:
            self._complete()
        else:
            completing = asyncio.get_running_loop().create_task(seen())
            completing.add_done_callback(lambda _: self._complete())
            self._undo.append(_canceller(completing))
        if sessions is not None and caller is not None:
            self._settling = Settling(self.registry, sessions, caller)

    def _complete(self) -> None:
        self.registry.completed()
        self.records.keep_offered({offer.host.session_uuid for offer in self.registry.offers().values()})

    def attach_nothing(self) -> None:
        """Say that no hosts will come: the service cannot start here."""
        self.registry.completed()

    async def own_specs(self) -> dict[str, Any]:
        """Give the user's own kernelspecs alone, as the kernelspec manager's ``get_all_specs`` does."""
        specs = self._app.kernel_spec_manager
        found: dict[str, Any] = await specs.own_specs()
        return found

    async def close(self) -> None:
        """Let go of everything; remote kernels run on, and what is known of them is written."""
        if self._settling is not None:
            await self._settling.close()
        self.unbind()
        await self.starts.close()
        await self.remote.close()
        await self.records.close()

    def _on_host(self, host: KernelHost) -> None:
        try:
            self.registry.set_host(host)
            host = self.registry.host(host.session_uuid) or host
            if host.state is State.ACTIVE and reachable(host):
                self.remote.follow(host)
                self.starts.settle(host)
            else:
                self.remote.unfollow(host.session_uuid)
        except Exception:
            # The service tells its changes to others besides.
            log.exception("cannot take in the host of %s", host.session)

    def _on_kernel(self, kernel: RemoteKernel, what: What) -> None:
        if what == "dead" and self.registry.host(kernel.session_uuid) is None:
            self.actions.tell_ended(kernel)

    def _emit(self, data: dict[str, Any]) -> None:
        try:
            self._app.event_logger.emit(schema_id=SCHEMA, data=data)
        except Exception:
            # An operator's handler of events must not decide whether a kernel starts.
            log.exception("cannot emit a kernel action")
