# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_logs against real files, rotated by logrotate's habits, and a real journal."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import logging
import logging.handlers
import os
import re
import shutil
import socket
import subprocess
import time
import typing as t
from pathlib import Path
from types import MappingProxyType

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._clients import log_files
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.conftest import ModuleRun
from tests.container_lines import await_lines
from tests.module_examples import examples_of
from tests.parts import need_part
from tests.servers import Answer, Docker, HttpServer, ScriptedServer

CANARY = "log-canary-8841ce"
JOURNAL_REMOTE = "/lib/systemd/systemd-journal-remote"
serves = pytest.mark.serves


def ago(minutes: float) -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc) - dt.timedelta(minutes=minutes)


def stamped(minutes_ago: float, text: str) -> str:
    return f"{ago(minutes_ago).isoformat()} {text}\n"


def judged(run: ModuleRun, *paths: Path | str, secrets: t.Sequence[str] = (), **options: t.Any) -> dict[str, t.Any]:
    sources = [{"path": str(path)} for path in paths]
    args = {"sources": sources, "enforce": False, **options}
    answer = run("check_logs", args, secrets=secrets)
    assert answer["changed"] is False
    assert isinstance(answer.get("finding"), dict), answer
    return answer["finding"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "backend.log"
    lines = [stamped(90, "ERROR too old to count"), stamped(20, "INFO startup complete")]
    path.write_text("".join([*lines, *(stamped(10, f"INFO request {number}") for number in range(100))]))
    return path


def test_a_clean_log_passes_and_what_is_older_does_not_count(log: Path, run_module_here: ModuleRun) -> None:
    finding = judged(
        run_module_here,
        log,
        since="1h",
        max_critical=0,
        max_errors=0,
        max_warnings=0,
        required=[{"pattern": "startup complete"}],
        forbidden=[{"pattern": "Traceback"}],
        max_silence="15m",
    )
    assert finding["status"] == "pass", finding["summary"]
    assert finding["evidence"]["sources"][0]["lines"] == 101
    everything = judged(run_module_here, log, max_errors=0)
    assert everything["status"] == "fail"
    assert "ERROR too old to count" in everything["evidence"]["sources"][0]["excerpts"][0]


def test_errors_fail_with_their_tracebacks_and_masked_excerpts(log: Path, run_module_here: ModuleRun) -> None:
    with log.open("a") as stream:
        stream.write(stamped(5, f"ERROR Größe unbekannt, password={CANARY}"))
        stream.write("Traceback (most recent call last):\n  File x\nValueError: ungültig\n")
        stream.write(stamped(5, "WARNUNG langsam"))
    finding = judged(
        run_module_here,
        log,
        since="1h",
        max_errors=0,
        max_warnings=0,
        forbidden=[{"pattern": "^Traceback", "name": "an exception"}, {"pattern": "ungültig", "level": "warn"}],
        required=[{"pattern": "migrated", "min": 2}],
        sensitive=["secrets"],
        secrets=[CANARY],
    )
    assert finding["status"] == "fail"
    for part in (
        "lines of level error is 1, expected at most 0",
        "lines of level warning is 1",
        "lines with an exception is 1",
        "lines with /ungültig/ is 1",
        "lines with /migrated/ is 0, expected at least 2",
        "password in 1 lines: ",
    ):
        assert part in finding["summary"] or part.capitalize() in finding["summary"], part
    assert "Größe unbekannt" in finding["evidence"]["sources"][0]["excerpts"][0]


def test_secrets_are_named_by_kind_and_place_and_never_shown(log: Path, run_module_here: ModuleRun) -> None:
    canaries = {
        "password in a URL": f"postgresql://app:{CANARY}@db/x",
        "JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLWNhbmFyeQ",
        "AWS access key": "AKIACANARYCANARY0001",
        "e-mail address": "jörg.canary@example.org",
        "IBAN": "DE89 3704 0044 0532 0130 00",
        "card number": "4111 1111 1111 1111",
        "known secret": "known-canary-55aa",
    }
    with log.open("a") as stream:
        for kind, value in canaries.items():
            stream.write(stamped(1, f"ERROR {kind.replace(' ', '_')} {value}"))
    hidden = [CANARY, "c2lnbmF0dXJlLWNhbmFyeQ", "AKIACANARY", "0532 0130", "4111 1111", "known-canary-55aa"]
    finding = judged(
        run_module_here,
        log,
        sensitive=["secrets", "personal_data"],
        known_secrets=["known-canary-55aa"],
        max_errors=0,
        secrets=hidden,
    )
    assert finding["status"] == "fail"
    for kind in canaries:
        assert f"{kind} in 1 lines: {log} byte " in finding["summary"], kind
    offset = int(finding["evidence"]["sources"][0]["places"]["IBAN"][0].rpartition(" ")[2])
    assert b"ERROR IBAN" in log.read_bytes()[offset:].splitlines()[0]
    assert judged(run_module_here, log, sensitive=[], required=[{"pattern": "INFO"}])["status"] == "pass"


def test_zero_lines_are_unknown_and_so_is_a_log_that_is_not_there(
    log: Path, tmp_path: Path, run_module_here: ModuleRun
) -> None:
    for paths, since, said in (
        ([log], "1m", "has no line since 1m"),
        ([tmp_path / "no.log"], None, "cannot be read: No such file"),
        ([tmp_path / "*.txt"], None, "No file matches"),
        ([tmp_path], None, "is no regular file"),
        (["/dev/zero"], None, "is no regular file"),
    ):
        finding = judged(run_module_here, *paths, since=since, max_errors=0)
        assert finding["status"] == "unknown"
        assert said in finding["summary"]
    (tmp_path / "quiet.log").touch()
    both = judged(run_module_here, tmp_path / "*.log", since="1h", required=[{"pattern": "never"}])
    assert both["status"] == "unknown"
    assert "quiet.log has no line since 1h" in both["summary"]
    assert "never/ are 0 in what was read" in both["summary"]


def test_rotated_files_are_followed_as_far_as_the_time_reaches(tmp_path: Path, run_module_here: ModuleRun) -> None:
    log = tmp_path / "app.log"
    handler = logging.handlers.RotatingFileHandler(log, maxBytes=2000, backupCount=50)
    logger = logging.Logger("rotating")
    logger.addHandler(handler)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for number in range(300):
        logger.info("message %d", number)
    logger.error("the last word")
    handler.close()
    assert len(list(tmp_path.iterdir())) > 5
    old = tmp_path / "app.log.2"
    with gzip.open(tmp_path / "app.log.2.gz", "wb") as packed:
        packed.write(old.read_bytes())
    old.unlink()
    ancient = tmp_path / "app.log-20200101"
    ancient.write_text("2020-01-01 00:00:00,000 ERROR long ago\n")
    os.utime(ancient, (0, 0))
    (tmp_path / "app.log.bak").write_text(stamped(1, "ERROR not ours"))
    finding = judged(run_module_here, log, since="5m", max_errors=1, required=[{"pattern": "message", "min": 300}])
    assert finding["status"] == "pass", finding["summary"]
    source = finding["evidence"]["sources"][0]
    assert source["lines"] == 301
    assert source["files"][-1] == str(log)
    assert str(tmp_path / "app.log.2.gz") in source["files"]
    (tmp_path / "app.log.3").rename(tmp_path / "app.log.3.zst")
    torn = tmp_path / "app.log.2.gz"
    torn.write_bytes(torn.read_bytes()[:-20])
    finding = judged(run_module_here, log, since="5m", max_errors=1)
    assert finding["status"] == "unknown"
    assert "app.log.3.zst is compressed in a way that Python does not read" in finding["summary"]
    assert "app.log.2.gz breaks off" in finding["summary"]


def test_a_pattern_counts_no_line_twice_and_rotated_files_are_no_sources(
    tmp_path: Path, run_module_here: ModuleRun
) -> None:
    for name in ("worker.log", "worker-1.log", "worker-20261122.log"):
        (tmp_path / name).write_text(stamped(5, f"INFO {name}"))
    (tmp_path / "worker-20261101.log").write_text(stamped(500, "INFO long ago"))
    os.utime(tmp_path / "worker-20261101.log", (0, 0))
    finding = judged(run_module_here, tmp_path / "*.log", since="1h", required=[{"pattern": "INFO", "min": 3}])
    assert finding["status"] == "pass", finding["summary"]
    assert finding["measured"]["lines with /INFO/"] == 3
    assert [Path(source["label"]).name for source in finding["evidence"]["sources"]] == ["worker-1.log", "worker.log"]


def test_a_file_truncated_under_its_writer_is_unknown_and_the_hole_is_not_read(
    log: Path, run_module_here: ModuleRun
) -> None:
    with log.open("r+b") as writer:
        writer.seek(3_000_000_000)
        log.write_bytes(b"")
        writer.write(stamped(1, "INFO after the cut").encode())
    finding = judged(run_module_here, log, since="1h", max_errors=0)
    assert finding["status"] == "unknown"
    assert "truncated while its writer went on" in finding["summary"]
    source = finding["evidence"]["sources"][0]
    assert source["lines"] == 1
    assert source["read_bytes"] < 100_000


def test_a_huge_file_is_searched_and_bounded(tmp_path: Path, run_module_here: ModuleRun) -> None:
    log = tmp_path / "huge.log"
    since = ago(30.5).isoformat()
    with log.open("w") as stream:
        for minute in range(600, 0, -1):
            line = stamped(minute, f"INFO {'x' * 200}")
            stream.writelines(line for _unused in range(200))
    finding = judged(run_module_here, log, since=since, max_errors=0, timeout=60)
    assert finding["status"] == "pass", finding["summary"]
    source = finding["evidence"]["sources"][0]
    assert source["lines"] == 30 * 200
    assert source["read_bytes"] < log.stat().st_size / 8
    bounded = judged(run_module_here, log, max_size="1MB", required=[{"pattern": "never"}], timeout=60)
    assert bounded["status"] == "unknown"
    assert "of it were left out by max_size" in bounded["summary"]
    assert bounded["evidence"]["sources"][0]["read_bytes"] == 1_000_000


def test_the_time_being_up_is_said_and_unknown(tmp_path: Path, run_module_here: ModuleRun) -> None:
    log = tmp_path / "huge.log"
    log.write_text(stamped(1, "INFO " + "y" * 80) * 400_000)
    finding = judged(run_module_here, log, forbidden=[{"pattern": "y{3}z"}], timeout=0.05)
    assert finding["status"] == "unknown"
    assert "the time was up" in finding["summary"]


def test_encodings_are_read(tmp_path: Path, run_module_here: ModuleRun) -> None:
    text = stamped(1, "FEHLER Prüfung") + stamped(1, "INFO fertig")
    for name, encoding in (("a.log", "utf-8"), ("b.log", "latin-1"), ("c.log", "utf-16"), ("d.log", "utf-8-sig")):
        path = tmp_path / name
        path.write_text(text, encoding=encoding)
        finding = judged(run_module_here, path, since="5m", forbidden=[{"pattern": "Prüfung"}], max_errors=0)
        assert finding["status"] == "fail", name
        assert "lines of level error is 1" in finding["summary"]
        assert finding["evidence"]["sources"][0]["lines"] == 2
    crlf = tmp_path / "crlf.log"
    crlf.write_bytes(text.encode("cp1252").replace(b"\n", b"\r\n"))
    finding = judged(run_module_here, crlf, forbidden=[{"pattern": "Prüfung$"}])
    assert finding["status"] == "fail"
    assert finding["evidence"]["sources"][0]["undecodable_lines"] == 1


def test_the_share_of_json_lines_is_judged_inside_a_containers_wrapper(
    tmp_path: Path, run_module_here: ModuleRun
) -> None:
    log = tmp_path / "container-json.log"

    def wrapped(line: str) -> str:
        return json.dumps({"log": line + "\n", "stream": "stdout", "time": ago(0).isoformat()}) + "\n"

    good = [wrapped(json.dumps({"level": "info", "msg": "läuft", "ts": ago(0).timestamp()})) for _unused in range(98)]
    log.write_text("".join(good))
    whole = judged(run_module_here, log, since="5m", min_json_share=1, max_errors=0)
    assert whole["status"] == "pass", whole["summary"]
    log.write_text("".join([*good, wrapped("print() war hier"), wrapped(json.dumps({"level": 50, "msg": "x"}))]))
    finding = judged(run_module_here, log, since="5m", min_json_share=0.995, max_errors=0)
    assert "share of lines that are json is 0.99" in finding["summary"].lower()
    assert "lines of level error is 1" in finding["summary"].lower()


def test_a_rate_is_compared_with_the_time_before(tmp_path: Path, run_module_here: ModuleRun) -> None:
    log = tmp_path / "worker.log"
    before = [stamped(minutes, "task 7 failed") for minutes in range(175, 60, -10)]
    after = [stamped(minutes, "task 8 failed") for minutes in range(55, 0, -10)]
    log.write_text("".join(before + after))
    options = {"since": "1h", "baseline": "2h"}
    same = judged(run_module_here, log, forbidden=[{"pattern": "failed", "max_times_baseline": 1.1}], **options)
    assert same["status"] == "pass", same["summary"]
    log.write_text("".join(before + after * 2))
    more = judged(run_module_here, log, forbidden=[{"pattern": "failed", "max_times_baseline": 1.1}], **options)
    assert more["status"] == "fail"
    assert "12 lines, 12 an hour, and was in 6 an hour before" in more["summary"]
    log.write_text("".join(after))
    alone = judged(run_module_here, log, forbidden=[{"pattern": "failed", "max_times_baseline": 1.1}], **options)
    assert alone["status"] == "unknown"


def since_the_deploy(run: ModuleRun, log: Path) -> dict[str, t.Any]:
    return judged(
        run,
        log,
        since=ago(60).isoformat(),
        baseline="2h",
        max_critical=0,
        forbidden=[{"pattern": "^Traceback"}, {"pattern": "FEHLER|ERROR", "max_times_baseline": 1.5}],
        secrets=[CANARY],
    )


def each_log(case: str) -> pytest.MarkDecorator:
    served = {"backend.log": ["S1.51", "S1.68"], "worker.log": ["S1.52", "S1.68"]}
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=serves(*ids, case=case)) for name, ids in served.items()]
    )


