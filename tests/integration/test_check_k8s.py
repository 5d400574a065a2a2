# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_k8s over real manifest files."""

from __future__ import annotations

import copy
import json
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_k8s, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._core import deps
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from tests.module_examples import examples_of

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

serves = pytest.mark.serves
Change = t.Callable[[dict[str, t.Any]], None]

#: What `kubectl kustomize` prints of a small service: other kinds first, then the workloads.
PRINTED = """\
apiVersion: v1
kind: Service
metadata: {name: api}
spec:
  ports: [{port: 80, targetPort: http}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: runner}
spec:
  replicas: 2
  template:
    spec:
      securityContext: {runAsNonRoot: true}
      initContainers:
        - name: migrate
          image: registry.example.org/runner/api:1.4.2
          resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 128Mi}}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      containers:
        - name: api
          image: registry.example.org/runner/api:1.4.2
          ports: [{name: http, containerPort: 8000}]
          livenessProbe:
            httpGet: {path: /health, port: 8000}
            periodSeconds: 15
          readinessProbe:
            httpGet: {path: /ready, port: http}
            periodSeconds: 5
          resources: {requests: {cpu: "0.5", memory: 256Mi}, limits: {cpu: 1500m, memory: 5e8}}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: cleanup, namespace: runner}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          containers:
            - name: cleanup
              image: registry.example.org/runner/api:1.4.2
              resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {memory: 64Mi}}
              securityContext: {runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""
LIVENESS = {"path": "/health", "port": 8000}
READINESS = {"path": "/ready", "port": 8000}


def finding(timeout: float = 20.0, **params: t.Any) -> dict[str, t.Any]:
    checked = validated(check_k8s.ARGUMENT_SPEC, params, where="check_k8s", **check_k8s.CONSTRAINTS)
    found = judged(registry.load("check_k8s"), checked, Run(timeout_seconds=timeout))
    json.dumps(found)
    assert "raised" not in found["evidence"], found["summary"]
    return found


def write(folder: Path, text: str, name: str = "all.yaml") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def changed(change: Change) -> str:
    """What is printed, with a change to the container api and its Deployment."""
    documents = list(yaml.safe_load_all(PRINTED))
    change(documents[1])
    return yaml.safe_dump_all(documents)


def api_of(deployment: dict[str, t.Any]) -> t.Any:
    return deployment["spec"]["template"]["spec"]["containers"][0]


@serves("S0.18", case="pass")
def test_a_liveness_probe_asks_health_on_its_port_and_not_what_readiness_asks(tmp_path: Path) -> None:
    found = finding(
        paths=[write(tmp_path, PRINTED)], liveness={**LIVENESS, "max_period_seconds": 20, "min_failure_threshold": 3}
    )
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["Deployment/api api livenessProbe"] == "httpGet /health port 8000"
    assert (
        found["measured"]["Deployment/api api probes differ"]
        == "httpGet /health port 8000 and httpGet /ready port http"
    )
    probe = found["evidence"]["containers"][0]["probes"]["liveness"]
    assert (probe["period_seconds"], probe["failure_threshold"], probe["timeout_seconds"]) == (15, 3, 1)


@serves("S0.18", case="fail")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: api_of(d).pop("livenessProbe"), "Deployment/api api has no livenessProbe"),
        (lambda d: api_of(d)["livenessProbe"]["httpGet"].update(path="/healthz"), "livenessProbe path is /healthz, expected /health"),
        (lambda d: api_of(d)["livenessProbe"]["httpGet"].update(port=8080), "livenessProbe port is 8080, expected 8000"),
        (lambda d: api_of(d)["livenessProbe"]["httpGet"].update(port="web"), "asks port 'web', which is no port of the container"),
        (lambda d: api_of(d)["livenessProbe"].pop("httpGet"), "livenessProbe is without a handler, expected httpGet"),
        (lambda d: api_of(d).update(livenessProbe={"exec": {"command": ["true"]}}), "livenessProbe is exec, expected httpGet"),
        (lambda d: api_of(d)["livenessProbe"].update(failureThreshold=1), "failureThreshold is 1, expected at least 3"),
        (lambda d: api_of(d)["livenessProbe"].update(periodSeconds=60), "periodSeconds is 60, expected at most 20"),
        (lambda d: api_of(d)["readinessProbe"]["httpGet"].update(path="/health"), "is asked the same for liveness and readiness"),
    ],
)  # fmt: skip
def test_a_liveness_probe_that_is_another_or_readiness_fails(tmp_path: Path, change: Change, said: str) -> None:
    liveness = {**LIVENESS, "max_period_seconds": 20, "min_failure_threshold": 3}
    found = finding(paths=[write(tmp_path, changed(change))], liveness=liveness)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


@serves("S0.19", case="pass")
def test_a_readiness_probe_asks_ready_on_its_port_by_number_or_name(tmp_path: Path) -> None:
    found = finding(paths=[write(tmp_path, PRINTED)], readiness={**READINESS, "max_period_seconds": 5}, min_replicas=2)
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["Deployment/api api readinessProbe port"] == "http (8000)"
    assert found["measured"]["Deployment/api replicas"] == 2


@serves("S0.19", case="fail")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: api_of(d).pop("readinessProbe"), "Deployment/api api has no readinessProbe"),
        (lambda d: api_of(d)["readinessProbe"]["httpGet"].update(path="/health"), "readinessProbe path is /health, expected /ready"),
        (lambda d: api_of(d)["ports"][0].update(containerPort=9000), "readinessProbe port is http (9000), expected 8000"),
        (lambda d: api_of(d)["readinessProbe"].pop("periodSeconds"), "readinessProbe periodSeconds is 10, expected at most 5"),
        (lambda d: d["spec"].update(replicas=1), "Deployment/api replicas is 1, expected at least 2"),
        (lambda d: d["spec"].pop("replicas"), "Deployment/api replicas is 1, expected at least 2"),
    ],
)  # fmt: skip
def test_a_readiness_probe_that_is_another_fails(tmp_path: Path, change: Change, said: str) -> None:
    readiness = {**READINESS, "max_period_seconds": 5}
    found = finding(paths=[write(tmp_path, changed(change))], readiness=readiness, min_replicas=2)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


@pytest.mark.parametrize(
    ("options", "change", "said"),
    [
        ({"same_probe": "allowed", "liveness": {}}, lambda d: api_of(d)["readinessProbe"]["httpGet"].update(path="/health"), ""),
        ({"liveness": {"presence": "optional"}, "readiness": {}}, lambda d: api_of(d).pop("livenessProbe"), ""),
        ({"liveness": {}}, lambda d: api_of(d)["livenessProbe"].update(tcpSocket={"port": "http"}, httpGet=None), ""),
        ({"startup": {}}, lambda d: None, "has no startupProbe"),
        ({"startup": {"max_failure_threshold": 30}}, lambda d: api_of(d).update(startupProbe={"grpc": {"port": 8000}, "failureThreshold": 60}),
         "startupProbe failureThreshold is 60, expected at most 30"),
        ({"requests": ["cpu", "memory"], "limits": ["memory"]}, lambda d: None, ""),
        ({"limits": ["cpu"]}, lambda d: None, "CronJob/cleanup cleanup limits.cpu is absent"),
        ({"requests": ["memory"]}, lambda d: api_of(d)["resources"].pop("requests"), ""),
        ({"requests": ["memory"]}, lambda d: api_of(d).pop("resources"), "Deployment/api api requests.memory is absent"),
        ({"limits": ["memory"]}, lambda d: api_of(d)["resources"]["limits"].update(memory="256MB"), "limits.memory is 256MB, expected a quantity"),
        ({"limits": ["memory"]}, lambda d: api_of(d)["resources"]["requests"].update(memory="0.5Gi"), "request and limit of memory are 0.5Gi and 5e8"),
        ({"limits": ["memory"]}, lambda d: api_of(d)["resources"]["limits"].update(memory=0), "limits.memory is 0, expected a quantity above 0"),
        ({"security": ["run_as_non_root", "no_escalation", "drop_all", "not_privileged"]}, lambda d: None, ""),
        ({"security": ["run_as_non_root"]}, lambda d: api_of(d)["securityContext"].update(runAsNonRoot=False),
         "api run_as_non_root is not so, expected runAsNonRoot: true"),
        ({"security": ["run_as_non_root"]}, lambda d: api_of(d)["securityContext"].update(runAsUser=0), "run_as_non_root is not so"),
        ({"security": ["no_escalation"]}, lambda d: api_of(d).pop("securityContext"), "api no_escalation is not so"),
        ({"security": ["read_only_root"]}, lambda d: None, "read_only_root is not so"),
        ({"security": ["not_privileged"]}, lambda d: api_of(d)["securityContext"].update(privileged=True), "not_privileged is not so"),
        ({"security": ["drop_all"]}, lambda d: api_of(d)["securityContext"]["capabilities"].update(drop=["NET_RAW"]), "drop_all is not so"),
        ({"security": ["no_host_namespaces"]}, lambda d: d["spec"]["template"]["spec"].update(hostNetwork=True, hostPID=True),
         "no_host_namespaces is hostNetwork, hostPID"),
        ({"security": ["no_host_path"]}, lambda d: d["spec"]["template"]["spec"].update(volumes=[{"name": "v", "hostPath": {"path": "/var/run"}}]),
         "no_host_path is /var/run"),
        ({"image": "tag"}, lambda d: None, ""),
        ({"image": "digest"}, lambda d: None, "image is registry.example.org/runner/api:1.4.2, expected a digest"),
        ({"image": "tag"}, lambda d: api_of(d).update(image="host:5000/api"), "image is host:5000/api, expected a tag that is not latest"),
        ({"image": "tag"}, lambda d: api_of(d).update(image="api:latest"), "image is api:latest"),
        ({"image": "tag"}, lambda d: api_of(d).pop("image"), "image is absent"),
        ({"image": "digest", "workloads": ["Deployment/*"], "containers": ["api"]}, lambda d: api_of(d).update(image="api@sha256:" + "0" * 64), ""),
        ({"liveness": {}, "workloads": ["Deployment/api", "Deployment/worker"]}, lambda d: None,
         "No workload Deployment/worker is in the manifests, which hold Deployment/api, CronJob/cleanup"),
    ],
)  # fmt: skip
def test_what_is_asked_is_judged(tmp_path: Path, options: dict[str, t.Any], change: Change, said: str) -> None:
    found = finding(paths=[write(tmp_path, changed(change))], **options)
    assert (found["status"], said in found["summary"]) == ("fail" if said else "pass", True), found["summary"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing that is asked for was to be judged among 0 workloads in 1 files"),
        ("---\n---\n", "among 0 workloads"),
        (PRINTED.partition("---")[0], "among 0 workloads"),
        (PRINTED[PRINTED.index("apiVersion: batch") :], "among 1 workloads"),
        ("a: [1\n", "All.yaml is not YAML (line 2)"),
        ("plain text\n", "All.yaml (line 1) is no mapping"),
        ("resources: [api.yaml]\n", "is no Kubernetes object: it has no kind or no apiVersion"),
        (PRINTED.replace("replicas: 2", "replicas: {{ .Values.replicas }}"), "it holds a template that was not rendered"),
        (PRINTED.replace("runner/api:1.4.2", "runner/api:{{ .Chart.AppVersion }}"), "holds a template that was not rendered"),
        ("{{- if .Values.enabled }}\n" + PRINTED + "{{- end }}\n", "it holds a template that was not rendered"),
        (PRINTED.replace("  replicas: 2\n", "  replicas: 2\n  replicas: 3\n"), "has the key 'replicas' twice (line 12)"),
        (PRINTED.replace("kind: Deployment", "kind: Deploymnet"), "of a kind that is not known here: Deploymnet/api"),
        (PRINTED.replace("apps/v1\nkind: Deployment", "argoproj.io/v1alpha1\nkind: Rollout"), "not known here: Rollout/api"),
        (PRINTED.replace("periodSeconds: 15", "periodSeconds: soon"), "periodSeconds is 'soon', expected a whole number"),
        (PRINTED.replace("runAsNonRoot: true}\n      init", "runAsNonRoot: true}\n      volumes: 3\n      init"), "volumes is no list"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {}\n", "Pod/p has no containers"),
        ("a: &a [1]\nb: !!python/object/apply:os.getcwd []\n", "is not YAML (line 2): could not determine a constructor"),
        ("a: &a\n  b: *a\n", "holds a part of itself"),
        ("d: 2026-13-45\n", "has a value that cannot be read"),
        ("[" * 600 + "]" * 600, "is nested too deeply to be read"),
        ("[" * 100_000, "is nested too deeply to be read"),
        ("\n".join(["l0: &l0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"] + [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9)]),
         "more than 1000000 values once its aliases are followed"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_unknown_and_says_why(tmp_path: Path, text: str, said: str) -> None:
    found = finding(paths=[write(tmp_path, text)], liveness={})
    assert (found["status"], said.lower() in found["summary"].lower()) == ("unknown", True), found["summary"]


def test_a_kind_that_is_accepted_or_runs_nothing_hides_no_other(tmp_path: Path) -> None:
    rollout = PRINTED.replace("apps/v1\nkind: Deployment", "argoproj.io/v1alpha1\nkind: Rollout")
    certificate = "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: c}\n---\n"
    path = write(tmp_path, certificate + rollout + "---\n" + PRINTED)
    assert finding(paths=[path], liveness={})["status"] == "unknown"
    found = finding(paths=[path], liveness={}, accepted_kinds=["Rollout"])
    assert (found["status"], found["evidence"]["unknown_kinds"]) == ("pass", ["Rollout/api"])


def test_directories_lists_patterns_and_json_are_read_and_one_broken_file_is_told(tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all(PRINTED))
    folder = tmp_path / "deploy" / "base"
    folder.mkdir(parents=True)
    (folder / ".git").mkdir()
    write(folder / ".git", "a: [", "hidden.yaml")
    write(folder, "no manifest", "README.md")
    write(folder, json.dumps({"apiVersion": "v1", "kind": "List", "items": documents[:2]}), "list.json")
    write(folder, yaml.safe_dump(documents[2]), "job.yml")
    found = finding(paths=[str(tmp_path / "deploy")], liveness=LIVENESS, readiness=READINESS)
    assert found["status"] == "pass", found["summary"]
    assert [Path(path).name for path in found["evidence"]["files"]] == ["job.yml", "list.json"]
    assert finding(paths=[str(folder / "*.json"), str(folder / "list.json")], liveness=LIVENESS)["status"] == "pass"
    write(folder, "a: [", "broken.yaml")
    broken = finding(paths=[str(tmp_path / "deploy")], liveness=LIVENESS)
    assert (broken["status"], "broken.yaml is not YAML" in broken["summary"]) == ("unknown", True)


def test_what_is_not_there_too_large_or_too_slow_is_unknown(tmp_path: Path) -> None:
    for path, said in ((str(tmp_path / "none.yaml"), "cannot be read"), (str(tmp_path), "holds no manifest")):
        found = finding(paths=[path], liveness={})
        assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]
    path = write(tmp_path, PRINTED)
    assert "more than the 100 that are read" in finding(paths=[path], liveness={}, max_size="100B")["summary"]
    slow = finding(timeout=0.0, paths=[path], liveness={})
    assert (slow["status"], "Reading the manifests did not end" in slow["summary"]) == ("unknown", True)


def test_an_autoscaler_says_how_many_there_are_and_a_lone_pod_is_one(tmp_path: Path) -> None:
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "api", "namespace": "runner"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "api"}, "minReplicas": 3, "maxReplicas": 9},
    }
    path = write(tmp_path, PRINTED + "---\n" + yaml.safe_dump(scaler))
    assert finding(paths=[path], min_replicas=3)["status"] == "pass"
    assert finding(paths=[path], min_replicas=4)["status"] == "fail"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}}
    lone = write(tmp_path, yaml.safe_dump(pod), "pod.yaml")
    assert "Pod/p replicas is 1" in finding(paths=[lone], min_replicas=2)["summary"]
    ending = copy.deepcopy(pod)
    ending["spec"].update(restartPolicy="Never")  # type: ignore[attr-defined]  # a mapping
    assert finding(paths=[write(tmp_path, yaml.safe_dump(ending), "pod.yaml")], liveness={})["status"] == "unknown"


def test_a_sidecar_lasts_and_a_missing_container_is_unknown(tmp_path: Path) -> None:
    def as_sidecar(deployment: dict[str, t.Any]) -> None:
        deployment["spec"]["template"]["spec"]["initContainers"][0]["restartPolicy"] = "Always"

    path = write(tmp_path, changed(as_sidecar))
    assert "Deployment/api migrate has no livenessProbe" in finding(paths=[path], liveness={})["summary"]
    found = finding(paths=[path], liveness={}, workloads=["Deployment/api"], containers=["web"])
    assert (found["status"], "Deployment/api has no container web" in found["summary"]) == ("unknown", True)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "nothing would be judged"),
        ({"requests": []}, "requests is empty"),
        ({"workloads": [], "liveness": {}}, "workloads is empty"),
        ({"liveness": {"min_period_seconds": 9, "max_period_seconds": 3}}, "so nothing could hold"),
        ({"min_replicas": 0}, "min_replicas is 0"),
        ({"liveness": {}, "max_size": "1GB"}, "at most 16MiB"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_so(tmp_path: Path, params: dict[str, t.Any], said: str) -> None:
    found = finding(paths=[write(tmp_path, PRINTED)], **params)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


def test_without_the_library_it_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(deps.FLOORS, "yaml", ("PyYAML", "999.0"))
    found = finding(paths=[write(tmp_path, PRINTED)], liveness={})
    assert (found["status"], "PyYAML is" in found["summary"]) == ("unknown", True), found["summary"]


def test_a_file_that_is_not_yaml_shows_nothing_of_itself(tmp_path: Path, run_module: ModuleRun) -> None:
    secret = "manifest-secret-81c2f0a7"
    path = write(tmp_path, f"apiVersion: v1\nkind: Secret\nstringData: {{password: [{secret}\n")
    found = run_module("check_k8s", {"paths": [path], "liveness": {}, "enforce": False}, secrets=[secret])["finding"]
    assert found["status"] == "unknown"
    kept = write(
        tmp_path, f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{a: {secret}}}\n---\n{PRINTED}"
    )
    assert run_module("check_k8s", {"paths": [kept], "liveness": {}}, secrets=[secret])["finding"]["status"] == "pass"


def test_the_examples_run_and_tell_good_from_bad(tmp_path: Path, run_module: ModuleRun) -> None:
    examples = examples_of("check_k8s", {"/srv/runner/deploy/manifests": str(tmp_path)}).values()

    def statuses() -> list[str]:
        return [run_module("check_k8s", {**args, "enforce": False})["finding"]["status"] for args in examples]

    write(tmp_path, PRINTED)
    assert statuses() == ["pass", "pass"]
    write(tmp_path, PRINTED.replace("path: /health", "path: /ready").replace("1.4.2", "latest"))
    assert statuses() == ["fail", "fail"]
