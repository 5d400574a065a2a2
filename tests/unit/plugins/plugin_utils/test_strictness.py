# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Law 2: every way in which an item judges less than at the last GO is found, and nothing stricter is reported as such."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.plugin_utils.checklist_items import parse
from ansible_collections.opsready.golive.plugins.plugin_utils.strictness import (
    compared,
    demanded,
    depends_on_host,
    grouped,
    has_template,
    leaves,
)

HOSTS = {"controller": ["controller"], "web": ["web1", "web2"], "all": ["web1", "web2", "db1"], "web1": ["web1"]}
FILES = {"check_host": {"files": [{"path": "/etc/passwd", "max_size": "1MB"}]}}


def _strict(**changes: t.Any) -> dict[str, t.Any]:
    """What a list of one item demands."""
    raw = {"id": "a", "title": "a", **changes}
    if not any(key.startswith("check_") or key == "sign_off" for key in raw):
        raw.update(FILES)
    return _of_items(raw)


def _of_items(*raws: dict[str, t.Any], require: t.Sequence[str] = (), **more: t.Any) -> dict[str, t.Any]:
    items = [parse(raw, index) for index, raw in enumerate(raws)]
    return json.loads(json.dumps({
        "require": list(require), "hosts": HOSTS, "items": {item.id: demanded(item, item.params, item.params) for item in items}, **more,
    }))  # fmt: skip


def _found(was: dict[str, t.Any], now: dict[str, t.Any]) -> list[tuple[str, str]]:
    return [(change["field"], change["kind"]) for change in compared(now, was)]


TEAM = {"team": "backend", "expires_after": "7d"}
HOURS = {"time": "09:00-17:00", "time_zone": "Europe/Berlin", "window": "2h"}
#: What the item was, what it is, the field, and the kind; the other way round nothing is loosened.
ITEM_CHANGES: list[tuple[dict[str, t.Any], dict[str, t.Any], list[tuple[str, str]]]] = [
    ({}, {}, []),
    ({}, {"severity": "warning"}, [("severity", "loosened")]),
    ({"phase": ["pre_deploy", "watch"]}, {"phase": ["pre_deploy"]}, [("phase", "loosened")]),
    ({"hosts": "all"}, {"hosts": "web"}, [("hosts", "loosened")]),
    ({}, {"when": "not_tonight", "reason": "r"}, [("when", "loosened")]),
    ({}, {"when": False, "reason": "r"}, [("when", "loosened")]),
    ({"max_age": "5m"}, {"max_age": "10m"}, [("max_age", "loosened")]),
    ({"max_age": "5m"}, {}, [("max_age", "loosened")]),
    ({"timeout": "10s"}, {"timeout": "60s"}, [("timeout", "loosened")]),
    ({"sign_off": TEAM}, {"sign_off": {**TEAM, "expires_after": "2w"}}, [("sign_off.expires_after", "loosened")]),
    ({"sign_off": TEAM}, {"sign_off": {"team": "backend"}}, [("sign_off.expires_after", "loosened")]),
    ({"sign_off": TEAM}, {"sign_off": {**TEAM, "binds_to": "migration_preview"}}, [("sign_off.binds_to", "loosened")]),
    ({"sign_off": {**TEAM, "binds_to": "migration_preview"}}, {"sign_off": {**TEAM, "binds_to": "none"}},
     [("sign_off.binds_to", "loosened")]),
    ({"sign_off": {**TEAM, "asks": ["channel", "hours"]}}, {"sign_off": {**TEAM, "asks": ["hours"]}},
     [("sign_off.asks", "loosened")]),
    *(({"sign_off": {**TEAM, "hours": HOURS}}, {"sign_off": {**TEAM, "hours": wider}}, [("sign_off.hours", "loosened")])
      for wider in (None, {**HOURS, "time": "09:00-18:00"}, {**HOURS, "time": "08:59-17:00"}, {**HOURS, "days": ["mon-sat"]},
                    {**HOURS, "window": "1h"}, {**HOURS, "window": None})),
]  # fmt: skip


@pytest.mark.parametrize(("was", "now", "found"), ITEM_CHANGES)
def test_an_item_that_judges_less_is_found(was: t.Any, now: t.Any, found: list[tuple[str, str]]) -> None:
    assert _found(_strict(**was), _strict(**now)) == found
    assert [kind for _field, kind in _found(_strict(**now), _strict(**was)) if kind == "loosened"] == []


