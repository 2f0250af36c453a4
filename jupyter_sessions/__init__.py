"""Interactive sessions for JupyterLab and Jupyter Server; imports nothing until it is used."""

__version__ = "0.1.0"


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Say where the built lab half lies; JupyterLab's development installer calls it."""
    return [{"src": "labextension", "dest": "jupyter-sessions"}]


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Name the server half; Jupyter Server's extension manager calls it at link."""
    from jupyter_sessions.app import SessionsExtension

    return [{"module": "jupyter_sessions", "app": SessionsExtension}]
