# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sample reports for the tests of every format, and that each of them follows the published schema."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.opsready.golive.plugins.plugin_utils.report_model import build_report, render_json

SCHEMA = Path(__file__).resolve().parents[4] / "docs" / "report.schema.json"
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
HOSTILE = (
    "</script><img src=x onerror=alert(1)> ]]> & \"q\" 'a' `b` *c* _d_ [e](f) | g \x00\x1b[31m\u202e \udc80 Größe ✓"
)


def finding(item: str, status: str = "pass", host: str = "localhost", **more: Any) -> dict[str, Any]:
    """A finding as a check returns it, with what the verdict adds."""
    made: dict[str, Any] = {
        "id": item,
        "title": item.replace("-", " ").capitalize(),
        "phase": ["pre_deploy"],
        "status": status,
        "decision": status,
        "severity": "blocker",
        "summary": f"{item} is as expected.",
        "expected": "at least 30",
        "measured": "42",
        "evidence": {"days": 42},
        "remedy": "",
        "check": "check_tls",
        "host": host,
        "started": "2026-11-22T01:00:10Z",
        "seconds": 0.182,
        "satisfies": [],
        "owner": "operations",
        "waiver": None,
    }
    return {**made, **more}


def verdict(decision: str = "GO", **more: Any) -> dict[str, Any]:
    """A verdict with nothing to say but its decision."""
    made: dict[str, Any] = {
        "decision": decision,
        "decided": "2026-11-22T01:00:20Z",
        "blocking": [],
        "warnings": [],
        "conditional": [],
        "coverage": {"required": [], "covered": [], "missing": []},
        "loosened": [],
        "changed": [],
        "waivers": [],
        "sign_offs": [],
        "digest": SHA,
    }
    return {**made, **more}


WAIVER = {
    "item": "redis-eviction",
    "owner": "backend",
    "approver": "Nadia Sørensen",
    "state": "used",
    "scope": "localhost",
    "reason": "Cache and broker share one server until December; the queue is watched.",
    "expires": "2026-12-15T00:00:00Z",
}

STEPS = (
    ("lock", "Lock the release", 0.4, "begin"),
    ("images", "Pull images", 6.2, "begin"),
    ("maintenance_on", "Maintenance on, proven on a user path", 1.1, "window"),
    ("schedulers_stop", "Stop schedulers", 0.8, "window"),
    ("workers_drain", "Quiet, drain and stop workers", 4.6, "window"),
    ("backend_stop", "Stop backend", 1.2, "window"),
    ("fence", "Fence the database", 0.6, "window"),
    ("backup", "Back up and restore into a scratch database", 5.9, "window"),
    ("migrate", "Migrate 0007 to 0009", 2.1, "window"),
    ("start", "Start the new version behind its health gate", 3.4, "window"),
    ("smoke", "Smoke on the inside", 2.2, "window"),
    ("maintenance_off", "Maintenance off, proven", 0.7, "after"),
    ("workers_consume", "Workers consume again", 0.5, "after"),
    ("watch", "Watch error rate and latency", 60.0, "after"),
)


def steps() -> list[dict[str, Any]]:
    """The steps of a whole release, one after the other from 01:00:30."""
    made, clock = [], 30.0
    for name, title, seconds, phase in STEPS:
        started = f"2026-11-22T01:{int(clock // 60):02d}:{clock % 60:06.3f}Z"
        made.append(
            {
                "name": name,
                "title": title,
                "phase": phase,
                "status": "done",
                "started": started,
                "seconds": seconds,
                "predicted_seconds": round(seconds * 0.9, 1),
                "changes": phase != "begin",
                "detail": "",
            }
        )
        clock += seconds
    return made


