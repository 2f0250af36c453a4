"""Jupyter's REST of kernelspecs and kernels, over the caller's sessions."""

from __future__ import annotations

import asyncio
import json
import mimetypes
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from jupyter_sessions.engines.hostlink import HostUnreachable
from jupyter_sessions.model.api import KernelHost
from jupyter_sessions.model.errors import NotFound
from jupyter_sessions.serve import gateway_templates as templates
from jupyter_sessions.serve.gateway_kernels import ACT_TIMEOUT, Wanted, link_to, unreachable
from jupyter_sessions.serve.gateway_rules import GatewayHandler, GatewaySetup
from jupyter_sessions.serve.gateway_specs import Offer, default_of, template_id, template_model


class MeHandler(GatewayHandler):
    """Who asks."""

    async def get(self) -> None:
        """Answer the caller's name as ``creator`` has it, in the shape of Jupyter's ``api/me``."""
        self.raise_refusal()
        name = self.caller.name
        unknown = dict.fromkeys(("initials", "avatar_url", "color"))
        identity = {"username": name, "name": name, "display_name": name, **unknown}
        self.send_json({"identity": identity, "permissions": {}})

    head = get


class SpecsHandler(GatewayHandler):
    """What kernels there are to start."""

    async def get(self) -> None:
        """Answer every kernelspec, and which is the default."""
        self.raise_refusal()
        api = await self.setup.gate.api()
        offers = await self.setup.kernels.offers(api, self.caller)
        specs = {name: _spec(self, offer) for name, offer in offers.items()}
        if self.setup.template_kernels:
            found = await templates.all_of(api, self.caller)
            specs.update({model["name"]: model for model in map(template_model, found)})
        self.send_json({"default": default_of(offers), "kernelspecs": specs})

    head = get


class SpecHandler(GatewayHandler):
    """One kernelspec."""

    async def get(self, name: str) -> None:
        """Answer it; 404 where the caller has none of this name."""
        self.raise_refusal()
        api = await self.setup.gate.api()
        offer = (await self.setup.kernels.offers(api, self.caller)).get(name.lower())
        if offer is not None:
            self.send_json(_spec(self, offer))
            return
        template = await templates.find(api, self.caller, template_id(name)) if self.setup.template_kernels else None
        if template is None:
            raise NotFound(f"Kernel spec {name} not found")
        self.send_json(template_model(template))

    head = get


def _spec(handler: GatewayHandler, offer: Offer) -> dict[str, Any]:
    logos = handler.setup.kernels.memory.logos(offer.host.session_uuid, offer.kernel.name)
    return offer.model(handler.base_url, logos)


class LogoHandler(GatewayHandler):
    """A file of a kernelspec's resources, as the session's host gives it."""

    async def get(self, name: str, file: str) -> None:
        """Answer its bytes; 404 for a file that the kernelspec does not name."""
        self.raise_refusal()
        api = await self.setup.gate.api()
        offer = (await self.setup.kernels.offers(api, self.caller)).get(name.lower())
        kernels = self.setup.kernels
        if offer is None or file not in kernels.memory.logos(offer.host.session_uuid, offer.kernel.name).values():
            raise NotFound(f"Kernel resource {name}/{file} not found")
        link = link_to(offer.host)
        try:
            path = f"/kernelspecs/{quote(offer.kernel.name, safe='')}/{quote(file, safe='')}"
            status, content, _ = await link.read(path, ACT_TIMEOUT)
        except HostUnreachable:
            raise unreachable(offer.host) from None
        finally:
            link.close()
        if status != 200:
            raise NotFound(f"Kernel resource {name}/{file} not found")
        # Whose content it is, is the session's owner's business: it is an image here or nothing a browser runs.
        kind = mimetypes.guess_type(file)[0] or ""
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(content, set_content_type=kind if kind.startswith("image/") else "application/octet-stream")

    head = get


class KernelsHandler(GatewayHandler):
    """All kernels of the caller's."""

    actions: ClassVar[Mapping[str, str]] = {"GET": "read", "POST": "write"}

    def initialize(self, setup: GatewaySetup) -> None:
        """Take what the service hands over."""
        super().initialize(setup)
        self._gone = asyncio.Event()

    def on_connection_close(self) -> None:
        """Note that nobody waits for the answer any more."""
        self._gone.set()
        super().on_connection_close()

    async def get(self) -> None:
        """Answer them."""
        self.raise_refusal()
        models = await self.setup.kernels.models(await self.setup.gate.api(), self.caller)
        self.send_json(json.dumps(models).encode())

    head = get

    async def post(self) -> None:
        """Start one: ``{name, kernel_id, path, env}``, all optional."""
        self.raise_refusal()
        api = await self.setup.gate.api()
        wanted = Wanted.read(self.json_body())

        async def session_of(name: str) -> KernelHost | None:
            template = template_id(name) if self.setup.template_kernels else ""
            if not template:
                return None
            found = await templates.find(api, self.caller, template)
            if found is None:
                return None
            return await templates.started(self.setup, api, self.caller, found, wanted.kernel_id, self._gone)

        model = await self.setup.kernels.start(api, self.caller, wanted, session_of)
        self.set_header("Location", f"{self.base_url}api/kernels/{quote(str(model['id']))}")
        self.send_json(model, 201)


class KernelHandler(GatewayHandler):
    """One kernel."""

    actions: ClassVar[Mapping[str, str]] = {"GET": "read", "DELETE": "write"}

    async def get(self, kernel_id: str) -> None:
        """Answer it."""
        self.raise_refusal()
        kernels = self.setup.kernels
        self.send_json(kernels.model(await kernels.find(await self.setup.gate.api(), self.caller, kernel_id)))

    head = get

    async def delete(self, kernel_id: str) -> None:
        """End it."""
        self.raise_refusal()
        await self.setup.kernels.shutdown(await self.setup.gate.api(), self.caller, kernel_id)
        self.set_status(204)
        self.finish()


class ActionHandler(GatewayHandler):
    """What is done to a running kernel."""

    actions: ClassVar[Mapping[str, str]] = {"POST": "write"}

    async def post(self, kernel_id: str, action: str) -> None:
        """Interrupt it (204) or restart it (200 and the model)."""
        self.raise_refusal()
        api, kernels = await self.setup.gate.api(), self.setup.kernels
        if action == "restart":
            self.send_json(await kernels.restart(api, self.caller, kernel_id))
            return
        await kernels.interrupt(api, self.caller, kernel_id)
        self.set_status(204)
        self.finish()
