"""Google's credentials with google-auth itself, against a token endpoint of the test's own."""

from __future__ import annotations

import asyncio
import builtins
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import urllib3.util.connection
from google.auth import jwt
from google.auth.compute_engine import _metadata

from jupyter_sessions.config.locations import Auth
from jupyter_sessions.model.errors import Unauthenticated, Unavailable
from jupyter_sessions.upstream.google import AHEAD, KEY_VARIABLE, GoogleCredentials
from jupyter_sessions.upstream.renewal import REST
from tests.faults.certificates import authority
from tests.faults.replies import html, internal, ok, unauthenticated, unavailable
from tests.faults.server import FaultServer
from tests.faults.sockets import Proxy, nobody
from tests.upstream.carrying import BASE, SESSIONS, Hand, carried
from tests.upstream.signing_in import ADC, REFRESH_TOKEN, form, issued, issuer, refused, service_account_file, user_file

CONFIG = replace(BASE, auth=Auth.GOOGLE)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a home where nobody is signed in, on a machine that is none of Google's and may start no program."""
    for name in (KEY_VARIABLE, "CLOUDSDK_CONFIG", "GOOGLE_CLOUD_QUOTA_PROJECT", "GCE_METADATA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(_metadata, "_NO_GCE_CHECK", True)
    started: list[object] = []

    def start(*arguments: object, **options: object) -> NoReturn:
        started.append(arguments)
        raise AssertionError(f"a program is started: {arguments}")

    monkeypatch.setattr(subprocess, "Popen", start)
    yield tmp_path
    assert started == []


def clocked() -> Hand:
    """Give a clock that the test moves on from now."""
    return Hand(time.time())


async def test_a_users_sign_in(home: Path) -> None:
    async with issuer(home, issued("access-token")) as (server, config):
        user_file(home / ADC)
        credentials = GoogleCredentials(config)
        assert await credentials.headers() == {"Authorization": "Bearer access-token"}
        (request,) = server.requests
    assert form(request)["refresh_token"] == REFRESH_TOKEN
    assert "scope" not in form(request)


async def test_the_folder_of_the_sign_in_may_be_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(home / "elsewhere"))
    async with issuer(home, issued("access-token")) as (_server, config):
        user_file(home / "elsewhere" / ADC.name)
        assert await GoogleCredentials(config).headers() == {"Authorization": "Bearer access-token"}


