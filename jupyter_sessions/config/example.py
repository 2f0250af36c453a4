"""What to write, and where, to connect a location: shown by the panel and the documentation; no secret is in it."""

from __future__ import annotations

from typing import Any

from jupyter_sessions.config.folders import own_folder

FILE = "locations.yaml"

GOOGLE = """\
locations:
  - project: my-project        # the project's id
    location: us-central1      # the region
    auth: google               # the account of `gcloud auth application-default login`
    # quota_project: my-project  # whom requests count for, where the account belongs to no project
"""

SERVER = """\
locations:
  - project: local
    location: serve            # as `jupyter sessions serve` was started with --location
    display_name: Big machine
    endpoint: https://jupyter.example.org:8890
    auth: bearer
    bearer:
      file: ~/.config/jupyter-sessions.token  # one line, the token; chmod 600
    # verify: /etc/ssl/our-own-ca.pem         # where its certificate is signed by a CA of your own
"""

COMMAND = """\
locations:
  - project: team
    location: cluster
    endpoint: https://jupyter.example.org/sessions
    auth: bearer
    bearer:
      command: [/usr/local/bin/print-token]   # run without a shell; what it prints is the token
      refresh: 10m                            # run again after this, or when the token is refused
"""


def connect_help() -> dict[str, Any]:
    """Give ``{"path", "examples": [{"title", "yaml"}, …]}``: the file of this user, and what may stand in it."""
    examples = (
        ("Google managed Spark", GOOGLE),
        ("Another jupyter_sessions server", SERVER),
        ("A server whose tokens a program gives", COMMAND),
    )
    return {
        "path": str(own_folder() / FILE),
        "examples": [{"title": title, "yaml": text} for title, text in examples],
    }
