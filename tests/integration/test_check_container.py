# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_container on a real Docker Engine, with containers of one static program each."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
import typing as t
import urllib.parse
from pathlib import Path

import pytest
import yaml

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_container, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests import nvml_stub
from tests.container_lines import await_lines
from tests.module_examples import examples_of
from tests.servers import UNPRIVILEGED_UID, Answer, Docker, HttpServer, await_true

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
serves = pytest.mark.serves
CANARY = "canary-71c0-container"
HEALTHY = {"Test": ["CMD", "/program", "exit", "0"], "Interval": 500_000_000}
UNHEALTHY = {"Test": ["CMD", "/program", "exit", "1"], "Interval": 200_000_000, "Retries": 1}
ROTATED = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
HELD = {
    "LogConfig": ROTATED,
    "Memory": 32 * 2**20,
    "NanoCpus": 500_000_000,
    "PidsLimit": 20,
    "RestartPolicy": {"Name": "unless-stopped"},
    "SecurityOpt": ["no-new-privileges"],
    "CapDrop": ["ALL"],
    "ReadonlyRootfs": True,
}
SECURITY = ["run_as_non_root", "not_privileged", "no_escalation", "read_only_root", "drop_all", "no_engine_socket"]
GPU = "GPU-00000000-0000-0000-0000-000000000000"
#: What nvidia-smi does, over the stub's library, linked into it.
NVIDIA_SMI = r"""
#include <stdio.h>
int nvmlInit_v2(void), nvmlDeviceGetCount_v2(unsigned *), nvmlDeviceGetHandleByIndex_v2(unsigned, void **);
int nvmlDeviceGetUUID(void *, char *, unsigned), nvmlSystemGetDriverVersion(char *, unsigned);
int main(void) {
    unsigned count;
    char uuid[96], driver[80];
    void *gpu;
    if (nvmlInit_v2() || nvmlDeviceGetCount_v2(&count) || nvmlSystemGetDriverVersion(driver, sizeof driver)) return 9;
    for (unsigned index = 0; index < count; index++) {
        if (nvmlDeviceGetHandleByIndex_v2(index, &gpu) || nvmlDeviceGetUUID(gpu, uuid, sizeof uuid)) return 15;
        printf("%s, %s\n", uuid, driver);
    }
    return 0;
}
"""


def finding(
    url: str, timeout: float = 20.0, shared: Shared | None = None, check_mode: bool = False, **params: t.Any
) -> dict[str, t.Any]:
    checked = validated(
        check_container.ARGUMENT_SPEC, {"url": url, **params}, where="check_container", **check_container.CONSTRAINTS
    )
    run = Run(timeout_seconds=timeout, shared=shared, check_mode=check_mode)
    found = judged(registry.load("check_container"), checked, run)
    json.dumps(found)
    assert "raised" not in found["evidence"], found
    if shared is None:
        run.close()
    return found


def labels(project: str, service: str, **more: str) -> dict[str, str]:
    """What Compose writes on a container."""
    told = {"project": project, "service": service, "oneoff": "False", **more}
    return {f"com.docker.compose.{name}": value for name, value in told.items()}


@pytest.fixture(scope="session")
def image(docker: Docker) -> str:
    return docker.image("archive")


class Started:
    """Containers of one test."""

    def __init__(self, docker: Docker, image: str) -> None:
        self.docker, self.image, self.names = docker, image, list[str]()

    def __call__(self, name: str, host: t.Mapping[str, t.Any] | None = None, **config: t.Any) -> str:
        self.names.append(name)
        self.docker.run(name, config.pop("image", self.image), host or {}, **config)
        return name


@pytest.fixture
def started(docker: Docker, image: str) -> t.Iterator[Started]:
    made = Started(docker, image)
    yield made
    docker.remove(*made.names)


@pytest.fixture(scope="module")
def archive(docker: Docker, image: str) -> t.Iterator[str]:
    """A Compose project as it should be."""
    names = ["archive-backend-1", "archive-worker-1"]
    for name in names:
        service = name.split("-")[1]
        config = {"User": "1000", "Healthcheck": HEALTHY, "Labels": labels("archive", service), "Env": [f"S={CANARY}"]}
        docker.run(name, image, HELD, **config)
    docker.await_healthy(*names)
    yield "archive"
    docker.remove(*names)


def held(found: dict[str, t.Any], status: str, said: str = "") -> None:
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


@serves("S1.72", case="pass")
def test_a_project_whose_services_are_all_up_passes_with_each_state_as_evidence(
    docker: Docker, image: str, archive: str
) -> None:
    found = finding(docker.url, project=archive, services=["backend", "worker"], images={"backend": image})
    held(found, "pass", "All hold: project archive 2 of 2 there")
    assert found["evidence"]["absent"] == found["evidence"]["others"] == []
    backend, worker = found["evidence"]["containers"]
    assert (backend["name"], backend["expected_as"], worker["expected_as"]) == (
        "archive-backend-1",
        "backend",
        "worker",
    )
    for told in (backend, worker):
        assert (told["state"], told["health"], told["restarts"]) == ("running", "healthy", 0)
        assert (told["image"], told["image_id"], told["repo_digests"]) == (image, image, [])
        assert told["started_at"] == docker.inspect(told["name"])["State"]["StartedAt"]


@serves("S1.72", case="fail")
@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"services": ["backend", "worker", "cache"]}, "Project archive has no cache: 2 of 3 are there"),
        ({"images": {"worker": f"sha256:{'0' * 64}"}}, f"expected sha256:{'0' * 64}"),
        ({"services": ["worker"], "unexpected": "fail"}, "has archive-backend-1 (running) beside the services"),
        ({"state": "completed"}, "worker-1 state is running, expected exited (exit code 0)"),
    ],
    ids=["absent", "image", "unexpected", "not completed"],
)
def test_a_set_that_is_not_as_expected_fails(docker: Docker, archive: str, params: dict[str, t.Any], said: str) -> None:
    held(finding(docker.url, **{"project": archive, "services": ["backend", "worker"], **params}), "fail", said)


@serves("S1.72", case="fail")
@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"Cmd": ["/program", "exit", "3"], "Healthcheck": HEALTHY}, "state is exited (exit code 3), expected running"),
        ({"Healthcheck": UNHEALTHY}, "health is unhealthy, expected healthy"),
        ({}, "health is not asked: there is no health check, expected healthy"),
    ],
    ids=["exited", "unhealthy", "no health check"],
)
def test_a_service_that_does_not_live_fails(
    docker: Docker, started: Started, config: dict[str, t.Any], said: str
) -> None:
    name = started("broken-web-1", Labels=labels("broken", "web"), **config)
    if "Cmd" in config:
        docker.await_state(name, lambda state: state["Status"] == "exited")
    elif config:
        docker.await_state(name, lambda state: state["Health"]["Status"] == "unhealthy")
    held(finding(docker.url, project="broken", services=["web"]), "fail", said)