@each_log("pass")
def test_errors_since_the_deploy_are_no_more_than_before_it(
    tmp_path: Path, run_module_here: ModuleRun, name: str
) -> None:
    log = tmp_path / name
    before = [stamped(minutes, "ERROR the mail server is away") for minutes in (170, 150, 130, 110, 90, 70)]
    after = [stamped(minutes, "ERROR no mail to anna.canary@example.org") for minutes in (40, 20)]
    log.write_text("".join([*before, stamped(60.5, "CRITICAL stopped"), *(stamped(50, "INFO x") for _unused in range(9)), *after]))  # fmt: skip
    finding = since_the_deploy(run_module_here, log)
    assert finding["status"] == "pass", finding["summary"]
    assert finding["measured"]["lines with /^Traceback/"] == 0
    assert finding["measured"]["lines with /FEHLER|ERROR/ beside their rate before"] == 2
    assert dt.datetime.fromisoformat(finding["evidence"]["since"]) < ago(59)
    source = finding["evidence"]["sources"][0]
    assert (source["lines"], source["forbidden"]["1"], source["baseline_forbidden"]["1"]) == (11, 2, 6)
    assert len(source["excerpts"]) == 2
    assert all("ERROR no mail to" in line and "canary@" not in line for line in source["excerpts"])


