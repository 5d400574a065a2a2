# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole checklist S0 on the system it was written for: to GO, and to NO-GO by what was broken and nothing else.

What is broken is broken in the system itself: its env file, its processes, its proxy, its store. The checklist is as its user wrote it.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import re
import socket
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError
from tests.leaks import assert_no_leak
from tests.playbook import ROOT, Played, run_playbook
from tests.servers import accepts, await_true

EXAMPLE = ROOT / "examples" / "pipeline_runner"
SECONDS = 60.0
serves = pytest.mark.serves


def read(path: Path) -> t.Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


SYSTEM: dict[str, t.Any] = read(EXAMPLE / "system.yml")
CHECKLIST: dict[str, t.Any] = read(EXAMPLE / "checklist.yml")
IDS = {item["id"] for item in CHECKLIST["golive_checklist"]}


class Site:
    """The pipeline runner as it runs, the playbooks run on it, and hands to break it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = read(folder / "facts.yml") | read(folder / "secrets.yml")
        self.facts = {name.removeprefix("runner_"): value for name, value in self.variables.items()}
        self.secrets = [value for name, value in self.facts.items() if re.search("password|secret|token|_key$", name)]
        self.mended = contextlib.ExitStack()

    def play(self, playbook: Path, *args: str, codes: t.Collection[int] = (0,)) -> Played:
        played = run_playbook(
            playbook,
            inventory=read(EXAMPLE / "inventory.yml"),
            extra_vars={**self.variables, **SYSTEM, **CHECKLIST},
            args=args,
            directory=self.folder.parent / "play",
        )
        assert_no_leak(self.secrets, played.text, playbook.name)
        assert played.rc in codes, played.text[-6000:]
        return played

    def judge(self, playbook: str, *args: str, codes: t.Collection[int] = (0,)) -> dict[str, t.Any]:
        played = self.play(ROOT / "playbooks" / f"{playbook}.yml", *args, codes=codes)
        (decided,) = [result for result in played.results if result.action == "opsready.golive.verdict"]
        return t.cast("dict[str, t.Any]", {**decided.result["verdict"], "played": played})

    def control(self, *words: str) -> None:
        ctl = [self.facts["supervisorctl"], "-s", f"unix://{self.facts['supervisor_socket']}"]
        subprocess.run([*ctl, *words], check=True, capture_output=True)

    def asked(self, method: str, path: str) -> http.Response:
        url = f"{self.facts['backend_url']}{path}"
        return http.request(method, url, deadline=Deadline(10), secret_headers=http.bearer(self.facts["smoke_token"]))

    def lives(self) -> bool:
        try:
            return self.asked("GET", "/healthz").status == 200
        except GoliveError:
            return False

    def run_a_pipeline(self) -> str:
        run = self.asked("POST", "/api/pipelines/smoke/runs").json()["id"]

        def state() -> t.Any:
            return self.asked("GET", f"/api/runs/{run}").json()["state"]

        await_true(lambda: state() in ("SUCCESS", "FAILED"), seconds=SECONDS, what="the end of a run")
        return str(state())

    # ── breaking it; `mended` puts it back ──

    def with_file(self, path: str, change: t.Callable[[str], str]) -> None:
        """Another content, for as long as it is broken."""
        place = Path(path)
        before = place.read_text(encoding="utf-8")
        assert change(before) != before, f"nothing to break in {path}"
        place.write_text(change(before), encoding="utf-8")
        self.mended.callback(place.write_text, before, encoding="utf-8")

    def without(self, path: Path) -> None:
        gone = path.with_name(f"{path.name}.gone")
        path.rename(gone)
        self.mended.callback(gone.rename, path)

    def with_settings(self, **values: str | None) -> None:
        """The env file says something else, or nothing; what runs does not know yet."""

        def change(text: str) -> str:
            lines = [line for line in text.splitlines() if line.partition("=")[0] not in values]
            return (
                "\n".join([*lines, *(f"{name}={value}" for name, value in values.items() if value is not None)]) + "\n"
            )

        self.with_file(self.facts["env_file"], change)

    def restart(self, program: str = "backend") -> None:
        self.control("restart", program)
        await_true(self.lives, seconds=SECONDS, what="a living runner")

    def with_proxy(self, old: str, new: str) -> None:
        self.with_file(str(self.folder / "proxy" / "Caddyfile"), lambda text: text.replace(old, new))

    def psql(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(
            self.facts["superuser_dsn"], password=self.facts["db_superuser_password"], autocommit=True
        ) as connection:
            connection.execute(statement)

    def mend(self) -> None:
        self.mended.close()
        for program in ("backend", "proxy"):
            self.restart(program)
        await_true(self.proxy_answers, seconds=SECONDS, what="the proxy")
        # of the broken time
        self.control("clear", "backend")
        self.asked("GET", "/ready")

    def proxy_answers(self) -> bool:
        url = f"{self.facts['base_url']}/ready"
        try:
            return http.request("GET", url, deadline=Deadline(5), ca_file=self.facts["ca_file"]).status == 200
        except GoliveError:
            return False


@pytest.fixture(scope="module")
def site() -> t.Iterator[Site]:
    # Where we are root, PostgreSQL runs as somebody else, who must get through; pytest's own folders are closed.
    with tempfile.TemporaryDirectory(prefix="golive-runner-") as root:
        Path(root).chmod(0o711)
        stack, folder = [sys.executable, str(EXAMPLE / "stack.py")], Path(root) / "s"
        try:
            made = subprocess.run([*stack, "up", "--dir", str(folder)], capture_output=True, text=True, check=False)
            assert made.returncode == 0, made.stderr
            found = Site(folder)
            found.play(EXAMPLE / "backup.yml")
            yield found
        finally:
            subprocess.run([*stack, "down", "--dir", str(folder)], capture_output=True, check=True)


# ---- what is broken, and which items must see it


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is broken; the items that must not pass, each with what it says of that; the settings or the hand that breaks it."""

    what: str
    fails: dict[str, str]
    by: dict[str, str | None] | t.Callable[[Site], None]


