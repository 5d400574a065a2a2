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
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_env, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._checks.secret_strength import fingerprint
from ansible_collections.opsready.golive.plugins.module_utils._clients import host
from ansible_collections.opsready.golive.plugins.module_utils._core import deps, units
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared
from tests.leaks import assert_no_leak
from tests.module_examples import examples_of
from tests.parts import need_part
from tests.servers import UNPRIVILEGED_UID, Answer, Docker, HttpServer

if t.TYPE_CHECKING:
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


def finding(*, shared: Shared | None = None, **params: t.Any) -> dict[str, t.Any]:
    checked = validated(check_env.ARGUMENT_SPEC, params, where="check_env", **check_env.CONSTRAINTS)
    run = Run(timeout_seconds=5, shared=shared)
    found = judged(registry.load("check_env"), checked, run)
    if shared is None:
        run.close()
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
        ("512MB", rule("number", unit="size", min="512MB", max="512MB"), "pass"),
        ("0.5GB", rule("number", unit="size", value="500MB"), "pass"),
        ("512MiB", rule("number", unit="size", max="512MB"), "fail"),
        ("511999999", rule("number", unit="size", min="512MB"), "fail"),
        ("512M", rule("number", unit="size", min=1), "fail"),
        ("90s", rule("number", unit="duration", min="30s", max="1.5m"), "pass"),
        ("29s", rule("number", unit="duration", min="30s"), "fail"),
        ("61m", rule("number", unit="duration", max="1h"), "fail"),
        ("30", rule("number", unit="duration", min="30s"), "fail"),
        ("512MB", rule("number", min=1), "fail"),
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


def documented(env: EnvFile, text: str, example: str, *rules: dict[str, t.Any]) -> dict[str, t.Any]:
    path = env.path.with_name(".env.example")
    path.write_text(example)
    return env.finding(text, [rule("present"), *rules], example_file=str(path), documented="required")


def test_a_file_has_what_its_example_tells_and_nothing_else(env: EnvFile) -> None:
    example = "# Which one? See a=b.\nX=change-me\n# DEBUG=false\n#export TRACE=1\n# not one NAME=x\n"
    for text in ("X=1\n", "X=1\nDEBUG=true\nTRACE=0\n"):
        found = documented(env, text, example)
        assert found["status"] == "pass", found["summary"]
        assert (found["measured"]["documented variables"], found["measured"]["variables of the example"]) == (
            "all",
            "all",
        )
    (_first, *others) = env.finding("X=1\nY=2\n", [rule("present")])["measured"]
    assert "documented variables" not in others


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"X=1\nB={STRONG}\nA={OTHER}\nS=1\n", ".env.example does not tell of A, B"),
        ("X=1\n", "app.env lacks S, which "),
        ("X=1\nNAME=x\nS=1\n", ".env.example does not tell of NAME"),
    ],
)
def test_a_variable_of_one_file_that_the_other_lacks_fails_by_its_name(env: EnvFile, text: str, said: str) -> None:
    found = documented(env, text, f"X=1\nS='{FERNET}\n# A=1\n'\n# not one NAME=x\n")
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


def test_what_a_rule_excuses_may_be_left_out_of_the_file(env: EnvFile) -> None:
    example = "X=1\nDEBUG=true\nFRONTEND_URL=http://localhost\n"
    assert documented(env, "X=1\n", example)["status"] == "fail"
    excused = [{"name": "DEBUG", "kind": "absent"}, {"name": "FRONTEND_URL", "kind": "url", "optional": "it has none"}]
    assert documented(env, "X=1\n", example, *excused)["status"] == "pass"


def test_without_the_example_nothing_is_said_of_what_it_documents(env: EnvFile) -> None:
    found = env.finding("X=1\n", [rule("present")], example_file="/nonexistent/.env.example", documented="required")
    assert (found["status"], "documented variables" in found["measured"]) == ("unknown", False)


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