@serves("S1.72", case="fail")
def test_a_service_that_docker_had_to_start_again_fails(docker: Docker, started: Started) -> None:
    name = started("restarted-web-1", {"RestartPolicy": {"Name": "always"}}, Labels=labels("restarted", "web"))
    before = docker.inspect(name)["State"]["Pid"]
    os.kill(before, signal.SIGKILL)
    docker.await_state(name, lambda state: state["Running"] and state["Pid"] not in (0, before))
    params = {"project": "restarted", "services": ["web"], "healthcheck": "optional"}
    held(finding(docker.url, **params), "fail", "restarted-web-1 restarts is 1, expected at most 0")
    held(finding(docker.url, **params, max_restarts=1), "pass")


@serves("S1.72", case="fail")
def test_a_service_has_as_many_replicas_as_it_must_have(docker: Docker, started: Started) -> None:
    for number in (1, 2, 3):
        started(f"scaled-worker-{number}", Cmd=["/program", "stay"], Labels=labels("scaled", "worker"))
    started("scaled-web-1", Cmd=["/program", "stay"], Labels=labels("scaled", "web"))
    params = {"project": "scaled", "services": ["web", "worker"], "healthcheck": "optional"}
    good = finding(docker.url, **params, replicas={"worker": 3, "web": 1})
    held(good, "pass")
    assert good["measured"]["service worker replicas"] == "3 running"
    found = finding(docker.url, **params, replicas={"worker": "2"})
    held(found, "warn", "Service worker replicas is 3 running, expected 2 running")
    docker.asked("POST", "/containers/scaled-worker-3/stop")
    held(finding(docker.url, **params, replicas={"worker": 3}), "fail", "worker replicas is 2 running, expected 3")
    for name in ("scaled-worker-3", "scaled-worker-2"):
        docker.remove(name)
        started.names.remove(name)
    held(finding(docker.url, **params, replicas={"worker": 3}), "fail", "worker replicas is 1 running, expected 3")
    held(finding(docker.url, **params), "pass")


def test_replicas_of_a_task_are_those_that_are_there(docker: Docker, started: Started) -> None:
    for number in (1, 2):
        started(f"halved-load-{number}", Cmd=["/program", "exit", "0"], Labels=labels("halved", "load"))
        docker.await_state(f"halved-load-{number}", lambda state: state["Status"] == "exited")
    params = {"project": "halved", "services": ["load"], "state": "completed"}
    held(finding(docker.url, **params, replicas={"load": 2}), "pass")
    held(finding(docker.url, **params, replicas={"load": 3}), "fail", "load replicas is 2 there, expected 3 there")


def test_what_is_beside_the_services_is_told_and_a_one_off_task_only_while_it_runs(
    docker: Docker, started: Started
) -> None:
    for name, service, more, command in (
        ("beside-web-1", "web", {}, "stay"),
        ("beside-old-1", "old", {}, "stay"),
        ("beside-web-run-1", "web", {"oneoff": "True"}, "stay"),
        ("beside-web-run-2", "web", {"oneoff": "True"}, "exit"),
    ):
        started(name, Cmd=["/program", command], Labels=labels("beside", service, **more))
    docker.await_state("beside-web-run-2", lambda state: state["Status"] == "exited")
    wanted = {"project": "beside", "services": ["web"], "healthcheck": "optional"}
    found = finding(docker.url, **wanted)
    held(found, "warn", "Project beside has beside-old-1 (running), beside-web-run-1 (running) beside the services")
    assert [each["name"] for each in found["evidence"]["containers"]] == ["beside-web-1"]
    held(finding(docker.url, **wanted, unexpected="any"), "pass")


def test_a_task_that_ended_well_is_completed_and_containers_are_found_by_name(docker: Docker, started: Started) -> None:
    for name, code in (("migrated", "0"), ("migrated-not", "4")):
        started(name, Cmd=["/program", "exit", code], Healthcheck=HEALTHY)
        docker.await_state(name, lambda state: state["Status"] == "exited")
    held(finding(docker.url, containers=["migrated", "migrated"], state="completed"), "pass")
    held(finding(docker.url, containers=["migrated-not"], state="completed"), "fail", "is exited (exit code 4)")
    held(finding(docker.url, containers=["migrate"], state="completed"), "fail", "Containers has no migrate: 0 of 1")


#: Ends with exit code 137 after the kernel killed it for want of memory; or its child, whose end it takes no notice of, until it is stopped.
HUNGRY = r"""
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
void stopped(int number) { _exit(0); }
int main(int count, char **words) {
    if (count > 1) signal(SIGTERM, stopped);
    if (count > 1 && fork()) { wait(NULL); for (;;) pause(); }
    for (;;) memset(malloc(1 << 20), 1, 1 << 20);
}
"""


class Shop:
    """A Compose project of a service that stays and a task that was run once."""

    def __init__(self, docker: Docker, started: Started) -> None:
        self.docker, self.started = docker, started
        self.service("web", Healthcheck=HEALTHY)
        docker.await_healthy("shop-web-1")

    def service(self, service: str, host: dict[str, t.Any] | None = None, name: str = "", **config: t.Any) -> str:
        return self.started(name or f"shop-{service}-1", host, Labels=labels("shop", service), **config)

    def task(self, *words: str, name: str = "shop-migrate-1", **more: t.Any) -> None:
        """Run to its end."""
        self.service("migrate", name=name, Cmd=["/program", *(words or ("exit", "0"))], **more)
        self.docker.await_state(name, lambda state: state["Status"] == "exited")

    def hears_of_oom(self, name: str) -> bool:
        wanted = urllib.parse.quote(json.dumps({"event": ["oom"], "container": [name]}))
        return bool(self.docker.asked("GET", f"/events?since=0&until={time.time():.3f}&filters={wanted}"))

    def judged(self, **params: t.Any) -> dict[str, t.Any]:
        wanted = {"project": "shop", "services": ["web"], "completed": ["migrate"], "unexpected": "fail", **params}
        return finding(self.docker.url, **wanted)


@pytest.fixture
def shop(docker: Docker, started: Started) -> Shop:
    return Shop(docker, started)


def test_a_task_of_a_project_that_ended_well_is_expected_and_a_service_beside_it_runs(shop: Shop) -> None:
    shop.task("exit", "0", host={"RestartPolicy": {"Name": "on-failure"}})
    found = shop.judged(restart_policies=["never"], completed_since="1h")
    held(found, "pass")
    assert found["measured"]["project shop"] == "2 of 2 there"
    told = {each["name"]: each for each in found["evidence"]["containers"]}
    ended = shop.docker.inspect("shop-migrate-1")["State"]["FinishedAt"]
    assert told["shop-migrate-1"]["finished_at"] == ended
    assert found["measured"]["container shop-migrate-1 state"].startswith(f"exited (exit code 0) at {ended[:19]}")
    assert "container shop-migrate-1 restart policy" not in found["measured"]
    held(shop.judged(completed=None), "fail", "has shop-migrate-1 (exited) beside the services")
    held(shop.judged(services=["web", "migrate"], completed=None), "fail", "state is exited (exit code 0), expected r")