def without_objects(bucket: str, ending: str) -> t.Callable[[Site], None]:
    """Gone by the store's own interface: what lies below it, it may still remember."""

    def change(site: Site) -> None:
        import boto3

        store = boto3.resource(
            "s3", endpoint_url=site.facts["s3_endpoint"], region_name="us-east-1",
            aws_access_key_id=site.facts["s3_access_key"], aws_secret_access_key=site.facts["s3_secret_key"],
        )  # fmt: skip
        gone = [found for found in store.Bucket(site.facts[bucket]).objects.all() if found.key.endswith(ending)]
        assert gone, f"nothing to remove in {bucket}"
        for found in gone:
            site.mended.callback(found.put, Body=found.get()["Body"].read())
            found.delete()

    return change


def no_login(site: Site) -> None:
    site.psql("alter role golive nologin")
    site.mended.callback(site.psql, "alter role golive login")


def same_state(site: Site) -> None:
    """Whoever knows one login's state can end the login of another."""
    drawn = 'Fernet(setting("ENCRYPTION_KEY")).encrypt(os.urandom(16)).decode()'
    site.with_file(f"{site.facts['current']}/runner.py", lambda text: text.replace(drawn, '"same-for-everybody"'))
    site.restart()


def swallowed(site: Site) -> None:
    site.with_proxy(
        "    handle {\n        reverse_proxy",
        "    handle /health {\n        respond 404\n    }\n    handle {\n        reverse_proxy",
    )


def in_manifest(old: str, new: str) -> t.Callable[[Site], None]:
    return lambda site: site.with_file(
        f"{site.facts['manifests']}/deployment.yaml", lambda text: text.replace(old, new)
    )