@each_log("fail")
def test_more_errors_than_before_the_deploy_fail_with_the_first_of_them(
    tmp_path: Path, run_module_here: ModuleRun, name: str
) -> None:
    log = tmp_path / name
    after = [stamped(50 - minute, f"ERROR task lost, password={CANARY}") for minute in range(30)]
    log.write_text("".join([stamped(100, "INFO x"), *after, "Traceback (most recent call last):\n"]))
    finding = since_the_deploy(run_module_here, log)
    assert finding["status"] == "fail"
    assert "/FEHLER|ERROR/ is in 30 lines, 30 an hour, and was in 0 an hour before" in finding["summary"]
    assert "ines with /^Traceback/ is 1, expected at most 0" in finding["summary"]
    assert len(finding["evidence"]["sources"][0]["excerpts"]) == 20


def json_setting_and_lines(env_file: Path, log: Path, setting: str, lines: list[str]) -> list[dict[str, t.Any]]:
    """The findings of the two items by which logging in JSON is judged."""
    env_file.write_text(f"LOG_JSON={setting}\n")
    env_file.chmod(0o600)
    wrapped = [{"log": line + "\n", "stream": "stdout", "time": ago(1).isoformat()} for line in lines]
    log.write_text("".join(json.dumps(line) + "\n" for line in wrapped))
    rules = [{"name": "LOG_JSON", "kind": "boolean", "value": "true"}]
    of_log = {"sources": [{"path": str(log)}], "since": "5m", "min_json_share": 0.95}
    items = [
        {"id": "setting", "check": "check_env", "params": {"file": str(env_file), "rules": rules}, "timeout": 30.0},
        {"id": "lines", "check": "check_logs", "params": of_log, "timeout": 30.0},
    ]
    return judge_all(items, [], timeout_seconds=60, scrub=Scrubber([]))


