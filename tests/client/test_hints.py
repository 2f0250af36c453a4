"""Names that are none, names of what has ended, and code that takes too long: what the errors say."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from jupyter_sessions.client import SessionsClient
from jupyter_sessions.client.errors import NameTaken, NoSuchName, SessionEnded
from jupyter_sessions.model.errors import DeadlineExceeded, FailedPrecondition, NotFound
from tests.real.server import TOKEN, RealServer, real_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Run one server for this module."""
    with real_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: RealServer) -> Iterator[SessionsClient]:
    """Give a client of it."""
    with SessionsClient(server.url, TOKEN) as made:
        yield made


def test_a_slip_in_a_name_gets_a_guess_and_a_far_one_none(client: SessionsClient) -> None:
    client.create("etl-nightly", wait=True)
    with pytest.raises(NoSuchName, match=r"etl-nigthly does not exist; did you mean etl-nightly\?$"):
        client.get("etl-nigthly")
    with pytest.raises(NotFound, match=r"did you mean etl-nightly\?$"):
        client.kernels("etl-nightl")
    with pytest.raises(NotFound, match=r"something-else does not exist$"):
        client.terminate("something-else")


def test_a_template_gets_a_guess_also_where_a_session_names_it(client: SessionsClient) -> None:
    client.templates.create("gpu-large")
    with pytest.raises(NotFound, match=r"did you mean gpu-large\?$"):
        client.templates.get("gpu-larg")
    with pytest.raises(NotFound, match=r"did you mean gpu-large\?$"):
        client.create("from-it", template="gpu-larg")


def test_a_hint_that_fails_leaves_the_first_error(client: SessionsClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_sessions.client.hints.SECONDS", 1e-6)
    with pytest.raises(NotFound, match=r"nobody-here does not exist$"):
        client.get("nobody-here")


def test_a_name_of_an_ended_session_says_so_and_how_it_is_made_anew(client: SessionsClient) -> None:
    first = client.create("made-anew", wait=True)
    first.terminate(wait=True)
    said = r"made-anew is TERMINATED: it ended .* ago .*pass replace=True, or call delete\('made-anew'\) first"
    with pytest.raises(NameTaken, match=said):
        client.create("made-anew")
    with pytest.raises(FailedPrecondition, match=said):
        client.session("made-anew")
    with pytest.raises(SessionEnded, match=r"it ended .* create another, or the same anew"):
        first.run("1")
    again = client.create("made-anew", replace=True, wait=True)
    assert again.resource.uuid != first.resource.uuid and again.run("1").data["text/plain"] == "1"


def test_a_live_one_is_never_replaced(client: SessionsClient) -> None:
    live = client.create("stays-live", wait=True)
    with pytest.raises(FailedPrecondition, match="stays-live is ACTIVE: only one that has ended is replaced"):
        client.create("stays-live", replace=True)
    assert live.refresh().uuid == client.get("stays-live").uuid


def test_code_that_takes_too_long_is_interrupted(client: SessionsClient) -> None:
    with client.session("too-long") as session:
        session.run("x = 1")
        with pytest.raises(DeadlineExceeded, match=r"had not ended after 2 s and was interrupted$"):
            session.run("import time\nwhile True: time.sleep(0.01)", timeout=2)
        assert session.run("x", timeout=60).data["text/plain"] == "1"


def test_code_that_does_not_heed_it_is_told_of(client: SessionsClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_sessions.client.handle.GRACE", 0.2)
    stubborn = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(0.01)"
    with client.session("stubborn") as session:
        with pytest.raises(DeadlineExceeded, match="was interrupted, but has not ended"):
            session.run(stubborn, timeout=0.5)
        restarting = threading.Thread(target=session.connect().restart)
        restarting.start()
        restarting.join(60)
