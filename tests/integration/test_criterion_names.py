# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each criterion of a finding has a name of its own, also where a list names the same thing twice.

A finding's expectations are kept by name, so a second criterion of one name would hide the first.
"""

from __future__ import annotations

import re
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from tests import nvml_stub
from tests.integration.alembic_projects import COLUMN, LOSSY, NOTES, release
from tests.integration.written_backups import HOUR, Backups
from tests.servers import HOST, Answer, HttpServer, MotoS3, Postgres, Redis, free_port

#: Lists whose entries are parts of one thing.
_WHOLE = {"argv", "exit_codes", "status", "groups"}
Sample = t.Callable[[pytest.FixtureRequest, Path], dict[str, t.Any]]


def doubled(value: t.Any) -> t.Any:
    """The same options with every entry of every list twice."""
    if isinstance(value, dict):
        return {name: item if name in _WHOLE else doubled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [doubled(item) for item in value for _turn in range(2)]
    return value


def _file(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def _backup(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    server: Postgres = request.getfixturevalue("postgres")
    backups, copies = (Backups(f"file://{folder}/{name}") for name in ("here", "there"))
    for place in (backups, copies):
        Path(place.url.removeprefix("file://")).mkdir()
    backups.copy_to(copies, *backups.nightly(4))
    backups.replace(backups.write(HOUR), b"damaged")
    backups.place.remove(backups.archive_of(backups.write(HOUR)))
    return {
        "destination": backups.url,
        "database": backups.database,
        "max_age": "1h",
        "archive": "sha256",
        "max_restore_time": "1s",
        "keep": {"last": 9, "min_keep": 9, "hourly": 9, "daily": 9, "weekly": 9, "monthly": 9, "yearly": 9},
        "max_gap": "1h",
        "copies": [{"destination": copies.url}],
        "encryption": "required",
        "recipients": ["age1a", "age1b"],
        "min_lock_days": 1,
        "dsn": server.dsn(password=None),
        "password": server.password,
    }


def _celery(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    return {
        **_login(request.getfixturevalue("redis_server")),
        "expected_workers": 0,
        "min_workers": 0,
        "tasks": ["ocr"],
        "workers": ["celery@*"],
        "queues": [{"name": "none", "max_length": 1, "max_age": "1h"}],
    }


def _command(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    return {
        "argv": ["printf", '{"a": 1}'],
        "changes_nothing": True,
        "stdout_matches": ["a"],
        "stdout_matches_not": ["b"],
        "stderr_matches": ["x"],
        "stderr_matches_not": ["y"],
        "json": [{"path": "$.a", "equals": 1, "at_least": 1, "at_most": 1, "exists": True}],
        "numbers": [{"name": "a", "pattern": "a.: ([0-9]+)", "min": 1, "max": 1}],
    }


def _container(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    identity, digest = "a" * 64, f"sha256:{'1' * 64}"
    told = {"Id": identity, "Name": "/web", "Image": digest, "State": {"Status": "running"}, "HostConfig": {}}
    output = b"\x01\0\0\0\0\0\0\x03yes"
    engine: HttpServer = request.getfixturevalue("http_server")
    for path, content in {
        "/version": {"Version": "28", "ApiVersion": "1.44", "MinAPIVersion": "1.24"},
        "/v1.44/containers/json": [{"Id": identity, "Names": ["/web"]}],
        f"/v1.44/containers/{identity}/json": told,
        f"/v1.44/images/{digest}/json": {"RepoDigests": []},
        f"/v1.44/containers/{identity}/exec": {"Id": "e"},
        "/v1.44/exec/e/start": output,
        "/v1.44/exec/e/json": {"Running": False, "ExitCode": 0},
    }.items():
        engine.route(path, Answer(200, content))
    probe = {"argv": ["true"], "only": ["web"], "stdout_matches": ["^yes$", "^no$"], "min_gpus": 1}
    return {
        "url": engine.url,
        "containers": ["web", "absent"],
        "limits": ["memory", "cpu", "pids"],
        "security": list(registry.load("check_container").ARGUMENT_SPEC["security"]["choices"]),
        "restart_policies": ["always", "never"],
        "log_rotation": "required",
        "exec": [probe, {"argv": ["true"]}],
    }


def _doc(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    path = _file(folder, "notes.md", "# Release 2.0.0 (2026-11-20)\n\n## Changes\n\nTODO\n")
    return {"path": path, "version": "2.0.0", "required_headings": ["Changes", "None"], "contains": ["Changes", "None"],
            "placeholder_patterns": ["TODO"]}  # fmt: skip


def _env(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    return {
        "file": _file(folder, ".env", "KEY=q7Yt2mZ4-Vb9Xr1Lw_Ke8Jd5Hs3Gf6Pa0Nc\nN=5\nD=true\n"),
        "rules": [
            {"name": "KEY", "kind": "secret"},
            {"name": "KEY", "kind": "matches", "pattern": "^q"},
            {"name": "N", "kind": "number", "min": 1, "max": 9, "value": "5"},
            {"name": "absent"},
            {"name": "some", "kind": "any_of", "groups": [["N", "D"]]},
        ],
        "forbidden_patterns": ["localhost", "true"],
        "distinct": ["KEY", "N", "absent"],
    }


def _gpu(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    request.getfixturevalue("monkeypatch").setenv("LD_LIBRARY_PATH", str(nvml_stub.compiled(folder / "nvml")))
    return {
        "devices": ["0", "7"],
        "no_errors": ["ecc", "retired_pages", "row_remap", "recovery", "throttle", "xid"],
        "allowed_processes": ["python"],
        "required_processes": ["python", "celery"],
        "memory_limit": "13.6GB",
        "max_memory_used_percent": 85,
        "min_memory_total": "16GB",
        "min_memory_free": "1GB",
        "max_power_watts": 1,
        "min_power_limit_watts": 1,
    }


def _grafana(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    server: HttpServer = request.getfixturevalue("http_server")
    last, source = "2026-11-22T05:00:00Z", {"uid": "prom-1", "type": "prometheus"}
    rules = [{"name": "x", "type": "alerting", "state": "firing", "health": "ok", "lastEvaluation": last}] * 2
    steps = [{"value": None, "color": "green"}, {"value": 1, "color": "red"}]
    panels = [
        {"id": 1, "title": "x", "type": "stat", "targets": [{"refId": name}], "fieldConfig": {"defaults": {"thresholds": {"steps": steps}}}}
        for name in ("A", "B", "A")
    ]  # fmt: skip
    frames = [{"schema": {"fields": [{"type": "number"}]}, "data": {"values": [[1]]}}]
    told: dict[str, dict[str, t.Any]] = {
        "health": {"database": "ok"},
        "frontend/settings": {"datasources": {"x": source}, "defaultDatasource": "x"},
        "dashboards/uid/d": {"dashboard": {"panels": [*panels, {"id": 2, "title": "y", "type": "text"}]}},
        "datasources/uid/prom-1/health": {"status": "OK", "message": "well"},
        "ds/query": {"results": {"A": {"frames": frames}}},
        "prometheus/grafana/api/v1/rules": {
            "status": "success",
            "data": {"groups": [{"name": "x", "interval": 1, "rules": rules}]},
        },
    }
    for path, answer in told.items():
        server.route(f"/api/{path}", Answer(200, answer))
    return {
        "url": server.url,
        "dashboards": [{"uid": "d", "panels": ["x", "y", "z"], "green": True, "good_colors": ["green"]}, {"uid": "e"}],
        "datasources": ["x", "prom-1", "y"],
        "alert_rules": {"expected": ["x", "y"], "none_firing": True, "none_in_error": True, "ignored": ["y"]},
    }


def _host(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    path = _file(folder, "a.txt", "text")
    return {
        "paths": [{"path": str(folder), "min_free_bytes": 1, "min_free_percent": 0.1}],
        "memory": {"min_available": "1MB", "min_total": "1MB", "max_swap_used_percent": 100},
        "min_cpus": 1,
        "ports": [{"port": free_port(), "expect": "closed"}, {"port": free_port()}],
        "users": [{"name": "root", "groups": ["root"]}, {"name": "nobody-of-this-name"}],
        "files": [
            {"path": path, "kind": "file", "mode": "0600", "owner": "root", "max_age": "1h", "min_size": "1B",
             "max_size": "9B", "contains": ["text"], "contains_not": ["text", "other"]},
            {"path": str(folder), "contains": ["text", "more"]},
            {"path": str(folder / "absent")},
        ],
        "commands": [{"argv": ["true"], "stdout_matches": "^$"}, {"argv": ["no-such-program"]}],
        "processes": [{"pattern": "no such process, surely", "min_count": 0, "max_count": 0}],
    }  # fmt: skip


def _http(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    server: HttpServer = request.getfixturevalue("http_server")
    server.route("/health", Answer(200, {"db": "ok", "list": ["a", "b"]}))
    url, nowhere = f"{server.url}/health", f"http://{HOST}:{free_port()}/"
    everything = {
        "url": url,
        "json": [{"path": "$.db", "equals": "ok", "one_of": ["ok"], "matches": "ok", "exists": True}],
        "states": {"paths": ["$.db", "$.list[*]"], "pass": ["ok"]},
        "response_headers": [{"name": "Content-Type", "equals": "x", "matches": "json", "exists": True}],
        "contains": ["ok"],
        "contains_not": ["ok", "other"],
        "cors": {"origin_allowed": ["https://a.example.org"], "origin_refused": ["https://a.example.org"]},
        "max_bytes": 9,
        "max_ms": 9000,
        "samples": 2,
        "max_p95_ms": 9000,
        "consecutive": 2,
    }
    return {"requests": [everything, {"url": url, "headers": {"X-Tenant": "b"}}, {"url": nowhere}]}


def _image(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    engine: HttpServer = request.getfixturevalue("http_server")
    told = {
        "Id": f"sha256:{'1' * 64}",
        "Created": "2026-11-22T05:00:00Z",
        "Size": 1,
        "Os": "linux",
        "Architecture": "arm",
    }
    version = {"Version": "28", "ApiVersion": "1.44", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "arm"}
    for path, content in {"/version": version, "/v1.44/images/a:1/json": told, "/v2/": {}}.items():
        engine.route(path, Answer(200, content))
    return {
        "url": engine.url,
        "images": ["a:1", "b:1"],
        "labels": {"a": "b", "c": "d"},
        "registries": [engine.url],
        "registry_digest": "required",
        "max_age": "1h",
        "max_size": "1MB",
    }


def _k8s(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    containers = "containers: [{name: a, image: a}, {name: a, image: a}]"
    text = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{{containers}}}\n---\n"
    return {
        "paths": [_file(folder, "pods.yaml", text * 2), str(folder / "none.yaml")],
        "workloads": ["Pod/p", "Pod/q"],
        "containers": ["a", "*"],
        "liveness": {"path": "/", "port": 80, "min_period_seconds": 1, "max_period_seconds": 9},
        "readiness": {},
        "startup": {},
        "requests": ["cpu"],
        "limits": ["cpu"],
        "security": ["run_as_non_root", "no_host_path"],
        "image": "tag",
        "min_replicas": 2,
        "accepted_kinds": ["Rollout"],
    }


def _logs(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    path = _file(folder, "app.log", "2026-11-22 05:00:00 ERROR it broke\n")
    return {
        "sources": [{"path": path}],
        "forbidden": [{"pattern": "broke"}, {"pattern": "broke", "name": "breaks"}],
        "required": [{"pattern": "started"}],
        "max_errors": 0,
        "sensitive": ["secrets", "personal_data"],
    }


def _migration(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    server: Postgres = request.getfixturevalue("postgres")
    database = request.getfixturevalue("database")
    project = release(folder / "one", ("0001", None, NOTES), ("0002", "0001", LOSSY), ("0003", "0002", COLUMN))
    return {
        "dsn": server.dsn(database, password=None),
        "password": server.password,
        "directory": str(project),
        "versions": [str(project / "migrations" / "versions")],
        "preview_file": str(folder / "preview.sql"),
        "expected_preview": "0" * 64,
        "lint": {
            "fail_on": ["drop_column", "access_exclusive"],
            "warn_on": ["drop_column", "rename"],
            "accept": ["drop_table:a"],
        },
        "rehearse": {"source": "template", "pg_bindir": str(server.programs), "max_upgrade_time": "1s"},
    }


def _net(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    server: HttpServer = request.getfixturevalue("http_server")
    return {"ports": [{"host": HOST, "ports": [server.port, free_port()]}], "dns": [{"name": "localhost", "type": "A"}]}


def _postgres(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    server: Postgres = request.getfixturevalue("postgres")
    query = {"name": "rows", "sql": "SELECT 5", "value": "5", "at_least": 1, "at_most": 9}
    return {
        "dsn": server.dsn(password=None),
        "password": server.password,
        "pools": [{"name": "web", "size": 1}],
        "extensions": [{"name": "plpgsql", "min_version": "1"}, {"name": "none"}],
        "queries": [query, {**query, "sql": "SELECT broken"}],
        "sessions": {"allowed_users": ["postgres"]},
        "checksums": "required",
        "max_slot_bytes": 1,
        "slots": "healthy",
        "min_replicas": 0,
        "min_sync_replicas": 0,
        "max_lag_bytes": 1,
        "max_lag_seconds": 1,
    }


def _prometheus(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    server: HttpServer = request.getfixturevalue("http_server")
    last, kinds = "2026-11-22T05:00:00Z", ("alerting", "recording")
    target = {"labels": {"job": "a", "instance": "a:1"}, "health": "up", "lastError": "", "lastScrape": last}
    rules = [{"name": "x", "type": kind, "health": "ok", "lastEvaluation": last} for kind in kinds]
    told = {
        "activeTargets": [target],
        "groups": [{"name": "x", "interval": 1, "rules": rules}],
        "alerts": [{"labels": {"alertname": "x"}, "state": "firing", "activeAt": last}] * 2,
        "activeAlertmanagers": [],
        "lastConfigTime": last,
        "storageRetention": "1d",
        "resultType": "vector",
        "result": [{"metric": {}, "value": [1, "1"]}] * 2,
    }
    server.route("*", Answer(200, {"status": "success", "data": told}))
    return {
        "url": server.url,
        "all_up": True,
        "jobs": [{"name": "a", "instances": ["a:1", "b:1"]}, {"name": "b"}],
        "rules_healthy": True,
        "rule_groups": ["x", "y"],
        "rules": ["x", "y"],
        "alerts": {"states": ["firing"], "ignored": ["y"], "ignored_severities": ["info"]},
        "min_alertmanagers": 1,
        "min_retention": "1d",
        "config_loaded": True,
        "config_loaded_since": last,
        "queries": [{"name": "q", "query": "x", "at_least": 2, "at_most": 0, "min_series": 2}],
        "fresh": [{"series": "x"}],
    }


def _redis(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    return {
        **_login(request.getfixturevalue("redis_server")),
        "queues": [{"name": "jobs", "max_length": 1}],
        "key_prefixes": [{"prefix": "a:", "min_ttl_share": 0.5, "max_ttl": 5}],
        "eviction_policies": ["noeviction"],
        "canary": True,
    }


def _login(server: Redis) -> dict[str, t.Any]:
    return {"url": server.url(with_password=False), "password": server.password}


def _report(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    text = '<testsuite name="s" tests="2" failures="1"><testcase name="a"/><testcase name="b"><failure/></testcase></testsuite>'
    return {"paths": [_file(folder, "junit.xml", text)], "format": "junit", "unbound": "a test", "max_age": "1h"}


def _s3(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    store: MotoS3 = request.getfixturevalue("moto_s3")
    bucket = store.create_bucket()
    wanted = {"max_age": 1, "prefix": "a/"}
    return {
        "endpoint_url": store.endpoint,
        "access_key": store.access_key,
        "secret_key": store.secret_key,
        "buckets": [bucket, "missing-bucket"],
        "newest": [{"bucket": bucket, **wanted}, {"bucket": "missing-bucket", **wanted}],
        "versioning": "enabled",
        "encryption": "required",
        "min_retention_days": 1,
        "min_lock_days": 1,
        "canary": True,
    }


def _secrets(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    _file(folder, "a.py", "password = 'q7Yt2mZ4Vb9X'\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    return {"path": str(folder), "exclude": ["b/*"], "ignored_rules": ["Twilio API Key"], "history": {}}


def _tls(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    issued = request.getfixturevalue("demo_ca").issue().write(folder)
    files = {"certificate": str(issued.certificate), "key": str(issued.key), "names": ["a.example.org"]}
    return {"files": [files], "endpoints": [f"{HOST}:{free_port()}"], "min_days": 1}


def _vcs(request: pytest.FixtureRequest, folder: Path) -> dict[str, t.Any]:
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    return {"path": str(folder), "clean": True, "branch": "main", "tag": "v1"}


SAMPLES: dict[str, Sample] = {
    "check_backup": _backup,
    "check_celery": _celery,
    "check_command": _command,
    "check_container": _container,
    "check_doc": _doc,
    "check_env": _env,
    "check_gpu": _gpu,
    "check_grafana": _grafana,
    "check_host": _host,
    "check_http": _http,
    "check_image": _image,
    "check_k8s": _k8s,
    "check_logs": _logs,
    "check_migration": _migration,
    "check_net": _net,
    "check_postgres": _postgres,
    "check_prometheus": _prometheus,
    "check_redis": _redis,
    "check_report": _report,
    "check_s3": _s3,
    "check_secrets": _secrets,
    "check_tls": _tls,
    "check_vcs": _vcs,
}


def test_every_check_is_here() -> None:
    assert set(SAMPLES) == set(registry.names())


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_what_is_listed_twice_is_told_apart(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    check = registry.load(name)
    params = validated(check.ARGUMENT_SPEC, doubled(SAMPLES[name](request, tmp_path)), where=name, **check.CONSTRAINTS)
    finding = judged(check, params, Run(timeout_seconds=30))
    assert "raised" not in finding["evidence"], finding["summary"]
    # Some refuse such a list: it is judged as little as a finding whose halves hide each other.
    assert finding["measured"] or re.search(r"\btwice\b|^Several ", finding["summary"]), finding["summary"]
