# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kernel a host runs beside those that are installed, on a file tree of the test's own."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._clients import host, kernels
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Denied, Unreachable

if t.TYPE_CHECKING:
    from pathlib import Path


def installed(root: Path, *images: str, modules: t.Sequence[str] = ()) -> str:
    for name in images:
        (root / "boot").mkdir(exist_ok=True)
        (root / "boot" / name).touch()
    for release in modules:
        (root / "lib/modules" / release).mkdir(parents=True)
        (root / "lib/modules" / release / "modules.builtin").touch()
    return str(root)


@pytest.mark.parametrize(
    ("running", "others", "newest"),
    [
        ("6.1.0-28-amd64", ["6.1.0-30-amd64", "6.1.0-9-amd64"], "6.1.0-30-amd64"),
        ("6.1.0-28-amd64", ["6.1.0-30-cloud-amd64", "6.1.0-30-rt-amd64"], "6.1.0-28-amd64"),
        ("6.1.0-28-amd64", ["6.12.9+bpo-amd64"], "6.12.9+bpo-amd64"),
        ("6.8.0-45-generic", ["6.8.0-100-generic", "6.11.0-9-lowlatency"], "6.8.0-100-generic"),
        (
            "5.14.0-427.el9.x86_64",
            ["5.14.0-427.13.1.el9_4.x86_64", "0-rescue-6f1de5a2b1"],
            "5.14.0-427.13.1.el9_4.x86_64",
        ),
        ("6.9.1-arch1-1", ["6.9.1-arch1-2", "6.6.30-1-lts"], "6.9.1-arch1-2"),
        ("6.12-rc7-amd64", ["6.12.0-1-amd64"], "6.12.0-1-amd64"),
    ],
)
def test_the_newest_of_the_same_flavour(tmp_path: Path, running: str, others: list[str], newest: str) -> None:
    root = installed(tmp_path, *(f"vmlinuz-{release}" for release in [running, *others]), "config-9.9.9-amd64")
    found = kernels.reboot(root=root, running=running)
    assert (found.newest, found.runs_newest) == (newest, newest == running)


def test_a_kernel_that_only_has_its_modules_there_is_installed_and_what_removal_left_is_not(tmp_path: Path) -> None:
    root = installed(tmp_path, modules=["6.9.1-301.fc40.x86_64", "6.9.2-301.fc40.x86_64"])
    (tmp_path / "lib/modules/6.9.3-301.fc40.x86_64").mkdir()
    assert kernels.reboot(root=root, running="6.9.1-301.fc40.x86_64").newest == "6.9.2-301.fc40.x86_64"


def test_one_that_is_newer_than_all_installed_is_not_waiting(tmp_path: Path) -> None:
    root = installed(tmp_path, "vmlinuz-6.1.0-28-amd64")
    assert kernels.reboot(root=root, running="6.1.0-30-amd64").runs_newest is True


def test_without_a_kernel_of_the_flavour_nothing_is_known(tmp_path: Path) -> None:
    assert kernels.reboot(root=str(tmp_path)).runs_newest is None
    assert kernels.reboot(root=str(tmp_path)).running == host.kernel_release()


def test_a_distribution_asks_for_a_reboot_in_a_file(tmp_path: Path) -> None:
    assert kernels.reboot(root=str(tmp_path)).is_asked_for is None, "nobody would write it"
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    assert kernels.reboot(root=str(tmp_path)).is_asked_for is False
    (tmp_path / "var/lib/dpkg").rmdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/reboot-required").write_text("*** System restart required ***\n")
    (tmp_path / "run/reboot-required.pkgs").write_text("libc6\ndbus\nlibc6\n")
    found = kernels.reboot(root=str(tmp_path))
    assert (found.is_asked_for, found.packages) == (True, ("dbus", "libc6"))


def test_what_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "boot").touch()
    with pytest.raises(Unreachable, match="boot cannot be read"):
        kernels.reboot(root=str(tmp_path))
    (tmp_path / "boot").unlink()
    (tmp_path / "run/reboot-required.pkgs").mkdir(parents=True)
    with pytest.raises(Unreachable, match="pkgs cannot be read"):
        kernels.reboot(root=str(tmp_path))

    # root may read everything, so the kernel's answer is put in place of its own
    def refuse(*_unused: t.Any) -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(kernels.os, "listdir", refuse)
    with pytest.raises(Denied):
        kernels.reboot(root=str(tmp_path / "other"))
