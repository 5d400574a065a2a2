# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_command over real programs: what they say is judged, and what cannot be known of them is unknown."""

from __future__ import annotations

import json
import os
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_command, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Clock
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.leaks import assert_no_leak
from tests.module_examples import examples_of
from tests.servers import await_true, is_alive

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

SECRET = "Zu:gang\\mit-9d41Doppelpunkt"
TIMEOUT_SECONDS = 60.0


def finding(*, check_mode: bool = False, clock: Clock = CLOCK, **params: t.Any) -> dict[str, t.Any]:
    checked = validated(check_command.ARGUMENT_SPEC, params, where="check_command", **check_command.CONSTRAINTS)
    run = Run(timeout_seconds=TIMEOUT_SECONDS, check_mode=check_mode, clock=clock)
    return judged(registry.load("check_command"), checked, run)


def python(source: str, **params: t.Any) -> dict[str, t.Any]:
    return finding(argv=[sys.executable, "-c", source], **params)


def in_shell(command: str, **params: t.Any) -> dict[str, t.Any]:
    return finding(**{"command": command, "shell": True, **params})


def printing(text: str, **params: t.Any) -> dict[str, t.Any]:
    return finding(argv=["/bin/cat"], stdin=text, **params)


@pytest.mark.parametrize(
    ("code", "exit_codes", "status"), [(0, [0], "pass"), (3, [0], "fail"), (3, [0, 3], "pass"), (0, [3], "fail")]
)
def test_the_exit_code_decides(code: int, exit_codes: list[int], status: str) -> None:
    found = python(f"import sys; sys.exit({code})", exit_codes=exit_codes)
    assert (found["status"], list(found["measured"].values())) == (status, [code]), found


def test_a_failure_is_told_with_what_the_program_said_last() -> None:
    found = python("import sys; print('fine so far'); sys.exit('no room for größere Dateien')")
    assert found["status"] == "fail"
    assert "ended with exit code 1, expected 0: no room for größere Dateien" in found["summary"]
    assert found["evidence"]["stdout"] == ["fine so far"]
    quiet = python("import sys; print('a'); sys.exit('b')", shown_lines=0)
    assert quiet["summary"].endswith("ended with exit code 1, expected 0.")
    assert not {"stdout", "stderr"} & set(quiet["evidence"])


def test_a_signal_is_named() -> None:
    found = python("import os; os.kill(os.getpid(), 9)")
    assert (found["status"], "was killed by SIGKILL" in found["summary"]) == ("fail", True)


@pytest.mark.parametrize(
    ("text", "wanted", "status"),
    [
        ("bereit für morgen", {"stdout_matches": ["für"]}, "pass"),
        ("bereit", {"stdout_matches": ["für"]}, "fail"),
        ("bereit", {"stdout_matches": ["bereit", "heute"]}, "fail"),
        ("a\nERROR b", {"stdout_matches_not": [r"(?m)^ERROR"]}, "fail"),
        ("a\nno ERROR", {"stdout_matches_not": [r"(?m)^ERROR"]}, "pass"),
        ("", {"stdout_matches": ["x"]}, "fail"),
        ("x", {"stderr_matches": ["x"]}, "fail"),
        ("x", {"stderr_matches_not": ["x"]}, "pass"),
    ],
)
def test_patterns_on_both_sides(text: str, wanted: dict[str, t.Any], status: str) -> None:
    assert printing(text, **wanted)["status"] == status


def test_octets_that_are_no_utf_8_are_judged_all_the_same() -> None:
    found = python("import sys; sys.stdout.buffer.write(b'\\xff\\xfe ready')", stdout_matches=["ready$"])
    assert found["status"] == "pass"
    json.dumps(found)


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"stdout_matches": ["first"]}, "pass"),
        ({"stdout_matches": ["last"]}, "unknown"),
        ({"stdout_matches_not": ["first"]}, "fail"),
        ({"stdout_matches_not": ["last"]}, "unknown"),
        ({"json": [{"path": "$", "exists": True}]}, "unknown"),
        ({"numbers": [{"name": "n", "pattern": r"first (\d+)", "min": 1}]}, "unknown"),
    ],
)
def test_what_may_stand_beyond_the_bound_is_unknown(wanted: dict[str, t.Any], status: str) -> None:
    source = "print('first 1'); print('x' * 5_000_000); print('last 1')"
    found = python(source, max_output="4KiB", **wanted)
    assert (found["status"], found["evidence"]["stdout_bytes"]) == (status, 5_000_016), found
    assert len(json.dumps(found)) < 5000


