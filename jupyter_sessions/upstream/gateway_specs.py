"""What a gateway's kernelspecs and kernels belong to. Pure, no I/O; whatever is malformed in them is left out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from jupyter_sessions.model.api import OfferedKernel
from jupyter_sessions.model.parents import session_named
from jupyter_sessions.upstream.gateway_logos import logos_of

# What a kernelspec says besides its own fields, which a picker is to know.
_SHOWN = ("display_name", "language", "interrupt_mode", "metadata", "kernel_protocol_version")


class Specs:
    """One answer of ``/api/kernelspecs``, sorted by what the specs belong to; ``logos`` are their logos' paths."""

    def __init__(self, answer: object = None) -> None:
        body: Mapping[str, Any] = answer if isinstance(answer, Mapping) else {}
        listed = body.get("kernelspecs")
        self._by_session: dict[str, list[OfferedKernel]] = {}
        self._loose: list[OfferedKernel] = []
        self.logos: dict[str, dict[str, str]] = {}
        for key, entry in listed.items() if isinstance(listed, Mapping) else ():
            offered = _offered(str(key), entry)
            if offered is None:
                continue
            session = session_named(entry.get("resources"))
            logos = logos_of(entry.get("resources"))
            if logos:
                self.logos[offered.name] = logos
            if session:
                self._by_session.setdefault(session, []).append(offered)
            else:
                self._loose.append(offered)
        default = body.get("default")
        for kernels in self._by_session.values():
            kernels.sort(key=lambda kernel: kernel.name != default)
        self.warnings = [each for each in _list(body.get("warnings")) if isinstance(each, Mapping)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Specs) and (self._by_session, self._loose) == (other._by_session, other._loose)

    __hash__ = None  # type: ignore[assignment]  # compared, never a key

    def of(self, session: str) -> list[OfferedKernel]:
        """Give what the session of this full name offers."""
        return list(self._by_session.get(session, ()))

    def loose(self, known: Collection[str] | None = None) -> list[OfferedKernel]:
        """Give what belongs to no session: templates, clusters, plain ones.

        With ``known``, the full names of all sessions, also what names a session that is none of them.
        """
        strange = [] if known is None else [name for name in self._by_session if name not in known]
        return self._loose + [kernel for name in strange for kernel in self._by_session[name]]


def _offered(key: str, entry: object) -> OfferedKernel | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("spec"), Mapping):
        return None
    spec = {name: entry["spec"][name] for name in _SHOWN if name in entry["spec"]}
    spec["metadata"] = dict(spec["metadata"]) if isinstance(spec.get("metadata"), Mapping) else {}
    name = entry.get("name")
    return OfferedKernel(name if isinstance(name, str) and name else key, {"argv": [], **spec})


def models_of(answer: object) -> list[dict[str, Any]] | None:
    """Read ``/api/kernels``: the models in a host's words, None where the answer is no whole list.

    A dead kernel's ``message`` is its ``reason``.
    """
    if not isinstance(answer, list):
        return None
    models = []
    for each in answer:
        if not isinstance(each, Mapping) or not isinstance(each.get("id"), str) or not each["id"]:
            return None
        model = dict(each)
        if model.get("message") and not model.get("reason"):
            model["reason"] = str(model["message"])
        models.append(model)
    return models


def _list(value: object) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
