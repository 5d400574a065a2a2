# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many items at once: each gets an answer in the list's order, and one that hangs takes nothing from the others."""

from __future__ import annotations

import os
import signal
import sys
import threading
import types
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import (
    judge_all,
    with_secrets,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import holds
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import ended_by_signals
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber

#: Seconds that no step of a test takes on a machine at work.
LONG = 60.0
SECRET = "canary-9:c/1d@2e"


class Check:
    """A check that does what its parameter says."""

    NAME = "check_fake"
    ARGUMENT_SPEC: t.ClassVar[dict[str, t.Any]] = {
        "do": {"type": "str", "default": "pass"}, "password": {"type": "str", "no_log": True}, "number": {"type": "int"},
    }  # fmt: skip
    CONSTRAINTS: t.ClassVar[dict[str, t.Any]] = {}

    def __init__(self) -> None:
        self.release = threading.Event()
        self.has_trace = threading.Event()
        self.removed = 0
        self.shared = 0
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()

    def gather(self, params: dict[str, t.Any], *, run: Run) -> dict[str, t.Any]:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self._gather(params, run)
        finally:
            with self.lock:
                self.at_once -= 1

    def _gather(self, params: dict[str, t.Any], run: Run) -> dict[str, t.Any]:
        do = params["do"]
        if do == "hang":
            self.release.wait()
        if do == "trace":
            with run.trace():
                self.has_trace.set()
                self.release.wait(LONG)
                self.removed += 1
        if do == "exit":
            raise SystemExit(3)
        if do == "interrupt":
            raise KeyboardInterrupt
        if do == "raise":
            raise RuntimeError(f"with {params['password']}")
        if do == "share":
            run.once("fact", self._count)
        return {"do": do, "password": params["password"], "check_mode": run.check_mode}

    def _count(self) -> int:
        self.shared += 1
        return self.shared

    def judge(self, facts: dict[str, t.Any], params: dict[str, t.Any]) -> t.Iterator[t.Any]:
        yield holds("it", facts["do"] != "fail", measured=facts["do"], expected="anything but fail")

    def evidence(self, facts: dict[str, t.Any]) -> dict[str, t.Any]:
        return dict(facts)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Check]:
    made = Check()
    monkeypatch.setattr(registry, "_NAMES", ("check_fake",))
    monkeypatch.setitem(sys.modules, f"{registry.__package__}.check_fake", t.cast(types.ModuleType, made))
    yield made
    made.release.set()


def _items(*does: str, timeout: float = 30.0, **params: t.Any) -> list[dict[str, t.Any]]:
    return [
        {"id": f"i{number}", "check": "check_fake", "params": {"do": do, **params}, "timeout": timeout}
        for number, do in enumerate(does)
    ]


def _judge(items: list[dict[str, t.Any]], secrets: t.Sequence[t.Any] = (), **more: t.Any) -> list[dict[str, t.Any]]:
    return judge_all(items, secrets, **{"timeout_seconds": 60.0, "scrub": Scrubber([SECRET]), **more})


def test_every_item_gets_its_finding_in_the_lists_order(check: Check) -> None:
    does = ["pass", "fail", "raise", "pass"] * 60
    findings = _judge(_items(*does, password=SECRET))
    assert [finding["id"] for finding in findings] == [f"i{number}" for number in range(240)]
    expected = {"pass": "pass", "fail": "fail", "raise": "unknown"}
    assert [finding["status"] for finding in findings] == [expected[do] for do in does]
    assert SECRET not in repr(findings)


def test_nothing_asked_is_nothing_answered(check: Check) -> None:
    assert _judge([]) == []


def test_items_run_at_the_same_time_and_no_more_than_asked_for(check: Check) -> None:
    _judge(_items(*["share"] * 100), workers=4)
    assert check.shared == 1
    assert check.most_at_once <= 4


def test_one_that_hangs_is_unknown_within_its_limit_and_the_others_pass(check: Check) -> None:
    items = _items("hang", "hang", *["pass"] * 20, timeout=0.2)
    findings = _judge(items, workers=2)  # both workers hang at first: others take their place
    assert [finding["status"] for finding in findings] == ["unknown"] * 2 + ["pass"] * 20
    assert findings[0]["summary"] == "No answer within 0.2 s."
    assert findings[0]["seconds"] >= 0.2


def test_an_answer_that_comes_too_late_changes_nothing(check: Check) -> None:
    findings = _judge(_items("hang", "pass", timeout=0.1))
    check.release.set()
    assert findings[0]["status"] == "unknown"