#: Broken one upon the other, judged by one pre_deploy.
BEFORE = [
    Fault(
        "ENVIRONMENT is another",
        {"env-production": "ENVIRONMENT is staging, expected production"},
        {"ENVIRONMENT": "staging"},
    ),
    Fault(
        "ENCRYPTION_KEY is the example's",
        {"encryption-key": "is a value of the example file"},
        {"ENCRYPTION_KEY": "ZmVybmV0LWtleS1vZi10aGUtZXhhbXBsZS1maWxlISE="},
    ),
    Fault(
        "JWT_SECRET_KEY is a placeholder",
        {"jwt-secret": "length is 23 characters, expected at least 32"},
        {"JWT_SECRET_KEY": "change-me-in-production"},
    ),
    Fault(
        "every origin is let in",
        {
            "cors-setting": "CORS_ORIGINS holds *",
            "cors-live": "preflight of https://evil.example is *, expected a refusal",
        },
        {"CORS_ORIGINS": "*"},
    ),
    Fault(
        "BASE_URL is the developer's",
        {
            "base-url": "has the scheme http, expected https",
            "login-begins": "redirect_uri is http://localhost:8000/auth/callback, expected https://",
        },
        {"BASE_URL": "http://localhost:8000"},
    ),
    Fault(
        "a login's state is the same for everybody",
        {"login-begins": "different values of the redirect's state is 1, expected at least 2"},
        same_state,
    ),
    Fault(
        "FRONTEND_URL is the developer's",
        {"frontend-url": "has the scheme http, expected https"},
        {"FRONTEND_URL": "http://localhost:3000"},
    ),
    Fault(
        "a second provider has no secret",
        {"oauth-provider": "without GOOGLE_CLIENT_SECRET"},
        {"GOOGLE_CLIENT_ID": "1234-beispiel.apps.googleusercontent.com"},
    ),
    Fault(
        "the administrator is nobody",
        {"admin-email": "is at example.com"},
        {"INITIAL_ADMIN_EMAIL": "admin@example.com"},
    ),
    Fault("the database refuses the login", {"database": "PostgreSQL refused the login"}, no_login),
    Fault("LOG_LEVEL is DEBUG", {"log-level": "LOG_LEVEL is DEBUG"}, {"LOG_LEVEL": "DEBUG"}),
    Fault(
        "the log is plain text",
        {"log-json": "LOG_JSON is false", "log-lines": "hare of lines that are JSON is 0."},
        {"LOG_JSON": "false"},
    ),
    Fault(
        "bodies may be of any size",
        {"body-limit": "is 5000, expected at most 50", "body-limit-live": "status is 401, expected 413"},
        {"MAX_REQUEST_BODY_MB": "5000"},
    ),
    Fault(
        "the newest backup's archive is gone",
        {"backup": ".dump is missing; none of the 1 backups"},
        without_objects("backup_bucket", ".dump"),
    ),
    Fault(
        "nothing calls the backup",
        {"backup-schedule": "does not contain '3 1 * * *"},
        lambda site: site.with_file(site.facts["schedule"], lambda text: "#" + text.replace("3 1 ", "")),
    ),
    Fault(
        "the backup of logs is set by a name that the runner does not read",
        {"log-backup-setting": "S3_BACKUP_ENABLED is not set"},
        {"S3_BACKUP_ENABLED": None, "S3_ENDPOINT_URL": None, "S3_LOG_BACKUP": "true"},
    ),
    Fault(
        "no log has been backed up",
        {"log-backup": "/logs/ is 0, expected at least 1"},
        without_objects("log_bucket", ".log"),
    ),
    Fault("the proxy swallows /health", {"liveness": "/health status is 404"}, swallowed),
    Fault(
        "the livenessProbe asks another path",
        {"k8s-liveness": "livenessProbe path is /healthz, expected /health"},
        in_manifest("path: /health,", "path: /healthz,"),
    ),
    Fault(
        "there is one replica",
        {"k8s-readiness": "replicas is 1, expected at least 2"},
        in_manifest("replicas: 2", "replicas: 1"),
    ),
    Fault("logs are kept for no run", {"log-retention": "is 0, expected at least 10"}, {"LOG_RETENTION_RUNS": "0"}),
    Fault(
        "more runs than the host can hold",
        {"concurrency": "MAX_CONCURRENT_RUNS 100000 x 256MiB"},
        {"MAX_CONCURRENT_RUNS": "100000"},
    ),
    Fault("a run may hang for ever", {"run-timeout": "CONTAINER_TIMEOUT is not set"}, {"CONTAINER_TIMEOUT": None}),
    Fault("nobody has logged in yet", {"login-tested": "Nobody of team operations has signed this"}, {}),
    # in the file alone: the runner would not start with it
    Fault(
        "DATABASE_URL is SQLite",
        {"database-url": "has the scheme sqlite, expected postgresql"},
        lambda site: site.with_settings(DATABASE_URL="sqlite:///runner.db"),
    ),
]


def short_certificate(site: Site) -> None:
    sys.path.insert(0, str(EXAMPLE.parent))
    try:
        from embedded import certificates
    finally:
        sys.path.remove(str(EXAMPLE.parent))
    for name in ("ca.crt", "server.crt", "server.key"):
        path = site.folder / "proxy" / name
        site.mended.callback(path.write_bytes, path.read_bytes())
    certificates.issue(site.folder / "proxy", organisation="Pipeline runner", days=3)


def open_port(site: Site) -> None:
    listener = site.mended.enter_context(socket.socket())
    listener.bind((site.facts["public_address"], site.facts["backend_port"]))
    listener.listen()


def other_steps(site: Site, *commands: list[str]) -> None:
    site.with_file(f"{site.facts['pipelines']}/smoke.json", lambda text: json.dumps(commands))