def test_an_item_that_moved_no_longer_judges_where_it_did() -> None:
    for was, now, field in (({}, {"phase": "watch"}, "phase"), ({"hosts": "web"}, {"hosts": "controller"}, "hosts")):
        assert _found(_strict(**was), _strict(**now)) == _found(_strict(**now), _strict(**was)) == [(field, "loosened")]


@pytest.mark.parametrize(
    ("was", "now", "found"),
    [
        ({"when": "a", "reason": "r"}, {"when": "b", "reason": "r"}, [("when", "changed")]),
        ({"sign_off": TEAM}, {"sign_off": {**TEAM, "team": "ops"}}, [("sign_off.team", "changed")]),
        (
            {"sign_off": {**TEAM, "hours": HOURS}},
            {"sign_off": {**TEAM, "hours": {**HOURS, "time_zone": "UTC"}}},
            [("sign_off.hours", "loosened")],
        ),
    ],
)
def test_what_cannot_be_ordered_is_changed_both_ways(was: t.Any, now: t.Any, found: list[tuple[str, str]]) -> None:
    assert _found(_strict(**was), _strict(**now)) == found
    assert _found(_strict(**now), _strict(**was)) == found


def test_an_item_of_another_check_judges_nothing_of_what_it_did() -> None:
    tls = {"check_tls": {"endpoints": ["a:443"]}}
    assert _found(_strict(), _strict(**tls)) == [("check", "loosened")]
    assert _found(_strict(**tls), _strict()) == [("check", "loosened")]
    assert _found(_strict(), _strict(sign_off=TEAM)) == [("check", "loosened")]


def test_an_item_that_is_gone_is_found_and_a_new_one_is_no_change() -> None:
    one, two = ({"id": name, "title": name, **FILES} for name in ("a", "b"))
    assert _found(_of_items(one, two), _of_items(one)) == [("item", "loosened")]
    assert _found(_of_items(one), _of_items(one, two)) == []


def test_what_a_step_is_said_to_cover_since_is_found() -> None:
    was = _strict()
    assert _found(was, {**was, "satisfies": {"backup": ["S1.10"]}}) == []  # a GO of before there was such a word
    was["satisfies"] = {"backup": ["S1.10"]}
    assert _found(was, {**was, "satisfies": {"backup": ["S1.10", "S1.21"]}}) == [("covered", "loosened")]
    assert _found({**was, "satisfies": {"backup": ["S1.10", "S1.21"]}}, was) == []


@pytest.mark.parametrize(
    ("was", "now", "found"),
    [(["S1"], [], ["require"]), (["S1", "S2.4"], ["S1"], ["require"]), (["S2.4"], ["S2"], []), ([], ["S1"], [])],
)
def test_what_is_no_longer_required_is_found(was: list[str], now: list[str], found: list[str]) -> None:
    item = {"id": "a", "title": "a", **FILES}
    changes = _found(_of_items(item, require=was), _of_items(item, require=now))
    assert changes == [(field, "loosened") for field in found]


def test_a_host_that_left_the_inventory_is_found() -> None:
    item = {"id": "a", "title": "a", "hosts": "web", **FILES}
    was, now = _of_items(item), {**_of_items(item), "hosts": {**HOSTS, "web": ["web2", "web3"]}}
    change = compared(now, was)[0]
    assert (change["field"], change["kind"], change["now"]) == ("hosts", "loosened", "web, no longer web1")


