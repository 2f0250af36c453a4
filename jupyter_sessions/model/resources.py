"""Session, SessionTemplate, Operation and all they hold, as pydantic models (source: the v1 API).

Attributes are the fields' snake_case names, aliases the lowerCamelCase ones of the wire; both are accepted by the
constructors. What is unset:

- a string is ``""``, a list or map empty, an int64, Timestamp or Duration ``0``, an enum its ``…UNSPECIFIED``;
- a sub-message is ``None``; an empty one (``JupyterConfig()``) counts as set. Only ``Session.runtime_info`` and
  ``Operation.metadata`` are always there.

Timestamps are nanoseconds since the epoch, Durations nanoseconds of length. Models are frozen: a change is
``model_copy(update=...)``. Fields that these models do not know live in ``model_extra`` and go out again as they came,
so that a newer server's answer survives a round trip; :mod:`jupyter_sessions.model.wire` reads and writes the JSON.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from jupyter_sessions.model.names import (
    OperationName,
    SessionName,
    TemplateName,
    parse_operation,
    parse_session,
    parse_template,
)
from jupyter_sessions.model.states import State


@dataclass(frozen=True)
class Wire:
    """How an int travels in JSON: ``time``, ``duration`` or ``int64``."""

    kind: str


Timestamp = Annotated[int, Wire("time"), WithJsonSchema({"type": "string", "format": "date-time"})]
"""Nanoseconds since the epoch; 0 is unset."""
Duration = Annotated[int, Wire("duration"), WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$"})]
"""A length in nanoseconds; 0 is unset."""
Int64 = Annotated[int, Wire("int64"), WithJsonSchema({"type": "string", "format": "int64"})]
"""A signed 64-bit number, a string in JSON."""


class Kernel(enum.IntEnum):
    """The language of a session's kernels; unspecified is Python."""

    KERNEL_UNSPECIFIED = 0
    PYTHON = 1
    SCALA = 2


class Scenario(enum.IntEnum):
    """What autotuning may change; the API has no 1."""

    SCENARIO_UNSPECIFIED = 0
    SCALING = 2
    BROADCAST_HASH_JOIN = 3
    MEMORY = 4
    NONE = 5
    AUTO = 6


class AuthenticationType(enum.IntEnum):
    """As whom a session's workload acts."""

    AUTHENTICATION_TYPE_UNSPECIFIED = 0
    SERVICE_ACCOUNT = 1
    END_USER_CREDENTIALS = 2


class CohortSource(enum.IntEnum):
    """Where a cohort came from."""

    COHORT_SOURCE_UNSPECIFIED = 0
    USER_PROVIDED = 1
    AIRFLOW = 2


class OperationType(enum.IntEnum):
    """What an operation does to its session."""

    SESSION_OPERATION_TYPE_UNSPECIFIED = 0
    CREATE = 1
    TERMINATE = 2
    DELETE = 3


