# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups stay."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions.retention import (
    PERIODS,
    SPEC,
    kept,
    missing,
    require_rules,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

NOTHING = {name: option["default"] for name, option in SPEC.items()}
UTC = datetime.timezone.utc


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(count: int) -> dict[str, datetime.datetime]:
    """A backup on each full hour before the first of March, named by its age in hours."""
    return {f"{age:04}": at("2026-03-01T00:00") - datetime.timedelta(hours=age) for age in range(count)}


def test_the_newest_of_each_period_that_has_one_stays() -> None:
    moments = {
        "monday": at("2026-11-16T03:00"),
        "monday again": at("2026-11-16T23:59:59"),
        "tuesday": at("2026-11-17T03:00"),
        "sunday": at("2026-11-22T03:00"),
    }
    assert set(kept(moments, {**NOTHING, "daily": 2})) == {"sunday", "tuesday"}
    assert set(kept(moments, {**NOTHING, "daily": 3})) == {"sunday", "tuesday", "monday again"}
    # ISO weeks begin on Mondays, so all four are of one.
    assert set(kept(moments, {**NOTHING, "weekly": 5})) == {"sunday"}


def test_the_turn_of_a_year_is_no_turn_of_a_week() -> None:
    moments = {"thursday": at("2026-12-31T12:00"), "friday": at("2027-01-01T12:00")}
    assert set(kept(moments, {**NOTHING, "weekly": 2})) == {"friday"}
    assert set(kept(moments, {**NOTHING, "yearly": 2})) == {"friday", "thursday"}


def test_rules_are_united_and_named() -> None:
    found = kept(hours(100), {**NOTHING, "last": 2, "hourly": 3, "daily": 2})
    assert found == {
        "0000": ["last", "hourly", "daily"],
        "0001": ["last", "hourly", "daily"],
        "0002": ["hourly"],
    }


def test_at_least_so_many_stay() -> None:
    found = kept(hours(5), {**NOTHING, "yearly": 1, "min_keep": 3})
    assert list(found) == ["0000", "0001", "0002"]
    assert found["0002"] == ["min_keep"]
    assert len(kept(hours(2), {**NOTHING, "last": 1, "min_keep": 9})) == 2


@pytest.mark.parametrize(
    ("rules", "said"),
    [({}, "no rule"), ({"last": 1, "min_keep": 0}, "no way back"), ({"daily": -1}, "keep.daily is -1")],
)
def test_rules_that_would_keep_nothing_are_refused(rules: dict[str, int], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        require_rules({**NOTHING, **rules})


moments_of = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=6),
    st.integers(0, 40 * 366 * 24 * 3600).map(
        lambda seconds: at("2000-01-01T00:00") + datetime.timedelta(seconds=seconds)
    ),
)
rules_of = st.fixed_dictionaries(
    {name: st.integers(0, 6) for name in ("last", *PERIODS)} | {"min_keep": st.integers(1, 6)}
)


@given(moments_of, rules_of)
def test_the_newest_always_stays_and_never_more_than_asked(
    moments: dict[str, datetime.datetime], rules: dict[str, int]
) -> None:
    found = kept(moments, rules)
    assert set(found) <= set(moments)
    assert len(found) >= min(len(moments), rules["min_keep"])
    assert len(found) <= max(rules["min_keep"], sum(rules[name] for name in ("last", *PERIODS)))
    if moments:
        assert max(moments, key=lambda name: (moments[name], name)) in found


@given(moments_of, rules_of)
def test_what_was_removed_once_is_not_missed_the_next_time(
    moments: dict[str, datetime.datetime], rules: dict[str, int]
) -> None:
    found = kept(moments, rules)
    assert set(kept({name: moments[name] for name in found}, rules)) == set(found)


