"""``python -m jupyter_sessions.bridge``: a kernel of a session, for programs that start local kernels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jupyter_sessions.bridge.wanted import MODULE, Wanted


def main(words: Sequence[str] | None = None) -> int:
    """Be a kernel to whoever wrote the connection file; gives the exit code."""
    options, unknown = _parser().parse_known_args(words)
    from jupyter_sessions.bridge.bridge import FAILED, Bridge
    from jupyter_sessions.bridge.report import Report
    from jupyter_sessions.bridge.sockets import Sockets, read_connection_file
    from jupyter_sessions.bridge.target import Target
    from jupyter_sessions.model.errors import SessionsError

    report = Report(options.report, options.quiet)
    if unknown:
        report.complain(f"left out, being options of local kernels: {' '.join(unknown)}")
    names = ("session", "template", "kernel", "location", "url")
    try:
        wanted = Wanted(**{name: getattr(options, name) for name in names}).checked()
        sockets = Sockets(read_connection_file(options.f))
    except SessionsError as error:
        report.failed(str(error))
        return FAILED
    return Bridge(sockets, Target(wanted, report.tell, options.keep), report).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {MODULE}",
        description="Stands for a kernel of a session: what starts a local kernel starts this. "
        "`jupyter sessions kernelspec install` makes the kernelspec for it.",
        allow_abbrev=False,
    )
    parser.add_argument("-f", required=True, type=Path, metavar="CONNECTION_FILE", help="ports and key, as written")
    parser.add_argument("--session", default="", metavar="NAME", help="the session; with --template made if need be")
    parser.add_argument("--template", default="", metavar="NAME", help="make a session, which ends with the kernel")
    parser.add_argument("--kernel", default="", metavar="main|new|ID", help="which kernel (default: new; main if made)")
    parser.add_argument("--location", default="", help="where names are looked for")
    parser.add_argument("--url", default="", help="the server; JUPYTER_SESSIONS_TOKEN, or its file, has its token")
    parser.add_argument("--keep", action="store_true", help="leave a session that is made as it is")
    parser.add_argument("--quiet", action="store_true", help="say nothing on stderr")
    parser.add_argument("--report", type=int, metavar="FD", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
