# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An item says what it means, or one error names the item and every key at fault."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.plugin_utils.checklist_items import (
    Item,
    check_keys,
    check_params,
    duplicates,
    kind_of,
    label,
    parse,
    seconds_of,
)


def _raw(**changes: t.Any) -> dict[str, t.Any]:
    item = {"id": "a", "title": "About a", "check_host": {"min_cpus": 1}, **changes}
    return {key: value for key, value in item.items() if value != "absent"}


def test_an_item_needs_little_and_gets_the_rest_by_default() -> None:
    item = parse(_raw(), 0)
    assert (item.phases, item.severity, item.hosts, item.timeout_seconds) == (
        ("pre_deploy",),
        "blocker",
        "controller",
        10.0,
    )
    assert (item.max_age_seconds, item.when, item.reason, item.owner, item.satisfies) == (None, True, "", "", ())
    assert (item.check, item.params, item.sign_off) == ("check_host", {"min_cpus": 1}, None)
    assert item.described() == {
        "id": "a", "title": "About a", "phase": ["pre_deploy"], "severity": "blocker", "satisfies": [], "owner": "",
    }  # fmt: skip


def test_an_item_can_say_everything() -> None:
    item = parse(
        _raw(phase=["smoke", "watch"], severity="warning", hosts="web", satisfies=["S1.1", "S0.2"], owner="ops", max_age="1h",
             timeout="2m", when="x is defined", reason="only there"),
        0,
    )  # fmt: skip
    assert (item.phases, item.severity, item.hosts, item.satisfies) == (
        ("smoke", "watch"),
        "warning",
        "web",
        ("S1.1", "S0.2"),
    )
    assert (item.max_age_seconds, item.timeout_seconds, item.when, item.reason) == (
        3600,
        120,
        "x is defined",
        "only there",
    )


def test_a_check_without_options_is_a_check() -> None:
    assert parse(_raw(check_host=None), 0).params == {}


def test_a_signature_has_a_team_and_may_end() -> None:
    item = parse(_raw(check_host="absent", sign_off={"team": "backend", "expires_after": "7d"}), 0)
    assert item.check == "sign_off"
    assert item.sign_off == {"team": "backend", "expires_after": "7d", "binds_to": "release", "asks": [], "hours": None}


def test_a_signature_that_is_bound_to_nothing_has_an_end() -> None:
    with pytest.raises(BadInput, match="needs expires_after with binds_to: none"):
        parse(_raw(check_host="absent", sign_off={"team": "backend", "binds_to": "none"}), 0)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (None, "item 3 of the list is nothing, expected a mapping"),
        ({}, "item 3 of the list: id is missing"),
        (_raw(check_host="absent"), "item a: exactly one check_* or sign_off is needed, found none"),
        (_raw(check_tls={}), "found check_host, check_tls"),
        (_raw(check_x={}), "there is no check 'check_x'"),
        (_raw(titel="x"), "unknown key 'titel' (did you mean title?)"),
        (_raw(chek_host="x"), "unknown key 'chek_host' (did you mean check_host?)"),
        (_raw(on=True), "unknown key 'on'"),
        (_raw(id="a b"), "item a b: id is missing or not of letters"),
        (_raw(id=7), "item 3 of the list: id is missing or not of letters"),
        (_raw(id="a" * 129), "not of letters"),
        (_raw(max_age="a while"), "max_age is 'a while', expected a duration"),
        (_raw(timeout="-1s"), "timeout is '-1s', expected a duration"),
        (_raw(timeout=True), "timeout is True, expected a duration"),
        (_raw(timeout=0), "timeout is not above 0"),
        (_raw(when=False), "when needs a reason"),
        (_raw(when="x"), "when needs a reason"),
        (_raw(severity="critical"), "severity 'critical' is not one of blocker, warning"),
        (_raw(phase="deploy"), "phase 'deploy' is not one of pre_deploy"),
        (_raw(phase=[]), "phase is empty"),
        (_raw(check_host="min_cpus"), "check_host is a text, expected a mapping of its options"),
        (_raw(check_host="absent", sign_off={}), "sign_off: missing required arguments: team"),
        (_raw(check_host="absent", sign_off={"team": "x", "binds_to": "y"}), "binds_to"),
    ],
)
def test_what_cannot_be_meant_is_refused(raw: t.Any, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(raw, 2)
    assert said in caught.value.message


def test_all_faults_of_an_item_are_said_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        parse(_raw(titel="x", severity="bad", timeout="long", title=""), 0)
    for part in ("titel", "severity 'bad'", "timeout is 'long'", "title is missing"):
        assert part in caught.value.message


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
    st.sampled_from(["id", "title", "phase", "severity", "hosts", "when", "reason", "timeout", "max_age", "sign_off", "satisfies",
                     "check_host", "check_tls", "owner", "x"]), inner, max_size=6), max_leaves=12))  # fmt: skip
