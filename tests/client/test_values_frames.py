"""Data frames as Arrow: equal with index, dtypes and labels, or refused with the reason."""

from __future__ import annotations

import datetime
import decimal
import sys
from collections.abc import Mapping
from typing import Any

import numpy
import pandas
import polars
import pyarrow
import pytest

from jupyter_sessions.client.values import Missing, Refused, TooLarge, decode, encode
from tests.client.test_values import arrived, there_and_back

DAYS = pandas.date_range("2020", periods=3, freq="h", tz="Europe/Berlin")


def objects(*values: Any) -> pandas.DataFrame:
    """Give a frame of one column of Python objects."""
    return pandas.DataFrame({"a": pandas.Series(values, dtype=object)})


def noted() -> pandas.DataFrame:
    """Give a frame with attrs."""
    frame = pandas.DataFrame({"a": [1]})
    frame.attrs = {"unit": "m", "list": [1, {"x": 2.5}]}
    return frame


SAME: Mapping[str, Any] = {
    "numbers": pandas.DataFrame({"a": [1, 2], "b": [1.5, numpy.nan], "c": [True, False]}),
    "small": pandas.DataFrame({"a": numpy.array([1, 2], dtype="int8"), "b": numpy.array([1, 2], dtype="float16")}),
    "text": pandas.DataFrame({"a": ["x", None, "für"]}),
    "objects, NaN": objects("x", numpy.nan),
    "objects, None": objects("x", None),
    "objects, NaT": objects("x", pandas.NaT),
    "objects, NA": objects("x", pandas.NA),
    "objects, bool": objects(True, None),
    "objects, int": objects(1, 2),
    "objects, dates": objects(datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)),
    "objects, decimal": objects(decimal.Decimal("1.0"), decimal.Decimal("2.25")),
    "objects, bytes": objects(b"x", b"\0"),
    "times": pandas.DataFrame({"a": DAYS, "b": DAYS.tz_localize(None).astype("datetime64[s]"), "c": DAYS - DAYS[0]}),
    "categories": pandas.DataFrame({"a": pandas.Categorical(["a", None], categories=["z", "a"], ordered=True)}),
    "nullable": pandas.DataFrame({"a": pandas.array([1, None], dtype="Int64"), "b": pandas.array([True, None])}),
    "string": pandas.DataFrame({"a": pandas.array(["x", None], dtype="string")}),
    "period": pandas.DataFrame({"a": pandas.period_range("2020-01", periods=3, freq="M")}),
    "interval": pandas.DataFrame({"a": pandas.interval_range(0, 3)}),
    "labels, range": pandas.DataFrame(numpy.zeros((2, 3))),
    "labels, int": pandas.DataFrame(numpy.zeros((2, 2)), columns=[5, 7]),
    "labels, dates": pandas.DataFrame(numpy.zeros((2, 3)), columns=DAYS),
    "labels, levels": pandas.DataFrame(
        numpy.zeros((2, 2)), columns=pandas.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["p", None])
    ),
    "labels, named": pandas.DataFrame(numpy.zeros((2, 1)), columns=pandas.Index(["a"], name="of")),
    "index, text": pandas.DataFrame({"a": [1, 2]}, index=["x", "y"]),
    "index, objects": pandas.DataFrame({"a": [1, 2]}, index=pandas.Index(["x", "y"], dtype=object)),
    "index, range": pandas.DataFrame({"a": [1, 2]}, index=pandas.RangeIndex(4, 8, 2, name="r")),
    "index, named as a column": pandas.DataFrame({"a": [1, 2]}, index=pandas.Index([3, 4], name="a")),
    "index, regular": pandas.DataFrame({"a": [1, 2, 3]}, index=DAYS),
    "index, levels": pandas.DataFrame(
        {"a": [1, 2]}, index=pandas.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["p", None])
    ),
    "no columns": pandas.DataFrame(index=range(5)),
    "no rows": pandas.DataFrame({"a": pandas.Series([], dtype=object), "b": pandas.Series([], dtype="int8")}),
    "nothing": pandas.DataFrame(),
    "attrs": noted(),
}


