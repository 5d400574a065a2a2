# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Items of the archive's checklist for which its demo has no part, as their user wrote them: GPU, Grafana, Prometheus.

The GPU is the NVML stub, Grafana the stand-in in front of a real Prometheus. The rest of the list meets its faults in
tests/e2e/test_checklist_faults.py.
"""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._clients import nvml
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests import nvml_stub
from tests.integration.test_check_container import GPU, HEALTHY, NVIDIA_SMI, labels
from tests.integration.test_check_grafana import PATIENT, QUEUE, TOKEN, Application, Grafana, dashboard, panel, queue_is
from tests.parts import need_part
from tests.servers import Answer, DemoCa, Docker, HttpServer, Prometheus, await_true

pytestmark = pytest.mark.long

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ablage"
CHECKLIST: dict[str, t.Any] = yaml.safe_load((EXAMPLE / "checklist.yml").read_text(encoding="utf-8"))
Item = dict[str, t.Any]


def templated(value: t.Any, variables: t.Mapping[str, t.Any]) -> t.Any:
    """As Ansible would: what is no text is left as it is, and a text that is one expression becomes its value."""
    if isinstance(value, dict):
        return {name: templated(one, variables) for name, one in value.items()}
    if isinstance(value, list):
        return [templated(one, variables) for one in value]
    return (
        NativeEnvironment().from_string(value).render(variables) if isinstance(value, str) and "{{" in value else value
    )


def written(identity: str, **variables: t.Any) -> Item:
    """An item of the checklist with these variables and its check's defaults."""
    (item,) = [one for one in CHECKLIST["golive_checklist"] if one["id"] == identity]
    (check,) = [name for name in item if name.startswith("check_")]
    defaults = CHECKLIST["golive_checklist_defaults"].get(check, {})
    return {**templated(item, variables), "check": check, "params": templated({**defaults, **item[check]}, variables)}


def found(identity: str, variables: t.Mapping[str, t.Any], **more: t.Any) -> Item:
    """What is found for an item; ``more`` are options that say where the part is."""
    item = written(identity, **variables)
    assert item["when"] is True
    listed = [{"id": identity, "check": item["check"], "params": {**item["params"], **more}, "timeout": 60.0}]
    (finding,) = judge_all(listed, [], timeout_seconds=60, scrub=Scrubber([TOKEN]))
    return finding


def held(finding: Item, status: str, said: str = "") -> None:
    assert (finding["status"], said in finding["summary"]) == (status, True), finding["summary"]


def test_without_their_part_they_are_not_applicable_and_no_other_item_is_like_them() -> None:
    optional = [
        item
        for item in CHECKLIST["golive_checklist"]
        if "ablage_g" in str(item.get("when")) or "prometheus" in str(item.get("when"))
    ]
    names = ["gpu", "gpu-container", "gpu-limit", "gpu-health", "gpu-memory", "dashboards", "alerts", "targets"]
    assert [item["id"] for item in optional] == names
    for item in optional:
        assert (templated(item["when"], {}), bool(item["reason"])) == (False, True)