def failing_step(site: Site) -> None:
    other_steps(site, ["false"])
    assert site.run_a_pipeline() == "FAILED"


def only_in_process(**values: str) -> t.Callable[[Site], None]:
    """The process runs with what its file does not say any more."""

    def change(site: Site) -> None:
        right = Path(site.facts["env_file"]).read_text(encoding="utf-8")
        site.with_settings(**values)
        site.restart()
        Path(site.facts["env_file"]).write_text(right, encoding="utf-8")

    return change


#: Likewise after the start, judged by one check of the smoke phase.
AFTER = [
    Fault(
        "the process lets every origin in, and is another client of the provider",
        {
            "cors-live": "preflight of https://evil.example is *, expected a refusal",
            "login-begins": "client_id is Iv1.of-somebody-else",
        },
        only_in_process(CORS_ORIGINS="*", GITHUB_CLIENT_ID="Iv1.of-somebody-else"),
    ),
    Fault("a step of the last run failed", {"pipeline-run": "$.state is FAILED, expected SUCCESS"}, failing_step),
    Fault(
        "the certificate ends in three days",
        {"tls-public": "days left is 3 days, expected at least 30"},
        short_certificate,
    ),
    Fault(
        "http is answered, and not sent to https",
        {"https-only": "redirect is nowhere"},
        lambda site: site.with_proxy("redir https", "respond hello 200 # https"),
    ),
    Fault("the application's port is open to others", {"app-port": "is open, expected closed"}, open_port),
    Fault(
        "the executor has no pipelines",
        {"readiness": "$.dependencies.* (2 of 2) is down", "probes": "status is 503, expected 200 (in 3 of 3 answers)"},
        lambda site: site.without(Path(site.facts["pipelines"])),
    ),
]


def break_by(site: Site, faults: list[Fault]) -> None:
    """Break all of it at once."""
    values = {name: value for fault in faults if isinstance(fault.by, dict) for name, value in fault.by.items()}
    if values:
        site.with_settings(**values)
        site.restart()
    for fault in faults:
        if callable(fault.by):
            fault.by(site)
    site.control("restart", "proxy")
    await_true(lambda: accepts(site.facts["proxy_port"]), seconds=SECONDS, what="the proxy")


def not_passed(verdict: dict[str, t.Any]) -> dict[str, str]:
    return {
        entry["id"]: f"{entry['status']}: {entry['summary']}" for entry in verdict["blocking"] + verdict["warnings"]
    }


def assert_seen(faults: list[Fault], verdict: dict[str, t.Any]) -> None:
    """Each fault by its items, which say so, and no other item."""
    said = not_passed(verdict)
    expected = {identity for fault in faults for identity in fault.fails}
    assert set(said) == expected, {name: said.get(name, "passed") for name in set(said) ^ expected}
    unseen = [
        (fault.what, said[name]) for fault in faults for name, text in fault.fails.items() if text not in said[name]
    ]
    assert not unseen


@pytest.fixture(scope="module")
def refused(site: Site) -> dict[str, t.Any]:
    """The verdict before the go-live over all that was broken then. It is mended again."""
    try:
        break_by(site, BEFORE)
        return site.judge("pre_deploy", codes=(2,))
    finally:
        site.mend()


# ---- to NO-GO and to GO


def test_the_checklist_covers_every_item_and_blocks_by_what_is_required() -> None:
    """Optional, as S0.md says: its items 11 to 15."""
    severities: dict[str, set[str]] = {}
    for item in CHECKLIST["golive_checklist"]:
        for identity in item["satisfies"]:
            severities.setdefault(identity, set()).add(item.get("severity", "blocker"))
    optional = {f"S0.{number}" for number in range(11, 16)}
    assert severities == {
        f"S0.{number}": {"warning" if f"S0.{number}" in optional else "blocker"} for number in range(1, 27)
    }


@serves("S0.15", "S0.25", case="fail")
def test_each_fault_is_seen_by_its_items_and_by_no_other(refused: dict[str, t.Any]) -> None:
    assert_seen(BEFORE, refused)
    assert refused["decision"] == "NO-GO"
    warned = {entry["id"] for entry in refused["warnings"]}
    optional = {item["id"] for item in CHECKLIST["golive_checklist"] if item.get("severity") == "warning"}
    assert warned == optional


def finding(verdict: dict[str, t.Any], identity: str) -> dict[str, t.Any]:
    report = json.loads((Path(verdict["played"].directory).parent / "report" / "report.json").read_text())
    (found,) = [entry for entry in report["findings"] if entry["id"] == identity]
    return t.cast("dict[str, t.Any]", found)