@pytest.mark.parametrize(
    ("words", "state", "said"),
    [
        (["exit", "4"], "exited", "migrate-1 state is exited (exit code 4) at 20"),
        (["stay"], "running", "migrate-1 state is running, expected exited (exit code 0)"),
    ],
    ids=["another code", "still runs"],
)
def test_a_task_that_has_not_ended_well_fails(shop: Shop, words: list[str], state: str, said: str) -> None:
    shop.service("migrate", Cmd=["/program", *words])
    shop.docker.await_state("shop-migrate-1", lambda told: told["Status"] == state)
    held(shop.judged(), "fail", said)


def test_a_task_that_was_made_and_never_started_fails(shop: Shop) -> None:
    shop.started.names.append("shop-migrate-1")
    shop.docker.create("shop-migrate-1", shop.started.image, Labels=labels("shop", "migrate"))
    held(shop.judged(), "fail", "migrate-1 state is created, expected exited (exit code 0)")


def test_a_task_without_a_container_fails_and_what_compose_ran_once_is_named_and_does_not_count(shop: Shop) -> None:
    found = shop.judged()
    held(found, "fail", "has no migrate: 1 of 2 are there, and whether migrate ever ran, and how it ended, cannot be")
    assert "without --rm" in found["remedy"]
    shop.started("shop-migrate-run-1", Cmd=["/program", "exit"], Labels=labels("shop", "migrate", oneoff="True"))
    shop.docker.await_state("shop-migrate-run-1", lambda state: state["Status"] == "exited")
    found = shop.judged()
    held(found, "fail", "(shop-migrate-run-1 is of docker compose run, maybe with another command)")
    assert [each["name"] for each in found["evidence"]["one_offs"]] == ["shop-migrate-run-1"]


def test_each_container_of_a_task_must_have_ended_well(shop: Shop) -> None:
    shop.task()
    shop.task("exit", "3", name="shop-migrate-2")
    found = shop.judged()
    held(found, "fail", "shop-migrate-2 state is exited (exit code 3)")
    assert found["measured"]["container shop-migrate-1 state"].startswith("exited (exit code 0)")


def test_a_task_that_docker_ran_again_is_held_to_the_restarts(shop: Shop) -> None:
    again = {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}
    shop.service("migrate", again, Cmd=["/program", "exit", "5"])
    shop.docker.await_state("shop-migrate-1", lambda state: state["Status"] == "exited")
    held(shop.judged(), "fail", "migrate-1 restarts is 2, expected at most 0")
    found = shop.judged(max_restarts=2)
    held(found, "fail", "migrate-1 state is exited (exit code 5)")
    assert "restarts is" not in found["summary"]


def test_a_task_that_ended_before_the_deploy_began_fails_until_it_is_run_again(shop: Shop) -> None:
    shop.task()
    began = shop.docker.inspect("shop-web-1")["State"]["StartedAt"]
    held(shop.judged(completed_since=began[:23] + "Z"), "pass")
    later = f"@{time.time():.6f}"
    found = shop.judged(completed_since=later)
    held(found, "fail", "ontainer shop-migrate-1 end is 20")
    assert "expected not before 20" in found["summary"]
    shop.docker.asked("POST", "/containers/shop-migrate-1/start")
    shop.docker.await_state("shop-migrate-1", lambda state: state["Status"] == "exited")
    held(shop.judged(completed_since=later), "pass")


