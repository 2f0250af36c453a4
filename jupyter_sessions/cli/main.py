"""``jupyter sessions``: where the program begins."""

from __future__ import annotations

import sys

from jupyter_sessions.cli import output


def main() -> None:
    """Run the command that the arguments name, and exit with its code; where only the client is installed, say so."""
    try:
        from jupyter_sessions.cli.app import run
    except ModuleNotFoundError as error:
        if str(error.name).startswith("jupyter_sessions"):
            raise
        output.say(
            f"the command line needs {error.name}, which is not installed here: this environment has the client only; "
            "to add what is missing: pip install jupyter_sessions"
        )
        sys.exit(output.BROKEN)
    run()
