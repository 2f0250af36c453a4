"""The programs that commands start: modules of this package, run by this interpreter and never imported here."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def command(module: str, arguments: Sequence[str]) -> list[str]:
    """Give the argv that runs a module.

    Nothing is loaded from the directory it is started in: a file there may have the name of any module.
    """
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    return [sys.executable, *safe, "-m", module, *arguments]