@pytest.fixture(scope="module")
def hungry_image(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> str:
    program = tmp_path_factory.mktemp("hungry") / "hungry"
    docker.compile(HUNGRY, program)
    return docker.image("hungry", {"hungry": program})


LITTLE_MEMORY = {"Memory": 8 * 2**20, "MemorySwap": 8 * 2**20}


def test_a_task_that_the_kernel_killed_for_want_of_memory_fails(shop: Shop, hungry_image: str) -> None:
    shop.service("migrate", LITTLE_MEMORY, image=hungry_image, Cmd=["/hungry"])
    shop.docker.await_state("shop-migrate-1", lambda state: state["Status"] == "exited")
    # The engine does not always hear why a container's first process died; then nobody can tell.
    is_told = shop.docker.inspect("shop-migrate-1")["State"]["OOMKilled"]
    found = shop.judged()
    held(found, "fail", f"migrate-1 state is exited (exit code 137{', out of memory' if is_told else ''}) at 20")
    assert ("raise mem_limit" in found["remedy"]) is is_told


def test_a_task_that_went_on_after_the_kernel_killed_a_part_of_it_is_a_warning(shop: Shop, hungry_image: str) -> None:
    shop.service("migrate", LITTLE_MEMORY, image=hungry_image, Cmd=["/hungry", "child"])
    await_true(lambda: shop.hears_of_oom("shop-migrate-1"), seconds=60, what="that the engine hears of it")
    shop.docker.asked("POST", "/containers/shop-migrate-1/stop")
    shop.docker.await_state("shop-migrate-1", lambda state: state["Status"] == "exited")
    found = shop.judged()
    # Nor does it always tell what it has heard; a unit test judges each answer.
    is_told = shop.docker.inspect("shop-migrate-1")["State"]["OOMKilled"]
    if is_told:
        held(found, "warn", "migrate-1 state is exited (exit code 0, out of memory) at 20")
        assert "raise mem_limit" in found["remedy"]
    else:
        held(found, "pass")


def test_a_program_is_run_inside_services_and_inside_a_task_only_by_its_name(shop: Shop) -> None:
    shop.task()
    probe: dict[str, t.Any] = {"argv": ["/program", "print", "x"]}
    found = shop.judged(exec=[probe])
    held(found, "pass")
    assert [ran["program"] for ran in found["evidence"]["exec"]] == ["container shop-web-1 exec program"]
    found = shop.judged(exec=[{**probe, "only": ["migrate"], "throw_away": True}])
    held(found, "pass")
    assert [ran["program"] for ran in found["evidence"]["exec"]] == ["container shop-migrate-1 exec program"]
    held(shop.judged(exec=[{**probe, "only": ["migrate"]}]), "unknown", "a container that runs, and migrate must have")


def test_tasks_are_found_by_their_containers_names_too(shop: Shop) -> None:
    shop.task()
    params = {"containers": ["shop-web-1"], "completed": ["shop-migrate-1"]}
    held(finding(shop.docker.url, **params, images={"shop-migrate-1": shop.started.image}), "pass")
    params["completed"] = ["shop-migrate-2"]
    held(finding(shop.docker.url, **params), "fail", "Containers has no shop-migrate-2: 1 of 2 are there, and whether")


@serves("S0.20", case="pass")
@pytest.mark.parametrize(
    ("log", "params", "measured"),
    [
        (ROTATED, {"max_log_size": "30MB"}, "json-file, 10m in each of 3 files"),
        ({"Type": "local"}, {"max_log_size": "100MB"}, "local, 20m in each of 5 files"),
        ({"Type": "fluentd", "Config": {"fluentd-async": "true"}}, {}, "fluentd: handed on"),
    ],
    ids=["json-file", "local", "fluentd"],
)
def test_a_bounded_log_passes_by_what_the_running_container_has(
    docker: Docker, started: Started, log: dict[str, t.Any], params: dict[str, t.Any], measured: str
) -> None:
    name = started("rotated", {"LogConfig": log})
    found = finding(docker.url, containers=[name], healthcheck="optional", log_rotation="required", **params)
    held(found, "pass")
    assert found["measured"]["container rotated log rotation"] == measured
    told = found["evidence"]["containers"][0]
    assert told["log_driver"] == log["Type"]
    shown = {key: value for key, value in log.get("Config", {}).items() if key.startswith("max-")}
    assert told["log_options"] == shown


@serves("S0.20", case="fail")
@pytest.mark.parametrize(
    ("log", "params", "status", "said"),
    [
        ({"Type": "json-file"}, {}, "fail", "is json-file without max-size: it grows until the disk is full"),
        (ROTATED, {"max_log_size": "29MB"}, "fail", "log size is 30.0 MB (28.6 MiB), expected at most 29.0 MB"),
        (
            {"Type": "json-file", "Config": {"max-size": "1m"}},
            {},
            "warn",
            "1m in one file: when it is full all is lost",
        ),
        ({"Type": "none"}, {}, "warn", "none: nothing is kept"),
    ],
    ids=["unbounded", "too large", "one file", "none"],
)
def test_a_log_that_is_not_bounded_does_not_pass(
    docker: Docker, started: Started, log: dict[str, t.Any], params: dict[str, t.Any], status: str, said: str
) -> None:
    name = started("growing", {"LogConfig": log})
    found = finding(docker.url, containers=[name], healthcheck="optional", log_rotation="required", **params)
    held(found, status, said)
    held(finding(docker.url, containers=[name], healthcheck="optional"), "pass")


def runner_item(identity: str) -> dict[str, t.Any]:
    """An item of the pipeline runner's checklist, as its user wrote it."""
    items = yaml.safe_load((EXAMPLES / "pipeline_runner" / "checklist.yml").read_text(encoding="utf-8"))
    (item,) = [item for item in items["golive_checklist"] if item["id"] == identity]
    return t.cast("dict[str, t.Any]", item)


@serves("S0.20", case="pass")
def test_the_pipeline_runners_own_item_judges_its_container_where_there_is_one(
    docker: Docker, started: Started
) -> None:
    name, growing = (
        started("runner-1", {"LogConfig": ROTATED}),
        started("runner-2", {"LogConfig": {"Type": "json-file"}}),
    )
    asked = {**runner_item("container-logs")["check_container"], "url": docker.url}
    held(finding(**{**asked, "containers": [name]}), "pass")
    held(finding(**{**asked, "containers": [name, growing]}), "fail", "runner-2 log rotation is json-file without")


def environment_and_log(
    docker: Docker, started: Started, folder: Path, *, environment: str, lines: list[str]
) -> tuple[dict[str, t.Any], ...]:
    """What a container runs with beside its env file, and what it has logged; the file says production, and JSON."""
    name = started(
        "runner", {"LogConfig": ROTATED}, Env=[f"ENVIRONMENT={environment}"], Cmd=["/program", "say", *lines]
    )
    await_lines(docker, name, len(lines))
    env_file = folder / "runner.env"
    env_file.write_text("ENVIRONMENT=production\nLOG_JSON=true\n")
    env_file.chmod(0o600)
    os.utime(env_file, (0, 0))
    production, as_json = (runner_item(item)["check_env"]["rules"] for item in ("env-production", "log-json"))
    items = [
        ("check_env", {"file": str(env_file), "container": {"url": docker.url, "name": name}, "rules": production}),
        ("check_env", {"file": str(env_file), "rules": as_json}),
        ("check_logs", {**runner_item("log-lines")["check_logs"], "sources": [{"container": name, "url": docker.url}]}),
    ]
    listed = [{"id": check, "check": check, "params": params, "timeout": 30.0} for check, params in items]
    return tuple(judge_all(listed, [], timeout_seconds=60, scrub=Scrubber([])))


@serves("S0.1", "S0.12", case="pass")
def test_a_container_runs_as_its_file_says_and_logs_json(docker: Docker, started: Started, tmp_path: Path) -> None:
    lines = [json.dumps({"level": "info", "message": f"request {number}"}) for number in range(100)]
    running, setting, logged = environment_and_log(docker, started, tmp_path, environment="production", lines=lines)
    assert [found["status"] for found in (running, setting, logged)] == ["pass"] * 3, (running, setting, logged)
    assert (running["measured"]["ENVIRONMENT"], setting["measured"]["LOG_JSON"]) == ("production", "true")
    assert running["evidence"]["containers"] == ["runner (running)"]
    assert logged["measured"]["share of lines that are JSON"] == 1.0
    assert logged["evidence"]["sources"][0]["lines"] == 100


@serves("S0.1", "S0.12", case="fail")
def test_a_container_that_runs_with_another_value_and_logs_text_fails_though_its_file_is_right(
    docker: Docker, started: Started, tmp_path: Path
) -> None:
    lines = [json.dumps({"level": "info"}), "printed by hand"] * 50
    running, setting, logged = environment_and_log(docker, started, tmp_path, environment="staging", lines=lines)
    held(running, "fail", "one value in the file and another one in the container")
    assert setting["status"] == "pass"
    held(logged, "fail", "hare of lines that are JSON is 0.5, expected at least 0.99")


HELD_OPTIONS: dict[str, t.Any] = {
    "limits": ["memory", "cpu", "pids"],
    "restart_policies": ["always", "unless-stopped"],
    "security": SECURITY,
}


def test_a_container_that_is_held_in_bounds_passes(docker: Docker, archive: str) -> None:
    names = ["archive-backend-1", "archive-worker-1"]
    found = finding(docker.url, containers=names, **HELD_OPTIONS)
    held(found, "pass")
    assert found["measured"]["container archive-worker-1 memory limit"] == "33.6 MB (32.0 MiB)"
    assert found["measured"]["container archive-worker-1 cpu limit"] == "0.5 processors"


def test_a_container_that_is_not_fails_in_each_way(docker: Docker, started: Started) -> None:
    host = {"Privileged": True, "Binds": [f"{docker.socket_path}:/var/run/docker.sock"]}
    started.names.append("unheld")
    docker.create("unheld", started.image, host)  # not every machine lets one start it
    found = finding(docker.url, containers=["unheld"], healthcheck="optional", **HELD_OPTIONS)
    held(found, "fail", "container unheld restart policy is never, expected one of always, unless-stopped")
    failed = [name for name in found["expected"] if f"{name} is" in found["summary"].replace("Container", "container")]
    wanted = ["state", *(f"{limit} limit" for limit in HELD_OPTIONS["limits"]), "restart policy", *SECURITY]
    assert [criterion.removeprefix("container unheld ") for criterion in failed] == wanted


@pytest.mark.parametrize(("user", "status"), [("0", "fail"), ("0:1000", "fail"), ("1000:0", "pass")])
def test_root_is_root_in_any_group(docker: Docker, started: Started, user: str, status: str) -> None:
    name = started("somebody", User=user)
    held(finding(docker.url, containers=[name], healthcheck="optional", security=["run_as_non_root"]), status)


def processes_of(docker: Docker, name: str) -> dict[int, str]:
    """What runs in a container, by its number on the host."""
    identity, found = docker.inspect(name)["Id"], {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while it was looked at
            if identity in (place / "cgroup").read_text():
                found[int(place.name)] = (place / "cmdline").read_text()
    return found


def inside(docker: Docker, *words: str, timeout: float = 20.0, check_mode: bool = False, **more: t.Any) -> t.Any:
    probe = {"argv": ["/program", *words], "only": ["worker"], **more}
    params = {"project": "archive", "services": ["backend", "worker"], "exec": [probe]}
    return finding(docker.url, timeout, check_mode=check_mode, **params)


def test_a_program_inside_is_judged_by_its_exit_code_and_output(docker: Docker, archive: str) -> None:
    found = inside(docker, "print", "ready to serve", stdout_matches=["^ready"])
    held(found, "pass")
    assert found["evidence"]["exec"][0]["program"] == "container archive-worker-1 exec program"
    assert found["evidence"]["exec"][0]["printed"] == ["ready to serve"]
    assert len(found["evidence"]["exec"]) == 1
    held(inside(docker, "exit", "3", exit_codes=[0, 3]), "pass")
    held(inside(docker, "exit", "3"), "fail", "ended with exit code 3, expected 0: exit asked for")
    held(inside(docker, "print", "not yet", stdout_matches=["^ready"]), "fail", "'not yet\\n', expected a match")


@pytest.mark.parametrize(
    "probe", [{}, {"stdout_matches": ["^SECRET"]}, {"stdout_matches": ["^ready"]}, {"exit_codes": [1]}]
)
def test_what_a_program_prints_is_shown_without_secrets_and_searched_with_them(
    docker: Docker, archive: str, probe: dict[str, t.Any]
) -> None:
    secret = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
    found = inside(docker, "print", f"SECRET_KEY={secret}", "erika@example.eu", changes_nothing=True, **probe)
    assert found["status"] == ("pass" if probe in ({}, {"stdout_matches": ["^SECRET"]}) else "fail"), found["summary"]
    assert len(found["evidence"]["exec"][0]["printed"]) == 2
    assert secret not in json.dumps(found) and "erika@" not in json.dumps(found)


def test_a_program_that_is_not_there_is_unknown(docker: Docker, archive: str) -> None:
    params = {"containers": ["archive-worker-1"], "exec": [{"argv": ["nvidia-smi"]}]}
    held(finding(docker.url, **params), "unknown", "could not be started (exit code 126): OCI runtime exec failed")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("stay", "It did not end within 2.5 s and was ended"),
        ("close", "It did not end within 2.5 s and was ended"),
        ("flood", "It printed more than the 1 MiB that are read and was ended"),
    ],
)
def test_a_program_that_does_not_end_is_ended_and_the_rest_is_judged(
    docker: Docker, archive: str, word: str, said: str
) -> None:
    found = inside(docker, word, timeout=2.5)
    held(found, "unknown", said)
    assert found["measured"]["container archive-worker-1 state"] == "running"
    # Docker's own health check comes and goes in there as well.
    running = processes_of(docker, "archive-worker-1").values()
    assert "/program\0" in running
    assert f"/program\0{word}\0" not in running


