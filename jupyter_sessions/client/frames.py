"""Data frames, series and Arrow tables as an Arrow IPC stream; runs at both ends of a transfer.

What Arrow would change is looked for before anything is sent: an empty part of a pandas frame goes there and back,
and what differs (dtypes, index, labels) is the reason of the refusal; columns of Python objects are compared by value.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jupyter_sessions.client.values import (
    Encoded,
    Meta,
    Missing,
    Refused,
    json_fault,
    require,
    told,
    within,
)

_SAFE_PYARROW = (14, 0, 1)
"""Older ones run code that a stream brings with it."""
_UNIFORM = ("string", "bytes", "boolean", "empty")
"""What pandas infers of an object column whose values are known to come back as they are."""
_NULLS = {"NoneType": "None", "float": "NaN", "NaTType": "NaT", "NAType": "NA"}


def encode(value: Any, limit: int) -> Encoded:
    """Turn one of the kinds of :data:`_WRITERS` into an Arrow IPC stream; raises Refused, TooLarge, Missing."""
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__qualname__}"
    writer = _WRITERS.get(kind)
    if writer is None:
        raise Refused(f"it is a {kind}, which is none of {', '.join(sorted(_WRITERS))}{_hint(kind)}")
    require(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: Encoded = writer(kind, value, limit)
    return made


def decode(kind: str, meta: Mapping[str, Any], data: bytearray) -> Any:
    """Turn the stream back into the value, of the same type; raises Refused, Missing."""
    if kind not in _READERS:
        raise Refused(f"the kind {kind!r} is not known at this end; use the same version of jupyter_sessions")
    require(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _READERS[kind](meta, data)


def _hint(kind: str) -> str:
    return {"polars.LazyFrame": "; send its .collect()"}.get(kind, "")


# Arrow


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError:
        raise Missing("an Arrow stream", "pyarrow") from None
    if tuple(int(part) for part in pyarrow.__version__.split(".")[:3] if part.isdigit()) < _SAFE_PYARROW:
        least = ".".join(map(str, _SAFE_PYARROW))
        raise Missing(f"an Arrow stream (pyarrow {pyarrow.__version__} is not safe)", f"pyarrow>={least}")
    return pyarrow


def _stream(batch_or_table: Any, limit: int) -> Any:
    pa = _pyarrow()
    within(batch_or_table.nbytes, limit)
    measure = pa.MockOutputStream()
    with pa.ipc.new_stream(measure, batch_or_table.schema) as writer:
        writer.write(batch_or_table)
    within(measure.size(), limit)
    # One buffer of the right size: a growing one would be copied again and again.
    buffer = pa.allocate_buffer(measure.size())
    with (
        pa.FixedSizeBufferWriter(buffer) as sink,
        pa.ipc.new_stream(sink, batch_or_table.schema) as writer,
    ):
        writer.write(batch_or_table)
    return buffer


def _table(data: Any) -> Any:
    pa = _pyarrow()
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        return reader.read_all()


def _write_arrow(kind: str, value: Any, limit: int) -> Encoded:
    return Encoded(kind, [memoryview(_stream(value, limit))])


def _read_batch(meta: Mapping[str, Any], data: bytearray) -> Any:
    pa = _pyarrow()
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        return reader.read_next_batch()


# polars: its own reader and writer, which need no pyarrow


def _write_polars(kind: str, value: Any, limit: int) -> Encoded:
    import polars

    frame = value.to_frame() if kind.endswith("Series") else value
    within(frame.estimated_size(), limit)
    try:
        out = io.BytesIO()
        frame.head(0).write_ipc_stream(out)
        back = polars.read_ipc_stream(io.BytesIO(out.getvalue()))
        if back.schema != frame.schema:
            changed = [name for name in frame.columns if back.schema[name] != frame.schema[name]]
            raise Refused(f"Arrow does not keep the type of column {changed[0]!r}, {frame.schema[changed[0]]}; cast it")
        out = io.BytesIO()
        frame.write_ipc_stream(out)
    except Refused:
        raise
    except BaseException as error:
        # A panic of polars, as for columns of Python objects, is no Exception.
        if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise
        raise Refused(f"Arrow cannot hold it ({told(error):.300}); cast the column") from error
    return Encoded(kind, [out.getbuffer()])


def _read_polars(meta: Mapping[str, Any], data: bytearray) -> Any:
    import polars

    return polars.read_ipc_stream(io.BytesIO(data))


# pandas


def _write_pandas(kind: str, value: Any, limit: int) -> Encoded:
    pa = _pyarrow()
    series = kind.endswith("Series")
    meta = {"attrs": _plain(value.attrs, "its attrs", "clear them with .attrs.clear()")}
    if series:
        meta["name"] = _plain(value.name, "its name", "give it a str with .rename(…)")
    frame = value.to_frame("value") if series else value
    within(int(frame.memory_usage(index=False).sum()), limit)
    meta.update(_described(frame))
    try:
        table = pa.Table.from_pandas(frame)
        _check_shape(frame, meta)
        _check_objects(frame)
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"Arrow cannot hold it ({told(error):.300}); convert the column or label it names") from error
    return Encoded(kind, [memoryview(_stream(table, limit))], meta)


def _plain(value: Any, what: str, remedy: str) -> Any:
    fault = json_fault(value, what)
    if fault:
        raise Refused(f"{fault}; or {remedy}")
    return value


def _described(frame: Any) -> Meta:
    """Describe what Arrow's own notes on a frame leave out or get wrong."""
    import pandas

    meta: Meta = {
        "dtypes": [str(dtype) for dtype in frame.dtypes],
        "index": [str(level.dtype) for level in _levels(frame.index)],
        "labels": [str(level.dtype) for level in _levels(frame.columns)],
        "nulls": [_null_of(frame.iloc[:, place], place) for place in range(frame.shape[1])],
    }
    meta["freq"] = {"index": _frequency(frame.index), "labels": _frequency(frame.columns)}
    if isinstance(frame.columns, pandas.RangeIndex):
        meta["range"] = [frame.columns.start, frame.columns.stop, frame.columns.step]
    return meta


