"""Values as bytes: what comes back is the same, what would not is refused with the remedy."""

from __future__ import annotations

import datetime
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy
import pytest

from jupyter_sessions.client.values import Encoded, Missing, Refused, TooLarge, decode, encode


def arrived(made: Encoded) -> tuple[str, dict[str, Any], bytearray]:
    """Give what the other end gets of a value."""
    return made.kind, json.loads(json.dumps(made.meta)), bytearray(b"".join(bytes(piece) for piece in made.pieces))


def there_and_back(value: Any, *, allow_pickle: bool = False) -> tuple[str, Any]:
    """Give the kind a value went as, and the value that came back."""
    made = encode(value, allow_pickle=allow_pickle)
    return made.kind, decode(*arrived(made), allow_pickle=allow_pickle)


JSON_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -(2**80),
    1.5,
    1e-320,
    "",
    "für dich ✓",
    "\ud83d alone",
    "\ud83d\ude00 two",
    [],
    {},
    {"a": [1, 2.0, None, {"b": [False]}], "": "x"},
    [[[]]],
)


@pytest.mark.parametrize("value", JSON_VALUES, ids=repr)
def test_json_holds_what_comes_back_with_identical_types(value: Any) -> None:
    kind, back = there_and_back(value)
    assert kind == "json"
    assert back == value
    assert repr(back) == repr(value)


def test_a_negative_zero_keeps_its_sign() -> None:
    _, back = there_and_back([-0.0])
    assert math.copysign(1.0, back[0]) == -1.0


cyclic: list[Any] = []
cyclic.append(cyclic)
deep: list[Any] = []
for _ in range(3000):
    deep = [deep]

LOSSY: tuple[tuple[str, Any, str], ...] = (
    ("tuple", (1, 2), r"tuple.*turn it into list"),
    ("tuple within", {"a": [1, (2,)]}, r"it\['a'\]\[1\] is of type tuple"),
    ("int key", {1: "x"}, r"has a key 1 of type int.*turn keys to str"),
    ("bool key", {True: "x"}, r"key True of type bool"),
    ("NaN", [float("nan")], r"it\[0\] is nan.*None or a numpy value"),
    ("infinity", math.inf, r"it is inf"),
    ("set", {1, 2}, r"set.*sorted"),
    ("date", datetime.date(2020, 1, 1), r"datetime\.date"),
    ("object", object(), r"type object"),
    ("class of str", type("Text", (str,), {})("x"), r"Text"),
    ("class of dict", type("Table", (dict,), {})(), r"Table"),
    ("path", Path("x"), r"Path"),
    ("complex", 1j, r"complex"),
    ("memoryview", memoryview(b"x"), r"bytes\(…\)"),
    ("cyclic", cyclic, r"nested deeper"),
    ("deep", deep, r"nested deeper than 200 levels; flatten it"),
    ("numpy within", [numpy.int64(1)], r"it\[0\] is of type numpy\.int64"),
)


@pytest.mark.parametrize(("value", "words"), [row[1:] for row in LOSSY], ids=[row[0] for row in LOSSY])
def test_what_json_would_change_is_refused_with_place_type_and_remedy(value: Any, words: str) -> None:
    with pytest.raises(Refused, match=words):
        encode(value)


def test_a_refusal_says_that_pickle_may_be_allowed() -> None:
    with pytest.raises(Refused, match="allow pickle, if the session is your own"):
        encode((1, 2))


@pytest.mark.parametrize("value", [b"", b"\0\xff" * 1000, bytearray(b"abc")], ids=["empty", "bytes", "bytearray"])
def test_bytes_go_as_they_are(value: Any) -> None:
    kind, back = there_and_back(value)
    assert kind == type(value).__name__ == type(back).__name__
    assert back == value


ARRAYS: tuple[Any, ...] = (
    numpy.arange(6).reshape(2, 3),
    numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
    numpy.arange(10)[::2],
    numpy.array([1.5, numpy.nan, -0.0]),
    numpy.array(["a", "für"]),
    numpy.array([b"a\0b"]),
    numpy.array(["2020-01-01", "NaT"], dtype="datetime64[D]"),
    numpy.array([(1, 2.5)], dtype=[("a", ">i2"), ("b", "f8")]),
    numpy.array(5),
    numpy.zeros((0, 3), dtype="complex64"),
)


