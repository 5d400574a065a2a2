# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system file: every ``golive_*`` variable there is, and one clear error for one that is wrong or missing."""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import (
    age,
    artefacts,
    backup_proof,
    destinations,
    docker_services,
    dump_directory,
    maintenance,
    notify,
    release_steps,
    retention,
    services,
    smoke_http,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients import conninfo
from ansible_collections.opsready.golive.plugins.module_utils._clients import redis as redis_client
from ansible_collections.opsready.golive.plugins.module_utils._core import clock
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec, validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.plugin_utils.checklist_items import close_match, unknown_keys

_HOST: Spec = {"host": {"type": "str"}}
_SERVICES = services.ARGUMENT_SPEC
#: Where a module takes the value as it stands, its own spec judges it, hours before the module runs.
_STEPS = {**smoke_http.ARGUMENT_SPEC["steps"], "required": False}
_GATES = _SERVICES["gates"]
_SUPERVISOR: Spec = {"ctl": {"type": "str"}, **_SERVICES["supervisor"]["options"]}
_ARTEFACT: Spec = {
    **_SERVICES["artefact"]["options"],
    "src": {"type": "path", "required": True},
    "sha256": {"type": "str", "required": True},
}
#: A tag can be moved between the GO and the window: what was judged is a commit.
_WORKING_TREE: Spec = {**_SERVICES["working_tree"]["options"], "commit": {"type": "str", "required": True}}

