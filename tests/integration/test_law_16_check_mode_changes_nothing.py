# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Law 16, broken on purpose: ``--check`` over probes that would leave a trace gives the whole verdict and leaves none."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.playbook import Played, run_playbook
from tests.servers import S3, HttpServer, Postgres, Redis

RUN = {"directory": "{{ playbook_dir }}/run"}


@pytest.fixture(scope="module")
def bucket(s3: S3) -> str:
    return s3.create_bucket("checked")


def _play(folder: Path, items: list[dict[str, t.Any]], *args: str) -> Played:
    state = {"system": "archive", "state_dir": "{{ playbook_dir }}/state"}
    subject = {name: f"{{{{ planned.{name} }}}}" for name in ("checklist_sha256", "system_file_sha256", "hosts_sha256")}
    begun = {**state, "state": "begun", "version": "2.0.0", "verdict": "{{ decided.verdict }}", "subject": subject}
    verdict = {**RUN, "system": "archive", "version": "2.0.0", "enforce": False}
    tasks: list[dict[str, t.Any]] = [
        {"name": "Plan", "opsready.golive.plan": RUN, "register": "planned"},
        {"name": "Judge", "opsready.golive.checklist": {**RUN, "full": True}},
        {"name": "Decide", "opsready.golive.verdict": verdict, "register": "decided"},
        {"name": "Begin", "opsready.golive.release": begun, "ignore_errors": True},
        {
            "name": "Sign",
            "opsready.golive.release": {
                **state,
                "state": "signed",
                "sign_off": {
                    "item": "x",
                    "team": "y",
                    "name": "Grete Hermann",
                    "digest": "{{ decided.verdict.digest }}",
                },
            },
        },
    ]
    return run_playbook(
        [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}],
        extra_vars={"golive_checklist": items},
        directory=folder,
        args=args,
    )


def test_check_mode_gives_the_whole_verdict_and_leaves_no_trace(
    tmp_path: Path, s3: S3, bucket: str, postgres: Postgres, redis_server: Redis, http_server: HttpServer
) -> None:
    items: list[dict[str, t.Any]] = [
        {"id": "good", "title": "good", "check_host": {"files": [{"path": "/etc/passwd"}]}},
        {
            "id": "store",
            "title": "store",
            "check_s3": {
                "endpoint_url": s3.endpoint,
                "access_key": s3.access_key,
                "secret_key": s3.secret_key,
                "buckets": [bucket],
                "canary": True,
            },
        },
        {
            "id": "broker",
            "title": "broker",
            "check_redis": {
                "url": redis_server.url(with_password=False),
                "canary": True,
                "use": "cache",
                "password": "redis-canary-4f1d9b",
            },
        },
        {
            "id": "posted",
            "title": "posted",
            "check_http": {"requests": [{"url": f"{http_server.url}/jobs", "method": "POST"}]},
        },
    ]
    keys_before = redis_server.client().dbsize()
    database = {"dsn": postgres.dsn(password=None), "password": postgres.password, "canary": True}
    items.append({"id": "database", "title": "database", "check_postgres": database})
    transactions = "SELECT pg_current_xact_id_if_assigned(), txid_snapshot_xmax(txid_current_snapshot())"
    before = postgres.execute(transactions)
    played = _play(tmp_path, items, "--check")
    assert played.rc == 0, played.text
    verdict = played.of("Decide").result["verdict"]
    assert (verdict["decision"], verdict["check_mode"]) == ("GO", True), played.of("Decide").msg
    assert {entry["id"] for entry in verdict["conditional"]} == {"store", "broker", "posted", "database"}
    assert "GO if these 4 hold" in played.stdout
    for identity in ("store", "broker", "posted", "database"):
        assert f"holds? {identity}: " in played.stdout
    assert verdict["counts"]["pass"] == 1
    # Nothing was written, sent or begun.
    assert s3.client().list_objects_v2(Bucket=bucket).get("KeyCount", 0) == 0
    assert redis_server.client().dbsize() == keys_before
    assert http_server.requests == []
    assert postgres.execute(transactions) == before
    assert not (tmp_path / "state").exists()


def test_the_same_list_without_check_mode_does_leave_its_trace_and_cleans_up(
    tmp_path: Path, s3: S3, bucket: str, redis_server: Redis
) -> None:
    items: list[dict[str, t.Any]] = [
        {
            "id": "store",
            "title": "store",
            "check_s3": {
                "endpoint_url": s3.endpoint,
                "access_key": s3.access_key,
                "secret_key": s3.secret_key,
                "buckets": [bucket],
                "canary": True,
            },
        },
    ]
    played = _play(tmp_path, items)
    finding = played.of("Judge").result["findings"][0]
    assert (finding["status"], "canary" in str(finding["measured"])) == ("pass", True), finding
    assert played.of("Decide").result["verdict"]["conditional"] == []
    assert played.of("Begin").result["changed"] is True
    assert s3.client().list_objects_v2(Bucket=bucket).get("KeyCount", 0) == 0


def test_check_mode_excuses_nothing_that_fails(tmp_path: Path, s3: S3, bucket: str) -> None:
    items: list[dict[str, t.Any]] = [
        {"id": "bad", "title": "bad", "check_host": {"files": [{"path": "/no/such/file"}]}},
        {
            "id": "store",
            "title": "store",
            "check_s3": {
                "endpoint_url": s3.endpoint,
                "access_key": s3.access_key,
                "secret_key": s3.secret_key,
                "buckets": [bucket],
                "canary": True,
            },
        },
    ]
    played = _play(tmp_path, items, "--check")
    verdict = played.of("Decide").result["verdict"]
    assert (verdict["decision"], [entry["id"] for entry in verdict["blocking"]]) == ("NO-GO", ["bad"])
    assert "The verdict is NO-GO" in played.of("Begin").msg
