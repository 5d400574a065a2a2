# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge whether a GPU is partitioned as it should be, by NVIDIA's Multi-Instance GPU (MIG)."""

from __future__ import annotations

import collections
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, plain, unknown

#: ``1g.10gb``, ``1c.3g.20gb`` of a part of an instance, ``1g.10gb+me`` with media engines.
_PROFILE = re.compile(r"(?:\d+c\.)?\d+g\.\d+gb(?:[+-][a-z.]+)*")


def refuse_unusable(mode: str, profiles: t.Sequence[str] | None) -> None:
    """Raises BadInput where the options contradict each other, or name what cannot be a profile."""
    for profile in profiles or ():
        if not _PROFILE.fullmatch(profile):
            raise BadInput(f"mig_instances: {profile!r} is not a MIG profile such as 1g.10gb.")
    if profiles and mode == "disabled":
        raise BadInput("mig is disabled, and mig_instances expects instances.", remedy="Leave one of them out.")


def judge_mode(name: str, mig: t.Mapping[str, bool], wanted: str) -> Criterion:
    """As it is now, and a warning where that ends with the next reset."""
    is_wanted, current, pending = wanted == "enabled", _told(mig["current"]), _told(mig["pending"])
    is_now = mig["current"] is is_wanted
    return holds(
        name,
        is_now and mig["pending"] is is_wanted,
        measured=current if current == pending else f"{current}, {pending} after a reset",
        expected=wanted,
        remedy=f"nvidia-smi -mig {int(is_wanted)}, and a reset of the GPU where that says so.",
        level="warn" if is_now else "fail",
    )


def _told(is_enabled: bool) -> str:
    return "enabled" if is_enabled else "disabled"


def judge_instances(name: str, instances: t.Sequence[t.Mapping[str, t.Any]], wanted: t.Sequence[str]) -> Criterion:
    """These profiles, each as often as it is named, and no others."""
    found = sorted(str(instance["profile"]) for instance in instances)
    if any(instance["profile"] is None for instance in instances):
        return unknown(name, f"{name} are not known: one does not tell its profile", remedy="Update the driver.")
    return holds(
        name,
        collections.Counter(found) == collections.Counter(wanted),
        measured=plain(found) if found else "none",
        expected=plain(sorted(wanted)),
        remedy="They do not outlive a reboot: create them anew (nvidia-smi mig -cgi … -C), best by a service of the host.",
    )