SYSTEM_FILE: Spec = {
    "golive_system": {"type": "str", "required": True},
    "golive_version": {"type": "str", "required": True},
    "golive_operator": {"type": "str"},
    "golive_state_host": {"type": "str", "required": True},
    "golive_state_dir": {"type": "str", "required": True},
    "golive_checklist": {"type": "list", "elements": "dict", "required": True},
    "golive_checklist_defaults": {"type": "dict"},
    "golive_require": {"type": "list", "elements": "str"},
    "golive_satisfies": {"type": "dict"},
    "golive_waivers": {"type": "list", "elements": "dict"},
    "golive_sign_offs": {"type": "list", "elements": "dict"},
    "golive_force": {"type": "list", "elements": "dict"},
    "golive_loosened_approver": {"type": "str"},
    "golive_accept_data_loss": {"type": "bool"},
    "golive_takeover": {"type": "str"},
    "golive_damaged_journal": {"type": "str", "choices": ["refuse", "set_aside"]},
    "golive_progress": {"type": "str", "choices": ["lines", "quiet"]},
    "golive_redeploy": {"type": "bool"},
    "golive_take_over_maintenance": {"type": "bool"},
    "golive_verdict_max_age": {"type": "float"},
    "golive_secrets": {
        "type": "dict",
        "no_log": True,
        "options": {
            "database": {"type": "str", "no_log": True},
            "verify_database": {"type": "str", "no_log": True},
            "broker": {"type": "str", "no_log": True},
            "backup": {"type": "str", "no_log": True},
            "backup_identity": {"type": "str", "no_log": True},
            "bypass": {"type": "str", "no_log": True},
            "smoke": {"type": "dict", "no_log": True},
            "notify": {"type": "dict", "no_log": True},
        },
    },
    "golive_services": {
        "type": "dict",
        "required": True,
        "options": {
            **_HOST,
            "manager": {"type": "str", "choices": ["supervisor", "docker"], "default": "supervisor"},
            "supervisor": {"type": "dict", "options": _SUPERVISOR},
            "docker": _SERVICES["docker"],
            "artefact": {"type": "dict", "options": _ARTEFACT},
            "working_tree": {"type": "dict", "options": _WORKING_TREE},
            "files": {"type": "list", "elements": "str"},
            "backend": {"type": "list", "elements": "str", "required": True},
            "workers": {"type": "list", "elements": "str"},
            "schedulers": {"type": "list", "elements": "str"},
            "stateful": {"type": "list", "elements": "str"},
            "allow_stateful": {"type": "bool"},
            "gates": _GATES,
            "previous_gates": _GATES,
            "stop_timeout": {"type": "int"},
            "snapshot_dir": {"type": "str"},
        },
    },
    "golive_database": {
        "type": "dict",
        "options": {
            **_HOST,
            "dsn": {"type": "str", "required": True},
            "verify_dsn": {"type": "str"},
            "fence": {"type": "str", "choices": ["rename"]},
            "replication": {"type": "str", "choices": ["refuse", "leave"]},
            "standbys": {"type": "list", "elements": "str"},
            "template_copy": {"type": "bool"},
            "application_roles": {"type": "list", "elements": "str", "required": True},
            "pg_bindir": {"type": "str"},
        },
    },
    "golive_backup": {
        "type": "dict",
        "options": {
            **_HOST,
            "destination": {"type": "str", "required": True},
            "s3": {"type": "dict"},
            "upload": {"type": "dict", "options": destinations.UPLOAD},
            "format": {"type": "str", "choices": list(dump_directory.FORMATS)},
            "compression": {"type": "str"},
            "compression_level": {"type": "int"},
            "verify": {"type": "str", "choices": ["restore", "archive", "head"]},
            "compare": {"type": "str", "choices": ["rows", "content"]},
            "amcheck": {"type": "bool"},
            "verify_sql": {"type": "list", "elements": "dict", "options": backup_proof.ASSERTION},
            "encryption": {"type": "dict", "options": {"recipients": age.SPEC["recipients"]}},
            "keep": {"type": "dict", "options": retention.SPEC},
            "timeout": {"type": "float"},
        },
    },
    "golive_migration": {
        "type": "dict",
        "options": {
            **_HOST,
            "tool": {"type": "str", "choices": ["alembic"], "default": "alembic"},
            "directory": {"type": "str", "required": True},
            "command": {"type": "list", "elements": "str"},
            "environment": {"type": "dict"},
            "url_variable": {"type": "str"},
            "url_scheme": {"type": "str"},
            "role": {"type": "str"},
            "lock_timeout": {"type": "float"},
        },
    },
    "golive_workers": {
        "type": "dict",
        "options": {
            **_HOST,
            "url": {"type": "str", "required": True},
            "queues": {"type": "list", "elements": "str"},
            "expected": {"type": "int"},
            "timeout": {"type": "float"},
        },
    },
    "golive_maintenance": {
        "type": "dict",
        "required": True,
        "options": {
            **_HOST,
            "layers": maintenance.ARGUMENT_SPEC["layers"],
            "verify": {**maintenance.ARGUMENT_SPEC["verify"], "required": True},
            "bypass_header": {"type": "str"},
        },
    },
    "golive_smoke": {
        "type": "dict",
        "options": {
            **_HOST,
            "base_url": {"type": "str", "required": True},
            "ca_file": {"type": "str"},
            "variables": {"type": "dict"},
            "inside": _STEPS,
            "outside": _STEPS,
            "previous": _STEPS,
            "cleanup": _STEPS,
            "timeout": {"type": "float"},
        },
    },
    "golive_downtime": {
        "type": "dict",
        "required": True,
        "options": {
            **_HOST,
            "directory": {"type": "str"},
            "url": {"type": "str", "required": True},
            "ca_file": {"type": "str"},
            "connect_to": {"type": "str"},
            "version_header": {"type": "str"},
            "interval_ms": {"type": "int"},
            "budget_seconds": {"type": "float"},
            "max_seconds": {"type": "int"},
        },
    },
    "golive_report": {
        "type": "dict",
        "options": {
            "directory": {"type": "str"},
            "formats": {
                "type": "list",
                "elements": "str",
                "choices": ["json", "html", "markdown", "junit"],
            },
        },
    },
    "golive_notify": {
        "type": "dict",
        "options": {
            **_HOST,
            **{name: notify.ARGUMENT_SPEC[name] for name in ("channels", "link", "timeout", "request_timeout", "interval")},
        },
    },
}  # fmt: skip

#: The steps that the ids of written checklists can stand beside.
_STEP_NAMES = tuple(step.name for step in (*release_steps.STEPS, *release_steps.WAY_BACK))
#: What Ansible makes of no inventory entry.
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
#: What our playbooks make themselves; not an input.
OWN = {"golive_release", "golive_run"}


def named_variables(variables: t.Iterable[str]) -> list[str]:
    """The ``golive_*`` names among the variables of a host."""
    return sorted(name for name in variables if name.startswith("golive_"))


