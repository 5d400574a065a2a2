# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module has one way in and one way out, and no secret is on either."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.command import failure_of
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, Refused
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import (
    Context,
    Result,
    finish,
    run_module,
    where_it_broke,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.leaks import assert_no_leak
from tests.module_process import module_arguments
from tests.servers import await_true

SECRET = "canary-7:9/d1f@xyz"
SPEC: Spec = {
    "password": {"type": "str", "no_log": True},
    "targets": {"type": "list", "elements": "dict", "options": {"token": {"type": "str", "no_log": True}}},
}
Body = t.Callable[[Context], Result]
Run = t.Callable[..., tuple[dict[str, t.Any], str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def go(body: Body, *, check: bool = False, **arguments: t.Any) -> tuple[dict[str, t.Any], str]:
        sent = {"password": SECRET, **arguments, "_ansible_check_mode": check, "_ansible_remote_tmp": "/tmp"}
        with module_arguments(sent), pytest.raises(SystemExit):
            run_module(SPEC, body)
        captured = capfd.readouterr()
        assert_no_leak([SECRET], captured.out + captured.err, "the module's output")
        return json.loads(captured.out), captured.err

    return go


def test_a_result_comes_out_without_its_secrets(run: Run) -> None:
    answer, _unused = run(lambda context: {"changed": True, "said": f"with {context.params['password']} in it", "n": 3})
    assert (answer["changed"], answer["said"], answer["n"]) == (True, "with ******** in it", 3)


def test_a_programs_last_words_are_cut_once_the_secret_is_out_of_them(run: Run) -> None:
    """The cut would leave the secret's end standing at the beginning, where nothing knows it any more."""

    def body(context: Context) -> Result:
        said = f"...{SECRET} is wrong" + "." * (1500 - len(SECRET[8:]) - len(" is wrong"))
        raise failure_of("tool", 1, said)

    answer, _unused = run(body)
    assert SECRET[8:] not in answer["msg"] and "is wrong...." in answer["msg"]


def test_a_secret_deep_in_a_list_of_mappings_is_masked_too(run: Run) -> None:
    def body(context: Context) -> Result:
        return {"changed": False, "seen": [{"of": context.params["targets"][0]["token"]}]}

    answer, _unused = run(body, password=None, targets=[{"token": SECRET}])
    assert answer["seen"] == [{"of": "********"}]


def test_an_error_of_the_family_is_one_clear_message(run: Run) -> None:
    def body(context: Context) -> Result:
        raise ActionFailed(
            f"Half done with {SECRET}.", remedy="Look.", known={"left_behind": [f"db_{SECRET}"], "changed": True}
        )

    answer, _unused = run(body)
    assert answer["failed"] is True
    assert answer["msg"] == "Half done with ********. Look."
    assert (answer["error"], answer["changed"], answer["left_behind"]) == ("ActionFailed", True, ["db_********"])


def test_a_refusal_changed_nothing(run: Run) -> None:
    def body(context: Context) -> Result:
        raise Refused("No.")

    answer, _unused = run(body)
    assert (answer["failed"], answer["changed"], answer["error"]) == (True, False, "Refused")


def test_a_defect_is_a_message_without_a_traceback(run: Run) -> None:
    def body(context: Context) -> Result:
        raise RuntimeError(f"boom {SECRET}")

    answer, err = run(body)
    assert answer["msg"].startswith("RuntimeError at test_guard.py:")
    assert "This is a defect" in answer["msg"]
    assert "boom" not in answer["msg"]
    assert "Traceback" not in err + json.dumps(answer)


def test_warnings_are_scrubbed_too(run: Run) -> None:
    def body(context: Context) -> Result:
        context.warn(f"mind {SECRET}")
        return {"changed": False}

    # Where a controller's parts were imported before, Ansible prints a warning instead of returning it.
    answer, err = run(body)
    assert "mind ********" in json.dumps(answer) + err


def test_check_mode_is_known_to_the_body(run: Run) -> None:
    assert run(lambda context: {"changed": False, "check": context.check_mode}, check=True)[0]["check"] is True


def test_signals_end_as_they_did_before(run: Run) -> None:
    run(lambda context: {"changed": False})
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(("failed", "key"), [(True, "failed"), (False, "finding")])
def test_a_checks_end_is_scrubbed_both_ways(capfd: pytest.CaptureFixture[str], failed: bool, key: str) -> None:
    with module_arguments({"_ansible_remote_tmp": "/tmp"}), pytest.raises(SystemExit):
        finish(AnsibleModule({}), Scrubber([SECRET]), {"finding": SECRET, "msg": "x"}, failed=failed)
    answer = json.loads(capfd.readouterr().out)
    assert answer[key]
    assert answer["finding"] == "********"


def test_the_place_of_a_defect_is_named_without_its_text() -> None:
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError(SECRET)
    assert where_it_broke(caught.value).startswith("test_guard.py:")
    assert where_it_broke(RuntimeError()) == "an unknown place"


def _ended_at(work: str, tmp_path: Path, number: signal.Signals) -> dict[str, t.Any]:
    """What a module answers whose body is at ``work`` when the signal comes; its cleanup must have run."""
    ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
    main = f"""
import contextlib, os, pathlib, time
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module
from tests.module_process import module_arguments
def wait():
    pathlib.Path({str(ready)!r}).touch()
    time.sleep(600)
class Dropped:
    def __del__(self):
        wait()
def body(context):
    try:
        {work}
        time.sleep(600)
    finally:
        os.kill(os.getpid(), {int(number)})
        pathlib.Path({str(cleaned)!r}).touch()
with module_arguments({{"_ansible_remote_tmp": "/tmp"}}):
    run_module({{}}, body)
"""
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-c", main], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}
    )
    try:
        await_true(ready.exists, seconds=60, what="the module's body")
        process.send_signal(number)
        out, _unused = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert cleaned.exists()
    answer: dict[str, t.Any] = json.loads(out)
    return answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize(
    "work",
    [
        pytest.param("wait()", id="at work"),
        pytest.param("with contextlib.suppress(Exception): wait()", id="where a failure is expected"),
        pytest.param("Dropped()", id="where Python drops what is raised"),
    ],
)
def test_a_signal_lets_the_cleanup_run_and_says_so(tmp_path: Path, work: str, number: signal.Signals) -> None:
    answer = _ended_at(work, tmp_path, number)
    assert (answer["failed"], answer["error"]) == (True, "Ended")
    assert answer["msg"] == f"The module was ended by {number.name}."
