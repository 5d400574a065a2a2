# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks by name. Each is imported only when an item asks for it; the imports stand in the code so that Ansible ships them."""

from __future__ import annotations

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


def _check_celery() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_celery

    return check_celery


def _check_command() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_command

    return check_command


def _check_doc() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_doc

    return check_doc


def _check_env() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_env

    return check_env


def _check_host() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_host

    return check_host


def _check_http() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_http

    return check_http


def _check_logs() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_logs

    return check_logs


def _check_net() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_net

    return check_net


def _check_postgres() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_postgres

    return check_postgres


def _check_redis() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_redis

    return check_redis


def _check_report() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_report

    return check_report


def _check_s3() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_s3

    return check_s3


def _check_tls() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_tls

    return check_tls


def _check_vcs() -> t.Any:
    from ansible_collections.opsready.golive.plugins.module_utils._checks import check_vcs

    return check_vcs


_LOADERS: dict[str, t.Callable[[], t.Any]] = {
    "check_celery": _check_celery,
    "check_command": _check_command,
    "check_doc": _check_doc,
    "check_env": _check_env,
    "check_host": _check_host,
    "check_http": _check_http,
    "check_logs": _check_logs,
    "check_net": _check_net,
    "check_postgres": _check_postgres,
    "check_redis": _check_redis,
    "check_report": _check_report,
    "check_s3": _check_s3,
    "check_tls": _check_tls,
    "check_vcs": _check_vcs,
}


def names() -> list[str]:
    """Every check there is."""
    return sorted(_LOADERS)


def load(name: str) -> Check:
    """The check of this name, or BadInput naming those there are."""
    if name not in _LOADERS:
        raise BadInput(f"There is no check {name!r}; there are {', '.join(names())}.")
    return t.cast(Check, _LOADERS[name]())