def test_a_program_that_cannot_be_ended_is_told(docker: Docker, archive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(signal, "pidfd_send_signal", lambda *_unused: os.kill(2**22 - 3, 0))
        held(inside(docker, "stay", timeout=2.0), "unknown", "within 2 s, and may still run inside the container")
    (left,) = [pid for pid, words in processes_of(docker, "archive-worker-1").items() if "stay" in words]
    os.kill(left, signal.SIGKILL)


def test_in_check_mode_only_what_is_promised_to_change_nothing_is_run(docker: Docker, archive: str) -> None:
    found = inside(docker, "exit", "3", check_mode=True)
    held(found, "unknown", "was not run in check mode, since it has no promise")
    assert found["left_out"] is True
    held(inside(docker, "exit", "3", check_mode=True, changes_nothing=True), "fail", "exit code 3")
    assert inside(docker, "exit", "3", check_mode=True, changes_nothing=True)["left_out"] is False


def test_a_container_that_does_not_run_runs_nothing(docker: Docker, started: Started) -> None:
    name = started("ended", Cmd=["/program", "exit", "0"])
    docker.await_state(name, lambda state: state["Status"] == "exited")
    params = {"healthcheck": "optional", "exec": [{"argv": ["/program", "print"]}]}
    found = finding(docker.url, containers=[name], **params)
    held(found, "fail", "Container ended state is exited (exit code 0), expected running")
    assert found["measured"]["container ended exec program"] is None
    assert "with status 409: Container" in found["summary"]


def containers_of(docker: Docker) -> list[str]:
    return [each["Id"] for each in docker.asked("GET", "/containers/json?all=1")]


def test_a_container_of_its_own_has_what_the_other_has_and_is_removed(docker: Docker, started: Started) -> None:
    host = {**HELD, "Memory": 48 * 2**20, "Devices": [
        {"PathOnHost": "/dev/null", "PathInContainer": "/dev/gpu", "CgroupPermissions": "r"}]}  # fmt: skip
    name = started("worker", host, User="1000")
    before = containers_of(docker)

    def beside(*words: str, timeout: float = 20.0, **more: t.Any) -> dict[str, t.Any]:
        probe = {"argv": ["/program", *words], "throw_away": True, **more}
        params = {"containers": [name], "healthcheck": "optional", "exec": [probe]}
        found = finding(docker.url, timeout, **params)
        assert containers_of(docker) == before
        return found

    held(beside("print", "here", stdout_matches=["^here$"]), "pass")
    held(beside("uid", stdout_matches=["^1000$"]), "pass")
    limit = "memory/memory.limit_in_bytes" if Path("/sys/fs/cgroup/memory").is_dir() else "memory.max"
    held(beside("cat", f"/sys/fs/cgroup/{limit}", stdout_matches=[f"^{48 * 2**20}$"]), "pass")
    held(beside("exists", "/dev/gpu"), "pass")
    held(beside("exists", "/dev/other"), "fail", "exec program ended with exit code 1, expected 0")
    held(beside("exit", "3"), "fail", "ended with exit code 3, expected 0: exit asked for")
    held(beside("stay", timeout=2.0), "unknown", "exec program: It did not end within 2 s.")
    params = {"containers": [name], "healthcheck": "optional", "exec": [{"argv": ["/absent"], "throw_away": True}]}
    held(finding(docker.url, **params), "unknown", "no such file or directory")
    assert containers_of(docker) == before
    params["exec"] = [{"argv": ["/program", "exit"], "throw_away": True, "changes_nothing": True}]
    found = finding(docker.url, check_mode=True, **params)
    held(found, "unknown", "was not run in check mode, since it makes a container")
    assert found["left_out"] is True


@pytest.fixture(scope="module")
def gpu_image(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The application's image, with an nvidia-smi over the stub."""
    program = tmp_path_factory.mktemp("smi") / "nvidia-smi"
    docker.compile(NVIDIA_SMI, program, str(nvml_stub.SOURCE))
    return docker.image("application", {"nvidia-smi": program})


@pytest.fixture
def host_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml_stub.compiled(tmp_path / "nvml")))


