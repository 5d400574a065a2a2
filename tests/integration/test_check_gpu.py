# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_gpu through the real pynvml, over an NVML of our own: no GPU is needed, and each way of being broken can be had."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_gpu, check_http, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._clients import nvml, nvml_reading
from ansible_collections.opsready.golive.plugins.module_utils._core import deps
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Clock
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Denied, Unreachable
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared
from tests import nvml_stub
from tests.module_examples import examples_of
from tests.servers import Answer, HttpServer

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

serves = pytest.mark.serves
STUB = "NVML stub"
ALL_ERRORS = ["ecc", "retired_pages", "row_remap", "recovery", "throttle", "nvlink", "fabric", "xid"]
DRIVER = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Tue Jan 21 20:16:06 UTC 2025\nGCC version:  gcc 13\n"
)
Judge = t.Callable[..., dict[str, t.Any]]


class Later(Clock):
    """A host that runs for a day at least, whatever this one does."""

    def monotonic(self) -> float:
        return super().monotonic() + 86400.0


def finding(timeout: float = 20.0, shared: Shared | None = None, **params: t.Any) -> dict[str, t.Any]:
    checked = validated(check_gpu.ARGUMENT_SPEC, params, where="check_gpu", **check_gpu.CONSTRAINTS)
    found = judged(registry.load("check_gpu"), checked, Run(timeout_seconds=timeout, shared=shared, clock=Later()))
    json.dumps(found)
    return found


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("nvml")
    return {
        "new": nvml_stub.compiled(folder / "new"),
        "old": nvml_stub.compiled(folder / "old", old_driver=True),
    }


