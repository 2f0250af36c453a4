"""What the process engine refuses, by name, and what it makes of what it honours."""

from __future__ import annotations

import os
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.engines.process.kernelspecs import CannotHonour, KernelChoice, check_ipykernel, interpreter
from jupyter_sessions.engines.process.wants import parse_size, read_wants
from jupyter_sessions.model.errors import InvalidArgument
from jupyter_sessions.model.hostfile import Intent, read
from jupyter_sessions.model.resources import (
    AuthenticationConfig,
    AuthenticationType,
    AutotuningConfig,
    EnvironmentConfig,
    ExecutionConfig,
    JupyterConfig,
    Kernel,
    PeripheralsConfig,
    PyPiRepositoryConfig,
    RepositoryConfig,
    RuntimeConfig,
    Scenario,
    Session,
    SessionTemplate,
    SparkConnectConfig,
)
from tests.engines.bench import end, session
from tests.engines.process_bench import PYTHON_SPEC, ProcessBench, process_bench

SCALA_SPEC: Mapping[str, Any] = {"spec": {"argv": ["almond"], "display_name": "Scala 2.13", "language": "scala"}}
PROPERTIES = "runtimeConfig.properties"
INDEX = "runtimeConfig.repositoryConfig.pypiRepositoryConfig.pypiRepository"


def faults(wanted: Session | SessionTemplate) -> dict[str, str]:
    return {fault.field: fault.description for fault in read_wants(wanted)[1]}


def with_index(url: str) -> Session:
    config = RepositoryConfig(pypi_repository_config=PyPiRepositoryConfig(pypi_repository=url))
    return Session(runtime_config=RuntimeConfig(repository_config=config))


async def check(bench: ProcessBench, **properties: str) -> dict[str, str]:
    row = session(**{key.replace("_", ":", 1): value for key, value in properties.items()})
    return {fault.field: fault.description for fault in await bench.engine.check(row)}


def test_every_field_of_no_use_here_is_refused_at_once() -> None:
    wanted = Session(
        spark_connect_session=SparkConnectConfig(),
        runtime_config=RuntimeConfig(
            version="2.2",
            container_image="image",
            cohort="c",
            autotuning_config=AutotuningConfig(scenarios=[Scenario.AUTO]),
            properties={"spark.executor.cores": "4", "local:colour": "red"},
        ),
        environment_config=EnvironmentConfig(
            execution_config=ExecutionConfig(
                service_account="a@b",
                network_uri="n",
                network_tags=["t"],
                kms_key="k",
                staging_bucket="b",
                authentication_config=AuthenticationConfig(
                    user_workload_authentication_type=AuthenticationType.SERVICE_ACCOUNT
                ),
                resource_manager_tags={"tagKeys/1": "tagValues/2"},
            ),
            peripherals_config=PeripheralsConfig(metastore_service="m"),
        ),
    )
    execution = "environmentConfig.executionConfig"
    assert set(faults(wanted)) == {
        "sparkConnectSession",
        "runtimeConfig.version",
        "runtimeConfig.containerImage",
        "runtimeConfig.cohort",
        "runtimeConfig.autotuningConfig.scenarios",
        f"{PROPERTIES}.spark.executor.cores",
        f"{PROPERTIES}.local:colour",
        f"{execution}.serviceAccount",
        f"{execution}.networkUri",
        f"{execution}.networkTags",
        f"{execution}.kmsKey",
        f"{execution}.stagingBucket",
        f"{execution}.authenticationConfig.userWorkloadAuthenticationType",
        f"{execution}.resourceManagerTags",
        "environmentConfig.peripheralsConfig.metastoreService",
    }
    assert all("remove it" in why or "instead" in why for why in faults(wanted).values())