@pytest.mark.parametrize(
    ("text", "wanted", "status"),
    [
        ('{"state": "healthy"}', {"path": "$.state", "equals": "healthy"}, "pass"),
        ('{"state": "kritisch"}', {"path": "$.state", "equals": "healthy"}, "fail"),
        ('\ufeff{"state": "healthy"}', {"path": "$.state", "equals": "healthy"}, "pass"),
        ('{"queues": []}', {"path": "$.queues", "count_at_least": 1}, "fail"),
        ('{"lag": 3.5}', {"path": "$.lag", "at_most": 5}, "pass"),
        ('{"lag": "3.5"}', {"path": "$.lag", "at_most": 5}, "fail"),
        ("{}", {"path": "$.lag", "at_most": 5, "level": "warn"}, "warn"),
        ("state: healthy", {"path": "$.state", "equals": "healthy"}, "fail"),
        ("[" * 100_000, {"path": "$[0]", "exists": True}, "fail"),
    ],
)
def test_json_is_judged_as_check_http_does(text: str, wanted: dict[str, t.Any], status: str) -> None:
    found = printing(text, json=[wanted])
    assert found["status"] == status, found["summary"]


@pytest.mark.parametrize(
    ("text", "wanted", "status"),
    [
        ("13.6\n", {"max": 14}, "pass"),
        ("13.6\n", {"max": 13}, "fail"),
        ("13.6\n", {"max": 13, "level": "warn"}, "warn"),
        ("13.6 GB\n", {"min": 10, "max": 14, "unit": "GB"}, "pass"),
        ("13.6\n", {"max": 14, "unit": "GB"}, "pass"),
        ("13.6 GiB\n", {"max": 14, "unit": "GB"}, "unknown"),
        ("13.6 GB\n", {"max": 14}, "unknown"),
        ("85,5 %\n", {"max": 90, "unit": "%"}, "unknown"),
        ("1,234\n", {"max": 90}, "unknown"),
        ("1'234\n", {"max": 90}, "unknown"),
        ("nan\n", {"max": 90}, "unknown"),
        ("1e999\n", {"max": 90}, "unknown"),
        ("-3\n", {"min": 0}, "fail"),
        ("2e3\n", {"max": 1999}, "fail"),
        ("", {"max": 90}, "unknown"),
        ("free: 12\n", {"min": 1}, "unknown"),
        ("free: 12\nused: 3\n", {"pattern": r"free: (\d+)", "min": 10}, "pass"),
        ("free: 12\nfree: 3\n", {"pattern": r"free: (\d+)", "min": 1}, "unknown"),
        ("free: 12\nfree: 12\n", {"pattern": r"free: (\d+)", "min": 1}, "pass"),
        ("used: 3\n", {"pattern": r"free: (\d+)", "min": 1}, "unknown"),
        ("belegt 12 MiB", {"pattern": r"belegt (?P<number>\d+) (?P<unit>\w+)", "max": 20, "unit": "MiB"}, "pass"),
        ("belegt 12 kB", {"pattern": r"belegt (?P<number>\d+) (?P<unit>\w+)", "max": 20, "unit": "MiB"}, "unknown"),
        ("free: \n", {"pattern": r"free: (\d*)", "min": 0}, "unknown"),
    ],
)
def test_a_number_is_read_without_guessing(text: str, wanted: dict[str, t.Any], status: str) -> None:
    found = printing(text, numbers=[{"name": "room", **wanted}])
    assert found["status"] == status, found["summary"]
    assert "room" in found["summary"].lower()


