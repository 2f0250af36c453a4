"""The router: one location by name, several as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from jupyter_sessions import merged
from jupyter_sessions.model.api import Caller, Change, KernelHost, ListRequest, Page, Reset
from jupyter_sessions.model.errors import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    SessionsError,
    Unauthenticated,
    Unavailable,
)
from jupyter_sessions.model.names import LocationName, OperationName, SessionName, TemplateName
from jupyter_sessions.model.resources import Session, SessionTemplate
from jupyter_sessions.model.states import State
from jupyter_sessions.router import Router
from tests.handlers.scripted import ScriptedSessions, change, session

ME = Caller("me")
NEAR, FAR, OTHER = (LocationName(*pair) for pair in (("p", "near"), ("p", "far"), ("q", "other")))
ALL = LocationName("-", "-")


def routed(*names: LocationName) -> tuple[Router, list[ScriptedSessions]]:
    backends = [ScriptedSessions(name) for name in names]
    return Router({backend.location: backend for backend in backends}, lambda: b"a key"), backends


async def list_all(router: Router, parent: LocationName, size: int, filter: str = "") -> list[Page[Session]]:
    """Follow a list to its end."""
    found, token = [], ""
    while True:
        page = await router.list_sessions(ME, parent, ListRequest(size, token, filter))
        found.append(page)
        token = page.next_page_token
        if not token:
            return found


def ids(pages: list[Page[Session]]) -> list[str]:
    return [row.name.rpartition("/")[2] for page in pages for row in page.items]


async def test_a_call_reaches_the_location_that_its_name_holds() -> None:
    router, (near, far) = routed(NEAR, FAR)
    await router.terminate_session(ME, SessionName(FAR, "abcd"), "request")
    await router.get_template(ME, TemplateName(NEAR, "one"))
    await router.cancel_operation(ME, OperationName(FAR, "op"))
    assert far.calls == [
        ("terminate_session", ME, SessionName(FAR, "abcd"), "request"),
        ("cancel_operation", ME, OperationName(FAR, "op")),
    ]
    assert near.calls == [("get_template", ME, TemplateName(NEAR, "one"))]


@pytest.mark.parametrize(("project", "location"), [("p", "nowhere"), ("nobody", "near")])
async def test_an_unknown_location_is_not_found_by_every_method(project: str, location: str) -> None:
    router, _ = routed(NEAR)
    place = LocationName(project, location)
    name, template, operation = SessionName(place, "abcd"), TemplateName(place, "one"), OperationName(place, "op")
    page = ListRequest()
    calls = [
        router.get_location(place),
        router.create_session(ME, place, Session()),
        router.get_session(ME, name),
        router.list_sessions(ME, place, page),
        router.update_session(ME, name, Session(), None),
        router.terminate_session(ME, name),
        router.delete_session(ME, name),
        router.create_template(ME, place, SessionTemplate()),
        router.get_template(ME, template),
        router.list_templates(ME, place, page),
        router.update_template(ME, template, SessionTemplate(), None),
        router.delete_template(ME, template),
        router.get_operation(ME, operation),
        router.list_operations(ME, place, page),
        router.cancel_operation(ME, operation),
        router.delete_operation(ME, operation),
        router.read_log(ME, name, 0, 1),
        router.list_kernels(ME, name),
    ]
    for call in calls:
        with pytest.raises(NotFound, match=r"is not configured; the configured locations are: projects/p/locations"):
            await call
    with pytest.raises(NotFound):
        router.watch(ME, place, {})


@pytest.mark.parametrize("place", [ALL, LocationName("p", "-"), LocationName("-", "near")])
async def test_a_wildcard_stands_only_in_lists(place: LocationName) -> None:
    router, _ = routed(NEAR)
    with pytest.raises(InvalidArgument, match="only in lists"):
        await router.create_session(ME, place, Session())
    with pytest.raises(InvalidArgument, match="only in lists"):
        await router.get_session(ME, SessionName(place, "abcd"))


async def test_a_project_wildcard_with_one_location_is_no_list() -> None:
    router, _ = routed(NEAR)
    with pytest.raises(InvalidArgument):
        await router.list_sessions(ME, LocationName("-", "near"), ListRequest())


async def test_locations_are_those_of_the_project() -> None:
    router, _ = routed(NEAR, FAR, OTHER)
    assert [found.name for found in await router.list_locations("p")] == [NEAR, FAR]
    assert [found.name for found in await router.list_locations("-")] == [NEAR, FAR, OTHER]
    assert await router.list_locations("nobody") == []


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
async def test_pages_over_several_locations_are_one_list_newest_first(size: int) -> None:
    router, (near, far, other) = routed(NEAR, FAR, OTHER)
    near.sessions = [session(NEAR, f"near-{second}", second) for second in (1, 2, 3, 9, 9)]
    far.sessions = [session(FAR, f"far-{second}", second) for second in (2, 4, 9, 12)]
    rows = sorted(near.sessions[:4] + far.sessions, key=lambda row: (-row.create_time, row.name))
    near.sessions = near.sessions[:4]
    pages = await list_all(router, ALL, size)
    assert ids(pages) == [row.name.rpartition("/")[2] for row in rows]
    assert all(len(page.items) == size for page in pages[:-1])
    other.sessions = [session(OTHER, "other", 50)]
    assert ids(await list_all(router, LocationName("p", "-"), size)) == [row.name.rpartition("/")[2] for row in rows]


async def test_rows_that_come_and_go_between_pages_make_neither_duplicate_nor_gap() -> None:
    router, (near, far) = routed(NEAR, FAR)
    near.sessions = [session(NEAR, f"near-{second}", second) for second in range(0, 40, 2)]
    far.sessions = [session(FAR, f"far-{second}", second) for second in range(1, 40, 2)]
    first = await router.list_sessions(ME, ALL, ListRequest(7))
    gone = first.items[0].name
    near.sessions = [row for row in near.sessions if row.name != gone] + [session(NEAR, "newer", 99)]
    far.sessions = [row for row in far.sessions if row.name != gone and row.create_time // 10**9 != 3]
    found, token = list(first.items), first.next_page_token
    while token:
        page = await router.list_sessions(ME, ALL, ListRequest(4, token))
        found += page.items
        token = page.next_page_token
    names = [row.name.rpartition("/")[2] for row in found]
    assert len(names) == len(set(names))
    kept = {f"near-{second}" for second in range(0, 40, 2)} | {f"far-{second}" for second in range(1, 40, 2)}
    assert set(names) == kept - {"far-3"}


async def test_a_token_is_refused_when_changed_or_used_elsewhere() -> None:
    router, (near, far) = routed(NEAR, FAR)
    near.sessions = [session(NEAR, f"near-{second}", second) for second in range(3)]
    far.sessions = [session(FAR, f"far-{second}", second) for second in range(3)]
    token = (await router.list_sessions(ME, ALL, ListRequest(2))).next_page_token
    wrong = [
        (ALL, ListRequest(2, token[:-2] + "AA")),
        (ALL, ListRequest(2, token, "state = ACTIVE")),
        (LocationName("p", "-"), ListRequest(2, token)),
        (NEAR, ListRequest(2, token)),
    ]
    for parent, request in wrong:
        with pytest.raises(InvalidArgument, match="pageToken"):
            await router.list_sessions(ME, parent, request)
    with pytest.raises(InvalidArgument, match="pageToken"):
        await router.list_templates(ME, ALL, ListRequest(2, token))


@pytest.mark.parametrize("failure", [Unavailable("it is away"), DeadlineExceeded("it is slow")])
async def test_a_silent_location_is_named_and_the_others_rows_come(failure: SessionsError) -> None:
    router, (near, far) = routed(NEAR, FAR)
    near.sessions = [session(NEAR, f"near-{second}", second) for second in range(4)]
    far.sessions = [session(FAR, "far-back", 100)]
    far.failures = {"list_sessions": failure, "list_templates": failure, "list_operations": failure}
    page = await router.list_sessions(ME, ALL, ListRequest(2))
    assert [ids([page]), page.unreachable] == [["near-3", "near-2"], [str(FAR)]]
    far.failures = {}
    rest = await router.list_sessions(ME, ALL, ListRequest(5, page.next_page_token))
    assert [ids([rest]), rest.unreachable] == [["far-back", "near-1", "near-0"], []]


async def test_operations_need_leave_to_be_partial() -> None:
    router, (_, far) = routed(NEAR, FAR)
    far.failures = {"list_operations": Unavailable("it is away")}
    with pytest.raises(Unavailable, match="projects/p/locations/far does not answer"):
        await router.list_operations(ME, ALL, ListRequest())
    page = await router.list_operations(ME, ALL, ListRequest(), True)
    assert (len(page.items), page.unreachable) == (1, [str(FAR)])


async def test_a_slow_location_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    router, (near, far) = routed(NEAR, FAR)
    near.sessions = [session(NEAR, "near", 1)]
    never = asyncio.Event()

    async def hang(*_: object) -> Page[Session]:
        await never.wait()
        return Page([])

    monkeypatch.setattr(far, "list_sessions", hang)
    monkeypatch.setattr(merged, "PATIENCE", 0.05)
    page = await router.list_sessions(ME, ALL, ListRequest())
    assert [ids([page]), page.unreachable] == [["near"], [str(FAR)]]


@pytest.mark.parametrize("failure", [Unauthenticated, PermissionDenied, Internal, ResourceExhausted, NotFound])
async def test_a_location_that_cannot_be_read_is_named_whatever_the_reason(failure: type[SessionsError]) -> None:
    router, (near, far) = routed(NEAR, FAR)
    near.sessions = [session(NEAR, "near", 1)]
    far.failures = {f"list_{what}": failure("not today") for what in ("sessions", "templates", "operations")}
    page = await router.list_sessions(ME, ALL, ListRequest())
    assert [ids([page]), page.unreachable] == [["near"], [str(FAR)]]
    templates = await router.list_templates(ME, ALL, ListRequest())
    assert [len(templates.items), templates.unreachable] == [1, [str(FAR)]]
    operations = await router.list_operations(ME, ALL, ListRequest(), True)
    assert [len(operations.items), operations.unreachable] == [1, [str(FAR)]]
    with pytest.raises(failure, match="not today"):
        await router.list_operations(ME, ALL, ListRequest())


class Remembers(ScriptedSessions):
    """A location behind a network, which knows ``memory``."""

    memory: Sequence[Session] | None = ()

    def last_known(self, parent: LocationName, request: ListRequest) -> Page[Session] | None:
        """Give what was last seen."""
        self.calls.append(("last_known", request))
        if self.memory is None:
            return None
        start = int(request.page_token or 0)
        end = start + request.page_size
        token = str(end) if end < len(self.memory) else ""
        return Page(self.memory[start:end], token, [str(self.location)])


async def test_what_was_last_seen_of_a_silent_location_comes_and_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = ScriptedSessions(NEAR), Remembers(FAR)
    router = Router({NEAR: near, FAR: far})
    near.sessions = [session(NEAR, f"near-{second}", second) for second in (1, 3, 5)]
    far.memory = [session(FAR, f"far-{second}", second) for second in (6, 4, 2)]
    monkeypatch.setattr(far, "list_sessions", _hung())
    monkeypatch.setattr(merged, "PROMPT", 0.05)
    pages = await list_all(router, ALL, 6)
    assert ids(pages) == ["far-6", "near-5", "far-4", "near-3", "far-2", "near-1"]
    assert [page.unreachable for page in pages] == [[str(FAR)]]
    far.memory = None
    page = await router.list_sessions(ME, ALL, ListRequest())
    assert [ids([page]), page.unreachable] == [["near-5", "near-3", "near-1"], [str(FAR)]]


async def test_rows_that_a_location_marks_as_last_seen_are_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    router, (near, far) = routed(NEAR, FAR)
    near.sessions = [session(NEAR, "near", 1)]
    rows = [session(FAR, "far", 2)]

    async def stale(*_: object) -> Page[Session]:
        return Page(rows, "", [str(FAR)])

    monkeypatch.setattr(far, "list_sessions", stale)
    page = await router.list_sessions(ME, ALL, ListRequest())
    assert [ids([page]), page.unreachable] == [["far", "near"], [str(FAR)]]


def _hung() -> Callable[..., Awaitable[Page[Session]]]:
    async def hang(*_: object) -> Page[Session]:
        await asyncio.Event().wait()
        return Page([])

    return hang


async def test_when_no_location_answers_the_list_ends() -> None:
    router, (near, far) = routed(NEAR, FAR)
    near.failures = far.failures = {"list_sessions": Unavailable("away")}
    page = await router.list_sessions(ME, ALL, ListRequest())
    assert (list(page.items), page.next_page_token, len(page.unreachable)) == ([], "", 2)


async def test_another_failure_is_raised() -> None:
    router, (near, _) = routed(NEAR, FAR)
    near.failures = {"list_sessions": InvalidArgument("the filter is bad at column 3")}
    with pytest.raises(InvalidArgument, match="column 3"):
        await router.list_sessions(ME, ALL, ListRequest())


async def take(feed: AsyncIterator[Change | Reset], count: int) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while len(found) < count:
        entry = await asyncio.wait_for(feed.__anext__(), 5)
        found.append((entry.location.location, entry.sequence))
    return found


async def close(feed: AsyncIterator[Change | Reset]) -> None:
    await merged.close_feed(feed)


async def test_the_feeds_of_several_locations_come_as_one() -> None:
    router, (near, far) = routed(NEAR, FAR)
    for sequence in (1, 2, 5):
        near.tell(change(NEAR, sequence))
    feed = router.watch(ME, ALL, {NEAR: 1})
    assert await take(feed, 2) == [("near", 2), ("near", 5)]
    far.tell(change(FAR, 7))
    assert await take(feed, 1) == [("far", 7)]
    near.tell(Reset(NEAR, 9))
    assert await take(feed, 1) == [("near", 9)]
    await close(feed)
    assert (near.readers, far.readers) == (0, 0)


async def test_a_feed_that_breaks_off_goes_on_after_its_last_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged, "RETRY", (0.01, 0.02))
    router, (near, _) = routed(NEAR, FAR)
    near.tell(change(NEAR, 1))
    feed = router.watch(ME, ALL, {NEAR: 0})
    assert await take(feed, 1) == [("near", 1)]
    near.failures["watch_step"] = Unavailable("the line is down")
    near.tell(change(NEAR, 2))
    assert await take(feed, 1) == [("near", 2)]
    assert [call[3] for call in near.calls if call[0] == "watch"] == [{NEAR: 0}, {NEAR: 1}]
    await close(feed)
    assert near.readers == 0


async def test_a_fault_in_one_feed_reaches_the_reader() -> None:
    router, (near, far) = routed(NEAR, FAR)
    near.failures["watch_step"] = InvalidArgument("not so")
    near.tell(change(NEAR, 1))
    feed = router.watch(ME, ALL, {NEAR: 0})
    with pytest.raises(InvalidArgument, match="not so"):
        await take(feed, 1)
    assert (near.readers, far.readers) == (0, 0)


async def test_after_must_name_what_the_parent_holds() -> None:
    router, _ = routed(NEAR, OTHER)
    with pytest.raises(InvalidArgument, match="projects/q/locations/other") as refused:
        router.watch(ME, LocationName("p", "-"), {OTHER: 1})
    assert [fault.field for fault in refused.value.violations] == ["after"]


async def test_listeners_and_hosts_are_those_of_every_location() -> None:
    router, (near, far) = routed(NEAR, FAR)
    told: list[object] = []
    undo = [router.subscribe(told.append), router.watch_hosts(told.append)]
    host = KernelHost(SessionName(FAR, "abcd"), "uuid", "A session", State.ACTIVE, "")
    far.hosts = [host]
    assert router.kernel_hosts() == [host]
    near.tell(change(NEAR, 1))
    far.tell_host(host)
    assert told == [change(NEAR, 1), host]
    for each in undo:
        each()
    far.tell(change(FAR, 2))
    near.tell_host(host)
    assert len(told) == 2


async def test_a_backend_of_two_locations_is_asked_once() -> None:
    backend = ScriptedSessions(NEAR)
    router = Router({NEAR: backend, FAR: backend})
    told: list[Change] = []
    router.subscribe(told.append)
    backend.tell(change(NEAR, 1))
    assert len(told) == 1