#: check, options before, options after, what is found.
OPTION_CHANGES: list[tuple[str, dict[str, t.Any], dict[str, t.Any], list[tuple[str, str]]]] = [
    ("check_tls", {"endpoints": ["a:1"], "min_days": 30}, {"endpoints": ["a:1"], "min_days": 29}, [("min_days", "loosened")]),
    ("check_tls", {"endpoints": ["a:1"], "min_days": 60}, {"endpoints": ["a:1"]}, [("min_days", "loosened")]),
    ("check_tls", {"endpoints": ["a:1"], "min_days": 30}, {"endpoints": ["a:1"]}, []),
    ("check_tls", {"endpoints": ["a:1", "b:1"]}, {"endpoints": ["b:1"]}, [("endpoints", "loosened")]),
    ("check_tls", {"endpoints": ["a:1"], "min_version": "TLSv1.3"}, {"endpoints": ["a:1"]}, [("min_version", "loosened")]),
    ("check_tls", {"endpoints": ["a:1"], "refuses_older": True}, {"endpoints": ["a:1"]}, [("refuses_older", "loosened")]),
    ("check_host", {"paths": [{"path": "/", "min_free": "20GB"}]}, {"paths": [{"path": "/", "min_free": "900MB"}]},
     [("paths[/].min_free", "loosened")]),
    ("check_host", {"paths": [{"path": "/", "min_free": "1GB"}]}, {"paths": [{"path": "/", "min_free": "1000000000"}]}, []),
    ("check_host", {"paths": [{"path": "/a"}, {"path": "/b"}]}, {"paths": [{"path": "/b"}]}, [("paths[/a]", "loosened")]),
    ("check_host", {"files": [{"path": "/a", "max_age": "1h"}]}, {"files": [{"path": "/a", "max_age": "2h"}]},
     [("files[/a].max_age", "loosened")]),
    ("check_host", {"files": [{"path": "/a", "sha256": "x"}]}, {"files": [{"path": "/a"}]}, [("files[/a].sha256", "loosened")]),
    ("check_host", {"files": [{"path": "/a", "mode": "0600"}]}, {"files": [{"path": "/a", "mode": "0644"}]},
     [("files[/a].mode", "changed")]),
    ("check_host", {"files": [{"path": "/a"}]}, {"files": [{"path": "/a", "level": "warn"}]}, [("files[/a].level", "loosened")]),
    ("check_host", {"min_kernel": "5.10"}, {"min_kernel": "5.9"}, [("min_kernel", "loosened")]),
    ("check_host", {"ports": [{"port": 1}], "min_cpus": 4}, {"ports": [{"port": 1}]}, [("min_cpus", "loosened")]),
    ("check_host", {"commands": [{"argv": ["a", "b"]}]}, {"commands": [{"argv": ["a", "c"]}]},
     [('commands[["a", "b"]]', "loosened")]),
    ("check_env", {"file": "/e", "max_mode": "0600"}, {"file": "/e", "max_mode": "0640"}, [("max_mode", "loosened")]),
    ("check_env", {"file": "/e", "rules": [{"name": "K", "kind": "secret"}]}, {"file": "/e", "rules": [{"name": "K"}]},
     [("rules[K].kind", "loosened")]),
    ("check_env", {"rules": [{"name": "K"}]}, {"rules": [{"name": "K", "optional": "x"}]}, [("rules[K].optional", "loosened")]),
    ("check_env", {"rules": [{"name": "K", "allowed": ["a"]}]}, {"rules": [{"name": "K", "allowed": ["a", "b"]}]},
     [("rules[K].allowed", "loosened")]),
    ("check_env", {"rules": [{"name": "K"}]}, {"rules": [{"name": "K", "allow_private": True}]},
     [("rules[K].allow_private", "loosened")]),
    ("check_backup", {"schedule": {"cron_files": ["/etc/crontab"]}}, {"schedule": {"cron_files": ["/etc/crontab", "/home/me/notes"]}},
     [("schedule.cron_files", "loosened")]),
    ("check_backup", {"database": "shop", "max_age": "26h"}, {"kind": "files", "pattern": "*", "max_age": "26h"},
     [("database", "changed"), ("kind", "loosened")]),
    ("check_container", {"completed_since": "1h"}, {"completed_since": "90d"}, [("completed_since", "loosened")]),
    ("check_net", {"filtered_is_closed": False}, {"filtered_is_closed": True}, [("filtered_is_closed", "loosened")]),
    ("check_env", {"fits": [{"name": "runs", "share": 0.5}]}, {"fits": [{"name": "runs", "share": 0.9}]}, [("fits[runs].share", "loosened")]),
    ("check_env", {"fits": [{"name": "runs", "within": "memory_available"}]}, {"fits": [{"name": "runs", "within": "memory"}]},
        [("fits[runs].within", "loosened")]),
    ("check_env", {"forbidden_patterns": ["a", "b"]}, {"forbidden_patterns": ["a"]}, [("forbidden_patterns", "loosened")]),
    ("check_http", {"url": "http://a/"}, {"url": "http://b/"}, [("url", "changed")]),
    ("check_http", {"url": "a", "status": [200]}, {"url": "a", "status": [200, 500]}, [("status", "loosened")]),
    ("check_http", {"url": "a", "json": [{"path": "$.a", "equals": 1}]}, {"url": "a"}, [("json[$.a]", "loosened")]),
    ("check_http", {"url": "a", "json": [{"path": "$.a", "at_most": 1}]}, {"url": "a", "json": [{"path": "$.a", "at_most": 2}]},
     [("json[$.a].at_most", "loosened")]),
    ("check_http", {"url": "a", "contains": ["x"]}, {"url": "a"}, [("contains", "loosened")]),
    ("check_http", {"url": "a", "max_p95_ms": 250, "samples": 20}, {"url": "a", "max_p95_ms": 250, "samples": 2},
     [("samples", "loosened")]),
    ("check_http", {"url": "a", "states": {"paths": ["$"], "pass": ["ok"], "warn": []}},
     {"url": "a", "states": {"paths": ["$"], "pass": ["ok", "meh"], "warn": []}}, [("states.pass", "loosened")]),
    ("check_postgres", {"dsn": "d", "ssl": "required"}, {"dsn": "d"}, [("ssl", "loosened")]),
    ("check_postgres", {"dsn": "d", "recovery": "primary"}, {"dsn": "d", "recovery": "standby"}, [("recovery", "changed")]),
    ("check_postgres", {"dsn": "d", "settings": {"fsync": "on"}}, {"dsn": "d", "settings": {}}, [("settings.fsync", "loosened")]),
    ("check_postgres", {"dsn": "d", "sessions": {"allowed_users": ["a"]}}, {"dsn": "d", "sessions": {"allowed_users": ["a", "b"]}},
     [("sessions.allowed_users", "loosened")]),
    ("check_postgres", {"dsn": "d", "min_version": "16.4"}, {"dsn": "d", "min_version": "9.6"}, [("min_version", "loosened")]),
    ("check_redis", {"url": "r", "persistence": "aof"}, {"url": "r", "persistence": "optional"}, [("persistence", "loosened")]),
    ("check_redis", {"url": "r", "persistence": "aof"}, {"url": "r", "persistence": "rdb"}, [("persistence", "changed")]),
    ("check_redis", {"url": "r", "eviction_policies": ["noeviction"]}, {"url": "r", "eviction_policies": ["noeviction", "allkeys-lru"]},
     [("eviction_policies", "loosened")]),
    ("check_command", {"argv": ["a"], "exit_codes": [0]}, {"argv": ["a"], "exit_codes": [0, 1]}, [("exit_codes", "loosened")]),
    ("check_vcs", {"path": "/a", "clean": True}, {"path": "/a", "clean": False}, [("clean", "loosened")]),
    ("check_s3", {"buckets": ["a", "b"]}, {"buckets": ["a"]}, [("buckets", "loosened")]),
    ("check_s3", {"buckets": ["a"], "canary": True}, {"buckets": ["a"]}, [("canary", "loosened")]),
    ("check_backup", {"keep": {"daily": 7}}, {"keep": {"daily": 6}}, [("keep.daily", "loosened")]),
    ("check_backup", {"max_gap": "25h", "gap_window": "7d"}, {"max_gap": "25h", "gap_window": "6d"}, [("gap_window", "loosened")]),
    ("check_backup", {"keep": {"daily": 7}}, {"keep": {"daily": 7}, "first_backup": "2026-11-22"}, [("first_backup", "loosened")]),
    ("check_backup", {}, {"verify": "archive"}, [("verify", "loosened")]),
    ("check_backup", {"verify": "archive"}, {"verify": "head"}, [("verify", "loosened")]),
    ("check_backup", {"archive": "sha256"}, {}, [("archive", "loosened")]),
    ("check_backup", {"encryption": "age"}, {"encryption": "required"}, [("encryption", "loosened")]),
    ("check_backup", {"encryption": "required"}, {}, [("encryption", "loosened")]),
    ("check_backup", {"encryption": "required"}, {"encryption": "age"}, []),
    ("check_backup", {"recipients": ["age1a"]}, {"recipients": ["age1a", "age1b"]}, [("recipients", "loosened")]),
    ("check_backup", {"recipients": ["age1a"]}, {}, [("recipients", "loosened")]),
    ("check_backup", {"copies": [{"destination": "s3://a/x"}, {"destination": "s3://b/x"}]}, {"copies": [{"destination": "s3://b/x"}]},
     [("copies[s3://a/x]", "loosened")]),
    ("check_backup", {"destination": "s3://a/x"}, {"destination": "s3://b/x"}, [("destination", "changed")]),
    ("check_container", {"containers": ["a"]}, {"containers": ["a"], "max_restarts": 3}, [("max_restarts", "loosened")]),
    ("check_container", {"containers": ["a"]}, {"containers": ["a"], "healthcheck": "optional"}, [("healthcheck", "loosened")]),
    ("check_container", {"project": "a", "services": ["a"], "unexpected": "fail"}, {"project": "a", "services": ["a"]},
     [("unexpected", "loosened")]),
    ("check_container", {"project": "a", "services": ["a"]}, {"project": "a", "services": ["a"], "unexpected": "any"},
     [("unexpected", "loosened")]),
    ("check_container", {"project": "a", "services": ["a", "b"]}, {"project": "a", "services": ["a"]}, [("services", "loosened")]),
    ("check_container", {"project": "a", "services": ["a"]}, {"project": "b", "services": ["a"]}, [("project", "changed")]),
    ("check_container", {"containers": ["a"], "images": {"a": "x"}}, {"containers": ["a"]}, [("images.a", "loosened")]),
    ("check_container", {"containers": ["a"], "log_rotation": "required"}, {"containers": ["a"]}, [("log_rotation", "loosened")]),
    ("check_container", {"containers": ["a"], "restart_policies": ["always"]},
     {"containers": ["a"], "restart_policies": ["always", "never"]}, [("restart_policies", "loosened")]),
    ("check_container", {"containers": ["a"], "exec": [{"argv": ["b"], "min_gpus": 2}]},
     {"containers": ["a"], "exec": [{"argv": ["b"], "min_gpus": 1}]}, [('exec[["b"]].min_gpus', "loosened")]),
    ("check_image", {"images": ["a:1", "b:1"]}, {"images": ["a:1"]}, [("images", "loosened")]),
    ("check_image", {"images": ["a:1"], "max_age": "1h"}, {"images": ["a:1"], "max_age": "2h"}, [("max_age", "loosened")]),
    ("check_image", {"images": ["a:1"]}, {"images": ["a:1"], "architecture": "any"}, [("architecture", "loosened")]),
    ("check_image", {"images": ["a:1"], "tag_that_moves": "fail"}, {"images": ["a:1"]}, [("tag_that_moves", "loosened")]),
    ("check_image", {"images": ["a:1"]}, {"images": ["a:1"], "moving_tags": ["latest"]}, [("moving_tags", "loosened")]),
    ("check_image", {"images": ["a:1"], "registry_digest": "required"}, {"images": ["a:1"]}, [("registry_digest", "loosened")]),
    ("check_image", {"images": ["a:1"], "labels": {"a": "b"}}, {"images": ["a:1"]}, [("labels.a", "loosened")]),
    ("check_gpu", {}, {"ignored_xids": [31]}, [("ignored_xids", "loosened")]),
    ("check_grafana", {"dashboards": [{"uid": "a"}]}, {"dashboards": [{"uid": "a", "max_age": "1h"}]},
     [("dashboards[a].max_age", "loosened")]),
    ("check_grafana", {"dashboards": [{"uid": "a"}]}, {"dashboards": [{"uid": "a", "max_without_data": 1}]},
     [("dashboards[a].max_without_data", "loosened")]),
    ("check_grafana", {"dashboards": [{"uid": "a"}]}, {"dashboards": [{"uid": "a", "panels": ["b"]}]},
     [("dashboards[a].panels", "loosened")]),
    ("check_grafana", {"dashboards": [{"uid": "a", "green": True}]}, {"dashboards": [{"uid": "a"}]},
     [("dashboards[a].green", "loosened")]),
    ("check_grafana", {"dashboards": [{"uid": "a", "green": True, "good_colors": ["b"]}]},
     {"dashboards": [{"uid": "a", "green": True, "good_colors": ["b", "c"]}]}, [("dashboards[a].good_colors", "loosened")]),
    ("check_grafana", {"alert_rules": {"none_firing": True}}, {"alert_rules": {"none_firing": True, "ignored": ["a"]}},
     [("alert_rules.ignored", "loosened")]),
    ("check_k8s", {"paths": ["a"], "image": "digest"}, {"paths": ["a"], "image": "tag"}, [("image", "loosened")]),
    ("check_k8s", {"paths": ["a"], "image": "tag"}, {"paths": ["a"], "image": "any"}, [("image", "loosened")]),
    ("check_k8s", {"liveness": {}}, {"liveness": {"presence": "optional"}}, [("liveness.presence", "loosened")]),
    ("check_k8s", {"liveness": {}}, {"liveness": {}, "same_probe": "allowed"}, [("same_probe", "loosened")]),
    ("check_k8s", {"liveness": {"max_period_seconds": 9}}, {"liveness": {"max_period_seconds": 10}},
     [("liveness.max_period_seconds", "loosened")]),
    ("check_k8s", {"security": ["drop_all", "no_host_path"]}, {"security": ["drop_all"]}, [("security", "loosened")]),
    ("check_k8s", {"workloads": ["*", "Deployment/api"]}, {"workloads": ["Deployment/api"]}, [("workloads", "loosened")]),
    ("check_k8s", {}, {"accepted_kinds": ["Rollout"]}, [("accepted_kinds", "loosened")]),
    ("check_prometheus", {"alerts": {}}, {"alerts": {"ignored": ["a"]}}, [("alerts.ignored", "loosened")]),
    ("check_prometheus", {"alerts": {}}, {"alerts": {"ignored_severities": ["a"]}}, [("alerts.ignored_severities", "loosened")]),
    ("check_secrets", {}, {"exclude": ["tests/*"]}, [("exclude", "loosened")]),
    ("check_secrets", {}, {"ignored_rules": ["Secret Keyword"]}, [("ignored_rules", "loosened")]),
    ("check_secrets", {}, {"accepted_file": "/a"}, [("accepted_file", "loosened")]),
    ("check_secrets", {"history": {}}, {"history": {"after": "v1"}}, [("history.after", "loosened")]),
    ("check_secrets", {"history": {}}, {}, [("history.max_commits", "loosened")]),
    ("check_env", {"documented": "required"}, {"documented": "ignored"}, [("documented", "loosened")]),
    ("check_env", {"rules": [{"name": "A", "kind": "number", "unit": "size", "min": "512MB"}]},
     {"rules": [{"name": "A", "kind": "number", "unit": "size", "min": "256MB"}]}, [("rules[A].min", "loosened")]),
    ("check_http", {"cookies": [{"name": "sid", "secure": True}]}, {"cookies": [{"name": "sid", "secure": False}]},
     [("cookies[sid].secure", "loosened")]),
    ("check_http", {"cookies": [{"name": "sid", "same_site": ["lax"]}]}, {"cookies": [{"name": "sid", "same_site": ["lax", "none"]}]},
     [("cookies[sid].same_site", "loosened")]),
    ("check_http", {"rate_limit": {"requests": 20, "within": "10s"}}, {"rate_limit": {"requests": 200, "within": "10s"}},
     [("rate_limit.requests", "loosened")]),
    ("check_http", {"body_limit": "1MB"}, {"body_limit": "100MB"}, [("body_limit", "loosened")]),
    ("check_tls", {"addresses": "all"}, {"addresses": "first"}, [("addresses", "loosened")]),
    ("check_tls", {"min_remaining": "48h"}, {"min_remaining": "1h"}, [("min_remaining", "loosened")]),
    ("check_redis", {"url": "r"}, {"url": "r", "watch": 5.0}, [("watch", "loosened")]),
    ("check_redis", {"url": "r", "watch": 5.0}, {"url": "r", "watch": 9.0}, [("watch", "changed")]),
    ("check_gpu", {"watch": "60s"}, {}, [("watch", "loosened")]),
    ("check_gpu", {"count": 2}, {"count": 1}, [("count", "changed")]),
    ("check_gpu", {"devices": ["0", "1"]}, {"devices": ["0"]}, [("devices", "loosened")]),
    ("check_host", {"sysctl": {"vm.max_map_count": 262144}}, {"sysctl": {"vm.max_map_count": 65530}},
     [("sysctl.vm.max_map_count", "changed")]),
    ("check_host", {"sysctl": {"vm.max_map_count": 65530}}, {"sysctl": {"vm.max_map_count": 262144}},
     [("sysctl.vm.max_map_count", "changed")]),
    ("check_host", {"sysctl": {"vm.max_map_count": {"at_least": 262144}}}, {"sysctl": {"vm.max_map_count": {"at_least": 65530}}},
     [("sysctl.vm.max_map_count.at_least", "loosened")]),
    ("check_host", {"sysctl": {"vm.max_map_count": 262144, "vm.swappiness": 1}}, {"sysctl": {"vm.swappiness": 1}},
     [("sysctl.vm.max_map_count", "loosened")]),
    ("check_postgres", {"dsn": "d", "settings": {"max_connections": "200"}}, {"dsn": "d", "settings": {"max_connections": "100"}},
     [("settings.max_connections", "changed")]),
]  # fmt: skip