def test_a_size_and_a_duration_are_told_with_their_units(env: EnvFile) -> None:
    sized = [rule("number", unit="size", min="1GiB"), {**rule("number", unit="duration", max="15m"), "name": "Y"}]
    found = env.finding("X=512MB\nY=1h\n", sized)
    assert found["status"] == "fail"
    assert "X (lower bound) is 512.0 MB (488.3 MiB), expected at least 1.1 GB (1.0 GiB)" in found["summary"]
    assert "Y (upper bound) is 60.0 min, expected at most 15.0 min" in found["summary"]
    assert "X is 5G, expected a size such as" in env.finding("X=5G\nY=1s\n", sized)["summary"]


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


@pytest.mark.parametrize("option", ["file", "example_file", "process"])
def test_a_pipe_in_place_of_a_file_is_unknown_and_nothing_waits_for_it(
    env: EnvFile, tmp_path: Path, option: str
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    given: dict[str, t.Any] = {option: {"pid_file": str(pipe)} if option == "process" else str(pipe)}
    found = finding(rules=[rule("present")], **{"file": env.write("X=1\n"), **given})
    assert (found["status"], f"{pipe} is not a file" in found["summary"]) == ("unknown", True), found["summary"]


def test_a_file_that_this_user_may_not_read_is_unknown_with_the_way_out(env: EnvFile) -> None:
    need_part("root", os.geteuid() == 0, "only root may become another user")
    path = env.write("X=1\n")
    os.seteuid(UNPRIVILEGED_UID)
    try:
        found = finding(file=path, rules=[rule("present")])
    finally:
        os.seteuid(0)
    assert found["status"] == "unknown"
    assert f"{env.path} may not be read by the user with id {UNPRIVILEGED_UID}" in found["summary"]
    assert "become: true" in found["remedy"]


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


@pytest.mark.parametrize(("in_process", "status"), [("", "pass"), (" ", "pass"), ("https://shop.example.org", "fail")])
def test_what_may_be_blank_is_blank_in_every_place_or_in_none(
    env: EnvFile, service: t.Any, in_process: str, status: str
) -> None:
    running = service(X=in_process)
    path = env.write("X=\n")
    long_ago(path)
    optional = [rule("present", optional="the backend serves the pages")]
    found = finding(file=path, process={"pid": running.pid}, rules=optional)
    assert found["status"] == status, found
    env.write("X=https://shop.example.org\n")
    long_ago(path)
    found = finding(file=path, process={"pid": running.pid}, rules=optional)
    assert found["status"] == ("fail" if status == "pass" else "pass"), found
    if status == "pass":
        assert "X has one value in the file and another one in the running process" in found["summary"]


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


# ---- a container


class Containers:
    """Containers of one test, each of one static program, and what is said of them."""

    def __init__(self, docker: Docker, folder: Path) -> None:
        self.docker, self.image, self.names = docker, docker.image("environment"), list[str]()
        self.file = str(folder / "app.env")

    def start(self, name: str, *environment: str, project: str = "", service: str = "") -> None:
        self.names.append(name)
        compose = {"project": project, "service": service, "oneoff": "False"} if project else {}
        labels = {f"com.docker.compose.{key}": value for key, value in compose.items()}
        self.docker.run(name, self.image, Env=list(environment), Labels=labels)

    def write(self, text: str, *, changed_at: float = 0.0) -> None:
        path = Path(self.file)
        path.write_text(text)
        path.chmod(0o600)
        os.utime(path, (changed_at, changed_at))

    def judged(self, *rules: dict[str, t.Any], **params: t.Any) -> dict[str, t.Any]:
        container = {"url": self.docker.url, **params.pop("container")}
        return finding(container=container, rules=list(rules), **params)


@pytest.fixture
def containers(docker: Docker, tmp_path: Path) -> t.Iterator[Containers]:
    made = Containers(docker, tmp_path)
    try:
        yield made
    finally:
        docker.remove(*made.names)


PRODUCTION = {"name": "ENVIRONMENT", "kind": "literal", "value": "production"}


@serves("S0.1", case="pass")
def test_a_container_was_made_with_what_its_file_says(containers: Containers) -> None:
    containers.start("env-runner", "ENVIRONMENT=production", f"SECRET_KEY={STRONG}", "PATH=/bin")
    containers.write(f"ENVIRONMENT=production\nSECRET_KEY={STRONG}\n")
    secret = {"name": "SECRET_KEY", "kind": "secret"}
    found = containers.judged(PRODUCTION, secret, container={"name": "env-runner"}, file=containers.file)
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["containers"] == "1 of 1 there"
    assert found["evidence"]["containers"] == ["env-runner (running)"]
    assert [seen["source"] for seen in found["evidence"]["variables"]] == ["container", "container"]


@serves("S0.1", case="fail")
@pytest.mark.parametrize(
    ("in_file", "in_container", "said"),
    [
        ("staging", "staging", "ENVIRONMENT is staging, expected production"),
        ("production", "staging", "ENVIRONMENT has one value in the file and another one in the container"),
        ("staging", "production", "ENVIRONMENT has one value in the file and another one in the container"),
    ],
)
def test_a_container_that_was_made_with_something_else_fails(
    containers: Containers, in_file: str, in_container: str, said: str
) -> None:
    containers.start("env-runner", f"ENVIRONMENT={in_container}")
    containers.write(f"ENVIRONMENT={in_file}\n")
    found = containers.judged(PRODUCTION, container={"name": "env-runner"}, file=containers.file)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]
    if in_file != in_container:
        assert found["measured"]["ENVIRONMENT in file and container"] == "different"


