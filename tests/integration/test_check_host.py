# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_host on the real host: its file systems, ports, files, commands, processes and accounts."""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
import grp
import hashlib
import json
import os
import pwd
import re
import socket
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_host, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._clients import host, http, kernels, time_sync
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.units import size_text
from tests.leaks import assert_no_leak
from tests.module_examples import examples_of
from tests.servers import Answer, FilteredPort, HttpServer, ScriptedServer
from tests.small_disk import small_disk

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ModuleRun


def finding(*, seconds: float = 5.0, check_mode: bool = False, **params: t.Any) -> dict[str, t.Any]:
    checked = validated(check_host.ARGUMENT_SPEC, params, where="check_host", **check_host.CONSTRAINTS)
    return judged(registry.load("check_host"), checked, Run(timeout_seconds=seconds, check_mode=check_mode))


@pytest.mark.serves("S1.26", case="pass")
def test_this_host_passes_what_it_has() -> None:
    found = finding(
        paths=[{"path": "/", "min_free": "1MB", "min_free_inodes_percent": 0}],
        memory={"min_available": "1MB", "min_total": "10MiB", "max_swap_used_percent": 100},
        min_cpus=1,
        max_load_per_cpu=10_000,
        max_open_files_percent=100,
        min_kernel="3.10",
    )
    assert found["status"] == "pass", found
    memory = found["evidence"]["memory"]
    assert memory["total_bytes"] >= memory["available_bytes"] > 10**7
    assert memory["swap_total_bytes"] >= memory["swap_free_bytes"] >= 0
    for name in ("available", "total"):
        assert found["measured"][f"{name} memory"] == size_text(memory[f"{name}_bytes"])
    json.dumps(found)


@pytest.mark.serves("S1.26", case="fail")
def test_too_little_of_everything_fails() -> None:
    found = finding(disk=[{"path": "/", "min_free": "900TB"}], memory={"min_available": "900TB"}, min_cpus=10_000)
    assert found["status"] == "fail"
    assert found["expected"]["available memory"] == f"at least {size_text(900 * 10**12)}"
    for said in ("Free space on / is", "available memory is", "usable processors is"):
        assert said.lower() in found["summary"].lower()


def mounts(folder: Path, *, images: int, dump: int, bound: int = 10**6) -> list[dict[str, t.Any]]:
    """``/`` and, on one file system, what stands for Docker's data-root, a database's directory and the backups."""
    data_root, pg_data, backups = (folder / name for name in ("docker", "pgdata", "backups"))
    for path in (data_root, pg_data, backups):
        path.mkdir()
    return [
        {"path": "/", "min_free_bytes": bound, "min_free_inodes_percent": 0.1},
        {"path": str(data_root), "min_free_bytes": bound, "will_use": {"images": images}},
        {"path": str(pg_data), "min_free_bytes": bound},
        {"path": str(backups), "min_free_bytes": bound, "will_use": {"dump": dump}},
    ]


@pytest.mark.serves("S1.25", case="pass")
def test_there_is_room_now_and_after_the_deploy(tmp_path: Path) -> None:
    wanted = mounts(tmp_path, images=10**6, dump=2 * 10**6)
    found = finding(disk=wanted)
    assert found["status"] == "pass", found["summary"]
    for asked, seen in zip(wanted, found["evidence"]["paths"]):
        path = asked["path"]
        assert os.path.ismount(seen["mount"]) and os.stat(seen["mount"]).st_dev == os.stat(path).st_dev
        assert seen["free_bytes"] > 10**6 and seen["free_inodes"] > 0
        assert found["measured"][f"free space on {path}"] == size_text(seen["free_bytes"])
        assert found["measured"][f"free inodes on {path}"] == round(seen["free_inodes_percent"], 1)
        if path != "/":  # the database's directory gets nothing of its own, and loses what its neighbours get
            after = found["measured"][f"free space on {path} after the deploy"]
            assert after == size_text(seen["free_bytes"] - 3 * 10**6)


