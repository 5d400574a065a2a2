# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_host's rules on plain data, and what it reads from a /proc of the test's own."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_host
from ansible_collections.opsready.golive.plugins.module_utils._clients import host, kernels, time_sync
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer, Unreachable
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement

if t.TYPE_CHECKING:
    from pathlib import Path

GB, GIB = 10**9, 2**30
FACTS = check_host.Facts(
    paths=(host.Space("/", 100 * GB, 50 * GB, 50.0, 80.0, 800, "/", 1),),
    memory=host.Memory(16 * GIB, 12 * GIB, 4 * GIB, 3 * GIB),
    cpus=4,
    load=(1.0, 4.0, 2.0),
    open_files=(100, 1000),
    kernel="6.1.0-28-amd64",
    reboot=kernels.Reboot(False, (), "6.1.0-28-amd64", "6.1.0-28-amd64"),
    sysctl=("10",),
    ports=("open",),
    skew_seconds=0.2,
    skew_uncertainty=0.6,
    synchronisation=time_sync.Synchronisation(True, "the kernel"),
    users=(("adm", "archive"),),
    processes=(2,),
)


def judgement(params: dict[str, t.Any], **change: t.Any) -> Judgement:
    facts = dataclasses.replace(FACTS, **change)
    check_host.evidence(facts)
    return Judgement.of(check_host.judge(facts, validated(check_host.ARGUMENT_SPEC, params, where="x")))


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"paths": [{"path": "/", "min_free": "50GB"}]}, "pass"),
        ({"disk": [{"path": "/", "min_free": "50GiB"}]}, "fail"),
        ({"paths": [{"path": "/", "min_free": "51GB", "level": "warn"}]}, "warn"),
        ({"paths": [{"path": "/", "min_free_bytes": 50 * GB + 1}]}, "fail"),
        ({"paths": [{"path": "/", "min_free_percent": 50}]}, "pass"),
        ({"paths": [{"path": "/", "min_free_percent": 51}]}, "fail"),
        ({"paths": [{"path": "/", "min_free": "1GB", "min_free_inodes_percent": 81}]}, "fail"),
        ({"paths": [{"path": "/", "min_free": "40GB", "will_use": {"images": "6GB", "dump": "4GB"}}]}, "pass"),
        ({"paths": [{"path": "/", "min_free": "40GB", "will_use": {"images": "6GB", "dump": 4 * GB + 1}}]}, "fail"),
        ({"paths": [{"path": "/", "min_free_percent": 40, "will_use": {"dump": "10GB"}}]}, "pass"),
        ({"paths": [{"path": "/", "min_free_percent": 40, "will_use": {"dump": "11GB"}}]}, "fail"),
        ({"paths": [{"path": "/", "will_use": {"dump": "50GB"}}]}, "pass"),
        ({"paths": [{"path": "/", "will_use": {"dump": "51GB"}, "level": "warn"}]}, "warn"),
        ({"memory": {"min_available": "12GiB"}}, "pass"),
        ({"memory": {"min_available": "12.9GB"}}, "fail"),
        ({"memory": {"min_total": "16GiB"}}, "pass"),
        ({"memory": {"min_total": "17GiB"}}, "fail"),
        ({"memory": {"max_swap_used_percent": 25}}, "pass"),
        ({"memory": {"max_swap_used_percent": 24}}, "fail"),
        ({"min_cpus": 4}, "pass"),
        ({"min_cpus": 5}, "fail"),
        ({"max_load_per_cpu": 1}, "pass"),
        ({"max_load_per_cpu": 0.9}, "fail"),
        ({"max_open_files_percent": 10}, "pass"),
        ({"max_open_files_percent": 9}, "fail"),
        ({"min_kernel": "5.10"}, "pass"),
        ({"min_kernel": "6.1.0"}, "pass"),
        ({"min_kernel": "6.10"}, "fail"),
        ({"pending_reboot": "refused"}, "pass"),
        ({"sysctl": {"vm.swappiness": 10}}, "pass"),
        ({"sysctl": {"vm.swappiness": "10"}}, "pass"),
        ({"sysctl": {"vm.swappiness": 60}}, "fail"),
        ({"sysctl": {"vm.swappiness": {"at_least": 10, "at_most": 10}}}, "pass"),
        ({"sysctl": {"vm.swappiness": {"at_least": 11}}}, "fail"),
        ({"sysctl": {"vm.swappiness": {"at_most": "9"}}}, "fail"),
        ({"clock": {"synchronised": "required"}}, "pass"),
        ({"clock": {"synchronised": "required", "url": "http://h/", "max_skew": 0.1}}, "unknown"),
        ({"ports": [{"port": 80}]}, "pass"),
        ({"ports": [{"port": 80, "expect": "closed"}]}, "fail"),
        ({"clock": {"url": "http://h/", "max_skew": 5}}, "pass"),
        ({"clock": {"url": "http://h/", "max_skew": 0.3}}, "unknown"),
        ({"users": [{"name": "archive", "groups": ["adm"]}]}, "pass"),
        ({"users": [{"name": "archive", "groups": ["docker"]}]}, "fail"),
        ({"users": [{"name": "archive", "exists": False}]}, "fail"),
        ({"processes": [{"pattern": "x", "min_count": 2, "max_count": 2}]}, "pass"),
        ({"processes": [{"pattern": "x", "min_count": 3}]}, "fail"),
        ({"processes": [{"pattern": "x", "max_count": 1}]}, "fail"),
    ],
)
def test_each_bound_on_both_sides(params: dict[str, t.Any], status: str) -> None:
    assert judgement(params).status == status