@pytest.mark.parametrize("name", SAME)
def test_a_pandas_frame_comes_back_equal(name: str) -> None:
    frame = SAME[name]
    before = frame.copy(deep=True)
    kind, back = there_and_back(frame)
    assert kind == "pandas.DataFrame"
    pandas.testing.assert_frame_equal(back, frame, check_column_type=True)
    assert back.attrs == frame.attrs
    for place in range(frame.shape[1]):
        if str(frame.dtypes.iloc[place]) == "object":
            assert list(map(type, back.iloc[:, place])) == list(map(type, frame.iloc[:, place]))
    pandas.testing.assert_frame_equal(frame, before)


REFUSED: tuple[tuple[str, Any, str], ...] = (
    ("mixed", objects(1, "x"), "Arrow cannot hold it .*column a"),
    ("int and float", objects(1, 2.5), "column 'a' changed: int as float .*astype"),
    ("lists", objects([1], [2]), "column 'a' changed: list as ndarray"),
    ("dicts", objects({"x": 1}, {"y": 2}), "column 'a' changed: dict as dict"),
    ("numpy scalars", objects(numpy.int64(1)), "int64 as int"),
    ("times as objects", objects(datetime.datetime(2020, 1, 1)), "datetime as Timestamp"),
    ("two kinds of nothing", objects("x", None, numpy.nan), "column 'a' has NaN and None for nothing"),
    ("lone surrogate", objects("\ud800"), "Arrow cannot hold it .*surrogates"),
    ("large", objects(2**70), "Arrow cannot hold it .*too large"),
    ("complex", pandas.DataFrame({"a": [1j]}), "column a with type complex128"),
    ("sparse", pandas.DataFrame({"a": pandas.arrays.SparseArray([0.0, 1])}), "Sparse"),
    ("twice", pandas.DataFrame(numpy.zeros((2, 2)), columns=["x", "x"]), "Duplicate column names"),
    (
        "mixed labels",
        pandas.DataFrame(numpy.zeros((1, 2)), columns=[5, "x"]),
        "labels of the columns: its values change",
    ),
    ("int name", pandas.DataFrame({"a": [1]}, index=pandas.Index([3], name=0)), r"names \[0\] become \['0'\]"),
    ("hole", pandas.DataFrame({"a": [1]}, index=pandas.Index([None], dtype=object)), r"reset_index\(\)"),
    (
        "own frequency",
        pandas.DataFrame({"a": [1]}, pandas.date_range("2020", periods=1, freq=pandas.offsets.CDay(holidays=["2020"]))),
        "frequency .* set .index.freq to None",
    ),
)