@pytest.fixture
def gpu(libraries: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Judge:
    """Judge the stub's GPUs. Its settings are named as ``temperature=95``, for one GPU of several ``temperature_1=95``."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(libraries["new"]))
    log = tmp_path / "kmsg"
    log.write_text("6,0,0,-;Linux version\n")
    monkeypatch.setattr(nvml, "KERNEL_LOG", str(log))
    # This machine's own GPUs are none of the stub's.
    monkeypatch.setattr(nvml, "PCI_DEVICES", str(tmp_path / "bus"))
    monkeypatch.setattr(nvml, "KERNEL_DRIVER", str(tmp_path / "driver"))
    monkeypatch.setenv("NVML_STUB_LIBRARY", "12.570.86.15")

    def judge(settings: t.Mapping[str, t.Any] | None = None, **params: t.Any) -> dict[str, t.Any]:
        for name, value in (settings or {}).items():
            monkeypatch.setenv(f"NVML_STUB_{name.upper()}", str(value))
        return finding(**params)

    return judge


def log_of(folder: Path, *records: tuple[int, float, str], first: int = 0) -> None:
    """A kernel log: number, age in seconds and text of each record."""
    now = Later().monotonic()
    lines = [f"4,{first + number},{max(0, int((now - age) * 1e6))},-;{text}\n" for number, age, text in records]
    (folder / "kmsg").write_text("".join(lines))


@serves("S1.23", case="pass", stand_in=STUB)
def test_a_gpu_that_is_there_and_without_errors_passes_and_all_that_it_tells_is_evidence(
    gpu: Judge, tmp_path: Path
) -> None:
    (tmp_path / "driver").write_text(DRIVER)
    found = gpu(
        {"pid": os.getpid()},
        count=1,
        name="RTX 4080",
        min_driver="535",
        min_memory_total="16GB",
        min_memory_free="13.6GB",
        max_temperature=80,
        max_utilization_percent=50,
        max_power_watts=400,
        min_power_limit_watts=300,
        no_errors=ALL_ERRORS,
        mig="disabled",
        min_nvlinks=4,
        required_processes=["py"],
        allowed_processes=["py"],
    )
    assert found["status"] == "pass", found["summary"]
    evidence = found["evidence"]
    assert (evidence["driver"], evidence["cuda"], evidence["count"], evidence["xids"]) == ("570.86.15", "12.8", 1, [])
    assert (evidence["library"], evidence["kernel_driver"]) == ("570.86.15", "570.86.15")
    told = evidence["gpus"][0]
    assert told["uuid"] == "GPU-00000000-0000-0000-0000-000000000000"
    assert told["memory"]["total"] == 16376 * 2**20
    assert (told["temperature"], told["throttle_reasons"], told["recovery_action"]) == (41, 1, 0)
    assert (told["ecc_uncorrected"], told["retired_pages"], told["row_remap"]["failed"]) == (0, 0, 0)
    assert told["pci"] == "00000000:01:00.0"
    assert (told["mig"], told["mig_instances"]) == ({"current": False, "pending": False}, [])
    assert told["nvlink"] == {"up": [0, 1, 2, 3], "down": [], "not_told": []}
    assert told["fabric"] == {"state": 3, "problem": None, "health_mask": 0}
    assert [process["pid"] for process in told["processes"]] == [os.getpid()]
    assert told["not_known"] == {}


@serves("S1.23", case="fail", stand_in=STUB)
@pytest.mark.parametrize(
    ("settings", "params", "said"),
    [
        ({"count": 0}, {}, "Number of GPUs is 0, expected at least 1"),
        ({"count": 1}, {"count": 2}, "Number of GPUs is 1, expected 2"),
        ({"lost": 1}, {}, "GPU 0 is lost"),
        ({"lost_later": 1}, {}, "GPU 0 is lost"),
        ({"count": 2, "lost_1": 1}, {"count": 2}, "GPU 1 is lost"),
        ({"name": "Tesla T4"}, {"name": "RTX 4080"}, "GPU 0 name is 'Tesla T4'"),
        ({"driver": "470.9"}, {"min_driver": "535"}, "Driver is 470.9, expected at least 535"),
        ({"temperature": 95}, {"max_temperature": 80}, "temperature is 95 °C, expected at most 80 °C"),
        ({"utilization": 99}, {"max_utilization_percent": 5}, "utilisation is 99 %"),
        ({"milliwatts": 410000}, {"max_power_watts": 400}, "power is 410 W"),
        ({"limit_milliwatts": 200000}, {"min_power_limit_watts": 300}, "power limit is 200 W, expected at least 300 W"),
        ({"ecc": 2}, {"no_errors": ["ecc"]}, "uncorrected ECC errors is 2, expected at most 0"),
        ({"retired_pending": 1}, {"no_errors": ["retired_pages"]}, "retired pages is waiting for a reboot"),
        ({"remap_pending": 1}, {"no_errors": ["row_remap"]}, "row remapping is pending, expected none pending"),
        ({"remap_failed": 1}, {"no_errors": ["row_remap"]}, "row remapping is failed"),
        ({"recovery": 2}, {"no_errors": ["recovery"]}, "recovery action is reboot the host"),
        ({"recovery": 77}, {"no_errors": ["recovery"]}, "recovery action is action 77"),
        ({"throttle": 0x41}, {"no_errors": ["throttle"]}, "slowdown is hardware thermal slowdown, expected none"),
        ({"links_down": 0b0110}, {"no_errors": ["nvlink"]}, "GPU 0 NVLinks are down: 1, 2"),
        ({"links_down": 0b0110}, {"min_nvlinks": 3}, "GPU 0 active NVLinks is 2, expected at least 3"),
        ({"fabric": 1, "fabric_health": 0x11}, {"no_errors": ["fabric"]}, "fabric is not started, degraded bandwidth"),
        ({"fabric_status": 999}, {"no_errors": ["fabric"]}, "GPU 0 fabric is completed, Unknown"),
        ({"mig": 1}, {"mig": "disabled"}, "GPU 0 MIG mode is enabled, expected disabled"),
        (
            {"mig": 1, "profiles": "1g.5gb - 1g.5gb"},
            {"mig_instances": ["3g.20gb", "1g.5gb"]},
            "MIG instances is 1g.5gb, 1g.5gb, expected 1g.5gb, 3g.20gb",
        ),
        ({"pid": 1}, {"allowed_processes": ["no such program"]}, "foreign processes is"),
        ({}, {"required_processes": ["celery"]}, "processes of /celery/ is 0, expected at least 1"),
        ({}, {"devices": ["3"]}, "GPU 3 is absent"),
        ({}, {"devices": ["GPU-ffff"]}, "GPU GPU-ffff is absent"),
    ],
)
def test_each_way_of_being_broken_fails(
    gpu: Judge, settings: dict[str, t.Any], params: dict[str, t.Any], said: str
) -> None:
    found = gpu(settings, **params)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


def health(server: HttpServer, shared: Shared) -> dict[str, t.Any]:
    """What the application says of its GPU."""
    params = {
        "url": f"{server.url}/health/gpu-memory",
        "json": [{"path": "$.status", "equals": "gesund"}, {"path": "$.used_bytes", "at_most": 0.85 * 16376 * 2**20}],
    }
    checked = validated(check_http.ARGUMENT_SPEC, params, where="check_http", **check_http.CONSTRAINTS)
    return judged(registry.load("check_http"), checked, Run(timeout_seconds=20.0, shared=shared))


@serves("S1.43", case="pass", stand_in=STUB)
def test_what_the_application_says_of_its_gpu_stands_beside_what_nvml_says(gpu: Judge, http_server: HttpServer) -> None:
    http_server.route("/health/gpu-memory", Answer(200, {"status": "gesund", "used_bytes": 2**30}))
    shared = Shared()
    said, found = health(http_server, shared), gpu(count=1, max_memory_used_percent=85, shared=shared)
    assert (said["status"], found["status"]) == ("pass", "pass"), (said["summary"], found["summary"])
    assert f"{http_server.url}/health/gpu-memory $.used_bytes (at most)" in said["measured"]
    assert found["measured"]["GPU 0 memory used"].startswith("1.1 GB (1.0 GiB), 6.25 %")


@serves("S1.43", case="fail", stand_in=STUB)
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"count": 0}, "Number of GPUs is 0, expected 1"),
        ({"lost": 1}, "GPU 0 is lost"),
        ({"used": 16 * 10**9}, "GPU 0 memory used is 16.0 GB (14.9 GiB), 93.18 % of 17.2 GB"),
    ],
)
def test_an_application_that_calls_itself_well_without_a_gpu_does_not_decide(
    gpu: Judge, http_server: HttpServer, settings: dict[str, t.Any], said: str
) -> None:
    http_server.route("/health/gpu-memory", Answer(200, {"status": "gesund", "used_bytes": 0}))
    shared = Shared()
    assert health(http_server, shared)["status"] == "pass"
    found = gpu(settings, count=1, max_memory_used_percent=85, shared=shared)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


@serves("S1.19", case="pass", stand_in=STUB)
def test_a_memory_limit_leaves_room_on_the_device(gpu: Judge) -> None:
    """That it is the same in the file and in all containers, test_check_env sees."""
    found = gpu(memory_limit="13.6GB", max_memory_limit_percent=85)
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["GPU 0 memory limit"] == "13.6 GB (12.7 GiB), 79.20 % of 17.2 GB (16.0 GiB)"
    assert found["evidence"]["gpus"][0]["memory"]["total"] == 16376 * 2**20


@serves("S1.19", case="fail", stand_in=STUB)
def test_a_memory_limit_that_the_device_cannot_give_fails(gpu: Judge) -> None:
    """A card that is sold with 16 GB has 16376 MiB; the limit of 13.6 is of GB, and as GiB it is too much."""
    found = gpu(memory_limit="13.6GiB", max_memory_limit_percent=85)
    assert found["status"] == "fail"
    assert "14.6 GB (13.6 GiB), 85.04 % of 17.2 GB (16.0 GiB), expected at most 85 %" in found["summary"]


@pytest.mark.parametrize(
    "settings", [{"remap_pending": 1}, {"ecc": 2}, {"temperature": 85}, {"throttle": 0x40}, {"persistence": 0}]
)
def test_what_was_not_asked_for_is_evidence_only(gpu: Judge, settings: dict[str, t.Any]) -> None:
    assert gpu(settings)["status"] == "pass"


@pytest.mark.parametrize(
    ("settings", "params", "status", "said"),
    [
        ({}, {"min_cuda": "12.2", "persistence": "required"}, "pass", ""),
        ({"cuda": 12020}, {"min_cuda": "12.2"}, "pass", ""),
        ({"cuda": 11080}, {"min_cuda": "12.2"}, "fail", "CUDA of the driver is 11.8, expected at least 12.2"),
        ({"temperature": 87}, {}, "pass", ""),
        ({"temperature": 88}, {}, "warn", "before slowdown is 88 °C, expected more than 5 K below the 93 °C"),
        ({"temperature": 93}, {}, "fail", "before slowdown is 93 °C, expected more than 5 K below the 93 °C"),
        ({"temperature": 84, "slowdown": 84}, {"watch": "0.1s"}, "fail", "below the 84 °C"),
        ({"width": 8}, {}, "warn", "GPU 0 PCIe width is x8, expected x16"),
        ({"persistence": 0}, {"persistence": "required"}, "warn", "GPU 0 persistence mode is off, expected on"),
    ],
)
def test_cuda_the_way_to_slowdown_the_width_of_its_link_and_persistence_are_judged(
    gpu: Judge, settings: dict[str, t.Any], params: dict[str, t.Any], status: str, said: str
) -> None:
    found = gpu(settings, **params)
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]
    assert found["measured"]["GPU 0 PCIe width"] == ("x8" if "width" in settings else "x16")


def test_what_a_model_does_not_tell_is_no_failure_and_unknown_where_it_is_asked_for(gpu: Judge) -> None:
    untold = {"untold": 3, "temperature": 95, "width": 8}
    found = gpu(untold)
    assert (found["status"], list(found["measured"])) == ("pass", ["number of GPUs", "GPU 0"]), found["summary"]
    asked = gpu(untold, persistence="required")
    assert (asked["status"], "persistence mode is not known: this model" in asked["summary"]) == ("unknown", True)
    cuda = gpu(untold, min_cuda="12.2")
    assert (cuda["status"], "CUDA of the driver could not be judged" in cuda["summary"]) == ("unknown", True), cuda


def test_only_the_devices_that_are_named_are_judged(gpu: Judge) -> None:
    settings = {"count": 2, "temperature_1": 95}
    assert gpu(settings, max_temperature=80)["status"] == "fail"
    for devices in (["0"], ["GPU-00000000-0000-0000-0000-000000000000"], ["0", "0"]):
        assert gpu(settings, max_temperature=80, devices=devices)["status"] == "pass"
    assert "GPU 1 temperature is 95" in gpu(settings, max_temperature=80, devices=["1"])["summary"]


@pytest.mark.parametrize(
    ("used", "params", "status", "said"),
    [
        (2**30, {"min_memory_total": "16GB"}, "pass", ""),
        # The box says 16 GB, and the card has 16376 MiB: of 16 GiB it falls short.
        (2**30, {"min_memory_total": "16GiB"}, "fail", "memory total is 17.2 GB (16.0 GiB), expected at least 17.2 GB"),
        (10 * 2**30, {"min_memory_free": "8GB"}, "fail", "memory free is 6.1 GB (5.7 GiB), expected at least 8.0 GB"),
        (14 * 10**9, {"max_memory_used_percent": 85}, "pass", ""),
        (15 * 10**9, {"max_memory_used_percent": 85}, "fail", "87.35 % of 17.2 GB (16.0 GiB), expected at most 85 %"),
        (0, {"memory_limit": "13.6GB", "max_memory_limit_percent": 85}, "pass", ""),
        (0, {"memory_limit": "13.6GiB", "max_memory_limit_percent": 85}, "fail", "85.04 % of 17.2 GB"),
        (0, {"memory_limit": "16GiB"}, "fail", "expected at most 100 %"),
    ],
)
def test_memory_is_judged_in_bytes_with_its_units_said(
    gpu: Judge, used: int, params: dict[str, t.Any], status: str, said: str
) -> None:
    found = gpu({"used": used}, **params)
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


@serves("S1.54", case="pass", stand_in=STUB)
def test_memory_below_its_bound_for_as_long_as_it_was_watched_passes(gpu: Judge) -> None:
    found = gpu({"pid": os.getpid(), "used": 9 * 10**9}, watch="1.2s", max_memory_used_percent=85)
    assert found["status"] == "pass", found["summary"]
    told = found["evidence"]["gpus"][0]
    assert (told["memory"]["used"], told["memory"]["total"], told["looks"] >= 2) == (9 * 10**9, 16376 * 2**20, True)
    assert told["processes"][0]["used_bytes"] == 9 * 10**9
    assert "52.41 %" in found["measured"]["GPU 0 memory used"]


@serves("S1.54", case="fail", stand_in=STUB)
def test_a_peak_while_it_is_watched_fails_though_it_is_over_by_then(gpu: Judge) -> None:
    settings = {"used": 10**9, "peak_used": 16 * 10**9}
    assert gpu(settings, max_memory_used_percent=85)["status"] == "pass"
    found = gpu(settings, watch="1.2s", max_memory_used_percent=85)
    assert (found["status"], "16.0 GB (14.9 GiB), 93.18 %" in found["summary"]) == ("fail", True), found["summary"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"no_errors": ["row_remap"]}, "row remapping is not known: the driver is too old to tell"),
        ({"no_errors": ["recovery"]}, "recovery action is not known: the driver is too old to tell"),
        ({"no_errors": ["fabric"]}, "fabric is not known: the driver is too old to tell"),
        ({"min_nvlinks": 1}, "active NVLinks is not known: the driver is too old to tell"),
        ({"mig": "disabled"}, "MIG mode is not known: the driver is too old to tell"),
        ({"mig_instances": ["1g.5gb"]}, "MIG instances is not known: the driver is too old to tell"),
        ({}, ""),
        ({"no_errors": ["throttle", "ecc"], "min_memory_free": "1GB", "max_temperature": 80}, ""),
    ],
)
def test_an_old_driver_leaves_only_what_it_lacks_unknown(
    gpu: Judge, libraries: dict[str, Path], monkeypatch: pytest.MonkeyPatch, params: dict[str, t.Any], said: str
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(libraries["old"]))
    found = gpu(**params)
    assert (found["status"], said in found["summary"]) == ("unknown" if said else "pass", True), found["summary"]


@pytest.mark.parametrize("kind", ["ecc", "retired_pages", "row_remap", "recovery", "nvlink", "fabric"])
def test_what_a_model_does_not_measure_is_unknown_where_it_is_asked_for(gpu: Judge, kind: str) -> None:
    found = gpu({"geforce": 1}, no_errors=[kind])
    assert (found["status"], "this model does not tell" in found["summary"]) == ("unknown", True), found["summary"]
    assert gpu({"geforce": 1}, no_errors=["throttle"])["status"] == "pass"


@pytest.mark.parametrize(
    ("settings", "params", "said"),
    [
        ({"geforce": 1}, {"mig": "disabled"}, "MIG mode is not known: this model does not tell"),
        ({"links": 0}, {"min_nvlinks": 1}, "active NVLinks is not known: this model does not tell"),
        ({"links_untold": 0b0100}, {"no_errors": ["nvlink"]}, "GPU 0 NVLinks are not known: no state is told of 2"),
        ({"fabric": 0}, {"no_errors": ["fabric"]}, "fabric is not known: this model does not tell"),
        ({"mig": 1, "profiles": "unnamed"}, {"mig_instances": ["1g.5gb"]}, "one does not tell its profile"),
    ],
)
def test_links_fabric_and_partitions_that_are_not_told_never_pass_where_they_are_asked_for(
    gpu: Judge, settings: dict[str, t.Any], params: dict[str, t.Any], said: str
) -> None:
    found = gpu(settings, **params)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


def test_a_gpu_that_is_partitioned_as_expected_passes_and_one_that_waits_for_it_is_a_warning(gpu: Judge) -> None:
    settings = {"mig": 1, "profiles": "3g.20gb - 1g.5gb"}
    found = gpu(settings, mig="enabled", mig_instances=["1g.5gb", "3g.20gb"])
    assert (found["status"], found["measured"]["GPU 0 MIG instances"]) == ("pass", "1g.5gb, 3g.20gb"), found["summary"]
    found = gpu({"mig_pending": 0}, mig="enabled")
    assert (found["status"], "is enabled, disabled after a reset" in found["summary"]) == ("warn", True)


def test_without_an_expectation_links_fabric_and_partitions_are_evidence_only(gpu: Judge) -> None:
    """A card without its bridge, and one that nobody joined to a fabric, may be meant so."""
    found = gpu({"links_down": 0b1111, "fabric": 2, "mig_pending": 1})
    assert found["status"] == "pass", found["summary"]
    told = found["evidence"]["gpus"][0]
    assert (told["nvlink"]["down"], told["fabric"]["state"], told["mig"]["pending"]) == ([0, 1, 2, 3], 2, True)
    told = gpu({"geforce": 1})["evidence"]["gpus"][0]["not_known"]
    assert {told[name] for name in ("nvlink", "fabric", "mig", "mig_instances")} == {"NotSupported"}


def test_a_library_of_another_version_than_the_loaded_driver_fails(gpu: Judge, tmp_path: Path) -> None:
    open_driver = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build  (root@host)\n"
    (tmp_path / "driver").write_text(open_driver)
    said = "Driver and library is kernel 565.57.01, NVML 570.86.15, expected of one version"
    for settings in ({"init": 0}, {"init": 18}):
        found = gpu(settings, count=1, devices=["0"])
        assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]
    # NVML refuses to start then, so nothing else is known.
    assert "Number of GPUs is not known: NVML and the loaded driver of" in found["summary"]
    assert found["evidence"]["library"] == "570.86.15"
    assert "absent" not in found["summary"]
    (tmp_path / "driver").write_text(DRIVER)
    found = gpu({"init": 0}, count=1)
    assert (found["status"], found["measured"]["driver and library"]) == ("pass", "kernel 570.86.15, NVML 570.86.15")


def test_a_driver_or_library_without_a_version_is_not_compared(
    gpu: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "driver").write_text("NVRM version: of another kind\n")
    found = gpu()
    assert (found["status"], found["evidence"]["kernel_driver"]) == ("pass", None)
    (tmp_path / "driver").write_text(DRIVER)
    monkeypatch.delenv("NVML_STUB_LIBRARY")
    found = gpu()
    assert (found["status"], found["evidence"]["library"]) == ("pass", None)
    assert "driver and library" not in found["measured"]


def test_no_nvml_no_driver_and_a_library_that_dies_are_unknown(
    gpu: Judge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for code, said in ((9, "driver is not loaded"), (18, "different versions"), (999, "NVML does not start")):
        found = gpu({"init": code}, count=1)
        assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]
    found = gpu({"crash": 1}, count=1)
    assert (found["status"], "SIGABRT" in found["summary"]) == ("unknown", True), found["summary"]
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    found = gpu(count=1)
    assert (found["status"], "libnvidia-ml.so.1) is not on" in found["summary"]) == ("unknown", True), found["summary"]


def test_a_host_without_the_library_is_unknown(gpu: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(deps.FLOORS, "pynvml", ("nvidia-ml-py", "999.0"))
    found = gpu()
    assert (found["status"], "nvidia-ml-py" in found["summary"]) == ("unknown", True), found["summary"]


def test_a_hang_is_ended_at_the_limit_and_what_was_told_before_is_judged(gpu: Judge) -> None:
    found = gpu({"hang": 1}, timeout=1.0, count=1)
    assert (found["status"], found["summary"]) == ("unknown", "NVML did not answer within 1 s.")
    found = gpu({"hang": 0, "count": 3, "temperature_0": 95, "hang_questions_1": 1}, timeout=1.0, max_temperature=80)
    assert found["status"] == "fail"
    assert "GPU 0 temperature is 95 °C" in found["summary"]
    assert "GPU 1 did not answer: NVML did not answer within 1 s" in found["summary"]
    assert "GPU 2 did not answer" in found["summary"]
    assert [told["index"] for told in found["evidence"]["gpus"]] == [0]


def test_a_process_that_sleeps_in_the_kernel_is_left_behind(gpu: Judge, tmp_path: Path) -> None:
    release = tmp_path / "release"
    answers: list[dict[str, t.Any]] = []
    asking = threading.Thread(target=lambda: answers.append(gpu({"stuck": release}, timeout=1.0)), daemon=True)
    asking.start()
    try:
        asking.join(20.0)
        assert [answer["summary"] for answer in answers] == ["NVML did not answer within 1 s."]
    finally:
        release.touch()
        asking.join(20.0)


def test_two_items_of_different_limits_on_a_slow_one_each_get_their_own_answer(gpu: Judge) -> None:
    shared = Shared()
    short = gpu({"hang": 1}, timeout=0.5, shared=shared)
    assert (short["status"], "within 0.5 s" in short["summary"]) == ("unknown", True)
    assert gpu({"hang": 0}, timeout=20.0, shared=shared)["status"] == "pass"


def test_twenty_items_ask_once(gpu: Judge, libraries: dict[str, Path], tmp_path: Path) -> None:
    shared = Shared()
    assert gpu(shared=shared)["status"] == "pass"
    # What is not there any more cannot be asked again.
    assert gpu({"count": 0}, shared=shared, count=1)["status"] == "pass"
    assert gpu({"count": 0}, count=1)["status"] == "fail"


XID = "NVRM: Xid (PCI:0000:01:00): 79, pid=1, GPU has fallen off the bus."

CHANGED = "NVRM: Xid (PCI:0000:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)"


@pytest.mark.parametrize(
    ("records", "first", "params", "status", "said"),
    [
        (
            [(0, 1e9, "Linux"), (1, 3600, XID)],
            0,
            {},
            "fail",
            "Xid errors is 79 on 0000:01:00 60.0 min ago (reboot the host), expected none",
        ),
        ([(0, 1e9, "Linux"), (1, 60, "NVRM: Xid (0000:03:00): 14, Channel 1")], 0, {}, "warn", "14 on 0000:03:00 60 s"),
        ([(0, 1e9, "Linux"), (1, 60, "NVRM: Xid (PCI:0000:03:00): 4242")], 0, {}, "fail", "60 s ago (unknown Xid)"),
        ([(0, 1e9, "Linux"), (1, 60, CHANGED)], 0, {}, "fail", "60 s ago (Node Reboot Required), expected none"),
        ([(0, 1e9, "Linux"), (1, 3600, XID)], 0, {"ignored_xids": [79]}, "pass", ""),
        ([(0, 1e9, "Linux"), (1, 3600, XID)], 0, {"xid_within": "30m"}, "pass", ""),
        ([(0, 1e9, "Linux"), (1, 3600, XID)], 0, {"xid_within": "2h"}, "fail", "none within 2h"),
        ([(0, 3000, "usb"), (1, 40, "usb")], 900, {}, "unknown", "reaches back 50.0 min only"),
        ([(0, 3000, "usb")], 900, {"xid_within": "2h"}, "unknown", "reaches back 50.0 min only"),
        ([(0, 3000, "usb")], 900, {"xid_within": "30m"}, "pass", ""),
        ([(0, 3000, XID)], 900, {"xid_within": "2h"}, "fail", "79 on 0000:01:00"),
        ([], 0, {}, "unknown", "holds no record"),
    ],
)
def test_xid_errors_of_the_kernels_log(
    gpu: Judge, tmp_path: Path, records: t.Any, first: int, params: dict[str, t.Any], status: str, said: str
) -> None:
    log_of(tmp_path, *records, first=first)
    found = gpu(no_errors=["xid"], **params)
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]
    assert all(xid["action"] for xid in found["evidence"]["xids"] or ())


def test_a_log_that_is_not_there_or_may_not_be_read_is_unknown(gpu: Judge, tmp_path: Path) -> None:
    (tmp_path / "kmsg").unlink()
    found = gpu(no_errors=["xid"])
    assert (found["status"], "cannot be read" in found["summary"]) == ("unknown", True), found["summary"]
    assert gpu()["status"] == "pass"
    with pytest.raises(Unreachable, match="cannot be read"):
        nvml.kernel_log(str(tmp_path), now=0.0)


def test_a_log_of_somebody_else_is_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_unused: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Denied, match="may not be read"):
        nvml.kernel_log(str(tmp_path / "kmsg"), now=0.0)


def on_bus(folder: Path, gpus: int) -> None:
    for number in range(gpus):
        device = folder / "bus" / f"0000:0{number + 1}:00.0"
        device.mkdir(parents=True)
        (device / "vendor").write_text("0x10de\n")
        (device / "class").write_text("0x030000\n")


def test_a_gpu_on_the_bus_that_nvml_does_not_show_fails(gpu: Judge, tmp_path: Path) -> None:
    on_bus(tmp_path, 2)
    found = gpu()
    assert (found["status"], found["evidence"]["pci_gpus"]) == ("fail", 2)
    assert found["summary"] == "GPUs on the bus is 1 of 2 shown by NVML, expected all shown by NVML."
    assert "NVRM and Xid in dmesg" in found["remedy"]
    assert gpu({"count": 2})["status"] == gpu({"count": 3})["status"] == "pass"


def test_a_gpu_that_is_handed_to_a_guest_is_none_of_the_hosts(gpu: Judge, tmp_path: Path) -> None:
    on_bus(tmp_path, 2)
    for number, driver in ((1, "nvidia"), (2, "vfio-pci")):
        (tmp_path / "drivers" / driver).mkdir(parents=True)
        (tmp_path / "bus" / f"0000:0{number}:00.0" / "driver").symlink_to(tmp_path / "drivers" / driver)
    found = gpu()
    assert (found["status"], found["evidence"]["pci_gpus"]) == ("pass", 1), found["summary"]


@pytest.mark.parametrize("params", [{"count": 1}, {"devices": ["0"]}])
def test_who_says_which_gpus_are_meant_means_no_others_on_the_bus(
    gpu: Judge, tmp_path: Path, params: dict[str, t.Any]
) -> None:
    on_bus(tmp_path, 2)
    found = gpu(**params)
    assert found["status"] == "pass" and "GPUs on the bus" not in found["measured"]


def test_a_bus_that_cannot_be_read_leaves_nvml_alone_to_judge(gpu: Judge) -> None:
    found = gpu()
    assert (found["status"], found["evidence"]["pci_gpus"]) == ("pass", None)
    assert "GPUs on the bus" not in found["measured"]


def test_the_pci_bus_tells_of_gpus_that_nvml_hides(tmp_path: Path) -> None:
    for name, vendor, kind in (
        ("0000:01:00.0", "0x10de", "0x030000"),
        ("0000:01:00.1", "0x10de", "0x040300"),
        ("0000:02:00.0", "0x8086", "0x030000"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(vendor + "\n")
        (tmp_path / name / "class").write_text(kind + "\n")
    (tmp_path / "0000:03:00.0").mkdir()
    assert nvml.pci_gpus(str(tmp_path)) == 1
    assert nvml.pci_gpus(str(tmp_path / "absent")) is None


def test_the_childs_program_in_this_process(libraries: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same lines as the child prints, with a process that is gone and one look that is worse than the next."""
    import pynvml

    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(libraries["new"] / "libnvidia-ml.so.1")))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    settings = {
        "COUNT": "2",
        "LOST_1": "1",
        "LIBRARY": "12.570.86.15",
        "MIG": "1",
        "PROFILES": "1g.5gb - 2g.10gb",
        "PID": str(2**22 - 3),
        "PEAK_USED": str(3 * 10**9),
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"NVML_STUB_{name}", value)
    told = list(nvml_reading.lines(pynvml, watch_seconds=1.2))
    assert [sorted(line)[0] for line in told] == ["host", "facts", "facts", "facts", "end"]
    assert told[1]["facts"]["processes"][0]["name"] is None
    assert [instance["profile"] for instance in told[1]["facts"]["mig_instances"]] == ["1g.5gb", "2g.10gb"]
    assert told[1]["facts"]["mig_instances"][1]["uuid"] == "MIG-00000000-0000-0000-0000-000000000002"
    assert told[2]["problems"] == {"handle": "GpuIsLost"}
    assert told[3]["facts"]["memory"]["used"] == 3 * 10**9
    monkeypatch.setenv("NVML_STUB_INIT", "9")
    assert list(nvml_reading.lines(pynvml, watch_seconds=0)) == [{"refused": "DriverNotLoaded", "library": "570.86.15"}]