async def test_a_service_account(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FaultServer(issued("robots-token")) as server:
        monkeypatch.setenv(KEY_VARIABLE, str(service_account_file(home / "key.json", f"{server.url}/token")))
        assert await GoogleCredentials(CONFIG).headers() == {"Authorization": "Bearer robots-token"}
        (request,) = server.requests
    claims = jwt.decode(form(request)["assertion"], verify=False)  # type: ignore[no-untyped-call]  # google-auth leaves it so
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert claims["iss"] == "robot@proj.iam.gserviceaccount.com"


async def test_the_named_file_outranks_the_sign_in_even_if_it_is_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with issuer(home, issued("a"), issued("b")) as (server, config):
        path = user_file(home / ADC, refresh_token="one")
        monkeypatch.setenv(KEY_VARIABLE, str(path))
        assert await GoogleCredentials(config).headers() == {"Authorization": "Bearer a"}
        monkeypatch.setenv(KEY_VARIABLE, str(user_file(home / "other.json", refresh_token="two")))
        assert await GoogleCredentials(config).headers() == {"Authorization": "Bearer b"}
        assert [form(request)["refresh_token"] for request in server.requests] == ["one", "two"]


async def test_the_project_that_pays(home: Path) -> None:
    async with issuer(home, otherwise=issued("t")) as (_server, config):
        user_file(home / ADC, quota_project_id="from-file")
        assert (await GoogleCredentials(config).headers())["X-Goog-User-Project"] == "from-file"
        ours = replace(config, quota_project="from-config")
        assert (await GoogleCredentials(ours).headers())["X-Goog-User-Project"] == "from-config"


async def test_a_token_is_fetched_once_for_all_and_renewed_before_its_end(home: Path) -> None:
    hand = clocked()
    async with issuer(home, issued("one"), issued("two", 7200)) as (server, config):
        user_file(home / ADC)
        credentials = GoogleCredentials(config, now=hand.steady)
        given = await asyncio.gather(*(credentials.headers() for _ in range(20)))
        assert given == [{"Authorization": "Bearer one"}] * 20
        hand.seconds += 3600 - AHEAD - 5
        await credentials.headers()
        assert len(server.requests) == 1
        hand.seconds += 10
        assert await credentials.headers() == {"Authorization": "Bearer one"}
        await server.asked(2)
        for _ in range(500):
            if (await credentials.headers())["Authorization"] == "Bearer two":
                break
            await asyncio.sleep(0.01)
        assert await credentials.headers() == {"Authorization": "Bearer two"}
        assert len(server.requests) == 2


async def test_a_token_that_is_good_outlives_an_issuer_that_is_away(home: Path) -> None:
    hand = clocked()
    async with issuer(home, issued("one"), html(404), issued("two")) as (server, config):
        user_file(home / ADC)
        credentials = GoogleCredentials(config, now=hand.steady)
        await credentials.headers()
        hand.seconds += 3600 - AHEAD + 1
        for _ in range(20):
            assert await credentials.headers() == {"Authorization": "Bearer one"}
            await asyncio.sleep(0.01)
        assert len(server.requests) == 2
        hand.seconds += AHEAD
        assert await credentials.headers() == {"Authorization": "Bearer two"}


async def test_a_refused_token_is_renewed(home: Path) -> None:
    async with issuer(home, issued("one"), issued("two")) as (server, config):
        user_file(home / ADC)
        credentials = GoogleCredentials(config)
        old = await credentials.headers()
        credentials.refused(old)
        new = await credentials.headers()
        assert new == {"Authorization": "Bearer two"}
        credentials.refused(old)
        assert await credentials.headers() == new
        assert len(server.requests) == 2


async def test_nobody_is_signed_in_and_then_somebody_is(home: Path) -> None:
    hand = clocked()
    async with issuer(home, issued("t")) as (server, config):
        credentials = GoogleCredentials(config, now=hand.steady)
        for _ in range(2):
            with pytest.raises(Unauthenticated, match=r"\[Sign in on .*`gcloud auth application-default login`"):
                await credentials.headers()
        assert "gcloud auth application-default login" in credentials.remedy()[0]
        assert server.requests == []
        user_file(home / ADC)
        hand.seconds += REST
        assert await credentials.headers() == {"Authorization": "Bearer t"}


async def test_a_sign_in_that_has_ended(home: Path) -> None:
    async with issuer(home, otherwise=refused()) as (_server, config):
        user_file(home / ADC)
        with pytest.raises(Unauthenticated, match=r"expired or revoked.*application-default login") as caught:
            await GoogleCredentials(config).headers()
    assert REFRESH_TOKEN not in str(caught.value) and "client-secret" not in str(caught.value)


async def test_an_answer_with_a_token_in_it_is_not_shown(home: Path) -> None:
    async with issuer(home, otherwise=refused(words="ya29.somebodys-token is no good")) as (_server, config):
        user_file(home / ADC)
        with pytest.raises(Unauthenticated, match="is not shown") as caught:
            await GoogleCredentials(config).headers()
    assert "somebodys-token" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type": "odd"}', '{"type": "authorized_user"}', "\x00"], ids=repr)
async def test_a_file_that_is_no_sign_in(home: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (home / "key.json").write_text(text)
    monkeypatch.setenv(KEY_VARIABLE, str(home / "key.json"))
    with pytest.raises(Unauthenticated, match="Sign in on the machine"):
        await GoogleCredentials(CONFIG).headers()
    monkeypatch.setenv(KEY_VARIABLE, str(home / "not-there.json"))
    with pytest.raises(Unauthenticated, match=r"not-there\.json was not found"):
        await GoogleCredentials(CONFIG).headers()


async def test_an_issuer_that_cannot_be_reached_is_no_refusal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nobody() as port:
        monkeypatch.setenv(KEY_VARIABLE, str(service_account_file(home / "key.json", f"http://127.0.0.1:{port}")))
        with pytest.raises(Unavailable, match="issuer of Google's access tokens cannot be reached"):
            await GoogleCredentials(CONFIG).headers()


async def test_no_secret_goes_plainly_to_another_machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, str(service_account_file(home / "key.json", "http://192.0.2.1/token")))
    tried: list[object] = []
    monkeypatch.setattr(urllib3.util.connection, "create_connection", lambda *given, **options: tried.append(given))
    with pytest.raises(Unavailable):
        await GoogleCredentials(CONFIG).headers()
    assert tried == []


async def test_google_auth_missing_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("google"):
            raise ModuleNotFoundError(name)
        return real(name, *arguments, **options)

    credentials = GoogleCredentials(CONFIG)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        Unauthenticated, match=r"google-auth is not installed .*pip install jupyter_sessions\[dataproc\]"
    ):
        await credentials.headers()
    assert "jupyter_sessions[dataproc]" in credentials.remedy()[0]