def _options(check: str, options: dict[str, t.Any]) -> dict[str, t.Any]:
    return _strict(**{check: options})


@pytest.mark.parametrize(("check", "was", "now", "found"), OPTION_CHANGES)
def test_an_option_made_milder_is_found(check: str, was: t.Any, now: t.Any, found: list[tuple[str, str]]) -> None:
    assert _found(_options(check, was), _options(check, now)) == found


@pytest.mark.parametrize(
    ("check", "was", "now"),
    [case[:3] for case in OPTION_CHANGES if {kind for _field, kind in case[3]} == {"loosened"} and "argv" not in str(case)],
)  # fmt: skip
def test_the_other_way_round_nothing_is_loosened(check: str, was: t.Any, now: t.Any) -> None:
    assert "loosened" not in dict(_found(_options(check, now), _options(check, was))).values()


@pytest.mark.parametrize("options", [{"count": 1}, {"devices": ["0"]}])
def test_who_names_gpus_judges_others_no_more_and_who_no_longer_does_these(options: dict[str, t.Any]) -> None:
    (name,) = options
    for was, now in (({}, options), (options, {})):
        assert _found(_options("check_gpu", was), _options("check_gpu", now)) == [(name, "loosened")]


@pytest.mark.parametrize("check", registry.names())
@given(choice=st.randoms(use_true_random=False))
def test_every_limit_of_every_check_is_ordered(check: str, choice: t.Any) -> None:
    """Any option named min… or max… that takes a number is found when it is made milder, however deep it lies."""
    limits = [
        name
        for name, definition in registry.load(check).ARGUMENT_SPEC.items()
        if name.startswith(("min", "max")) and definition["type"] in ("int", "float")
    ]
    if not limits:  # check_env has none of its own
        return
    name, value = choice.choice(limits), choice.randint(10, 1000)
    milder = value - 1 if name.startswith("min") else value + 1
    assert _found(_options(check, {name: value}), _options(check, {name: milder})) == [(name, "loosened")]
    assert _found(_options(check, {name: milder}), _options(check, {name: value})) == []


