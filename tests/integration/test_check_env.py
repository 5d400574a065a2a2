# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_env against real files and real processes: each rule, both sides of it, and never a secret in what it says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_env, registry, units
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._checks.secret_strength import fingerprint
from ansible_collections.opsready.golive.plugins.module_utils._clients import host
from ansible_collections.opsready.golive.plugins.module_utils._core import deps
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from tests.leaks import assert_no_leak

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ModuleRun

STRONG = "q7Yt2mZ4-Vb9Xr1Lw_Ke8Jd5Hs3Gf6Pa0Nc"
OTHER = "Zx1Cv3Bn5-Mq7We9Rt2_Yu4Io6Pa8Sd0Fg3H"
FERNET = "l4Zb0h1cTnq8yX3vW7s9R2uJ6kM5pQeGdAoBfIiNtHY="
serves = pytest.mark.serves


class EnvFile:
    """An env file that a test writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.secrets = [STRONG, OTHER, FERNET]

    def write(self, text: str, mode: int = 0o600) -> str:
        self.path.write_text(text)
        self.path.chmod(mode)
        return str(self.path)

    def finding(self, text: str, rules: list[dict[str, t.Any]], **params: t.Any) -> dict[str, t.Any]:
        return finding(file=self.write(text, params.pop("mode", 0o600)), rules=rules, **params)


def finding(**params: t.Any) -> dict[str, t.Any]:
    checked = validated(check_env.ARGUMENT_SPEC, params, where="check_env", **check_env.CONSTRAINTS)
    found = judged(registry.load("check_env"), checked, Run(timeout_seconds=5))
    assert_no_leak([STRONG, OTHER, FERNET], json.dumps(found), "the finding")
    return found


@pytest.fixture
def env(tmp_path: Path) -> EnvFile:
    return EnvFile(tmp_path / "app.env")


def rule(kind: str, **options: t.Any) -> dict[str, t.Any]:
    return {"name": "X", "kind": kind, **options}


@pytest.mark.parametrize(
    ("value", "wanted", "status"),
    [
        ("production", rule("literal", value="production"), "pass"),
        ("staging", rule("literal", value="production"), "fail"),
        pytest.param("INFO", rule("one_of", allowed=["INFO", "WARNING"]), "pass", marks=serves("S0.11", case="pass")),
        pytest.param("DEBUG", rule("one_of", allowed=["INFO", "WARNING"]), "fail", marks=serves("S0.11", case="fail")),
        pytest.param("TRACE", rule("one_of", allowed=["INFO", "WARNING"]), "fail", marks=serves("S0.11", case="fail")),
        ("DEBUG", rule("one_of", allowed=["INFO"], level="warn"), "warn"),
        ("13.6", rule("number", value="13.6"), "pass"),
        ("13.60", rule("number", value="13.6"), "pass"),
        ("14", rule("number", value="13.6"), "fail"),
        ("10", rule("number", min=1, max=10), "pass"),
        ("11", rule("number", min=1, max=10), "fail"),
        ("0", rule("number", min=1), "fail"),
        ("ten", rule("number", min=1), "fail"),
        ("true", rule("boolean", value="true"), "pass"),
        ("1", rule("boolean", value="true"), "pass"),
        ("off", rule("boolean", value="true"), "fail"),
        ("off", rule("boolean", value="false"), "pass"),
        ("no", rule("boolean"), "pass"),
        ("maybe", rule("boolean"), "fail"),
        ("v2.0.1", rule("matches", pattern=r"^v\d"), "pass"),
        ("latest", rule("matches", pattern=r"^v\d"), "fail"),
        ("anything", rule("present"), "pass"),
        ("anything", rule("absent"), "fail"),
        ("https://archive.example.eu/x", rule("url"), "pass"),
        ("http://archive.example.eu", rule("url"), "fail"),
        ("http://archive.example.eu", rule("url", schemes=["http", "https"]), "pass"),
        ("https://localhost:8000", rule("url"), "fail"),
        ("https://localhost:8000", rule("url", allow_private=True), "pass"),
        ("https://10.0.0.1", rule("url"), "fail"),
        ("https://8.8.8.8", rule("url"), "pass"),
        ("https://backend", rule("url"), "fail"),
        ("nonsense", rule("url"), "fail"),
        ("https://h:port/", rule("url"), "fail"),
        ("postgresql+asyncpg://u:geheim99@db:5432/archive", rule("dsn"), "pass"),
        ("postgres://u@db/archive", rule("dsn"), "pass"),
        ("postgresql:///archive?host=/run/postgresql", rule("dsn"), "pass"),
        ("sqlite:///x.db", rule("dsn"), "fail"),
        ("sqlite:///x.db", rule("dsn", schemes=["sqlite"]), "pass"),
        ("postgresql:///archive", rule("dsn"), "fail"),
        ("postgresql://db", rule("dsn"), "fail"),
        ("postgresql://u:change-me@db/archive", rule("dsn"), "fail"),
        ("redis://:x@cache:6379/0", rule("dsn", schemes=["redis", "rediss"]), "pass"),
        ("nonsense", rule("dsn"), "fail"),
        ("ops@firma.de", rule("email"), "pass"),
        ("ops@example.com", rule("email"), "fail"),
        ("ops@", rule("email"), "fail"),
        ("https://a.firma.de,https://b.firma.de", rule("origins"), "pass"),
        ('["https://a.firma.de"]', rule("origins", allowed=["https://a.firma.de"]), "pass"),
        ("https://a.firma.de", rule("origins", allowed=["https://a.firma.de", "https://b.firma.de"]), "fail"),
        ("https://a.firma.de,https://c.firma.de", rule("origins", allowed=["https://a.firma.de"]), "fail"),
        ("*", rule("origins"), "fail"),
        ("https://*.firma.de", rule("origins"), "fail"),
        ("http://a.firma.de", rule("origins"), "fail"),
        ("https://a.firma.de/path", rule("origins"), "fail"),
        ("https://localhost:3000", rule("origins"), "fail"),
        ("https://localhost:3000", rule("origins", allow_private=True), "pass"),
        ("[broken", rule("origins"), "fail"),
        ("[1]", rule("origins"), "fail"),
        (",", rule("origins"), "fail"),
        (STRONG, rule("secret"), "pass"),
        (STRONG[:20], rule("secret"), "fail"),
        (STRONG[:20], rule("secret", min_length=16), "pass"),
        ("a" * 40, rule("secret"), "fail"),
        ("a" * 40, rule("secret", level="warn"), "warn"),
        ("change-me-in-production-Q7Yt2mZ4Vb9Xr1Lw", rule("secret"), "fail"),
        (STRONG, rule("secret", fingerprint=fingerprint(STRONG)), "pass"),
        (STRONG, rule("secret", fingerprint="00000000"), "fail"),
        (FERNET, rule("fernet"), "pass"),
        (FERNET[:-4], rule("fernet"), "fail"),
        ("not base64!", rule("fernet"), "fail"),
        ("ä" * 44, rule("fernet"), "fail"),
    ],
)
def test_each_rule_on_both_sides(env: EnvFile, value: str, wanted: dict[str, t.Any], status: str) -> None:
    found = env.finding(f"X='{value}'\n", [wanted])
    assert found["status"] == status, found
    assert "geheim99" not in json.dumps(found)


@pytest.mark.parametrize("text", ["", "X=\n", "X='  '\n"])
def test_a_variable_that_is_not_set_or_empty_fails_unless_there_is_a_reason(env: EnvFile, text: str) -> None:
    state = "empty" if text else "not set"
    for kind in ("present", "secret", "url"):
        found = env.finding(text, [rule(kind)])
        assert (found["status"], f"X is {state}" in found["summary"]) == ("fail", True)
    optional = env.finding(text, [rule("url", optional="the backend serves the pages")])
    assert optional["status"] == "pass"
    assert optional["measured"]["X"] == f"{state} (the backend serves the pages)"
    assert env.finding("", [rule("absent")])["status"] == "pass"


def test_a_strong_secret_is_told_by_a_fingerprint_and_a_weak_one_by_nothing(env: EnvFile) -> None:
    strong = env.finding(f"X={STRONG}\n", [rule("secret")])["evidence"]["variables"][0]
    assert strong["fingerprint"] == fingerprint(STRONG)
    assert strong["length"] == len(STRONG)
    for weak in ("a" * 40, STRONG[:31], f"change-me-{STRONG}"):
        found = env.finding(f"X={weak}\n", [rule("secret")])
        assert fingerprint(weak) not in json.dumps(found)
        assert weak not in json.dumps(found)


def test_a_value_of_the_example_file_is_no_secret(env: EnvFile, tmp_path: Path) -> None:
    example = tmp_path / "example"
    example.write_text(f"OTHER_NAME={STRONG}\n")
    found = env.finding(f"X={STRONG}\n", [rule("secret")], example_file=str(example))
    assert found["status"] == "fail"
    assert "X is a value of the example file" in found["summary"]
    assert env.finding(f"X={OTHER}\n", [rule("secret")], example_file=str(example))["status"] == "pass"
    absent = env.finding(f"X={OTHER}\n", [rule("secret")], example_file=str(tmp_path / "absent"))
    assert absent["status"] == "unknown"


def test_secrets_must_differ_from_each_other(env: EnvFile) -> None:
    names = ["SECRET_KEY", "JWT_SECRET_KEY"]
    rules = [{"name": name, "kind": "secret"} for name in names]
    good = env.finding(f"SECRET_KEY={STRONG}\nJWT_SECRET_KEY={OTHER}\n", rules, distinct=names)
    assert good["status"] == "pass"
    same = env.finding(f"SECRET_KEY={STRONG}\nJWT_SECRET_KEY={STRONG}\n", rules, distinct=names)
    assert (same["status"], "SECRET_KEY = JWT_SECRET_KEY" in same["summary"]) == ("fail", True)
    missing = env.finding(f"SECRET_KEY={STRONG}\n", rules[:1], distinct=names)
    assert missing["status"] == "unknown"


SECRETS = [{"name": "SECRET_KEY", "kind": "secret"}, {"name": "JWT_SECRET_KEY", "kind": "secret"}]


def judged_secrets(env: EnvFile, secret_key: str, jwt_secret_key: str) -> dict[str, t.Any]:
    text = f"SECRET_KEY={secret_key}\nJWT_SECRET_KEY={jwt_secret_key}\n"
    return env.finding(text, SECRETS, distinct=["SECRET_KEY", "JWT_SECRET_KEY"])


@serves("S0.3", "S1.16", "S1.17", case="pass")
def test_two_strong_secrets_are_told_by_length_and_strength_and_never_by_value(env: EnvFile) -> None:
    found = judged_secrets(env, STRONG, OTHER)
    assert found["status"] == "pass", found["summary"]
    for name, value in (("SECRET_KEY", STRONG), ("JWT_SECRET_KEY", OTHER)):
        assert found["measured"][f"{name} length"] == len(value)
        assert found["measured"][f"{name} strength"] >= 64
    assert found["measured"]["SECRET_KEY, JWT_SECRET_KEY"] == "distinct"


@serves("S0.3", "S1.16", "S1.17", case="fail")
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((STRONG[:31], OTHER[:31]), ("SECRET_KEY length is 31 characters", "JWT_SECRET_KEY length is 31 characters")),
        (("a" * 40, "b" * 40), ("SECRET_KEY strength is", "JWT_SECRET_KEY strength is")),
        ((f"change-me-in-production{STRONG}", f"your-secret-key-here{OTHER}"), ("SECRET_KEY is a placeholder", "JWT_SECRET_KEY is a placeholder")),
        ((STRONG, STRONG), ("SECRET_KEY = JWT_SECRET_KEY",)),
    ],
)  # fmt: skip
def test_a_short_guessable_known_or_shared_secret_fails(
    env: EnvFile, values: tuple[str, str], said: tuple[str, ...]
) -> None:
    found = judged_secrets(env, *values)
    assert found["status"] == "fail"
    for part in said:
        assert part in found["summary"], found["summary"]
    for value in values:
        assert value not in json.dumps(found)


@pytest.fixture
def fernet(env: EnvFile, tmp_path: Path) -> t.Callable[..., dict[str, t.Any]]:
    """ENCRYPTION_KEY, beside what its example file holds and what the release before had."""

    def judge(value: str, *, example: str = "", before: str = FERNET) -> dict[str, t.Any]:
        (tmp_path / ".env.example").write_text(f"ENCRYPTION_KEY={example}\n")
        wanted = {"name": "ENCRYPTION_KEY", "kind": "fernet", "fingerprint": fingerprint(before)}
        return env.finding(f"ENCRYPTION_KEY={value}\n", [wanted], example_file=str(tmp_path / ".env.example"))

    return judge


@serves("S0.2", case="pass")
def test_a_fernet_key_works_is_its_own_and_the_one_of_the_release_before(fernet: t.Any) -> None:
    found = fernet(FERNET)
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["ENCRYPTION_KEY form"] == "encrypts and decrypts"
    assert found["measured"]["ENCRYPTION_KEY fingerprint"] == fingerprint(FERNET)
    assert hashlib.sha256(FERNET.encode()).hexdigest().startswith(fingerprint(FERNET))


@serves("S0.2", case="fail")
@pytest.mark.parametrize(
    ("value", "options", "said"),
    [
        (FERNET[:-4], {}, "holds 30 bytes, and a Fernet key 32"),
        (FERNET, {"example": FERNET}, "is a value of the example file"),
        (FERNET, {"before": STRONG}, "ENCRYPTION_KEY fingerprint is"),
    ],
)
def test_a_fernet_key_that_is_none_is_everybodys_or_has_changed_fails(
    fernet: t.Any, value: str, options: dict[str, str], said: str
) -> None:
    found = fernet(value, **options)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


@serves("S0.8", case="pass")
def test_an_address_may_be_shown(env: EnvFile) -> None:
    found = env.finding("INITIAL_ADMIN_EMAIL=ops@firma.de\n", [{"name": "INITIAL_ADMIN_EMAIL", "kind": "email"}])
    assert (found["status"], found["measured"]["INITIAL_ADMIN_EMAIL"]) == ("pass", "ops@firma.de")


@serves("S0.8", case="fail")
@pytest.mark.parametrize(
    ("value", "said"),
    [("ops@example.com", "is at example.com"), ("ops@", "is not an e-mail address"), ("", "is empty")],
)
def test_an_address_that_nobody_can_own_or_read_fails(env: EnvFile, value: str, said: str) -> None:
    found = env.finding(f"INITIAL_ADMIN_EMAIL={value}\n", [{"name": "INITIAL_ADMIN_EMAIL", "kind": "email"}])
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


TIMEOUT = {"name": "CONTAINER_TIMEOUT", "kind": "number", "min": 1, "max": 3600}


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        pytest.param("CONTAINER_TIMEOUT=900\n", "pass", "", marks=serves("S0.23", case="pass")),
        pytest.param("CONTAINER_TIMEOUT=0\n", "fail", "is 0, expected at least 1", marks=serves("S0.23", case="fail")),
        pytest.param("CONTAINER_TIMEOUT=7200\n", "fail", "expected at most 3600", marks=serves("S0.23", case="fail")),
        pytest.param("", "fail", "CONTAINER_TIMEOUT is not set", marks=serves("S0.23", case="fail")),
    ],
)
def test_a_time_limit_is_set_and_within_its_bounds(env: EnvFile, text: str, status: str, said: str) -> None:
    found = env.finding(text, [TIMEOUT])
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


GROUPS = [["GITHUB_ID", "GITHUB_SECRET"], ["GOOGLE_ID", "GOOGLE_SECRET"]]


HALF = serves("S0.7", case="fail")


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        pytest.param("GITHUB_ID=a1\nGITHUB_SECRET=b2\n", "pass", "", marks=serves("S0.7", case="pass")),
        pytest.param("GITHUB_ID=a1\n", "fail", "GITHUB_ID + GITHUB_SECRET (without GITHUB_SECRET)", marks=HALF),
        pytest.param(
            "GITHUB_ID=a1\nGITHUB_SECRET=b2\nGOOGLE_ID=x\n", "fail", "half-configured is GOOGLE_ID", marks=HALF
        ),
        pytest.param("GITHUB_ID=a1\nGITHUB_SECRET=change-me\n", "fail", "without GITHUB_SECRET", marks=HALF),
        pytest.param("GITHUB_ID=\n", "fail", "no group is complete", marks=HALF),
    ],
)
def test_one_group_must_be_complete_and_none_half_configured(env: EnvFile, text: str, status: str, said: str) -> None:
    found = env.finding(text, [{"name": "OAuth", "kind": "any_of", "groups": GROUPS}])
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]
    is_complete = "GITHUB_SECRET=b2" in text
    assert found["measured"]["OAuth"] == ("GITHUB_ID + GITHUB_SECRET" if is_complete else "none")


@pytest.mark.parametrize(
    ("mode", "max_mode", "status"),
    [
        (0o600, "0600", "pass"),
        (0o400, "0600", "pass"),
        (0o640, "0600", "fail"),
        (0o604, "0640", "fail"),
        (0o640, "640", "pass"),
    ],
)
def test_a_file_that_others_can_read_fails(env: EnvFile, mode: int, max_mode: str, status: str) -> None:
    assert env.finding("X=1\n", [rule("present")], mode=mode, max_mode=max_mode)["status"] == status


def test_oddities_warn_and_two_values_of_one_name_fail(env: EnvFile) -> None:
    warned = env.finding("X=1\r\n", [rule("present")])
    assert (warned["status"], "line 1: a carriage return" in warned["summary"]) == ("warn", True)
    failed = env.finding(f"X={STRONG}\nX={OTHER}\n", [rule("secret")])
    assert (failed["status"], "line 2 (X): set a second time" in failed["summary"]) == ("fail", True)


def test_forbidden_patterns_are_told_by_name_only(env: EnvFile) -> None:
    text = f"A=http://LOCALHOST:{STRONG}\nB=prod\nC=localhost\n"
    rules = [{"name": "B"}]
    found = env.finding(text, rules, forbidden_patterns=["localhost", "debug"], forbidden_except=["C"])
    assert found["status"] == "fail"
    assert "/localhost/ is in the value of A" in found["summary"]
    assert "debug" not in found["summary"]


RUNS = [{"name": "MAX_CONCURRENT_RUNS", "kind": "number", "min": 1, "max": 10**9}]
IN_MEMORY = {"name": "memory of all runs", "factors": ["MAX_CONCURRENT_RUNS", "1MiB"], "within": "memory"}
IN_PROCESSORS = {"name": "processors of all runs", "factors": ["MAX_CONCURRENT_RUNS", "0.001"], "within": "processors"}


@serves("S0.22", case="pass")
def test_the_runs_at_the_same_time_fit_the_host_and_the_arithmetic_is_shown(env: EnvFile) -> None:
    found = env.finding("MAX_CONCURRENT_RUNS=8\n", RUNS, fits=[IN_MEMORY, IN_PROCESSORS])
    assert found["status"] == "pass", found["summary"]
    total = host.memory().total_bytes
    assert found["measured"]["memory of all runs"] == "8.4 MB (8.0 MiB) (MAX_CONCURRENT_RUNS 8 x 1MiB)"
    assert found["expected"]["memory of all runs"] == (
        f"at most {units.size_text(int(0.8 * total))}, which is 80% of the memory"
    )
    assert found["measured"]["processors of all runs"] == "0.008 (MAX_CONCURRENT_RUNS 8 x 0.001)"
    assert found["expected"]["processors of all runs"].startswith(f"at most {0.8 * host.usable_cpus():g}, ")


@serves("S0.22", case="fail")
@pytest.mark.parametrize("claim", [IN_MEMORY, {**IN_MEMORY, "within": "memory_available"}, IN_PROCESSORS])
def test_more_runs_than_the_host_has_room_for_fail(env: EnvFile, claim: dict[str, t.Any]) -> None:
    """As many as take this host's whole memory, which is more than its share; processors are fewer."""
    runs = host.memory().total_bytes // 2**20
    found = env.finding(f"MAX_CONCURRENT_RUNS={runs}\n", RUNS, fits=[claim])
    assert (found["status"], f"MAX_CONCURRENT_RUNS {runs} x " in found["summary"]) == ("fail", True), found