def test_what_is_empty_asks_for_nothing_and_what_is_ours_is_taken() -> None:
    wanted = Session(
        name="projects/local/locations/local/sessions/a-session",
        labels={"a": "b"},
        user="ann",
        session_template="t",
        creator="ann",
        jupyter_session=JupyterConfig(kernel=Kernel.PYTHON, display_name="mine"),
        runtime_config=RuntimeConfig(version="", properties={"spark.x": ""}, repository_config=RepositoryConfig()),
        environment_config=EnvironmentConfig(
            execution_config=ExecutionConfig(ttl=1, idle_ttl=1, authentication_config=AuthenticationConfig()),
            peripherals_config=PeripheralsConfig(),
        ),
    )
    assert faults(wanted) == {}
    assert faults(SessionTemplate(description="d", display_name="n", runtime_config=RuntimeConfig(cohort="c"))) == {
        "runtimeConfig.cohort": "can do nothing in this location; remove it"
    }


@pytest.mark.parametrize(
    ("text", "size"),
    [("268435456", 256 << 20), ("512Mi", 512 << 20), ("2G", 2 * 10**9), ("1.5Gi", 3 << 29), ("300000K", 3 * 10**8)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "lots", "-1", "1T", "1e9", "512 MiB", "Gi", "٣Gi", "9" * 400, "9" * 400 + "Gi"])
def test_no_sizes(text: str) -> None:
    assert parse_size(text) is None


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("local:memory", "255Mi", "at least 256Mi"),
        ("local:memory", "much", "no size"),
        ("local:cwd", "relative/path", "absolute path"),
        ("local:env.1A", "x", "no name of an environment variable"),
        ("local:env.JUPYTER_SESSIONS_MARK", "x", "choose another name"),
        ("local:env.A", "x\0y", "NUL"),
        ("component:x", "y", "no property"),
    ],
)
def test_faulty_properties_are_named_with_rule_and_remedy(key: str, value: str, words: str) -> None:
    if key == "local:memory" and sys.platform != "linux":
        words = "Linux only"
    assert words in faults(session(**{key: value}))[f"{PROPERTIES}.{key}"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://user:secret@host/simple", "keyring"),
        ("https://token@host/simple", "keyring"),
        ("ftp://host/simple", "http or https"),
        ("host/simple", "http or https"),
        ("https://host:port/simple", "no URL"),
        ("https://host/simple https://evil/simple", "spaces"),
    ],
)
def test_a_faulty_index_is_refused_and_its_secret_not_repeated(url: str, words: str) -> None:
    found = faults(with_index(url))[INDEX]
    assert words in found
    assert "secret" not in found


def test_a_good_index_is_taken() -> None:
    assert faults(with_index("https://pypi.org/simple")) == {}


def test_python_and_kernelspec_exclude_each_other() -> None:
    assert f"{PROPERTIES}.local:kernelspec" in faults(session(**{"local:python": "/p", "local:kernelspec": "ir"}))


def resolve(specs: Mapping[str, Any], default: str = "python3", **changes: Any) -> dict[str, Any]:
    row = session(**changes.pop("properties", {})).model_copy(update=changes)
    return dict(KernelChoice(lambda: specs, default).resolve(read_wants(row)[0]))


SCALA = JupyterConfig(kernel=Kernel.SCALA)


def test_the_default_python_kernel_is_offered_alone() -> None:
    found = resolve({"python3": PYTHON_SPEC, "scala": SCALA_SPEC})
    assert list(found) == ["python3"]
    assert found["python3"].argv == PYTHON_SPEC["spec"]["argv"]
    assert found["python3"].metadata == {"debugger": True}
    assert list(resolve({"conda-x": PYTHON_SPEC, "scala": SCALA_SPEC})) == ["conda-x"]


def test_scala_is_an_installed_scala_kernel_or_refused_with_those_there() -> None:
    assert list(resolve({"python3": PYTHON_SPEC, "almond": SCALA_SPEC}, jupyter_session=SCALA)) == ["almond"]
    with pytest.raises(CannotHonour, match=r"the kernels here are python3 \(Python 3\)") as refused:
        resolve({"python3": PYTHON_SPEC}, jupyter_session=SCALA)
    assert refused.value.violation.field == "jupyterSession.kernel"


def test_a_kernelspec_is_named_in_any_case_or_refused() -> None:
    specs = {"python3": PYTHON_SPEC, "almond": SCALA_SPEC}
    assert list(resolve(specs, properties={"local:kernelspec": "Almond"})) == ["almond"]
    with pytest.raises(CannotHonour, match="there is no kernelspec 'julia'"):
        resolve(specs, properties={"local:kernelspec": "julia"})
    with pytest.raises(CannotHonour, match=r"SCALA|Scala"):
        resolve(specs, properties={"local:kernelspec": "python3"}, jupyter_session=SCALA)


