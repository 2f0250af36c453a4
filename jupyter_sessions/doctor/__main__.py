"""``python -m jupyter_sessions.doctor``: looks at everything, changes nothing, and says what it found."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jupyter_sessions import __version__
from jupyter_sessions.doctor.examination import examine
from jupyter_sessions.doctor.findings import Finding, Level
from jupyter_sessions.doctor.location import SECONDS
from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.model.names import parse_location


def options() -> argparse.ArgumentParser:
    """Give the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m jupyter_sessions.doctor",
        description=(
            "Check servers, extension, configuration, locations, store, engine, permissions, ports and orphans. "
            "Nothing is changed."
        ),
        epilog="Example: python -m jupyter_sessions.doctor --json. Exit codes: 0 all is well, 1 faults were found.",
    )
    parser.add_argument("--json", action="store_true", help="write the findings as JSON")
    parser.add_argument("--location", action="append", default=[], type=_location, help="try only this location")
    parser.add_argument("--data-dir", type=Path, help="where sessions are kept, if not where Jupyter says")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long one check may take")
    parser.add_argument("--quiet", action="store_true", help="say nothing on stderr while it goes on")
    return parser


def _location(text: str) -> str:
    try:
        return str(parse_location(text, "location"))
    except SessionsError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def line(finding: Finding) -> str:
    """Give a finding as one line of text."""
    subject = f"{finding.subject}: " if finding.subject else ""
    tail = "".join(f"; {part}" for part in (finding.why, finding.remedy) if part)
    return f"{finding.level.value:5} {finding.check}: {subject}{finding.what}{tail}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine, write the findings to stdout, and give the exit code."""
    given = options().parse_args(arguments)

    def tell(text: str) -> None:
        if not given.quiet:
            print(f"checking {text} …", file=sys.stderr, flush=True)

    found = asyncio.run(examine(given.data_dir, given.location, tell, given.seconds))
    if given.json:
        report = {"version": __version__, "findings": [finding.shown() for finding in found]}
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print("\n".join(map(line, found)))
    return 1 if any(finding.level is Level.FAULT for finding in found) else 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that still waits for a name server or a dead host must not hold the exit.
    os._exit(status)