def test_a_container_that_has_stopped_is_judged_by_what_it_was_made_with_and_told_so(containers: Containers) -> None:
    containers.start("env-runner", "ENVIRONMENT=production")
    containers.docker.asked("POST", "/containers/env-runner/stop")
    found = containers.judged(PRODUCTION, container={"name": "env-runner"})
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["containers"] == ["env-runner (exited)"]


@serves("S0.1", case="fail")
def test_a_container_that_was_made_without_what_the_file_says_fails(containers: Containers) -> None:
    containers.start("env-runner", "OTHER=1")
    containers.write("ENVIRONMENT=production\n")
    found = containers.judged(PRODUCTION, container={"name": "env-runner"}, file=containers.file)
    assert found["status"] == "fail"
    assert found["summary"] == "ENVIRONMENT is in the file, and the container was made without it."
    assert (
        containers.judged({"name": "OTHER"}, container={"name": "env-runner"}, file=containers.file)["status"] == "pass"
    )


def test_a_variable_that_the_container_lacks_is_not_set(containers: Containers) -> None:
    containers.start("env-runner", "OTHER=production", "BARE")
    found = containers.judged(PRODUCTION, {"name": "BARE", "kind": "absent"}, container={"name": "env-runner"})
    assert (found["status"], found["summary"]) == ("fail", "ENVIRONMENT is not set.")


def test_no_such_container_fails_and_the_file_is_still_judged(containers: Containers) -> None:
    nowhere = {"name": "env-nobody"}
    alone = containers.judged(PRODUCTION, container=nowhere)
    assert alone["summary"] == "There is no container env-nobody: 0 of 1 are there."
    containers.write("ENVIRONMENT=staging\n")
    found = containers.judged(PRODUCTION, container=nowhere, file=containers.file)
    assert (alone["status"], found["status"]) == ("fail", "fail")
    assert (
        "there is no container env-nobody" in found["summary"].lower() and "ENVIRONMENT is staging" in found["summary"]
    )


def test_a_file_that_is_newer_than_the_container_warns(containers: Containers) -> None:
    containers.start("env-runner", "ENVIRONMENT=production")
    containers.write("ENVIRONMENT=production\n", changed_at=time.time() + 3600)
    found = containers.judged(PRODUCTION, container={"name": "env-runner"}, file=containers.file)
    assert found["status"] == "warn"
    assert "app.env was changed after env-runner (running) was made" in found["summary"]


def test_an_engine_that_is_not_there_is_unknown_and_the_file_is_still_judged(env: EnvFile, tmp_path: Path) -> None:
    nowhere = {"url": f"unix://{tmp_path / 'none.sock'}", "name": "env-runner"}
    found = env.finding("ENVIRONMENT=production\n", [PRODUCTION], container=nowhere)
    assert (found["status"], "none.sock" in found["summary"]) == ("unknown", True), found["summary"]
    assert found["measured"]["ENVIRONMENT"] == "production"