# ── GPU ──


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., None]:
    """A host with the stub's GPU, whose settings are named as ``used=…``."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml_stub.compiled(tmp_path / "nvml")))
    # This machine's own GPUs are none of the stub's.
    monkeypatch.setattr(nvml, "PCI_DEVICES", str(tmp_path / "bus"))

    def told(**settings: t.Any) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"NVML_STUB_{name.upper()}", str(value))

    return told


@pytest.mark.parametrize(
    ("identity", "settings", "said"),
    [
        ("gpu", {"ecc": 2}, "uncorrected ECC errors is 2, expected at most 0"),
        ("gpu", {"name": "Tesla T4"}, "GPU 0 name is 'Tesla T4'"),
        ("gpu-limit", {"total": 15 * 10**9}, "expected at most 85 %"),
        ("gpu-memory", {"used": 16 * 10**9}, "GPU 0 memory used is 16.0 GB (14.9 GiB), 93.18 % of 17.2 GB"),
    ],
)
def test_the_gpu_of_the_host(gpu: t.Callable[..., None], identity: str, settings: Item, said: str) -> None:
    held(found(identity, {"ablage_gpu": True}), "pass")
    gpu(**settings)
    held(found(identity, {"ablage_gpu": True}), "fail", said)


@pytest.mark.parametrize(
    ("told", "status"), [("gesund", "pass"), ("beeintraechtigt", "warn"), ("kritisch", "fail"), ("?", "unknown")]
)
def test_what_the_archive_says_of_its_gpu(demo_ca: DemoCa, tmp_path: Path, told: str, status: str) -> None:
    issued = demo_ca.issue()
    with HttpServer({"/api/v1/health/gpu-memory": Answer(200, {"status": told})}, tls=issued) as server:
        authority = str(issued.write(tmp_path / "tls").ca)
        variables = {"ablage_gpu": True, "ablage_base_url": server.url, "ablage_ca_file": authority}
        held(found("gpu-health", variables), status)


def test_the_gpu_inside_the_workers_container(docker: Docker, gpu: t.Callable[..., None], tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    docker.compile(NVIDIA_SMI, program, str(nvml_stub.SOURCE))
    image = docker.image("ablage-worker", {"bin/nvidia-smi": program})
    for environment, status, said in (
        ([], "pass", ""),
        (["NVML_STUB_COUNT=0"], "fail", "GPUs is 0, expected at least 1"),
    ):
        config = {"Healthcheck": HEALTHY, "Labels": labels("ablage", "worker"), "Env": environment}
        docker.run("ablage-worker-1", image, {}, **config)
        try:
            docker.await_healthy("ablage-worker-1")
            finding = found("gpu-container", {"ablage_gpu": True}, url=docker.url)
        finally:
            docker.remove("ablage-worker-1")
        held(finding, status, said)
        assert (GPU in str(finding["measured"])) is (status == "pass")


# ── Grafana and Prometheus ──


@pytest.fixture(scope="module")
def application() -> t.Iterator[Application]:
    application = Application()
    yield application
    application.stop()


@pytest.fixture(scope="module")
def prometheus(application: Application) -> t.Iterator[Prometheus]:
    need_part("prometheus", shutil.which("prometheus"))
    backend, worker = application.instances
    rules = [
        {"alert": "Watchdog", "expr": "vector(1)", "labels": {"severity": "none"}},
        {"alert": "Busy", "expr": "queue_length > 1", "labels": {"severity": "info"}},
        {"alert": "QueueGrows", "expr": "queue_length > 100", "labels": {"severity": "critical"}},
    ]
    jobs = {
        name: {"static_configs": [{"targets": [target]}]} for name, target in (("backend", backend), ("worker", worker))
    }
    with Prometheus(jobs=jobs, rules={"archive": rules}) as server:
        await_true(lambda: queue_is(server, 10), seconds=PATIENT, what="the first scrape of both")
        await_true(lambda: "Busy" in firing(server), seconds=PATIENT, what="the alert that nobody minds")
        yield server


def firing(prometheus: Prometheus) -> list[str]:
    return [alert["labels"]["alertname"] for alert in prometheus.api("alerts")["alerts"] if alert["state"] == "firing"]


@pytest.fixture
def monitoring(prometheus: Prometheus) -> t.Iterator[tuple[Grafana, Item]]:
    """Grafana before it, and the variables that the checklist wants of both."""
    with Grafana(Prometheus=("prom-1", "prometheus", prometheus.url)) as server:
        grafana = t.cast("Grafana", server)
        grafana.dashboards["system-overview"] = dashboard(QUEUE)
        grafana.dashboards["ocr-pipeline"] = dashboard(panel("Queue", "queue_length"))
        variables = {"ablage_grafana_url": grafana.url, "ablage_grafana_token": TOKEN}
        yield grafana, {**variables, "ablage_prometheus_url": prometheus.url}


@pytest.mark.parametrize("identity", ["dashboards", "alerts", "targets"])
def test_where_all_is_well_they_pass(monitoring: tuple[Grafana, Item], identity: str) -> None:
    held(found(identity, monitoring[1]), "pass")


def test_a_dashboard_that_is_not_there_or_shows_nothing_fails(monitoring: tuple[Grafana, Item]) -> None:
    grafana, variables = monitoring
    grafana.dashboards["ocr-pipeline"] = dashboard(panel("Pages", "pages_total"))
    held(found("dashboards", variables), "fail", "Pages (no data)")
    del grafana.dashboards["ocr-pipeline"]
    held(found("dashboards", variables), "fail", "ocr-pipeline")


def test_a_queue_that_grows_fires_an_alert_and_is_red(
    monitoring: tuple[Grafana, Item], prometheus: Prometheus, application: Application
) -> None:
    _grafana, variables = monitoring
    application.tells(500)
    try:
        await_true(lambda: firing(prometheus).count("QueueGrows") == 2, seconds=PATIENT, what="the alert of both")
        held(found("alerts", variables), "fail", "2 alerts: QueueGrows")
        await_true(lambda: queue_is(prometheus, 1000), seconds=PATIENT, what="the longer queue")
        held(found("dashboards", variables), "fail", "Queue is 1000, which is red")
    finally:
        application.tells(5)
        await_true(lambda: found("alerts", variables)["status"] == "pass", seconds=PATIENT, what="the alert's end")


def test_a_target_that_is_down_fails(monitoring: tuple[Grafana, Item], application: Application) -> None:
    _grafana, variables = monitoring
    application.servers[1].route("/metrics", Answer(500))
    try:
        await_true(lambda: found("targets", variables)["status"] == "fail", seconds=PATIENT, what="a scrape that fails")
        held(found("targets", variables), "fail", "job worker targets: 0 of 1 up")
    finally:
        application.tells(5)
        await_true(lambda: found("targets", variables)["status"] == "pass", seconds=PATIENT, what="a good scrape")