def release() -> dict[str, Any]:
    """A release with every part of the record."""
    return {
        "id": "20261122T010030Z-2.0.0",
        "system": "ablage",
        "version": "2.0.0",
        "previous_version": "1.4.2",
        "operator": "mira",
        "digest": SHA,
        "journal": {"head": SHA[::-1], "entries": 31},
        "started": "2026-11-22T01:00:30Z",
        "ended": "2026-11-22T01:02:00Z",
        "steps": steps(),
        "point_of_no_return": "maintenance_off",
        "irreversible": ["0009 drops column documents.legacy_path"],
        "rollback": {
            "database": "restore",
            "reason": "0009 drops a column; its downgrade cannot bring the values back.",
            "services": [
                {"name": "backend", "from": "sha256:41c0", "to": "sha256:8ab2"},
                {"name": "worker", "from": "sha256:41c0"},
            ],
        },
        "backup": {
            "key": "ablage/20261122T010030Z/ablage.dump",
            "size_bytes": 18_734_211,
            "tables": 14,
            "rows": 52_113,
            "sha256": SHA,
            "verified": "restore",
            "restore_seconds": 3.8,
            "dump_seconds": 2.1,
            "at": "2026-11-22T01:00:47Z",
        },
        "downtime": {
            "seconds": 22.6,
            "budget_seconds": 60,
            "resolution_seconds": 0.2,
            "intervals": [
                {
                    "from": "2026-11-22T01:00:37.100Z",
                    "to": "2026-11-22T01:00:59.700Z",
                    "seconds": 22.6,
                    "cause": "503 maintenance",
                }
            ],
            "samples": 460,
            "unknown_seconds": 0,
            "job_delay_seconds": 24.1,
            "verdict": "within budget",
        },
        "drain": {
            "ledger": {"before": 21, "finished": 1, "waiting": 20, "lost": []},
            "workers": [{"name": "celery@ablage", "exit_code": 0, "seconds": 4.1}],
        },
    }


ENVIRONMENT = {"ansible": "2.19.4", "python": "3.11.2", "collection": "1.0.0", "controller": "deploy-1"}


def healthy_findings() -> list[dict[str, Any]]:
    """Thirty items that pass, on three hosts."""
    hosts = ("localhost", "app-1", "app-2")
    return [
        finding(
            f"item-{number}",
            host=hosts[number % 3],
            satisfies=[f"S1.{number}"],
            summary=f"Item {number} holds: 42 of 30.",
        )
        for number in range(1, 31)
    ]


def live() -> dict[str, Any]:
    """A release that went live with a warning, a waiver and sign-offs."""
    findings = [
        *healthy_findings(),
        finding(
            "disk-space",
            "warn",
            "app-1",
            severity="warning",
            summary="Free space on /var is 12 %, expected at least 15 %.",
            expected="at least 15 %",
            measured="12 %",
            remedy="Prune old images: docker image prune --filter until=720h.",
            satisfies=["S1.40"],
        ),
        finding(
            "redis-eviction",
            "fail",
            "localhost",
            decision="waived",
            summary="maxmemory-policy is allkeys-lru, expected noeviction.",
            waiver=WAIVER,
            satisfies=["S1.41"],
        ),
        finding(
            "gpu-memory",
            "not_applicable",
            "app-2",
            summary="There is no GPU on this host.",
            satisfies=["S1.42"],
            evidence={},
        ),
    ]
    return build_report(
        system="ablage",
        version="2.0.0",
        outcome="live",
        findings=findings,
        release=release(),
        environment=ENVIRONMENT,
        outcome_text="ablage 2.0.0 is live; users saw 22.6 s of maintenance.",
        generated="2026-11-22T01:02:03Z",
        generator="opsready.golive 1.0.0",
        verdict=verdict(
            "GO WITH WARNINGS",
            waivers=[WAIVER],
            warnings=[
                {
                    "id": "disk-space",
                    "host": "app-1",
                    "status": "warn",
                    "severity": "warning",
                    "summary": "Free space on /var is 12 %, expected at least 15 %.",
                }
            ],
            sign_offs=[
                {
                    "item": "migration-reviewed",
                    "team": "backend",
                    "name": "Jörg Weiß",
                    "signed": "2026-11-20T09:12:00Z",
                    "expires": "2026-11-27T09:12:00Z",
                    "binds_to": "migration_preview",
                    "state": "valid",
                }
            ],
            loosened=[
                {"id": "disk-space", "field": "min_free", "was": "20 %", "now": "15 %", "approver": "Nadia Sørensen"}
            ],
            changed=[
                {"id": "latency", "field": "url", "was": "https://a.example.org/", "now": "https://b.example.org/"}
            ],
            coverage={
                "required": ["S1"],
                "covered": [f"S1.{number}" for number in range(1, 43)],
                "by_steps": {"backup": ["S1.10"], "fence": ["S1.33", "S1.34"]},
                "missing": [],
            },
        ),
    )


