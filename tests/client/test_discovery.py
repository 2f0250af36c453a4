"""Finding the server: what runs, which of several, and what is said where none can be used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jupyter_sessions.client.discovery import Server, find_server, running_servers, server_at
from jupyter_sessions.client.errors import ServerNotFound
from jupyter_sessions.model.errors import InvalidArgument
from tests.real.server import TOKEN, RealServer

HASHED = "argon2:$argon2id$v=19$m=10240,t=10,p=8$c2FsdHNhbHRzYWx0$UmFuZG9tSGFzaE9mTm9QYXNzd29yZA"
"""A hash that no password has."""


class Sharing(RealServer):
    """A server whose runtime files lie with those of others, and whose root is given."""

    def __init__(self, home: Path, runtime: Path, root: Path, *options: str, token: str = TOKEN) -> None:
        super().__init__(home, options=options)
        self.url = f"http://localhost:{self.port}"
        self.runtime = runtime
        self.at = root
        self.token = token
        root.mkdir(parents=True, exist_ok=True)

    @property
    def root(self) -> Path:
        return self.at

    def environment(self) -> dict[str, str]:
        shared = super().environment() | {"JUPYTER_RUNTIME_DIR": str(self.runtime), "JUPYTER_TOKEN": self.token}
        return shared if self.token else {key: value for key, value in shared.items() if key != "JUPYTER_TOKEN"}

    def answers(self) -> bool:
        written = any(str(self.port) in path.read_text() for path in self.runtime.glob("jpserver-*.json"))
        return written and (not self.token or super().answers())


@dataclass
class Place:
    """Three servers of one user: ``inner``'s root lies in ``outer``'s, ``locked`` has a password and no token."""

    runtime: Path
    outer: Sharing
    inner: Sharing
    locked: Sharing

    @property
    def environ(self) -> dict[str, str]:
        return {"JUPYTER_RUNTIME_DIR": str(self.runtime)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    base = tmp_path_factory.mktemp("discovery")
    runtime = base / "runtime"
    work = base / "work"
    lock = f"--PasswordIdentityProvider.hashed_password={HASHED}"
    found = Place(
        runtime,
        Sharing(base / "outer", runtime, work, token="outer-token"),
        Sharing(base / "inner", runtime, work / "inner"),
        Sharing(base / "locked", runtime, base / "private", lock, token=""),
    )
    found.outer.http.headers["Authorization"] = "token outer-token"
    started = []
    try:
        for server in (found.outer, found.inner, found.locked):
            started.append(server)
            server.start()
        yield found
    finally:
        for server in started:
            server.stop()
            server.http.close()


def test_each_running_server_is_found_with_what_opens_it(place: Place) -> None:
    found = {server.url: server for server in running_servers(place.environ)}
    assert set(found) == {place.outer.url, place.inner.url, place.locked.url}
    outer = found[place.outer.url]
    assert outer.token == "outer-token" and outer.root == place.outer.root
    assert place.outer.process is not None
    assert outer.pid == place.outer.process.pid and outer.source == f"jpserver-{outer.pid}.json"
    assert "outer-token" not in repr(outer)


def test_of_several_the_one_whose_root_contains_the_directory(place: Place) -> None:
    deeper = place.outer.root / "a" / "b"
    deeper.mkdir(parents=True, exist_ok=True)
    assert find_server(deeper, place.environ).url == place.outer.url
    assert find_server(place.outer.root, place.environ).url == place.outer.url


def test_of_two_roots_the_deeper_one(place: Place) -> None:
    assert find_server(place.inner.root, place.environ).url == place.inner.url


def test_several_elsewhere_are_listed_with_the_remedy(place: Place, tmp_path: Path) -> None:
    with pytest.raises(ServerNotFound) as caught:
        find_server(tmp_path, place.environ)
    text = str(caught.value)
    for server in (place.outer, place.inner, place.locked):
        assert server.process is not None
        assert f"{server.url}  root {server.root}  pid {server.process.pid}" in text
    for words in ("pass url=", "JUPYTER_SESSIONS_URL", str(tmp_path)):
        assert words in text
    assert text.count("no token") == 1
    assert "outer-token" not in text and TOKEN not in text


def test_a_password_is_said_to_be_of_no_use(place: Place) -> None:
    with pytest.raises(ServerNotFound, match=r"has no token .* a password.*JUPYTER_SESSIONS_TOKEN"):
        find_server(place.locked.root, place.environ)


def test_a_token_of_the_environment_opens_whichever_is_found(place: Place) -> None:
    given = find_server(place.locked.root, {**place.environ, "JUPYTER_SESSIONS_TOKEN": "mine"})
    assert (given.url, given.token) == (place.locked.url, "mine")
    passed = find_server(place.locked.root, {**place.environ, "JUPYTER_SESSIONS_TOKEN": "mine"}, "passed")
    assert passed.token == "passed"


def test_the_environment_comes_first(place: Place) -> None:
    variables = {"JUPYTER_SESSIONS_URL": "https://hub.example.org/user/ada/lab/tree/a.ipynb?token=pasted"}
    found = find_server(place.inner.root, {**place.environ, **variables})
    assert found == Server("https://hub.example.org/user/ada", "pasted", None, None, "environment")
    both = find_server(place.inner.root, {**variables, "JUPYTER_SESSIONS_TOKEN": "said"})
    assert both.token == "said"


def test_an_address_of_this_machine_gets_the_token_of_its_server(place: Place) -> None:
    pasted = f"localhost:{place.outer.port}/lab"
    found = server_at(pasted, environ=place.environ)
    assert (found.url, found.token) == (f"http://localhost:{place.outer.port}", "outer-token")
    assert server_at(pasted, "other", place.environ).token == "other"
    assert server_at("https://elsewhere.example.org", environ=place.environ).token == ""
    named = {**place.environ, "JUPYTER_SESSIONS_URL": place.inner.url}
    assert find_server(place.outer.root, named).token == TOKEN


def test_it_works_as_a_program_and_loads_no_server(place: Place) -> None:
    code = (
        "import sys\nfrom jupyter_sessions.client.discovery import find_server\nfound = find_server()\n"
        "print(found.url, found.token)\n"
        "print([n for n in ('jupyter_server', 'tornado', 'zmq', 'jupyter_client', 'traitlets') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place.inner.root,
        env=place.inner.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"{place.inner.url} {TOKEN}", "[]"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("ftp://example.org", "must be http:// or https://"),
        ("example.org/lab", "must begin with http:// or https://"),
        ("https://", "must be http:// or https:// and a host"),
        ("http://me:secret@localhost:8888", "must hold no user or password"),
        ("http+unix://%2Ftmp%2Fs/?token=secret", "is a Unix socket"),
        ("http://localhost:99999/?token=secret", "is no URL"),
        ("https://hub.example.org/hub/home?token=secret", "is a page of the JupyterHub itself"),
    ],
)
def test_an_address_that_is_none_is_refused_without_its_secret(text: str, rule: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        find_server(environ={"JUPYTER_SESSIONS_URL": text})
    assert caught.value.violations[0].field == "JUPYTER_SESSIONS_URL"
    assert rule in str(caught.value) and "; " in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://localhost:8888", "http://localhost:8888"),
        ("http://localhost:8888/", "http://localhost:8888"),
        ("http://Localhost:8888/lab?token=t", "http://localhost:8888"),
        ("127.0.0.1:8888/tree#top", "http://127.0.0.1:8888"),
        ("http://[::1]:8888/notebooks/lab/tree/a.ipynb", "http://[::1]:8888"),
        ("https://example.org/base/lab/workspaces/auto-x/tree/lab", "https://example.org/base"),
        ("https://hub.example.org/user/lab/lab", "https://hub.example.org/user/lab"),
        (
            "https://hub.example.org/hub-base/user/ada/second/lab/tree",
            "https://hub.example.org/hub-base/user/ada/second",
        ),
        (" https://example.org/jupyter-sessions/v1/projects ", "https://example.org"),
    ],
)
def test_a_browsers_address_is_cut_to_the_server(text: str, url: str) -> None:
    assert server_at(text, "").url == url
