# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference system's own checklist, with faults in the real thing: each item sees its fault, and nothing else is wrong.

Faults that do not touch each other share a run, and exactly the items that the table names do not pass. One stack; what was
broken is mended again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import email.utils
import hashlib
import json
import shutil
import socket
import subprocess
import typing as t
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import yaml
from embedded import certificates
from scenarios import pictures
from scenarios.workspace import wait_until

from tests.e2e.demos import EXAMPLE
from tests.e2e.reference import VERSION, System, reference_system
from tests.servers import DemoCa, ScriptedServer

PRIVATE = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIFpR0mPqkz4WcVfXcN3vUuE2hY9sL1tBd7gKo8JxAaQn\n-----END PRIVATE KEY-----\n"


@dataclasses.dataclass
class Site:
    """The reference system, everything ready for a GO, and hands to break it."""

    system: System
    build: Path
    signed: dict[str, t.Any]
    mend: contextlib.ExitStack = dataclasses.field(default_factory=contextlib.ExitStack)
    #: Of this run. Other tests may keep the machine busy; the fault that is slow has the bound that it breaks.
    values: dict[str, t.Any] = dataclasses.field(default_factory=lambda: {"ablage_max_p95_ms": 5000})
    #: What the last playbook said.
    last: str = ""
    is_backend_another: bool = False

    @property
    def facts(self) -> t.Any:
        return self.system.facts

    def write(self, path: str | Path, content: str | bytes) -> None:
        """Another content; what was there comes back, with its mode."""
        place = Path(path)
        before, mode = place.read_bytes(), place.stat().st_mode & 0o777
        self.mend.callback(lambda: (place.write_bytes(before), place.chmod(mode)))
        place.write_bytes(content if isinstance(content, bytes) else content.encode())

    def replace(self, path: str | Path, old: str, new: str) -> None:
        text = Path(path).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {path}"
        self.write(path, text.replace(old, new))

    def move_away(self, path: Path) -> None:
        aside = path.with_name(f"{path.name}.away")
        path.rename(aside)
        self.mend.callback(lambda: aside.rename(path))

    def set_to(self, **values: str) -> None:
        path = Path(self.facts["env_file"])
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.partition("=")[0] not in values]
        self.write(path, "\n".join([*lines, *(f"{name}={value}" for name, value in values.items())]) + "\n")

    def report(self, name: str, old: str, new: str, exit_code: int = 1) -> None:
        """A report that says something else, stated as the build's tool would have."""
        path = self.build / "reports" / name
        self.replace(path, old, new)
        provenance = self.build / "reports" / "provenance.json"
        stated = json.loads(provenance.read_text(encoding="utf-8"))
        stated["reports"][name] |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "exit_code": exit_code}
        self.write(provenance, json.dumps(stated))

    def sign(self, item: str, **changes: t.Any) -> None:
        """Somebody else signed, or otherwise."""
        (entry,) = [one for one in self.signed["golive_sign_offs"] if one["item"] == item]
        entry.update(changes)

    def stop(self, program: str) -> None:
        self.system.control("stop", program)
        self.mend.callback(self.system.control, "start", program)

    def restart(self, program: str) -> None:
        self.system.control("restart", program)

    def backend_starts_anew(self) -> None:
        """With what was changed before."""
        self.restart("backend")
        assert wait_until(lambda: _is_healthy(self.system), seconds=60)

    def backend_reads_it(self) -> None:
        """What is changed from here on. It starts once more when all of that is mended, which was on disk alone otherwise."""
        if not self.is_backend_another:
            self.is_backend_another = True
            self.mend.callback(self.restart, "backend")

    def code(self, name: str, *changes: tuple[str, str]) -> None:
        """The version that runs does something else, once the backend starts anew."""
        self.backend_reads_it()
        for old, new in changes:
            self.replace(Path(self.facts["current"]) / "ablage" / name, old, new)

    def connected(self, *, autocommit: bool = True) -> psycopg.Connection:
        return psycopg.connect(
            host=self.facts["postgres_host"], port=self.facts["postgres_port"], user="postgres", dbname="ablage",
            password=self.facts.secret("db_superuser_password"), autocommit=autocommit,
        )  # fmt: skip

    def execute(self, statement: str) -> None:
        with self.connected() as connection:
            connection.execute(t.cast("t.LiteralString", statement))

    def judged(self, playbook: str, version: str = VERSION) -> dict[str, str]:
        """What does not pass, by item: of hosts that differ the worst."""
        name, *options = playbook.split()
        values = {**self.signed, "ablage_build": str(self.build), "ablage_back_since": "1h", **self.values}
        ended = self.system.workspace.playbook(
            name, version=version, options=("-e", json.dumps(values), *options), quiet=True
        )  # fmt: skip
        self.last = ended.output
        if playbook == "pre_deploy":
            assert ended.returncode in (0, 2), ended.output[-8000:]
            verdict = self.system.workspace.read_report()["verdict"]
            return {entry["id"]: entry["status"] for entry in (*verdict["warnings"], *verdict["blocking"])}
        # of what is only looked at nothing is written down
        found: dict[str, str] = {}
        for line in ended.output.splitlines():
            kind, _space, rest = line.strip().partition(" ")
            if line.startswith("  ") and kind in ("blocks", "warns"):
                status, item = rest.split()[:2]
                found[item.rstrip(":")] = status
        return found


