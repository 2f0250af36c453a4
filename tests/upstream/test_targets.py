"""Where credentials may go: a table of URLs, and of what of the environment counts on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_sessions.config.locations import Auth, LocationConfig, Provider
from jupyter_sessions.model.errors import FailedPrecondition
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.upstream.targets import check_target, is_loopback, proxies, verification

SERVE = LocationConfig(
    LocationName("p", "l"),
    Provider.UPSTREAM,
    endpoint="https://Sessions.example.org:8443/base",
    gateway="https://gateway.example.org/{project}/{location}",
    auth=Auth.BEARER,
)
LOOP = replace(SERVE, endpoint="http://127.0.0.1:8000", gateway="")
GOOGLE = LocationConfig(
    LocationName("proj", "us-central1"),
    Provider.UPSTREAM,
    endpoint="https://us-central1-dataproc.googleapis.com",
    gateway="https://{projectNumber}-dot-{location}.kernels.googleusercontent.com",
    auth=Auth.GOOGLE,
)
ALLOWED = [
    (SERVE, "https://sessions.example.org:8443/base/v1/x"),
    (SERVE, "wss://sessions.example.org:8443/base/v1/x"),
    (SERVE, "https://SESSIONS.example.ORG:8443/"),
    (SERVE, "https://gateway.example.org/p/l/api/kernels"),
    (SERVE, "wss://gateway.example.org:443/api"),
    (LOOP, "http://127.0.0.1:8000/v1/x"),
    (LOOP, "ws://127.0.0.1:8000/api/kernels"),
    (GOOGLE, "https://us-central1-dataproc.googleapis.com/v1/projects"),
    (GOOGLE, "https://123-dot-us-central1.kernels.googleusercontent.com/api/kernels"),
    (GOOGLE, "wss://123-dot-us-central1.kernels.googleusercontent.com/api/kernels"),
    (GOOGLE, "https://cloudresourcemanager.googleapis.com/v1/projects/proj"),
    (replace(GOOGLE, project_number="7"), "https://7-dot-us-central1.kernels.googleusercontent.com/"),
]
REFUSED = [
    (SERVE, "http://sessions.example.org:8443/v1", "https alone"),
    (SERVE, "https://sessions.example.org/v1", "endpoint and gateway"),
    (SERVE, "https://sessions.example.org.evil.example:8443/v1", "endpoint and gateway"),
    (SERVE, "https://evilsessions.example.org:8443/", "endpoint and gateway"),
    (SERVE, "https://sessions.example.org:8443@evil.example/", "user or password"),
    (SERVE, "https://evil.example\\@sessions.example.org:8443/", "is not https"),
    (SERVE, "https://sessions.example.org:8443\n/", "is not https"),
    (SERVE, "https://sessions.example.org:99999/", "no URL"),
    (SERVE, "ftp://sessions.example.org:8443/", "is not https"),
    (SERVE, "//sessions.example.org:8443/", "is not https"),
    (SERVE, "https://cloudresourcemanager.googleapis.com/v1/projects/p", "endpoint and gateway"),
    (SERVE, "", "is not https"),
    (LOOP, "http://127.0.0.1:8001/", "endpoint and gateway"),
    (LOOP, "http://127.0.0.2:8000/", "endpoint and gateway"),
    (LOOP, "http://10.0.0.1:8000/", "https alone"),
    (GOOGLE, "https://europe-west1-dataproc.googleapis.com/", "endpoint and gateway"),
    (GOOGLE, "https://x-dot-us-central1.kernels.googleusercontent.com/", "endpoint and gateway"),
    (GOOGLE, "https://evil.googleapis.com.example.org/", "only to"),
    (GOOGLE, "https://evilgoogleapis.com/", "only to"),
    (GOOGLE, "https://evil.googleusercontent.com/", "only to"),
    (replace(GOOGLE, project_number="7"), "https://8-dot-us-central1.kernels.googleusercontent.com/", "gateway"),
    (replace(GOOGLE, endpoint="https://sessions.example.org"), "https://sessions.example.org/", "only to"),
    (replace(GOOGLE, endpoint="http://127.0.0.1:80"), "http://127.0.0.1:80/", "only to"),
]


@pytest.mark.parametrize(("config", "url"), ALLOWED)
def test_a_target_that_is_the_locations_own(config: LocationConfig, url: str) -> None:
    check_target(config, url)


@pytest.mark.parametrize(("config", "url", "rule"), REFUSED)
def test_any_other_is_refused_by_name_of_the_rule(config: LocationConfig, url: str, rule: str) -> None:
    with pytest.raises(FailedPrecondition, match=rule) as caught:
        check_target(config, url)
    assert str(config.name) in caught.value.message


def test_a_refusal_shows_neither_path_nor_password() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        check_target(SERVE, "https://user:pass-word@evil.example/secret-path?token=1")
    message = caught.value.message
    assert "evil.example" in message
    assert not [word for word in ("pass-word", "secret-path", "token") if word in message]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.org", "0.0.0.0", "128.0.0.1", "127.0.0.1.example.org", "::2", ""])  # noqa: S104  # an address that is judged
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)


def test_the_locations_proxy_outranks_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert proxies(SERVE, SERVE.endpoint) == {}
    monkeypatch.setenv("https_proxy", "http://env:1")
    assert proxies(SERVE, SERVE.endpoint) == {"https": "http://env:1"}
    assert proxies(SERVE, "wss://gateway.example.org/x") == {"https": "http://env:1"}
    assert proxies(replace(SERVE, proxy="http://own:2"), SERVE.endpoint) == {"https": "http://own:2"}
    assert proxies(replace(LOOP, proxy="http://own:2"), LOOP.endpoint) == {}
    monkeypatch.setenv("no_proxy", "example.org")
    assert proxies(SERVE, SERVE.endpoint) == {}


def test_the_locations_bundle_outranks_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    assert verification(SERVE) is True
    monkeypatch.setenv("CURL_CA_BUNDLE", "/curl.pem")
    assert verification(SERVE) == "/curl.pem"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/requests.pem")
    assert verification(SERVE) == "/requests.pem"
    assert verification(replace(SERVE, verify=False)) is False
    assert verification(replace(SERVE, verify="/own.pem")) == "/own.pem"