def test_logging_in_json_is_set_and_done(tmp_path: Path) -> None:
    good = [json.dumps({"level": "info", "msg": f"request {number}"}) for number in range(100)]
    setting, lines = json_setting_and_lines(tmp_path / "app.env", tmp_path / "c-json.log", "true", good)
    assert (setting["status"], lines["status"]) == ("pass", "pass"), (setting, lines)
    assert setting["measured"]["LOG_JSON"] == "true"
    assert lines["measured"]["share of lines that are JSON"] == 1.0
    assert lines["evidence"]["sources"][0]["lines"] == 100


def test_logging_in_json_that_is_off_or_not_done_fails(tmp_path: Path) -> None:
    mixed = [json.dumps({"level": "info"}), "print() war hier"] * 50
    setting, lines = json_setting_and_lines(tmp_path / "app.env", tmp_path / "c-json.log", "false", mixed)
    assert (setting["status"], lines["status"]) == ("fail", "fail"), (setting, lines)
    assert "hare of lines that are JSON is 0.5, expected at least 0.95" in lines["summary"]


def test_lines_without_any_time_cannot_be_told_apart(tmp_path: Path, run_module_here: ModuleRun) -> None:
    log = tmp_path / "plain.log"
    log.write_text("ready\nsteady\n")
    finding = judged(run_module_here, log, since="1h", forbidden=[{"pattern": "x"}])
    assert finding["status"] == "unknown"
    assert "none of its 2 lines carries a time" in finding["summary"]
    assert judged(run_module_here, log, forbidden=[{"pattern": "x"}])["status"] == "pass"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sensitive": []}, "Nothing is asked of the lines"),
        ({"forbidden": []}, "forbidden is an empty list"),
        ({"forbidden": [{"pattern": "("}]}, "is not a regular expression"),
        ({"forbidden": [{"pattern": "x", "max_times_baseline": 2}]}, "max_times_baseline needs baseline"),
        ({"since": "2999-01-01T00:00:00Z"}, "still to come"),
        ({"since": "2026-99-01"}, "is no time"),
        ({"forbidden": [{"pattern": "x"}], "required": [{"pattern": "x"}]}, "Several patterns are called /x/"),
        ({"known_secrets": ["abc"]}, "less than 4 characters"),
        ({"since": "today"}, "is not a span of time"),
        ({"max_size": "much"}, "is not a size"),
        ({"sources": [{"path": "x", "encoding": "klingon"}]}, "which Python does not know"),
        ({"sources": [{"path": "x", "encoding": "utf-32"}]}, "a line does not end with the byte 0x0A"),
        ({"sources": [{"journal": "--merge"}]}, "is not the name of a unit"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_error(
    log: Path, run_module_here: ModuleRun, options: dict[str, t.Any], said: str
) -> None:
    finding = judged(run_module_here, log, **options)
    assert finding["status"] == "unknown"
    assert said in finding["summary"]


# ── journal ──


@pytest.fixture
def journal(tmp_path: Path) -> t.Callable[[t.Sequence[tuple[float, int, bytes]]], Path]:
    """Makes a real journal file of (minutes ago, priority, message)."""
    need_part("journalctl", shutil.which("journalctl"))
    need_part("systemd-journal-remote", os.access(JOURNAL_REMOTE, os.X_OK), "apt-get install systemd-journal-remote")

    def make(entries: t.Sequence[tuple[float, int, bytes]]) -> Path:
        exported = b""
        for number, (minutes, priority, message) in enumerate(entries):
            moment = int((time.time() - 60 * minutes) * 1e6)
            exported += (
                f"__REALTIME_TIMESTAMP={moment}\n__MONOTONIC_TIMESTAMP={1000 + number}\n_BOOT_ID={'ab' * 16}\n"
                f"_SYSTEMD_UNIT=archive.service\nPRIORITY={priority}\n"
            ).encode()
            exported += b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\n\n"
        (tmp_path / "journal").mkdir()
        made = tmp_path / "journal" / "test.journal"
        subprocess.run([JOURNAL_REMOTE, "-o", str(made), "-"], input=exported, check=True, capture_output=True)
        return made.parent

    return make


def test_a_journal_is_read_since_a_time_with_its_priorities(
    journal: t.Callable[..., Path], run_module_here: ModuleRun
) -> None:
    directory = journal(
        [
            (120, 3, b"too old"),
            (20, 6, "bereit für alle".encode()),
            (10, 3, b"disk is slow"),
            (5, 6, b"ERROR two\nlines"),
            (4, 6, b"\xff\xfe binary"),
        ]
    )
    source = {"journal": "archive.service", "journal_directory": str(directory)}
    options: dict[str, t.Any] = {"since": "1h", "required": [{"pattern": "bereit für"}]}
    finding = judged(run_module_here, sources=[source], max_errors=2, **options)
    assert finding["status"] == "pass", finding["summary"]
    assert finding["evidence"]["sources"][0]["lines"] == 5
    finding = judged(run_module_here, sources=[source], max_errors=1, **options)
    assert finding["status"] == "fail"
    assert "disk is slow" in " ".join(finding["evidence"]["sources"][0]["excerpts"])
    other = judged(run_module_here, sources=[{**source, "journal": "other.service"}], **options)
    assert other["status"] == "unknown"
    assert f"Journal of other.service in {directory} has no line since 1h" in other["summary"]
    elsewhere = {**source, "journal_directory": str(directory.parent)}
    both = judged(run_module_here, sources=[source, elsewhere], max_errors=2, **options)
    assert (both["status"], len(both["evidence"]["sources"])) == ("unknown", 2), "one unit in two places is two sources"
    cut = judged(run_module_here, sources=[source], max_size="10B", max_errors=9, **options)
    assert cut["status"] == "unknown"
    gone = judged(run_module_here, sources=[{**source, "journal_directory": f"{directory}/no"}], **options)
    assert gone["status"] == "unknown"
    assert "Journalctl ended with code" in gone["summary"]


def test_a_host_without_journalctl_is_unknown(run_module: ModuleRun, tmp_path: Path) -> None:
    args = {"sources": [{"journal": "x"}], "max_errors": 0, "enforce": False}
    finding = run_module("check_logs", args, environment={"PATH": str(tmp_path)})["finding"]
    assert finding["status"] == "unknown"
    assert "The program journalctl is not on the PATH" in finding["summary"]


# ── containers ──


@pytest.fixture(scope="module")
def image(docker: Docker) -> str:
    return docker.image("logs", changes=['CMD ["/program", "say"]'])


Say = t.Callable[..., str]


@pytest.fixture
def say(docker: Docker, image: str) -> t.Iterator[Say]:
    """Start a container that says lines, and await that the engine has them."""
    names: list[str] = []

    def run(
        *lines: str,
        name: str = "speaker",
        driver: str = "json-file",
        options: t.Mapping[str, str] = MappingProxyType({}),
        awaited: bool = True,
        **config: t.Any,
    ) -> str:
        names.append(name)
        log = {"LogConfig": {"Type": driver, "Config": dict(options)}}
        docker.run(name, image, log, Cmd=["/program", "say", *lines], **config)
        if awaited:
            await_lines(docker, name, len(lines))
        return name

    yield run
    docker.remove(*dict.fromkeys(names))


def of_container(run: ModuleRun, docker: Docker, *names: str, **options: t.Any) -> dict[str, t.Any]:
    sources = [{"container": name, "url": docker.url} for name in names]
    args = {"sources": sources, "enforce": False, **options}
    return t.cast("dict[str, t.Any]", run("check_logs", args)["finding"])


@pytest.mark.parametrize("driver", ["json-file", "local"])
@pytest.mark.parametrize("terminal", [False, True], ids=["frames", "terminal"])
def test_a_container_is_read_from_its_engine(
    docker: Docker, say: Say, run_module_here: ModuleRun, terminal: bool, driver: str
) -> None:
    name = say("INFO startup complete", "\x1b[31mERROR\x1b[0m Größe unbekannt", "", driver=driver, Tty=terminal)
    finding = of_container(
        run_module_here, docker, name, since="1h", max_errors=0, required=[{"pattern": "^INFO startup complete$"}]
    )
    assert finding["status"] == "fail"
    assert finding["summary"].startswith("Lines of level error is 1, expected at most 0")
    (source,) = finding["evidence"]["sources"]
    assert (source["lines"], source["has_times"], source["gaps"]) == (2, True, [])
    assert re.fullmatch(r"container speaker at \d{4}-\S+Z: ERROR Größe unbekannt", source["excerpts"][0])
    clean = of_container(run_module_here, docker, name, since="1h", max_silence="1h", max_critical=0)
    assert clean["status"] == "pass", clean["summary"]


def test_a_containers_lines_count_from_the_engines_time(docker: Docker, say: Say, run_module_here: ModuleRun) -> None:
    name = say("ERROR 2001-01-01T00:00:00Z is what the line says")
    written = docker.asked("GET", f"/containers/{name}/logs?stdout=1&timestamps=1", raw=True)[8:].split()[0].decode()
    moment = dt.datetime.fromisoformat(written[:26] + "+00:00").timestamp()
    since = of_container(run_module_here, docker, name, since=f"@{moment - 1:.3f}", max_errors=0)
    assert since["status"] == "fail" and "error is 1" in since["summary"]
    later = of_container(run_module_here, docker, name, since=f"@{moment + 1:.3f}", max_errors=0)
    assert later["status"] == "unknown"
    assert f"Container {name} of {docker.url} has no line since @" in later["summary"]


@pytest.mark.parametrize("terminal", [False, True], ids=["frames", "terminal"])
def test_a_line_that_the_engine_keeps_in_pieces_is_one_line(
    docker: Docker, say: Say, run_module_here: ModuleRun, terminal: bool
) -> None:
    half = CANARY * 1000
    name = say(f"INFO {half} password={'x' * 40}", "INFO short", Tty=terminal)
    finding = of_container(
        run_module_here, docker, name, required=[{"pattern": f"^INFO {half} password=x{{40}}$"}], sensitive=[]
    )
    assert finding["status"] == "pass", finding["summary"][:300]
    assert finding["evidence"]["sources"][0]["lines"] == 2


def test_secrets_of_a_container_are_found_and_not_shown(docker: Docker, say: Say, run_module_here: ModuleRun) -> None:
    name = say(f"ERROR cannot reach postgresql://app:{CANARY}@db/x")
    finding = of_container(run_module_here, docker, name, max_errors=1)
    assert finding["status"] == "fail" and f"lines: container {name} at 2" in finding["summary"]
    assert CANARY not in json.dumps(finding)


def test_more_than_the_bound_is_not_read_and_unknown(docker: Docker, image: str, run_module_here: ModuleRun) -> None:
    docker.run("flooding", image, Cmd=["/program", "flood"])
    try:
        await_lines(docker, "flooding", 3000)
        docker.asked("POST", "/containers/flooding/kill")
        finding = of_container(run_module_here, docker, "flooding", forbidden=[{"pattern": "never"}], max_size="10kB")
    finally:
        docker.remove("flooding")
    assert finding["status"] == "unknown"
    assert "was not read in full: what it logged was read up to 10000 bytes" in finding["summary"]
    (source,) = finding["evidence"]["sources"]
    assert source["lines"] > 100 and source["read_bytes"] < 10_000 + 2 * (1 << 18)


#: Sent to a port that nobody reads; the engine keeps lines of its own beside that unless it is told not to.
SYSLOG = {"syslog-address": "udp://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("driver", "options"), [("none", {}), ("syslog", {**SYSLOG, "cache-disabled": "true"})], ids=["none", "syslog"]
)
def test_a_log_driver_that_keeps_nothing_is_unknown(
    docker: Docker, say: Say, run_module_here: ModuleRun, driver: str, options: dict[str, str]
) -> None:
    name = say("INFO x", driver=driver, options=options, awaited=False)
    finding = of_container(run_module_here, docker, name, forbidden=[{"pattern": "ERROR"}])
    said = f"The log driver of container speaker is {driver}, of which the engine keeps nothing to read"
    assert (finding["status"], said in finding["summary"]) == ("unknown", True), finding["summary"]
    assert "json-file, local or journald" in finding["remedy"]


def test_what_the_engine_keeps_beside_a_driver_that_hands_lines_on_is_read(
    docker: Docker, say: Say, run_module_here: ModuleRun
) -> None:
    name = say("ERROR x", driver="syslog", options=SYSLOG)
    finding = of_container(run_module_here, docker, name, max_errors=0)
    assert (finding["status"], "error is 1" in finding["summary"]) == ("fail", True), finding["summary"]


def test_what_cannot_be_read_of_a_container_is_unknown(docker: Docker, say: Say, run_module_here: ModuleRun) -> None:
    silent = of_container(run_module_here, docker, say(), forbidden=[{"pattern": "ERROR"}])
    assert silent["status"] == "unknown" and "has no line" in silent["summary"]
    absent = of_container(run_module_here, docker, "nobody", forbidden=[{"pattern": "ERROR"}])
    assert absent["status"] == "unknown" and f"{docker.url} has no container nobody" in absent["summary"]
    identity = docker.inspect("speaker")["Id"][:12]
    by_id = of_container(run_module_here, docker, identity, forbidden=[{"pattern": "ERROR"}])
    assert f"has no container {identity}" in by_id["summary"], "a name is what a service keeps"
    sources = [{"container": "speaker", "url": "unix:///nowhere.sock"}]
    args = {"sources": sources, "forbidden": [{"pattern": "ERROR"}], "enforce": False}
    gone = run_module_here("check_logs", args)["finding"]
    assert gone["status"] == "unknown" and "There is no socket /nowhere.sock" in gone["summary"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"container": "a/b"}, "container is 'a/b', which is not the name of a container"),
        ({"container": "app", "path": "/x"}, "mutually exclusive"),
        ({"container": "app", "url": "ssh://there"}, "url is 'ssh://there', expected unix:///path"),
    ],
)
def test_a_container_that_cannot_be_meant_is_one_clear_error(
    run_module_here: ModuleRun, source: dict[str, str], said: str
) -> None:
    answer = run_module_here("check_logs", {"sources": [source], "max_errors": 0})
    assert answer["failed"] and said in answer["msg"], answer["msg"]