def test_another_order_of_entries_is_no_change() -> None:
    was = {"paths": [{"path": "/a", "min_free": "2GB"}, {"path": "/b", "min_free": "1GB"}]}
    now = {"paths": was["paths"][::-1]}
    assert _found(_options("check_host", was), _options("check_host", now)) == []
    assert (
        _found(
            _options("check_tls", {"endpoints": ["a:1", "b:1"]}), _options("check_tls", {"endpoints": ["b:1", "a:1"]})
        )
        == []
    )


@pytest.mark.parametrize("value", ["{{ a }}", ["x", {"y": "{% if a %}b{% endif %}"}], {"a": ("{{ b }}",)}])
def test_a_template_is_found_however_deep(value: t.Any) -> None:
    assert has_template(value) is True
    assert has_template({"a": [1, None, "plain { text }"]}) is False


def test_no_secret_is_kept() -> None:
    canary = "canary-7f3a"
    strict = _options("check_http", {
        "url": f"https://app:{canary}@a.example.org/", "bearer": canary, "secret_headers": {"X": canary},
        "headers": {"Authorization": canary}, "body": {"password": canary},
        "requests": [{"url": "b", "bearer": canary}],
    })  # fmt: skip
    assert canary not in json.dumps(strict)
    assert canary not in json.dumps(_options("check_redis", {"url": "r", "password": canary}))