def check_names(variables: t.Iterable[str]) -> None:
    """Raise BadInput for ``golive_*`` names that mean nothing here, and for required ones that are absent."""
    present = set(named_variables(variables))
    faults = [
        f"{name} is not a variable of opsready.golive{close_match(name, SYSTEM_FILE)}"
        for name in sorted(present - set(SYSTEM_FILE) - OWN)
    ]
    faults += [
        f"{name} is missing" for name, option in SYSTEM_FILE.items() if option.get("required") and name not in present
    ]
    faults += [
        f"{name} needs golive_database"
        for name in ("golive_backup", "golive_migration")
        if name in present and "golive_database" not in present
    ]
    if faults:
        raise BadInput("The system file cannot be used: " + "; ".join(faults) + ".")


def check_hosts(values: t.Mapping[str, t.Any], inventory: t.Container[str]) -> list[str]:
    """What is wrong with the hosts that the system file names: a misspelt one would be found in the middle of a release."""
    named = {"golive_state_host": values.get("golive_state_host")}
    named.update({f"{name}.host": value.get("host") for name, value in values.items() if isinstance(value, t.Mapping)})
    return [
        f"{key} is {host!r}, which is not in the inventory"
        for key, host in named.items()
        if host is not None and host not in _THIS_MACHINE and host not in inventory
    ]


def check_together(values: t.Mapping[str, t.Any]) -> list[str]:
    """What is wrong between variables that are each right by themselves."""
    parts = {name: value for name, value in values.items() if isinstance(value, t.Mapping)}
    faults = []
    if "golive_services" in parts and "artefact" not in parts["golive_services"] and "golive_migration" in parts:
        directory = str(parts["golive_migration"].get("directory") or "")
        if not directory.startswith("/"):
            faults.append(
                f"golive_migration.directory is {directory!r}: without golive_services.artefact, which it would lie in, it has to be "
                "absolute, a checkout of the new version beside the one that runs"
            )
    if "golive_workers" in parts and "golive_services" in parts and not parts["golive_services"].get("workers"):
        faults.append(
            "golive_workers needs golive_services.workers: workers that the release does not stop go on consuming while the "
            "database is migrated"
        )
    for step in release_steps.STEPS:
        # A part is a variable, or what a user does in one of the smoke test's two places.
        part, _unused, place = step.needs.partition("_")
        there = parts.get(f"golive_{part}")
        if (
            step.name in parts.get("golive_satisfies", {})
            and part
            and not (there.get(place) if there and place else there)
        ):
            faults.append(
                f"golive_satisfies.{step.name}: this system has no such step without golive_{part}{'.' if place else ''}{place}"
            )
    return faults


def require_steps(satisfies: t.Mapping[str, t.Any], *, name: str) -> None:
    """Raise BadInput for a step that no release has, and for one without ids; ``satisfies`` is a mapping from one to the other."""
    for step, ids in satisfies.items():
        if step not in _STEP_NAMES:
            raise BadInput(
                f"{name}: a release has no step {step!r}{close_match(str(step), _STEP_NAMES)}.",
                remedy=f"Its steps are {', '.join(_STEP_NAMES)}.",
            )
        if not isinstance(ids, (list, tuple)) or not ids or not all(isinstance(one, str) and one for one in ids):
            raise BadInput(f"{name}.{step} has to be a list of ids, such as [S1.31].")


def check_value(name: str, value: t.Any) -> None:
    """Raise BadInput when one variable has a wrong type or unknown keys; the message names variable and key."""
    unknown = list(dict.fromkeys(unknown_keys({name: SYSTEM_FILE[name]}, {name: value})))
    if unknown:
        raise BadInput(f"The system file: {'; '.join(unknown)}.")
    read = validated({name: SYSTEM_FILE[name]}, {name: value}, where="The system file")[name]
    if read:
        _refuse_what_a_module_would(name, read)