def _frequency(index: Any) -> str | None:
    import pandas

    freq = getattr(index, "freq", None)
    if freq is None or not isinstance(index, (pandas.DatetimeIndex, pandas.TimedeltaIndex)):
        return None
    if pandas.tseries.frequencies.to_offset(freq.freqstr) != freq:
        raise Refused(f"its index has the frequency {freq!r}, which has no short name; set .index.freq to None")
    return str(freq.freqstr)


def _levels(index: Any) -> Sequence[Any]:
    levels: Sequence[Any] = getattr(index, "levels", [index])
    return levels


def _null_of(column: Any, place: int) -> str:
    """Say which of Python's four kinds of nothing a column of objects has: Arrow has one."""
    if column.dtype != object:
        return ""
    kinds = {type(value).__name__ for value in column[column.isna()]}
    if len(kinds) > 1:
        found = " and ".join(sorted(_NULLS.get(kind, kind) for kind in kinds))
        raise Refused(f"column {column.name!r} has {found} for nothing, and Arrow has one; use one of them")
    kind = kinds.pop() if kinds else ""
    if kind not in ("", *_NULLS):
        raise Refused(f"column {column.name!r} has a nothing of type {kind}, which Arrow does not know; use None")
    return kind


def _check_shape(frame: Any, meta: Mapping[str, Any]) -> None:
    """Raise Refused where the frame's empty part does not come back with the same dtypes, index and labels."""
    empty = frame.iloc[:0]
    table = _pyarrow().Table.from_pandas(empty)
    back = _restored(table, {**meta, "freq": {"index": None, "labels": None}})
    for place, (ours, theirs) in enumerate(zip(frame.dtypes, back.dtypes, strict=True)):
        if ours != theirs:
            raise Refused(f"Arrow turns column {frame.columns[place]!r} from {ours!r} into {theirs!r}; use .astype(…)")
    for what, ours, theirs in (("index", empty.index, back.index), ("labels", frame.columns, back.columns)):
        fault = _index_fault(ours, theirs)
        if fault:
            raise Refused(
                f"Arrow does not keep the {what} of the columns: {fault}"
                if what == "labels"
                else f"Arrow does not keep its index: {fault}; use .reset_index()"
            )


def _index_fault(ours: Any, theirs: Any) -> str:
    if type(ours) is not type(theirs):
        return f"a {type(ours).__name__} becomes a {type(theirs).__name__}"
    if [(type(name), name) for name in ours.names] != [(type(name), name) for name in theirs.names]:
        return f"the names {list(ours.names)} become {list(theirs.names)}"
    for mine, other in zip(_levels(ours), _levels(theirs), strict=True):
        if mine.dtype != other.dtype:
            return f"the type {mine.dtype} becomes {other.dtype}"
    return "" if ours.equals(theirs) else "its values change"


