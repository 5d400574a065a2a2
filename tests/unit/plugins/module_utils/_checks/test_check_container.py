# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_container judges plain facts; one line per case."""

from __future__ import annotations

import contextlib
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_container as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_container import Facts, Probed
from ansible_collections.opsready.golive.plugins.module_utils._clients.docker import Container, separated
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement
from ansible_collections.opsready.golive.plugins.module_utils._core.since import since_when

UUID = "GPU-00000000-0000-0000-0000-00000000000{}"
IMAGE, DIGEST = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def container(**changes: t.Any) -> Container:
    usual: dict[str, t.Any] = {
        "id": "a" * 64,
        "name": "web",
        "image": "web:2",
        "image_id": IMAGE,
        "state": "running",
        "exit_code": 0,
        "is_out_of_memory": False,
        "started_at": "2026-11-22T22:00:00Z",
        "health": "healthy",
        "restarts": 0,
        "restart_policy": "always",
        "log_driver": "local",
        "log_options": {},
        "memory": 2**30,
        "cpus": 1.5,
        "cpuset": "",
        "pids": 100,
        "user": "1000",
        "is_privileged": False,
        "is_read_only": True,
        "security_options": ("no-new-privileges",),
        "dropped": ("ALL",),
        "mounts": (),
    }
    return Container(**{**usual, **changes})


def ended(exit_code: int, **changes: t.Any) -> Container:
    """A container that has ended, a second after it started."""
    return container(**{"state": "exited", "exit_code": exit_code, "finished_at": "2026-11-22T22:00:01.5Z", **changes})


def judged(options: dict[str, t.Any], *containers: Container, probes: t.Sequence[Probed] = ()) -> Judgement:
    params = validated(check.ARGUMENT_SPEC, {"containers": ["web"], **options}, where="test", **check.CONSTRAINTS)
    facts = Facts(
        "28", "1.44", (("web", containers),), {IMAGE: (f"r.example.org/web@{DIGEST}",)}, (), tuple(probes),
        since_when(params["completed_since"], 1.8e9),
    )  # fmt: skip
    json.dumps(check.evidence(facts))
    return Judgement.of(check.judge(facts, params))


def log(driver: str, **options: str) -> Container:
    return container(log_driver=driver, log_options={name.replace("_", "-"): value for name, value in options.items()})


