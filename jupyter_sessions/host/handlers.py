"""The host's REST: Jupyter's, as far as kernels go, and the two ways of its own."""

from __future__ import annotations

import asyncio
import glob
import json
import mimetypes
import os
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.escape import url_escape
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError

from jupyter_sessions import __version__
from jupyter_sessions.host.activity import isoformat
from jupyter_sessions.host.channels import ChannelsHandler
from jupyter_sessions.host.door import DoorHandler, SocketHandler
from jupyter_sessions.host.feed import Subscription
from jupyter_sessions.host.kernels import Refused
from jupyter_sessions.host.manager import kernel_spec
from jupyter_sessions.model.hostfile import KernelSpecEntry


class VersionHandler(DoorHandler):
    """``/api``."""

    def get(self) -> None:
        """Answer the version of this program."""
        self.answer({"version": __version__})


class StatusHandler(DoorHandler):
    """``/api/status``."""

    def get(self) -> None:
        """Answer when the host started, when something last happened, how many kernels and connections there are."""
        models = self.kernels.models()
        started = self.settings["started"]
        self.answer(
            {
                "connections": sum(model["connections"] for model in models),
                "kernels": len(models),
                "last_activity": max([isoformat(started), *(model["last_activity"] for model in models)]),
                "started": isoformat(started),
            }
        )


class KernelSpecsHandler(DoorHandler):
    """``/api/kernelspecs``."""

    def get(self) -> None:
        """Answer the kernels of the session's intent."""
        offered = self.kernels.intent.kernels
        specs = {name: _spec(name, entry) for name, entry in offered.items()}
        self.answer({"default": self.kernels.default, "kernelspecs": specs})


class KernelSpecHandler(DoorHandler):
    """``/api/kernelspecs/{name}``."""

    def get(self, name: str) -> None:
        """Answer one kernelspec."""
        entry = self.kernels.intent.kernels.get(name)
        if entry is None:
            raise HTTPError(404, "Kernel spec %s not found", name)
        self.answer(_spec(name, entry))


class ResourceHandler(DoorHandler):
    """``/kernelspecs/{name}/{file}``: what a kernelspec's ``resources`` name."""

    async def get(self, name: str, file: str) -> None:
        """Answer a logo's bytes."""
        entry = self.kernels.intent.kernels.get(name)
        if entry is None or file not in _resource_files(entry):
            raise HTTPError(404, "Kernel resource %s/%s not found", name, file)
        content = await asyncio.to_thread(_read, os.path.join(entry.resource_dir, file))
        self.set_header("Content-Type", mimetypes.guess_type(file)[0] or "application/octet-stream")
        self.finish(content)


class KernelsHandler(DoorHandler):
    """``/api/kernels``."""

    def get(self) -> None:
        """Answer all kernels."""
        self.answer(self.kernels.models())

    async def post(self) -> None:
        """Start a kernel: ``{name, kernel_id, cwd or path, env}``, all optional."""
        body = self.body()
        fields = {key: _text(body, key) for key in ("name", "kernel_id", "cwd", "path")}
        env = body.get("env") or {}
        if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
            raise HTTPError(400, "env is an object of strings")
        cwd = fields["cwd"] or fields["path"].lstrip("/")
        try:
            kernel = await self.kernels.start(fields["name"] or None, fields["kernel_id"] or None, cwd, env)
        except Refused as error:
            raise HTTPError(400, str(error)) from error
        except Exception as error:
            raise HTTPError(500, f"the kernel could not be started: {error}") from error
        self.set_header("Location", f"/api/kernels/{url_escape(kernel.id)}")
        self.answer(kernel.model(), 201)


class KernelHandler(DoorHandler):
    """``/api/kernels/{id}``."""

    def get(self, kernel_id: str) -> None:
        """Answer one kernel."""
        self.answer(self.find_kernel(kernel_id).model())

    async def delete(self, kernel_id: str) -> None:
        """End a kernel."""
        await self.find_kernel(kernel_id).shutdown()
        self.set_status(204)


class KernelActionHandler(DoorHandler):
    """``/api/kernels/{id}/interrupt`` and ``…/restart``."""

    async def post(self, kernel_id: str, action: str) -> None:
        """Interrupt (204) or restart (200 and the model)."""
        kernel = self.find_kernel(kernel_id)
        if action == "interrupt":
            await kernel.interrupt()
            self.set_status(204)
            return
        try:
            await kernel.restart()
        except Exception as error:
            raise HTTPError(500, "Exception restarting kernel") from error
        self.answer(kernel.model())


class PokeHandler(DoorHandler):
    """``/host/poke``."""

    async def post(self) -> None:
        """Have the intent read again now."""
        on_poke: Callable[[], Awaitable[None] | None] = self.settings["on_poke"]
        waiting = on_poke()
        if waiting is not None:
            await waiting
        self.set_status(204)


class StreamHandler(SocketHandler):
    """``/host/stream``: what the host knows of its kernels, as it learns it."""

    _subscription: Subscription | None = None
    _writing: asyncio.Task[None] | None = None

    def open(self, *args: str, **kwargs: str) -> None:
        """Tell all kernels, then each change."""
        self._subscription = self.kernels.feed.subscribe()
        self._writing = asyncio.create_task(self._write(self._subscription))

    def on_message(self, message: str | bytes) -> None:
        """Ignore what is said: this stream only tells."""

    def on_close(self) -> None:
        """End the subscription."""
        if self._subscription is not None:
            self.kernels.feed.unsubscribe(self._subscription)
        if self._writing is not None:
            self._writing.cancel()

    async def _write(self, subscription: Subscription) -> None:
        try:
            while True:
                await self.write_message(json.dumps(await subscription.get()))
        except WebSocketClosedError:
            return


class UnknownHandler(DoorHandler):
    """Everything else."""

    def prepare(self) -> None:
        """Refuse strangers first, then answer 404."""
        super().prepare()
        raise HTTPError(404)


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise HTTPError(400, "%s is a string", key)
    return value


def _spec(name: str, entry: KernelSpecEntry) -> dict[str, Any]:
    return {
        "name": name,
        "spec": kernel_spec(entry).to_dict(),
        "resources": {
            os.path.splitext(file)[0] if file.startswith("logo-") else file: f"/kernelspecs/{name}/{file}"
            for file in _resource_files(entry)
        },
    }


def _resource_files(entry: KernelSpecEntry) -> list[str]:
    if not entry.resource_dir:
        return []
    place = glob.escape(entry.resource_dir)
    found = [path for name in ("kernel.js", "kernel.css", "logo-*") for path in glob.glob(os.path.join(place, name))]
    return sorted(os.path.basename(path) for path in found)


def _read(path: str) -> bytes:
    with open(path, "rb") as source:
        return source.read()


_ID = r"(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)"
_NAME = r"(?P<name>[\w.\-%]+)"
ROUTES: list[tuple[str, type[DoorHandler]]] = [
    (r"/api/?", VersionHandler),
    (r"/api/status", StatusHandler),
    (r"/api/kernelspecs", KernelSpecsHandler),
    (rf"/api/kernelspecs/{_NAME}", KernelSpecHandler),
    (rf"/kernelspecs/{_NAME}/(?P<file>[^/]+)", ResourceHandler),
    (r"/api/kernels", KernelsHandler),
    (rf"/api/kernels/{_ID}", KernelHandler),
    (rf"/api/kernels/{_ID}/(?P<action>interrupt|restart)", KernelActionHandler),
    (rf"/api/kernels/{_ID}/channels", ChannelsHandler),
    (r"/host/poke", PokeHandler),
    (r"/host/stream", StreamHandler),
]