@pytest.mark.parametrize("value", ARRAYS, ids=lambda value: f"{value.dtype}{value.shape}")
def test_arrays_go_without_pickle(value: Any) -> None:
    kind, back = there_and_back(value)
    assert kind == "numpy.ndarray"
    assert back.dtype == value.dtype and back.shape == value.shape
    assert back.flags.writeable
    assert not value.size or back.strides == numpy.copy(value, order="K").strides
    numpy.testing.assert_array_equal(back, value)


SCALARS = (numpy.float64("nan"), numpy.int8(-3), numpy.bool_(True), numpy.datetime64("2020-01-01T00:00:00"))


@pytest.mark.parametrize("value", SCALARS, ids=lambda value: type(value).__name__)
def test_numpy_scalars_keep_their_type(value: Any) -> None:
    kind, back = there_and_back(value)
    assert kind == "numpy.scalar"
    assert type(back) is type(value) and back.dtype == value.dtype
    assert back == value or (value != value and back != back)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (numpy.array([{}, 1], dtype=object), "array of Python objects"),
        (numpy.ma.masked_array([1, 2], [True, False]), r"numpy\.asarray"),
        (numpy.zeros(2, dtype=numpy.dtype("i4", metadata={"unit": "m"})), r"\.npy does not keep its dtype"),
        (numpy.str_("a\0"), "drops the zeros"),
    ],
    ids=["objects", "masked", "metadata", "zeros"],
)
def test_what_npy_would_change_is_refused(value: Any, words: str) -> None:
    with pytest.raises(Refused, match=words):
        encode(value)


class Opened:
    """Says when it was unpickled."""

    count = 0

    def __reduce__(self) -> Any:
        return _open, ()


def _open() -> Opened:
    Opened.count += 1
    return Opened()


def test_pickle_is_for_the_rest_and_only_where_it_is_allowed() -> None:
    value = {(1, 2): {datetime.date(2020, 1, 1)}, 3: float("inf")}
    assert there_and_back(value, allow_pickle=True) == ("pickle", value)
    assert there_and_back({"a": 1}, allow_pickle=True) == ("json", {"a": 1})
    with pytest.raises(Refused):
        encode(value)


def test_nothing_is_unpickled_unless_it_is_allowed() -> None:
    made = encode(Opened(), allow_pickle=True)
    with pytest.raises(Refused, match="a pickle, which was not asked for"):
        decode(*arrived(made))
    for kind in ("numpy.ndarray", "json", "pandas.DataFrame", "polars.DataFrame", "pyarrow.Table"):
        with pytest.raises(Refused):
            decode(kind, {}, bytearray(pickle.dumps(Opened())))
    objects = numpy.array([Opened()], dtype=object)
    with pytest.raises(Refused):
        decode("numpy.ndarray", {}, bytearray(objects.dumps()))
    assert Opened.count == 0
    decode(*arrived(made), allow_pickle=True)
    assert Opened.count == 1


def test_large_parts_of_a_pickle_go_beside_it_and_stay_as_they_were() -> None:
    fixed = numpy.arange(3000.0)
    fixed.flags.writeable = False
    made = encode((numpy.arange(5000), fixed), allow_pickle=True)
    assert len(made.pieces) == 3
    one, two = decode(*arrived(made), allow_pickle=True)
    numpy.testing.assert_array_equal(one, numpy.arange(5000))
    numpy.testing.assert_array_equal(two, fixed)
    one[0] = 7
    assert not two.flags.writeable


def test_what_cannot_be_pickled_is_refused() -> None:
    with pytest.raises(Refused, match="cannot be pickled"):
        encode(lambda: None, allow_pickle=True)


def test_a_value_over_the_limit_is_refused_with_size_limit_and_remedy() -> None:
    words = r"2\.0 MiB, more than the limit of 1\.0 MiB; send less of it, or raise the limit \(limit=2 << 20\)"
    for value in (bytes(2 << 20), numpy.zeros(1 << 18), "x" * ((2 << 20) - 2)):
        with pytest.raises(TooLarge, match=words.replace("2 << 20", r"\d << 20")):
            encode(value, limit=1 << 20)
    with pytest.raises(TooLarge):
        encode({1: bytes(2 << 20)}, limit=1 << 20, allow_pickle=True)
    assert encode(bytes(10), limit=10).size == 10


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(Refused, match="'yaml' is not known at this end; use the same version"):
        decode("yaml", {}, bytearray())


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    made = encode(numpy.arange(3))
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    with pytest.raises(Missing) as caught:
        decode(*arrived(made))
    assert (caught.value.kind, caught.value.library) == ("numpy.ndarray", "numpy")