def seen_inside(docker: Docker, started: Started, image: str, *environment: str, **probe: t.Any) -> dict[str, t.Any]:
    """By a program in a container that is made from the worker's image, and removed."""
    name = started("gpu-worker", image=image, Env=list(environment))
    wanted = {"argv": ["/nvidia-smi"], "throw_away": True, "min_gpus": 1, **probe}
    before = containers_of(docker)
    found = finding(docker.url, containers=[name], healthcheck="optional", exec=[wanted])
    assert containers_of(docker) == before
    return found


@serves("S1.24", case="pass", stand_in="NVML stub, inside and outside")
@pytest.mark.usefixtures("host_gpus")
def test_the_gpu_of_the_host_is_seen_inside_a_container_of_the_applications_image(
    docker: Docker, started: Started, gpu_image: str
) -> None:
    found = seen_inside(docker, started, gpu_image)
    held(found, "pass")
    assert found["measured"]["container gpu-worker exec nvidia-smi GPUs"] == [GPU]
    told = found["evidence"]["exec"][0]
    assert (told["exit_code"], told["printed"]) == (0, [f"{GPU}, 570.86.15"])
    assert (told["gpus_of_host"], told["driver"], told["cuda"]) == ([GPU], "570.86.15", "12.8")
    assert found["evidence"]["containers"][0]["image_id"] == gpu_image


@serves("S1.24", case="fail", stand_in="NVML stub, inside and outside")
@pytest.mark.usefixtures("host_gpus")
@pytest.mark.parametrize(
    ("environment", "probe", "said"),
    [
        (["NVML_STUB_COUNT=0"], {}, "GPUs is 0, expected at least 1"),
        ([], {"min_gpus": 2}, "GPUs is 1, expected at least 2"),
        (["NVML_STUB_COUNT=2"], {}, f"expected of the host: {GPU}"),
        (["NVML_STUB_INIT=9"], {}, "ended with exit code 9, expected 0"),
        (["NVML_STUB_LOST=1"], {}, "ended with exit code 15, expected 0"),
    ],
    ids=["not handed in", "too few", "not of this host", "no driver", "lost"],
)
def test_a_container_that_does_not_see_it_fails(
    docker: Docker, started: Started, gpu_image: str, environment: list[str], probe: dict[str, t.Any], said: str
) -> None:
    held(seen_inside(docker, started, gpu_image, *environment, **probe), "fail", said)


def test_where_the_host_tells_no_gpu_it_is_unknown(
    docker: Docker, started: Started, gpu_image: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    found = seen_inside(docker, started, gpu_image)
    held(found, "unknown", "GPUs could not be compared with those of the host")


def fill(path: str, waiting: contextlib.ExitStack) -> None:
    """Wait in a socket's queue until nobody else can."""
    while True:
        plug = waiting.enter_context(socket.socket(socket.AF_UNIX))
        plug.setblocking(False)
        try:
            plug.connect(path)
        except BlockingIOError:
            return


def test_no_engine_is_unknown_with_the_way_out(tmp_path: Path) -> None:
    silent = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(silent))
        found = finding(f"unix://{silent}", containers=["a"])
        held(found, "unknown", f"Nothing listens on {silent}")
        assert "systemctl status docker" in found["remedy"]
        listener.listen(0)
        found = finding(f"unix://{silent}", timeout=0.3, containers=["a"])
        held(found, "unknown", f"unix://{silent} did not answer GET /version within 0.3 s")
        with contextlib.ExitStack() as waiting:
            fill(str(silent), waiting)
            found = finding(f"unix://{silent}", timeout=0.3, containers=["a"])
            held(found, "unknown", f"{silent} did not accept a connection within 0.3 s")
    for path in (tmp_path / "absent.sock", tmp_path / ("long" * 40)):
        found = finding(f"unix://{path}", containers=["a"])
        held(found, "unknown", str(path))
        assert "systemctl status docker" in found["remedy"]


def test_a_user_without_the_right_is_told(docker: Docker, archive: str) -> None:
    os.seteuid(UNPRIVILEGED_UID)
    try:
        found = finding(docker.url, containers=["archive-worker-1"])
    finally:
        os.seteuid(0)
    held(found, "unknown", f"This user may not connect to {docker.socket_path}")
    assert "become: true" in found["remedy"]


def test_an_engine_that_hangs_is_unknown_and_each_item_has_its_own_limit(docker: Docker, archive: str) -> None:
    docker.suspend()
    shared = Shared()
    try:
        found = finding(docker.url, 0.3, shared, containers=["archive-worker-1"])
        held(found, "unknown", f"{docker.url} did not answer GET /version within 0.3 s")
    finally:
        docker.resume()
    held(finding(docker.url, 20.0, shared, containers=["archive-worker-1"]), "pass")
    shared.close()


VERSION = {"Version": "28.0.1", "ApiVersion": "1.48", "MinAPIVersion": "1.24"}
LISTED = [{"Id": "a" * 64, "Names": ["/other/alias", "/web"], "Labels": None, "State": "running"}]
INSPECTED: dict[str, t.Any] = {
    "Id": "a" * 64,
    "Name": "/web",
    "Image": f"sha256:{'1' * 64}",
    "RestartCount": 0,
    "State": {"Status": "running", "Health": {"Status": "healthy"}},
    "Config": {"Image": "web:2"},
    "HostConfig": {},
}
DIGEST = f"sha256:{'2' * 64}"