def test_the_whole_limit_leaves_what_was_done_and_names_the_rest(check: Check) -> None:
    findings = _judge(_items("pass", "hang", "pass"), workers=1, timeout_seconds=0.5)
    assert [finding["status"] for finding in findings] == ["pass", "unknown", "unknown"]
    assert findings[1]["summary"] == "The whole list's limit of 0.5 s was reached; this item was still at work."
    assert findings[2]["summary"] == "The whole list's limit of 0.5 s was reached; this item had not begun."


def _soon(check: Check, then: t.Callable[[], None] = lambda: None) -> threading.Thread:
    """Once the trace is there: do something, and let it be removed a while later."""

    def work() -> None:
        assert check.has_trace.wait(LONG)
        then()
        check.release.wait(1.0)
        check.release.set()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_trace_is_removed_before_the_list_ends(check: Check) -> None:
    soon = _soon(check)
    findings = _judge(_items("trace", timeout=0.2), timeout_seconds=0.5)
    soon.join()
    assert (findings[0]["status"], check.removed) == ("pass", 1)


def test_a_signal_ends_the_list_with_what_it_has_when_no_trace_is_left(check: Check) -> None:
    soon = _soon(check, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with ended_by_signals():
        findings = _judge(_items("pass", "trace", "pass"), workers=1)
    soon.join()
    assert check.removed == 1
    assert [finding["status"] for finding in findings] == ["pass", "pass", "unknown"]
    assert findings[2]["summary"] == "The module was ended by SIGTERM; this item had not begun."


def test_a_signal_while_the_threads_start_ends_the_list_too(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if check.has_trace.wait(LONG):
            os.kill(os.getpid(), signal.SIGTERM)

    soon = _soon(check)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with ended_by_signals():
        findings = _judge(_items("trace", "pass"), workers=1)
    soon.join()
    assert check.removed == 1
    assert [finding["status"] for finding in findings] == ["pass", "unknown"]


@pytest.mark.parametrize(("do", "name"), [("exit", "SystemExit"), ("interrupt", "KeyboardInterrupt")])
def test_a_check_that_tries_to_end_the_module_is_unknown_at_once(check: Check, do: str, name: str) -> None:
    findings = _judge(_items(do, "pass"), workers=1)
    assert [finding["status"] for finding in findings] == ["unknown", "pass"]
    assert findings[0]["summary"].startswith(f"{name} at test_checklist_runner.py:")


def test_a_check_that_cannot_be_imported_is_unknown_at_once(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    load = registry.load

    def half_broken(name: str) -> registry.Check:
        if name == "check_broken":
            raise SyntaxError(f"near {SECRET}")
        return load(name)

    monkeypatch.setattr(registry, "load", half_broken)
    findings = _judge([{"id": "b", "check": "check_broken", "params": {}, "timeout": 30.0}, *_items("pass")])
    assert (findings[0]["status"], findings[1]["status"]) == ("unknown", "pass")
    assert "SyntaxError" in findings[0]["summary"]
    assert SECRET not in findings[0]["summary"]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"check": "check_nothing", "params": {}}, "There is no check 'check_nothing'"),
        ({"check": "check_fake", "params": {"number": "many"}}, "check_fake: "),
        ({"check": "check_fake", "params": {"typo": 1}}, "typo"),
        (
            {"check": "check_fake", "params": {"password": {registry.REFERENCE: 7}}},
            "An item refers to a secret that was not sent.",
        ),
    ],
)
def test_an_item_that_cannot_be_meant_is_unknown_and_says_why(check: Check, item: dict[str, t.Any], said: str) -> None:
    finding = _judge([{"id": "x", "timeout": 30.0, **item}])[0]
    assert finding["status"] == "unknown"
    assert said in finding["summary"]


def test_secrets_reach_the_check_and_not_the_finding(check: Check) -> None:
    items = _items("pass", "raise", password={registry.REFERENCE: 1})
    findings = _judge(items, ["other-secret", SECRET])
    assert findings[0]["evidence"]["password"] == "********"
    assert "with ********" in findings[1]["summary"]


def test_check_mode_is_known_to_every_item(check: Check) -> None:
    assert _judge(_items("pass"), check_mode=True)[0]["evidence"]["check_mode"] is True


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_what_holds_no_reference_is_left_as_it_is(value: t.Any) -> None:
    assert with_secrets(value, []) == value


@given(st.lists(st.text(), min_size=1), st.data())
def test_every_reference_becomes_its_secret(secrets: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(secrets) - 1))
    assert with_secrets([{"deep": {"password": {registry.REFERENCE: index}}}], secrets) == [
        {"deep": {"password": secrets[index]}}
    ]


@pytest.mark.parametrize("index", [-1, 1, "0", None, 0.0])
def test_a_reference_to_nothing_is_refused(index: t.Any) -> None:
    with pytest.raises(BadInput):
        with_secrets({registry.REFERENCE: index}, ["only one"])