LOGS = [
    {"name": "LOG_RETENTION_DAYS", "kind": "number", "min": 7, "max": 365},
    {"name": "LOG_RETENTION_RUNS", "kind": "number", "min": 10, "max": 10**12},
    {"name": "LOG_MAX_SIZE_MB", "kind": "number", "min": 1, "max": 1000},
]


def judged_logs(env: EnvFile, days: int, runs: int, **more: t.Any) -> dict[str, t.Any]:
    text = f"LOG_RETENTION_DAYS={days}\nLOG_RETENTION_RUNS={runs}\nLOG_MAX_SIZE_MB=1\n"
    logs = {"name": "logs", "factors": ["LOG_RETENTION_RUNS", "LOG_MAX_SIZE_MB"], "unit": "MB", "within": "disk"}
    return env.finding(text, LOGS, fits=[{**logs, "path": str(env.path.parent), **more}])


@serves("S0.21", case="pass")
def test_logs_are_bounded_and_what_they_may_take_is_free(env: EnvFile) -> None:
    found = judged_logs(env, 30, 20)
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["logs"] == "20.0 MB (19.1 MiB) (LOG_RETENTION_RUNS 20 x LOG_MAX_SIZE_MB 1 x MB)"
    assert f"of what is free at {env.path.parent}" in found["expected"]["logs"]