def test_an_engine_that_tells_no_environment_is_unknown(http_server: HttpServer) -> None:
    identity = "a" * 64
    http_server.route("/version", Answer(200, {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "28"}))
    http_server.route("/v1.44/containers/json", Answer(200, [{"Id": identity, "Names": ["/x"], "State": "running"}]))
    told = {"Id": identity, "Image": "i", "State": {"Status": "running"}, "Config": {"Env": [1]}, "Name": "/x"}
    http_server.route(f"/v1.44/containers/{identity}/json", Answer(200, {**told, "Created": "2026-01-01T00:00:00Z"}))
    found = finding(container={"url": http_server.url, "name": "x"}, rules=[rule("present")])
    assert (found["status"], "and not as Docker does" in found["summary"]) == ("unknown", True), found["summary"]


def test_what_a_container_has_beside_its_file_is_searched_for_what_is_forbidden(
    env: EnvFile, http_server: HttpServer
) -> None:
    """Made at a time in nanoseconds, as Docker tells it."""
    identity = "a" * 64
    http_server.route("/version", Answer(200, {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "28"}))
    http_server.route("/v1.44/containers/json", Answer(200, [{"Id": identity, "Names": ["/x"], "State": "running"}]))
    config = {"Env": ["X=1", "CALLBACK=http://localhost/"]}
    told = {"Id": identity, "Image": "i", "State": {"Status": "running"}, "Config": config, "Name": "/x"}
    created = "2036-01-01T00:00:00.123456789Z"
    http_server.route(f"/v1.44/containers/{identity}/json", Answer(200, {**told, "Created": created}))
    container = {"url": http_server.url, "name": "x"}
    asked = {"container": container, "forbidden_patterns": ["localhost"]}
    found = env.finding("X=1\n", [rule("present")], **asked)
    assert (found["status"], found["measured"]["values free of /localhost/"]) == ("fail", "CALLBACK"), found["summary"]
    assert found["measured"]["container"] == "newer than the file"
    assert env.finding("X=1\n", [rule("present")], **asked, forbidden_except=["CALLBACK"])["status"] == "pass"


def test_two_items_ask_one_engine_once(http_server: HttpServer) -> None:
    http_server.route("/version", Answer(200, {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "28"}))
    http_server.route("/v1.44/containers/json", Answer(200, []))
    shared = Shared()
    for name in ("a", "b"):
        assert finding(shared=shared, container={"url": http_server.url, "name": name}, rules=[rule("present")])
    shared.close()
    assert [request.path for request in http_server.requests] == ["/version", "/v1.44/containers/json?all=1"]


LIMIT = {"name": "GPU_MEMORY_LIMIT_GB", "kind": "number", "min": 13.6, "max": 13.6}
ARCHIVE = {"project": "env-archive", "services": ["backend", "worker"]}


#: What reads two variables together, each with how the second one is judged beside the first.
TOGETHER = [
    {"rules": [{"name": "OAuth", "kind": "any_of", "groups": [["FIRST", "SECOND"]]}]},
    {"distinct": ["FIRST", "SECOND"]},
    {"fits": [{"name": "all runs", "factors": ["FIRST", "SECOND", "1B"], "within": "memory"}]},
]