def _check_objects(frame: Any) -> None:
    """Raise Refused for a column, or level of the index, of Python objects that come back as others."""
    for name, column in _object_columns(frame):
        import pandas

        if pandas.api.types.infer_dtype(column, skipna=True) in _UNIFORM:
            continue
        there = _pyarrow().Array.from_pandas(column)
        for ours, theirs in zip(column, there.to_pandas().astype(object), strict=True):
            if not _same(ours, theirs):
                kinds = f"{type(ours).__name__} as {type(theirs).__name__}"
                raise Refused(f"Arrow would give back {name} changed: {kinds} ({ours!r:.40}); use .astype(…)")


def _object_columns(frame: Any) -> Iterator[tuple[str, Any]]:
    for place, dtype in enumerate(frame.dtypes):
        if dtype.kind == "O" and str(dtype) == "object":
            yield f"column {frame.columns[place]!r}", frame.iloc[:, place]
    for level in range(frame.index.nlevels):
        values = frame.index.get_level_values(level)
        if values.dtype == object:
            if values.hasnans and frame.index.nlevels == 1:
                raise Refused("its index has nothing (None, NaN) among Python objects; use .reset_index()")
            yield f"level {level} of the index", values.to_series()


def _same(ours: Any, theirs: Any) -> bool:
    import pandas

    if pandas.api.types.is_scalar(ours) and pandas.isna(ours):
        return bool(pandas.api.types.is_scalar(theirs) and pandas.isna(theirs))
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, dict):
        return list(ours) == list(theirs) and all(_same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, float) and math.isnan(ours):
        return math.isnan(theirs)
    return bool(ours == theirs) if type(ours).__module__ != "numpy" else False


def _read_pandas(meta: Mapping[str, Any], data: bytearray) -> Any:
    frame = _restored(_table(data), meta)
    if "name" in meta:
        made = frame.iloc[:, 0]
        made.name = meta["name"]
    else:
        made = frame
    made.attrs = dict(meta["attrs"])
    return made


def _restored(table: Any, meta: Mapping[str, Any]) -> Any:
    import pandas

    frame = table.to_pandas(integer_object_nulls=True)
    wanted = meta["dtypes"]
    for place, dtype in enumerate(wanted):
        column = frame.iloc[:, place]
        null = meta["nulls"][place]
        if str(column.dtype) != dtype or null:
            frame[frame.columns[place]] = _with_nulls(column.astype(dtype), null)
    index, labels = _retyped(frame.index, meta["index"]), _retyped(frame.columns, meta["labels"])
    if "range" in meta:
        labels = pandas.RangeIndex(*meta["range"], name=labels.name)
    for one, freq in ((index, meta["freq"]["index"]), (labels, meta["freq"]["labels"])):
        if freq is not None:
            one.freq = freq
    frame.index, frame.columns = index, labels
    return frame


def _with_nulls(column: Any, null: str) -> Any:
    import pandas

    if null:
        # Through numpy: pandas would take one nothing for another.
        values = column.to_numpy(dtype=object, copy=True)
        values[column.isna().to_numpy()] = {
            "NoneType": None,
            "float": math.nan,
            "NaTType": pandas.NaT,
            "NAType": pandas.NA,
        }[null]
        return pandas.Series(values, index=column.index, name=column.name, dtype=object)
    return column


def _retyped(index: Any, dtypes: Sequence[str]) -> Any:
    for place, (level, dtype) in enumerate(zip(_levels(index), dtypes, strict=True)):
        if str(level.dtype) != dtype:
            if hasattr(index, "levels"):
                index = index.set_levels(level.astype(dtype), level=place)
            else:
                index = index.astype(dtype)
    return index


_WRITERS: Mapping[str, Any] = {
    "pandas.DataFrame": _write_pandas,
    "pandas.Series": _write_pandas,
    "polars.DataFrame": _write_polars,
    "polars.Series": _write_polars,
    "pyarrow.Table": _write_arrow,
    "pyarrow.RecordBatch": _write_arrow,
}
_READERS: Mapping[str, Any] = {
    "pandas.DataFrame": _read_pandas,
    "pandas.Series": _read_pandas,
    "polars.DataFrame": _read_polars,
    "polars.Series": lambda meta, data: _read_polars(meta, data).to_series(),
    "pyarrow.Table": lambda meta, data: _table(data),
    "pyarrow.RecordBatch": _read_batch,
}