@pytest.mark.parametrize(
    ("ends", "said"),
    [(True, "ended /containers/0123/logs early"), (False, "was not read to its end: the time was up")],
)
def test_an_engine_that_does_not_tell_all_is_unknown_with_what_it_told(
    run_module_here: ModuleRun, ends: bool, said: str
) -> None:
    content = b"2026-11-22T05:00:00.000000000Z ERROR first\n"
    frame = b"\1\0\0\0" + len(content).to_bytes(4, "big") + content
    told = {"Id": "0123", "Image": "sha256:0", "Name": "/app", "State": {"Status": "running"}}
    version = {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "26.1.5"}

    def converse(connection: socket.socket) -> None:
        for asked in connection.makefile("rb"):
            if not asked.startswith(b"GET "):
                continue
            if b"/logs" in asked:
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(frame), frame)
                )
                if ends:
                    return
                continue
            body = json.dumps(version if b"/version" in asked else told).encode()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )

    with ScriptedServer(converse) as server:
        sources = [{"container": "app", "url": f"tcp://127.0.0.1:{server.port}"}]
        args = {"sources": sources, "forbidden": [{"pattern": "never"}], "enforce": False, "timeout": 2}
        finding = run_module_here("check_logs", args)["finding"]
    assert (finding["status"], said in finding["summary"]) == ("unknown", True), finding["summary"]
    assert finding["evidence"]["sources"][0]["lines"] == 1