def _names(kind: type[enum.IntEnum]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": [member.name for member in kind]})


StateField = Annotated[State, _names(State)]
KernelField = Annotated[Kernel, _names(Kernel)]
ScenarioField = Annotated[Scenario, _names(Scenario)]
AuthenticationTypeField = Annotated[AuthenticationType, _names(AuthenticationType)]
CohortSourceField = Annotated[CohortSource, _names(CohortSource)]
OperationTypeField = Annotated[OperationType, _names(OperationType)]
OUTPUT: dict[str, Any] = {"readOnly": True}
"""``json_schema_extra`` of a field that only the service writes."""


def camel(name: str) -> str:
    """Give protobuf's JSON name of a snake_case field: each underscore goes, the letter after it is raised."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _tidy(schema: dict[str, Any]) -> None:
    """Describe the wire, not Python: no defaults (unset is left out), no null beside a message, no extra fields."""
    schema.pop("additionalProperties", None)
    for name, field in schema.get("properties", {}).items():
        field.pop("default", None)
        if "title" in field:
            field["title"] = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()
        choices = [choice for choice in field.get("anyOf", []) if choice != {"type": "null"}]
        if len(choices) == 1:
            del field["anyOf"]
            field.update(choices[0])


class Message(BaseModel):
    """Base of every message: strict, frozen, keeps unknown fields in ``model_extra``."""

    model_config = ConfigDict(
        alias_generator=camel,
        defer_build=True,
        extra="allow",
        frozen=True,
        populate_by_name=True,
        strict=True,
        json_schema_extra=_tidy,
    )


class JupyterConfig(Message):
    """A session whose kernels are Jupyter's."""

    kernel: KernelField = Kernel.KERNEL_UNSPECIFIED
    display_name: str = ""


class SparkConnectConfig(Message):
    """A session that serves Spark Connect."""


class PyPiRepositoryConfig(Message):
    """Where Python packages come from: an index URL."""

    pypi_repository: str = ""


class RepositoryConfig(Message):
    """Where packages come from."""

    pypi_repository_config: PyPiRepositoryConfig | None = None


class AutotuningConfig(Message):
    """What autotuning may change."""

    scenarios: list[ScenarioField] = Field(default_factory=list)


class RuntimeConfig(Message):
    """What the session runs on; ``properties`` keys may carry a ``component:`` prefix."""

    version: str = ""
    container_image: str = ""
    properties: dict[str, str] = Field(default_factory=dict)
    repository_config: RepositoryConfig | None = None
    autotuning_config: AutotuningConfig | None = None
    cohort: str = ""


class AuthenticationConfig(Message):
    """As whom the session acts."""

    user_workload_authentication_type: AuthenticationTypeField = AuthenticationType.AUTHENTICATION_TYPE_UNSPECIFIED


class ExecutionConfig(Message):
    """Where and how long the session runs; ``ttl`` and ``idle_ttl`` end it, whichever comes first."""

    service_account: str = ""
    network_uri: str = ""
    subnetwork_uri: str = ""
    network_tags: list[str] = Field(default_factory=list)
    kms_key: str = ""
    idle_ttl: Duration = 0
    ttl: Duration = 0
    staging_bucket: str = ""
    authentication_config: AuthenticationConfig | None = None
    resource_manager_tags: dict[str, str] = Field(default_factory=dict)


class SparkHistoryServerConfig(Message):
    """The cluster that shows Spark's history."""

    dataproc_cluster: str = ""


class PeripheralsConfig(Message):
    """Services beside the session."""

    metastore_service: str = ""
    spark_history_server_config: SparkHistoryServerConfig | None = None


class EnvironmentConfig(Message):
    """The session's surroundings."""

    execution_config: ExecutionConfig | None = None
    peripherals_config: PeripheralsConfig | None = None


class UsageMetrics(Message):
    """Totals since the session became ACTIVE."""

    milli_dcu_seconds: Int64 = 0
    shuffle_storage_gb_seconds: Int64 = 0
    milli_accelerator_seconds: Int64 = 0
    accelerator_type: str = ""
    milli_accelerator_seconds_l4: Int64 = 0
    milli_accelerator_seconds_a100_40: Int64 = 0
    milli_accelerator_seconds_a100_80: Int64 = 0
    update_time: Timestamp = 0


class UsageSnapshot(Message):
    """Usage at ``snapshot_time``."""

    milli_dcu: Int64 = 0
    shuffle_storage_gb: Int64 = 0
    milli_dcu_premium: Int64 = 0
    shuffle_storage_gb_premium: Int64 = 0
    milli_accelerator: Int64 = 0
    accelerator_type: str = ""
    milli_accelerator_l4: Int64 = 0
    milli_accelerator_a100_40: Int64 = 0
    milli_accelerator_a100_80: Int64 = 0
    snapshot_time: Timestamp = 0


class ValueInfo(Message):
    """A property that autotuning set."""

    value: str = ""
    annotation: str = ""
    overridden_value: str = ""


class PropertiesInfo(Message):
    """Properties set by others than the user."""

    autotuning_properties: dict[str, ValueInfo] = Field(default_factory=dict, json_schema_extra=OUTPUT)


class CohortInfo(Message):
    """The cohort that was used in the end."""

    cohort: str = Field("", json_schema_extra=OUTPUT)
    cohort_source: CohortSourceField = Field(CohortSource.COHORT_SOURCE_UNSPECIFIED, json_schema_extra=OUTPUT)


class RuntimeInfo(Message):
    """What is known of a session that ran; ``endpoints`` maps a label to a URI and holds no secret."""

    endpoints: dict[str, str] = Field(default_factory=dict, json_schema_extra=OUTPUT)
    output_uri: str = Field("", json_schema_extra=OUTPUT)
    diagnostic_output_uri: str = Field("", json_schema_extra=OUTPUT)
    approximate_usage: UsageMetrics | None = Field(None, json_schema_extra=OUTPUT)
    current_usage: UsageSnapshot | None = Field(None, json_schema_extra=OUTPUT)
    properties_info: PropertiesInfo | None = Field(None, json_schema_extra=OUTPUT)
    cohort_info: CohortInfo | None = Field(None, json_schema_extra=OUTPUT)


class SessionStateHistory(Message):
    """A state that was left, with its last message and its start."""

    state: StateField = Field(State.STATE_UNSPECIFIED, json_schema_extra=OUTPUT)
    state_message: str = Field("", json_schema_extra=OUTPUT)
    state_start_time: Timestamp = Field(0, json_schema_extra=OUTPUT)


class _Configured(Message):
    """What a session and a template share; the accessors read through unset messages."""

    name: str = ""
    uuid: str = Field("", json_schema_extra=OUTPUT)
    create_time: Timestamp = Field(0, json_schema_extra=OUTPUT)
    creator: str = Field("", json_schema_extra=OUTPUT)
    labels: dict[str, str] = Field(default_factory=dict)
    jupyter_session: JupyterConfig | None = None
    spark_connect_session: SparkConnectConfig | None = None
    runtime_config: RuntimeConfig | None = None
    environment_config: EnvironmentConfig | None = None

    @property
    def execution(self) -> ExecutionConfig:
        """``environmentConfig.executionConfig``, an empty one where unset."""
        environment = self.environment_config
        return (environment and environment.execution_config) or ExecutionConfig()

    @property
    def ttl(self) -> int:
        """``environmentConfig.executionConfig.ttl`` in nanoseconds, 0 where unset."""
        return self.execution.ttl

    @property
    def idle_ttl(self) -> int:
        """``environmentConfig.executionConfig.idleTtl`` in nanoseconds, 0 where unset."""
        return self.execution.idle_ttl

    @property
    def properties(self) -> dict[str, str]:
        """``runtimeConfig.properties``, empty where unset."""
        return self.runtime_config.properties if self.runtime_config else {}

    @property
    def kernel(self) -> Kernel:
        """``jupyterSession.kernel``, KERNEL_UNSPECIFIED where unset."""
        return self.jupyter_session.kernel if self.jupyter_session else Kernel.KERNEL_UNSPECIFIED


class Session(_Configured):
    """A named runtime that kernels live in. Only :mod:`jupyter_sessions.model.states` writes its state and history."""

    runtime_info: RuntimeInfo = Field(default_factory=RuntimeInfo, json_schema_extra=OUTPUT)
    state: StateField = Field(State.STATE_UNSPECIFIED, json_schema_extra=OUTPUT)
    state_message: str = Field("", json_schema_extra=OUTPUT)
    state_time: Timestamp = Field(0, json_schema_extra=OUTPUT)
    user: str = ""
    state_history: list[SessionStateHistory] = Field(default_factory=list, json_schema_extra=OUTPUT)
    session_template: str = ""

    @property
    def parsed_name(self) -> SessionName:
        """The name in parts; raises InvalidArgument."""
        return parse_session(self.name)

    def as_history(self) -> SessionStateHistory:
        """Give the current state as the entry it will be in the history."""
        return SessionStateHistory(state=self.state, state_message=self.state_message, state_start_time=self.state_time)


class SessionTemplate(_Configured):
    """A configuration that sessions are made from."""

    display_name: str = ""
    description: str = ""
    update_time: Timestamp = Field(0, json_schema_extra=OUTPUT)

    @property
    def parsed_name(self) -> TemplateName:
        """The name in parts; raises InvalidArgument."""
        return parse_template(self.name)


class RpcStatus(Message):
    """A google.rpc.Status: ``code`` is a google.rpc code, ``details`` are messages with ``@type``."""

    code: int = 0
    message: str = ""
    details: list[dict[str, Any]] = Field(default_factory=list)


class SessionOperationMetadata(Message):
    """What an operation does, to which session, since when."""

    session: str = ""
    session_uuid: str = ""
    create_time: Timestamp = 0
    done_time: Timestamp = 0
    operation_type: OperationTypeField = OperationType.SESSION_OPERATION_TYPE_UNSPECIFIED
    description: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)


class Operation(Message):
    """Work that outlives its request; done means exactly one of ``response`` and ``error``."""

    name: str = ""
    done: bool = False
    metadata: SessionOperationMetadata = Field(default_factory=SessionOperationMetadata)
    response: Session | None = None
    error: RpcStatus | None = None

    @property
    def parsed_name(self) -> OperationName:
        """The name in parts; raises InvalidArgument."""
        return parse_operation(self.name)
