"""The models are built at their first use, which two threads may reach at once: the event loop and the store's."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, threading
sys.setswitchinterval(1e-6)
from jupyter_sessions.model import filter, resources, wire

start = threading.Barrier(6)
faults = []


def use():
    start.wait()
    try:
        session = wire.load(resources.Session, {"name": "n", "state": "ACTIVE", "runtimeInfo": {"outputUri": "u"}})
        assert wire.dump(session)["runtimeInfo"] == {"outputUri": "u"}
        found = filter.parse("state = ACTIVE", resources.Session)
        assert filter.predicate(found, resources.Session)(session)
    except BaseException as error:
        faults.append(repr(error))


threads = [threading.Thread(target=use) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(faults)
"""


def test_the_first_use_may_come_from_many_threads() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"