@serves("S0.21", case="fail")
@pytest.mark.parametrize(
    ("days", "runs", "said"),
    [(1, 20, "LOG_RETENTION_DAYS (lower bound) is 1"), (30, 10**12, "Logs is 1000000000.0 GB")],
)
def test_logs_out_of_bounds_or_larger_than_the_disk_fail(env: EnvFile, days: int, runs: int, said: str) -> None:
    found = judged_logs(env, days, runs)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("OTHER=1", "MAX_CONCURRENT_RUNS is not set"),
        (f"MAX_CONCURRENT_RUNS={STRONG}", "MAX_CONCURRENT_RUNS is neither a number nor a size"),
        ("MAX_CONCURRENT_RUNS=2g", "is neither a number nor a size"),
        ("MAX_CONCURRENT_RUNS=2GiB", "is no number of bytes"),
    ],
)
def test_what_cannot_be_reckoned_is_unknown(env: EnvFile, text: str, said: str) -> None:
    found = env.finding(text + "\n", [{"name": "X", "kind": "absent"}], fits=[IN_MEMORY])
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


def test_a_disk_that_is_not_there_is_unknown(env: EnvFile) -> None:
    found = judged_logs(env, 30, 20, path="/no/such/disk")
    assert (found["status"], "/no/such/disk" in found["summary"]) == ("unknown", True), found["summary"]