def test_an_interpreter_becomes_the_default_kernel() -> None:
    found = resolve({"python3": PYTHON_SPEC}, properties={"local:python": sys.executable})
    assert found["python3"].argv == [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    assert found["python3"].display_name == f"Python ({Path(sys.executable).parent.parent.name})"
    assert interpreter(sys.prefix) == str(Path(sys.prefix) / "bin" / "python")


def test_an_environment_without_ipykernel_names_the_command_that_installs_it(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = interpreter(str(tmp_path / "env"))
    with pytest.raises(CannotHonour, match=f"uv pip install --python {python} ipykernel"):
        check_ipykernel(python)


def test_what_is_no_python_is_refused(tmp_path: Path) -> None:
    for asked, words in [
        (str(tmp_path), "holds no bin/python"),
        (str(tmp_path / "none"), "no program"),
        ("python3", "absolute path"),
        ("/" + "x" * 5000, "no program"),
    ]:
        with pytest.raises(CannotHonour, match=words):
            interpreter(asked)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho out of order >&2\nexit 7\n")
    broken.chmod(0o700)
    with pytest.raises(CannotHonour, match="out of order"):
        check_ipykernel(str(broken))


def test_an_interpreter_is_tried_without_the_servers_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JUPYTER_TOKEN", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "JUPYTER_GATEWAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "the-servers-own")
    monkeypatch.setenv("HTTPS_PROXY", "the-users-own")
    curious = tmp_path / "curious"
    curious.write_text("#!/bin/sh\nenv | grep -e the-servers-own -e the-users-own | tr '\\n' ' ' >&2\nexit 7\n")
    curious.chmod(0o700)
    with pytest.raises(CannotHonour, match=r"no Python that works: HTTPS_PROXY=the-users-own$"):
        check_ipykernel(str(curious))


@pytest.mark.parametrize("key", ["cwd", "python", "kernelspec", "memory", "env.A-", "nonsense"])
async def test_a_long_value_or_key_is_not_repeated_whole(tmp_path: Path, key: str) -> None:
    long = "/" + "x" * 100_000
    async with process_bench(tmp_path) as bench:
        for name, value in ((f"local:{key}", long), (f"local:{key}{long}", "x")):
            faults_here = await bench.engine.check(Session(runtime_config=RuntimeConfig(properties={name: value})))
            assert len(faults_here) == 1
            assert len(faults_here[0].field) + len(faults_here[0].description) < 1000


async def test_check_joins_what_the_request_and_what_the_machine_say(tmp_path: Path) -> None:
    async with process_bench(tmp_path) as bench:
        found = await check(bench, local_cwd=str(tmp_path / "none"), local_kernelspec="julia", local_memory="1")
        assert set(found) == {f"{PROPERTIES}.local:{name}" for name in ("cwd", "kernelspec", "memory")}
        assert await check(bench, local_cwd=str(tmp_path), local_python=sys.executable) == {}


async def test_what_is_honoured_reaches_the_intent(tmp_path: Path) -> None:
    async with process_bench(tmp_path) as bench:
        job = bench.job(local_cwd=str(tmp_path), **{"local_env.COLOUR": "red"})
        await bench.engine.start(job, 1)
        intent = read(job.directory, Intent)
        await end(bench.engine, job)
        assert intent is not None
        assert (intent.cwd, intent.cwd_fixed, intent.kernel_env) == (str(tmp_path), True, {"COLOUR": "red"})
        assert (intent.ttl, intent.idle_ttl, intent.memory) == (14 * 86_400.0, 86_400.0, 0)
        assert os.stat(job.directory / "intent.json").st_mode & 0o777 == 0o600


async def test_a_start_of_what_cannot_be_honoured_any_more_names_it(tmp_path: Path) -> None:
    async with process_bench(tmp_path) as bench:
        with pytest.raises(InvalidArgument, match="there is no kernelspec 'gone'"):
            await bench.engine.start(bench.job(local_kernelspec="gone"), 1)