def replayed(server: HttpServer, api: str = "1.44", **changes: t.Any) -> dict[str, t.Any]:
    """An engine of another make, over HTTP."""
    answers = {
        "/version": VERSION,
        f"/v{api}/containers/json": LISTED,
        f"/v{api}/containers/{'a' * 64}/json": INSPECTED,
        f"/v{api}/images/sha256:{'1' * 64}/json": {"RepoDigests": [f"registry.example.org/web@{DIGEST}"]},
        **changes,
    }
    for path, content in answers.items():
        server.route(path, content if isinstance(content, Answer) else Answer(200, content))
    return {"url": server.url.replace("http:", "tcp:"), "containers": ["web"]}


@pytest.mark.parametrize(
    ("image", "status"),
    [
        (DIGEST, "pass"),
        (f"sha256:{'1' * 64}", "pass"),
        (f"registry.example.org/web@{DIGEST}", "pass"),
        (f"elsewhere.example.org/web@{DIGEST}", "fail"),
        (f"sha256:{'3' * 64}", "fail"),
    ],
)
def test_an_image_is_known_by_its_id_and_by_the_digest_of_its_registry(
    http_server: HttpServer, image: str, status: str
) -> None:
    held(finding(**replayed(http_server), images={"web": image}), status)


def test_an_image_that_is_no_longer_kept_has_no_digest_that_is_known(http_server: HttpServer) -> None:
    gone = {f"/v1.44/images/sha256:{'1' * 64}/json": Answer(404, {"message": "No such image"})}
    held(finding(**replayed(http_server, **gone), images={"web": DIGEST}), "unknown", "is no longer kept")
    known = finding(**replayed(http_server, **gone), images={"web": f"sha256:{'1' * 64}"})
    held(known, "pass")


@pytest.mark.parametrize(
    ("spoken", "oldest", "api"), [("1.48", "1.24", "1.44"), ("1.41", "1.12", "1.41"), ("1.60", "1.50", "1.50")]
)
def test_the_version_of_the_api_is_one_that_the_engine_speaks(
    http_server: HttpServer, spoken: str, oldest: str, api: str
) -> None:
    version = {"/version": {"Version": "x", "ApiVersion": spoken, "MinAPIVersion": oldest}}
    found = finding(**replayed(http_server, api, **version))
    held(found, "pass")
    assert found["evidence"]["api"] == api


def test_items_of_one_engine_ask_it_once(http_server: HttpServer) -> None:
    params, shared = replayed(http_server), Shared()
    held(finding(**params, shared=shared), "pass")
    held(finding(**params, shared=shared, limits=["memory"]), "unknown", "memory limit could not be judged")
    paths = [request.path for request in http_server.requests]
    assert len(paths) == len(set(paths)) == 4
    shared.close()


LIST, ONE = "/v1.44/containers/json", f"/v1.44/containers/{'a' * 64}/json"


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("/version", Answer(200, "hello"), "are not JSON"),
        ("/version", Answer(200, []), "not as Docker does"),
        ("/version", Answer(200, {**VERSION, "ApiVersion": "latest"}), "not as Docker does"),
        ("/version", Answer(200, {**VERSION, "ApiVersion": 1.44}), "a ApiVersion that is none"),
        ("/version", Answer(200, {**VERSION, "ApiVersion": "1.18"}), "expected at least 1.24"),
        ("/version", Answer(403, {"message": "authorization denied"}), "status 403: authorization denied"),
        ("/version", Answer(500, "broken"), "status 500"),
        ("/version", Answer(500, {"message": ["x"]}), "status 500"),
        (LIST, Answer(200, {}), "not as Docker does"),
        (LIST, Answer(200, [3]), "not as Docker does"),
        (LIST, Answer(200, [{"Names": 3}]), "a Names that is none"),
        (LIST, Answer(200, [{"Names": [3]}]), "without a Id"),
        (LIST, Answer(200, "[" * 5000), "nested"),
        (ONE, Answer(200, {}), "without a"),
        (ONE, Answer(200, {**INSPECTED, "State": "running"}), "a State that is none"),
        (ONE, Answer(200, {**INSPECTED, "RestartCount": True}), "a RestartCount that is none"),
        (ONE, Answer(200, {**INSPECTED, "Mounts": [3]}), "not as Docker does"),
        (ONE, Answer(200, {**INSPECTED, "HostConfig": {"NanoCpus": 10**400}}), "a NanoCpus that is none"),
    ],
)
def test_what_is_not_dockers_answer_is_unknown(http_server: HttpServer, path: str, answer: Answer, said: str) -> None:
    held(finding(**replayed(http_server, **{path: answer})), "unknown", said)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (b"\x01\0\0\0\0\0\0\xffshort", "not as Docker does"),
        (b"\x07\0\0\0\0\0\0\x01x", "not as Docker does"),
        (b"\x01\0\0", "not as Docker does"),
    ],
)
def test_output_that_is_not_in_dockers_frames_is_unknown(http_server: HttpServer, output: bytes, said: str) -> None:
    exec_ = {
        f"/v1.44/containers/{'a' * 64}/exec": {"Id": "e1"},
        "/v1.44/exec/e1/start": Answer(200, output),
        "/v1.44/exec/e1/json": {"Running": False, "ExitCode": 0, "Pid": 0},
    }
    params = replayed(http_server, **exec_)
    held(finding(**params, exec=[{"argv": ["true"]}]), "unknown", said)


def test_a_number_that_no_process_can_have_ends_none(http_server: HttpServer) -> None:
    exec_ = {
        f"/v1.44/containers/{'a' * 64}/exec": {"Id": "e1"},
        "/v1.44/exec/e1/start": Answer(500, {"message": "broken"}),
        "/v1.44/exec/e1/json": {"Running": True, "Pid": 2**40},
    }
    params = replayed(http_server, **exec_)
    found = finding(**params, exec=[{"argv": ["true"]}])
    held(found, "unknown", "with status 500: broken, and may still run inside the container")


def test_a_container_of_its_own_that_cannot_be_removed_is_named(http_server: HttpServer) -> None:
    made = f"/v1.44/containers/{'b' * 64}"
    beside = {
        "/v1.44/containers/create": Answer(201, {"Id": "b" * 64}),
        f"{made}/start": Answer(204, b""),
        f"{made}/wait": Answer(200, {"StatusCode": 3}),
        f"{made}/logs": Answer(200, b""),
        f"DELETE {made}": Answer(500, {"message": "device or resource busy"}),
    }
    params = replayed(http_server, **beside)
    params["exec"] = [{"argv": ["true"], "throw_away": True}]
    held(finding(**params), "unknown", "It ended with exit code 3, and container bbbbbbbbbbbb is left behind.")
    http_server.route(f"{made}/wait", Answer(200, {"StatusCode": "3"}))
    held(finding(**params), "unknown", "a StatusCode that is none, and container bbbbbbbbbbbb is left behind.")