def judged_together(containers: Containers, params: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    params = {"rules": [{"name": "ENVIRONMENT"}], **params}
    return containers.judged(*params.pop("rules"), **params, **more)


@pytest.mark.parametrize("params", TOGETHER, ids=["groups", "distinct", "fits"])
def test_what_variables_are_together_is_judged_by_those_that_the_container_was_made_with(
    containers: Containers, params: dict[str, t.Any]
) -> None:
    containers.start("env-runner", "ENVIRONMENT=production", "FIRST=2", "SECOND=3")
    containers.start("env-bare", "ENVIRONMENT=production")
    containers.write("ENVIRONMENT=production\nFIRST=2\nSECOND=3\n")
    good = judged_together(containers, params, container={"name": "env-runner"}, file=containers.file)
    assert good["status"] == "pass", good["summary"]
    found = judged_together(containers, params, container={"name": "env-bare"}, file=containers.file)
    assert found["status"] == "fail", found
    for name in ("FIRST", "SECOND"):
        assert found["measured"][f"{name} in file and container"] == "only in the file"
    containers.write("ENVIRONMENT=production\nFIRST=2\nSECOND=4\n")
    found = judged_together(containers, params, container={"name": "env-runner"}, file=containers.file)
    assert (found["status"], found["summary"]) == (
        "fail",
        "SECOND has one value in the file and another one in the container.",
    )


@pytest.mark.parametrize("params", TOGETHER, ids=["groups", "distinct", "fits"])
def test_what_variables_are_together_is_not_judged_by_one_container_for_all(
    containers: Containers, params: dict[str, t.Any]
) -> None:
    for service, second in (("backend", ["SECOND=3"]), ("worker", [])):
        environment = ["ENVIRONMENT=production", "FIRST=2", *second]
        containers.start(f"env-{service}-1", *environment, project="env", service=service)
    chosen = {"project": "env", "services": ["backend", "worker"]}
    found = judged_together(containers, params, container=chosen)
    assert found["status"] == "fail", found
    assert found["measured"]["SECOND among the containers"] == "different"


@pytest.mark.parametrize("params", TOGETHER, ids=["groups", "distinct", "fits"])
def test_what_variables_are_together_is_the_same_in_the_file_and_the_running_process(
    env: EnvFile, service: t.Any, params: dict[str, t.Any]
) -> None:
    running = service(ENVIRONMENT="production", FIRST="2", SECOND="3")
    params = {"rules": [{"name": "ENVIRONMENT"}], **params, "process": {"pid": running.pid}}
    for second, status, said in (("3", "pass", ""), ("4", "fail", "SECOND has one value in the file and another one")):
        path = env.write(f"ENVIRONMENT=production\nFIRST=2\nSECOND={second}\n")
        long_ago(path)
        found = finding(file=path, **params)
        assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


def test_a_group_that_is_blank_in_the_file_and_not_in_the_container_is_the_same(containers: Containers) -> None:
    containers.start("env-runner", "FIRST=2")
    containers.write("FIRST=2\nSECOND=\n")
    groups = {"name": "OAuth", "kind": "any_of", "groups": [["FIRST"], ["SECOND"]]}
    found = containers.judged(groups, container={"name": "env-runner"}, file=containers.file)
    assert found["status"] == "pass", found["summary"]


def test_a_variable_with_a_rule_of_its_own_is_told_once_and_a_claim_that_warns_warns(containers: Containers) -> None:
    containers.start("env-runner", "FIRST=2")
    containers.write("FIRST=3\n")
    claim = {"name": "runs", "factors": ["FIRST", "1B"], "within": "memory", "level": "warn"}
    params = {"container": {"name": "env-runner"}, "file": containers.file, "fits": [claim]}
    absent = {"name": "NOWHERE", "kind": "absent"}
    assert containers.judged(absent, **params)["status"] == "warn"
    both = containers.judged({"name": "FIRST"}, **params)
    assert (both["status"], both["summary"].count("another one in the container")) == ("fail", 1), both


def start_archive(containers: Containers, backend: str | None, worker: str | None) -> None:
    for service, limit in (("backend", backend), ("worker", worker)):
        environment = [] if limit is None else [f"GPU_MEMORY_LIMIT_GB={limit}"]
        containers.start(f"env-archive-{service}-1", *environment, project="env-archive", service=service)


@serves("S1.19", case="pass")
def test_a_memory_limit_is_the_same_in_the_file_the_backend_and_the_worker(containers: Containers) -> None:
    start_archive(containers, "13.6", "13.6")
    containers.write("GPU_MEMORY_LIMIT_GB=13.6\n")
    found = containers.judged(LIMIT, container=ARCHIVE, file=containers.file)
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["containers"] == ["env-archive-backend-1 (running)", "env-archive-worker-1 (running)"]
    assert found["measured"]["GPU_MEMORY_LIMIT_GB (upper bound)"] == 13.6


@serves("S1.19", case="fail")
@pytest.mark.parametrize(
    ("in_file", "backend", "worker", "said"),
    [
        ("13.6", "13.6", "12.0", "GPU_MEMORY_LIMIT_GB is not the same in all of env-archive-backend-1 (running), env-"),
        ("13.6", "13.6", None, "GPU_MEMORY_LIMIT_GB is not the same in all of env-archive-backend-1 (running), env-"),
        ("13.6", "15.0", "15.0", "one value in the file and another one in the container"),
        ("15.0", "15.0", "15.0", "expected at most 13.6"),
        ("13,6", "13,6", "13,6", "GPU_MEMORY_LIMIT_GB is 13,6, expected a number"),
    ],
)
def test_a_memory_limit_that_is_another_in_a_container_fails(
    containers: Containers, in_file: str, backend: str, worker: str | None, said: str
) -> None:
    start_archive(containers, backend, worker)
    containers.write(f"GPU_MEMORY_LIMIT_GB={in_file}\n")
    found = containers.judged(LIMIT, container=ARCHIVE, file=containers.file)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


@serves("S1.19", case="fail")
def test_a_service_without_a_container_fails(containers: Containers) -> None:
    containers.start("env-archive-backend-1", "GPU_MEMORY_LIMIT_GB=13.6", project="env-archive", service="backend")
    found = containers.judged(LIMIT, container=ARCHIVE)
    assert found["status"] == "fail"
    assert found["summary"] == "There is no service worker of project env-archive: 1 of 2 are there."


def test_a_value_that_is_another_in_three_places_is_told_with_all_of_them(
    containers: Containers, service: t.Any
) -> None:
    containers.start("env-runner", "ENVIRONMENT=staging")
    containers.write("ENVIRONMENT=production\n")
    running = service(ENVIRONMENT="production")
    found = containers.judged(
        PRODUCTION,
        container={"name": "env-runner"},
        process={"pid": running.pid},
        file=containers.file,
        forbidden_patterns=["staging"],
    )
    said = "ENVIRONMENT has not one value in the file, the container and the running process"
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]
    assert found["measured"]["values free of /staging/"] == "ENVIRONMENT in the container"


