"""The news of an upstream that has none of its own: what a poll finds, tells, and costs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.model.api import Caller, Change, ListRequest, Reset
from jupyter_sessions.model.errors import NotFound, Unavailable
from jupyter_sessions.model.names import SessionName
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State
from jupyter_sessions.storage.feed import ChangeFeed
from jupyter_sessions.upstream.poller import Pace
from jupyter_sessions.upstream.sessions import UpstreamSessions
from tests.faults import replies
from tests.upstream.cloud import Cloud, cloud
from tests.upstream.proxies import BRISK, FAR, proxy, until, upstream_at

ME = Caller("me")
NEVER = Pace(quick=1000.0, slow=1000.0)
Steps = list[tuple[str, str, str]]


class Watcher:
    """A browser that watches: everything that it was told."""

    def __init__(self, api: UpstreamSessions, after: int | None = None) -> None:
        self.told: list[Change | Reset] = []
        self._task = asyncio.ensure_future(self._read(api, after))

    async def _read(self, api: UpstreamSessions, after: int | None) -> None:
        async for item in api.watch(ME, FAR, {} if after is None else {FAR: after}):
            self.told.append(item)

    @property
    def steps(self) -> Steps:
        """The session's id, its old state and its new one, of each change."""
        changes = [item for item in self.told if isinstance(item, Change)]
        return [(one.session.rpartition("/")[2], one.old_state.name, one.new_state.name) for one in changes]

    async def close(self) -> None:
        """Go away."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@contextlib.asynccontextmanager
async def watched(tmp_path: Path, pace: Pace = BRISK) -> AsyncIterator[tuple[Cloud, UpstreamSessions, Watcher]]:
    """Serve an upstream with one session, a proxy that has listed it, and one watcher."""
    async with cloud() as (far, server):
        far.add("old-one", "ACTIVE")
        async with proxy(upstream_at(server.url), tmp_path, pace) as api:
            await until(lambda: api._place.read.is_set(), "the first list")
            watcher = Watcher(api)
            try:
                await asyncio.sleep(0)
                yield far, api, watcher
            finally:
                await watcher.close()


async def test_what_another_tool_makes_changes_and_deletes_is_told(tmp_path: Path) -> None:
    async with watched(tmp_path) as (far, api, watcher):
        far.add("new-one", "CREATING")
        await until(lambda: watcher.steps, "the new session")
        far.move("new-one", "ACTIVE")
        await until(lambda: len(watcher.steps) > 1, "its being ACTIVE")
        far.move("new-one", "ACTIVE", "ends in 10 min: idle")
        await until(lambda: len(watcher.steps) > 2, "its message")
        del far.rows["new-one"]
        await until(lambda: len(watcher.steps) > 3, "its end")
        assert watcher.steps == [
            ("new-one", "STATE_UNSPECIFIED", "CREATING"),
            ("new-one", "CREATING", "ACTIVE"),
            ("new-one", "ACTIVE", "ACTIVE"),
            ("new-one", "ACTIVE", "STATE_UNSPECIFIED"),
        ]
        told = [item for item in watcher.told if isinstance(item, Change)]
        assert told[2].state_message == "ends in 10 min: idle"
        assert [item.sequence for item in told] == sorted({item.sequence for item in told})
        assert [row.name for row in (await api.list_sessions(ME, FAR, ListRequest())).items] == [far.name("old-one")]


async def test_states_that_no_poll_saw_are_told_from_the_upstreams_history(tmp_path: Path) -> None:
    async with watched(tmp_path) as (far, api, watcher):
        far.add("quick-one", "CREATING", "ACTIVE", "TERMINATING", "TERMINATED")
        for state in ("TERMINATING", "FAILED"):
            far.move("old-one", state)
        await until(lambda: len(watcher.steps) == 6, "every step")
        of = {one: [step[2] for step in watcher.steps if step[0] == one] for one in ("quick-one", "old-one")}
        assert of["quick-one"] == ["CREATING", "ACTIVE", "TERMINATING", "TERMINATED"]
        assert of["old-one"] == ["TERMINATING", "FAILED"]
        row = far.rows["quick-one"]
        assert [one.time for one in watcher.told if isinstance(one, Change)] == sorted(
            one.time for one in watcher.told if isinstance(one, Change)
        )
        session = await api.get_session(ME, SessionName(FAR, "quick-one"))
        assert len(session.state_history) == len(row["stateHistory"]), "none is made up"


async def test_a_session_of_the_same_name_is_another(tmp_path: Path) -> None:
    async with watched(tmp_path) as (far, _, watcher):
        first = far.rows["old-one"]["uuid"]
        second = far.add("old-one", "ACTIVE")["uuid"]
        await until(lambda: len(watcher.steps) == 3, "the end of one and the other's states")
        told = [(one.session_uuid, one.new_state) for one in watcher.told if isinstance(one, Change)]
        assert told == [(first, State.STATE_UNSPECIFIED), (second, State.CREATING), (second, State.ACTIVE)]


async def test_what_an_answer_shows_is_told_before_it_is_given(tmp_path: Path) -> None:
    async with watched(tmp_path, NEVER) as (far, api, _):
        heard: list[Change] = []
        api.subscribe(heard.append)
        await until(lambda: far.lists >= 1, "the first list")
        far.move("old-one", "TERMINATING")
        await api.get_session(ME, SessionName(FAR, "old-one"))
        assert [one.new_state for one in heard] == [State.TERMINATING]
        far.move("old-one", "TERMINATED")
        api._place.changed()
        await api.list_sessions(ME, FAR, ListRequest(7))
        assert [one.new_state for one in heard] == [State.TERMINATING, State.TERMINATED]
        del far.rows["old-one"]
        with pytest.raises(NotFound):
            await api.get_session(ME, SessionName(FAR, "old-one"))
        assert heard[-1].new_state is State.STATE_UNSPECIFIED


async def test_after_a_call_of_ours_it_is_looked_at_once(tmp_path: Path) -> None:
    async with watched(tmp_path, Pace(quick=30.0, slow=1000.0)) as (far, api, _):
        before = far.lists
        api._feed._feed._began = -1e9  # type: ignore[union-attr]  # as if the last poll were long ago
        await api.create_session(ME, FAR, Session(), "made-one")
        await until(lambda: far.lists > before, "a poll")


async def test_a_watcher_that_comes_back_is_told_what_it_missed(tmp_path: Path) -> None:
    async with watched(tmp_path) as (far, api, watcher):
        far.add("first-one", "ACTIVE")
        await until(lambda: len(watcher.steps) == 2, "the first session")
        far.add("second-one", "ACTIVE")
        await until(lambda: len(watcher.steps) == 4, "the second session")
        again = Watcher(api, after=watcher.told[1].sequence)
        await until(lambda: len(again.told) == 2, "what it missed")
        assert again.told == watcher.told[2:]
        beyond = Watcher(api, after=10**9)
        await until(lambda: beyond.told, "a reset")
        assert isinstance(beyond.told[0], Reset)
        await again.close()
        await beyond.close()


async def test_sequences_and_sessions_outlive_the_server(tmp_path: Path) -> None:
    async with watched(tmp_path) as (far, _, watcher):
        far.add("new-one", "ACTIVE")
        await until(lambda: len(watcher.steps) == 2, "the new session")
        last = watcher.told[-1].sequence
    async with cloud() as (far, server):
        far.add("old-one", "ACTIVE")
        far.fault = replies.unavailable()
        async with proxy(upstream_at(server.url), tmp_path) as api:
            page = await api.list_sessions(ME, FAR, ListRequest())
            assert [row.name.rpartition("/")[2] for row in page.items] == ["new-one", "old-one"]
            assert page.unreachable == [str(FAR)]
            heard: list[Change] = []
            api.subscribe(heard.append)
            far.fault = None
            await until(lambda: len(heard) >= 2, "what happened meanwhile")
            assert all(one.sequence > last for one in heard)


async def test_two_servers_on_one_directory_log_a_change_once(tmp_path: Path) -> None:
    async with cloud() as (far, server):
        config = upstream_at(server.url)
        async with proxy(config, tmp_path) as one, proxy(config, tmp_path) as other:
            for api in (one, other):
                await until(lambda api=api: api._place.read.is_set(), "the first list")  # type: ignore[misc]  # bound now
            watchers = [Watcher(one), Watcher(other)]
            await asyncio.sleep(0)
            for number in range(10):
                far.add(f"made-{number}", "ACTIVE")
                await asyncio.sleep(0.02)
            await until(lambda: all(len(watcher.steps) >= 20 for watcher in watchers), "every step at both")
            await asyncio.sleep(0.2)
            for watcher in watchers:
                assert len(watcher.steps) == 20
                await watcher.close()
            sequences = [[item.sequence for item in watcher.told] for watcher in watchers]
            assert sequences[0] == sequences[1]


@pytest.mark.parametrize(
    "paging",
    [{"vanished": 1, "largest": 2}, {"circle": True, "largest": 2}],
    ids=["a vanished page", "a circle of pages"],
)
async def test_a_list_that_cannot_be_read_whole_changes_nothing(tmp_path: Path, paging: dict[str, object]) -> None:
    async with watched(tmp_path) as (far, api, watcher):
        for number in range(4):
            far.add(f"more-{number}", "ACTIVE")
        await until(lambda: len(watcher.steps) == 8, "all to be known")
        far.paging = paging
        del far.rows["more-3"]
        before = far.lists
        await until(lambda: far.lists > before + 4, "more polls")
        assert len(watcher.steps) == 8
        far.paging = {"duplicate": True, "largest": 2}
        await until(lambda: len(watcher.steps) == 9, "the end of one")
        assert watcher.steps[-1] == ("more-3", "ACTIVE", "STATE_UNSPECIFIED")
        assert api._place.mirror.get(far.name("old-one")) is not None


async def test_ten_thousand_sessions_in_pages(tmp_path: Path) -> None:
    async with cloud() as (far, server):
        states = {"state": "ACTIVE", "createTime": "2026-01-01T00:00:00Z", "stateTime": "2026-01-01T00:00:00Z"}
        far.rows = {
            f"s-{number:05}": {"name": far.name(f"s-{number:05}"), "uuid": f"u-{number}", **states}
            for number in range(10_000)
        }
        async with proxy(upstream_at(server.url, request_timeout=20.0), tmp_path, Pace()) as api:
            await until(lambda: api._place.read.is_set(), "the first list", 60)
            assert far.lists == 10 and len(api._place.mirror.names()) == 10_000
            far.fault = replies.unavailable()
            api._place.changed()
            found, token = [], ""
            while True:
                page = await api.list_sessions(ME, FAR, ListRequest(1000, token))
                found += [row.name for row in page.items]
                token = page.next_page_token
                if not token:
                    break
            assert found == sorted(found) and len(set(found)) == 10_000


async def test_many_browsers_cost_no_more_than_one(tmp_path: Path) -> None:
    """A second at a twentieth of the real times: ten times as many watchers, each of which lists all the time."""
    costs = []
    for browsers in (1, 10):
        async with watched(tmp_path / str(browsers)) as (far, api, first):
            crowd = [Watcher(api) for _ in range(browsers - 1)]
            before = far.lists
            for _ in range(20):
                await asyncio.gather(*(api.list_sessions(ME, FAR, ListRequest(1000)) for _ in range(browsers)))
                await asyncio.sleep(0.05)
            costs.append(far.lists - before)
            for watcher in crowd:
                await watcher.close()
            assert first.steps == []
    assert costs[1] <= costs[0] * 1.3 + 2


async def test_a_poll_waits_as_long_as_it_was_asked_to(tmp_path: Path) -> None:
    async with watched(tmp_path) as (far, _, watcher):
        far.fault = replies.too_many("3")
        before = far.lists
        await until(lambda: far.lists > before, "a refusal")
        await asyncio.sleep(0.5)
        assert far.lists == before + 1, "nothing is asked meanwhile"
        far.fault = None
        far.add("new-one", "ACTIVE")
        await until(lambda: watcher.steps, "the news afterwards")


async def test_a_log_that_cannot_be_read_for_a_moment_keeps_no_session_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = 0

    async def fails(feed: ChangeFeed) -> None:
        nonlocal failed
        failed += 1
        raise Unavailable("the disk is slow")

    async with cloud() as (far, server):
        far.add("old-one", "ACTIVE")
        with monkeypatch.context() as broken:
            broken.setattr(ChangeFeed, "catch_up", fails)
            async with proxy(upstream_at(server.url), tmp_path) as api:
                await until(lambda: api._place.read.is_set(), "the list after the one that failed")
                assert failed and api._place.mirror.names() == [far.name("old-one")]


def test_the_pace() -> None:
    pace = Pace()
    assert pace.period(watchers=1, moving=False, since=1e6) == 2.0
    assert pace.period(watchers=0, moving=True, since=10) == 2.0
    assert pace.period(watchers=0, moving=False, since=10) == 30.0
    assert pace.period(watchers=0, moving=True, since=301) is None


async def test_where_nobody_is_nothing_is_asked_until_somebody_comes(tmp_path: Path) -> None:
    async with watched(tmp_path, Pace(quick=0.05, slow=0.1, leave=0.3)) as (far, api, watcher):
        await watcher.close()
        await asyncio.sleep(0.5)
        still = far.lists
        await asyncio.sleep(0.4)
        assert far.lists == still
        heard: list[Change] = []
        api.subscribe(heard.append)
        far.add("new-one", "ACTIVE")
        await api.list_sessions(ME, FAR, ListRequest())
        await until(lambda: len(heard) == 2, "what came meanwhile")


async def test_an_upstream_that_lists_slowly_is_given_rest_and_browsers_the_polls_list(tmp_path: Path) -> None:
    async with watched(tmp_path, Pace(BRISK.quick, slow=5.0)) as (_, api, _):
        listing, began = api._place.calls.list_sessions, time.monotonic()
        polls: list[tuple[float, float]] = []
        asked = 0

        async def slow(request: ListRequest, *, probe: bool = False) -> tuple[Sequence[Mapping[str, Any]], str]:
            nonlocal asked
            asked += not probe
            begins = time.monotonic()
            await asyncio.sleep(6 * BRISK.quick)
            found = await listing(request, probe=probe)
            if probe:
                polls.append((begins, time.monotonic()))
            return found

        api._place.calls.list_sessions = slow  # type: ignore[method-assign]  # the same, later
        await until(lambda: len(polls) > 1, "the first slow polls")
        asked = 0
        while len(polls) < 5:
            assert time.monotonic() < began + 20
            await api.list_sessions(ME, FAR, ListRequest(1000))
            await asyncio.sleep(0.02)
        assert asked == 0
        pauses = [later[0] - earlier[1] for earlier, later in itertools.pairwise(polls[1:])]
        assert min(pauses) > 4 * BRISK.quick, "it is not asked again at once"
