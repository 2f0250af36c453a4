"""``python -m jupyter_sessions.serve``."""

from __future__ import annotations

from jupyter_sessions.serve.app import ServeApp


def main() -> None:
    """Serve until a signal says to stop."""
    ServeApp.launch_instance()


if __name__ == "__main__":
    main()