def test_nothing_of_a_text_is_run_unless_a_shell_is_asked_for(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    assert (
        finding(command=f"echo 'a b' $HOME; touch {trap}", stdout_matches=[r"^a b \$HOME; touch"])["status"] == "pass"
    )
    assert not trap.exists()
    shelled = in_shell("echo $X | tr a-z A-Z", environment={"X": "ja"}, stdout_matches=["^JA$"])
    assert shelled["status"] == "pass"


@pytest.mark.parametrize("command", ["no-such-program --version", "/etc/passwd"])
def test_a_program_that_cannot_be_run_is_unknown(command: str) -> None:
    for shell in (True, False):
        found = finding(command=command, shell=shell)
        assert found["status"] == "unknown", found
        assert command.partition(" ")[0] in found["summary"]


def test_the_program_finds_its_place_and_its_variables(tmp_path: Path) -> None:
    source = "import os; print(os.getcwd(), os.environ['A'], os.environ['B'])"
    found = python(
        source, chdir=str(tmp_path), environment={"A": "ä", "B": True}, stdout_matches=[f"^{tmp_path} ä true$"]
    )
    assert found["status"] == "pass", found
    gone = python(source, chdir=str(tmp_path / "gone"))
    assert (gone["status"], "gone is not on" in gone["summary"]) == ("unknown", True)


def test_check_mode_runs_only_what_is_promised_to_change_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    touch = ["touch", str(trace)]
    found = finding(argv=touch, check_mode=True)
    assert (found["status"], "was not run in check mode" in found["summary"]) == ("unknown", True)
    assert found["left_out"] is True
    assert not trace.exists()
    assert finding(argv=touch, check_mode=True, changes_nothing=True)["status"] == "pass"
    assert trace.exists()


def test_what_is_promised_to_change_nothing_runs_once_for_all_items(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("")

    def items(**options: t.Any) -> list[dict[str, t.Any]]:
        params = {"command": f"echo x >> {count}; echo 5", "shell": True, **options}
        wanted = [{"exit_codes": [0]}, {"numbers": [{"name": "n", "max": 4}]}, {"stdout_matches": ["5"]}]
        return [
            {"id": str(number), "check": "check_command", "params": {**params, **extra}, "timeout": TIMEOUT_SECONDS}
            for number, extra in enumerate(wanted)
        ]

    def statuses(listed: list[dict[str, t.Any]]) -> list[str]:
        return [found["status"] for found in judge_all(listed, [], timeout_seconds=TIMEOUT_SECONDS, scrub=Scrubber())]

    assert statuses(items(changes_nothing=True)) == ["pass", "fail", "pass"]
    assert count.read_text() == "x\n"
    assert statuses(items()) == ["pass", "fail", "pass"]
    assert count.read_text() == "x\n" * 4


def test_at_the_deadline_nothing_of_it_is_left_running(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    pids.touch()

    class UntilSaid(Clock):
        """Runs ahead once the program has said what it says."""

        def monotonic(self) -> float:
            return super().monotonic() + (3600 if len(pids.read_text().split()) == 2 else 0)

    source = f"sh -c 'echo $$ >> {pids}; sleep 600' & echo 'step 1 of 2'; echo $$ >> {pids}; wait"
    found = in_shell(source, clock=UntilSaid())
    assert (found["status"], "did not end within 60 s: step 1 of 2" in found["summary"]) == ("unknown", True), found
    for pid in pids.read_text().split():
        await_true(lambda pid=pid: not is_alive(pid), seconds=TIMEOUT_SECONDS, what=f"the end of process {pid}")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"argv": []}, "argv is empty"),
        ({"argv": [""]}, "argv is empty"),
        ({"argv": ["a\0b"]}, "NUL"),
        ({"command": "  "}, "command is empty"),
        ({"command": "  ", "shell": True}, "command is empty"),
        ({"command": "echo 'a"}, "cannot be split"),
        ({"argv": ["true"], "shell": True}, "shell needs command"),
        ({"argv": ["true"], "exit_codes": []}, "exit_codes is empty"),
        ({"argv": ["true"], "stdout_matches": []}, "stdout_matches is empty"),
        ({"argv": ["true"], "stderr_matches_not": ["("]}, "not a regular expression"),
        ({"argv": ["true"], "json": []}, "json is empty"),
        ({"argv": ["true"], "json": [{"path": "$..x", "exists": True}]}, "cannot be read"),
        ({"argv": ["true"], "json": [{"path": "$.x", "matches": "("}]}, "not a regular expression"),
        ({"argv": ["true"], "numbers": []}, "numbers is empty"),
        ({"argv": ["true"], "numbers": [{"name": "n", "min": 1, "pattern": r"\d+"}]}, "has no group"),
        ({"argv": ["true"], "max_output": "1G"}, "not a size"),
        ({"argv": ["true"], "max_output": "1GB"}, "at most 64MiB"),
        ({"argv": ["true"], "shown_lines": 500}, "expected 0 to 100"),
        ({"argv": ["true"], "environment": {"A=B": 1}}, "cannot be set"),
        ({"argv": ["psql", "postgresql://app:geheim99@db/x"]}, "looks like a password"),
        ({"argv": ["true"], "environment": {"DSN": "postgresql://app:geheim99@db/x"}}, "environment.DSN holds"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_why(params: dict[str, t.Any], said: str) -> None:
    found = finding(**params)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found
    assert "geheim99" not in json.dumps(found)


@pytest.mark.parametrize(
    "source",
    [
        "print(open('/dev/stdin').read())",
        "import sys; sys.exit(open('/dev/stdin').read())",
        "import json; print(json.dumps({'x': open('/dev/stdin').read()}))",
        "import sys; print('x' * 190 + open('/dev/stdin').read()); sys.exit(1)",
        "import sys; sys.stdout.write('x' * 4080 + open('/dev/stdin').read() + 'x' * 99); sys.exit(1)",
        "print(open('/dev/stdin').read(), flush=True); import time; time.sleep(600)",
    ],
)
def test_a_secret_reaches_the_program_and_nobody_else(source: str, run_module: ModuleRun) -> None:
    args = {
        "argv": [sys.executable, "-c", source],
        "secret_stdin": SECRET,
        "stdout_matches": ["nothing like it"],
        "json": [{"path": "$.x", "equals": 5}],
        "max_output": "4KiB",
        "timeout": 1.5 if "sleep" in source else TIMEOUT_SECONDS,
    }
    answer = run_module("check_command", args, secrets=[SECRET])
    assert_no_leak([SECRET[:8]], json.dumps(answer), "the finding, in part")
    assert answer["failed"] is True


#: As ``env`` and a traceback print them; nobody told us of these.
FOREIGN = ["abc123def456ghi789jkl", "erika.mustermann@example.org", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"]
PRINTED = f"""SECRET_KEY={FOREIGN[0]}
written to {FOREIGN[1]}
-----BEGIN PRIVATE KEY-----
{FOREIGN[2]}
-----END PRIVATE KEY-----
{"x" * 495} SECRET_KEY={FOREIGN[0]}
last line, SECRET_KEY={FOREIGN[0]}"""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_looks_like_a_secret_or_is_personal_is_masked_in_what_is_shown(stream: str, tmp_path: Path) -> None:
    printed, ready = tmp_path / "printed", tmp_path / "ready"
    printed.write_text(PRINTED)

    class UntilSaid(Clock):
        """Runs ahead once the program has said what it says."""

        def monotonic(self) -> float:
            return super().monotonic() + (3600 if ready.exists() else 0)

    source = f"cat {printed} >&{1 if stream == 'stdout' else 2};"
    failed = in_shell(f"{source} exit 1")
    assert (failed["status"], "last line, ********" in failed["summary"]) == ("fail", True), failed
    assert len(failed["evidence"][stream]) == 5, "the private key is one line"
    hung = in_shell(f"{source} touch {ready}; sleep 600", clock=UntilSaid())
    assert "did not end within 60 s: last line, ********" in hung["summary"]
    for found in (failed, hung):
        assert_no_leak([*FOREIGN, FOREIGN[0][:8]], json.dumps(found), "the finding")


def test_a_secret_is_read_in_full() -> None:
    assert finding(argv=["/bin/cat"], secret_stdin=SECRET, stdout_matches=["mit-9d41Doppelpunkt$"])["status"] == "pass"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "inbox").mkdir()
    said = '{"state": "healthy", "consumers": [{"name": "a"}, {"name": "b"}]}'
    script(tmp_path / "bin/queue-status", f"[ \"$*\" = '--format json' ] && echo '{said}'")
    script(tmp_path / "bin/estimate", "echo 31.5 GB")
    return tmp_path


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_the_examples_run_and_tell_good_from_bad(archive: Path, run_module: ModuleRun) -> None:
    examples = examples_of("check_command", {"/srv/archive": str(archive)})

    def statuses() -> list[str]:
        return [
            run_module("check_command", {**args, "enforce": False})["finding"]["status"] for args in examples.values()
        ]

    assert statuses() == ["pass", "pass", "pass"]
    script(archive / "bin/queue-status", 'echo \'{"state": "healthy", "consumers": [{"name": "a"}]}\'')
    script(archive / "bin/estimate", "echo 52 GB")
    for number in range(101):
        (archive / f"inbox/{number}").touch()
    assert statuses() == ["fail", "fail", "warn"]
    (archive / "inbox").rename(archive / "moved")
    os.unlink(archive / "bin/queue-status")
    script(archive / "bin/estimate", "echo 52 GiB")
    assert statuses() == ["unknown", "unknown", "fail"]