@serves("S0.15", "S0.25", case="pass")
def test_mended_and_signed_it_is_a_go(site: Site, refused: dict[str, t.Any]) -> None:
    who = ("-e", "signed_item=login-tested", "-e", "signed_team=operations", "-e", "signed_by='Grete Hermann'")
    site.play(
        ROOT / "playbooks" / "sign_off.yml", *who, "-e", json.dumps({"signed_details": {"account": "grete-test"}})
    )
    verdict = site.judge("pre_deploy")
    assert (verdict["decision"], not_passed(verdict)) == ("GO", {}), not_passed(verdict)
    assert verdict["digest"] == refused["digest"], "what was broken was the system, and not the checklist"
    in_smoke = {item["id"] for item in CHECKLIST["golive_checklist"] if item.get("phase") == ["smoke"]}
    assert verdict["counts"]["pass"] == len(IDS - in_smoke) - 1
    assert finding(verdict, "container-logs")["status"] == "not_applicable"
    (signed,) = verdict["sign_offs"]
    assert (signed["name"], signed["details"]) == ("Grete Hermann", {"account": "grete-test"})
    begun = finding(verdict, "login-begins")
    told = {name.rpartition(" ")[2]: value for name, value in begun["measured"].items()}
    assert told["client_id"] == site.facts["oauth_client_id"]
    assert told["redirect_uri"] == f"{site.facts['base_url']}/auth/callback"
    fresh = {name: value for name, value in begun["measured"].items() if name.endswith("redirect's state")}
    assert sorted(fresh.values(), key=str) == [2, "present"], begun["measured"]
    stored = finding(verdict, "log-backup")
    assert stored["measured"][f"canary in {site.facts['log_bucket']}"] == "came back"
    assert stored["evidence"]["newest"][0]["key"].startswith("logs/")
    assert stored["evidence"]["newest"][0]["age_seconds"] < 86400


@serves("S0.26", case="pass")
def test_after_the_start_a_run_is_made_and_what_it_left_is_judged(site: Site) -> None:
    before = site.asked("GET", "/api/runs/latest").json()["id"]
    verdict = site.judge("smoke")
    assert (verdict["decision"], not_passed(verdict)) == ("GO", {}), not_passed(verdict)
    (walked,) = [entry for entry in verdict["played"].results if entry.action == "opsready.golive.smoke_http"]
    captured, steps = walked.result["captured"], walked.result["steps"]
    assert captured["pipeline_run"] == site.asked("GET", "/api/runs/latest").json()["id"] != before
    assert captured["state"] == "SUCCESS" and float(captured["seconds"]) > 0
    assert "step 3 of 3" in steps[2]["excerpt"]


def walked(site: Site, run: t.Any, steps: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """The smoke test's own steps, in this process."""
    asked = {"base_url": site.facts["backend_url"], "secrets": {"token": site.facts["smoke_token"]}, "steps": steps}
    return t.cast("dict[str, t.Any]", run("smoke_http", {"enforce": False, **asked}, secrets=site.secrets))


@serves("S0.26", case="fail")
@pytest.mark.parametrize(
    ("commands", "limit", "said"),
    [
        ([["false"]], 30, "$.state is FAILED, expected SUCCESS"),
        ([["sleep", "8"]], 2, ", expected SUCCESS"),
        ([["echo", "ERROR lost a file"], ["true"], ["echo", "3 passed"]], 30, "contains 'ERROR'"),
        ([["echo", "3 passed"]], 30, "does not contain 'step 3 of 3'"),
    ],
    ids=["fails", "does not end", "logs an error", "leaves steps out"],
)
def test_a_run_that_does_not_end_well_fails(
    site: Site, run_module_here: t.Any, commands: list[list[str]], limit: float, said: str
) -> None:
    steps = copy.deepcopy(SYSTEM["golive_smoke"]["outside"])
    steps[1]["poll"]["timeout"] = limit
    with site.mended:
        other_steps(site, *commands)
        failed = walked(site, run_module_here, steps)
    assert (failed["status"], said in failed["msg"]) == ("fail", True), failed["msg"]


@pytest.mark.long
def test_what_breaks_after_the_start_is_seen_by_its_items_and_by_no_other(site: Site) -> None:
    try:
        break_by(site, AFTER)
        verdict = site.judge("check", "-e", "check_phase=smoke", codes=(2,))
    finally:
        site.mend()
    assert_seen(AFTER, verdict)