def test_what_a_template_brought_in_is_kept_by_its_digest_where_it_may_be_a_secret() -> None:
    """Not even where somebody puts a secret into an option that is none; a size, a version, a choice stays readable."""
    canary = "canary-7f3a"
    written = {
        "url": "{{ a }}",
        "status": "{{ a }}",
        "contains": ["{{ a }}", "fixed"],
        "json": [{"path": "$", "equals": "{{ a }}"}],
    }
    evaluated = {
        "url": f"http://x/?k={canary}",
        "status": canary,
        "contains": [canary, "fixed"],
        "json": [{"path": "$", "equals": canary}],
    }
    assert canary not in json.dumps([leaf for _path, leaf, _made in leaves("check_http", written, evaluated)])
    assert canary not in json.dumps(depends_on_host("check_http", written, evaluated))
    readable = {"min_kernel": "5.10", "memory": {"min_total": "20GB", "level": "warn"}}
    asked = {"min_kernel": "{{ a }}", "memory": {"min_total": "{{ a }}", "level": "{{ a }}"}}
    assert [leaf for _path, leaf, made in leaves("check_host", asked, readable) if made] == ["warn", "20GB", "5.10"]


def test_a_long_value_is_kept_by_its_digest() -> None:
    query = {"name": "q", "sql": "SELECT " + "x" * 500, "value": "1"}
    was = _options("check_postgres", {"dsn": "d", "queries": [query]})
    assert len(json.dumps(was)) < 3000
    now = _options("check_postgres", {"dsn": "d", "queries": [{**query, "sql": query["sql"] + "y"}]})
    assert _found(was, now) == [("queries[q].sql", "changed")]