@given(moments_of, rules_of, st.data())
def test_the_newest_of_those_proven_best_stays_and_costs_one_at_most(
    moments: dict[str, datetime.datetime], rules: dict[str, int], draw: st.DataObject
) -> None:
    proofs = {name: draw.draw(st.integers(0, 2)) for name in sorted(moments)}
    found = kept(moments, rules, proofs=proofs)
    if moments:
        best = [name for name in moments if proofs[name] == max(proofs.values())]
        assert "proof" in found[max(best, key=lambda name: (moments[name], name))]
    assert len(set(found) - set(kept(moments, rules))) <= 1
    left = {name: moments[name] for name in found}
    assert set(kept(left, rules, proofs={name: proofs[name] for name in found})) == set(found)


def test_seven_nights_of_copies_do_not_remove_the_restored_one() -> None:
    nights = hours(10)
    proofs = {name: 2 if name == "0008" else 0 for name in nights}
    found = kept(nights, {**NOTHING, "last": 7}, proofs=proofs)
    assert found["0008"] == ["proof"]
    assert "0007" not in found and "0009" not in found


# ---- what should be there


def days(*numbers: int) -> list[datetime.datetime]:
    """A backup on each of these days of November."""
    return [at(f"2026-11-{number:02d}T03:00") for number in numbers]


@pytest.mark.parametrize(
    ("rules", "there", "lacking"),
    [
        ({"daily": 3}, days(20, 21, 22), {"daily": []}),
        ({"daily": 3}, days(20, 22), {"daily": ["2026-11-21"]}),
        ({"daily": 3}, days(22), {"daily": ["2026-11-21", "2026-11-20"]}),
        # older ones stand in for nobody
        ({"daily": 3}, days(1, 2, 3, 22), {"daily": ["2026-11-21", "2026-11-20"]}),
        ({"hourly": 2}, days(22), {"hourly": ["2026-11-22T02"]}),
        ({"weekly": 3}, days(8, 22), {"weekly": ["2026-W46"]}),
        ({"monthly": 3}, [at("2026-01-31T00:00"), at("2025-11-30T00:00")], {"monthly": ["2025-12"]}),
        ({"yearly": 2}, days(22), {"yearly": ["2025"]}),
        ({"last": 5, "min_keep": 5}, days(22), {}),
    ],
)
def test_a_period_without_a_backup_is_named(
    rules: dict[str, int], there: list[datetime.datetime], lacking: dict[str, list[str]]
) -> None:
    assert missing(there, {**NOTHING, **rules}) == lacking


def test_nothing_is_asked_of_a_time_before_the_first() -> None:
    rules = {**NOTHING, "daily": 30, "weekly": 8, "monthly": 12, "yearly": 1_000_000, "hourly": 3}
    first = at("2026-11-20T12:00")
    assert missing(days(20, 21, 22), rules, first=first) == {
        "hourly": ["2026-11-22T02", "2026-11-22T01"],
        "daily": [],
        "weekly": [],
        "monthly": [],
        "yearly": [],
    }
    assert missing(days(22), rules, first=first)["daily"] == ["2026-11-21", "2026-11-20"]
    assert missing(days(22), rules)["yearly"][-1] == "1996"


rules_of = st.fixed_dictionaries({name: st.integers(0, 20) for name in (*PERIODS, "last", "min_keep")})
instants = st.integers(1_600_000_000, 2**31).map(lambda seconds: datetime.datetime.fromtimestamp(seconds, UTC))


@given(st.lists(instants, min_size=1, max_size=20), rules_of)
def test_what_is_missing_is_missing_and_what_is_kept_is_not(
    moments: list[datetime.datetime], rules: dict[str, int]
) -> None:
    lacking = missing(moments, rules)
    named = {str(number): moment for number, moment in enumerate(moments)}
    for rule, periods in lacking.items():
        assert len(periods) < rules[rule]
        assert len(set(periods)) == len(periods)
        # Where no period is missing, the rule keeps one of each of them.
        if not periods:
            kept_by = [name for name, why in kept(named, rules).items() if rule in why]
            assert len(kept_by) == rules[rule]
    assert missing(moments, rules, first=max(moments)) == {rule: [] for rule in lacking}