async def test_the_whole_way_through_a_proxy_to_a_host_of_googles_name(home: Path) -> None:
    host = "us-central1-dataproc.googleapis.com"
    trusted = authority(home, host, "oauth2.googleapis.com")
    async with (
        FaultServer(unauthenticated(), ok({"name": "x"}), tls=trusted.server) as api,
        FaultServer(issued("one"), issued("two"), tls=trusted.server) as tokens,
        Proxy({f"{host}:443": api.port, "oauth2.googleapis.com:443": tokens.port}) as proxy,
    ):
        user_file(home / ADC)
        config = replace(CONFIG, verify=str(trusted.bundle), proxy=proxy.url, quota_project="payer")
        async with carried(f"https://{host}", config=config) as transport:
            assert (await transport.call("GET", SESSIONS, safe=True)).body == {"name": "x"}
        assert [request.headers["authorization"] for request in api.requests] == ["Bearer one", "Bearer two"]
        assert {request.headers["x-goog-user-project"] for request in api.requests} == {"payer"}
        seen = str([(request.target, request.headers) for request in proxy.requests])
        assert "Bearer" not in seen and len(tokens.requests) == 2


async def test_an_issuers_certificate_is_judged_even_where_the_locations_is_not(home: Path) -> None:
    trusted = authority(home, "oauth2.googleapis.com")
    async with (
        FaultServer(issued("one"), tls=trusted.server) as tokens,
        Proxy({"oauth2.googleapis.com:443": tokens.port}) as proxy,
    ):
        user_file(home / ADC)
        with pytest.raises(Unavailable):
            await GoogleCredentials(replace(CONFIG, verify=False, proxy=proxy.url)).headers()
        assert tokens.requests == []


@pytest.mark.parametrize("reply", [internal(), unavailable()])
async def test_an_issuer_in_trouble_is_no_refusal(home: Path, monkeypatch: pytest.MonkeyPatch, reply: Any) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    async with issuer(home, otherwise=reply) as (server, config):
        user_file(home / ADC)
        with pytest.raises(Unavailable):
            await GoogleCredentials(config).headers()
        assert len(server.requests) >= 1


async def test_the_metadata_server(monkeypatch: pytest.MonkeyPatch) -> None:
    flavor = {"Metadata-Flavor": "Google"}
    body = {"access_token": "machines-token", "expires_in": 3600, "token_type": "Bearer"}

    def route(request: Any) -> Any:
        assert request.headers.get("metadata-flavor") == "Google"
        if request.path.endswith("/token"):
            return ok(body, flavor)
        return ok({"email": "machine@proj", "scopes": [], "aliases": []}, flavor)

    async with FaultServer(route=route) as server:
        # The library looks at the environment when it is imported, which was long ago.
        monkeypatch.setattr(_metadata, "_NO_GCE_CHECK", False)
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", f"127.0.0.1:{server.port}")
        monkeypatch.setenv("GCE_METADATA_IP", f"127.0.0.1:{server.port}")
        assert await GoogleCredentials(CONFIG).headers() == {"Authorization": "Bearer machines-token"}