def test_the_example_of_a_container_runs(docker: Docker, say: Say, run_module_here: ModuleRun) -> None:
    (example,) = [each for each in examples_of("check_logs").values() if "container" in each["sources"][0]]
    say("INFO startup complete", name=example["sources"][0]["container"])
    options = {**example, "sources": [{**source, "url": docker.url} for source in example["sources"]]}
    good = judged(run_module_here, **options)
    assert good["status"] == "pass", good["summary"]
    docker.remove("archive-backend-1")
    say("INFO startup complete", "ERROR no", name="archive-backend-1")
    assert judged(run_module_here, **options)["status"] == "fail"


# ── one reading for many items ──


def items_on(source: dict[str, str], **more: t.Any) -> list[dict[str, t.Any]]:
    """Three items that look for different things in one source."""
    asked = ({"max_errors": 0}, {"forbidden": [{"pattern": "ERROR"}]}, {"required": [{"pattern": "ERROR"}]})
    return [
        {
            "id": str(number),
            "check": "check_logs",
            "timeout": 30.0,
            "params": {"sources": [source], "since": "1h", **more, **each},
        }
        for number, each in enumerate(asked)
    ]


def statuses(items: list[dict[str, t.Any]]) -> list[str]:
    return [found["status"] for found in judge_all(items, [], timeout_seconds=60, scrub=Scrubber([]))]


