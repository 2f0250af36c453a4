"""The process engine passes the engines' contract."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.engines.bench import Bench
from tests.engines.contract import EngineContract
from tests.engines.process_bench import process_bench


class TestProcessEngine(EngineContract):
    def bench(self, tmp_path: Path) -> AbstractAsyncContextManager[Bench, bool | None]:
        return process_bench(tmp_path)