ROTATION = {"log_rotation": "required"}
SINCE = {"completed_since": "2026-11-22T22:00:00Z"}
SMALL = {**ROTATION, "max_log_size": "30MB"}
CASES: list[tuple[dict[str, t.Any], Container, str, str]] = [
    ({}, container(), "pass", ""),
    ({}, container(state="paused"), "fail", "Container web state is paused, expected running"),
    ({}, container(state="exited", exit_code=137, is_out_of_memory=True), "fail", "exited (exit code 137, out of memory)"),
    ({}, container(state="restarting", exit_code=3), "fail", "restarting (exit code 3)"),
    ({}, container(health="starting"), "fail", "health is starting, expected healthy"),
    ({}, container(health=None), "fail", "there is no health check"),
    ({"healthcheck": "optional"}, container(health=None), "pass", ""),
    ({"healthcheck": "optional"}, container(health="unhealthy"), "fail", "health is unhealthy"),
    ({}, container(restarts=1), "fail", "restarts is 1, expected at most 0"),
    ({"max_restarts": 1}, container(restarts=1), "pass", ""),
    ({}, container(restarts=None), "unknown", "restarts could not be read"),
    ({"state": "completed"}, container(state="exited", health=None), "pass", ""),
    ({"state": "completed"}, container(state="exited", exit_code=1), "fail", "exited (exit code 1), expected exited"),
    ({"state": "completed"}, container(state="exited", exit_code=None), "unknown", "state could not be judged"),
    ({"state": "completed"}, container(state="dead"), "fail", "state is dead"),
    ({"state": "completed"}, ended(4), "fail", "exited (exit code 4) at 2026-11-22T22:00:01.500Z, expected exited (exit"),
    ({"state": "completed"}, ended(137, is_out_of_memory=True), "fail", "exited (exit code 137, out of memory) at"),
    ({"state": "completed"}, ended(0, is_out_of_memory=True), "warn", "exited (exit code 0, out of memory) at"),
    ({"state": "completed"}, ended(0, restarts=2), "fail", "restarts is 2, expected at most 0"),
    ({"state": "completed"}, ended(0, health="unhealthy"), "pass", ""),
    ({"state": "completed"}, container(), "fail", "state is running, expected exited (exit code 0)"),
    ({"state": "completed"}, container(state="created"), "fail", "state is created, expected exited"),
    ({"state": "completed"}, container(state="restarting"), "fail", "state is restarting (exit code 0), expected exited"),
    ({"state": "completed", **SINCE}, ended(0), "pass", ""),
    ({"state": "completed", **SINCE}, ended(0, finished_at="2026-11-22T21:59:59Z"), "fail", "web end is 2026-11-22T21:59:59.0"),
    ({"state": "completed", "completed_since": "2026-11-22T22:00:01.400Z"}, ended(0), "pass", ""),
    ({"state": "completed", "completed_since": "2026-11-22T22:00:01.600Z"}, ended(0), "fail", "expected not before 2026-11-22T22:00:01.6"),
    ({"state": "completed", **SINCE}, ended(0, finished_at=""), "unknown", "web end could not be judged: Docker did not tell"),
    ({"state": "completed", **SINCE}, ended(0, finished_at="0001-01-01T00:00:00Z"), "unknown", "end could not be judged"),
    ({"images": {"web": IMAGE}}, container(), "pass", ""),
    ({"images": {"web": DIGEST}}, container(), "pass", ""),
    ({"images": {"web": f"r.example.org/web@{DIGEST}"}}, container(), "pass", ""),
    ({"images": {"web": f"r.example.org/api@{DIGEST}"}}, container(), "fail", "container web image is".capitalize()),
    (ROTATION, log("local"), "pass", ""),
    (ROTATION, log("local", max_file="1"), "warn", "20m in one file"),
    (ROTATION, log("json-file"), "fail", "without max-size"),
    (ROTATION, log("json-file", max_file="5"), "fail", "without max-size"),
    (ROTATION, log("json-file", max_size="-1", max_file="3"), "fail", "without max-size"),
    (ROTATION, log("json-file", max_size="0", max_file="3"), "fail", "without max-size"),
    (ROTATION, log("json-file", max_size="10m"), "warn", "10m in one file"),
    (ROTATION, log("json-file", max_size="10m", max_file="2"), "pass", ""),
    (ROTATION, log("json-file", max_size="ten", max_file="2"), "unknown", "max-size 'ten' and max-file '2'"),
    (ROTATION, log("json-file", max_size="1m", max_file="two"), "unknown", "which cannot be read"),
    (SMALL, log("json-file", max_size="10m", max_file="3"), "pass", ""),
    (SMALL, log("json-file", max_size="10MB", max_file="3"), "pass", ""),
    (SMALL, log("json-file", max_size="10.5m", max_file="3"), "fail", "log size is 31.5 MB (30.0 MiB), expected at most 30.0 MB"),
    (SMALL, log("local"), "fail", "log size is 100.0 MB"),
    (ROTATION, log("journald"), "pass", ""),
    (ROTATION, log("splunk", splunk_token="t"), "pass", ""),
    (ROTATION, log("none"), "warn", "none: nothing is kept"),
    (ROTATION, log("syslog"), "unknown", "logs by syslog, of which is not seen from here what rotates it"),
    (ROTATION, log("loki:latest"), "unknown", "logs by loki:latest"),
    (ROTATION, log(""), "unknown", "a driver that is not told"),
    ({"limits": ["memory", "cpu", "pids"]}, container(), "pass", ""),
    ({"limits": ["cpu"]}, container(cpus=0.0, cpuset="0-1"), "pass", ""),
    ({"limits": ["cpu"]}, container(cpus=0.0), "fail", "cpu limit is none, expected a limit"),
    ({"limits": ["cpu"]}, container(cpus=None), "unknown", "cpu limit could not be judged"),
    ({"limits": ["memory"]}, container(memory=0), "fail", "memory limit is none"),
    ({"limits": ["memory"]}, container(memory=None), "unknown", "memory limit could not be judged"),
    ({"limits": ["pids"]}, container(pids=None), "fail", "pids limit is none"),
    ({"limits": ["pids"]}, container(pids=-1), "fail", "pids limit is none"),
    ({"restart_policies": ["never"]}, container(restart_policy="no"), "pass", ""),
    ({"restart_policies": ["never"]}, container(restart_policy=""), "pass", ""),
    ({"restart_policies": ["never"]}, container(restart_policy=None), "unknown", "restart policy could not be read"),
    ({"restart_policies": ["always"]}, container(restart_policy="on-failure"), "fail", "restart policy is on-failure"),
    ({"security": ["run_as_non_root"]}, container(), "pass", ""),
    ({"security": ["run_as_non_root"]}, container(user="app:app"), "pass", ""),
    ({"security": ["run_as_non_root"]}, container(user=""), "fail", "run_as_non_root is user root"),
    ({"security": ["run_as_non_root"]}, container(user="root:app"), "fail", "is user root:app, expected a user other"),
    ({"security": ["run_as_non_root"]}, container(user="00"), "fail", "is user 00"),
    ({"security": ["run_as_non_root"]}, container(user=None), "unknown", "Docker did not tell"),
    ({"security": ["not_privileged"]}, container(is_privileged=True), "fail", "not_privileged is not so"),
    ({"security": ["not_privileged"]}, container(is_privileged=None), "unknown", "Docker did not tell"),
    ({"security": ["no_escalation"]}, container(security_options=("no-new-privileges:true",)), "pass", ""),
    ({"security": ["no_escalation"]}, container(security_options=("no-new-privileges:false",)), "fail", "no_escalation"),
    ({"security": ["read_only_root"]}, container(is_read_only=False), "fail", "read_only_root is not so"),
    ({"security": ["read_only_root"]}, container(is_read_only=None), "unknown", "Docker did not tell"),
    ({"security": ["drop_all"]}, container(dropped=("all",)), "pass", ""),
    ({"security": ["drop_all"]}, container(dropped=("NET_RAW",)), "fail", "drop_all is not so"),
    ({"security": ["no_engine_socket"]}, container(mounts=("/srv", "/run/docker.sock")), "fail", "no_engine_socket"),
    ({"security": ["no_engine_socket"]}, container(mounts=None), "unknown", "Docker did not tell"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "seen", "status", "said"), CASES)
