"""Interactive sessions for JupyterLab and Jupyter Server; imports nothing until it is used."""

__version__ = "0.1.0"


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Say where the built lab half lies; JupyterLab's development installer calls it."""
    return [{"src": "labextension", "dest": "jupyter-sessions"}]


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Name the server half; Jupyter Server's extension manager calls it at link."""
    from jupyter_sessions.app import SessionsExtension

    return [{"module": "jupyter_sessions", "app": SessionsExtension}]


def load_ipython_extension(shell: object) -> None:
    """Add ``%session`` and ``%%session`` to a shell; IPython calls it for ``%load_ext jupyter_sessions``."""
    from jupyter_sessions.magics.extension import load

    load(shell)


def unload_ipython_extension(shell: object) -> None:
    """Take the magics away again; IPython calls it for ``%unload_ext jupyter_sessions``."""
    from jupyter_sessions.magics.extension import unload

    unload(shell)
