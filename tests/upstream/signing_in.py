"""Files as signing in to Google writes them, with a token endpoint of the test's own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from jupyter_sessions.config.locations import Auth, LocationConfig
from tests.faults.certificates import authority
from tests.faults.replies import JSON, raw
from tests.faults.server import FaultServer, Reply, Request
from tests.faults.sockets import Proxy
from tests.upstream.carrying import BASE

ADC = Path(".config/gcloud/application_default_credentials.json")
"""Where a sign-in lies, below the home."""
ISSUER = "oauth2.googleapis.com"
REFRESH_TOKEN = "1//refresh-token-of-somebody"


def user_file(path: Path, **more: str) -> Path:
    """Write what ``gcloud auth application-default login`` writes; its tokens come from Google's own endpoint alone."""
    info = {
        "type": "authorized_user",
        "client_id": "client.apps.example",
        "client_secret": "client-secret",
        "refresh_token": REFRESH_TOKEN,
        **more,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(info))
    return path


def service_account_file(path: Path, token_url: str) -> Path:
    """Write a service account's key."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    info = {
        "type": "service_account",
        "project_id": "proj",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "robot@proj.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_url,
    }
    path.write_text(json.dumps(info))
    return path


def issued(token: str, seconds: int = 3600) -> Reply:
    """Issue a token."""
    body = {"access_token": token, "expires_in": seconds, "token_type": "Bearer", "scope": "cloud-platform"}
    return raw(200, json.dumps(body).encode(), JSON)


def refused(error: str = "invalid_grant", words: str = "Token has been expired or revoked.") -> Reply:
    """Refuse to, as OAuth has it."""
    return raw(400, json.dumps({"error": error, "error_description": words}).encode(), JSON)


def form(request: Request) -> dict[str, Any]:
    """Give the fields of a form that was posted."""
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


@contextlib.asynccontextmanager
async def issuer(
    folder: Path, *replies: Reply, otherwise: Reply | None = None
) -> AsyncIterator[tuple[FaultServer, LocationConfig]]:
    """Give what answers in the place of Google's token endpoint, and a location whose proxy leads there."""
    trusted = authority(folder, ISSUER)
    async with FaultServer(*replies, otherwise=otherwise, tls=trusted.server) as server:
        async with Proxy({f"{ISSUER}:443": server.port}) as proxy:
            yield server, replace(BASE, auth=Auth.GOOGLE, verify=str(trusted.bundle), proxy=proxy.url)
