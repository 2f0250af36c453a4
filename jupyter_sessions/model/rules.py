"""What the values of a Session or SessionTemplate may be, beyond their JSON types (source: the v1 API)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from jupyter_sessions.model.errors import FieldViolation, InvalidArgument
from jupyter_sessions.model.names import LocationName, parse_session, parse_template
from jupyter_sessions.model.resources import ExecutionConfig, Message, PeripheralsConfig, Session, SessionTemplate
from jupyter_sessions.model.times import SECOND

MAX_LABELS = 32
MAX_TAGS = 30
MAX_DISPLAY_NAME = 63
MIN_LIMIT = 600 * SECOND
MAX_LIMIT = 1_209_600 * SECOND
_SHOWN = 100
_LABEL_KEY = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_TAG_KEY_ID = re.compile(r"tagKeys/[0-9]+")
_TAG_VALUE_ID = re.compile(r"tagValues/[0-9]+")
_TAG_KEY = re.compile(r"[^/\s]+/[^/\s]+")
_TAG_VALUE = re.compile(r"[^/\s]+")
_METASTORE = re.compile(r"projects/[^/\s]+/locations/[^/\s]+/services/[^/\s]+")
_CLUSTER = re.compile(r"projects/[^/\s]+/regions/[^/\s]+/clusters/[^/\s]+")
_EXECUTION = "environmentConfig.executionConfig"
_PERIPHERALS = "environmentConfig.peripheralsConfig"
_INDEX = "runtimeConfig.repositoryConfig.pypiRepositoryConfig.pypiRepository"

Faults = Iterator[FieldViolation]


def check(model: Message, parent: LocationName | None = None) -> list[FieldViolation]:
    """Give every value that breaks a rule, each with its path; ``parent`` is where its names must lie."""
    if not isinstance(model, Session | SessionTemplate):
        return []
    found = [*_names(model, parent), *check_labels(model.labels), *_unions(model)]
    found += _execution(model.execution)
    if model.environment_config and model.environment_config.peripherals_config:
        found += _peripherals(model.environment_config.peripherals_config)
    found += _repository(model)
    if isinstance(model, SessionTemplate) and len(model.display_name) > MAX_DISPLAY_NAME:
        found.append(FieldViolation("displayName", f"must be at most {MAX_DISPLAY_NAME} characters; shorten it"))
    return found


def join(path: str, key: str) -> str:
    """Give the path of a field or key below ``path``, for reading: long keys cut, unprintable ones escaped."""
    shown = key if key.isprintable() else ascii(key)[1:-1]
    shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
    return f"{path}.{shown}" if path else shown


def check_limit(ns: int) -> None:
    """Raise ValueError for a ttl or idleTtl in nanoseconds that is outside 600 s to 14 days."""
    if not MIN_LIMIT <= ns <= MAX_LIMIT:
        raise ValueError("must be from 600s (10 minutes) to 1209600s (14 days)")


def check_labels(labels: dict[str, str], path: str = "labels") -> Faults:
    """Give the faults of a label map: count, keys, values."""
    if len(labels) > MAX_LABELS:
        yield FieldViolation(path, f"holds {len(labels)} labels; at most {MAX_LABELS} are allowed, remove some")
    for key, value in labels.items():
        where = join(path, key)
        if _LABEL_KEY.fullmatch(key) is None:
            rule = "1 to 63 of a-z, 0-9 and '-', beginning with a letter and ending with a letter or digit"
            yield FieldViolation(where, f"the key must be {rule}")
        if _LABEL_VALUE.fullmatch(value) is None:
            rule = "empty or 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit"
            yield FieldViolation(where, f"the value must be {rule}")


def _names(model: Session | SessionTemplate, parent: LocationName | None) -> Faults:
    if model.name:
        try:
            parse = parse_session if isinstance(model, Session) else parse_template
            name = parse(model.name)
            if parent is not None and name.parent != parent:
                left_out = ", or be left out" if isinstance(model, Session) else ""
                yield FieldViolation("name", f"must lie in {parent}, the request's parent{left_out}")
        except InvalidArgument as error:
            yield from error.violations
    if isinstance(model, Session) and model.session_template:
        try:
            # Without a parent only the form can be judged.
            parse_template(model.session_template, "sessionTemplate", parent or _any_parent(model.session_template))
        except InvalidArgument as error:
            yield from error.violations


def _any_parent(template: str) -> LocationName | None:
    return None if "/" in template else LocationName("project", "location")


def _unions(model: Session | SessionTemplate) -> Faults:
    if model.jupyter_session is not None and model.spark_connect_session is not None:
        yield FieldViolation("sparkConnectSession", "excludes jupyterSession; keep one of the two")
    if model.execution.network_uri and model.execution.subnetwork_uri:
        yield FieldViolation(f"{_EXECUTION}.subnetworkUri", "excludes networkUri; keep one of the two")


def _execution(execution: ExecutionConfig) -> Faults:
    bucket = execution.staging_bucket
    if bucket and _BUCKET.fullmatch(bucket) is None:
        rule = "a bucket's name (3 to 222 of a-z, 0-9, '-', '_' and '.'), not a gs:// URI"
        yield FieldViolation(f"{_EXECUTION}.stagingBucket", f"must be {rule}")
    tags = execution.resource_manager_tags
    path = f"{_EXECUTION}.resourceManagerTags"
    if len(tags) > MAX_TAGS:
        yield FieldViolation(path, f"holds {len(tags)} tags; at most {MAX_TAGS} are allowed, remove some")
    for key, value in tags.items():
        if _TAG_KEY_ID.fullmatch(key):
            if _TAG_VALUE_ID.fullmatch(value) is None:
                yield FieldViolation(join(path, key), "the value of a tagKeys/{id} must be tagValues/{id}")
        elif key.startswith("tagKeys/") or _TAG_KEY.fullmatch(key) is None:
            yield FieldViolation(join(path, key), "the key must be tagKeys/{id} or {organization or project}/{key}")
        elif _TAG_VALUE.fullmatch(value) is None:
            yield FieldViolation(join(path, key), "the value must be the tag value's short name, without '/'")


def _peripherals(peripherals: PeripheralsConfig) -> Faults:
    if peripherals.metastore_service and _METASTORE.fullmatch(peripherals.metastore_service) is None:
        rule = "projects/{project}/locations/{location}/services/{service}"
        yield FieldViolation(f"{_PERIPHERALS}.metastoreService", f"must be {rule}")
    history = peripherals.spark_history_server_config
    if history and history.dataproc_cluster and _CLUSTER.fullmatch(history.dataproc_cluster) is None:
        rule = "projects/{project}/regions/{region}/clusters/{cluster}"
        yield FieldViolation(f"{_PERIPHERALS}.sparkHistoryServerConfig.dataprocCluster", f"must be {rule}")


def _repository(model: Session | SessionTemplate) -> Faults:
    repository = model.runtime_config and model.runtime_config.repository_config
    pypi = repository and repository.pypi_repository_config
    if not pypi or not pypi.pypi_repository:
        return
    try:
        parts = urlsplit(pypi.pypi_repository)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or re.search(r"\s", pypi.pypi_repository):
        yield FieldViolation(_INDEX, "must be the http:// or https:// URL of a package index")
