"""A host that dies and leaves something running: who uses its kernels hears at once, not when all of it has ended."""

from __future__ import annotations

from pathlib import Path

from jupyter_sessions.model.api import KernelHost
from jupyter_sessions.model.states import State
from tests.service.fake_engine import FakeEngine, World
from tests.service.servers import ALICE, active, in_state, named, serving, until


class Stubborn(FakeEngine):
    """An engine whose stop ends nothing until it is let."""

    stuck = True

    async def stop(self, *args: object, **kwargs: object) -> None:
        """End it, or not."""
        if not self.stuck:
            await super().stop(*args, **kwargs)  # type: ignore[arg-type]  # handed on as it came


async def test_the_kernels_end_is_told_before_the_last_process_has_ended(tmp_path: Path) -> None:
    world = World()
    engine = Stubborn(world)
    async with serving(tmp_path, engine=engine) as service:
        session = await active(service)
        told: list[KernelHost] = []
        service.watch_hosts(told.append)
        world.kill(session.uuid, exit_status=-9, marked=1, end=True)
        await until(lambda: told)
        assert (await service.get_session(ALICE, named("one-session"))).state is State.ACTIVE
        assert (told[0].state, told[0].address, told[0].session_uuid) == (State.FAILED, "", session.uuid)
        assert "SIGKILL" in told[0].state_message
        assert service.kernel_hosts() == []
        engine.stuck = False
        ended = await in_state(service, "one-session", State.FAILED)
        assert ended.state_message.startswith(told[0].state_message)
        assert len(told) == 1