@pytest.mark.parametrize(("size", "opened"), [(100, 1), (5 << 20, 3)], ids=["short", "long"])
def test_items_on_one_file_read_it_once_unless_it_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, opened: int
) -> None:
    path = tmp_path / "app.log"
    path.write_text(
        stamped(5, "ERROR first") + stamped(4, f"INFO {'x ' * 100}") * (size // 200) + stamped(3, "INFO last")
    )
    paths: list[str] = []
    really = log_files._opened
    monkeypatch.setattr(log_files, "_opened", lambda path: paths.append(path) or really(path))
    assert statuses(items_on({"path": str(path)})) == ["fail", "fail", "pass"]
    assert len(paths) == opened
    paths.clear()
    differing = [*items_on({"path": str(path)}), *items_on({"path": str(path)}, max_size="1GB")]
    differing = [{**item, "id": str(number)} for number, item in enumerate(differing)]
    assert statuses(differing) == ["fail", "fail", "pass"] * 2
    assert len(paths) == 2 * opened, "another bound is another reading"


@pytest.mark.parametrize(("ends", "readings"), [(b"", 1), (b"\3\0\0\0\0\0\0\4gone", 3)], ids=["whole", "with a gap"])
def test_items_on_one_container_ask_for_its_log_once_unless_something_is_missing(
    http_server: HttpServer, ends: bytes, readings: int
) -> None:
    content = f"{ago(5).isoformat()[:19]}.000000000Z ERROR first\n".encode()
    told = {"Id": "0123", "Image": "sha256:0", "Name": "/app", "State": {"Status": "running"}}
    http_server.route("/version", Answer(200, {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "26.1.5"}))
    http_server.route("/v1.44/containers/app/json", Answer(200, told))
    frames = b"\1\0\0\0" + len(content).to_bytes(4, "big") + content + ends
    http_server.route("/v1.44/containers/0123/logs", Answer(200, frames))
    found = statuses(items_on({"container": "app", "url": f"tcp://127.0.0.1:{http_server.port}"}))
    assert found == ["fail", "fail", "unknown" if ends else "pass"]
    asked = [request.path.partition("?")[0].rpartition("/")[2] for request in http_server.requests]
    assert sorted(asked) == sorted(["version", *["json", "logs"] * readings])


# ── as users meet it ──


def test_the_examples_run(tmp_path: Path, run_module_here: ModuleRun) -> None:
    backend = tmp_path / "backend.log"
    entry = {"level": "info", "msg": "startup complete", "time": ago(0).isoformat()}
    backend.write_text("".join(json.dumps(entry) + "\n" for _unused in range(10)))
    (tmp_path / "worker-1.log").write_text(stamped(70, "task 1 failed") + stamped(1, "task 2 succeeded"))
    examples = examples_of("check_logs").values()
    for example in [each for each in examples if "path" in each["sources"][0]]:
        here = [{"path": source["path"].replace("/var/log/archive", str(tmp_path))} for source in example["sources"]]
        since = {"since": "1h"} if "{{" in str(example.get("since")) else {}
        finding = judged(run_module_here, **{**example, **since, "sources": here})
        assert finding["status"] == "pass", finding["summary"]


def test_used_alone_the_module_fails_unless_told_otherwise(log: Path, run_module: ModuleRun) -> None:
    answer = run_module("check_logs", {"sources": [{"path": str(log)}], "max_errors": 0})
    assert answer["failed"]
    assert answer["msg"] == answer["finding"]["summary"]