def test_no_file_is_unknown(tmp_path: Path) -> None:
    found = finding(file=str(tmp_path / "absent"), rules=[rule("present")])
    assert (found["status"], "No such file" in found["summary"]) == ("unknown", True)


def test_without_the_library_a_fernet_key_is_unknown(env: EnvFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(deps.FLOORS, "cryptography", ("cryptography", "999.0"))
    found = env.finding(f"X={FERNET}\n", [rule("fernet")])
    assert (found["status"], "was not tried" in found["summary"]) == ("unknown", True)
    assert env.finding("X=short\n", [rule("fernet")])["status"] == "fail"


@pytest.fixture
def service() -> t.Iterator[t.Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys; print(); sys.stdout.flush(); sys.stdin.read()", "opsready-check-env"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.communicate()


def long_ago(path: str) -> None:
    os.utime(path, (time.time() - 86400, time.time() - 86400))


def test_the_running_value_must_be_that_of_the_file(env: EnvFile, service: t.Any) -> None:
    running = service(X=STRONG, ENVIRONMENT="production")
    path = env.write(f"X={STRONG}\nENVIRONMENT=production\n")
    long_ago(path)
    rules = [rule("secret"), {"name": "ENVIRONMENT", "kind": "literal", "value": "production"}]
    same = finding(file=path, process={"pid": running.pid}, rules=rules)
    assert same["status"] == "pass", same
    env.write(f"X={OTHER}\nENVIRONMENT=production\n")
    long_ago(path)
    found = finding(file=path, process={"pid": running.pid}, rules=rules)
    assert found["status"] == "fail"
    assert "X has one value in the file and another one in the running process" in found["summary"]


def test_a_process_that_lacks_what_another_has_does_not_agree_with_it(service: t.Any) -> None:
    service(X="production")
    assert (
        finding(process={"pattern": "opsready-check-env"}, rules=[rule("literal", value="production")])["status"]
        == "pass"
    )
    service(HOME="/")
    found = finding(process={"pattern": "opsready-check-env"}, rules=[rule("literal", value="production")])
    assert found["status"] == "fail" and re.search(r"X is not the same in all of python\S* \(\d+\), ", found["summary"])


def test_the_environment_is_production_in_the_file_and_in_what_runs(env: EnvFile, service: t.Any) -> None:
    running = service(ENVIRONMENT="production")
    found = environment_of(env.write("ENVIRONMENT=production\n"), running.pid)
    assert found["status"] == "pass", found
    assert found["measured"]["ENVIRONMENT"] == "production"
    assert found["evidence"]["file"] == str(env.path)
    assert str(running.pid) in found["evidence"]["processes"][0]


@pytest.mark.parametrize(
    ("in_file", "in_process", "said"),
    [
        ("staging", "staging", "ENVIRONMENT is staging, expected production"),
        ("production", "staging", "one value in the file and another one in the running process"),
        ("staging", "production", "one value in the file and another one in the running process"),
    ],
)
def test_production_in_one_place_only_fails(
    env: EnvFile, service: t.Any, in_file: str, in_process: str, said: str
) -> None:
    found = environment_of(env.write(f"ENVIRONMENT={in_file}\n"), service(ENVIRONMENT=in_process).pid)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


def environment_of(path: str, pid: int) -> dict[str, t.Any]:
    long_ago(path)
    wanted = {"name": "ENVIRONMENT", "kind": "literal", "value": "production"}
    return finding(file=path, process={"pid": pid}, rules=[wanted])


def test_a_process_alone_is_enough(service: t.Any, tmp_path: Path) -> None:
    running = service(X="production", HOME="/localhost")
    pid_file = tmp_path / "pid"
    pid_file.write_text(str(running.pid))
    wanted = [rule("literal", value="production")]
    found = finding(process={"pid_file": str(pid_file)}, rules=wanted, forbidden_patterns=["localhost"])
    assert (found["status"], "in the value of HOME" in found["summary"]) == ("fail", True)
    found = finding(process={"pattern": "opsready-check-env"}, rules=wanted)
    assert found["status"] == "pass"
    assert found["evidence"]["variables"][0]["source"] == "process"


def test_a_forbidden_value_in_the_file_is_found_beside_a_good_one_in_the_process(env: EnvFile, service: t.Any) -> None:
    """The next restart loads the file."""
    service(X="https://archive.example.org", Y="http://localhost", Z="same-debug")
    found = finding(
        file=env.write("X=http://localhost:3000\nY=https://archive.example.org\nZ=same-debug\n"),
        process={"pattern": "opsready-check-env"},
        rules=[rule("present")],
        forbidden_patterns=["localhost", "debug"],
    )
    assert found["status"] == "fail"
    assert found["measured"]["values free of /localhost/"] == "X in the file, Y in the process"
    assert found["measured"]["values free of /debug/"] == "Z"


def test_a_secret_is_masked_as_the_file_and_as_the_process_have_it(env: EnvFile, service: t.Any) -> None:
    """A file may name the other one's secret in its syntax, in a path, anywhere."""
    service(X="process-secret-93ab41", OTHER="see file-secret-18cc02")
    found = finding(
        file=env.write("X=file-secret-18cc02\nOTHER=process-secret-93ab41\n"),
        process={"pattern": "opsready-check-env"},
        rules=[rule("secret"), {**rule("one_of", allowed=["prod"]), "name": "OTHER"}],
    )
    assert "secret-93ab41" not in json.dumps(found)
    assert "secret-18cc02" not in json.dumps(found)


def test_two_processes_must_agree(service: t.Any) -> None:
    service(X="13.6")
    service(X="13.7")
    found = finding(process={"pattern": "opsready-check-env"}, rules=[rule("number", min=1)])
    assert found["status"] == "fail"


def test_a_file_that_is_newer_than_the_process_warns(env: EnvFile, service: t.Any) -> None:
    running = service(HOME="/")
    path = env.write("X=1\n")
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    found = finding(file=path, process={"pid": running.pid}, rules=[rule("present")])
    assert found["status"] == "warn"
    assert "was changed after" in found["summary"]


def test_a_process_that_is_gone_is_unknown_and_the_file_is_still_judged(env: EnvFile) -> None:
    found = finding(file=env.write("X=1\n"), process={"pid": 2**22 + 1}, rules=[rule("literal", value="2")])
    assert found["status"] == "fail"
    assert "There is no process" in found["summary"] and "X is 1" in found["summary"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rules": []}, "rules is empty"),
        ({"rules": [rule("present")], "distinct": ["A"]}, "distinct names one variable"),
        ({"rules": [rule("present")], "distinct": []}, "distinct is empty"),
        ({"rules": [rule("present")], "forbidden_patterns": ["("]}, "not a regular expression"),
        ({"rules": [rule("matches", pattern="(")]}, "not a regular expression"),
        ({"rules": [rule("number")]}, "needs min, max or value"),
        ({"rules": [rule("any_of", groups=[[]])]}, "empty group"),
        ({"rules": [rule("present")], "fits": []}, "fits is empty"),
        ({"rules": [rule("present")], "fits": [{**IN_MEMORY, "factors": []}]}, "factors is empty"),
        ({"rules": [rule("present")], "fits": [{**IN_MEMORY, "factors": ["2 G"]}]}, "which is not a size"),
        ({"rules": [rule("present")], "fits": [{**IN_MEMORY, "share": 1.5}]}, "share is 1.5"),
        ({"rules": [rule("present")], "fits": [{**IN_MEMORY, "unit": "G"}]}, "which is not a size"),
        ({"rules": [rule("present")], "fits": [{**IN_PROCESSORS, "unit": "MB"}]}, "processors have no unit"),
        ({"rules": [rule("present")], "max_mode": "rw"}, "max_mode is"),
        ({"rules": [rule("present")], "process": {"pattern": "("}}, "not a regular expression"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_why(env: EnvFile, params: dict[str, t.Any], said: str) -> None:
    found = finding(file=env.write("X=1\n"), **params)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found


def test_the_module_never_prints_a_value_that_may_be_secret(env: EnvFile, run_module: ModuleRun) -> None:
    password = "pw-8c1d5e2f7a9b"
    path = env.write(
        f"SECRET_KEY={STRONG}\nWEAK=weak-{OTHER[:12]}\nDATABASE_URL=postgresql+psycopg://ablage:{password}@db:5432/ablage\n"
        f"ORIGINS=https://u:{password}@firma.de\n"
    )
    args = {
        "file": path,
        "rules": [
            {"name": "SECRET_KEY", "kind": "secret"},
            {"name": "WEAK", "kind": "secret"},
            {"name": "DATABASE_URL", "kind": "dsn"},
            {"name": "ORIGINS", "kind": "origins"},
        ],
    }
    answer = run_module("check_env", args, secrets=[STRONG, OTHER[:12], password])
    assert answer["failed"] and answer["finding"]["status"] == "fail"
    assert answer["finding"]["measured"]["DATABASE_URL"] == "postgresql+psycopg://ablage:********@db:5432/ablage"
