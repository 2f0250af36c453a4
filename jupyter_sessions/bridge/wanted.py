"""Which kernel a bridge is to be: as a kernelspec, a command line and a program say it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from jupyter_sessions.model.errors import FieldViolation, InvalidArgument

MODULE = "jupyter_sessions.bridge"
PROVISIONER = "jupyter-sessions-provisioner"
MAIN, NEW = "main", "new"


@dataclass(frozen=True)
class Wanted:
    """A session's name, or a template to make one from, or both: then it is made only where there is none.

    ``kernel`` is ``main``, ``new`` or a kernel's id; empty is ``new`` in a session that is there and ``main`` in one
    made for this. ``location`` and ``url`` are those of the client; there is never a token in it.
    """

    session: str = ""
    template: str = ""
    kernel: str = ""
    location: str = ""
    url: str = ""

    @staticmethod
    def read(config: Mapping[str, Any]) -> Wanted:
        """Read a provisioner's config; raises InvalidArgument that names each faulty field."""
        known = [field.name for field in fields(Wanted)]
        faults = [
            FieldViolation(name, f"is not known; a session's kernelspec has {', '.join(known)}")
            for name in config
            if name not in known
        ]
        faults += [
            FieldViolation(name, f"must be text, not {type(value).__name__}")
            for name, value in config.items()
            if name in known and not isinstance(value, str)
        ]
        if faults:
            raise InvalidArgument(faults)
        return Wanted(**config).checked()

    def checked(self) -> Wanted:
        """Give it back; raises InvalidArgument where it means no kernel."""
        if not self.session and not self.template:
            raise InvalidArgument([FieldViolation("session", "name a session, or a template to make one from")])
        return self

    def config(self) -> dict[str, str]:
        """Give what a kernelspec says of it: the fields that are not empty."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in pairs if value}

    def argv(self, connection_file: str) -> list[str]:
        """Give the command line of its bridge."""
        options = [word for name, value in self.config().items() for word in (f"--{name}", value)]
        return [sys.executable, "-m", MODULE, "-f", connection_file, *options]

    @staticmethod
    def of_argv(argv: Sequence[str]) -> Wanted | None:
        """Read a kernelspec's command line; None where it starts no bridge."""
        if MODULE not in argv:
            return None
        options = list(argv[argv.index(MODULE) + 3 :])
        pairs = dict(zip(options[::2], options[1::2], strict=False))
        return Wanted(**{field.name: pairs.get(f"--{field.name}", "") for field in fields(Wanted)})

    def kernelspec(self, display_name: str, language: str, portable: bool = False) -> dict[str, Any]:
        """Give the kernelspec that starts it.

        Its command line alone is enough. Programs of this environment start it through the provisioner, which waits
        for a slow start and puts a failed one in words; ``portable`` leaves that out, for others know none.
        """
        provisioner = {"provisioner_name": PROVISIONER, "config": self.config()}
        return {
            "argv": self.argv("{connection_file}"),
            "display_name": display_name,
            "language": language,
            "interrupt_mode": "signal",
            "metadata": {
                "supported_encryption": ["curve"],
                **({} if portable else {"kernel_provisioner": provisioner}),
            },
        }
