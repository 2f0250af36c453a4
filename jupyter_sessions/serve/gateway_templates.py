"""A template's kernelspec: to start it is to make a session, wait until it is ACTIVE, and start its kernel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_sessions.model.api import Caller, KernelHost, ListRequest, SessionsApi
from jupyter_sessions.model.errors import Cancelled, DeadlineExceeded, Internal
from jupyter_sessions.model.names import SessionName, parse_session
from jupyter_sessions.model.states import State
from jupyter_sessions.serve.gateway_kernels import EVERYWHERE, PAGE

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import SessionTemplate
    from jupyter_sessions.serve.gateway_rules import GatewaySetup

ACTIVE_SECONDS = 600.0
"""How long a session may take to become ACTIVE before the start has failed; the session stays."""
_REQUEST_ID = 40


async def all_of(api: SessionsApi, caller: Caller) -> list[SessionTemplate]:
    """Give every template that the caller may see."""
    found: list[SessionTemplate] = []
    token = ""
    while True:
        page = await api.list_templates(caller, EVERYWHERE, ListRequest(PAGE, token))
        found += page.items
        token = page.next_page_token
        if not token:
            return found


async def find(api: SessionsApi, caller: Caller, template_id: str) -> SessionTemplate | None:
    """Give the template of this id, None where the caller sees none."""
    found = await all_of(api, caller) if template_id else []
    return next((template for template in found if template.parsed_name.id == template_id), None)


async def started(
    setup: GatewaySetup,
    api: SessionsApi,
    caller: Caller,
    template: SessionTemplate,
    kernel_id: str,
    gone: asyncio.Event,
) -> KernelHost:
    """Make a session of a template and give its host once it is ACTIVE.

    The same ``kernel_id`` again waits for the same session. Whoever goes away (``gone``) leaves the session to be
    listed. Raises what the create raises, Internal where the session fails, DeadlineExceeded after ACTIVE_SECONDS.
    """
    from jupyter_sessions.model.resources import Session

    wanted = Session(session_template=template.name)
    request_id = kernel_id if len(kernel_id) <= _REQUEST_ID else ""
    operation = await api.create_session(caller, template.parsed_name.parent, wanted, "", request_id)
    return await _active(setup, api, caller, parse_session(operation.metadata.session), gone)


async def _active(
    setup: GatewaySetup, api: SessionsApi, caller: Caller, name: SessionName, gone: asyncio.Event
) -> KernelHost:
    news = asyncio.Event()

    def tell(_: Any) -> None:
        news.set()

    end = asyncio.get_running_loop().time() + ACTIVE_SECONDS
    undo = [api.subscribe(tell), setup.hosts.watch_hosts(tell)]
    try:
        while True:
            news.clear()
            session = await api.get_session(caller, name)
            host = setup.kernels.host(session.uuid)
            if host is not None:
                return host
            if session.state not in (State.CREATING, State.ACTIVE):
                raise Internal(f"the session {name.id} is {session.state.name}: {session.state_message}")
            await _wait(news, gone, end - asyncio.get_running_loop().time(), name)
    finally:
        for each in undo:
            each()


async def _wait(news: asyncio.Event, gone: asyncio.Event, left: float, name: SessionName) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (news, gone)]
    try:
        done, _ = await asyncio.wait(waits, timeout=max(left, 0.0), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if gone.is_set():
        raise Cancelled(f"nobody waits for the kernel any more; the session {name.id} goes on")
    if not done:
        raise DeadlineExceeded(f"the session {name.id} is not ACTIVE after {ACTIVE_SECONDS:g} s; it is listed")
