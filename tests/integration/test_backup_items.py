# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the written lists that ask for backups, as one checklist has them: set up, scheduled, kept, restored, RTO and RPO.

One backup that pg_backup made of a real database, and one proof by pg_restore, lie in a bucket; each test breaks a copy of them.
"""

from __future__ import annotations

import datetime
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from ansible_collections.opsready.golive.plugins.plugin_utils import checklist_items
from ansible_collections.opsready.golive.plugins.plugin_utils.verdict_rules import decide
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.integration.written_backups import DAY, HOUR, Backups
from tests.servers import MotoS3, Postgres

serves = pytest.mark.serves
COMMAND = "ansible-playbook /srv/golive/backup.yml"
NOTES = """
create table public.notes (id bigserial primary key, text text);
insert into public.notes (text) select repeat(i::text, 40) from generate_series(1, 500) i;
create table public.alembic_version (version_num varchar(32) not null);
insert into public.alembic_version values ('0042')
"""
PLAN = "# Disaster recovery\n\nRTO: 30 minutes\nRPO: 26 hours\n"
NIGHTS = 8
#: By item, the rows of the written lists that one finding answers; a repeated row refers to the same finding.
SATISFIES = {
    "backups": ["S2.46", "S3.8", "S3.88", "S3.90", "S4.66", "S4.88", "S3.97", "S4.70"],
    "restore-tested": ["S2.47", "S3.10", "S3.91", "S4.68", "S3.96", "S4.69", "S3.77"],
    "backup-retention": ["S2.48", "S3.9"],
    "bucket-rules": ["S2.48", "S3.9"],
    "recovery-plan": ["S3.96", "S4.69", "S3.97", "S4.70"],
    "recovery-drill": ["S3.77"],
}
ROWS = sorted({row for rows in SATISFIES.values() for row in rows})
DRILL = {"report": "https://wiki.example.org/drill-2026-11", "rto": "12 minutes", "rpo": "3 hours"}


@pytest.fixture(scope="module")
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        yield made.create(NOTES)
    finally:
        made.drop()


def keys_of(store: MotoS3) -> dict[str, str]:
    return {"endpoint_url": store.endpoint, "access_key": store.access_key, "secret_key": store.secret_key}


def lifecycle(store: MotoS3, bucket: str, days: int) -> None:
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": days}}
    store.client().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})


@pytest.fixture(scope="module")
def whole(run_module: ModuleRun, sample: Sample, moto_s3: MotoS3) -> Backups:
    """A backup an hour old, those of the nights before it, and the record of a proof."""
    made = Backups(f"s3://{moto_s3.create_bucket()}/whole", keys_of(moto_s3), database=sample.name)
    place = {"destination": made.url, "s3": dict(made.s3 or {}), "pg_bindir": sample.programs}
    fresh = run_module("pg_backup", sample.options(verify="archive", **place))
    assert fresh.get("changed") is True, fresh
    name = fresh["backup"]["manifest"].removeprefix(f"{made.url}/")
    for night in range(NIGHTS):
        made.older(name, HOUR + night * DAY)
    proven = run_module(
        "pg_restore", sample.options(state="verified", backup=fresh["backup"]["manifest"], s3=made.s3, pg_bindir=sample.programs)
    )  # fmt: skip
    assert proven.get("record"), proven
    return made


class Site:
    """A copy of it all in a bucket of its own, with a crontab and a plan, and the checklist that judges them."""

    def __init__(self, whole: Backups, sample: Sample, store: MotoS3, folder: Path) -> None:
        self.bucket = store.create_bucket()
        lifecycle(store, self.bucket, 35)
        self.backups = Backups(f"s3://{self.bucket}/nightly", whole.s3, database=sample.name)
        for name in whole.place.names():
            self.backups.place.put(name, b"".join(whole.place.chunks(name)))
        self.sample, self.store, self.folder = sample, store, folder
        (folder / "cron.d").mkdir()
        self.crontab = folder / "cron.d" / "backup"
        ran = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=2)).astimezone()
        self.crontab.write_text(f"{ran.minute} {ran.hour} * * * golive {COMMAND}\n")
        self.plan = folder / "plan.md"
        self.plan.write_text(PLAN)
        self.bounds: dict[str, str] = {"max_restore_time": "30m", "max_age": "26h"}
        now = utc_text(datetime.datetime.now(datetime.timezone.utc))
        self.drill: dict[str, t.Any] = {
            "item": "recovery-drill", "team": "operations", "name": "Berta Muster", "signed": now, "details": dict(DRILL), "digest": "none",
        }  # fmt: skip

    def items(self) -> list[dict[str, t.Any]]:
        """As somebody writes them into a checklist."""
        place = {"destination": self.backups.url, "s3": dict(self.backups.s3 or {}), "database": self.backups.database}
        max_age, most = self.bounds["max_age"], self.bounds["max_restore_time"]
        asked = {
            "backups": {"check_backup": {
                **place, "verify": "archive", "max_age": max_age, "max_gap": "25h", "gap_window": "7d",
                "schedule": {"cron": COMMAND, "cron_files": [f"{self.crontab.parent}/*"]},
            }},
            "restore-tested": {"check_backup": {
                **place, "verify": "archive", "max_age": max_age, "max_proof_age": "30d", "max_restore_time": most,
            }},
            "backup-retention": {"check_backup": {
                **place, "verify": "archive", "max_age": max_age, "keep": {"daily": 7, "last": NIGHTS},
            }},
            "bucket-rules": {"check_s3": {
                **keys_of(self.store), "buckets": [self.bucket], "lifecycle": "required", "min_retention_days": 30,
            }},
            "recovery-plan": {"check_doc": {"path": str(self.plan), "contains": ["RTO: 30 minutes", "RPO: 26 hours"]}},
            "recovery-drill": {"sign_off": {
                "team": "operations", "binds_to": "none", "expires_after": "180d", "asks": [*DRILL],
            }},
        }  # fmt: skip
        return [
            {"id": name, "title": name, "phase": ["pre_deploy"], "satisfies": SATISFIES[name], "owner": "ops", **check}
            for name, check in asked.items()
        ]

    def verdict(self) -> tuple[dict[str, t.Any], dict[str, dict[str, t.Any]]]:
        """What the checklist says, and its findings by their items. Each item is judged once."""
        parsed = [checklist_items.parse(item, index) for index, item in enumerate(self.items())]
        judged = [item for item in parsed if item.check != "sign_off"]
        found = judge_all(
            [{"id": one.id, "check": one.check, "params": one.params, "timeout": 60.0} for one in judged],
            [],
            timeout_seconds=120,
            scrub=Scrubber([self.sample.password]),
        )
        assert [finding["id"] for finding in found] == [item.id for item in judged]
        findings = [{**item.described(), "host": "localhost", **finding} for item, finding in zip(judged, found)]
        expected = {
            "items": [
                {**item.described(), "check": item.check, "sign_off": item.sign_off, "hosts": ["localhost"], "max_age_seconds": None}
                for item in parsed
            ],
            "require": ROWS,
        }  # fmt: skip
        verdict, decided = decide(
            expected=expected,
            findings=findings,
            phase="pre_deploy",
            now=datetime.datetime.now(datetime.timezone.utc),
            sign_offs=[self.drill],
        )
        return verdict, {finding["id"]: finding for finding in decided}

    def records(self) -> list[str]:
        return [name for name in self.backups.place.names() if ".restored-" in name]

    def manifests(self) -> list[str]:
        """Oldest first."""
        return [name for name in self.backups.place.names() if name.endswith(".manifest.json")]

    def rewrite(self, name: str, **changes: t.Any) -> None:
        told = json.loads(self.backups.place.read(name, limit=1 << 24))
        self.backups.replace(name, json.dumps({**told, **changes}).encode())

    def lose(self, *names: str) -> None:
        for name in names:
            self.backups.place.remove(name)


@pytest.fixture
def site(whole: Backups, sample: Sample, moto_s3: MotoS3, tmp_path: Path) -> Site:
    return Site(whole, sample, moto_s3, tmp_path)


@serves(*ROWS, case="pass")
def test_backups_that_run_are_kept_and_were_restored_in_time_are_go(site: Site) -> None:
    # One that was never proven pushes none of the good ones out.
    site.backups.write(0 * HOUR, verified={"level": "restore", "ok": False})
    verdict, found = site.verdict()
    assert verdict["decision"] == "GO", verdict["blocking"] + verdict["warnings"]
    # A repeated row refers to the finding that answers it; nothing was judged twice.
    assert (sorted(verdict["coverage"]["covered"]), verdict["coverage"]["missing"]) == (ROWS, [])
    assert len(found) == len(SATISFIES)
    assert (found["backups"]["satisfies"], found["restore-tested"]["satisfies"]) == (
        SATISFIES["backups"],
        SATISFIES["restore-tested"],
    )

    backups = found["backups"]
    newest = backups["evidence"]["backups"][1]
    assert newest["url"].startswith(site.backups.url) and newest["is_proven"] is True
    assert [one["size_bytes"] for one in backups["evidence"]["backups"][1:]] == [newest["size_bytes"]] * (NIGHTS + 1)
    assert (
        backups["measured"]["schedule"] == f"{site.crontab}:1 runs at {' '.join(site.crontab.read_text().split()[:5])}"
    )
    assert backups["measured"]["last run"] == f"made the one of {newest['created']}"
    assert backups["measured"]["next run"] == backups["evidence"]["schedule"]["coming"][0]
    assert backups["expected"]["age of the newest backup"] == "at most 26h"
    assert backups["measured"]["longest gap between backups"] == "24.0 h"

    tested = found["restore-tested"]
    (record,) = site.records()
    (proof,) = tested["evidence"]["proofs"]
    assert (proof["record"], proof["sha256"]) == (site.backups.place.url(record), newest["sha256"])
    assert "_scratch_" in proof["verified"]["scratch_database"] and proof["where"]["port"] == site.sample.server.port
    assert (proof["verified"]["compared"], proof["verified"]["rows"], proof["revision"]) == (
        "rows and content", 501, ["0042"],
    )  # fmt: skip
    assert proof["verified"]["schema_equal"] is True and proof["restore_seconds"] > 0
    assert tested["expected"]["age of the newest restore"] == "at most 30d"
    assert tested["expected"]["measured restore time"] == "at most 30m"
    assert found["backup-retention"]["measured"]["keep.last"] == f"{NIGHTS + 1} backups"
    assert found["recovery-drill"]["evidence"]["details"] == DRILL


def stale(site: Site) -> None:
    site.lose(*site.manifests()[-3:])


def small(site: Site) -> None:
    site.backups.write(0 * HOUR, b"PGDMP", verified={"level": "archive", "ok": True, "seconds": 1.0})


def unscheduled(site: Site) -> None:
    site.crontab.write_text(f"# {site.crontab.read_text()}")


def missed(site: Site) -> None:
    ran = (datetime.datetime.now(datetime.timezone.utc) - 3 * HOUR).astimezone()
    site.crontab.write_text(f"{ran.minute} {ran.hour} * * * golive {COMMAND}\n")
    site.lose(*site.manifests()[-2:])


def never_restored(site: Site) -> None:
    site.lose(*site.records())


def restored_long_ago(site: Site) -> None:
    at = utc_text(datetime.datetime.now(datetime.timezone.utc) - 31 * DAY)
    site.rewrite(site.records()[0], at=at)


def restored_another(site: Site) -> None:
    site.rewrite(site.records()[0], sha256="0" * 64)


def slower_than_documented(site: Site) -> None:
    site.bounds["max_restore_time"] = "0.01s"


def undocumented(site: Site) -> None:
    site.plan.write_text(PLAN.replace("RTO: 30 minutes", "RTO: to be told").replace("RPO: 26 hours", ""))


def night_lost(site: Site) -> None:
    site.lose(*site.manifests()[1:3])


def no_rules(site: Site) -> None:
    site.store.client().delete_bucket_lifecycle(Bucket=site.bucket)


def short_rules(site: Site) -> None:
    lifecycle(site.store, site.bucket, 5)


def drill_without_a_report(site: Site) -> None:
    site.drill["details"] = {**DRILL, "report": "TBD"}


def drill_long_ago(site: Site) -> None:
    site.drill["signed"] = utc_text(datetime.datetime.now(datetime.timezone.utc) - 181 * DAY)


SET_UP = ("S2.46", "S3.8", "S3.88", "S3.90", "S4.66", "S4.88")
TESTED = ("S2.47", "S3.10", "S3.91", "S4.68")
FAULTS: list[tuple[t.Callable[[Site], None], tuple[str, ...], str, str]] = [
    (stale, (*SET_UP, "S3.97", "S4.70"), "backups", "days old, expected at most 26h"),
    (small, SET_UP, "backups", "the newest backup has 5 b, no more than 50 % of the usual"),
    (unscheduled, SET_UP, "backups", "nothing runs the backups: no line of "),
    (missed, SET_UP, "backups", "made no backup that counts; the newest is of "),
    (never_restored, TESTED, "restore-tested", "no backup that is there was ever restored as a proof"),
    (restored_long_ago, (*TESTED, "S3.77"), "restore-tested", "was 31.0 days ago, expected at most 30d"),
    (restored_another, TESTED, "restore-tested", "no backup that is there was ever restored as a proof"),
    (slower_than_documented, ("S3.96", "S4.69"), "restore-tested", "expected at most 0.01s"),
    (undocumented, ("S3.96", "S4.69", "S3.97", "S4.70"), "recovery-plan", "rpo: 26 hours"),
    (night_lost, ("S2.48", "S3.9"), "backup-retention", "keep.daily asks for a backup in each of 7"),
    (no_rules, ("S2.48", "S3.9"), "bucket-rules", "lifecycle"),
    (short_rules, ("S2.48", "S3.9"), "bucket-rules", "expected at least 30"),
    (drill_without_a_report, ("S3.77",), "recovery-drill", "does not state report"),
    (drill_long_ago, ("S3.77",), "recovery-drill", "expired at"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("break_it", "item", "said"),
    [
        pytest.param(fault, item, said, id=fault.__name__, marks=serves(*rows, case="fail"))
        for fault, rows, item, said in FAULTS
    ],
)
def test_what_is_broken_is_no_go_and_told(site: Site, break_it: t.Callable[[Site], None], item: str, said: str) -> None:
    break_it(site)
    verdict, found = site.verdict()
    assert verdict["decision"] == ("GO WITH WARNINGS" if break_it is small else "NO-GO"), verdict
    assert found[item]["decision"] != "pass"
    assert said in found[item]["summary"].lower(), found[item]["summary"]


@serves(*TESTED, case="fail")
def test_an_archive_that_rotted_fails_its_next_proof_and_stays_failed(run_module_here: ModuleRun, site: Site) -> None:
    newest = site.manifests()[-1]
    archive = site.backups.archive_of(newest)
    content = b"".join(site.backups.place.chunks(archive))
    site.backups.replace(archive, content[:-200] + bytes(200))
    proof = site.sample.options(state="verified", backup=site.backups.place.url(newest), pg_bindir=site.sample.programs)
    failed = run_module_here("pg_restore", {**proof, "s3": site.backups.s3})
    assert failed.get("failed"), failed
    assert len(site.records()) == 2
    verdict, found = site.verdict()
    assert verdict["decision"] == "NO-GO"
    summary = found["restore-tested"]["summary"].lower()
    assert "the newest restore as a proof, of the backup of " in summary and "failed: " in summary, summary
    site.backups.replace(archive, content)
    assert "verified" in run_module_here("pg_restore", {**proof, "s3": site.backups.s3})
    assert site.verdict()[1]["restore-tested"]["decision"] == "pass"
