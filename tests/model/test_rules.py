"""The rules of single values, told with the others of a body."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_sessions.model import wire
from jupyter_sessions.model.resources import Session, SessionTemplate, SparkConnectConfig
from tests.model.test_intake import EXECUTION, PARENT, SECOND, execution, faults


@pytest.mark.parametrize(("given_", "ns"), [("600s", 600), ("1209600s", 1_209_600), ("3600.5s", 3600.5)])
def test_limits_from_10_minutes_to_14_days(given_: str, ns: float) -> None:
    session = wire.parse(Session, execution(ttl=given_, idle_ttl=given_))
    assert session.ttl == session.idle_ttl == int(ns * SECOND)


@pytest.mark.parametrize("given_", ["0s", "599.999999999s", "1209600.000000001s", "-600s"])
def test_limits_out_of_range(given_: str) -> None:
    rule = "must be from 600s (10 minutes) to 1209600s (14 days)"
    assert faults(execution(ttl=given_, idleTtl=given_)) == {f"{EXECUTION}.ttl": rule, f"{EXECUTION}.idleTtl": rule}


@pytest.mark.parametrize("given_", ["600", "10m", 600, "", {"seconds": 600}])
def test_limits_of_another_form(given_: object) -> None:
    assert set(faults(execution(ttl=given_))) == {f"{EXECUTION}.ttl"}


@pytest.mark.parametrize("key", ["a", "a1", "a-1", "goog-dataproc-x", "a" * 63, "a--b"])
@pytest.mark.parametrize("value", ["", "0", "a-b", "9a", "a" * 63])
def test_labels(key: str, value: str) -> None:
    assert wire.parse(Session, {"labels": {key: value}}).labels == {key: value}


@pytest.mark.parametrize("key", ["", "A", "1a", "-a", "a-", "a_b", "a.b", "a" * 64, "é", "a\n"])
def test_faulty_label_keys(key: str) -> None:
    (fault,) = faults({"labels": {key: "v"}}).values()
    assert fault.startswith("the key must be 1 to 63 of a-z, 0-9 and '-', beginning with a letter")


@pytest.mark.parametrize("value", ["A", "-", "-a", "a-", "a_b", "a b", "a" * 64, "é", "a\n"])
def test_faulty_label_values(value: str) -> None:
    assert faults({"labels": {"k": value}})["labels.k"].startswith("the value must be empty or 1 to 63 of a-z, 0-9")


def test_32_labels_and_no_more() -> None:
    labels = {f"k{index}": "" for index in range(32)}
    assert len(wire.parse(Session, {"labels": labels}).labels) == 32
    rule = "holds 33 labels; at most 32 are allowed, remove some"
    assert faults({"labels": {**labels, "more": ""}}) == {"labels": rule}


def test_unions() -> None:
    both = {"jupyterSession": {}, "sparkConnectSession": {}, **execution(networkUri="n", subnetworkUri="s")}
    assert faults(both) == {
        "sparkConnectSession": "excludes jupyterSession; keep one of the two",
        f"{EXECUTION}.subnetworkUri": "excludes networkUri; keep one of the two",
    }
    session = wire.parse(
        Session, {"jupyterSession": None, "sparkConnectSession": {}, **execution(networkUri="", subnetworkUri="s")}
    )
    assert (session.jupyter_session, session.spark_connect_session) == (None, SparkConnectConfig())


@pytest.mark.parametrize("bucket", ["a-bucket", "b.example.com", "0_0"])
def test_buckets(bucket: str) -> None:
    assert wire.parse(Session, execution(stagingBucket=bucket)).execution.staging_bucket == bucket


@pytest.mark.parametrize("bucket", ["gs://bucket", "bucket/", "Bucket", "ab", "-bucket", "bucket\n"])
def test_faulty_buckets(bucket: str) -> None:
    assert "not a gs:// URI" in faults(execution(stagingBucket=bucket))[f"{EXECUTION}.stagingBucket"]


def test_tags() -> None:
    tags = {"tagKeys/123": "tagValues/456", "org/key": "value", "my-project/key": "value"}
    assert wire.parse(Session, execution(resourceManagerTags=tags)).execution.resource_manager_tags == tags
    path = f"{EXECUTION}.resourceManagerTags"
    wrong = {
        "tagKeys/1": "value",
        "tagKeys/x": "tagValues/1",
        "key": "value",
        "a/b/c": "v",
        "org/key": "",
        "o/k": "a/b",
    }
    found = faults(execution(resourceManagerTags=wrong))
    assert set(found) == {f"{path}.{key}" for key in wrong}
    many = {f"org/k{index}": "v" for index in range(31)}
    assert faults(execution(resourceManagerTags=many)) == {path: "holds 31 tags; at most 30 are allowed, remove some"}


def test_peripherals() -> None:
    path = "environmentConfig.peripheralsConfig"
    good = {
        "metastoreService": "projects/p/locations/l/services/s",
        "sparkHistoryServerConfig": {"dataprocCluster": "projects/p/regions/r/clusters/c"},
    }
    assert (
        wire.dump(wire.parse(Session, {"environmentConfig": {"peripheralsConfig": good}}))["environmentConfig"][
            "peripheralsConfig"
        ]
        == good
    )
    wire.parse(
        Session, {"environmentConfig": {"peripheralsConfig": {"metastoreService": "", "sparkHistoryServerConfig": {}}}}
    )
    bad = {
        "metastoreService": "s",
        "spark_history_server_config": {"dataprocCluster": "projects/p/locations/l/clusters/c"},
    }
    assert faults({"environmentConfig": {"peripheralsConfig": bad}}) == {
        f"{path}.metastoreService": "must be projects/{project}/locations/{location}/services/{service}",
        f"{path}.sparkHistoryServerConfig.dataprocCluster": (
            "must be projects/{project}/regions/{region}/clusters/{cluster}"
        ),
    }  # fmt: skip


def index(url: str) -> dict[str, Any]:
    """Wrap an index URL into a body."""
    return {"runtimeConfig": {"repositoryConfig": {"pypiRepositoryConfig": {"pypiRepository": url}}}}


@pytest.mark.parametrize("url", ["https://pypi.org/simple", "http://localhost:3141/root/pypi/+simple/", ""])
def test_package_indexes(url: str) -> None:
    wire.parse(Session, index(url))


@pytest.mark.parametrize(
    "url", ["pypi.org/simple", "file:///x", "https://", "https://h:x/", "https://h/a b", "http://[::1/"]
)
def test_faulty_package_indexes(url: str) -> None:
    (path,) = faults(index(url))
    assert path == "runtimeConfig.repositoryConfig.pypiRepositoryConfig.pypiRepository"


def test_names_lie_in_the_requests_parent() -> None:
    name = "projects/p/locations/l/sessions/abcd"
    assert wire.parse(Session, {"name": name}, parent=PARENT).name == name
    assert faults({"name": "projects/q/locations/l/sessions/abcd"}, parent=PARENT) == {
        "name": "must lie in projects/p/locations/l, the request's parent, or be left out"
    }
    template = {"name": "projects/q/locations/l/sessionTemplates/t"}
    # A template's id comes in its name, so it cannot be left out.
    assert faults(template, SessionTemplate, parent=PARENT) == {
        "name": "must lie in projects/p/locations/l, the request's parent"
    }
    assert "4 to 63" in faults({"name": "projects/p/locations/l/sessions/abc"})["name"]
    assert "sessions/{id}" in faults({"name": "abcd"}, parent=PARENT)["name"]
    assert "sessionTemplates/{id}" in faults({"name": name}, SessionTemplate)["name"]
    assert "1 to 63" in faults({"name": "projects/p/locations/l/sessionTemplates/T"}, SessionTemplate)["name"]


def test_a_required_name() -> None:
    assert faults({}, SessionTemplate, required=("name",)) == {"name": "is required; set it"}
    assert faults({"name": ""}, SessionTemplate, required=("name",)) == {"name": "is required; set it"}
    assert faults({"name": 3}, SessionTemplate, required=("name",)) == {"name": "must be a string, not a number"}
    assert wire.parse(SessionTemplate, {}) == SessionTemplate()


FULL = "projects/p/locations/l/sessionTemplates/t"


@pytest.mark.parametrize("text", ["t", FULL, f"https://x.test/v1/{FULL}"])
def test_templates_of_the_same_place(text: str) -> None:
    assert wire.parse(Session, {"sessionTemplate": text}, parent=PARENT).session_template == text
    assert wire.parse(Session, {"sessionTemplate": text}).session_template == text


@pytest.mark.parametrize(
    "text", ["T", "a/b", "projects/p/locations/m/sessionTemplates/t", "projects/p/locations/l/sessions/abcd"]
)
def test_templates_of_another_place(text: str) -> None:
    assert set(faults({"sessionTemplate": text}, parent=PARENT)) == {"sessionTemplate"}


def test_a_templates_display_name_has_63_characters() -> None:
    assert wire.parse(SessionTemplate, {"displayName": "é" * 63}).display_name == "é" * 63
    rule = {"displayName": "must be at most 63 characters; shorten it"}
    assert faults({"displayName": "x" * 64}, SessionTemplate) == rule
    wire.parse(Session, {"jupyterSession": {"displayName": "x" * 1000}})
