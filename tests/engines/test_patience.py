"""Waiting for a while: what ends it, and what it says."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_sessions.engines.patience import within


async def test_the_work_is_given_and_its_error_raised() -> None:
    async def fails() -> None:
        raise ValueError("no")

    assert await within(asyncio.sleep(0, "done"), None) == "done"
    with pytest.raises(ValueError, match="no"):
        await within(fails(), 5)


async def test_work_that_takes_too_long_is_cancelled() -> None:
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(asyncio.TimeoutError):
        await within(slow(), 0.01)
    assert ended.is_set()


async def test_a_cancellation_ends_the_work() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.ensure_future(within(slow(), None))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


@pytest.mark.parametrize("error", [None, ValueError("no")])
async def test_a_cancellation_that_meets_the_end_of_the_work_is_not_forgotten(error: Exception | None) -> None:
    heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(within(asyncio.shield(heard), 5))
    await asyncio.sleep(0)
    if error is None:
        heard.set_result(None)
    else:
        heard.set_exception(error)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
