"""The contract over a real project of Google's: skipped unless told which.

``JUPYTER_SESSIONS_LIVE_PROJECT`` and ``JUPYTER_SESSIONS_LIVE_REGION`` name the location, which must hold no session
and no template; ``JUPYTER_SESSIONS_LIVE_ACCOUNT`` is the e-mail of the Application Default Credentials. It makes and
deletes sessions there, which costs money and takes an hour or so::

    pip install '.[dataproc,test]'
    JUPYTER_SESSIONS_LIVE_PROJECT=… JUPYTER_SESSIONS_LIVE_REGION=… JUPYTER_SESSIONS_LIVE_ACCOUNT=… \\
        pytest tests/live --timeout 3600
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jupyter_sessions.config.locations import LocationConfig
from jupyter_sessions.config.reading import read_locations
from jupyter_sessions.model.api import Caller, KernelHost, ListRequest
from tests.contract.sessions_api import SessionsContract, Subject
from tests.serve.serving import until
from tests.upstream.proxies import proxy

NAMES = ("PROJECT", "REGION", "ACCOUNT")
PROJECT, REGION, ACCOUNT = (os.environ.get(f"JUPYTER_SESSIONS_LIVE_{name}", "") for name in NAMES)
ME = Caller(ACCOUNT)
START_SECONDS = 600.0

pytestmark = pytest.mark.skipif(not (PROJECT and REGION and ACCOUNT), reason="no project of Google's was named")


def configured() -> LocationConfig:
    """Configure the location as a user's file does."""
    found = read_locations([{"project": PROJECT, "location": REGION, "auth": "google"}], paths=[])
    return next(location for location in found.locations if location.endpoint)


class TestGoogle(SessionsContract):
    """Lab's server → the proxy → Google's API."""

    @contextlib.asynccontextmanager
    async def serving(self, tmp_path: Path) -> AsyncIterator[Subject]:
        """Serve the location, which must be empty, and leave it so."""
        async with proxy(configured(), tmp_path, None) as sessions:
            subject = Subject(sessions, configured().name, False, False, ACCOUNT, True, False, START_SECONDS)
            assert not (await sessions.list_sessions(ME, subject.parent, ListRequest())).items, "sessions are there"
            assert not (await sessions.list_templates(ME, subject.parent, ListRequest())).items, "templates are there"
            try:
                yield subject
            finally:
                for session in (await sessions.list_sessions(ME, subject.parent, ListRequest())).items:
                    await subject.done(await sessions.delete_session(ME, session.parsed_name))
                for template in (await sessions.list_templates(ME, subject.parent, ListRequest())).items:
                    await sessions.delete_template(ME, template.parsed_name)


async def test_the_gateway_offers_kernels(tmp_path: Path) -> None:
    """See that Google's kernel gateway is found and answers, and what it offers."""
    async with proxy(configured(), tmp_path, None) as sessions:

        def offers() -> list[KernelHost]:
            return [host for host in sessions.kernel_hosts() if host.kernels]

        hosts = await until(offers, "the gateway's kernelspecs", 60.0)
        assert all(host.gateway is not None and host.address.startswith("https://") for host in hosts)
