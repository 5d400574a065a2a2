# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks by name. Each is imported by its name, and only when an item asks for it.

Ansible packs a module with whatever its code imports: with every check that takes longer than judging. So each check's
module imports its own check, and what is sent for a checklist carries those that its items ask for (``sent_module``).
"""

from __future__ import annotations

import importlib
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion

Facts = t.TypeVar("Facts")
Params = t.Mapping[str, t.Any]


class Check(t.Protocol):
    """What a file of ``_checks`` offers."""

    NAME: str
    ARGUMENT_SPEC: Spec
    CONSTRAINTS: Constraints
    gather: t.Callable[..., t.Any]
    judge: t.Callable[[t.Any, Params], t.Iterator[Criterion]]
    evidence: t.Callable[[t.Any], dict[str, t.Any]]


#: The key that stands where a secret was in an item that is sent: ``{"golive_secret": 3}`` is the fourth of ``secrets``.
REFERENCE = "golive_secret"

_NAMES = (
    "check_backup",
    "check_celery",
    "check_command",
    "check_container",
    "check_doc",
    "check_env",
    "check_gpu",
    "check_grafana",
    "check_host",
    "check_http",
    "check_image",
    "check_k8s",
    "check_logs",
    "check_migration",
    "check_net",
    "check_postgres",
    "check_prometheus",
    "check_redis",
    "check_report",
    "check_s3",
    "check_secrets",
    "check_tls",
    "check_vcs",
)


def names() -> list[str]:
    """Every check there is."""
    return sorted(_NAMES)


def load(name: str) -> Check:
    """The check of this name, or BadInput naming those there are."""
    if name not in _NAMES:
        raise BadInput(f"There is no check {name!r}; there are {', '.join(names())}.")
    return t.cast(Check, importlib.import_module(f"{__package__}.{name}"))
