"""What is refused at the start, in words, and what is printed where it is served."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from jupyter_sessions.serve.settings import Address, Refused
from tests.serve.accounts import make_account
from tests.serve.serving import LOCATION, OWN, Served, serving, until

NOBODY = 65_534
"""An account id without root's rights, for what a service refuses that is not root."""


AS_NOBODY = f"""
import jupyter_sessions.serve.__main__ as serve, jupyter_sessions.serve.app, os
os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
serve.main()
"""
"""The program as another account, which need not be able to read the interpreter's own files."""


def refused(
    tmp_path: Path, *words: str, program: Sequence[str] = ("-m", "jupyter_sessions.serve"), port: int = 0
) -> str:
    """Start a service that must refuse to serve; give what it says."""
    command = [sys.executable, *program, f"--port={port}", f"--data-dir={tmp_path / 'data'}", *words]
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path), "HOME": str(tmp_path), "PYTHONWARNINGS": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 2, done
    assert done.stdout == "" and "Traceback" not in done.stderr, done
    return done.stderr


def tokens(tmp_path: Path, *names: str) -> Path:
    """Write a file of hashed tokens."""
    path = tmp_path / "tokens"
    rows = [f"{name}:sha256:{hashlib.sha256(f'token of {name}'.encode()).hexdigest()}" for name in names]
    path.write_text("\n".join(rows) + "\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("ip", ["0.0.0.0", "", "::", "192.0.2.1", "host.example"])  # noqa: S104 - refused, not bound
def test_plain_http_is_for_this_machine_alone(ip: str) -> None:
    with pytest.raises(Refused, match="--certfile") as error:
        Address(ip, 0).tls()
    assert "--behind-proxy" in str(error.value) and "tokens" in str(error.value)
    assert Address(ip, 0, behind_proxy=True).tls() is None


@pytest.mark.parametrize("ip", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_plain_http_on_loopback_is_served(ip: str) -> None:
    assert Address(ip, 0).tls() is None


def test_a_url_can_be_called(tmp_path: Path) -> None:
    assert Address("", 0).url(80) == "http://127.0.0.1:80/"
    assert Address("::1", 0).url(80) == "http://[::1]:80/"
    assert Address("0.0.0.0", 0, certfile="x").url(443) == "https://127.0.0.1:443/"  # noqa: S104 - read, not bound


def test_plain_http_on_the_network_is_refused_at_the_start(tmp_path: Path) -> None:
    said = refused(tmp_path, "--ip=0.0.0.0")
    assert "unencrypted" in said and "--behind-proxy" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--keyfile=key.pem"], "--keyfile needs --certfile"),
        (["--certfile=/nowhere/cert.pem"], "there is no file /nowhere/cert.pem"),
        (["--tokens=/nowhere/tokens"], "/nowhere/tokens"),
        (["--location=here"], "--location"),
        (["--config=/nowhere/config.py"], "--config: there is no file /nowhere/config.py"),
        (["--port-file=/nowhere/port"], "--port-file: /nowhere/port"),
        (["--ip=192.0.2.77", "--behind-proxy"], "cannot listen on 192.0.2.77"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, words: Sequence[str], said: str) -> None:
    assert said in refused(tmp_path, *words)


def test_a_user_without_an_account_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, f"--tokens={tokens(tmp_path, OWN, 'no-such-person')}")
    assert "no-such-person" in said and ("has no account on this machine" in said or "serves that user alone" in said)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a service as another account")
def test_a_second_user_is_refused_where_the_service_is_not_root(tmp_path: Path) -> None:
    path = tokens(tmp_path, "nobody", "root")
    for place in (path, tmp_path):
        os.chown(place, NOBODY, -1)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    said = refused(tmp_path, f"--tokens={path}", program=["-c", AS_NOBODY])
    assert "names root" in said and "runs as the account nobody and serves that user alone" in said


def kept_in(path: Path) -> tuple[str, int]:
    """Give what stands in a file, and who may read it."""
    return path.read_text(), stat.S_IMODE(path.stat().st_mode)


class Plain(Served):
    """A service of one user, whose token it makes itself."""

    def command(self) -> list[str]:
        """Give the command line, without a file of tokens."""
        return [word for word in super().command() if not word.startswith("--tokens")]


async def test_with_no_users_named_there_is_one_with_a_token_made_at_the_start(tmp_path: Path) -> None:
    served = Plain(tmp_path, [OWN], [])
    await served.start()
    try:
        said = r"Jupyter Sessions is served at (\S+) with the token (\S+) \(kept in (.+)\)\nCtrl-C stops it; .+\n"
        found = re.fullmatch(said, served.log)
        assert found is not None, served.log
        url, token, kept = found.groups()
        assert url == f"{served.url}/" and kept_in(Path(kept)) == (f"{token}\n", 0o600)
        assert len(token) >= 40
        headers = {"Authorization": f"Bearer {token}"}
        body: dict[str, Any] = {"jupyterSession": {}}
        answer = await asyncio.to_thread(
            requests.post, f"{url}v1/{LOCATION}/sessions?sessionId=my-own", json=body, headers=headers, timeout=30
        )
        assert answer.ok, answer.text
        made = await asyncio.to_thread(requests.get, f"{url}v1/{LOCATION}/sessions/my-own", headers=headers, timeout=30)
        assert (made.json()["creator"], made.json()["user"]) == (OWN, OWN)
        assert served.log.count(token) == 1
        wrong = {"Authorization": f"Bearer {token[:-1]}"}
        denied = await asyncio.to_thread(requests.get, f"{url}v1/{LOCATION}/sessions", headers=wrong, timeout=30)
        assert denied.status_code == 401
        await served.stop()
        await served.start()
        again = await asyncio.to_thread(
            requests.get, f"{served.url}/v1/{LOCATION}/sessions", headers=headers, timeout=30
        )
        assert again.ok, again.text
    finally:
        await served.close()


async def test_a_location_says_what_serves_it(tmp_path: Path) -> None:
    options = ["--location=projects/lab/locations/cellar", "--ServeApp.location_title=The cellar"]
    async with serving(tmp_path, users=[OWN], admins=[], options=[*options, "--ServeApp.max_sessions=1"]) as served:
        (location,) = (await served.call(OWN, "GET", "projects/-/locations"))["locations"]
        assert (location["name"], location["displayName"]) == ("projects/lab/locations/cellar", "The cellar")
        metadata = location["metadata"]
        assert (metadata["service"], metadata["provider"]) == ("jupyter_sessions", "embedded")
        assert metadata["version"] and metadata["gateway"] == {"path": "/"} and metadata["limits"]["sessions"] == 1
        found = await served.call(OWN, "GET", "projects/local/locations/serve/sessions", ok=False)
        assert found["error"]["status"] == "NOT_FOUND"
        nowhere = await asyncio.to_thread(served.request, OWN, "GET", "anything/else")
        assert nowhere.json()["error"]["status"] == "NOT_FOUND"


PROVIDER = """
from jupyter_server.auth import IdentityProvider, User


class HeaderProvider(IdentityProvider):
    def get_user(self, handler):
        name = handler.request.headers.get("X-Test-User")
        handler._token_authenticated = name is not None
        return User(name) if name else None

    def get_handlers(self):
        from tornado.web import RequestHandler

        class Back(RequestHandler):
            def get(self):
                self.write("back")

        return [("/oauth/back", Back), *super().get_handlers()]


c = get_config()
c.ServeApp.identity_provider_class = HeaderProvider
"""


class Configured(Plain):
    """A service whose users a configured identity provider knows."""

    def headers(self, user: str) -> dict[str, str]:
        """Give the header that the provider reads."""
        return {"X-Test-User": user}


async def test_users_come_from_a_configured_identity_provider(tmp_path: Path) -> None:
    config = tmp_path / "provider.py"
    config.write_text(PROVIDER)
    user = OWN
    if os.geteuid() == 0:
        user = "alice"
        make_account(user)
    served = Configured(tmp_path, [user], [], [f"--config={config}"])
    await served.start()
    try:
        await served.call(user, "POST", f"{LOCATION}/sessions?sessionId=my-own", {})
        assert (await served.call(user, "GET", f"{LOCATION}/sessions/my-own"))["creator"] == user
        assert (await asyncio.to_thread(served.request, "", "GET", f"v1/{LOCATION}/sessions")).status_code == 401
        for path in (f"v1/{LOCATION}/sessions", "v1/openapi.json", "nowhere", "api/kernels"):
            other = await asyncio.to_thread(served.request, "no-such-person", "GET", path)
            assert other.status_code == 403, other.text
            assert "no-such-person" in other.text
        assert (await asyncio.to_thread(served.request, "", "GET", "oauth/back")).text == "back"
        assert (await asyncio.to_thread(served.request, user, "GET", "login")).status_code == 404
        assert "token" not in served.log
    finally:
        await served.close()


STOCK = (
    "from jupyter_server.auth.identity import PasswordIdentityProvider as P\nc.ServeApp.identity_provider_class = P\n"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("c.ServeApp.identity_provider_class = NoSuchName\n", "NoSuchName"),
        ("this is no Python", "SyntaxError"),
        ("raise OSError('the directory of users is not there')", "the directory of users is not there"),
        (f"{STOCK}c.P.token = ''\nc.PasswordIdentityProvider.token = ''\n", "lets anybody in"),
        (STOCK, "knows that somebody has logged in, not who"),
    ],
)
def test_a_configuration_that_cannot_say_who_the_users_are_is_refused(tmp_path: Path, text: str, said: str) -> None:
    if text == STOCK and os.geteuid() != 0:
        pytest.skip("who is not root serves one user, however they are known")
    config = tmp_path / "provider.py"
    config.write_text(text)
    assert said in refused(tmp_path, f"--config={config}")


def test_a_provider_and_a_file_of_tokens_are_refused_together(tmp_path: Path) -> None:
    config = tmp_path / "provider.py"
    config.write_text(PROVIDER)
    assert "keep one" in refused(tmp_path, f"--config={config}", f"--tokens={tokens(tmp_path, OWN)}")


async def test_tls_is_served_with_a_certificate(tmp_path: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(tmp_path / "key"),
        "-out",
        str(tmp_path / "crt"),
    ]
    try:
        await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=60, check=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl to make a certificate with")
    options = ["--ip=0.0.0.0", f"--certfile={tmp_path / 'crt'}", f"--keyfile={tmp_path / 'key'}"]
    async with serving(tmp_path, users=[OWN], admins=[], options=options) as served:
        await until(lambda: "https://127.0.0.1" in served.log, "the URL")
        url = served.url.replace("http://", "https://")
        answer = await asyncio.to_thread(requests.get, f"{url}/healthz", verify=str(tmp_path / "crt"), timeout=30)
        assert answer.json() == {"status": "ok"}


def test_a_taken_port_says_how_to_take_a_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(tmp_path, port=port)
    assert f"cannot listen on 127.0.0.1:{port}: " in said and "--port 0 for a free one" in said
