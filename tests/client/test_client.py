"""A program uses the client against a real server: sessions from create to delete, lists, templates, operations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_sessions.client import OperationHandle, SessionEnded, SessionHandle, SessionsClient
from jupyter_sessions.model.api import Change, Reset
from jupyter_sessions.model.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    SessionsError,
    Unauthenticated,
)
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import SECOND
from tests.real.server import PARENT, TOKEN, RealServer, real_server, wait_for
from tests.upstream.test_contract_chain import emptied

# Runs first in each host of a session, which breaks while a file is there.
FIRST = """
import os, sys
if "jupyter_sessions.host" in " ".join(sys.orig_argv) and os.path.exists({broken!r}):
    print("no luck today", file=sys.stderr, flush=True)
    os._exit(7)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Run one server for this module."""
    home = tmp_path_factory.mktemp("server")
    first = home / "first"
    first.mkdir()
    (first / "sitecustomize.py").write_text(FIRST.format(broken=str(home / "broken")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(first))
        with real_server(home) as running:
            yield running


@pytest.fixture
def client(server: RealServer) -> Iterator[SessionsClient]:
    """Give a client of a server that has nothing."""
    emptied(server.call, PARENT)
    with SessionsClient(server.url, TOKEN) as made:
        yield made


def test_create_gives_a_handle_and_its_result_the_session(client: SessionsClient) -> None:
    told: list[State] = []
    handle = client.create("etl-1", labels={"team": "fx"}, display_name="ETL", ttl="8h", idle_ttl=3600)
    assert isinstance(handle, OperationHandle) and handle.session == f"{PARENT}/sessions/etl-1"
    session = handle.result(60, lambda seen: told.append(seen.state))
    assert isinstance(session, SessionHandle) and session.state is State.ACTIVE and session.id == "etl-1"
    assert session.labels == {"team": "fx"} and session.resource.ttl == 8 * 3600 * SECOND
    assert session.resource.idle_ttl == 3600 * SECOND and told[-1] is State.ACTIVE
    assert client.get("etl-1") == client.get(f"{PARENT}/sessions/etl-1")
    assert [entry.state for entry in session.history()] == [State.CREATING, State.ACTIVE]
    assert handle.result().id == "etl-1", "a result may be asked for again"
    assert client.terminate("etl-1", wait=True).result().state is State.TERMINATED
    assert client.delete("etl-1", wait=True).done
    with pytest.raises(NotFound):
        client.get("etl-1")


def test_create_waits_if_asked_and_takes_json(client: SessionsClient) -> None:
    session = client.create("etl-2", {"labels": {"a": "b"}, "jupyterSession": {"kernel": "PYTHON"}}, wait=True)
    assert session.state is State.ACTIVE and session.labels == {"a": "b"}
    assert client.create(session=Session(), wait=True).id, "the server makes an id"


def test_every_faulty_field_is_told(client: SessionsClient) -> None:
    with pytest.raises(InvalidArgument) as refused:
        client.create("No", {"labels": {"UPPER": "x"}})
    assert {"sessionId", "labels.UPPER"} >= {fault.field for fault in refused.value.violations} != set()
    with pytest.raises(InvalidArgument) as refused:
        client.create("etl-3", {"colour": "red"})
    assert refused.value.violations[0].field == "colour"
    with pytest.raises(InvalidArgument, match=r"executionConfig\.ttl"):
        client.create("etl-3", ttl="soon")
    with pytest.raises(InvalidArgument, match="python, scala"):
        client.create("etl-3", kernel="cobol")
    assert list(client.list()) == []


def test_lists_fetch_their_pages_as_they_are_read(client: SessionsClient) -> None:
    made = [client.create(f"page-{number}", labels={"odd": str(number % 2)}).session for number in range(5)]
    listing = client.list(page_size=2)
    assert [one.name for one in listing] == made[::-1] and listing.unreachable == []
    assert [one.name for one in client.list(filter="labels.odd = 1", location="-")] == [made[3], made[1]]
    assert {one.name for one in client.operations.list()} == {one.name for one in client.operations.list(page_size=1)}


def test_with_creates_reuses_and_ends_if_asked(client: SessionsClient) -> None:
    with client.session("etl-4", labels={"made": "here"}) as first:
        assert first.state is State.ACTIVE
    with client.session("etl-4", end=True) as again:
        assert again.resource.uuid == first.resource.uuid
    assert again.refresh().state is State.TERMINATED
    with pytest.raises(FailedPrecondition, match="replace=True"):
        client.session("etl-4")
    with client.session("etl-4", replace=True) as other:
        assert other.resource.uuid != first.resource.uuid
    with pytest.raises(AlreadyExists):
        client.create("etl-4")


def test_a_session_that_is_to_end_ends_where_the_wait_for_it_is_cut_off(client: SessionsClient) -> None:
    def stop(session: Session) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.session("etl-14", progress=stop)
    assert client.get("etl-14").state in (State.CREATING, State.ACTIVE)
    with pytest.raises(KeyboardInterrupt):
        client.session("etl-15", end=True, progress=stop)
    wait_for(lambda: client.get("etl-15").state is State.TERMINATED, "the session to end")


def test_with_a_session_that_is_removed_meanwhile_ends_quietly(client: SessionsClient) -> None:
    with client.session("etl-13", end=True) as session:
        session.delete(wait=True)
    with pytest.raises(NotFound):
        session.refresh()


def test_the_only_live_session_needs_no_name(client: SessionsClient) -> None:
    with pytest.raises(FailedPrecondition, match="no session is live"):
        client.only()
    client.create("etl-5", wait=True)
    assert client.session().id == "etl-5"
    client.create("etl-6")
    with pytest.raises(FailedPrecondition, match=r"etl-6.*etl-5|etl-5.*etl-6"):
        client.session()


def test_labels_and_limits_change(client: SessionsClient) -> None:
    session = client.create("etl-7", labels={"a": "1"}, wait=True)
    assert client.update("etl-7", {"labels": {"b": "2"}}, ["labels.b"]).labels == {"a": "1", "b": "2"}
    assert session.extend(ttl="2d").ttl == 172_800 * SECOND
    with pytest.raises(InvalidArgument, match="ttl"):
        client.extend("etl-7")
    with pytest.raises(InvalidArgument):
        client.extend("etl-7", ttl="999d")


def test_templates_operations_and_locations(client: SessionsClient) -> None:
    made = client.templates.create("small", {"labels": {"size": "s"}, "description": "For trying"})
    assert client.templates.get("small") == made and [one.name for one in client.templates.list()] == [made.name]
    assert client.templates.update("small", {"description": "Other"}, ["description"]).labels == {"size": "s"}
    session = client.create("etl-8", template="small", wait=True)
    assert session.labels == {"size": "s"}
    (operation,) = client.operations.list()
    assert client.operations.get(operation.name) == client.operations.get(operation.name.rpartition("/")[2])
    client.operations.cancel(operation.name)
    client.operations.delete(operation.name)
    client.templates.delete("small")
    with pytest.raises(NotFound):
        client.templates.get("small")
    assert [str(one.name) for one in client.locations] == [PARENT]
    assert client.locations.get("local") == client.locations.get(PARENT)
    with pytest.raises(InvalidArgument, match=PARENT):
        client.locations.get("mars")


def test_a_wait_that_is_too_short_says_that_it_goes_on(client: SessionsClient) -> None:
    with pytest.raises(DeadlineExceeded, match="it goes on"):
        client.create("etl-9", wait=True, timeout=0.0)
    assert client.session("etl-9").state is State.ACTIVE


def test_what_has_ended_cannot_be_waited_for(client: SessionsClient) -> None:
    session = client.create("etl-10", wait=True)
    session.terminate(wait=True)
    with pytest.raises(SessionEnded, match="TERMINATED") as ended:
        session.wait()
    assert ended.value.session is not None and ended.value.session.state is State.TERMINATED


def test_a_start_that_fails_raises_its_reason(client: SessionsClient, server: RealServer) -> None:
    fault = server.home / "broken"
    fault.touch()
    try:
        handle = client.create("etl-11")
        with pytest.raises(SessionsError) as ended:
            handle.result(60)
    finally:
        fault.unlink()
    operation = handle.refresh()
    assert operation.error is not None and str(ended.value) == operation.error.message
    failed = client.get("etl-11")
    assert failed.state is State.FAILED and failed.state_message in str(ended.value)


def test_the_log_is_read_and_followed_to_its_end(client: SessionsClient, server: RealServer) -> None:
    session = client.create("etl-12", wait=True)
    pieces: list[str] = []
    thread = threading.Thread(target=lambda: pieces.extend(session.logs(follow=True)))
    thread.start()
    session.terminate(wait=True)
    thread.join(60)
    assert not thread.is_alive(), "a followed log ends with its session"
    whole = "".join(client.logs("etl-12"))
    assert whole and "".join(pieces) == whole
    assert "".join(client.logs("etl-12", tail=5)) == whole[-5:]


def test_changes_are_watched_from_the_call_on_and_from_threads(client: SessionsClient) -> None:
    told: list[Change | Reset] = []
    with client.watch() as watch:
        threads = [threading.Thread(target=client.create, args=(f"seen-{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for change in watch:
            told.append(change)
            if sum(isinstance(one, Change) and one.new_state is State.ACTIVE for one in told) == 4:
                break
        for thread in threads:
            thread.join(60)
    assert list(watch) == [], "a closed watch is at its end"
    with client.watch("-", after={PARENT: told[0].sequence}) as resumed:
        assert next(resumed) == told[1]


def test_a_wrong_token_is_said_with_the_remedy(server: RealServer) -> None:
    with SessionsClient(server.url, "wrong") as client, pytest.raises(Unauthenticated, match="JUPYTER_SESSIONS_TOKEN"):
        client.get("etl-1")


def test_a_watch_goes_on_where_a_killed_server_left_off(tmp_path: Path) -> None:
    with real_server(tmp_path) as server, SessionsClient(server.url, TOKEN) as client:
        client.create("etl-1", wait=True)
        with client.watch() as watch:
            client.extend("etl-1", ttl="3h")
            first = next(watch)
            client.extend("etl-1", ttl="4h")
            server.kill()
            server.start()
            client.extend("etl-1", ttl="5h")
            following = [next(watch), next(watch)]
            assert all(isinstance(change, Change) for change in following)
            assert [change.sequence for change in following] > [first.sequence]
            assert following[0].sequence < following[1].sequence
