"""``python host_with_fault.py STEP DIRECTORY INCARNATION``: a host that is killed at a step of its start."""

import os
import signal
import sys

from jupyter_sessions.host.__main__ import main


def on_step(name: str) -> None:
    """Die by a real SIGKILL at the step."""
    if name == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], on_step))