# ---- what hosts make of it


BY_HOST = {
    "id": "a",
    "title": "a",
    "hosts": "web",
    "check_host": {"paths": [{"path": "/srv", "min_free": "{{ room }}"}]},
}


def _on_hosts(written: dict[str, t.Any], **room: str) -> dict[str, t.Any]:
    options = {
        host: depends_on_host(
            "check_host", written["check_host"], {"paths": [{"path": "/srv", "min_free": value}]}
        )
        for host, value in room.items()
    }  # fmt: skip
    return _of_items(written, on_hosts={"a": grouped(options)})


def test_a_variable_of_one_host_made_milder_is_found() -> None:
    was = _on_hosts(BY_HOST, web1="20GB", web2="20GB")
    assert was["on_hosts"]["a"] == [{"options": {"paths[/srv].min_free": "20GB"}, "hosts": ["web1", "web2"]}]
    assert _found(was, _on_hosts(BY_HOST, web1="20GB", web2="2GB")) == [("paths[/srv].min_free on web2", "loosened")]
    assert _found(was, _on_hosts(BY_HOST, web1="2GB", web2="2GB")) == [("paths[/srv].min_free", "loosened")]
    assert _found(was, _on_hosts(BY_HOST, web1="30GB", web2="30GB")) == []


def test_a_template_in_place_of_a_number_is_compared_by_what_it_gives() -> None:
    fixed = copy.deepcopy(BY_HOST)
    fixed["check_host"]["paths"][0]["min_free"] = "20GB"  # type: ignore[index]
    made = _on_hosts(BY_HOST, web1="20GB", web2="5GB")
    assert _found(_of_items(fixed), made) == [("paths[/srv].min_free on web2", "loosened")]
    assert _found(made, _of_items(fixed)) == []
    whole = {**BY_HOST, "check_host": {"paths": "{{ paths }}"}}
    options = {
        "web1": depends_on_host("check_host", whole["check_host"], {"paths": [{"path": "/srv", "min_free": "9GB"}]})
    }
    assert _found(_of_items(fixed), _of_items(whole, on_hosts={"a": grouped(options)})) == [
        ("paths[/srv].min_free", "loosened")
    ]  # fmt: skip