@pytest.fixture(scope="module")
def system(collections: Path, reachable_folder: t.Callable[[str], Path]) -> t.Iterator[System]:
    with reference_system(collections, reachable_folder("faults"), "--rows", "4000") as found:
        found.workspace.make_ready(VERSION, nightly_backup=True)
        yield found


@pytest.fixture
def site(system: System, tmp_path: Path) -> t.Iterator[Site]:
    """With a copy of the build, since others use the one that is kept, and signatures of its own."""
    ready = system.workspace.stack / "ready" / VERSION / "ready.yml"
    signed = yaml.safe_load(ready.read_text(encoding="utf-8"))
    shutil.copytree(signed["ablage_build"], tmp_path / "build")
    found = Site(system, tmp_path / "build", signed)
    with found.mend:
        yield found
    assert wait_until(lambda: _is_healthy(system), seconds=60), "the system is not as it was"


def _is_healthy(system: System) -> bool:
    told = json.loads(system.workspace.stack_command("status"))
    body = told["health"]["body"]
    return isinstance(body, dict) and body.get("status") == "gesund"


Fault = t.Callable[[Site], None]


def table(*rows: tuple[str, dict[str, str], Fault]) -> list[tuple[str, dict[str, str], Fault]]:
    return list(rows)


def _other_certificate(site: Site) -> None:
    folder = site.build / "certificates"
    folder.mkdir()
    certificates.issue(folder, organisation="Ablage", days=90)
    site.write(site.facts["certificate_file"], (folder / "server.crt").read_bytes())


def _committed_key(site: Site) -> None:
    source = site.build / "source"
    (source / "ablage" / "deploy.py").write_text(f'KEY = """{PRIVATE}"""\n', encoding="utf-8")
    subprocess.run(["git", "add", "-A"], cwd=source, check=True, capture_output=True)


def _renewed_on_disk_alone(site: Site) -> None:
    """The proxy goes on with the certificate that it read when it started."""
    site.mend.callback(site.restart, "proxy")
    authority = DemoCa()
    served, renewed = authority.issue(days=10), authority.issue(days=90)
    site.write(site.facts["ca_file"], served.ca_pem)
    site.write(site.facts["certificate_file"], served.certificate_pem)
    site.write(site.facts["certificate_key_file"], served.key_pem)
    site.restart("proxy")
    assert wait_until(lambda: _is_healthy(site.system), seconds=60)
    site.write(site.facts["certificate_file"], renewed.certificate_pem)
    site.write(site.facts["certificate_key_file"], renewed.key_pem)