def test_sizes_are_told_both_ways() -> None:
    summary = judgement({"paths": [{"path": "/", "min_free": "50GiB"}]}).summary
    assert "50.0 GB (46.6 GiB), expected at least 53.7 GB (50.0 GiB)" in summary


def test_a_bound_that_this_host_can_never_hold_is_explained() -> None:
    assert "can never hold" in judgement({"memory": {"min_available": "32GB"}}).remedy


PROBLEM = check_host.Problem("it broke")


@pytest.mark.parametrize(
    ("params", "change"),
    [
        ({"paths": [{"path": "/", "min_free": "1GB"}]}, {"paths": (PROBLEM,)}),
        ({"memory": {"min_total": "1GB"}}, {"memory": PROBLEM}),
        ({"max_load_per_cpu": 1}, {"load": PROBLEM}),
        ({"max_load_per_cpu": 1}, {"load": None}),
        ({"max_open_files_percent": 1}, {"open_files": PROBLEM}),
        ({"ports": [{"port": 80}]}, {"ports": (PROBLEM,)}),
        ({"clock": {"url": "http://h/"}}, {"skew_seconds": PROBLEM}),
        ({"clock": {"synchronised": "required"}}, {"synchronisation": PROBLEM}),
        ({"pending_reboot": "refused"}, {"reboot": PROBLEM}),
        ({"pending_reboot": "warn"}, {"reboot": kernels.Reboot(False, (), "6.1.0-28-amd64", None)}),
        ({"sysctl": {"vm.swappiness": 10}}, {"sysctl": (PROBLEM,)}),
        ({"sysctl": {"net.ipv4.tcp_rmem": {"at_least": 4096}}}, {"sysctl": ("4096 131072 6291456",)}),
        ({"users": [{"name": "x"}]}, {"users": (PROBLEM,)}),
        ({"files": [{"path": "/x"}]}, {"files": (PROBLEM,)}),
        ({"commands": [{"argv": ["x"]}]}, {"commands": (PROBLEM,)}),
        ({"processes": [{"pattern": "x"}]}, {"processes": (PROBLEM,)}),
    ],
)
def test_what_could_not_be_seen_is_unknown(params: dict[str, t.Any], change: dict[str, t.Any]) -> None:
    assert judgement(params, **change).status == "unknown"


def test_a_file_system_that_counts_no_inodes_is_not_judged_by_them() -> None:
    params = {"paths": [{"path": "/", "min_free": "1GB"}]}
    found = judgement(params, paths=(host.Space("/", 9 * GB, 8 * GB, 80.0, None, None, "/", 1),))
    assert (found.status, list(found.measured)) == ("pass", ["free space on /"])


def test_a_clock_that_is_wrong_fails() -> None:
    assert judgement({"clock": {"url": "http://h/"}}, skew_seconds=-90.0).status == "fail"


@pytest.mark.parametrize(
    ("due", "said"),
    [
        (kernels.Reboot(True, (), "6.1.0-28-amd64", "6.1.0-28-amd64"), "The host asks for a reboot."),
        (
            kernels.Reboot(True, ("dbus", "libc6"), "6.1.0-28-amd64", "6.1.0-28-amd64"),
            "The host asks for a reboot, because of dbus, libc6.",
        ),
        (
            kernels.Reboot(False, (), "6.1.0-28-amd64", "6.1.0-30-amd64"),
            "Running kernel is 6.1.0-28-amd64, expected 6.1.0-30-amd64, the newest that is installed.",
        ),
    ],
)
def test_a_host_that_waits_for_a_reboot_is_refused_or_warned_of(due: kernels.Reboot, said: str) -> None:
    found = judgement({"pending_reboot": "refused"}, reboot=due)
    assert (found.status, found.summary) == ("fail", said)
    assert judgement({"pending_reboot": "warn"}, reboot=due).status == "warn"
    assert found.remedy.startswith("Reboot the host")


