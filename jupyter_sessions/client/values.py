"""How a value becomes bytes and comes back the same, or is refused; runs at both ends of a transfer.

Its text is sent to the session's kernel, so it stands on the standard library; other libraries are used where they are.
What is encoded is a small description (JSON) and pieces of bytes:

=============================  =======================================================
``pandas…``, ``polars…``       Arrow IPC stream (:mod:`jupyter_sessions.client.frames`)
``pyarrow…``                   the same
``numpy.ndarray``, ``…scalar`` ``.npy`` without pickle
``bytes``, ``bytearray``       as they are
``json``                       JSON, where it comes back with identical types
``pickle``                     pickle protocol 5, only where it is allowed
=============================  =======================================================
"""

from __future__ import annotations

import importlib
import io
import json
import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Meta = dict[str, Any]

_JSON_SCALARS = (str, int, bool, type(None))
_DEEPEST = 200
"""Levels of lists and dicts that JSON is used for: below the recursion limit of any Python's reader."""
_LIBRARIES = ("pandas", "polars", "pyarrow")


class Refused(ValueError):
    """A value that cannot be moved; the message says why and what to do instead."""


class TooLarge(Refused):
    """A value over the limit; nothing was sent."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"it takes {readable(size)}, more than the limit of {readable(limit)}; send less of it, or raise the limit "
            f"(limit={round_up(size)})"
        )


class Missing(Refused):
    """A library that this end needs and has not got; ``library`` is its name, ``package`` what installs it."""

    def __init__(self, kind: str, library: str) -> None:
        super().__init__(f"{kind} needs {library}")
        self.kind = kind
        self.library = library


@dataclass
class Encoded:
    """A value as bytes: ``kind`` says which, ``meta`` is its description for :func:`decode`, JSON."""

    kind: str
    pieces: Sequence[Any]
    meta: Meta = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The bytes of all pieces."""
        return sum(memoryview(piece).nbytes for piece in self.pieces)


def readable(size: int) -> str:
    """Give a size in the unit a person reads: ``1.5 GiB``."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def round_up(size: int) -> str:
    """Give a limit above ``size`` as a person would write it: ``3 << 30``."""
    if size < 1 << 20:
        return str(size)
    shift = 30 if size >= 1 << 30 else 20
    return f"{-(-size // (1 << shift))} << {shift}"


def encode(value: Any, *, allow_pickle: bool = False, limit: int = 1 << 62) -> Encoded:
    """Turn a value into bytes; raises Refused with the remedy, TooLarge over ``limit`` bytes, Missing."""
    try:
        made = _encode_plain(value, limit)
    except TooLarge:
        raise
    except Refused as error:
        if not allow_pickle:
            raise _with_remedy(error) from error
        made = _encode_pickle(value, limit)
    if made.size > limit:
        raise TooLarge(made.size, limit)
    return made


def decode(kind: str, meta: Mapping[str, Any], data: bytearray, *, allow_pickle: bool = False) -> Any:
    """Turn bytes back into the value, which may go on living in ``data``; raises Refused, Missing."""
    if kind == "pickle" and not allow_pickle:
        raise Refused("it came as a pickle, which was not asked for")
    reader = _READERS.get(kind.partition(".")[0])
    if reader is None:
        raise Refused(f"the kind {kind!r} is not known at this end; use the same version of jupyter_sessions")
    try:
        return reader(kind, meta, data)
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"{kind} could not be read at this end: {told(error)}") from error


def told(error: BaseException) -> str:
    """Give an exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def require(kind: str) -> None:
    """Raise Missing where this end has not got the library that ``kind`` needs."""
    library = kind.partition(".")[0]
    needed = {"pandas": ("pandas", "pyarrow"), "polars": ("polars",), "pyarrow": ("pyarrow",), "numpy": ("numpy",)}
    for name in needed.get(library, ()):
        try:
            importlib.import_module(name)
        except ImportError:
            raise Missing(kind, name) from None


def _encode_plain(value: Any, limit: int) -> Encoded:
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if kind in (bytes, bytearray):
        within(len(value), limit)
        return Encoded(kind.__name__, [bytes(value) if kind is bytearray else value])
    if library in _LIBRARIES:
        from jupyter_sessions.client import frames

        return frames.encode(value, limit)
    if library == "numpy":
        return _encode_numpy(value, limit)
    return Encoded("json", [_encode_json(value)])


def within(size: int, limit: int) -> None:
    """Raise TooLarge for a size over the limit, where it is known before anything is copied."""
    if size > limit:
        raise TooLarge(size, limit)


def _with_remedy(error: Refused) -> Refused:
    if isinstance(error, Missing):
        return error
    return Refused(f"{error}; or allow pickle, if the session is your own")


# JSON


def _encode_json(value: Any) -> bytes:
    fault = json_fault(value, "it", 0)
    if fault:
        raise Refused(fault)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        data = text.encode("utf-8", "surrogatepass")
        same = bool(_read_json(data) == value)
    except (ValueError, RecursionError) as error:
        raise Refused(f"JSON cannot hold it ({told(error)})") from error
    if not same:
        raise Refused("it would not come back equal from JSON")
    return data