def test_where_no_host_has_evaluated_it_another_expression_is_a_change() -> None:
    other = copy.deepcopy(BY_HOST)
    other["check_host"]["paths"][0]["min_free"] = "{{ less_room }}"  # type: ignore[index]
    assert _found(_of_items(BY_HOST), _of_items(other)) == [("paths[/srv].min_free", "changed")]


def test_an_item_that_no_longer_applies_on_a_host_is_found() -> None:
    item = {"id": "a", "title": "a", "hosts": "web", "when": "here", "reason": "r", **FILES}
    before, after = _of_items(item), _of_items(item, not_applicable={"a": ["web2"]})
    change = compared(after, before)[0]
    assert (change["field"], change["now"], change["kind"]) == ("when", "not applicable on web2", "loosened")
    assert _found(after, before) == _found(after, after) == []


def test_only_what_a_template_made_is_asked_of_hosts() -> None:
    written = {"paths": [{"path": "/srv", "min_free": "{{ room }}", "min_free_percent": 3}], "min_cpus": 2}
    evaluated = {"paths": [{"path": "/srv", "min_free": "5GB", "min_free_percent": 3}], "min_cpus": 2}
    assert depends_on_host("check_host", written, evaluated) == {"paths[/srv].min_free": "5GB"}
    assert [path for path, _leaf, made in leaves("check_http", {"url": "{{ u }}"}, {"url": "x"}) if made] == ["url"]
    assert depends_on_host("check_http", {"url": "{{ u }}"}, {"url": "x"}) == {}
