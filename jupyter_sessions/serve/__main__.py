"""``python -m jupyter_sessions.serve``."""

from __future__ import annotations

import sys

REFUSED = 2
"""The exit status where something asked for cannot be served."""


def main() -> None:
    """Serve until a signal says to stop; what cannot be served is said on stderr, and the program exits with 2."""
    if sys.platform == "win32":
        sys.exit("jupyter sessions serve: the service needs a POSIX system, Linux or macOS; on Windows use it in WSL")
    # Here: none of it can be imported on Windows.
    from jupyter_core.application import NoStart

    from jupyter_sessions.model.errors import SessionsError
    from jupyter_sessions.serve.app import ServeApp
    from jupyter_sessions.serve.settings import Refused

    app = ServeApp.instance()
    try:
        app.initialize()
        app.start()
    except NoStart:
        return
    except (Refused, SessionsError) as error:
        print(f"jupyter sessions serve: {error}", file=sys.stderr)
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