def test_where_nobody_would_ask_for_a_reboot_only_the_kernel_is_judged() -> None:
    for newest, status in (("5.14.0-427.el9.x86_64", "pass"), ("5.14.0-503.el9.x86_64", "fail"), (None, "unknown")):
        due = kernels.Reboot(None, (), "5.14.0-427.el9.x86_64", newest)
        found = judgement({"pending_reboot": "refused"}, reboot=due)
        assert (found.status, list(found.measured)) == (status, ["running kernel"])


def test_a_setting_of_several_numbers_is_compared_whatever_stands_between_them() -> None:
    wanted = {"sysctl": {"net.ipv4.tcp_rmem": "4096\t131072  6291456"}}
    assert judgement(wanted, sysctl=("4096 131072 6291456",)).status == "pass"
    found = judgement(wanted, sysctl=("4096 131072 1",))
    assert "net.ipv4.tcp_rmem is 4096 131072 1, expected 4096 131072 6291456" in found.summary


def test_a_clock_that_nobody_keeps_right_fails_by_whose_word() -> None:
    off = time_sync.Synchronisation(False, "chrony")
    found = judgement({"clock": {"synchronised": "required"}}, synchronisation=off)
    assert (found.status, found.summary) == ("fail", "The clock is not synchronised, says chrony.")
    assert judgement({"clock": {"synchronised": "required", "level": "warn"}}, synchronisation=off).status == "warn"


@pytest.mark.parametrize(("bound", "status"), [("16GB", "pass"), ("16GiB", "fail")])
def test_a_host_that_is_sold_with_16_gb_has_16_gb_and_not_16_gib(bound: str, status: str) -> None:
    sold = host.Memory(int(15.5 * GIB), 12 * GIB, 0, 0)
    found = judgement({"memory": {"min_total": bound}}, memory=sold)
    assert (found.status, found.measured["total memory"]) == (status, "16.6 GB (15.5 GiB)")
    if status == "fail":
        assert found.summary == "Total memory is 16.6 GB (15.5 GiB), expected at least 17.2 GB (16.0 GiB)."
        assert "min_total in GB" in found.remedy
    assert "min_total in GB" not in judgement({"memory": {"min_total": "32GiB"}}, memory=sold).remedy


def test_no_swap_is_no_used_swap() -> None:
    assert judgement({"memory": {"max_swap_used_percent": 0}}, memory=host.Memory(1, 1, 0, 0)).status == "pass"


def test_a_port_that_swallows_packets_is_closed_only_where_that_is_asked_for() -> None:
    wanted = {"port": 80, "expect": "closed"}
    found = judgement({"ports": [wanted]}, ports=("filtered",))
    assert found.status == "unknown"
    assert "is filtered, and only a refusal proves that it is closed" in found.summary
    assert "filtered_is_closed: true" in found.remedy
    allowed = {**wanted, "filtered_is_closed": True}
    assert judgement({"ports": [allowed]}, ports=("filtered",)).status == "pass"
    assert judgement({"ports": [allowed]}, ports=("open",)).status == "fail"
    assert judgement({"ports": [wanted]}, ports=("closed",)).status == "pass"
    assert judgement({"ports": [{"port": 80, "filtered_is_closed": True}]}, ports=("filtered",)).status == "fail"


def test_a_kernel_setting_is_read_and_what_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "sys/vm").mkdir(parents=True)
    (tmp_path / "sys/vm/swappiness").write_text("60\n")
    (tmp_path / "sys/vm/three").write_text("4096\t131072\t6291456\n")
    assert host.setting("vm/swappiness", str(tmp_path)) == "60"
    assert host.setting("vm/three", str(tmp_path)) == "4096 131072 6291456"
    with pytest.raises(Unreachable, match=r"no setting vm\.absent"):
        host.setting("vm/absent", str(tmp_path))
    with pytest.raises(Unreachable, match="cannot be read"):
        host.setting("vm", str(tmp_path))


def test_proc_is_read_and_nonsense_in_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "meminfo").write_text(
        "MemTotal:       1000 kB\nMemAvailable:    500 kB\nSwapTotal: 10 kB\nSwapFree: 5 kB\n"
    )
    (tmp_path / "loadavg").write_text("0.5 0.25 0.1 1/100 4242\n")
    (tmp_path / "sys/fs/file-nr").write_text("1000\t10\t5000\n")
    proc = str(tmp_path)
    assert host.memory(proc) == host.Memory(1_024_000, 512_000, 10_240, 5_120)
    assert host.load(proc) == (0.5, 0.25, 0.1)
    assert host.file_descriptors(proc) == (990, 5000)
    for name in ("meminfo", "loadavg", "sys/fs/file-nr"):
        (tmp_path / name).write_text("nonsense\n")
    for read in (host.memory, host.load, host.file_descriptors):
        with pytest.raises(UnexpectedAnswer):
            read(proc)
        with pytest.raises(Unreachable):
            read(str(tmp_path / "absent"))