def _no_login(site: Site) -> None:
    site.code("documents.py", ("    user: SignedIn,\n    db: Database,\n    limit:", "    db: Database,\n    limit:"))


def _open_panel(site: Site) -> None:
    site.code("admin.py", ("def panel(admin: Admin, ", "def panel("), ("html.escape(admin.username)", "'niemand'"))


def _slow(site: Site) -> None:
    """By more than the written list's bound, which is below the demo's."""
    answer = '    return {"status": GESUND, "version": VERSION}\n'
    site.code("health.py", (answer, f"    time.sleep(0.06)\n{answer}"))
    site.values["ablage_max_p95_ms"] = 50


def _open_to_every_origin(site: Site) -> None:
    """In the file and, since the backend reads it when it starts, in what it answers."""
    site.backend_reads_it()
    site.set_to(CORS_ORIGINS="*")
    site.backend_starts_anew()


def _slow_now(site: Site) -> None:
    _slow(site)
    site.backend_starts_anew()


def _wrong_clock(site: Site) -> None:
    """Of a server that stands in the backend's place: a host has one clock, which others need."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        stated = email.utils.format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {stated}\r\n\r\n".encode())

    server = site.mend.enter_context(ScriptedServer(answer))
    site.values["ablage_backend_url"] = f"http://127.0.0.1:{server.port}"


def _older_pg_dump(site: Site) -> None:
    folder = site.build / "bin"
    folder.mkdir()
    for program in Path(site.facts["postgres_bin_dir"]).iterdir():
        (folder / program.name).symlink_to(program)
    (folder / "pg_dump").unlink()
    (folder / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.14'\n", encoding="utf-8")
    (folder / "pg_dump").chmod(0o755)
    site.values["ablage_postgres_bin_dir"] = str(folder)


def _forgotten_transaction(site: Site) -> None:
    """Older than a bound that a test can wait for."""
    site.mend.enter_context(site.connected(autocommit=False)).execute("select 1")
    site.values["ablage_max_transaction_age"] = 0.5


def _few_connections_left(site: Site) -> None:
    with site.connected() as connection:
        (used,) = connection.execute(
            "select count(*) from pg_stat_activity where backend_type = 'client backend'"
        ).fetchone()
    for _each in range(used, 91):
        site.mend.enter_context(site.connected())


def _other_artefact(site: Site) -> None:
    path = Path(site.facts["artefacts"][VERSION]["path"])
    site.write(path, path.read_bytes() + b"\0")


def _invalid_index(site: Site) -> None:
    update = "update pg_index set indisvalid = {} where indexrelid = 'ix_ocr_jobs_document_id'::regclass"
    site.mend.callback(site.execute, update.format("true"))
    site.execute(update.format("false"))


def _few_documents(site: Site) -> None:
    """Another table stands in their place, whose rows are few."""
    site.mend.callback(site.execute, "drop table documents; alter table documents_aside rename to documents")
    site.execute(
        "alter table documents rename to documents_aside; create table documents as table documents_aside with no data"
    )


def _broker_that_forgets(site: Site) -> None:
    with pictures.broker(site.facts) as broker:
        broker.config_set("maxmemory-policy", "allkeys-lru")

    def mend() -> None:
        with pictures.broker(site.facts) as broker:
            broker.config_set("maxmemory-policy", "noeviction")

    site.mend.callback(mend)


def _full_queue(site: Site) -> None:
    with pictures.broker(site.facts) as broker:
        broker.rpush("ocr", *(["{}"] * 1001))

    def mend() -> None:
        with pictures.broker(site.facts) as broker:
            broker.delete("ocr")

    site.mend.callback(mend)


def _open_file(site: Site) -> None:
    path = Path(site.facts["env_file"])
    site.mend.callback(path.chmod, 0o600)
    path.chmod(0o644)


def _said(site: Site, program: str, line: str) -> None:
    """The program writes a line into the log that supervisor keeps."""
    path = Path(site.facts["log_dir"]) / f"{program}.log"
    before = path.stat().st_size
    with path.open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")

    def mend() -> None:
        content = path.read_bytes()
        path.write_bytes(content[:before] + content[before + len(line) + 1 :])

    site.mend.callback(mend)


#: What stands beside each other: settings and files, the build's reports, papers, the database's catalogue.
BESIDE_EACH_OTHER = table(
    ("a proxy that was not told of the renewed certificate", {"tls-public": "fail"}, _renewed_on_disk_alone),
    ("documents without a login", {"login-needed": "fail"}, _no_login),
    ("the admin panel for everybody", {"admin-needed": "fail"}, _open_panel),
    ("a slow interface", {"latency": "fail"}, _slow),
    # the backend is started anew with the last of these, so before the file is one that it would refuse
    ("every origin is let in", {"env-cors": "fail", "cors-live": "fail"}, _open_to_every_origin),
    ("staging", {"env-production": "fail"}, lambda site: site.set_to(ENVIRONMENT="staging")),
    ("a short secret", {"env-secret-key": "fail"}, lambda site: site.set_to(SECRET_KEY="short-7Qx")),
    ("a token's key that is a word", {"env-jwt-secret": "fail"}, lambda site: site.set_to(JWT_SECRET_KEY="changeme")),
    ("another GPU limit", {"env-gpu-limit": "fail"}, lambda site: site.set_to(GPU_MEMORY_LIMIT_GB="15.9")),
    ("a log level for development", {"env-log-level": "fail"}, lambda site: site.set_to(LOG_LEVEL="DEBUG")),
    ("an address without TLS", {"env-base-url": "fail"}, lambda site: site.set_to(BASE_URL="http://localhost")),
    ("bodies without a limit", {"env-body-limit": "fail"}, lambda site: site.set_to(MAX_REQUEST_BODY_MB="5000")),
    ("a certificate of another key", {"tls-file": "fail"}, _other_certificate),
    # the rehearsal takes seconds, and nothing here touches it
    ("no room", {"disk": "fail"}, lambda site: site.values.update(ablage_min_free="900TB", ablage_nightly_backup=False)),
    ("no memory", {"memory": "fail"}, lambda site: site.values.update(ablage_min_memory="900TB")),
    ("no room for the application", {"host-app": "fail"}, lambda site: site.values.update(ablage_app_min_free="900TB")),
    ("a clock that is an hour late", {"clock": "fail"}, _wrong_clock),
    ("a pg_dump older than the server", {"pg-dump": "fail", "backup": "unknown"}, _older_pg_dump),
    ("a transaction that nobody ended", {"database-transactions": "fail"}, _forgotten_transaction),
    ("SQL that nobody accepted", {"migration-sql": "fail"}, lambda site: site.values.update(ablage_accepted_sql={VERSION: []})),
    ("a test that failed", {"tests": "fail"},
     lambda site: site.report("junit.xml", 'failures="0"', 'failures="1"')),
    ("lines that no test reached", {"coverage": "fail"},
     lambda site: site.report("coverage.xml", 'hits="1"', 'hits="0"', 0)),
    ("a type that does not hold", {"types": "fail"},
     lambda site: site.report("mypy.txt", "Success: no issues found in",
                              'ablage/ocr.py:9: error: Incompatible return value type  [return-value]\nFound 1 error in 1 file (checked')),
    ("what the linter found", {"linter": "fail"},
     lambda site: site.report("ruff.json", "[]", json.dumps([{
         "code": "F401", "message": "unused import", "filename": "ablage/ocr.py", "location": {"row": 3, "column": 1},
         "end_location": {"row": 3, "column": 9}, "fix": None, "noqa_row": 3, "url": "", "cell": None}]))),
    ("a file that is not formatted", {"format": "fail"},
     lambda site: site.report("format.txt", " files already formatted",
                              " files already formatted\nWould reformat: ablage/ocr.py\n1 file would be reformatted")),
    ("a shell in the code", {"code-scan": "fail"},
     lambda site: site.report("bandit.json", '"results": []', '"results": ' + json.dumps([{
         "test_id": "B602", "test_name": "subprocess_popen_with_shell_equals_true", "issue_severity": "HIGH",
         "issue_confidence": "HIGH", "issue_text": "shell=True", "filename": "ablage/ocr.py", "line_number": 9}]))),
    ("a package with an advisory", {"dependencies": "fail"},
     lambda site: site.report("pip-audit.json", '"vulns": []}]', '"vulns": ' + json.dumps([{
         "id": "GHSA-59g5-xgcq-4qw3", "fix_versions": ["0.0.18"], "aliases": [], "description": ""}]) + "}]")),
    ("a key in the code", {"code-secrets": "fail"}, _committed_key),
    ("notes that nobody finished", {"release-notes": "fail"},
     lambda site: site.replace(site.build / "source" / "RELEASE_NOTES.md", "Nothing is deleted by itself.", "TBD")),
    ("a changelog of another version", {"changelog": "fail"},
     lambda site: site.replace(site.build / "source" / "CHANGELOG.md", "[2.0.0]", "[1.9.9]")),
    ("a review of other SQL", {"migration-reviewed": "unknown"},
     lambda site: site.sign("migration-reviewed", digest="0" * 64)),
    ("an announcement of last week", {"team-informed": "unknown"},
     lambda site: site.sign("team-informed", signed="2026-01-05T08:00:00+00:00")),
    ("a lead whose name nobody filled in", {"devops-lead": "fail"}, lambda site: site.sign("devops-lead", name="[Name]")),
    ("a lead without a telephone", {"backend-lead": "fail"}, lambda site: site.sign("backend-lead", details={})),
    ("a contact of another team", {"security-contact": "unknown"},
     lambda site: site.sign("security-contact", team="facilities")),
    ("an index that failed half-way", {"database-indexes": "fail"}, _invalid_index),
    ("a broker that evicts jobs", {"broker": "fail", "broker-queue": "fail"}, _broker_that_forgets),
)  # fmt: skip
#: Whole parts are missing: the store takes the proofs of the night with it. `workers` and `backup` are what a release itself looks for.
PARTS_ARE_GONE = table(
    ("no worker", {"services": "fail", "health-pipeline": "warn", "workers": "unknown"}, lambda site: site.stop("worker")),
    ("a queue that nobody empties", {"broker-queue": "fail"}, _full_queue),
    ("no object store",
     {"store-documents": "unknown", "store-backups": "unknown", "health": "fail", "backup-nightly": "unknown",
      "migration-rehearsed": "unknown", "backup": "unknown"}, lambda site: site.stop("s3")),
    ("an env file for everybody", dict.fromkeys(
        ("env-mode", "env-production", "env-secret-key", "env-jwt-secret", "env-cors", "env-gpu-limit", "env-log-level",
         "env-base-url", "env-body-limit"), "fail"), _open_file),
    ("most documents are gone", {"database-rows": "fail"}, _few_documents),
    # each of them looks whether there is room for one more
    ("few connections are left", dict.fromkeys(
        ("database", "database-transactions", "database-indexes", "database-rows"), "fail"), _few_connections_left),
    # of the packages that are deployed none was audited, which is known
    ("no reports",
     {**dict.fromkeys(("tests", "coverage", "types", "linter", "format", "code-scan"), "unknown"), "dependencies": "fail"},
     lambda site: site.move_away(site.build / "reports")),
)  # fmt: skip
#: All that is made of it cannot be told: `services` and `migration` are what a release itself looks for.
ANOTHER_ARTEFACT = table(
    ("another artefact than was built",
     {"artefact": "fail", **dict.fromkeys(
         ("migration-sql", "migration-reviewed", "migration-rehearsed", "migration", "services"), "unknown")}, _other_artefact),
)  # fmt: skip
#: After users are back, in the version that runs.
UNDER_WATCH = table(
    # the backend is started anew, and waited for while all is well
    ("a slow interface", {"after-latency": "fail"}, _slow_now),
    ("an error of the backend", {"backend-log": "fail"}, lambda site: _said(site, "backend", "ERROR ablage dependency down")),
    ("an exception of the worker", {"worker-log": "fail"},
     lambda site: _said(site, "worker", "Traceback (most recent call last):")),
    ("no worker", {"services": "fail", "after-complete": "warn", "after-health": "warn"}, lambda site: site.stop("worker")),
)  # fmt: skip
#: What a way back ends with, in the version that runs.
BACK_AGAIN = table(
    ("an error of the backend", {"back-log": "fail"}, lambda site: _said(site, "backend", "ERROR ablage dependency down")),
    ("no worker", {"services": "fail", "back-health": "warn"}, lambda site: site.stop("worker")),
)  # fmt: skip

#: Those whose part the demo has not: broken in tests/integration/test_ablage_items.py.
ELSEWHERE = {"gpu", "gpu-container", "gpu-limit", "gpu-health", "gpu-memory", "dashboards", "alerts", "targets"}


def _wanted(rows: list[tuple[str, dict[str, str], Fault]]) -> dict[str, str]:
    return {item: status for _name, items, _fault in rows for item, status in items.items()}


@pytest.mark.parametrize(
    ("playbook", "version", "rows"),
    [
        pytest.param("pre_deploy", VERSION, BESIDE_EACH_OTHER, id="beside each other"),
        pytest.param("pre_deploy", VERSION, [], id="none"),
        pytest.param("pre_deploy", VERSION, PARTS_ARE_GONE, id="parts are gone", marks=pytest.mark.long),
        pytest.param("pre_deploy", VERSION, ANOTHER_ARTEFACT, id="another artefact", marks=pytest.mark.long),
        pytest.param("check", "1.0.0", UNDER_WATCH, id="under watch", marks=pytest.mark.long),
        pytest.param("check", "1.0.0", [], id="none under watch", marks=pytest.mark.long),
        pytest.param(
            "check -e check_phase=post_rollback", "1.0.0", BACK_AGAIN, id="back again", marks=pytest.mark.long
        ),
        pytest.param("check -e check_phase=post_rollback", "1.0.0", [], id="none back again", marks=pytest.mark.long),
    ],
)
def test_each_fault_is_seen_by_its_items_and_by_no_other(
    site: Site, playbook: str, version: str, rows: list[tuple[str, dict[str, str], Fault]]
) -> None:
    for _name, _items, fault in rows:
        fault(site)
    found, wanted = site.judged(playbook, version), _wanted(rows)
    told = [line for line in site.last.splitlines() if line.startswith(("  blocks", "  warns"))]
    differing = {item: (wanted.get(item), found.get(item)) for item in found.keys() | wanted.keys()}
    assert found == wanted, f"{ {item: pair for item, pair in differing.items() if pair[0] != pair[1]} }\n" + "\n".join(
        told
    )


def test_the_table_breaks_what_it_promises() -> None:
    """At least 40 faults, and one for each item of the list whose part is here."""
    faults = [*BESIDE_EACH_OTHER, *PARTS_ARE_GONE, *ANOTHER_ARTEFACT, *UNDER_WATCH, *BACK_AGAIN]
    assert len({name for name, _items, _fault in faults}) >= 40
    assert len(_wanted(BESIDE_EACH_OTHER)) == sum(len(items) for _name, items, _fault in BESIDE_EACH_OTHER)
    known = {item["id"] for item in yaml.safe_load((EXAMPLE / "checklist.yml").read_text())["golive_checklist"]}
    broken = {item for _name, items, _fault in faults for item in items}
    assert broken - known == {"backup", "migration", "workers"}
    assert known - broken == ELSEWHERE