def _read_json(data: Any) -> Any:
    return json.loads(bytes(data).decode("utf-8", "surrogatepass"))


def json_fault(value: Any, place: str, depth: int = 0) -> str | None:
    """Say why JSON would not give ``value`` back with identical types, and the remedy; None where it does."""
    kind = type(value)
    if kind in _JSON_SCALARS:
        return None
    if kind is float:
        remedy = "which JSON has no word for; use None or a numpy value"
        return None if math.isfinite(value) else f"{place} is {value!r}, {remedy}"
    if kind not in (list, dict):
        return _strange(value, place)
    if depth == _DEEPEST:
        return f"it is nested deeper than {_DEEPEST} levels; flatten it"
    parts = enumerate(value) if kind is list else value.items()
    for key, part in parts:
        if kind is dict and type(key) is not str:
            return (
                f"{place} has a key {key!r:.60} of type {type(key).__name__}, and JSON has str only; turn keys to str"
            )
        # The place is put together only for what is looked into or wrong: most of a long list is neither.
        if type(part) not in _JSON_SCALARS:
            fault = json_fault(part, f"{place}[{key!r:.60}]", depth + 1)
            if fault:
                return fault
    return None


def _strange(value: Any, place: str) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    remedies = {"tuple": "list(…)", "set": "sorted(…)", "frozenset": "sorted(…)", "memoryview": "bytes(…)"}
    remedy = remedies.get(name, "a dict, list, str, number, bytes, array or data frame")
    return f"{place} is of type {name}, which would not come back the same; turn it into {remedy}"


# numpy


def _encode_numpy(value: Any, limit: int) -> Encoded:
    import numpy

    if isinstance(value, numpy.generic):
        kind, array = "numpy.scalar", numpy.asarray(value)
    elif type(value) is numpy.ndarray:
        kind, array = "numpy.ndarray", value
    else:
        raise Refused(f"it is of type {_name(value)}; turn it into a plain array with numpy.asarray(…)")
    if array.dtype.hasobject:
        raise Refused(f"it is an array of Python objects (dtype {array.dtype}); give it another dtype, or use a list")
    within(array.nbytes, limit)
    out = io.BytesIO()
    try:
        form = numpy.lib.format
        if array.dtype.metadata or form.descr_to_dtype(form.dtype_to_descr(array.dtype)) != array.dtype:
            raise Refused(f".npy does not keep its dtype {array.dtype}; give it another one")
        if array.dtype.kind in "US" and kind == "numpy.scalar" and array[()] != value:
            raise Refused("numpy drops the zeros at its end; use str or bytes")
        form.write_array(out, array, allow_pickle=False)
    except Refused:
        raise
    except (ValueError, TypeError) as error:
        raise Refused(f".npy cannot hold its dtype {array.dtype} ({told(error)})") from error
    return Encoded(kind, [out.getbuffer()])


def _read_numpy(kind: str, meta: Mapping[str, Any], data: bytearray) -> Any:
    require(kind)
    import numpy

    array = numpy.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return array[()] if kind == "numpy.scalar" else array


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


# pickle


def _encode_pickle(value: Any, limit: int) -> Encoded:
    apart: list[pickle.PickleBuffer] = []
    try:
        body = pickle.dumps(value, protocol=5, buffer_callback=apart.append)
        raw = [buffer.raw() for buffer in apart]
    except Exception as error:
        raise Refused(f"it cannot be pickled ({told(error)})") from error
    meta = {"parts": [[part.nbytes, part.readonly] for part in raw], "body": len(body)}
    within(len(body) + sum(part.nbytes for part in raw), limit)
    # Copied: what is sent in pieces must not change between them.
    return Encoded("pickle", [body, *map(bytes, raw)], meta)


def _read_pickle(kind: str, meta: Mapping[str, Any], data: bytearray) -> Any:
    view = memoryview(data)
    place, parts = int(meta["body"]), []
    for length, readonly in meta["parts"]:
        part = view[place : place + length]
        parts.append(part.toreadonly() if readonly else part)
        place += length
    return pickle.loads(view[: meta["body"]], buffers=parts)  # noqa: S301 - decode refuses it unless it was allowed


def _read_frame(kind: str, meta: Mapping[str, Any], data: bytearray) -> Any:
    from jupyter_sessions.client import frames

    return frames.decode(kind, meta, data)


_READERS: dict[str, Callable[[str, Mapping[str, Any], bytearray], Any]] = {
    "bytes": lambda kind, meta, data: bytes(data),
    "bytearray": lambda kind, meta, data: data,
    "json": lambda kind, meta, data: _read_json(data),
    "numpy": _read_numpy,
    "pickle": _read_pickle,
    **dict.fromkeys(_LIBRARIES, _read_frame),
}