def test_what_an_engine_does_not_tell_is_unknown(http_server: HttpServer) -> None:
    untold = {key: value for key, value in INSPECTED.items() if key != "RestartCount"}
    params = replayed(http_server, **{ONE: untold})
    found = finding(
        **params, security=["not_privileged", "run_as_non_root", "no_engine_socket", "read_only_root"],
        restart_policies=["never"], limits=["memory", "cpu"], log_rotation="required",
    )  # fmt: skip
    held(found, "unknown")
    known = [criterion for criterion, measured in found["measured"].items() if measured is not None]
    assert known == ["containers", "container web state", "container web health"]


def test_a_container_that_goes_while_it_is_asked_about_is_absent(http_server: HttpServer) -> None:
    gone = replayed(http_server, **{ONE: Answer(404, {"message": "No such container"})})
    held(finding(**gone), "fail", "Containers has no web")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"containers": []}, "containers is empty"),
        ({"project": "a", "services": []}, "services is empty"),
        ({"url": "/var/run/docker.sock"}, "expected unix:///path"),
        ({"url": "ssh://host"}, "expected unix:///path"),
        ({"url": "tcp://user:word@host:1"}, "user name or password"),
        ({"max_restarts": -1}, "expected at least 0"),
        ({"max_log_size": "1MB"}, "without log_rotation"),
        ({"max_log_size": "1M", "log_rotation": "required"}, "not a size"),
        ({"limits": []}, "limits is empty"),
        ({"images": {"b": DIGEST}}, "is none of those expected: a"),
        ({"images": {"a": "archive:1"}}, "is no digest"),
        ({"replicas": {"a": 2}}, "replicas means nothing with containers"),
        ({"project": "p", "services": ["b"], "replicas": {}}, "replicas is empty"),
        ({"project": "p", "services": ["b"], "replicas": {"c": 2}}, "c is none of the services: b"),
        ({"project": "p", "services": ["b"], "replicas": {"b": 0}}, "b is 0, expected a whole number of at least 1"),
        ({"project": "p", "services": ["b"], "replicas": {"b": "many"}}, "b is 'many', expected a whole number"),
        ({"exec": [{"argv": []}]}, "argv is empty"),
        ({"exec": [{"argv": ["a"], "only": ["b"]}]}, "which is none of those expected"),
        ({"exec": [{"argv": ["a"], "only": []}]}, "only is empty"),
        ({"exec": [{"argv": ["a"], "stdout_matches": ["("]}]}, "not a regular expression"),
        ({"exec": [{"argv": ["a"], "min_gpus": 0}]}, "demands no GPU"),
        ({"exec": [{"argv": ["a", "--password=hunter2hunter2"]}]}, "looks like a password"),
        ({"exec": [{"argv": ["a"]}], "state": "completed"}, "needs a container that runs, and state is completed"),
        ({"completed": []}, "completed is empty"),
        ({"completed": ["a"]}, "containers and completed both name a"),
        ({"project": "p", "services": ["b", "c"], "completed": ["c"]}, "services and completed both name c"),
        ({"completed": ["b"], "state": "completed"}, "so completed adds none"),
        ({"completed_since": "1h"}, "completed_since means nothing without completed"),
        ({"completed": ["b"], "completed_since": "soon"}, "completed_since is 'soon', which is not a span"),
        ({"completed": ["b"], "completed_since": "2999-01-01T00:00:00Z"}, "which is still to come"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_why(params: dict[str, t.Any], said: str) -> None:
    named = {} if "project" in params else {"containers": ["a"]}
    held(finding(**{"url": "unix:///nowhere.sock", **named, **params}), "unknown", said)


def test_no_variable_of_a_container_is_told(docker: Docker, archive: str, run_module: ModuleRun) -> None:
    params = {"url": docker.url, "containers": ["archive-worker-1", "absent"], "enforce": False}
    answer = run_module("check_container", params, secrets=[CANARY])
    assert answer["finding"]["status"] == "fail"
    params["containers"] = ["archive-worker-1"]
    params["exec"] = [{"argv": ["/program", "print", "x"]}]
    assert run_module("check_container", params, check=True, secrets=[CANARY])["finding"]["left_out"] is True


@pytest.mark.usefixtures("host_gpus")
def test_the_examples_run_and_tell_good_from_bad(
    docker: Docker, archive: str, shop: Shop, gpu_image: str, image: str, run_module_here: ModuleRun
) -> None:
    of_example = "sha256:6c2ef57b0e99ec46833a82f0bb7cb16f9b14d1985886aea5209a94914426e367"
    replaced = {of_example: image, "nvidia-smi,": "/program, print,", "{{ deploy_began | default('1h') }}": "1h"}
    examples = examples_of("check_container", replaced)
    shop.task()

    def statuses(printed: str) -> list[str]:
        found = []
        for args in examples.values():
            for probe in args.get("exec", ()):
                probe["argv"][2:] = [printed]
            answer = run_module_here("check_container", {**args, "url": docker.url, "enforce": False})
            found.append(answer["finding"]["status"])
        return found

    assert statuses(GPU) == ["pass"] * 4
    docker.asked("POST", "/containers/archive-worker-1/pause")
    docker.remove("shop-migrate-1")
    shop.started.names.remove("shop-migrate-1")
    try:
        assert statuses(GPU.replace("0", "1")) == ["fail"] * 4
    finally:
        docker.asked("POST", "/containers/archive-worker-1/unpause")


def _works_for(process: Path, directory: str) -> bool:
    try:
        return directory in (process / "cmdline").read_text()
    except OSError:  # it has ended
        return False


@serves("S0.20", case="fail")
@pytest.mark.usefixtures("docker")
def test_a_container_that_is_older_than_what_daemon_json_says_fails_and_its_engine_leaves_nothing_behind() -> None:
    with Docker() as own:
        own.run("old", own.image("archive"))
        own.stop()
        own.settings["log-opts"] = {"max-size": "10m", "max-file": "3"}
        own.start()
        own.asked("POST", "/containers/old/start")
        own.run("new", "archive:1")
        params = {"healthcheck": "optional", "log_rotation": "required"}
        held(finding(own.url, containers=["new"], **params), "pass")
        held(finding(own.url, containers=["old"], **params), "fail", "old log rotation is json-file without max-size")
        directory = str(own.directory)
        # The engine, its containerd and a shim for each container.
        assert len([place for place in Path("/proc").glob("[0-9]*") if _works_for(place, directory)]) >= 4
    assert not [place for place in Path("/proc").glob("[0-9]*") if _works_for(place, directory)]
    assert directory not in Path("/proc/self/mounts").read_text()
    assert not Path(directory).exists()