def test_a_process_of_another_container_is_unknown_and_not_allowed(gpu: Judge) -> None:
    found = gpu({"pid": 2**22 - 3}, allowed_processes=["python"])
    assert (found["status"], "whose name is not seen from here" in found["summary"]) == ("unknown", True)
    assert "processes of /python/ is 0" in gpu(required_processes=["python"])["summary"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"count": 0}, "demands no GPU"),
        ({"min_count": 0}, "demands no GPU"),
        ({"no_errors": []}, "no_errors is empty"),
        ({"devices": []}, "devices is empty"),
        ({"name": "("}, "not a regular expression"),
        ({"allowed_processes": ["("]}, "not a regular expression"),
        ({"min_driver": "new"}, "expected a version"),
        ({"min_cuda": "new"}, "min_cuda is 'new', expected a version"),
        ({"min_memory_free": "16G"}, "not a size"),
        ({"xid_within": "1h"}, "without xid"),
        ({"xid_within": "soon", "no_errors": ["xid"]}, "not a span"),
        ({"watch": "20s"}, "the whole check has 20 s"),
        ({"mig_instances": []}, "mig_instances is empty"),
        ({"mig_instances": ["small"]}, "'small' is not a MIG profile such as 1g.10gb"),
        ({"mig": "disabled", "mig_instances": ["1g.10gb"]}, "mig is disabled, and mig_instances expects instances"),
        ({"min_nvlinks": 0}, "demands no link"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_why(gpu: Judge, params: dict[str, t.Any], said: str) -> None:
    found = gpu(**params)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


def test_the_examples_run_and_tell_good_from_bad(
    gpu: Judge, run_module_here: ModuleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path("/proc/self/comm").read_text().strip()
    examples = examples_of("check_gpu", {"[celery]": f"[{own}]"}).values()

    def statuses() -> list[str]:
        return [run_module_here("check_gpu", {**args, "enforce": False})["finding"]["status"] for args in examples]

    monkeypatch.setenv("NVML_STUB_PID", str(os.getpid()))
    assert statuses() == ["pass"] * 4
    for name, value in {"TEMPERATURE": 95, "USED": 14 * 10**9, "TOTAL": 15 * 10**9, "LINKS_DOWN": 1}.items():
        monkeypatch.setenv(f"NVML_STUB_{name}", str(value))
    assert statuses() == ["fail"] * 4


def test_as_a_task_it_is_packed_with_its_childs_program(
    libraries: dict[str, Path], ansible_environment: dict[str, str]
) -> None:
    environment = {**ansible_environment, "LD_LIBRARY_PATH": str(libraries["new"]), "NVML_STUB_COUNT": "2"}
    argv = ["ansible", "localhost", "-m", "opsready.golive.check_gpu", "-a", "count=2 name=4080"]
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, '"status": "pass"' in ended.stdout) == (0, True), ended.stdout + ended.stderr
