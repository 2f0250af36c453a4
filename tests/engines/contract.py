"""What every engine must do, whatever it runs sessions on. Subclass it and give it a bench."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_sessions.engines.base import Alive, Gone, Job
from jupyter_sessions.engines.hostlink import HostLink
from jupyter_sessions.model.resources import EnvironmentConfig, ExecutionConfig, RuntimeConfig
from jupyter_sessions.model.states import State
from tests.engines.bench import SECOND, Bench, end, ready, session, started, until


def with_limits(job: Job, ttl: int, idle_ttl: int, active: int) -> Job:
    """Give a job whose row is ACTIVE since ``active`` seconds, with these limits in seconds."""
    limits = EnvironmentConfig(execution_config=ExecutionConfig(ttl=ttl * SECOND, idle_ttl=idle_ttl * SECOND))
    changes = {"environment_config": limits, "state": State.ACTIVE, "state_time": active * SECOND}
    return replace(job, session=job.session.model_copy(update=changes))


class EngineContract:
    """The suite; ``bench`` is what a subclass gives."""

    def bench(self, tmp_path: Path) -> AbstractAsyncContextManager[Bench, bool | None]:
        """Give the engine under test."""
        pytest.fail(f"{type(self).__name__} gives no bench for {tmp_path}")

    async def test_a_session_from_start_to_end(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench, started(bench.engine) as run:
            engine, job = bench.engine, bench.job()
            assert await engine.observe(job) == Gone(0)
            await run.start(job)
            first = await engine.observe(job)
            assert isinstance(first, Alive)
            assert first.step
            host = await ready(engine, job)
            assert host.incarnation == 1
            assert host.token not in repr(host)
            link = HostLink(host.address, host.token, host.uid)
            status, specs = await link.request("GET", "/api/kernelspecs")
            link.close()
            offered = await engine.kernels(job)
            assert status == 200
            assert offered[0].name == specs["default"]
            assert {kernel.name for kernel in offered} == set(specs["kernelspecs"])
            assert all(kernel.spec["argv"] == [] for kernel in offered)
            gone = await end(engine, job, "enough")
            assert gone.incarnation == 1
            assert gone.end is not None
            assert (gone.end.cause, gone.end.message) == ("asked", "enough")
            assert gone.end.terminating_at <= gone.end.ended_at

    async def test_a_live_host_tells_of_itself_and_takes_new_limits(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench, started(bench.engine) as run:
            engine, job = bench.engine, bench.job()
            await run.start(job)
            host = await until(engine, job, lambda seen: isinstance(seen, Alive) and seen.heartbeat is not None)
            assert isinstance(host, Alive)
            assert host.heartbeat is not None
            assert host.heartbeat.memory > 0
            now = int(host.heartbeat.time)
            limited = with_limits(job, 7200, 3600, now)
            await engine.update(limited)

            def taken(seen: object) -> bool:
                beat = seen.heartbeat if isinstance(seen, Alive) else None
                return beat is not None and beat.ends_at == now + 3600

            told = await until(engine, limited, taken)
            assert isinstance(told, Alive)
            assert told.heartbeat is not None
            assert (told.heartbeat.ends_why, told.heartbeat.warning) == ("idleTtl", "")

    async def test_a_host_killed_is_gone_with_a_reason_and_leaves_nothing(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench, started(bench.engine) as run:
            engine, job = bench.engine, bench.job()
            await run.start(job)
            host = await ready(engine, job)
            link = HostLink(host.address, host.token, host.uid)
            status, _ = await link.request("POST", "/api/kernels", {}, timeout=30)
            link.close()
            assert status == 201
            await until(engine, job, lambda seen: isinstance(seen, Alive) and bool(seen.heartbeat))
            await bench.kill_host(job)
            gone = await until(engine, job, lambda seen: isinstance(seen, Gone))
            assert isinstance(gone, Gone)
            assert gone.end is not None
            assert gone.end.cause == "died"
            assert "SIGKILL" in gone.end.message
            gone = await end(engine, job)
            assert gone.end is not None
            assert "SIGKILL" in gone.end.message

    async def test_a_second_server_sees_it_and_may_end_it(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench, started(bench.engine) as run, bench.another() as other:
            job = await run.start(bench.job())
            mine = await ready(bench.engine, job)
            theirs = await ready(other, job)
            assert (mine.address, mine.token, mine.incarnation) == (theirs.address, theirs.token, theirs.incarnation)
            gone = await end(other, job, "ended by the other")
            assert gone.end is not None
            assert gone.end.message == "ended by the other"
            assert isinstance(await bench.engine.observe(job), Gone)

    async def test_a_next_incarnation_has_a_token_of_its_own(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench, started(bench.engine) as run:
            job = await run.start(bench.job())
            first = await ready(bench.engine, job)
            await bench.kill_host(job)
            await until(bench.engine, job, lambda seen: isinstance(seen, Gone) and not seen.marked)
            await run.start(job, 2)
            second = await ready(bench.engine, job)
            assert (first.incarnation, second.incarnation) == (1, 2)
            assert first.token != second.token

    async def test_two_starts_of_one_session_make_one_host(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench, started(bench.engine) as run:
            job = await run.start(bench.job())
            host = await ready(bench.engine, job)
            async with bench.another() as other:
                observed = await other.observe(job)
                assert isinstance(observed, Alive)
                assert observed.address == host.address

    async def test_a_session_never_started_ends_at_once(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            assert await end(bench.engine, bench.job()) == Gone(0)

    async def test_an_end_asked_during_the_start(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench, started(bench.engine) as run:
            job = await run.start(bench.job())
            gone = await end(bench.engine, job, "changed my mind")
            assert gone.end is not None
            assert gone.end.message == "changed my mind"

    async def test_the_log_is_read_by_offsets(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench, started(bench.engine) as run:
            engine, job = bench.engine, bench.job()
            await run.start(job)
            await ready(engine, job)
            await end(engine, job, "over")
            whole = await engine.logs(job, 0, 0)
            assert whole.offset == 0
            assert whole.complete
            assert not whole.truncated
            assert "over" in whole.content
            half = len(whole.content.encode()) // 2
            first = await engine.logs(job, 0, half)
            rest = await engine.logs(job, first.next_offset, 0)
            assert first.content + rest.content == whole.content
            assert not first.complete
            tail = await engine.logs(job, -10, 0)
            assert tail.next_offset == whole.next_offset
            assert whole.content.endswith(tail.content)

    async def test_adopt_ends_what_is_in_no_store_and_nothing_else(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench, started(bench.engine) as run:
            engine = bench.engine
            stray, known = bench.job(), bench.job()
            foreign = replace(bench.job(), store_uuid="another-store")
            for job in (stray, known, foreign):
                await run.start(job)
            await asyncio.gather(*(ready(engine, job) for job in (stray, known, foreign)))
            assert list(await engine.adopt(bench.store_uuid, {known.uuid: known})) == [stray.uuid]
            assert isinstance(await engine.observe(stray), Gone)
            assert isinstance(await engine.observe(known), Alive)
            assert isinstance(await engine.observe(foreign), Alive)

    async def test_what_cannot_be_honoured_is_named(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            assert list(await bench.engine.check(session())) == []
            wanted = session().model_copy(
                update={"runtime_config": RuntimeConfig(version="2.2", properties={"spark.app.name": "x", "empty": ""})}
            )
            fields = [violation.field for violation in await bench.engine.check(wanted)]
            assert fields == ["runtimeConfig.version", "runtimeConfig.properties.spark.app.name"]

    async def test_capabilities_are_json(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            assert bench.engine.capabilities()["update"] is True
            assert bench.engine.name
