# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every wrong or missing variable of the system file is named, before anything runs."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.plugin_utils import system_file
from ansible_collections.opsready.golive.plugins.plugin_utils.system_file import (
    SYSTEM_FILE,
    check_hosts,
    check_names,
    check_together,
    check_value,
)

REQUIRED = [name for name, option in SYSTEM_FILE.items() if option.get("required")]


def test_what_is_required_is_enough() -> None:
    check_names([*REQUIRED, "ansible_version", "groups"])
    check_names([*REQUIRED, *system_file.OWN])


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(BadInput, match=f"{name} is missing"):
        check_names([other for other in REQUIRED if other != name])


@pytest.mark.parametrize("name", sorted(SYSTEM_FILE))
def test_what_is_misspelt_is_named_with_what_may_be_meant(name: str) -> None:
    with pytest.raises(BadInput, match=rf"{name}x is not a variable of opsready\.golive \(did you mean {name}\?\)"):
        check_names([*REQUIRED, f"{name}x"])


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        check_names(["golive_systm", "golive_other"])
    assert caught.value.message.startswith("The system file cannot be used: ")
    for part in ("golive_systm", "golive_other", "golive_system is missing", "golive_version is missing"):
        assert part in caught.value.message


DICTS = [name for name, option in SYSTEM_FILE.items() if option["type"] == "dict" and option.get("options")]


