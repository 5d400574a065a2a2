# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_s3 judges plain facts; one line per case."""

from __future__ import annotations

import dataclasses
import datetime
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_s3 as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_s3 import (
    Bucket,
    Canary,
    Facts,
    Newest,
    Rule,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients.s3 import region_of
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

RULE = Rule("old", "", True, 30, None)
PAST = Rule("old", "", True, None, None, "2020-01-01", True)
OLD_VERSIONS = dataclasses.replace(RULE, days=None, noncurrent_days=7)
NO_VERSIONS = {"versioning": "never enabled"}
TO_COME = dataclasses.replace(PAST, date="2100-01-01", is_date_past=False)
BUCKET = Bucket(
    name="docs",
    is_there=True,
    versioning="enabled",
    encryption="AES256",
    rules=(RULE,),
    lock_enabled=True,
    lock_mode="COMPLIANCE",
    lock_days=7,
    is_public=False,
    canary=None,
    unread={},
    has_public_policy=False,
)
NEWEST = Newest("docs", "a/", "a/1", 60.0, 1000, 5, True)


def params(**options: t.Any) -> dict[str, t.Any]:
    return validated(check.ARGUMENT_SPEC, {"buckets": ["docs"], **options}, where="test")


def judged(
    options: t.Mapping[str, t.Any], *, newest: t.Sequence[Newest] = (), skew: float | None = 1.0, **bucket: t.Any
) -> Judgement:
    facts = Facts("http://h", (dataclasses.replace(BUCKET, **bucket),), tuple(newest), skew)
    return Judgement.of(check.judge(facts, params(**options)))


SHUT, OPEN = (Canary("came back", 0.1, None, is_public=answer) for answer in (False, True))
WANTED = {"newest": [{"bucket": "docs", "prefix": "a/", "max_age": 60, "min_size": 1000}]}
CASES: list[tuple[dict[str, t.Any], dict[str, t.Any], str, str]] = [
    ({}, {}, "pass", "All hold"),
    ({}, {"is_there": False}, "fail", "Bucket docs is missing"),
    ({}, {"skew": 301.0}, "fail", "Clock difference to the object store is 301 s"),
    ({}, {"skew": None}, "pass", "Bucket docs is there"),
    ({"versioning": "enabled"}, {}, "pass", "All hold"),
    ({"versioning": "enabled"}, {"versioning": "suspended"}, "fail", "Versioning of docs is suspended"),
    ({"versioning": "disabled"}, {"versioning": "never enabled"}, "pass", "All hold"),
    (
        {"versioning": "enabled"},
        {"versioning": None, "unread": {"versioning": "no."}},
        "unknown",
        "docs is unknown: no.",
    ),
    ({"encryption": "required"}, {}, "pass", "All hold"),
    ({"encryption": "required"}, {"encryption": "none"}, "fail", "Encryption of docs is none"),
    ({"encryption": "required"}, {"encryption": None}, "unknown", "Encryption of docs is unknown"),
    (
        {"lifecycle": "required"},
        {"rules": (dataclasses.replace(RULE, is_enabled=False),)},
        "fail",
        "rules of docs is 0",
    ),
    ({"lifecycle": "required"}, {"rules": None}, "unknown", "Lifecycle of docs is unknown"),
    ({"min_retention_days": 31}, {}, "fail", "Shortest retention of docs is 30 days"),
    ({"min_retention_days": 31}, {"rules": ()}, "pass", "All hold"),
    ({"max_retention_days": 29}, {}, "fail", "Longest retention of docs is 30 days"),
    ({"max_retention_days": 30}, NO_VERSIONS, "pass", "All hold"),
    (
        {"max_retention_days": 30},
        {},
        "fail",
        "no rule expires old versions, which stay when an object expires (rule old removes objects)",
    ),
    ({"max_retention_days": 30}, {"versioning": "suspended"}, "fail", "no rule expires old versions"),
    (
        {"max_retention_days": 30},
        {"versioning": None, "unread": {"versioning": "no."}},
        "unknown",
        "Versioning of docs is unknown: no.",
    ),
    ({"max_retention_days": 37}, {"rules": (RULE, OLD_VERSIONS)}, "pass", "All hold"),
    ({"max_retention_days": 36}, {"rules": (RULE, OLD_VERSIONS)}, "fail", "Longest retention of docs is 37 days"),
    (
        {"max_retention_days": 37},
        {"rules": (RULE, dataclasses.replace(OLD_VERSIONS, prefix="a/"))},
        "fail",
        "no rule expires old versions",
    ),
    ({"max_retention_days": 30}, {"rules": ()}, "fail", "Longest retention of docs is without limit"),
    (
        {"min_retention_days": 30},
        {"rules": (dataclasses.replace(RULE, noncurrent_days=3),)},
        "fail",
        "Shortest retention of docs is 3 days",
    ),
    (
        {"min_retention_days": 30},
        {"rules": (RULE, dataclasses.replace(RULE, days=3, prefix="a/", is_filtered=True))},
        "fail",
        "Shortest retention of docs is 3 days",
    ),
    (
        {"min_retention_days": 30},
        {"rules": (PAST,)},
        "fail",
        "rule old removes objects since 2020-01-01 of whatever age",
    ),
    (
        {"min_retention_days": 30},
        {"rules": (TO_COME,)},
        "fail",
        "rule old removes objects on 2100-01-01 of whatever age",
    ),
    ({"max_retention_days": 0}, {**NO_VERSIONS, "rules": (PAST,)}, "pass", "All hold"),
    (
        {"max_retention_days": 30},
        {"rules": (TO_COME,)},
        "fail",
        "without limit, as no rule expires all of it (rule old removes objects on 2100-01-01), expected at most 30 days",
    ),
    (
        {"max_retention_days": 30},
        {"rules": (dataclasses.replace(RULE, prefix="logs/"),)},
        "fail",
        "(rule old removes objects under logs/)",
    ),
    (
        {"max_retention_days": 30},
        {"rules": (dataclasses.replace(RULE, is_filtered=True),)},
        "fail",
        "(rule old removes objects of some tag or size)",
    ),
    (
        {"max_retention_days": 30},
        {"rules": (dataclasses.replace(RULE, days=None, noncurrent_days=3),)},
        "fail",
        "(rule old removes old versions)",
    ),
    (
        {"max_retention_days": 30},
        {**NO_VERSIONS, "rules": (RULE, dataclasses.replace(RULE, days=400, is_filtered=True))},
        "pass",
        "All hold",
    ),
    (
        {"max_retention_days": 30},
        {"rules": (dataclasses.replace(RULE, noncurrent_days=31),)},
        "fail",
        "Longest retention of docs is 61 days",
    ),
    ({"object_lock": "required"}, {}, "pass", "All hold"),
    ({"object_lock": "required"}, {"lock_enabled": False}, "fail", "Object lock of docs is not enabled"),
    ({"object_lock": "required"}, {"lock_enabled": None}, "unknown", "Object lock of docs is unknown"),
    ({"min_lock_days": 8}, {}, "fail", "Default retention of docs is 7 days"),
    ({"min_lock_days": 8}, {"lock_days": None}, "fail", "Default retention of docs is 0 days"),
    ({"public_access": "refused"}, {}, "pass", "All hold"),
    ({"public_access": "refused"}, {"is_public": True}, "fail", "Public access to docs is anybody may list it"),
    ({"public_access": "refused"}, {"is_public": None}, "unknown", "Public access of docs is unknown"),
    (
        {"public_access": "refused"},
        {"has_public_policy": True, "unread": {"public access block": "denied."}},
        "unknown",
        "docs lets everybody in, unless a public access block keeps it from counting, which is unknown: denied.",
    ),
    ({"public_access": "refused"}, {"has_public_policy": True, "canary": SHUT}, "unknown", "The policy of docs lets"),
    ({"public_access": "refused"}, {"has_public_policy": True, "canary": OPEN}, "fail", "anybody may read its objects"),
    ({"public_access": "refused"}, {"has_public_policy": None, "is_blocked": True}, "pass", "All hold"),
    ({"public_access": "refused"}, {"has_public_policy": True, "is_blocked": True}, "pass", "All hold"),
    ({"public_access": "refused"}, {"has_public_policy": True, "is_blocked": False}, "fail", "lets everybody in"),
    (
        {"public_access": "refused"},
        {"has_public_policy": None},
        "unknown",
        "anybody may read objects of docs is unknown",
    ),
    ({"public_access": "refused"}, {"has_public_policy": None, "canary": SHUT}, "pass", "All hold"),
    ({"public_access": "refused"}, {"canary": OPEN}, "fail", "Public access to docs is anybody may read its objects"),
    ({"public_access": "refused"}, {"is_public": None, "canary": OPEN}, "fail", "anybody may read its objects"),
    ({"expected_region": "eu-central-1"}, {"region": "eu-central-1"}, "pass", "All hold"),
    (
        {"expected_region": "eu-central-1"},
        {"region": "us-east-1"},
        "fail",
        "Region of docs is us-east-1, expected eu-cen",
    ),
    ({"expected_region": "eu-central-1"}, {"region": None}, "unknown", "Region of docs is unknown: it was not read"),
    ({"canary": True}, {"canary": Canary("came back", 0.1, None)}, "pass", "All hold"),
    (
        {"canary": True},
        {"canary": Canary("not run in check mode", None, None, "check mode")},
        "unknown",
        "was not run in check mode",
    ),
    (
        {"canary": True},
        {"canary": Canary("refused: denied.", None, None)},
        "fail",
        "Canary in docs is refused: denied, ",
    ),
    (
        {"canary": True},
        {"canary": Canary("came back", 0.1, "s3://docs/c (denied)")},
        "fail",
        "Clean-up in docs is left behind s3://docs/c (denied)",
    ),
    (WANTED, {"newest": [NEWEST]}, "pass", "All hold"),
    (
        WANTED,
        {"newest": [dataclasses.replace(NEWEST, age_seconds=61.0)]},
        "fail",
        "newest object in s3://docs/a/ is 61 s",
    ),
    (WANTED, {"newest": [dataclasses.replace(NEWEST, age_seconds=None)]}, "unknown", "could not be read"),
    (WANTED, {"newest": [dataclasses.replace(NEWEST, size_bytes=999)]}, "fail", "is 999 bytes"),
    (WANTED, {"newest": [dataclasses.replace(NEWEST, is_complete=False)]}, "unknown", "more than 5 objects"),
    (WANTED, {"newest": [dataclasses.replace(NEWEST, key=None, listed=0)]}, "fail", "Objects in s3://docs/a/ is 0"),
    (WANTED, {}, "unknown", "its bucket was not read"),
]


@pytest.mark.parametrize(("options", "seen", "status", "said"), CASES)
def test_one_fact_decides(options: dict[str, t.Any], seen: dict[str, t.Any], status: str, said: str) -> None:
    judgement = judged(options, **seen)
    assert judgement.status == status, judgement.summary
    assert said in judgement.summary


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"buckets": []}, "buckets is an empty list"),
        ({"newest": []}, "newest is an empty list"),
        ({"canary_bytes": 0}, "canary_bytes must be between 1 and 8388608"),
        ({"access_key": "only"}, "belong together"),
    ],
)
def test_bad_input_is_refused(options: dict[str, t.Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        check.gather(params(**options), run=Run(timeout_seconds=1))


def test_evidence_is_json() -> None:
    facts = Facts("http://h", (BUCKET,), (NEWEST,), 0.5)
    assert json.loads(json.dumps(check.evidence(facts)))["buckets"][0]["rules"][0]["days"] == 30


NOW = datetime.datetime(2026, 11, 23, tzinfo=datetime.timezone.utc)


def rule_of(**told: t.Any) -> Rule:
    return check._rule({"Status": "Enabled", **told}, NOW)


def test_rules_are_read_in_every_form_that_servers_use() -> None:
    named = rule_of(ID="a", Filter={"Prefix": "x/"}, Expiration={"Days": 3})
    assert named == Rule("a", "x/", True, 3, None)
    nested = rule_of(
        Status="Disabled",
        Filter={"And": {"Prefix": "y/"}},
        NoncurrentVersionExpiration={"NoncurrentDays": 4},
    )
    assert nested == Rule("", "y/", False, None, 4)
    assert rule_of(Prefix="z/") == Rule("", "z/", True, None, None)


@pytest.mark.parametrize(
    ("condition", "is_filtered"),
    [
        ({}, False),
        ({"Prefix": ""}, False),
        ({"And": {"Prefix": "y/"}}, False),
        ({"Tag": {"Key": "temporary", "Value": "1"}}, True),
        ({"ObjectSizeGreaterThan": 1}, True),
        ({"ObjectSizeLessThan": 9}, True),
        ({"And": {"Prefix": "", "Tags": [{"Key": "temporary", "Value": "1"}]}}, True),
        ({"And": {"Prefix": "", "ObjectSizeLessThan": 9}}, True),
    ],
)
def test_a_rule_by_tag_or_size_is_known_as_such(condition: dict[str, t.Any], is_filtered: bool) -> None:
    assert rule_of(Filter=condition, Expiration={"Days": 3}).is_filtered is is_filtered


@pytest.mark.parametrize(("moved", "is_past"), [(datetime.timedelta(), True), (datetime.timedelta(days=1), False)])
def test_a_date_counts_from_its_day_on(moved: datetime.timedelta, is_past: bool) -> None:
    for date in (NOW + moved, (NOW + moved).replace(tzinfo=None)):
        rule = rule_of(Expiration={"Date": date})
        assert (rule.date, rule.is_date_past) == ((NOW + moved).date().isoformat(), is_past)


@pytest.mark.parametrize(
    ("age", "status"), [(-1.0, "pass"), (-300.0, "pass"), (-301.0, "unknown"), (60.0, "pass"), (61.0, "fail")]
)
def test_an_object_of_the_future_has_no_age(age: float, status: str) -> None:
    found = judged(WANTED, newest=[dataclasses.replace(NEWEST, age_seconds=age)])
    assert found.status == status
    if status == "unknown":
        assert "the store's clock says that a/1 was written 301 s after what this host's clock shows" in found.summary


@given(days=st.lists(st.integers(1, 5000), min_size=1, max_size=5), low=st.integers(1, 5000), high=st.integers(1, 5000))
def test_retention_holds_exactly_when_every_rule_is_within_bounds(days: list[int], low: int, high: int) -> None:
    rules = tuple(Rule(str(number), "", True, number, None) for number in days)
    status = judged({"min_retention_days": low, "max_retention_days": high}, rules=rules, **NO_VERSIONS).status
    assert (status == "pass") == all(low <= number <= high for number in days)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ([], False),
        ([{"Effect": "Allow", "Principal": "*"}], True),
        ({"Effect": "Allow", "Principal": {"AWS": "*"}}, True),
        ([{"Effect": "Deny", "Principal": "*"}, {"Effect": "Allow", "Principal": {"AWS": ["a", "*"]}}], True),
        ([{"Effect": "Deny", "Principal": "*"}], False),
        ([{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::1:root"}}], False),
        ([{"Effect": "Allow", "Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}], None),
        ([{"Effect": "Allow", "Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}], None),
        ([{"Effect": "Deny", "Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}], False),
        (
            [{"Effect": "Allow", "Principal": {"AWS": "a"}, "Condition": {"Bool": {"aws:SecureTransport": "true"}}}],
            False,
        ),
        ([{"Effect": "Allow", "Principal": "*", "Condition": {}}], True),
        ([{"Effect": "Allow", "NotPrincipal": {"AWS": "arn:aws:iam::1:root"}}], None),
        ([{"Effect": "Deny", "NotPrincipal": {"AWS": "arn:aws:iam::1:root"}}], False),
        ([{"Effect": "Allow", "NotPrincipal": {"AWS": "a"}}, {"Effect": "Allow", "Principal": "*"}], True),
        ([{"Principal": "*"}], None),
        ("everybody", None),
    ],
)
def test_a_policy_lets_everybody_in_or_not(statement: t.Any, expected: bool | None) -> None:
    unread: dict[str, str] = {}
    assert check._lets_everybody_in(json.dumps({"Statement": statement}), unread) is expected
    assert bool(unread) == (expected is None)
    assert check._lets_everybody_in("{", unread) is None


@pytest.mark.parametrize(
    ("canary", "left_out", "says_canary"),
    [
        (None, False, True),
        (Canary("not run in check mode", None, None, check.IN_CHECK_MODE), True, False),
        (Canary("not run", None, None, check.KEPT_BY_RETENTION), False, False),
        (Canary("came back", 0.1, None), False, False),
    ],
)
@pytest.mark.parametrize(
    ("why", "remedy"),
    [
        ("denied.", "Give the key the right s3:GetBucketPolicy"),
        (check._UNDECIDED, "Name in the policy whom it lets in."),
    ],
)
def test_what_the_canary_would_tell_is_left_out_in_check_mode(
    canary: Canary | None, left_out: bool, says_canary: bool, why: str, remedy: str
) -> None:
    found = judged({"public_access": "refused"}, has_public_policy=None, canary=canary, unread={"policy": why})
    assert (found.status, found.left_out) == ("unknown", left_out), found.summary
    assert ("canary: true" in found.remedy, remedy in found.remedy) == (says_canary, True)


def test_what_a_canary_would_not_tell_is_not_left_out() -> None:
    canary = Canary("not run in check mode", None, None, check.IN_CHECK_MODE)
    found = judged({"public_access": "refused"}, has_public_policy=True, canary=canary)
    assert (found.status, found.left_out) == ("unknown", False)
    assert "s3:GetBucketPublicAccessBlock" in found.remedy


@pytest.mark.parametrize(
    ("location", "region"),
    [({}, "us-east-1"), ({"LocationConstraint": ""}, "us-east-1"), ({"LocationConstraint": "EU"}, "eu-west-1"),
     ({"LocationConstraint": "eu-central-1"}, "eu-central-1")],
)  # fmt: skip
def test_the_oldest_regions_are_told_by_other_names(location: dict[str, str], region: str) -> None:
    assert region_of(location) == region


@pytest.mark.parametrize("region", ["", "eu central", "EU"])
def test_a_region_that_is_none_is_refused(region: str) -> None:
    with pytest.raises(BadInput, match="which is no region"):
        check.gather(params(expected_region=region), run=Run(timeout_seconds=1))