def test_a_container_is_judged(options: dict[str, t.Any], seen: Container, status: str, said: str) -> None:
    found = judged(options, seen)
    assert (found.status, said in found.summary) == (status, True), found.summary


def test_what_is_absent_fails_and_two_of_one_name_are_told_apart() -> None:
    assert judged({}).summary == "Containers has no web: 0 of 1 are there."
    assert "container web state (2 of 2)" in judged({}, container(), container(state="dead")).measured


def test_a_task_without_a_container_is_not_said_to_have_never_run() -> None:
    found = judged({"state": "completed"})
    assert (found.status, "whether web ever ran, and how it ended, cannot be told" in found.summary) == ("fail", True)
    assert "without --rm" in found.remedy


def probed(wanted: dict[str, t.Any], **seen: t.Any) -> Judgement:
    options = {"exec": [{"argv": ["nvidia-smi"], **wanted}]}
    return judged(options, container(), probes=[Probed(0, "container web exec nvidia-smi", **{"exit_code": 0, **seen})])


HOST = (UUID.format(0), UUID.format(1))


@pytest.mark.parametrize(
    ("wanted", "seen", "status", "said"),
    [
        ({}, {}, "pass", ""),
        ({}, {"exit_code": 1, "shown": ("no", "device")}, "fail", "ended with exit code 1, expected 0: device"),
        ({}, {"exit_code": 127}, "unknown", "could not be started (exit code 127)"),
        ({"exit_codes": [127]}, {"exit_code": 127}, "pass", ""),
        ({}, {"problem": "why", "remedy": "r"}, "unknown", "why."),
        ({"stdout_matches": ["a", "b"]}, {"stdout": "ab"}, "pass", ""),
        ({"stdout_matches": ["a", "b"]}, {"stdout": "a"}, "fail", "expected a match of /b/"),
        ({"min_gpus": 1}, {"stdout": f"{HOST[0]}, 570", "gpus_of_host": HOST}, "pass", ""),
        ({"min_gpus": 2}, {"stdout": "\n".join(HOST), "gpus_of_host": HOST}, "pass", ""),
        (
            {"min_gpus": 2},
            {"stdout": f"{HOST[0]}\n{HOST[0]}", "gpus_of_host": HOST},
            "fail",
            "GPUs is 1, expected at least 2",
        ),
        ({"min_gpus": 1}, {"stdout": "No devices", "gpus_of_host": HOST}, "fail", "GPUs is 0, expected at least 1"),
        ({"min_gpus": 1}, {"stdout": HOST[0], "gpus_of_host": HOST[1:]}, "fail", f"is {HOST[0]}, expected of the host"),
        ({"min_gpus": 1}, {"stdout": HOST[0], "gpus_of_host": ()}, "fail", "expected of the host: nothing"),
        ({"min_gpus": 1}, {"stdout": HOST[0], "gpu_problem": "no driver"}, "unknown", "of the host: no driver"),
    ],
)
def test_what_ran_inside_is_judged(wanted: dict[str, t.Any], seen: dict[str, t.Any], status: str, said: str) -> None:
    found = probed(wanted, **seen)
    assert (found.status, said in found.summary) == (status, True), found.summary


def test_only_check_mode_leaves_a_finding_open() -> None:
    assert probed({}, problem="not run", left_out=True).left_out
    assert not probed({}, problem="not run").left_out


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.text(max_size=50)), max_size=5))
def test_streams_are_separated_as_they_were_put_together(frames: list[tuple[int, str]]) -> None:
    stream = b"".join(
        bytes([number, 0, 0, 0]) + len(text.encode()).to_bytes(4, "big") + text.encode() for number, text in frames
    )
    told = ["".join(text for number, text in frames if number == wanted) for wanted in (1, 2)]
    assert list(separated(stream, where="x")) == told


@given(st.binary(max_size=60))
def test_any_stream_is_read_or_refused(stream: bytes) -> None:
    with contextlib.suppress(UnexpectedAnswer):
        stdout, stderr = separated(stream, where="x")
        assert len(stdout) + len(stderr) <= len(stream)


@given(
    st.sampled_from(["json-file", "local", "journald", "syslog", "none", "", "other"]),
    st.dictionaries(st.sampled_from(["max-size", "max-file", "mode"]), st.text(max_size=8)),
)
def test_only_a_log_that_is_known_to_be_bounded_passes(driver: str, options: dict[str, str]) -> None:
    found = judged(ROTATION, container(log_driver=driver, log_options=options))
    if found.status == "pass":
        assert driver in ("local", "journald") or options.get("max-size")
