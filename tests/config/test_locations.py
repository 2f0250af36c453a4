"""Every field of a location: what it may hold, what it makes, and what the fields must hold together."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from jupyter_sessions.config.example import connect_help
from jupyter_sessions.config.locations import Auth, Bearer, Limits, LocationConfig, Provider
from jupyter_sessions.config.shapes import LocationShape
from tests.config.files import Files, entry, names, only, told

SECRET = "hunter2-hunter2"
BASE = "project: p\nlocation: r\n"
SERVER = BASE + "endpoint: https://x.example\n"
GOOGLE = "project: p\nlocation: us-central1\nauth: google\n"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def made(files: Files, text: str) -> LocationConfig:
    files.write("user", entry(text))
    return only(files.read())


def refused(files: Files, text: str) -> dict[str, str]:
    """Give the rule of each faulty field of one location, which is not offered."""
    files.write("user", entry(text))
    read = files.read()
    assert names(read) == ["local/local"] and SECRET not in repr(read)
    assert all(fault.remedy and fault.line for fault in read.faults)
    return {fault.field.removeprefix("locations[0]").removeprefix("."): fault.rule for fault in read.faults}


def test_google_needs_three_words(files: Files) -> None:
    found = made(files, GOOGLE)
    assert (found.provider, found.auth) == (Provider.UPSTREAM, Auth.GOOGLE)
    assert found.endpoint == "https://us-central1-dataproc.googleapis.com"
    assert found.gateway == "https://{projectNumber}-dot-{location}.kernels.googleusercontent.com"
    assert (found.verify, found.display_name, found.start_timeout) == (True, "p / us-central1", 600.0)


def test_every_field_arrives(files: Files) -> None:
    text = """
        project: p
        location: r
        provider: upstream
        display_name: Big
        labels: {team: fx}
        endpoint: https://x.example:8443/jupyter-sessions/
        auth: bearer
        bearer: {command: [/bin/print-token, --fresh], refresh: 2m}
        gateway: https://{project}.x.example/{location}/{projectNumber}/
        project_number: 12345
        limits: {ttl: 1d, max_ttl: 7d, idle_ttl: 600, max_idle_ttl: 12h, sessions: 3}
        verify: /etc/ssl/own.pem
        proxy: https://proxy.example:3128
        request_timeout: 3.5
        start_timeout: 20m
        """
    found = made(files, text)
    assert found == LocationConfig(
        name=found.name,
        provider=Provider.UPSTREAM,
        display_name="Big",
        labels={"team": "fx"},
        endpoint="https://x.example:8443/jupyter-sessions",
        auth=Auth.BEARER,
        bearer=Bearer(command=("/bin/print-token", "--fresh"), refresh=120.0),
        gateway="https://{project}.x.example/{location}/{projectNumber}",
        project_number="12345",
        limits=Limits(86400.0, 604800.0, 600.0, 43200.0, 3),
        verify="/etc/ssl/own.pem",
        proxy="https://proxy.example:3128",
        request_timeout=3.5,
        start_timeout=1200.0,
        source=found.source,
    )
    assert str(found.name) == "projects/p/locations/r"
    assert made(files, GOOGLE + "quota_project: pays").quota_project == "pays"


def test_every_field_of_the_shape_is_one_of_the_location() -> None:
    told_of = {field.name for field in dataclasses.fields(LocationConfig)} - {"name", "source"}
    assert set(LocationShape.model_fields) == told_of | {"project", "location"}


def test_keys_may_be_written_in_camel_case(files: Files) -> None:
    found = made(files, SERVER + "displayName: D\nlimits: {maxTtl: 1h}\nrequestTimeout: 4\nlabels: {camelCase: x}")
    assert (found.display_name, found.limits.max_ttl, found.request_timeout) == ("D", 3600.0, 4.0)
    assert found.labels == {"camelCase": "x"}


def test_one_field_in_two_spellings_is_refused(files: Files) -> None:
    assert set(refused(files, SERVER + "displayName: D\ndisplay_name: E")) == {"display_name"}
    assert set(refused(files, SERVER + "limits: {maxTtl: 1h, max_ttl: 1h}")) == {"limits.max_ttl"}


def test_an_empty_field_is_one_left_out(files: Files) -> None:
    assert made(files, SERVER + "gateway:\nbearer:\nauth:\n").auth is Auth.NONE


def test_auth_follows_from_what_is_there(files: Files) -> None:
    assert made(files, BASE + "endpoint: https://us-central1-dataproc.googleapis.com").auth is Auth.GOOGLE
    assert made(files, SERVER + "bearer: {environment: TOKEN}").auth is Auth.BEARER
    assert made(files, SERVER).auth is Auth.NONE
    assert made(files, BASE + "endpoint: https://a.googleapis.com\nauth: none").auth is Auth.NONE


def test_an_empty_gateway_is_none_at_all(files: Files) -> None:
    assert made(files, GOOGLE + "gateway: ''").gateway == ""


def test_a_home_is_filled_in(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    found = made(files, SERVER + "bearer: {file: ~/token}\nverify: ~/ca.pem")
    assert found.bearer == Bearer(file=Path("/home/me/token")) and found.verify == "/home/me/ca.pem"


@pytest.mark.parametrize(
    "url",
    [
        "https://x.example",
        "https://x.example:1/",
        "https://[2001:db8::1]:8443/a/b",
        "http://localhost:8890",
        "http://127.0.0.1",
        "http://127.9.9.9:1",
        "http://[::1]:8890/x",
    ],
)
def test_endpoints_that_are_taken(files: Files, url: str) -> None:
    assert made(files, BASE + f"endpoint: {url}").endpoint == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://x.example", "https"),
        ("http://127.0.0.1.evil.example", "https"),
        ("http://localhost.evil.example", "https"),
        ("http://2130706433", "https"),
        ("http://[2001:db8::1]", "https"),
        ("ftp://x.example", "https://host"),
        ("x.example", "https://host"),
        ("https://", "https://host"),
        (f"https://me:{SECRET}@x.example", "user or password"),
        ("https://x.example\\\\@evil.example", "user or password"),
        ("https://x.example\\\\.evil.example", "https://host"),
        ("https://x.example/a b", "https://host"),
        ("https://x.example\\t", "https://host"),
        ("https://x.example?token=1", "query"),
        ("https://x.example#v1", "fragment"),
        ("https://x.example/a/../b", ".."),
        ("https://x.example/%2e%2e", "https://host"),
        ("https://x.example:0", "port"),
        ("https://x.example:65536", "port"),
        ("https://[::g]", "https://host"),
        ("https://[1::2::3]", "IPv6"),
        ("https://-x.example", "https://host"),
        ("https://{location}.example", "https://host"),
        ("https://exämple.org", "https://host"),
    ],
)
def test_endpoints_that_are_refused(files: Files, url: str, rule: str) -> None:
    found = refused(files, BASE + f'endpoint: "{url}"')
    assert list(found) == ["endpoint"] and rule in found["endpoint"]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("endpoint: https://x.example", "endpoint"),
        ("endpoint: https://googleapis.com.evil.example", "endpoint"),
        ("endpoint: https://evilgoogleapis.com", "endpoint"),
        ("gateway: https://x.example/{project}", "gateway"),
        ("gateway: https://{projectNumber}.kernels.googleusercontent.com.evil.example", "gateway"),
        ("gateway: https://kernels.googleusercontent.com.evil.example", "gateway"),
        ("verify: false", "verify"),
        ("bearer: {environment: TOKEN}", "bearer"),
    ],
)
def test_googles_credentials_go_to_google_alone(files: Files, text: str, field: str) -> None:
    assert list(refused(files, GOOGLE + text)) == [field]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("gateway: https://x.example/{region}", "gateway"),
        ("gateway: https://x.example/{project.name}", "gateway"),
        ("gateway: https://x.example/{}", "gateway"),
        ("gateway: http://{project}.example", "gateway"),
        ("quota_project: q", "quota_project"),
        ("auth: bearer", "bearer"),
        ("auth: none\nbearer: {environment: T}", "bearer"),
        ("bearer: {}", "bearer"),
        ("bearer: {refresh: 60}", "bearer"),
        ("bearer: {file: /a, environment: T}", "bearer"),
        ("bearer: {file: relative}", "bearer.file"),
        ("bearer: {file: ''}", "bearer.file"),
        ("bearer: {command: []}", "bearer.command"),
        ("bearer: {command: echo x}", "bearer.command"),
        (f"bearer: {{environment: {SECRET}}}", "bearer.environment"),
        (f"bearer: {{token: {SECRET}}}", "bearer.token"),
        (f"bearer: {SECRET}", "bearer"),
        (f"token: {SECRET}", "token"),
        (f"bearer: {{file: /a, refresh: {SECRET}}}", "bearer.refresh"),
        ("bearer: {environment: T}\nverify: false", "verify"),
        ("verify: relative.pem", "verify"),
        ("verify: 1", "verify"),
        ("provider: remote", "provider"),
        ("auth: basic", "auth"),
        ("labels: {a: 1}", "labels.a"),
        ("labels: [a]", "labels"),
        ("display_name: 7", "display_name"),
        ("project_number: twelve", "project_number"),
        ("project_number: true", "project_number"),
        ("limits: 3", "limits"),
        ("limits: {ttl: 599}", "limits.ttl"),
        ("limits: {ttl: 15d}", "limits.ttl"),
        ("limits: {ttl: soon}", "limits.ttl"),
        ("limits: {ttl: true}", "limits.ttl"),
        ("limits: {ttl: .inf}", "limits.ttl"),
        ("limits: {ttl: 2h, max_ttl: 1h}", "limits.ttl"),
        ("limits: {idle_ttl: 2h, max_idle_ttl: 1h}", "limits.idle_ttl"),
        ("limits: {sessions: -1}", "limits.sessions"),
        ("limits: {sessions: 1.5}", "limits.sessions"),
        ("limits: {cpus: 1}", "limits.cpus"),
        ("request_timeout: 0", "request_timeout"),
        ("start_timeout: 2d", "start_timeout"),
        ("proxy: http://me:x@proxy.example", "proxy"),
        ("colour: red", "colour"),
    ],
)
def test_one_fault_is_one_fault(files: Files, text: str, field: str) -> None:
    assert list(refused(files, SERVER + text)) == [field]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("project: p", {"location", "endpoint"}),
        ("location: p\nendpoint: https://x.example", {"project"}),
        ("project: 7\nlocation: r\nendpoint: https://x.example", {"project"}),
        ("project: a/b\nlocation: '-'\nendpoint: https://x.example", {"project", "location"}),
        ("project: a?b\nlocation: r\nendpoint: https://x.example", {"project"}),
        ("project: p\nlocation: r", {"endpoint"}),
        ("project: p\nlocation: a.b\nauth: google", {"location"}),
        ("project: d.org:p\nlocation: r\nendpoint: https://x.example\ngateway: 'https://{project}.x'", {"gateway"}),
        ("project: p\nlocation: r\nbearer: {file: a, environment: b-c}", {"endpoint", "bearer"}),
    ],
)
def test_names_and_what_must_be_there(files: Files, text: str, fields: set[str]) -> None:
    assert {field.partition(".")[0] for field in refused(files, text)} == fields


def test_every_fault_of_an_entry_is_told_at_once_with_its_line(files: Files) -> None:
    files.write(
        "user",
        """
        locations:
          - project: p
            location: r
            endpoint: http://x.example
            auth: [x]
            bearer:
              file: relative
              environment: a-b
            limits:
              ttl: 1
              sessions: many
            colour: red
        """,
    )
    assert told(files.read()) == {
        (5, "locations[0].endpoint"),
        (6, "locations[0].auth"),
        (7, "locations[0].bearer"),
        (8, "locations[0].bearer.file"),
        (9, "locations[0].bearer.environment"),
        (11, "locations[0].limits.ttl"),
        (12, "locations[0].limits.sessions"),
        (13, "locations[0].colour"),
    }


def test_an_embedded_location_takes_nothing_of_an_upstream(files: Files) -> None:
    given = {
        "endpoint": "https://x.example",
        "auth": "none",
        "bearer": "{environment: T}",
        "gateway": "https://x.example",
        "project_number": "1",
        "quota_project": "q",
        "verify": "true",
        "proxy": "https://x.example",
        "request_timeout": "1",
        "start_timeout": "1",
    }
    lines = "".join(f"{name}: {value}\n" for name, value in given.items())
    assert set(refused(files, "project: local\nlocation: local\nprovider: embedded\n" + lines)) == set(given)


def test_a_domains_project_is_a_project(files: Files) -> None:
    found = made(files, "project: example.org:p\nlocation: us-central1\nauth: google")
    assert found.name.project == "example.org:p"


def test_nothing_secret_is_in_a_locations_repr(files: Files) -> None:
    assert "TOKEN" not in repr(made(files, SERVER + "bearer: {environment: TOKEN}"))


def test_the_help_names_the_users_file_and_its_examples_are_good(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUPYTER_NO_CONFIG", raising=False)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    told_of = connect_help()
    assert told_of["path"] == str(tmp_path / "config" / "jupyter_sessions" / "locations.yaml")
    kinds = set()
    for number, example in enumerate(told_of["examples"]):
        assert set(example) == {"title", "yaml"} and example["title"]
        files.write("user", example["yaml"], f"{number}.yaml")
    read = files.read()
    assert read.faults == () and len(read.locations) == 1 + len(told_of["examples"])
    kinds = {config.auth for config in read.locations[1:]}
    assert kinds == {Auth.GOOGLE, Auth.BEARER}