def test_whatever_stands_in_the_list_is_an_item_or_a_clear_error(raw: t.Any) -> None:
    try:
        item = parse(raw, 0)
    except BadInput as problem:
        said = problem.message
    else:
        said = f"item of {item.check}"
        assert isinstance(item, Item)
        assert item.check in (*registry.names(), "sign_off")
    assert said.startswith("item ")


@given(st.integers(min_value=0, max_value=10**6), st.sampled_from(["s", "m", "h", "d", "w"]))
def test_durations_are_read_with_their_unit(number: int, unit: str) -> None:
    seconds = seconds_of(f"{number}{unit}", where="x")
    assert seconds == number * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[unit]
    assert seconds_of(f" {number} {unit} ", where="x") == seconds
    assert seconds_of(number, where="x") == seconds_of(str(number), where="x") == number


@pytest.mark.parametrize("duration", ["", "h", "1y", "1h30m", "-5", None, True, [], "1 000"])
def test_what_is_no_duration_is_refused(duration: t.Any) -> None:
    with pytest.raises(BadInput, match=r"max_age is .*, expected a duration"):
        seconds_of(duration, where="max_age")


def test_options_are_judged_by_the_checks_own_spec() -> None:
    item = parse(_raw(), 0)
    check_params(item, {"min_cpus": "2"})
    with pytest.raises(BadInput, match="item a: check_host: "):
        check_params(item, {"min_cpus": "two"})
    with pytest.raises(BadInput, match="item a: check_host: one of the following is required"):
        check_params(item, {})


def test_the_names_of_options_are_judged_before_their_values_are_known() -> None:
    item = parse(_raw(), 0)
    check_keys(item, {"min_cpus": None, "disk": None})
    with pytest.raises(BadInput, match=r"item a: check_host: unknown key 'min_cpu' \(did you mean min_cpus\?\)"):
        check_keys(item, {"min_cpu": None})


def test_an_unknown_key_deep_inside_says_which_was_meant() -> None:
    item = parse(_raw(), 0)
    with pytest.raises(BadInput, match=r"item a: check_host: unknown key 'files.pth' \(did you mean path\?\)\."):
        check_params(item, {"files": [{"path": "/a"}, {"pth": "/b"}, {"pth": "/c"}]})


def test_ids_that_stand_twice_are_found_in_order() -> None:
    items = [parse(_raw(id=identity), 0) for identity in "bacab"]
    assert duplicates(items) == ["b", "a"]
    assert duplicates(items[:3]) == []


@pytest.mark.parametrize(
    ("value", "word"),
    [({}, "a mapping"), ([], "a list"), ((), "a list"), ("", "a text"), (True, "a boolean"), (1, "a number"), (1.5, "a number"),
     (None, "nothing"), (datetime.date(2026, 1, 1), "date")],
)  # fmt: skip
def test_a_value_is_called_by_yamls_words(value: t.Any, word: str) -> None:
    assert kind_of(value) == word


def test_an_item_is_named_by_its_id_or_its_place() -> None:
    assert label({"id": "a"}, 4) == "item a"
    assert label({"id": 3}, 4) == label({"id": ""}, 4) == label("x", 4) == "item 5 of the list"
