# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a host wait for a reboot: by its distribution's own word, and by the kernels that are installed beside the one it runs?"""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import host
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Denied, Unreachable

_IMAGE = re.compile(r"(?:vmlinuz|vmlinux|kernel)-(.+)")
#: Words in a release that belong to its version, and not to its flavour.
_OF_VERSION = frozenset({"bpo", "deb", "rc"})


@dataclasses.dataclass(frozen=True)
class Reboot:
    """What a host says about a reboot that is due."""

    #: Debian and its like say so in a file; None where nobody would write it.
    is_asked_for: bool | None
    #: Because of which packages; not all of them say so.
    packages: tuple[str, ...]
    running: str
    #: The newest installed kernel of the running one's flavour; None where there is none of it.
    newest: str | None

    @property
    def runs_newest(self) -> bool | None:
        """None where no kernel of this flavour is installed, as in a container."""
        return None if self.newest is None else _age(self.running) >= _age(self.newest)


def reboot(*, root: str = "", running: str = "") -> Reboot:
    """What is due on the host whose files are below ``root``. Raises Denied, Unreachable."""
    running = running or host.kernel_release()
    same = [release for release in _installed(root) if _flavour(release) == _flavour(running)]
    return Reboot(
        is_asked_for=_is_asked_for(root),
        packages=_packages(f"{root}/run/reboot-required.pkgs"),
        running=running,
        newest=max(same, key=_age, default=None),
    )


def _is_asked_for(root: str) -> bool | None:
    if os.path.exists(f"{root}/run/reboot-required"):
        return True
    return False if os.path.exists(f"{root}/var/lib/dpkg") else None


def _packages(path: str) -> tuple[str, ...]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return tuple(sorted(set(stream.read(65536).split())))
    except FileNotFoundError:
        return ()
    except OSError as problem:
        raise Unreachable(f"{path} cannot be read: {problem.strerror}.")


def _installed(root: str) -> t.Iterator[str]:
    """Releases that could be started: images in /boot, or those whose modules are there; what removal left behind has none."""
    for name in _listed(f"{root}/boot"):
        image = _IMAGE.fullmatch(name)
        if image:
            yield image[1]
    for release in _listed(f"{root}/lib/modules"):
        if os.path.exists(f"{root}/lib/modules/{release}/modules.builtin"):
            yield release


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except PermissionError:
        raise Denied(f"{folder} may not be read by user id {os.geteuid()}.", remedy="Run this item with become: true.")
    except OSError as problem:
        raise Unreachable(f"{folder} cannot be read: {problem.strerror}.")


def _flavour(release: str) -> tuple[str, ...]:
    """``6.1.0-28-cloud-amd64`` is of cloud-amd; numbers change from one version to the next."""
    return tuple(word for word in re.findall("[A-Za-z]+", release) if word not in _OF_VERSION)


def _age(release: str) -> tuple[list[int], list[int]]:
    """Orders releases of one flavour: by the numbers before its first word, then by the others."""
    version = re.match(r"[^A-Za-z]*", release)
    end = version.end() if version else 0
    first, others = (re.findall(r"\d+", part) for part in (release[:end], release[end:]))
    return [int(number) for number in first], [int(number) for number in others]
