# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_k8s judges plain facts; one line per case."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_k8s as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_k8s import Facts
from ansible_collections.opsready.golive.plugins.module_utils._clients.kubernetes_manifests import (
    TIMES,
    Container,
    Manifest,
    Probe,
    Workload,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement

USUAL = {name: usual for name, (_field, usual) in TIMES.items()}
HEALTH = Probe("httpGet", "/health", "8000", 8000, times=USUAL)
READY = Probe("httpGet", "/ready", "http", 8000, times=USUAL)


def container(**changes: t.Any) -> Container:
    usual: dict[str, t.Any] = {
        "name": "c",
        "is_lasting": True,
        "image": "api:1",
        "probes": {"liveness": HEALTH, "readiness": READY},
        "requests": {"cpu": "100m"},
        "limits": {"cpu": "1"},
        "run_as_non_root": True,
        "run_as_user": None,
        "allows_escalation": False,
        "is_read_only": True,
        "is_privileged": False,
        "dropped": ("ALL",),
    }
    return Container(**{**usual, **changes})


def workload(*containers: Container, kind: str = "Deployment", replicas: int = 2) -> Workload:
    return Workload(kind, "api", "", "f.yaml (line 1)", replicas, containers or (container(),), (), ())


def judged(options: dict[str, t.Any], *workloads: Workload, **manifest: t.Any) -> Judgement:
    params = validated(check.ARGUMENT_SPEC, {"paths": ["/f.yaml"], **options}, where="test", **check.CONSTRAINTS)
    facts = Facts((Manifest("/f.yaml", workloads or (workload(),), **manifest),))
    json.dumps(check.evidence(facts))
    return Judgement.of(check.judge(facts, params))


def probes(**changed: Probe) -> Workload:
    return workload(container(probes={"liveness": HEALTH, "readiness": READY, **changed}))


CASES: list[tuple[dict[str, t.Any], Workload, str, str]] = [
    ({"liveness": {"path": "/health", "port": 8000}}, workload(), "pass", ""),
    ({"readiness": {"path": "/ready", "port": 8000}}, workload(), "pass", ""),
    ({"liveness": {"path": "/"}}, workload(), "fail", "livenessProbe path is /health, expected /"),
    ({"readiness": {"port": 8000}}, probes(readiness=Probe("httpGet", "/ready", "web", times=USUAL)), "fail", "asks port 'web', which is no port"),
    ({"liveness": {}}, probes(readiness=HEALTH), "fail", "is asked the same for liveness and readiness"),
    ({"liveness": {}}, probes(readiness=Probe("httpGet", "/health", "9000", 9000, times=USUAL)), "fail", "is asked the same"),
    ({"liveness": {}}, probes(liveness=Probe("exec", detail="['a']", times=USUAL), readiness=Probe("exec", detail="['b']", times=USUAL)), "pass", ""),
    ({"liveness": {}}, probes(liveness=Probe("exec", detail="['a']", times=USUAL), readiness=Probe("exec", detail="['a']", times=USUAL)),
     "fail", "is asked the same"),
    ({"startup": {"presence": "optional"}}, workload(), "unknown", "nothing that is asked for was to be judged among 1 workloads"),
    ({"liveness": {}}, workload(container(is_lasting=False)), "unknown", "nothing that is asked for"),
    ({"liveness": {}, "workloads": ["Deployment/*"]}, workload(container(is_lasting=False)), "unknown", "nothing that is asked for"),
    ({"min_replicas": 2}, workload(), "pass", ""),
    ({"min_replicas": 2}, workload(kind="DaemonSet"), "unknown", "nothing that is asked for"),
    ({"requests": ["cpu"]}, workload(container(requests={"cpu": "2"})), "fail", "request and limit of cpu are 2 and 1"),
    ({"requests": ["cpu"]}, workload(container(requests={"cpu": "1000m"})), "pass", ""),
    ({"limits": ["cpu"]}, workload(container(limits={"cpu": "one"})), "fail", "limits.cpu is one, expected a quantity"),
    ({"security": ["run_as_non_root"]}, workload(container(run_as_user=1000)), "pass", ""),
    ({"security": ["run_as_non_root"]}, workload(container(run_as_user=0)), "fail", "run_as_non_root is not so"),
    ({"security": ["drop_all"]}, workload(container(dropped=("all",))), "fail", "drop_all is not so"),
    ({"image": "tag"}, workload(container(image="r:5000/a/b:1@sha256:" + "a" * 64)), "pass", ""),
    ({"image": "digest"}, workload(container(image="b@sha256:abc")), "fail", "expected a digest"),
    ({"image": "tag"}, workload(container(image="b@sha256:abc")), "fail", "expected a tag"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "seen", "status", "said"), CASES)
def test_a_workload_is_judged(options: dict[str, t.Any], seen: Workload, status: str, said: str) -> None:
    judgement = judged(options, seen)
    assert (judgement.status, said.lower() in judgement.summary.lower()) == (status, True), judgement.summary


def test_what_could_not_be_read_is_unknown_beside_what_passes() -> None:
    judgement = judged({"liveness": {}}, problems=(("x.yaml is not YAML", "Mend it."),))
    assert (judgement.status, judgement.remedy) == ("unknown", "Mend it.")
    assert judged({"liveness": {}}, unknown=("Rollout/api",)).status == "unknown"
    assert judged({"liveness": {}, "accepted_kinds": ["Rollout"]}, unknown=("Rollout/api",)).status == "pass"


@given(st.sampled_from(sorted(TIMES)), st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_a_time_holds_between_its_bounds_and_nowhere_else(name: str, value: int, low: int, high: int) -> None:
    seen = probes(liveness=Probe("exec", detail="x", times={**USUAL, name: value}))
    judgement = judged({"liveness": {f"min_{name}": low, f"max_{name}": high}}, seen)
    assert (judgement.status == "pass") == (low <= value <= high)