@pytest.mark.parametrize(("frame", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_arrow_would_change_is_refused_with_the_reason(frame: Any, words: str) -> None:
    with pytest.raises(Refused, match=words):
        encode(frame)


def test_attrs_that_json_would_change_are_refused() -> None:
    frame = pandas.DataFrame({"a": [1]})
    frame.attrs["size"] = (1, 2)
    with pytest.raises(Refused, match=r"its attrs\['size'\] is of type tuple.*attrs\.clear\(\)"):
        encode(frame)


def test_what_arrow_refuses_may_be_pickled() -> None:
    frame = objects([1], (2, "x"))
    kind, back = there_and_back(frame, allow_pickle=True)
    assert kind == "pickle"
    pandas.testing.assert_frame_equal(back, frame)


@pytest.mark.parametrize("name", [None, "s", 0])
def test_a_pandas_series_comes_back_equal(name: Any) -> None:
    series = pandas.Series([1.5, None], index=["x", "y"], name=name)
    series.attrs["unit"] = "m"
    kind, back = there_and_back(series)
    assert kind == "pandas.Series"
    pandas.testing.assert_series_equal(back, series)
    assert back.attrs == series.attrs and type(back.name) is type(name)


def test_a_class_of_frames_is_not_taken_for_a_frame() -> None:
    own = type("Own", (pandas.DataFrame,), {"__module__": "pandas.own"})
    with pytest.raises(Refused, match=r"pandas\.Own"):
        encode(own({"a": [1]}))


POLARS: Mapping[str, Any] = {
    "plain": polars.DataFrame({"a": [1, None], "b": ["x", None], "c": [1.5, float("nan")]}),
    "nested": polars.DataFrame({"a": [[1], []], "b": [{"x": 1}, None], "c": [b"x", b""]}),
    "typed": polars.DataFrame(
        {
            "a": polars.Series(["x", "y"], dtype=polars.Categorical),
            "b": polars.Series(["x", None], dtype=polars.Enum(["y", "x"])),
            "c": [datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc), None],
            "d": polars.Series([1, 2], dtype=polars.Int8),
            "e": [decimal.Decimal("1.5"), None],
            "f": [datetime.timedelta(seconds=1), None],
        }
    ),
    "no rows": polars.DataFrame(schema={"a": polars.UInt16}),
    "nothing": polars.DataFrame(),
}


@pytest.mark.parametrize("name", POLARS)
def test_a_polars_frame_comes_back_equal(name: str) -> None:
    frame = POLARS[name]
    kind, back = there_and_back(frame)
    assert kind == "polars.DataFrame"
    assert back.schema == frame.schema
    assert back.equals(frame)


def test_a_polars_frame_needs_no_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    frame = POLARS["plain"]
    assert there_and_back(frame)[1].equals(frame)


def test_a_polars_series_comes_back_equal() -> None:
    series = polars.Series("s", [1, None, 3])
    kind, back = there_and_back(series)
    assert kind == "polars.Series"
    assert back.name == "s" and back.equals(series)


def test_what_polars_cannot_write_is_refused() -> None:
    with pytest.raises(Refused, match="does not keep the type of column 'a', Object; cast it"):
        encode(polars.DataFrame({"a": polars.Series([object()], dtype=polars.Object)}))
    with pytest.raises(Refused, match=r"LazyFrame.*send its \.collect\(\)"):
        encode(polars.LazyFrame({"a": [1]}))


def test_arrow_tables_and_batches_come_back_equal() -> None:
    schema = pyarrow.schema([pyarrow.field("a", pyarrow.int64(), metadata={"k": "v"})], metadata={"of": "me"})
    batch = pyarrow.record_batch([pyarrow.array([1, None, 3])], schema=schema)
    table = pyarrow.Table.from_batches([batch, batch.slice(1)])
    for value, kind in (
        (batch, "pyarrow.RecordBatch"),
        (table, "pyarrow.Table"),
        (schema.empty_table(), "pyarrow.Table"),
    ):
        went, back = there_and_back(value)
        assert went == kind and type(back) is type(value)
        assert back.equals(value, check_metadata=True)
    with pytest.raises(Refused, match=r"pyarrow\.Int64Array"):
        encode(pyarrow.array([1]))


def test_a_missing_pyarrow_is_named_at_either_end(monkeypatch: pytest.MonkeyPatch) -> None:
    made = encode(SAME["numbers"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for work in (lambda: encode(SAME["numbers"]), lambda: decode(*arrived(made))):
        with pytest.raises(Missing) as caught:
            work()
        assert caught.value.library == "pyarrow"


def test_a_pyarrow_that_runs_code_of_a_stream_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made = encode(SAME["numbers"])
    monkeypatch.setattr(pyarrow, "__version__", "13.0.0")
    with pytest.raises(Missing) as caught:
        decode(*arrived(made))
    assert caught.value.library == "pyarrow>=14.0.1"


@pytest.mark.parametrize(
    "value",
    [
        pandas.DataFrame({"a": numpy.zeros(1 << 18)}),
        polars.DataFrame({"a": numpy.zeros(1 << 18)}),
        pyarrow.table({"a": numpy.zeros(1 << 18)}),
    ],
    ids=["pandas", "polars", "pyarrow"],
)
def test_a_frame_over_the_limit_is_refused(value: Any) -> None:
    with pytest.raises(TooLarge, match=r"2\.\d MiB, more than the limit of 1\.0 MiB"):
        encode(value, limit=1 << 20)


def test_a_broken_stream_is_refused() -> None:
    for kind in ("pandas.DataFrame", "polars.DataFrame", "pyarrow.Table"):
        with pytest.raises(Refused, match="could not be read at this end"):
            decode(kind, {}, bytearray(b"nonsense"))