NO_GO_FINDINGS = (
    (
        "tls-public",
        "fail",
        "localhost",
        "The certificate of archive.example.org:443 is valid for 3 more days, expected at least 30.",
        "Renew the certificate: certbot renew --cert-name archive.example.org.",
        ["S1.21", "S0.9"],
    ),
    (
        "jwt-secret",
        "fail",
        "localhost",
        "JWT_SECRET_KEY has 38 bits of entropy, expected at least 128.",
        "Generate one with: openssl rand -hex 32.",
        ["S1.14"],
    ),
    (
        "bucket-writable",
        "fail",
        "localhost",
        "Bucket ablage-backups refused the canary object: AccessDenied.",
        "Grant s3:PutObject on arn:aws:s3:::ablage-backups/*.",
        ["S1.17"],
    ),
    (
        "disk-space",
        "fail",
        "app-1",
        "Free space on /var/lib/postgresql is 1.2 GiB, expected at least 12.0 GiB.",
        "Free 10.8 GiB, or grow the volume.",
        ["S1.9"],
    ),
    (
        "host-time",
        "unknown",
        "app-2",
        "app-2 could not be reached: connection timed out after 10 s.",
        "Check ssh to app-2.",
        ["S1.30"],
    ),
    (
        "worker-queues",
        "unknown",
        "localhost",
        "Variable ablage_queues is undefined.",
        "Set ablage_queues in system.yml.",
        ["S1.11"],
    ),
)


def no_go() -> dict[str, Any]:
    """A checklist that fails; no release was begun."""
    bad = [
        finding(
            item,
            status,
            host,
            summary=summary,
            remedy=remedy,
            satisfies=satisfies,
            evidence={"endpoint": "archive.example.org:443", "not_after": "2026-11-25T00:00:00Z"},
        )
        for item, status, host, summary, remedy, satisfies in NO_GO_FINDINGS
    ]
    keys = ("id", "host", "status", "severity", "summary", "remedy")
    return build_report(
        system="ablage",
        version="2.0.0",
        outcome="no_go",
        findings=[*healthy_findings(), *bad],
        environment=ENVIRONMENT,
        outcome_text="Six items block version 2.0.0. Nothing was changed.",
        generated="2026-11-22T01:02:03Z",
        generator="opsready.golive 1.0.0",
        verdict=verdict(
            "NO-GO",
            blocking=[{key: entry[key] for key in keys} for entry in bad],
            coverage={"required": ["S1"], "covered": ["S1.1"], "missing": ["S1.36"]},
        ),
    )


def rolled_back() -> dict[str, Any]:
    """A release whose inside smoke test failed after the migration, and that was taken back by restore."""
    base = live()
    made = copy.deepcopy(base["release"])
    for step in made["steps"]:
        if step["name"] == "smoke":
            step.update(
                status="failed", detail="GET /api/v1/documents answered 500, expected 200 (3 of 9 steps passed)."
            )
        elif step["phase"] == "after":
            step.update(status="skipped", started=None, seconds=None)
        elif step["name"] in ("migrate", "start"):
            step["status"] = "undone"
    made["downtime"] = {**made["downtime"], "verdict": "over budget", "seconds": 71.3}
    return build_report(
        **{
            **{key: base[key] for key in ("system", "version", "verdict", "findings", "environment")},
            "outcome": "rolled_back",
            "release": made,
            "generated": base["generated"],
            "generator": base["generator"],
            "outcome_text": "ablage is back on 1.4.2: the database was restored and no job was lost.",
        }
    )


def checked() -> dict[str, Any]:
    """A run in check mode: the verdict holds only if what could not be judged holds."""
    return build_report(
        system="ablage",
        version="2.0.0",
        outcome="checked",
        findings=healthy_findings(),
        generated="2026-11-22T01:02:03Z",
        generator="opsready.golive 1.0.0",
        verdict=verdict(
            "GO", conditional=[{"id": "bucket-writable", "host": "localhost", "reason": "leaves an object behind"}]
        ),
    )