def _refuse_what_a_module_would(name: str, read: t.Mapping[str, t.Any]) -> None:
    """Raise BadInput for what would otherwise be said once the lock is held, or inside the window."""
    if name == "golive_satisfies":
        require_steps(read, name=name)
    if name == "golive_services":
        _require_a_version(read)
    if name == "golive_maintenance":
        _require_layers(read["layers"])
    if name == "golive_backup" and read["format"] == "directory":
        raise BadInput(
            "golive_backup.format is directory, and ROLLBACK.md brings a database back from one file, with stock commands alone.",
            remedy="Leave it out; backups of every day, with opsready.golive.pg_backup, may be of either format.",
        )
    if name == "golive_backup":
        for option in ("amcheck", "verify_sql"):
            if read[option]:
                backup_proof.require_restore(read["verify"] or "restore", for_option=f"golive_backup.{option}")
    if name == "golive_backup" and read["keep"]:
        retention.require_rules(read["keep"])
    if name == "golive_backup" and read["encryption"]:
        age.refuse_no_recipients(read["encryption"]["recipients"], name="golive_backup.encryption.recipients")
    if name == "golive_backup" and read["upload"]:
        asked = destinations.Upload.of(read["upload"], now=clock.CLOCK.now())
        if asked is not None and not read["destination"].startswith("s3://"):
            raise BadInput(
                "golive_backup.upload asks an object store for something, and golive_backup.destination is none."
            )
    if name == "golive_database":
        # Whether the server has them the migration's plan says, or the fence's status.
        if not read["application_roles"] or not all(read["application_roles"]):
            raise BadInput(
                "golive_database.application_roles is empty, so nobody could connect behind the fence: name the "
                "application's login roles."
            )
        conninfo.database_of(conninfo.parsed(read["dsn"], name="golive_database.dsn"), name="golive_database.dsn")
        if read["verify_dsn"]:
            conninfo.parsed(read["verify_dsn"], name="golive_database.verify_dsn")
        for number, dsn in enumerate(read["standbys"] or []):
            conninfo.parsed(dsn, name=f"golive_database.standbys[{number}]")
    if name == "golive_notify":
        try:
            notify.refuse_unreadable({**read, "subject": "how it ended"})
        except BadInput as problem:
            raise BadInput(f"golive_notify: {problem.message}", remedy=problem.remedy) from None
    if name == "golive_workers":
        try:
            redis_client.parsed(read["url"])
        except BadInput as problem:
            raise BadInput(f"golive_workers.url: {problem.message}", remedy=problem.remedy) from None


def _require_a_version(read: t.Mapping[str, t.Any]) -> None:
    """Raise BadInput where it is not said what is released, or where it could not be taken back."""
    name = "golive_services"
    if not read["backend"]:
        raise BadInput(f"{name}.backend is empty: there is nothing that would be released.")
    managed_by_docker = read["manager"] == "docker"
    for key, belongs in (("docker", managed_by_docker), ("supervisor", not managed_by_docker)):
        if read[key] and not belongs:
            raise BadInput(f"{name}.{key} is given, and {name}.manager is {read['manager']}.")
    images = (read["docker"] or {}).get("images")
    made_of = {"artefact": read["artefact"], "working_tree": read["working_tree"], "docker.images": images}
    known = ["working_tree", "docker.images"] if managed_by_docker else ["artefact", "working_tree"]
    given = [key for key, value in made_of.items() if value]
    if len(given) != 1 or given[0] not in known:
        said = " and ".join(f"{name}.{key}" for key in given) or "neither"
        raise BadInput(
            f"With manager {read['manager']} the new version is either {name}.{known[0]} or {name}.{known[1]}; given is {said}."
        )
    if read["artefact"]:
        artefacts.checked_sha256(read["artefact"]["sha256"], name=f"{name}.artefact.sha256")
    elif not read["snapshot_dir"]:
        raise BadInput(
            f"{name}.snapshot_dir is needed without {name}.artefact: the folder on the services' host for what the way back needs."
        )
    released = {*read["backend"], *(read["workers"] or ()), *(read["schedulers"] or ())}
    stray, left_out = sorted(set(images or ()) - released), sorted(released - set(images or released))
    if stray:
        raise BadInput(f"{name}.docker.images names {', '.join(stray)}, which the release neither stops nor starts.")
    if left_out:
        raise BadInput(
            f"{name}.docker.images leaves out {', '.join(left_out)}, which would silently stay as they are.",
            remedy="Name the image of each; of one that is to keep its own, that one.",
        )
    if managed_by_docker:
        docker_services.checked(read["docker"] or {}, name=f"{name}.docker")


def _require_layers(layers: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    if not layers:
        raise BadInput("golive_maintenance.layers is empty: there is nothing to switch.")
    if not any(layer["survives_stop"] for layer in layers):
        raise BadInput(
            "golive_maintenance.layers has none with survives_stop: true: each would end with the backend that the release stops."
        )