@pytest.mark.parametrize("name", DICTS)
def test_an_unknown_key_is_named_with_its_variable(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_value(name, {"no_such_key_at_all": 1})
    assert name in caught.value.message
    assert "no_such_key_at_all" in caught.value.message


def test_an_unknown_key_is_named_with_its_place_and_the_one_that_was_meant() -> None:
    with pytest.raises(BadInput) as caught:
        check_value("golive_downtime", {"url": "https://a", "budget": 3, "connect": "b"})
    assert caught.value.message == (
        "The system file: unknown key 'golive_downtime.budget' (did you mean budget_seconds?); "
        "unknown key 'golive_downtime.connect' (did you mean connect_to?)."
    )
    gates = [{"service": "a", "url": "b"}, {"service": "a", "url": "b", "jsn": []}]
    with pytest.raises(BadInput, match=r"unknown key 'golive_services.gates.jsn' \(did you mean json\?\)"):
        check_value("golive_services", {"gates": gates})


def test_a_host_that_is_not_in_the_inventory_is_named_with_its_key() -> None:
    values = {"golive_state_host": "stat1", "golive_system": "a", "golive_services": {"host": "app1"},
              "golive_downtime": {"host": "ap1", "url": "https://a"}, "golive_smoke": {"host": "localhost"}}  # fmt: skip
    assert check_hosts(values, ["state1", "app1"]) == [
        "golive_state_host is 'stat1', which is not in the inventory",
        "golive_downtime.host is 'ap1', which is not in the inventory",
    ]


@pytest.mark.parametrize(
    "name", [name for name, option in SYSTEM_FILE.items() if option["type"] in ("dict", "list", "bool", "float")]
)
def test_a_wrong_type_is_named_and_a_secret_value_is_not(name: str) -> None:
    wrong: t.Any = {"a": 1} if SYSTEM_FILE[name]["type"] == "list" else "canary-literal ,"
    with pytest.raises(BadInput) as caught:
        check_value(name, wrong)
    assert name in caught.value.message
    if SYSTEM_FILE[name].get("no_log"):
        assert "canary-literal" not in caught.value.message


@pytest.mark.parametrize("keep", [{"min_keep": 3}, {"daily": -1}, {"last": 1, "min_keep": 0}])
def test_a_retention_that_the_backup_would_refuse_is_refused_before_anything_runs(keep: dict[str, int]) -> None:
    check_value("golive_backup", {"destination": "file:///backups", "keep": {"daily": 7}})
    with pytest.raises(BadInput, match="keep"):
        check_value("golive_backup", {"destination": "file:///backups", "keep": keep})


ARTEFACT = {"src": "/a.tar", "sha256": "0" * 64, "releases_dir": "/srv/releases", "current": "/srv/current"}
SERVICES = {"artefact": ARTEFACT, "backend": ["web"]}
IMAGE = "sha256:" + "0" * 64
CONTAINERS = {
    "manager": "docker",
    "backend": ["web"],
    "docker": {"images": {"web": IMAGE}},
    "snapshot_dir": "/var/lib/ours",
}
TREE = {"path": "/srv/app", "commit": "a" * 40}
DATABASE = {"dsn": "postgresql://app@db/archive", "application_roles": ["app"]}
BACKUP = {"destination": "file:///backups"}
LAYER = {"name": "proxy", "backend": "file", "path": "/flag", "survives_stop": True}
MAINTENANCE = {"layers": [LAYER], "verify": {"url": "https://a"}}
WEBHOOK = {"name": "team", "webhook": {"url": "https://hooks.example.org/T0geheim"}}
#: Each would be found inside the window, and keep the way back as well; or nobody would be told.
ASKED = {"query": "select 1", "expect": "1"}
REFUSED_LATE: list[tuple[str, t.Any, str]] = [
    ("golive_database", {"dsn": DATABASE["dsn"]}, "missing required arguments: application_roles"),
    ("golive_database", {**DATABASE, "application_roles": []}, "golive_database.application_roles is empty"),
    ("golive_database", {**DATABASE, "application_roles": [""]}, "golive_database.application_roles is empty"),
    ("golive_services", {**SERVICES, "backend": []}, "golive_services.backend is empty"),
    ("golive_backup", {**BACKUP, "format": "directory"}, "ROLLBACK.md brings a database back from one file"),
    ("golive_backup", {**BACKUP, "encryption": {}}, "missing required arguments: recipients"),
    ("golive_backup", {**BACKUP, "encryption": {"recipients": []}}, "golive_backup.encryption.recipients is empty"),
    ("golive_backup", {**BACKUP, "encryption": {"recipients": ["age1a", "operations"]}}, "golive_backup.encryption.recipients[2] is neither"),
    ("golive_backup", {**BACKUP, "encryption": {"recipients": ["AGE-SECRET-KEY-1geheim"]}}, "golive_backup.encryption.recipients[1] is a secret key"),
    ("golive_services", {**SERVICES, "artefact": {**ARTEFACT, "sha256": "xx"}}, "golive_services.artefact.sha256 is not 64 hex"),
    ("golive_services", {"backend": ["web"]}, "either golive_services.artefact or golive_services.working_tree; given is neither"),
    ("golive_services", {**SERVICES, "working_tree": TREE}, "given is golive_services.artefact and golive_services.working_tree"),
    ("golive_services", {**CONTAINERS, "working_tree": TREE}, "given is golive_services.working_tree and golive_services.docker.images"),
    ("golive_services", {**CONTAINERS, "docker": {"images": {}}}, "With manager docker the new version is either golive_services.working_tree"),
    ("golive_services", {**SERVICES, "manager": "docker"}, "given is golive_services.artefact"),
    ("golive_services", {**CONTAINERS, "supervisor": {"server": "unix:///s"}}, "golive_services.supervisor is given, and golive_services.manager is docker"),
    ("golive_services", {**SERVICES, "docker": {"images": {"web": IMAGE}}}, "golive_services.docker is given, and golive_services.manager is supervisor"),
    ("golive_services", {**CONTAINERS, "snapshot_dir": ""}, "golive_services.snapshot_dir is needed without golive_services.artefact"),
    ("golive_services", {**CONTAINERS, "docker": {"images": {"web": "shop:2"}}}, "golive_services.docker.images: 'shop:2' of web is no digest"),
    ("golive_services", {**CONTAINERS, "docker": {"images": {"wbe": IMAGE}}}, "golive_services.docker.images names wbe, which the release neither"),
    ("golive_services", {**CONTAINERS, "workers": ["worker"]}, "golive_services.docker.images leaves out worker, which would silently stay"),
    ("golive_services", {**CONTAINERS, "docker": {"images": {"web": IMAGE}, "url": "tcp://h:1"}}, "golive_services.docker.url is 'tcp://h:1'"),
    ("golive_services", {**CONTAINERS, "docker": {}, "working_tree": {"path": "/srv/app"}}, "missing required arguments: commit"),
    ("golive_maintenance", {**MAINTENANCE, "layers": []}, "golive_maintenance.layers is empty"),
    ("golive_maintenance", {**MAINTENANCE, "layers": [{**LAYER, "survives_stop": False}]}, "none with survives_stop: true"),
    ("golive_notify", {}, "missing required arguments: channels"),
    ("golive_notify", {"channels": []}, "golive_notify: channels is empty"),
    ("golive_notify", {"channels": [WEBHOOK], "timeout": 0}, "golive_notify: timeout is 0"),
    ("golive_notify", {"channels": [{"name": "team"}]}, "one of the following is required: webhook, mail found in golive_notify -> channels"),
    (
        "golive_notify",
        {"channels": [{"name": "team", "webhook": {"url": "https://u:geheim@hooks.example.org/"}}]},
        "golive_notify: channels: number 1 (team): url is no whole http(s) URL",
    ),
    ("golive_backup", {**BACKUP, "verify": "archive", "amcheck": True}, "golive_backup.amcheck looks at a restored database"),
    ("golive_backup", {**BACKUP, "verify": "head", "verify_sql": [ASKED]}, "golive_backup.verify_sql looks at a restored"),
]  # fmt: skip


def test_parts_that_a_release_can_work_with_are_accepted() -> None:
    for name, value in (
        ("golive_database", DATABASE),
        ("golive_services", SERVICES),
        ("golive_services", CONTAINERS),
        ("golive_services", {"backend": ["web"], "working_tree": TREE, "snapshot_dir": "/var/lib/ours"}),
        ("golive_services", {**CONTAINERS, "docker": {}, "working_tree": TREE}),
        ("golive_backup", {**BACKUP, "encryption": {"recipients": ["age1a", "ssh-ed25519 AAAA me@example.org"]}}),
        ("golive_services", {**SERVICES, "artefact": {**ARTEFACT, "sha256": "sha256:" + "AB" * 32}}),
        ("golive_maintenance", {**MAINTENANCE, "layers": [LAYER, {**LAYER, "name": "app", "survives_stop": False}]}),
        ("golive_notify", {"host": "state1", "channels": [WEBHOOK], "link": "https://ci.example.org/7"}),
        ("golive_backup", {**BACKUP, "amcheck": True, "verify_sql": [ASKED]}),
    ):
        check_value(name, value)


@pytest.mark.parametrize(("name", "value", "said"), REFUSED_LATE)
def test_what_could_only_fail_in_the_window_is_refused_before(name: str, value: t.Any, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_value(name, value)
    assert said in caught.value.message
    assert "geheim" not in str(caught.value)


def test_without_an_artefact_the_migrations_lie_somewhere_that_is_named() -> None:
    """Relative to the artefact's folder is nowhere then."""
    (fault,) = check_together({"golive_services": CONTAINERS, "golive_migration": {"directory": "migrations"}})
    assert fault.startswith("golive_migration.directory is 'migrations': without golive_services.artefact")
    for services, directory in ((CONTAINERS, "/srv/next/migrations"), (SERVICES, "migrations")):
        assert check_together({"golive_services": services, "golive_migration": {"directory": directory}}) == []


def test_workers_that_are_no_services_of_ours_cannot_be_released() -> None:
    """Nothing would stop them: they would consume through the migration, and be in the way of the way back."""
    workers = {"url": "redis://127.0.0.1/0"}
    for services in ({"golive_services": SERVICES}, {"golive_services": {**SERVICES, "workers": []}}):
        (fault,) = check_together({"golive_workers": workers, **services})
        assert fault.startswith("golive_workers needs golive_services.workers")
    good = {"golive_workers": workers, "golive_services": {**SERVICES, "workers": ["worker"]}}
    assert check_together(good) == check_together({"golive_services": SERVICES}) == []
    assert check_together({"golive_workers": workers}) == [], "what cannot be read is told by itself"


@pytest.mark.parametrize(
    ("satisfies", "said"),
    [
        ({"bakcup": ["S1.10"]}, "has no step 'bakcup' (did you mean backup?)"),
        ({"backup": "S1.10"}, "golive_satisfies.backup has to be a list of ids"),
        ({"backup": []}, "golive_satisfies.backup has to be a list of ids"),
        ({"backup": [1.10]}, "golive_satisfies.backup has to be a list of ids"),
    ],
)
def test_what_no_step_can_serve_is_refused(satisfies: dict[str, t.Any], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_value("golive_satisfies", satisfies)
    assert said in caught.value.message
    check_value("golive_satisfies", {"backup": ["S1.10"], "back_database": ["S1.66"]})


@pytest.mark.parametrize(
    ("step", "part", "values"),
    [
        ("backup", "golive_backup", {"golive_backup": {"destination": "file:///backups"}}),
        ("smoke_inside", "golive_smoke.inside", {"golive_smoke": {"inside": [{"name": "login"}]}}),
    ],
)
def test_a_step_that_the_system_does_not_have_serves_nothing(step: str, part: str, values: dict[str, t.Any]) -> None:
    satisfies = {"golive_satisfies": {step: ["S1.10"], "stop": ["S1.31"]}}
    assert check_together({**satisfies, **values}) == []
    (fault,) = check_together({**satisfies, "golive_smoke": {"outside": [{"name": "login"}]}})
    assert fault == f"golive_satisfies.{step}: this system has no such step without {part}"


def test_judging_a_value_changes_no_spec() -> None:
    before = copy.deepcopy(SYSTEM_FILE)
    check_value("golive_downtime", {"url": "https://a"})
    assert before == SYSTEM_FILE


def _options(spec: t.Mapping[str, t.Any], path: str = "") -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    for name, option in spec.items():
        yield f"{path}{name}", option
        yield from _options(option.get("options") or {}, f"{path}{name}.")


def test_every_secret_is_an_option_of_its_own_and_marked() -> None:
    named_like_one = {
        path: option
        for path, option in _options(SYSTEM_FILE)
        if option["type"] != "bool"
        and any(word in path.rpartition(".")[2] for word in ("password", "secret", "token", "bearer"))
    }
    assert [path for path, option in named_like_one.items() if "no_log" not in option] == []
    assert all(option["no_log"] for option in SYSTEM_FILE["golive_secrets"]["options"].values())


def test_only_our_names_are_looked_at() -> None:
    assert system_file.named_variables(["b", "golive_b", "golive_a", "my_golive_c"]) == ["golive_a", "golive_b"]