# ---- a systemd unit


class Service:
    """The unit file of a test, its drop-ins and its environment files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "runner.service"

    def write(self, *lines: str, drop_ins: t.Mapping[str, str] | None = None) -> None:
        self.path.write_text("\n".join(["[Service]", "ExecStart=/bin/true", *lines, ""]))
        for name, line in (drop_ins or {}).items():
            place = self.folder / "runner.service.d" / name
            place.parent.mkdir(exist_ok=True)
            place.write_text(f"[Service]\n{line}\n")

    def judged(self, *rules: dict[str, t.Any], **params: t.Any) -> dict[str, t.Any]:
        return finding(unit_file=str(self.path), rules=list(rules or [PRODUCTION]), **params)


@pytest.fixture
def unit(tmp_path: Path) -> Service:
    return Service(tmp_path)


def test_a_unit_starts_its_service_with_what_production_needs(unit: Service) -> None:
    (unit.folder / "runner.env").write_text(f"SECRET_KEY='{STRONG}'\nENVIRONMENT=staging\n")
    unit.write(
        "Environment=DEBUG=true 'TITLE=a b'",
        f"EnvironmentFile={unit.folder}/runner.env",
        f"EnvironmentFile=-{unit.folder}/absent.env",
        drop_ins={
            "20-production.conf": f"EnvironmentFile={unit.folder}/production.env",
            "10-first.conf": "Environment=\nEnvironment=LOG_LEVEL=INFO",
        },
    )
    (unit.folder / "production.env").write_text("ENVIRONMENT=production\n")
    found = unit.judged(
        PRODUCTION,
        {"name": "SECRET_KEY", "kind": "secret"},
        {"name": "LOG_LEVEL", "kind": "one_of", "allowed": ["INFO"]},
        {"name": "DEBUG", "kind": "absent"},
    )
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["unit_file"] == str(unit.path)
    assert found["evidence"]["variables"][0]["source"] == "unit file"


@pytest.mark.parametrize(
    ("lines", "drop_ins", "said"),
    [
        (["Environment=ENVIRONMENT=staging"], {}, "ENVIRONMENT is staging, expected production"),
        (["Environment=ENVIRONMENT=production"], {"a.conf": "Environment=ENVIRONMENT=staging"}, "ENVIRONMENT is staging"),
        (["Environment=ENVIRONMENT=production"], {"a.conf": "Environment="}, "ENVIRONMENT is not set"),
        (["Environment=ENVIRONMENT=production"], {"a.conf": "UnsetEnvironment=ENVIRONMENT"}, "ENVIRONMENT is not set"),
        (["Environment=ENVIRONMENT=production", "EnvironmentFile=runner.env"], {}, "line 4 names an environment file whose path"),
        (["Environment=ENVIRONMENT=production 'X=1"], {}, "line 3 holds a quote that is not closed"),
        (["Environment=ENVIRONMENT=production export"], {}, "line 3 holds what is no assignment"),
    ],
)  # fmt: skip
def test_a_unit_that_starts_its_service_with_something_else_fails(
    unit: Service, lines: list[str], drop_ins: dict[str, str], said: str
) -> None:
    unit.write(*lines, drop_ins=drop_ins)
    found = unit.judged()
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("PassEnvironment=ENVIRONMENT", "ENVIRONMENT is passed on from the service manager"),
        ("Environment=ENVIRONMENT=%i", "ENVIRONMENT holds a specifier"),
        ("EnvironmentFile=/nonexistent/runner.env", "/nonexistent/runner.env is not there, so systemd would not start"),
        ("EnvironmentFile=/etc/%p.env", "named with a specifier"),
    ],
)
def test_what_the_unit_does_not_tell_is_unknown(unit: Service, line: str, said: str) -> None:
    unit.write(line)
    for wanted in (PRODUCTION, {"name": "ENVIRONMENT", "kind": "absent"}):
        found = unit.judged(wanted)
        assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


def test_what_the_unit_does_not_tell_is_told_by_the_process(unit: Service, service: t.Any) -> None:
    unit.write("PassEnvironment=ENVIRONMENT CLIENT_SECRET", "Environment=CLIENT_ID=a1")
    running = service(ENVIRONMENT="production")
    login = {"name": "OAuth", "kind": "any_of", "groups": [["CLIENT_ID", "CLIENT_SECRET"]]}
    assert unit.judged(process={"pid": running.pid})["status"] == "pass"
    found = unit.judged(login, process={"pid": running.pid}, forbidden_patterns=["localhost"])
    assert found["status"] == "unknown"
    assert "OAuth depends on CLIENT_SECRET, which is passed on" in found["summary"]
    assert "CLIENT_SECRET cannot be searched for /localhost/" in found["summary"]
    found = unit.judged(process={"pid": running.pid}, forbidden_patterns=["a1"])
    assert "/a1/ is in the value of CLIENT_ID" in found["summary"]


def test_a_unit_and_its_running_process_must_agree(unit: Service, service: t.Any) -> None:
    unit.write("Environment=ENVIRONMENT=production")
    found = unit.judged(process={"pid": service(ENVIRONMENT="staging").pid})
    said = "ENVIRONMENT has one value in the unit file and another one in the running process"
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


def test_no_unit_is_unknown(unit: Service) -> None:
    found = unit.judged()
    assert (found["status"], "No such file" in found["summary"]) == ("unknown", True)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rules": [rule("present")], "unit_file": "/etc/systemd/system/x.timer"}, "which is no service"),
        ({"rules": [rule("present")], "documented": "required"}, "needs file and example_file"),
        ({"rules": [rule("present")], "unit_file": "x.service"}, "expected an absolute path"),
        ({"rules": [rule("present")], "container": {"url": "nonsense", "name": "x"}}, "nonsense"),
        ({"rules": [rule("present")], "container": {"project": "x", "services": []}}, "container.services is empty"),
        ({"rules": []}, "rules is empty"),
        ({"rules": [rule("present")], "distinct": ["A"]}, "distinct names one variable"),
        ({"rules": [rule("present")], "distinct": []}, "distinct is empty"),
        ({"rules": [rule("present")], "forbidden_patterns": ["("]}, "not a regular expression"),
        ({"rules": [rule("matches", pattern="(")]}, "not a regular expression"),
        ({"rules": [rule("number")]}, "needs min, max or value"),
        ({"rules": [rule("number", min="1GB")]}, "rule X: min is '1GB', which is not a number"),
        ({"rules": [rule("number", max="nan")]}, "rule X: max is 'nan', which is not a number"),
        ({"rules": [rule("number", min="1G", unit="size")]}, "rule X: min is '1G', which is not a size"),
        (
            {"rules": [rule("number", value="30", unit="duration")]},
            "rule X: value is '30', which is not a span of time",
        ),
        ({"rules": [rule("secret", unit="size")]}, "unit is for numbers, and its kind is secret"),
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


ENVIRONMENT = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": STRONG,
    "JWT_SECRET_KEY": OTHER,
    "ENCRYPTION_KEY": FERNET,
    "DATABASE_URL": "postgresql://archive@db/archive",
    "CORS_ORIGINS": "https://archive.example.eu",
    "LOG_LEVEL": "INFO",
    "GPU_MEMORY_LIMIT_GB": "13.6",
    "GITHUB_CLIENT_ID": "a1",
    "GITHUB_CLIENT_SECRET": STRONG[::-1],
}


def lines(values: t.Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def test_the_examples_run_and_tell_good_from_bad(
    containers: Containers, tmp_path: Path, service: t.Any, run_module: ModuleRun
) -> None:
    for folder in ("archive/current", "run", "runner/logs"):
        (tmp_path / folder).mkdir(parents=True)
    example = dict.fromkeys(ENVIRONMENT, "") | {"# GOOGLE_CLIENT_ID": "", "# GOOGLE_CLIENT_SECRET": ""}
    (tmp_path / "archive/current/archive.env.example").write_text(lines(example))
    containers.file = str(tmp_path / "archive/archive.env")
    containers.write(lines(ENVIRONMENT))
    (tmp_path / "run/backend.pid").write_text(str(service(**ENVIRONMENT).pid))
    for name in ("backend", "worker"):
        containers.start(f"env-archive-{name}-1", *lines(ENVIRONMENT).split(), project="env-archive", service=name)
    unit = tmp_path / "runner.service"
    unit.write_text("[Service]\nEnvironment=ENVIRONMENT=production\n")
    settings = {
        "MAX_CONCURRENT_RUNS": "1",
        "LOG_RETENTION_DAYS": "30",
        "LOG_RETENTION_RUNS": "10",
        "LOG_MAX_SIZE_MB": "1",
    }
    settings |= {"RUN_MEMORY": "512MB", "RUN_TIMEOUT": "15m"}
    runner = EnvFile(tmp_path / "runner/runner.env")
    runner.write(lines(settings))
    replaced = {
        "/srv/archive": str(tmp_path / "archive"),
        "/run/archive": str(tmp_path / "run"),
        "/srv/runner": str(tmp_path / "runner"),
        "/etc/systemd/system": str(tmp_path),
        "https://archive.example.com": ENVIRONMENT["CORS_ORIGINS"],
        "project: archive": f'project: env-archive, url: "{containers.docker.url}"',
        "512MiB": "1MiB",
    }
    examples = examples_of("check_env", replaced).values()

    def statuses() -> list[str]:
        secrets = [STRONG, OTHER, FERNET, STRONG[::-1]]
        answers = [run_module("check_env", {**args, "enforce": False}, secrets=secrets) for args in examples]
        return [answer["finding"]["status"] for answer in answers]

    assert statuses() == ["pass"] * 4
    containers.write(lines({**ENVIRONMENT, "GPU_MEMORY_LIMIT_GB": "15.0"}))
    unit.write_text("[Service]\nEnvironment=ENVIRONMENT=production DEBUG=true\n")
    runner.write(lines({**settings, "RUN_TIMEOUT": "3h"}))
    assert statuses() == ["fail"] * 4