@pytest.mark.serves("S1.25", case="fail")
def test_images_and_dump_that_fit_one_by_one_and_not_together_fail(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    most = free.f_bavail * free.f_frsize * 6 // 10
    wanted = mounts(tmp_path, images=most, dump=most)
    assert finding(disk=wanted[:3])["status"] == finding(disk=[wanted[0], *wanted[2:]])["status"] == "pass"
    found = finding(disk=wanted)
    assert found["status"] == "fail"
    said = rf"backups after the deploy is .* short, expected at least .* now, less images {re.escape(size_text(most))}, dump"
    assert re.search(said, found["summary"]), found["summary"]
    assert found["measured"]["free space on /"] and "Make room on" in found["remedy"]


@pytest.mark.serves("S1.25", case="fail")
def test_too_little_room_on_any_mount_fails_as_it_is(tmp_path: Path) -> None:
    found = finding(disk=mounts(tmp_path, images=1, dump=1, bound=900 * 10**12))
    assert found["status"] == "fail"
    for path in ("/", *map(str, tmp_path.iterdir())):
        assert f"ree space on {path} is " in found["summary"]


@pytest.mark.serves("S1.25", case="fail")
def test_a_dump_that_is_larger_than_what_is_left_on_its_own_disk_fails(tmp_path: Path) -> None:
    with small_disk(tmp_path / "backups"):
        path = str(tmp_path / "backups")
        own = {"path": path, "will_use": {"dump": "3MB"}}
        found = finding(disk=[{"path": "/", "min_free": "1MB", "will_use": {"images": "1MB"}}, own])
        assert finding(disk=[{"path": path, "min_free": "1MB"}])["status"] == "pass"
    assert found["status"] == "fail"
    assert f"ree space on {path} after the deploy is 1.5 MB (1.4 MiB) short, expected at least 0 B" in found["summary"]
    assert "less dump 3.0 MB" in found["summary"] and "images" not in found["summary"]
    assert found["evidence"]["paths"][1]["mount"] == path


def test_a_path_that_is_not_there_is_unknown() -> None:
    found = finding(paths=[{"path": "/nonexistent/x", "min_free": "1GB"}])
    assert (found["status"], "No such file" in found["summary"]) == ("unknown", True)


def fake_python(tmp_path: Path, script: str) -> str:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_file_system_that_hangs_is_timed_out_and_its_child_is_killed(tmp_path: Path) -> None:
    # A child that never answers stands for statvfs() on a network file system whose server is gone.
    pid_file = tmp_path / "pid"
    hanging = fake_python(tmp_path, f"echo $$ > {pid_file}; exec sleep 600")
    with pytest.raises(TimedOut, match=r"did not answer within 0\.5 s"):
        host.space("/mnt/gone", deadline=Deadline(0.5), python=hanging)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_child_that_breaks_is_unexpected(tmp_path: Path) -> None:
    with pytest.raises(UnexpectedAnswer, match="could not be asked"):
        host.space("/", deadline=Deadline(5), python=fake_python(tmp_path, "exit 3"))


def test_ports(http_server: HttpServer, refused_port: int) -> None:
    good = finding(ports=[{"port": http_server.port}, {"port": refused_port, "expect": "closed"}])
    assert good["status"] == "pass", good
    bad = finding(ports=[{"port": http_server.port, "expect": "closed"}, {"port": refused_port}])
    assert bad["status"] == "fail"
    assert f"127.0.0.1:{refused_port} is closed, expected open" in bad["summary"]
    assert f"127.0.0.1:{http_server.port} is open, expected closed" in bad["summary"]
    nobody = finding(ports=[{"host": "nowhere.invalid", "port": 80, "expect": "closed"}])
    assert nobody["status"] == "unknown"


def test_a_port_that_answers_nothing_is_closed_only_where_that_is_asked_for() -> None:
    with FilteredPort() as swallowing:
        wanted = {"port": swallowing.port, "expect": "closed"}
        opened = finding(seconds=1.0, ports=[{"port": swallowing.port}])
        unproven = finding(seconds=1.0, ports=[wanted])
        allowed = finding(seconds=1.0, ports=[{**wanted, "filtered_is_closed": True}])
    assert (opened["status"], "is filtered, expected open" in opened["summary"]) == ("fail", True)
    assert unproven["status"] == "unknown"
    assert "is filtered, and only a refusal proves that it is closed" in unproven["summary"]
    assert allowed["status"] == "pass", allowed


#: The kernel has no route for TCP to a group of hosts, whatever else is configured.
NO_ROUTE = "224.0.0.1"


def test_an_address_without_a_route_proves_nothing() -> None:
    for wanted in ({"expect": "closed"}, {"expect": "closed", "filtered_is_closed": True}, {"expect": "open"}):
        found = finding(ports=[{"host": NO_ROUTE, "port": 80, **wanted}])
        assert found["status"] == "unknown", found
        assert f"{NO_ROUTE} port 80 cannot be tried from here: Network is unreachable" in found["summary"]
        assert "to which this host has a route" in found["remedy"]


def test_every_address_of_a_name_counts(
    monkeypatch: pytest.MonkeyPatch, http_server: HttpServer, refused_port: int
) -> None:
    def status(addresses: list[str], port: int, expect: str) -> str:
        # no name of this host is sure to have such addresses
        monkeypatch.setattr(
            http, "resolved", lambda *name, **rest: [(socket.AF_INET, (each, port)) for each in addresses]
        )
        return str(finding(ports=[{"host": "several.test", "port": port, "expect": expect}])["status"])

    own, other = "127.0.0.1", "127.0.0.2"
    assert status([other, own], http_server.port, "open") == "pass"
    assert status([other, own], http_server.port, "closed") == "fail"
    assert status([own, other], refused_port, "closed") == "pass"
    assert status([own, NO_ROUTE], refused_port, "closed") == "unknown"
    assert status([own, NO_ROUTE], refused_port, "open") == "fail"


def test_the_clock_is_compared_with_a_server(http_server: HttpServer) -> None:
    http_server.route("*", Answer(200))
    assert finding(clock={"url": http_server.url, "max_skew": 5})["status"] == "pass"


def test_a_server_without_a_readable_date_is_unknown() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: yesterday\r\n\r\n")

    with ScriptedServer(answer) as server:
        found = finding(clock={"url": f"http://127.0.0.1:{server.port}/"})
    assert (found["status"], "without a Date" in found["summary"]) == ("unknown", True)


def test_a_clock_that_is_wrong_fails() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        then = dt.datetime.now(dt.timezone.utc) - dt.timedelta(hours=1)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {email.utils.format_datetime(then, usegmt=True)}\r\n\r\n"
        connection.sendall(head.encode())

    with ScriptedServer(answer) as server:
        found = finding(clock={"url": f"http://127.0.0.1:{server.port}/"})
    assert found["status"] == "fail"
    assert "clock skew is 3599" in found["summary"].lower() or "clock skew is 3600" in found["summary"].lower()


def without_other_keepers(monkeypatch: pytest.MonkeyPatch, root: Path, **given: t.Any) -> None:
    """Neither chrony nor systemd-timesyncd, which a machine may have or not."""
    alone = functools.partial(time_sync.synchronisation, root=str(root), chronyc="no-such-program", **given)
    monkeypatch.setattr(time_sync, "synchronisation", alone)


def test_a_clock_is_kept_right_or_not_as_this_kernel_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_other_keepers(monkeypatch, tmp_path)
    kept = time_sync.kernel_is_synchronised()
    found = finding(clock={"synchronised": "required"})
    assert found["status"] == {True: "pass", False: "fail", None: "unknown"}[kept], found["summary"]
    if kept is not None:
        assert found["evidence"]["synchronisation"] == {"holds": kept, "said_by": "the kernel"}


@pytest.mark.parametrize(
    ("kernel", "status", "said"),
    [
        (True, "pass", "synchronised, says the kernel"),
        (False, "fail", "the clock is not synchronised, says the kernel"),
        (None, "unknown", "cannot be told here"),
    ],
)
def test_a_clock_beside_a_server_that_is_right(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    http_server: HttpServer,
    kernel: bool | None,
    status: str,
    said: str,
) -> None:
    http_server.route("*", Answer(200))
    without_other_keepers(monkeypatch, tmp_path, kernel=lambda: kernel)
    found = finding(clock={"synchronised": "required", "url": http_server.url})
    assert (found["status"], said in found["summary"].lower()) == (status, True), found["summary"]
    assert found["measured"]["clock skew"]


def test_a_host_that_waits_for_a_reboot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another root stands for a host with kernels of its own, which machines for tests have seldom."""
    for name in ("boot", "run"):
        (tmp_path / name).mkdir()
    running = host.kernel_release()
    (tmp_path / "boot" / f"vmlinuz-{running}").touch()
    monkeypatch.setattr(kernels, "reboot", functools.partial(kernels.reboot, root=str(tmp_path)))
    assert finding(pending_reboot="refused")["status"] == "pass"
    newer = re.sub(r"^\d+", lambda match: str(int(match[0]) + 1), running)
    (tmp_path / "boot" / f"vmlinuz-{newer}").touch()
    found = finding(pending_reboot="refused")
    assert found["status"] == "fail"
    assert f"unning kernel is {running}, expected {newer}, the newest that is installed" in found["summary"]
    (tmp_path / "run/reboot-required").touch()
    (tmp_path / "run/reboot-required.pkgs").write_text("linux-base\n")
    found = finding(pending_reboot="warn")
    assert (found["status"], "a reboot, because of linux-base" in found["summary"]) == ("warn", True)
    assert found["evidence"]["reboot"]["newest"] == newer


def test_a_host_without_a_kernel_of_its_own_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernels, "reboot", functools.partial(kernels.reboot, root=str(tmp_path)))
    found = finding(pending_reboot="refused")
    assert (found["status"], "so whether it is the newest is not known" in found["summary"]) == ("unknown", True)


def in_force(path: str) -> str:
    with open(f"/proc/sys/{path}", encoding="ascii") as stream:
        return stream.read().strip()


def test_settings_of_this_kernel() -> None:
    swappiness, ports = int(in_force("vm/swappiness")), in_force("net/ipv4/ip_local_port_range")
    good = finding(
        sysctl={
            "vm.swappiness": swappiness,
            "vm/max_map_count": {"at_least": 1},
            "net.ipv4.ip_local_port_range": ports,
            "net/ipv4/conf/lo/forwarding": {"at_least": 0, "at_most": 1},
        }
    )
    assert good["status"] == "pass", good["summary"]
    bad = finding(sysctl={"vm.swappiness": {"at_most": swappiness - 1}, "kernel.ostype": "Plan 9"})
    assert bad["status"] == "fail"
    assert f"vm.swappiness (upper bound) is {swappiness}, expected at most {swappiness - 1}" in bad["summary"]
    assert "kernel.ostype is Linux, expected Plan 9" in bad["summary"]
    unknown = finding(sysctl={"vm.no_such_setting": 1, "net.ipv4.ip_local_port_range": {"at_least": 1}})
    assert unknown["status"] == "unknown"
    assert "This kernel has no setting vm.no_such_setting" in unknown["summary"]
    assert "which is not one number" in unknown["summary"]


def test_users() -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    group = grp.getgrgid(os.getegid()).gr_name
    assert (
        finding(users=[{"name": me, "groups": [group]}, {"name": "nobody-such", "exists": False}])["status"] == "pass"
    )
    found = finding(users=[{"name": "nobody-such"}, {"name": me, "groups": ["no-such-group"]}])
    assert found["status"] == "fail"
    assert "user nobody-such is absent" in found["summary"].lower()
    assert f"user {me} is not in no-such-group" in found["summary"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "app.conf"
    path.write_text("mode = production\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({}, "pass"),
        ({"exists": False}, "fail"),
        ({"kind": "file"}, "pass"),
        ({"kind": "directory"}, "fail"),
        ({"mode": "0600"}, "pass"),
        ({"mode": "600"}, "pass"),
        ({"mode": "0644"}, "fail"),
        ({"owner": "no-such-user"}, "fail"),
        ({"group": "no-such-group", "level": "warn"}, "warn"),
        ({"max_age": "1h"}, "pass"),
        ({"min_size": "18B", "max_size": "18B"}, "pass"),
        ({"min_size": "19B"}, "fail"),
        ({"max_size": "17B"}, "fail"),
        ({"contains": ["production"], "contains_not": ["debug"]}, "pass"),
        ({"contains": ["staging"]}, "fail"),
        ({"contains_not": ["production"]}, "fail"),
        ({"sha256": "3f2c6e0c3ae0d4dc5e9a5cf5a2b3c4fe6d8e4a30b7c29a4bd2f1e6d7c8b9a0f1"}, "fail"),
    ],
)
def test_files(file: Path, wanted: dict[str, t.Any], status: str) -> None:
    found = finding(files=[{"path": str(file), **wanted}])
    assert found["status"] == status, found
    assert "production\n" not in json.dumps(found["evidence"])


def test_a_digest_an_owner_and_an_age_that_are_right_or_wrong(file: Path) -> None:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    me = pwd.getpwuid(os.geteuid()).pw_name
    wanted = {"path": str(file), "sha256": digest.upper(), "owner": me, "max_age": "1h"}
    assert finding(files=[wanted])["status"] == "pass"
    os.utime(file, (time.time() - 7200, time.time() - 7200))
    found = finding(files=[wanted])
    assert (found["status"], "age is 2.0 h, expected at most 60.0 min" in found["summary"]) == ("fail", True)
    os.utime(file, (time.time() + 7260, time.time() + 7260))
    found = finding(files=[wanted])
    assert (found["status"], "was changed 2.0 h after what this host's clock shows" in found["summary"]) == (
        "unknown",
        True,
    )
    os.utime(file, (time.time() + 60, time.time() + 60))
    assert finding(files=[wanted])["status"] == "pass", "clocks differ by some seconds"


def test_files_that_are_absent_or_have_no_content(tmp_path: Path, file: Path) -> None:
    assert finding(files=[{"path": str(tmp_path / "absent"), "exists": False}])["status"] == "pass"
    assert finding(files=[{"path": str(tmp_path / "absent")}])["status"] == "fail"
    assert finding(files=[{"path": str(file / "below-a-file")}])["status"] == "fail"
    assert finding(files=[{"path": str(tmp_path), "contains": ["x"]}])["status"] == "unknown"
    assert finding(files=[{"path": "/dev/null", "kind": "device"}])["status"] == "pass"
    os.mkfifo(tmp_path / "pipe")
    assert finding(files=[{"path": str(tmp_path / "pipe"), "kind": "pipe"}])["status"] == "pass"
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert finding(files=[{"path": str(loop)}])["status"] == "unknown"


def test_a_file_that_may_not_be_read_is_unknown(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    # root may read everything, so the kernel's answers are put in place of its own
    def refuse(*_unused: t.Any, **__: t.Any) -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    def break_off(*_unused: t.Any, **__: t.Any) -> t.NoReturn:
        raise OSError(5, "Input/output error")

    for broken, error in ((refuse, Denied), (break_off, Unreachable)):
        with monkeypatch.context() as patched:
            patched.setattr("builtins.open", broken)
            with pytest.raises(error):
                host.file_seen(str(file), with_text=True)
        with monkeypatch.context() as patched:
            patched.setattr(host.os, "stat", broken)
            with pytest.raises(error):
                host.file_seen(str(file))


def test_a_long_file_is_read_to_its_bound_for_text_and_whole_for_its_digest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host, "_MOST_BYTES", 1024 * 1024)
    path = tmp_path / "long"
    path.write_bytes(b"x" * (3 * 1024 * 1024) + b"end")
    assert len(host.file_seen(str(path), with_text=True).text or "") == 1024 * 1024
    both = host.file_seen(str(path), with_text=True, with_sha256=True)
    assert (both.sha256 or "").startswith(_digest(path)[:16])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_owners_without_a_name_are_numbers() -> None:
    assert (host._user_name(2**31 - 7), host._group_name(2**31 - 7)) == (str(2**31 - 7), str(2**31 - 7))


def python(code: str, **other: t.Any) -> dict[str, t.Any]:
    return {"argv": [sys.executable, "-c", code], "changes_nothing": True, **other}


def test_commands() -> None:
    good = finding(
        commands=[python("print('v2.0.1')", stdout_matches=r"^v2\."), python("raise SystemExit(3)", returncode=3)]
    )
    assert good["status"] == "pass", good
    bad = finding(
        commands=[python("import sys; sys.exit('config is broken')"), python("print('v1')", stdout_matches="v2")]
    )
    assert bad["status"] == "fail"
    assert "ended with code 1, expected code 0: config is broken" in bad["summary"]
    assert "output is 'v1', expected a match of /v2/" in bad["summary"]


def test_a_command_that_hangs_or_is_missing_is_unknown() -> None:
    hung = finding(seconds=0.5, commands=[python("import time; time.sleep(600)")])
    assert (hung["status"], "did not end within 0.5 s" in hung["summary"]) == ("unknown", True)
    missing = finding(commands=[{"argv": ["no-such-program-here"]}])
    assert missing["status"] == "unknown"


def test_a_command_is_run_in_check_mode_only_where_it_changes_nothing(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    found = finding(check_mode=True, commands=[{"argv": ["touch", str(touched)]}])
    assert (found["status"], "was not run in check mode" in found["summary"]) == ("unknown", True)
    assert found["left_out"] is True
    assert not touched.exists()
    assert finding(check_mode=True, commands=[python("")])["status"] == "pass"


def test_two_commands_of_one_program_are_told_apart() -> None:
    found = finding(commands=[python("raise SystemExit(3)"), python("")])
    assert found["status"] == "fail"
    first, second = found["measured"]
    assert (found["measured"][first], found["measured"][second]) == ("code 3", "code 0")
    assert "SystemExit(3)" in first
    assert "SystemExit(3)' ended with code 3" in found["summary"]
    same = finding(commands=[python(""), python("")])
    assert [name[-13:] for name in same["measured"]] == [" (1 of 2) end", " (2 of 2) end"]


def test_a_file_that_is_too_long_to_be_read_whole_is_free_of_nothing(tmp_path: Path) -> None:
    long = tmp_path / "long"
    with long.open("wb") as stream:
        stream.write(b"first ")
        stream.truncate(17 * 1024 * 1024)
        stream.seek(0, os.SEEK_END)
        stream.write(b"password")
    found = finding(files=[{"path": str(long), "contains_not": ["password"], "contains": ["first"]}])
    assert (found["status"], "too long to be read whole" in found["summary"]) == ("unknown", True)


def test_a_long_output_is_cut_in_the_finding() -> None:
    found = finding(commands=[python("print('x' * 5000)", stdout_matches="y")])
    assert found["status"] == "fail"
    assert len(json.dumps(found)) < 3000


def test_processes() -> None:
    started = subprocess.Popen(["sleep", "600.4242"])
    try:
        assert finding(processes=[{"pattern": r"sleep 600\.4242", "max_count": 1}])["status"] == "pass"
        assert finding(processes=[{"pattern": r"sleep 600\.4242", "min_count": 2}])["status"] == "fail"
    finally:
        started.kill()
        started.wait()
    assert finding(processes=[{"pattern": r"sleep 600\.4242"}])["status"] == "fail"


def test_what_a_program_prints_is_masked_as_a_line_of_a_log_is(tmp_path: Path) -> None:
    token, mail, log = "abc123def456ghi789jkl", "erika.mustermann@example.org", tmp_path / "log"
    # One that stands where the text is cut must not be cut in half.
    for text in (f"SECRET_KEY={token} {mail}", "x" * 140 + f" SECRET_KEY={token} {mail}"):
        log.write_text(text)
        found = finding(commands=[{"argv": ["cat", str(log)], "returncode": 1, "stdout_matches": "nothing like it"}])
        assert found["status"] == "fail"
        for said in (found["summary"], found["measured"][f"command cat {log} output"]):
            assert "********" in said
        assert_no_leak([token[:8], mail], json.dumps(found), "the finding")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"paths": []}, "paths is empty"),
        ({"paths": [{"path": "/", "will_use": {}}]}, "paths.will_use is empty"),
        ({"paths": [{"path": "/", "will_use": {"dump": "3G"}}]}, "paths.will_use.dump is '3G'"),
        ({"files": []}, "files is empty"),
        ({"paths": [{"path": "/", "min_free": "50G"}]}, "paths.min_free is '50G'"),
        ({"memory": {"min_available": "lots"}}, "memory.min_available is 'lots'"),
        ({"files": [{"path": "/", "max_age": "soon"}]}, "files.max_age is 'soon'"),
        ({"files": [{"path": "/", "mode": "rwx"}]}, "files.mode is 'rwx'"),
        ({"files": [{"path": "/", "min_size": "1G"}]}, "files.min_size is '1G'"),
        ({"ports": [{"port": 99999}]}, "is not host:port"),
        ({"commands": [{"argv": []}]}, "argv is empty"),
        ({"commands": [{"argv": ["psql", "postgresql://app:geheim99@db/x"]}]}, "holds what looks like a password"),
        ({"commands": [{"argv": ["true"], "stdout_matches": "("}]}, "not a regular expression"),
        ({"processes": [{"pattern": "("}]}, "not a regular expression"),
        ({"sysctl": {}}, "sysctl is empty"),
        ({"sysctl": {"vm": 1}}, "sysctl: 'vm' is no setting"),
        ({"sysctl": {"vm/../../etc/passwd": 1}}, "is no setting"),
        ({"sysctl": {"vm.swappiness": {"at_lest": 1}}}, "vm.swappiness has a bound that is none"),
        ({"sysctl": {"vm.swappiness": {"at_most": "few"}}}, "vm.swappiness has a bound that is none"),
        ({"sysctl": {"vm.swappiness": True}}, "vm.swappiness needs a number"),
        ({"min_kernel": "new"}, "min_kernel is 'new'"),
        ({"clock": {"url": "nonsense"}}, "is not http"),
        ({"clock": {"url": "https://127.0.0.1/", "ca_file": "/nonexistent"}}, "connection refused|cannot be used"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_why(params: dict[str, t.Any], said: str) -> None:
    found = finding(**params)
    assert found["status"] == "unknown"
    assert any(part in found["summary"] for part in said.split("|")), found["summary"]


def test_a_clock_of_which_nothing_is_asked_is_refused() -> None:
    with pytest.raises(BadInput, match="one of the following is required: url, synchronised"):
        finding(clock={"max_skew": 1})


def test_the_module_says_what_is_too_little(run_module: ModuleRun) -> None:
    answer = run_module("check_host", {"paths": [{"path": "/", "min_free": "900TB"}]})
    assert answer["failed"] and answer["finding"]["status"] == "fail"
    assert run_module("check_host", {"memory": {"min_total": "1MB"}})["finding"]["status"] == "pass"
    assert run_module("check_host", {"timeout": 3})["failed"]


@pytest.fixture
def celery_workers() -> t.Iterator[None]:
    """Two processes that are called so."""
    workers = [subprocess.Popen(["celery demo worker", "600"], executable="/bin/sleep") for _number in range(2)]
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


@pytest.mark.usefixtures("celery_workers")
def test_the_examples_run_and_tell_good_from_bad(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    file: Path,
    http_server: HttpServer,
    refused_port: int,
    run_module_here: ModuleRun,
) -> None:
    """With bounds that any machine holds in place of the examples', and as a host with kernels of its own."""
    disks = ("/var/lib/docker", "/var/backups/archive", "/var/lib/postgresql")
    replaced = {
        **dict.fromkeys(disks, str(tmp_path)),
        "50GB": "2MB",
        "10GB": "2MB",
        "16GB": "1MB",
        "6GB": "1MB",
        "3GB": "1MB",
        "percent: 20": "percent: 0.01",
        "max_load_per_cpu: 2": "max_load_per_cpu: 10000",
        "overcommit_memory: 2": f"overcommit_memory: {in_force('vm/overcommit_memory')}",
        "262144": in_force("vm/max_map_count"),
        "at_most: 10": f"at_most: {in_force('vm/swappiness')}",
        "port: 443": f"port: {http_server.port}",
        "203.0.113.10, port: 8000": f"127.0.0.1, port: {refused_port}",
        "/srv/archive/archive.env": str(file),
        "owner: archive": f"owner: {pwd.getpwuid(os.geteuid()).pw_name}",
        "nginx, -t": "test, -e, /",
    }
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / f"vmlinuz-{host.kernel_release()}").touch()
    monkeypatch.setattr(kernels, "reboot", functools.partial(kernels.reboot, root=str(tmp_path)))
    without_other_keepers(monkeypatch, tmp_path, kernel=lambda: True)

    def statuses(**other: str) -> list[str]:
        examples = examples_of("check_host", {**replaced, **other}).values()
        return [run_module_here("check_host", {**args, "enforce": False})["finding"]["status"] for args in examples]

    assert statuses() == ["pass", "pass", "pass"]
    (tmp_path / "boot" / f"vmlinuz-9{host.kernel_release()}").touch()
    file.chmod(0o644)
    assert statuses(**{"10GB": "900TB"}) == ["fail", "fail", "fail"]