def empty() -> dict[str, Any]:
    """A verdict over nothing."""
    return build_report(
        system="ablage",
        version="2.0.0",
        verdict={"decision": "NO-GO"},
        outcome="no_go",
        findings=[],
        generated="2026-11-22T01:02:03Z",
        generator="opsready.golive 1.0.0",
    )


def hostile() -> dict[str, Any]:
    """Every text of a whole report carries what breaks HTML, Markdown, XML and terminals."""

    def poison(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: poison(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [poison(item, key) for item in value]
        keep = (
            "status",
            "decision",
            "severity",
            "outcome",
            "state",
            "started",
            "ended",
            "generated",
            "decided",
            "from",
            "to",
            "expires",
            "signed",
            "at",
            "phase",
            "database",
            "verified",
            "verdict",
            "digest",
            "sha256",
            "head",
        )
        return f"{value} {HOSTILE}" if isinstance(value, str) and key not in keep else value

    base = live()
    poisoned: dict[str, Any] = poison(base)
    return poisoned


def fleet(hosts: int, items: int = 100) -> dict[str, Any]:
    """Hosts x items findings: 94 % pass; the others differ, or say the same of every host."""
    return build_report(
        system="fleet",
        version="7",
        outcome="no_go",
        findings=fleet_findings(hosts, items),
        generated="2026-11-22T01:02:03Z",
        generator="opsready.golive 1.0.0",
        verdict=verdict("NO-GO"),
    )


def fleet_findings(hosts: int, items: int = 100) -> list[dict[str, Any]]:
    """The findings of fleet()."""
    made = []
    for host in range(hosts):
        for item in range(items):
            roll = (host * 31 + item * 17) % 100
            status = "fail" if roll < 2 else "unknown" if roll < 4 else "warn" if roll < 6 else "pass"
            summary = (
                "The host could not be reached."
                if status == "unknown"
                else f"{roll} % free on /srv, expected at least 15 %."
            )
            made.append(
                finding(
                    f"item-{item}",
                    status,
                    f"web-{host:04d}",
                    summary=summary,
                    satisfies=[f"S{item % 5}.{item}"],
                    measured=f"{roll} %",
                    evidence={"device": f"/dev/sd{item % 8}", "free_bytes": roll * 2**30, "mounted": ["/srv", "/var"]},
                    remedy="" if status == "pass" else "Free space, or grow the volume.",
                )
            )
    return made


SAMPLES = {made.__name__: made for made in (live, no_go, rolled_back, checked, empty, hostile)}


def validator() -> jsonschema.Draft202012Validator:
    """The published schema, ready to judge."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_follows_the_published_schema_after_a_round_trip(name: str) -> None:
    written = "".join(render_json(SAMPLES[name]())).encode("utf-8", "backslashreplace")
    errors = [f"{error.json_path}: {error.message}" for error in validator().iter_errors(json.loads(written))]
    assert errors == []


MUTATIONS: dict[str, Any] = {
    "an unknown key": lambda report: report.update(extra=1),
    "another schema version": lambda report: report.update(schema_version=2),
    "an unknown verdict": lambda report: report["verdict"].update(decision="MAYBE"),
    "an unknown outcome": lambda report: report.update(outcome="fine"),
    "a missing verdict": lambda report: report.pop("verdict"),
    "a finding waived by its own status": lambda report: report["findings"][0].update(status="waived"),
    "a finding without a host": lambda report: report["findings"][0].pop("host"),
    "a negative count": lambda report: report["verdict"]["counts"].update(fail=-1),
    "a waiver without an approver": lambda report: report["verdict"]["waivers"][0].pop("approver"),
    "a step in no state": lambda report: report["release"]["steps"][0].update(status="maybe"),
    "a backup verified by hope": lambda report: report["release"]["backup"].update(verified="hope"),
    "a downtime judged in other words": lambda report: report["release"]["downtime"].update(verdict="pass"),
    "a time without a zone": lambda report: report.update(generated="2026-11-22 01:02:03"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_schema_refuses(name: str) -> None:
    report = live()
    MUTATIONS[name](report)
    assert not validator().is_valid(report)
