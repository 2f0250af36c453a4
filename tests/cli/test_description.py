"""What words and files say of a session, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.cli.connection import Misused
from jupyter_sessions.cli.description import described, lengths, pairs, put
from jupyter_sessions.model.resources import Session

EXECUTION = "environmentConfig.executionConfig"


@pytest.mark.parametrize(
    ("word", "content"),
    [
        ("labels.team=fx", {"labels": {"team": "fx"}}),
        ("labels.number=1", {"labels": {"number": "1"}}),
        ("labels.empty=", {"labels": {"empty": ""}}),
        ("runtime_config.properties.a.b:c=d=e", {"runtimeConfig": {"properties": {"a.b:c": "d=e"}}}),
        (f"{EXECUTION}.ttl=8h", {"environmentConfig": {"executionConfig": {"ttl": "8h"}}}),
        (f'{EXECUTION}.networkTags=["a"]', {"environmentConfig": {"executionConfig": {"networkTags": ["a"]}}}),
        ("jupyterSession.kernel=SCALA", {"jupyterSession": {"kernel": "SCALA"}}),
        ("sparkConnectSession={}", {"sparkConnectSession": {}}),
        ('labels={"a": "b"}', {"labels": {"a": "b"}}),
        ("runtimeConfig.version=3", {"runtimeConfig": {"version": "3"}}),
        ("nope.inner=3", {"nope": {"inner": 3}}),
        ("nope=not json", {"nope": "not json"}),
    ],
)
def test_one_field(word: str, content: dict[str, Any]) -> None:
    made: dict[str, Any] = {}
    put(Session, made, word)
    assert made == content


def test_a_later_word_wins_and_leaves_the_rest() -> None:
    made: dict[str, Any] = {"labels": {"a": "1", "b": "1"}}
    put(Session, made, "labels.a=2")
    assert made == {"labels": {"a": "2", "b": "1"}}


@pytest.mark.parametrize("word", ["", "=x", "labels", "...=1"])
def test_what_is_no_path_and_value(word: str) -> None:
    with pytest.raises(Misused, match="write --set PATH=VALUE"):
        put(Session, {}, word)


def test_a_field_below_a_plain_value() -> None:
    with pytest.raises(Misused, match="user is"):
        put(Session, {"user": "alice"}, "user.name=x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "line 1"),
        ("- a\n- b\n", "must hold the resource's fields"),
        ("labels:\n  a: x\n  a: y\n", "line 3: labels.a stands here more than once"),
        ("just words", "must hold the resource's fields"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(Misused, match=said) as caught:
        described(Session, str(file), ())
    assert str(file) in str(caught.value)


def test_files_of_both_kinds_and_an_empty_one(tmp_path: Path) -> None:
    for text, content in (('{"labels": {"a": "b"}}', {"labels": {"a": "b"}}), ("user: x\n", {"user": "x"}), ("", {})):
        file = tmp_path / "x"
        file.write_text(text)
        assert described(Session, str(file), ()) == content


def test_pairs() -> None:
    assert pairs(["a=1", "b=x=y", "c="], "--label") == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(Misused, match="write --label NAME=VALUE"):
        pairs(["a"], "--label")


def test_limits_as_people_write_them() -> None:
    given = {"environmentConfig": {"executionConfig": {"ttl": "8h", "idleTtl": 90, "networkUri": "8h"}}}
    limits = {"ttl": "28800s", "idleTtl": "90s", "networkUri": "8h"}
    assert lengths(given) == {"environmentConfig": {"executionConfig": limits}}
    strange: dict[str, Any]
    for strange in ({}, {"environmentConfig": []}, {"environmentConfig": {"executionConfig": {"ttl": "soon"}}}):
        assert lengths(strange) == strange
