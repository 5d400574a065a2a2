# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GO or NO-GO: every cell of the decision table, and properties that no list of findings may break."""

from __future__ import annotations

import datetime
import random
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement, at_least, unknown
from ansible_collections.opsready.golive.plugins.plugin_utils.verdict_rules import (
    decide,
    digest_of,
    in_words,
    read_waivers,
)

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0, tzinfo=datetime.timezone.utc)
RANK = {"GO": 0, "GO WITH WARNINGS": 1, "NO-GO": 2}
WORSE = ("pass", "warn", "unknown", "fail")
Verdict = dict[str, t.Any]


def _ago(**span: float) -> str:
    return utc_text(NOW - datetime.timedelta(**span))


def _item(identity: str = "a", **changes: t.Any) -> dict[str, t.Any]:
    return {
        "id": identity, "title": f"About {identity}", "phase": ["pre_deploy"], "severity": "blocker", "satisfies": [],
        "owner": "ops", "check": "check_host", "hosts": ["controller"], "max_age_seconds": None, "sign_off": None, **changes,
    }  # fmt: skip


def _finding(identity: str = "a", status: str = "pass", **changes: t.Any) -> dict[str, t.Any]:
    return {
        "id": identity, "title": f"About {identity}", "phase": ["pre_deploy"], "severity": "blocker", "satisfies": [],
        "owner": "ops", "check": "check_host", "host": "controller", "status": status, "summary": f"It is {status}.",
        "expected": {}, "measured": {}, "evidence": {}, "remedy": "", "started": _ago(minutes=1), "seconds": 0.1, **changes,
    }  # fmt: skip


def _decide(
    items: list[dict[str, t.Any]], findings: list[dict[str, t.Any]], *, require: t.Sequence[str] = (), **more: t.Any
) -> tuple[Verdict, list[dict[str, t.Any]]]:
    planned = {name: more.pop(name, {}) for name in ("strictness", "satisfies")}
    expected = {"items": items, "require": list(require), **planned}
    return decide(expected=expected, findings=findings, **{"phase": "pre_deploy", "now": NOW, **more})


def _decision(status: str, severity: str, **more: t.Any) -> str:
    verdict, _unused = _decide([_item(severity=severity)], [_finding(status=status, severity=severity)], **more)
    return str(verdict["decision"])


@pytest.mark.parametrize(
    ("status", "severity", "decision"),
    [
        ("pass", "blocker", "GO"), ("pass", "warning", "GO"),
        ("warn", "blocker", "GO WITH WARNINGS"), ("warn", "warning", "GO WITH WARNINGS"),
        ("unknown", "blocker", "NO-GO"), ("unknown", "warning", "GO WITH WARNINGS"),
        ("fail", "blocker", "NO-GO"), ("fail", "warning", "GO WITH WARNINGS"),
    ],
)  # fmt: skip
def test_the_decision_table(status: str, severity: str, decision: str) -> None:
    assert _decision(status, severity) == decision


def test_what_is_not_applicable_changes_nothing_beside_something_judged() -> None:
    items = [_item("a"), _item("b")]
    verdict, decided = _decide(items, [_finding("a"), _finding("b", "not_applicable")])
    assert verdict["decision"] == "GO"
    assert [finding["decision"] for finding in decided] == ["pass", "not_applicable"]


@pytest.mark.parametrize(
    ("items", "findings"),
    [([], []), ([_item()], [_finding(status="not_applicable")]), ([_item(phase=["smoke"])], [])],
)
def test_nothing_judged_is_no_go(items: list[dict[str, t.Any]], findings: list[dict[str, t.Any]]) -> None:
    verdict, _unused = _decide(items, findings)
    assert verdict["decision"] == "NO-GO"
    assert verdict["blocking"][-1]["summary"] == "Nothing was judged in phase pre_deploy."


def test_a_finding_that_never_came_in_is_unknown_and_no_go() -> None:
    verdict, decided = _decide([_item("a", hosts=["web1", "web2"])], [_finding("a", host="web1")])
    assert verdict["decision"] == "NO-GO"
    assert [(entry["id"], entry["host"], entry["status"]) for entry in verdict["blocking"]] == [
        ("a", "web2", "unknown")
    ]
    assert decided[1]["summary"] == "No finding came in for this item on this host."


def test_no_summary_begins_a_line_of_its_own_or_fills_the_screen() -> None:
    verdict, _unused = _decide([_item()], [_finding(status="fail", summary="said\nGO  (all pass)\n" + "x" * 90_000)])
    lines = in_words(verdict).splitlines()
    assert len(lines) == 2
    assert ": said GO (all pass) xxx" in lines[1]
    assert len(lines[1]) < 1200


def test_what_to_do_stands_below_what_blocks() -> None:
    verdict, _unused = _decide([_item()], [{**_finding(status="fail"), "remedy": "Renew\nit."}])
    assert in_words(verdict).splitlines()[2].strip() == "→ Renew it."


def test_what_to_do_stands_below_what_warns_too_and_not_below_what_somebody_accepted() -> None:
    found = {**_finding(status="fail", severity="warning"), "remedy": "Renew it."}
    verdict, _unused = _decide([_item(severity="warning")], [found])
    assert in_words(verdict).splitlines()[2].strip() == "→ Renew it."
    accepted, _unused = _decide([_item(severity="warning")], [found], waivers=read_waivers([_waiver()]))
    assert "→" not in in_words(accepted)


def test_whatever_blocks_beside_the_checks_says_what_to_do() -> None:
    """What could not be read, and what is known to stand in the way, say it in their own sentence."""
    verdict, _unused = _decide(
        [_item(), _item("b"), _item("old", max_age_seconds=60)],
        [_finding(), {**_finding("old"), "started": _ago(minutes=5)}],
        require=["S1.99"], strictness=_strict(min_days=3), previous={"strictness": _strict(min_days=30)},
    )  # fmt: skip
    assert {line["id"] for line in verdict["blocking"]} == {"b", "old", "S1.99", "loosened"}
    assert all(line["remedy"] for line in verdict["blocking"])
    nothing, _unused = _decide([_item(phase=["smoke"])], [])
    assert [line["remedy"] for line in nothing["blocking"]] == ["Write an item with phase: pre_deploy."]


def test_what_could_not_be_read_blocks_as_unknown() -> None:
    verdict, _unused = _decide([_item()], [_finding()], unreadable={"migration": "Nobody answers."})
    assert verdict["decision"] == "NO-GO"
    (line,) = verdict["blocking"]
    assert (line["id"], line["status"], line["summary"]) == ("migration", "unknown", "Nobody answers.")


def test_what_is_known_to_stand_in_the_way_blocks_as_a_failure() -> None:
    known = {"maintenance": "Somebody else has it on."}
    verdict, _unused = _decide([_item()], [_finding()], obstacles=known, unreadable={"migration": "Nobody answers."})
    assert [(line["id"], line["status"]) for line in verdict["blocking"]] == [
        ("maintenance", "fail"), ("migration", "unknown")
    ]  # fmt: skip


def test_findings_that_nobody_expected_count_for_nothing() -> None:
    verdict, decided = _decide(
        [_item("a"), _item("other", phase=["smoke"])],
        [_finding("a"), _finding("b", "fail"), _finding("a", "fail", host="elsewhere"), _finding("other", "fail")],
    )
    assert (verdict["decision"], len(decided)) == ("GO", 1)


def test_a_finding_cannot_stand_in_for_a_signature() -> None:
    signed = _item("a", check="sign_off", sign_off={"team": "backend", "expires_after": None, "binds_to": "release"})
    verdict, _unused = _decide([signed, _item("b")], [_finding("a"), _finding("b")], bindings={"release": "d"})
    assert verdict["decision"] == "NO-GO"


@pytest.mark.parametrize("status", ["waived", "ok", "PASS", ""])
def test_a_status_that_means_nothing_is_unknown(status: str) -> None:
    verdict, decided = _decide([_item()], [_finding(status=status)])
    assert (verdict["decision"], verdict["counts"]["unknown"]) == ("NO-GO", 1)
    assert (decided[0]["status"], decided[0]["decision"]) == (status, "unknown")


@pytest.mark.parametrize(("planned", "found"), [("blocker", "warning"), ("warning", "blocker")])
def test_a_host_can_only_make_an_item_stricter(planned: str, found: str) -> None:
    verdict, _unused = _decide([_item(severity=planned)], [_finding(status="fail", severity=found)])
    assert verdict["decision"] == "NO-GO"


# ---- age


@pytest.mark.parametrize(
    ("started", "decision", "said"),
    [
        (_ago(minutes=59), "GO", ""),
        (_ago(minutes=61), "NO-GO", "Judged 3660 s ago, and may be at most 3600 s old. It said: It is pass."),
        (_ago(minutes=-4), "GO", ""),
        (_ago(minutes=-6), "NO-GO", "Judged 360 s in the future"),
        ("some time", "NO-GO", "When this was judged is not known. It said: It is pass."),
    ],
)
def test_a_finding_older_than_its_item_allows_is_unknown(started: str, decision: str, said: str) -> None:
    verdict, decided = _decide([_item(max_age_seconds=3600.0)], [_finding(started=started)])
    assert verdict["decision"] == decision
    assert said in (verdict["blocking"][0]["summary"] if verdict["blocking"] else "")
    assert decided[0]["summary"] == "It is pass."


def test_without_a_max_age_a_finding_does_not_age() -> None:
    assert _decide([_item()], [_finding(started=_ago(days=3))])[0]["decision"] == "GO"


# ---- waivers and force


def _waiver(**changes: t.Any) -> dict[str, t.Any]:
    good = {
        "item": "a",
        "owner": "ops",
        "approver": "head of ops",
        "reason": "new disk on Monday",
        "expires": _ago(hours=-1),
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


@pytest.mark.parametrize("status", ["warn", "unknown", "fail"])
def test_what_is_waived_goes_with_a_warning_and_stays_beside_its_finding(status: str) -> None:
    verdict, decided = _decide([_item()], [_finding(status=status)], waivers=read_waivers([_waiver()]))
    assert verdict["decision"] == "GO WITH WARNINGS"
    assert verdict["counts"]["waived"] == 1
    assert (decided[0]["status"], decided[0]["decision"]) == (status, "waived")
    assert decided[0]["waiver"]["approver"] == "head of ops"
    assert verdict["waivers"][0]["state"] == "used"
    assert verdict["waivers"][0]["scope"] == "all hosts"


def test_a_waiver_for_a_finding_that_passes_is_unused() -> None:
    verdict, _unused = _decide([_item()], [_finding()], waivers=read_waivers([_waiver()]))
    assert (verdict["decision"], verdict["waivers"][0]["state"]) == ("GO", "unused")
    assert "waiver for a is unused" in in_words(verdict)


@pytest.mark.parametrize("expires", [_ago(seconds=0), _ago(seconds=1), "2026-11-22", "2020-01-01T00:00:00"])
def test_an_expired_waiver_waives_nothing(expires: str) -> None:
    verdict, _unused = _decide([_item()], [_finding(status="fail")], waivers=read_waivers([_waiver(expires=expires)]))
    assert (verdict["decision"], verdict["waivers"][0]["state"]) == ("NO-GO", "expired")
    assert "waiver for a is expired (until " in in_words(verdict)


@pytest.mark.parametrize(
    ("hosts", "blocked"), [(["web1"], ["web2"]), ("web1", ["web2"]), (["db1"], ["web1", "web2"]), ([], [])]
)
def test_a_waiver_covers_its_hosts_only(hosts: t.Any, blocked: list[str]) -> None:
    findings = [_finding(status="fail", host="web1"), _finding(status="fail", host="web2")]
    verdict, _unused = _decide([_item(hosts=["web1", "web2"])], findings, waivers=read_waivers([_waiver(hosts=hosts)]))
    assert [entry["host"] for entry in verdict["blocking"]] == blocked


def test_a_second_waiver_helps_where_the_first_has_expired() -> None:
    waivers = read_waivers([_waiver(expires="2020-01-01"), _waiver(reason="again")])
    verdict, decided = _decide([_item()], [_finding(status="fail")], waivers=waivers)
    assert [entry["state"] for entry in verdict["waivers"]] == ["expired", "used"]
    assert decided[0]["waiver"]["reason"] == "again"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"approver": "Ops "}, "approved by its own owner"),
        ({"reason": None}, "has no reason"),
        ({"owner": "", "approver": None}, "has no owner, approver"),
        ({"item": None}, "The waiver for no item has no item"),
        ({"expires": "Monday"}, "expires at 'Monday', expected a time"),
        ({"untill": "x"}, "has unknown keys: untill"),
    ],
)
def test_a_waiver_that_is_not_whole_is_refused(changes: dict[str, t.Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_waivers([_waiver(**changes)])


def _force(**changes: t.Any) -> dict[str, t.Any]:
    return {"item": "a", "reason": "the head of operations decided so", "approver": "head of operations", **changes}


def test_force_is_per_item_and_recorded() -> None:
    items, findings = [_item("a"), _item("b")], [_finding("a", "fail"), _finding("b", "fail")]
    verdict, decided = _decide(items, findings, force=[_force(), _force(item="c")])
    assert [entry["id"] for entry in verdict["blocking"]] == ["b"]
    assert decided[0]["waiver"] == {
        "item": "a", "forced": True, "reason": "the head of operations decided so", "approver": "head of operations",
    }  # fmt: skip
    assert [(entry["item"], entry["state"]) for entry in verdict["forced"]] == [("a", "used"), ("c", "unused")]
    words = in_words(verdict)
    assert "forced a by head of operations: the head of operations decided so\n" in words
    assert "forced c by head of operations: the head of operations decided so (unused)" in words


@pytest.mark.parametrize("missing", ["item", "reason", "approver"])
def test_force_names_item_reason_and_approver(missing: str) -> None:
    with pytest.raises(BadInput, match="each entry names item, reason and approver"):
        _decide([_item()], [_finding()], force=[_force(**{missing: ""})])


def test_a_waiver_goes_before_force() -> None:
    waived, decided = _decide([_item()], [_finding(status="fail")], waivers=read_waivers([_waiver()]), force=[_force()])
    assert decided[0]["waiver"]["reason"] == "new disk on Monday"
    assert waived["forced"][0]["state"] == "unused"


# ---- sign-offs

SIGNED = _item(
    "s",
    check="sign_off",
    hosts=["controller"],
    sign_off={"team": "backend", "expires_after": "7d", "binds_to": "release"},
)


def _signature(**changes: t.Any) -> dict[str, t.Any]:
    good = {"item": "s", "team": "backend", "name": "Grete Hermann", "signed": _ago(days=1), "digest": "d1"}
    return {**good, **changes}


def _signed(*signatures: dict[str, t.Any], item: dict[str, t.Any] | None = None, **bindings: str) -> Verdict:
    verdict, _unused = _decide(
        [item or SIGNED, _item("a")],
        [_finding("a")],
        sign_offs=list(signatures),
        bindings={"release": "d1", **bindings},
    )
    return verdict


def test_a_signature_for_this_release_is_good() -> None:
    verdict = _signed(_signature())
    assert verdict["decision"] == "GO"
    assert verdict["sign_offs"] == [
        {"item": "s", "team": "backend", "name": "Grete Hermann", "signed": _ago(days=1), "expires": _ago(days=-6),
         "binds_to": "release", "state": "pass", "digest": "d1", "valid_seconds": 604800.0, "asks": [], "details": {}}
    ]  # fmt: skip


CONTACT = _item(
    "s",
    check="sign_off",
    hosts=["controller"],
    sign_off={"team": "backend", "expires_after": "7d", "binds_to": "none", "asks": ["channel", "substitute"]},
)


OPEN = {"days": ["sun"], "time": "11:59-12:01"}
CLOSED = {"days": ["sun"], "time": "12:01-13:00"}


def test_a_contact_states_what_is_asked_for_and_holds_for_its_time_whatever_is_released() -> None:
    stated = {"channel": "+49 30 1234567", "substitute": "Emmy Noether"}
    for digest in ("d1", "d2"):
        verdict = _signed(_signature(digest="none", details=stated), item=CONTACT, release=digest)
        assert verdict["decision"] == "GO"
    assert verdict["sign_offs"][0]["details"] == stated
    assert _signed(_signature(digest="none", details=stated, signed=_ago(days=8)), item=CONTACT)["decision"] == "NO-GO"


def _lead(hours: dict[str, t.Any], details: dict[str, str] | None = None) -> tuple[Verdict, dict[str, t.Any]]:
    """A contact with these hours who has signed, and what is decided of it."""
    hours = {"days": ["mon-fri"], "time": "09:00-17:00", "time_zone": "UTC", "window": None, **hours}
    item = {**CONTACT, "sign_off": {**CONTACT["sign_off"], "asks": [], "hours": hours}}
    verdict, (finding,) = _decide([item], [], sign_offs=[_signature(digest="none", details=details)], bindings={})
    return verdict, finding


@pytest.mark.parametrize(
    ("hours", "details", "status", "said"),
    [
        (OPEN, None, "pass", " is inside "),
        (CLOSED, None, "fail", " is outside "),
        (CLOSED, {"substitute": "[Name]"}, "fail", ", and no substitute is named."),
        (CLOSED, {"substitute": "Emmy Noether"}, "pass", "when Emmy Noether stands in."),
        ({**OPEN, "window": "24h"}, None, "fail", " for 24.0 h is outside "),
        (
            {"time_zone": "Europe/Nowhere"},
            {"substitute": "Emmy Noether"},
            "unknown",
            "which this controller does not know",
        ),
    ],
)
def test_a_contact_of_office_hours_is_there_or_somebody_stands_in(
    hours: dict[str, t.Any], details: dict[str, str] | None, status: str, said: str
) -> None:
    verdict, finding = _lead(hours, details)
    assert (finding["status"], said in finding["summary"]) == (status, True), finding["summary"]
    assert verdict["decision"] == ("GO" if status == "pass" else "NO-GO")
    assert finding["evidence"]["hours"]["time"]
    assert status == "pass" or '{"signed_details": {"substitute": "..."}}' in finding["remedy"]


@pytest.mark.parametrize(
    "details", [None, {}, {"channel": "+49 30 1234567"}, {"channel": "x", "substitute": "[Name]"}, {"channel": "TBD"}]
)
def test_a_contact_that_does_not_state_it_fails_and_says_what_is_missing(details: dict[str, str] | None) -> None:
    verdict, decided = _decide(
        [CONTACT], [], sign_offs=[_signature(digest="none", details=details)], bindings={"release": "d1"}
    )
    (blocking,) = verdict["blocking"]
    assert (blocking["status"], "does not state " in blocking["summary"]) == ("fail", True)
    assert blocking["summary"].endswith("substitute.")
    (finding,) = decided
    assert """-e '{"signed_details": {"channel": "...", "substitute": "..."}}'`""" in finding["remedy"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"team": "frontend"}, "of team frontend signed, but team backend has to"),
        ({"team": None}, "of team None signed"),
        ({"signed": _ago(days=8)}, "expired at"),
        ({"signed": _ago(days=7)}, "expired at"),
        ({"signed": _ago(minutes=-6)}, "lies in the future"),
        ({"signed": "soon"}, "no readable time"),
        ({"signed": None}, "no readable time"),
        ({"digest": "d0"}, "signed another release: it has changed since"),
        ({"digest": ""}, "signed another release"),
        ({"item": "t"}, "Nobody of team backend has signed this."),
        *[({"name": name}, "names nobody") for name in
          ("", "  ", "[Name]", "[name] Hermann", "<name>", "____", "...", "TBD", "todo", "N.N.", "n. n.", "N/A", "Name", "XXX", "?")],
    ],
)  # fmt: skip
def test_a_signature_that_is_not_good_is_no_go(changes: dict[str, t.Any], said: str) -> None:
    verdict = _signed(_signature(**changes))
    assert verdict["decision"] == "NO-GO"
    assert said in verdict["blocking"][0]["summary"]


@pytest.mark.parametrize("name", ["Xaver", "Nan Goldin", "Tod Browning", "N. Noether", "李", "O'Neil"])
def test_a_name_is_a_name(name: str) -> None:
    assert _signed(_signature(name=name))["decision"] == "GO"


def test_one_good_signature_is_enough_whatever_stands_beside_it() -> None:
    bad, worse, good = _signature(digest="d0"), _signature(team="x"), _signature()
    for order in ([bad, good, worse], [good, bad], [worse, bad, good]):
        assert _signed(*order)["decision"] == "GO"


def test_a_missing_signature_says_the_command_that_gives_it() -> None:
    _verdict, decided = _decide([SIGNED, _item("a")], [_finding("a")], bindings={"release": "d1"})
    (finding,) = [finding for finding in decided if finding["id"] == "s"]
    assert "opsready.golive.sign_off -e signed_item=s -e signed_team=backend -e signed_digest=d1" in finding["remedy"]
    assert "-e \"signed_by='" in finding["remedy"]
    _verdict, (again,) = _decide([SIGNED], [], bindings={"release": "d1"}, run_options="-i hosts.yml -e @system.yml")
    assert "opsready.golive.sign_off -i hosts.yml -e @system.yml -e signed_item=s" in again["remedy"]
    _verdict, decided = _decide([SIGNED], [], sign_offs=[_signature()], bindings={"release": "d1"})
    assert decided[0]["remedy"] == ""


def test_in_check_mode_the_command_says_what_has_to_come_before_it() -> None:
    def remedy(**more: t.Any) -> str:
        return str(_decide([SIGNED], [], bindings={"release": "d1"}, **more)[1][0]["remedy"])

    assert remedy(check_mode=True).startswith(
        "Run pre_deploy, without --check, which keeps what is to be signed. Then a person"
    )
    assert remedy().startswith("A person of team backend")


def test_a_renewed_signature_is_good_and_of_those_that_ended_the_newest_is_told() -> None:
    old, older = (_signature(signed=_ago(days=days)) for days in (8, 20))
    assert _signed(old, _signature())["decision"] == _signed(_signature(), old)["decision"] == "GO"
    assert (
        _signed(old, older)["sign_offs"][0]["signed"] == _signed(older, old)["sign_offs"][0]["signed"] == old["signed"]
    )


def test_a_signature_is_bound_to_what_was_signed() -> None:
    preview = _item(
        "s", check="sign_off", sign_off={"team": "backend", "expires_after": None, "binds_to": "migration_preview"}
    )
    assert (
        _signed(_signature(digest="m1", signed=_ago(days=400)), item=preview, migration_preview="m1")["decision"]
        == "GO"
    )
    assert (
        "another migration preview"
        in _signed(_signature(digest="m1"), item=preview, migration_preview="m2")["blocking"][0]["summary"]
    )
    assert (
        "cannot be determined now"
        in _signed(_signature(digest=""), item=preview, migration_preview="")["blocking"][0]["summary"]
    )


def test_what_nobody_signed_says_which_team_has_to() -> None:
    verdict = _signed()
    assert verdict["sign_offs"][0] == {
        "item": "s", "team": "backend", "name": "", "signed": "", "expires": "", "binds_to": "release", "state": "unknown",
        "digest": "d1", "valid_seconds": 604800.0, "asks": [], "details": {},
    }  # fmt: skip


# ---- coverage


@pytest.mark.parametrize(
    ("require", "missing"),
    [
        (["S1"], []),
        (["S1.21"], []),
        (["S1.2"], ["S1.2"]),
        (["S2"], ["S2"]),
        (["S"], ["S"]),
        ([], []),
        (["S1", "S3"], ["S3"]),
    ],
)
def test_what_is_required_has_to_be_covered(require: list[str], missing: list[str]) -> None:
    verdict, _unused = _decide([_item(satisfies=["S1.21"])], [_finding(satisfies=["S1.21"])], require=require)
    assert verdict["coverage"]["missing"] == missing
    assert verdict["decision"] == ("NO-GO" if missing else "GO")
    assert verdict["coverage"]["covered"] == ["S1.21"]


def test_what_is_not_applicable_covers_nothing() -> None:
    items = [_item("a", satisfies=["S1.1"]), _item("b")]
    findings = [_finding("a", "not_applicable", satisfies=["S1.1"]), _finding("b")]
    verdict, _unused = _decide(items, findings, require=["S1.1"])
    assert verdict["blocking"][0]["summary"] == "S1.1 is required, and no item and no step covers it."


@pytest.mark.parametrize("phase", ["pre_deploy", "watch"])
def test_what_another_phase_judges_is_covered_in_each(phase: str) -> None:
    """Otherwise the watch would take a good release back for want of what was judged before it."""
    items = [_item("before", satisfies=["S1.1"]), _item("after", satisfies=["S1.67"], phase=["watch"])]
    findings = [_finding("before", satisfies=["S1.1"]), _finding("after", satisfies=["S1.67"], phase=["watch"])]
    verdict, _unused = _decide(items, findings, require=["S1.1", "S1.67"], phase=phase)
    assert (verdict["decision"], verdict["coverage"]["missing"]) == ("GO", [])
    assert verdict["coverage"]["covered"] == ["S1.1", "S1.67"]


@pytest.mark.parametrize(
    ("satisfies", "missing"),
    [
        ({"backup": ["S1.10"]}, []),
        ({"stop": ["S1.31"]}, ["S1.10"]),
        ({"back_database": ["S1.10"]}, ["S1.10"]),  # taken only when a release fails
    ],
)
def test_what_the_release_does_covers_what_it_serves(satisfies: dict[str, list[str]], missing: list[str]) -> None:
    verdict, _unused = _decide([_item()], [_finding()], require=["S1.10"], satisfies=satisfies)
    assert verdict["coverage"]["missing"] == missing
    assert verdict["coverage"]["by_steps"] == satisfies


# ---- loosened


def _strict(**options: t.Any) -> dict[str, t.Any]:
    item = {"check": "check_tls", "severity": "blocker", "phase": ["pre_deploy"], "hosts": "controller", "when": True,
            "max_age": None, "timeout": 10.0, "sign_off": None, "by_host": False, "options": options}  # fmt: skip
    return {"require": [], "hosts": {"controller": ["controller"]}, "items": {"a": item}}


def test_what_was_loosened_needs_an_approver() -> None:
    previous = {"strictness": _strict(min_days=30)}
    without, _unused = _decide([_item()], [_finding()], previous=previous, strictness=_strict(min_days=3))
    assert without["decision"] == "NO-GO"
    assert "golive_loosened_approver names nobody: a min_days 30 → 3." in without["blocking"][0]["summary"]
    approved, _unused = _decide(
        [_item()], [_finding()], previous=previous, strictness=_strict(min_days=3), approver="head of ops"
    )
    assert approved["decision"] == "GO WITH WARNINGS"
    assert approved["loosened"][0]["approver"] == "head of ops"
    assert "loosened, approved by head of ops: a min_days 30 → 3" in in_words(approved)


def test_what_is_only_changed_is_told_and_needs_nobody() -> None:
    verdict, _unused = _decide(
        [_item()], [_finding()], previous={"strictness": _strict(ca_file="/a")}, strictness=_strict(ca_file="/b")
    )
    assert (verdict["decision"], verdict["loosened"]) == ("GO", [])
    assert verdict["changed"] == [{"id": "a", "field": "ca_file", "was": "/a", "now": "/b"}]
    assert "changed since the last GO: a ca_file /a → /b" in in_words(verdict)


def test_a_host_that_could_not_be_judged_demands_what_it_did() -> None:
    """Else a host that is away for one GO would come back with any threshold."""
    planned = _strict(min_days="{{ days }}")
    planned["items"]["a"].update(by_host=True, hosts="web")
    planned["hosts"] = {"web": ["web1"]}
    items = [_item(hosts=["web1"], severity="warning")]
    first, _unused = _decide(
        items, [_finding(host="web1")], strictness=planned, demands={"web1": {"a": {"min_days": 30}}}
    )
    away, _unused = _decide(items, [], previous=first, strictness=planned)
    back, _unused = _decide(
        items, [_finding(host="web1")], previous=away, strictness=planned, demands={"web1": {"a": {"min_days": 3}}}
    )
    assert (away["decision"], away["loosened"]) == ("GO WITH WARNINGS", [])
    assert [(change["field"], change["was"], change["now"]) for change in back["loosened"]] == [("min_days", 30, 3)]


# ---- check mode

TRACE = "canary was not run in check mode"
LEFT_OUT = Judgement.of([at_least("replicas", 2, 1), unknown("canary", TRACE, left_out=True)])


def _left_out(judgement: Judgement = LEFT_OUT, **changes: t.Any) -> dict[str, t.Any]:
    return _finding(status="unknown", summary=judgement.summary, left_out=judgement.left_out, **changes)


def test_check_mode_says_go_if_these_hold_and_names_them() -> None:
    verdict, _unused = _decide([_item()], [_left_out()], check_mode=True)
    assert verdict["decision"] == "GO"
    assert verdict["conditional"] == [{"id": "a", "host": "controller", "reason": LEFT_OUT.summary}]
    assert in_words(verdict).splitlines()[0].startswith("GO if these 1 hold")
    assert "holds? a: Canary was not run" in in_words(verdict)


def test_outside_check_mode_it_is_simply_unknown() -> None:
    verdict, _unused = _decide([_item()], [_left_out()])
    assert verdict["decision"] == "NO-GO"


def test_check_mode_excuses_no_other_unknown() -> None:
    items, findings = [_item("a"), _item("b")], [_left_out(), _finding("b", "unknown")]
    verdict, _unused = _decide(items, findings, check_mode=True)
    assert verdict["decision"] == "NO-GO"
    assert in_words(verdict).splitlines()[0].startswith("NO-GO  (2 unknown)")


def test_check_mode_excuses_no_other_unknown_of_the_same_finding() -> None:
    both = Judgement.of([unknown("canary", TRACE, left_out=True), unknown("lag", "lag could not be read")])
    assert _decide([_item()], [_left_out(both)], check_mode=True)[0]["decision"] == "NO-GO"
    old = _left_out(started=_ago(hours=2))
    assert _decide([_item(max_age_seconds=3600)], [old], check_mode=True)[0]["decision"] == "NO-GO"
    said_only = _finding(status="unknown", summary=f"{TRACE}.")
    assert _decide([_item()], [said_only], check_mode=True)[0]["decision"] == "NO-GO"


# ---- the words


def test_the_words_begin_with_the_decision_then_what_blocks() -> None:
    items = [_item(f"i{number:02}", hosts=["web1"]) for number in range(33)]
    findings = [_finding(item["id"], "fail", host="web1") for item in items]
    lines = in_words(_decide(items, findings)[0]).splitlines()
    assert lines[0] == "NO-GO  (33 fail)"
    assert lines[1] == "  blocks fail     i00 on web1: It is fail."
    assert lines[-1] == "  blocks and 3 more"
    assert in_words(_decide([], [])[0]).startswith("NO-GO  (nothing judged)")
    beside = {"obstacles": {"backup": "No room."}, "unreadable": {"workers": "The broker is down."}}
    blocked = in_words(_decide([_item("a"), _item("b")], [_finding("a"), _finding("b", "fail")], **beside)[0])
    assert blocked.splitlines()[0] == "NO-GO  (1 pass, 1 fail; 2 more beside the checklist)"
    assert blocked.count("  blocks ") == 3


def test_the_digest_is_of_what_goes_in_and_of_nothing_else() -> None:
    one = {"system": "archive", "version": "2", "artefacts": {"a": "1", "b": "2"}}
    assert digest_of(one) == digest_of(dict(reversed(list(one.items()))))
    assert digest_of(one) != digest_of({**one, "version": "3"})
    assert len(digest_of({})) == 64


# ---- properties

ids = st.sampled_from("abcd")
severities = st.sampled_from(["blocker", "warning"])
statuses = st.sampled_from([*WORSE, "not_applicable"])


@st.composite
def checklists(draw: st.DrawFn) -> tuple[list[dict[str, t.Any]], list[dict[str, t.Any]]]:
    items = [
        _item(
            identity,
            severity=draw(severities),
            hosts=draw(st.lists(st.sampled_from(["h1", "h2"]), min_size=1, unique=True)),
        )
        for identity in draw(st.lists(ids, min_size=1, unique=True))
    ]
    findings = [
        _finding(item["id"], draw(statuses), severity=item["severity"], host=host)
        for item in items
        for host in item["hosts"]
        if draw(st.integers(0, 9)) > 0
    ]
    return items, findings


@given(checklists(), st.data())
def test_a_worse_finding_never_improves_the_decision(
    checklist: tuple[list[dict[str, t.Any]], list[dict[str, t.Any]]], data: st.DataObject
) -> None:
    items, findings = checklist
    before, _unused = _decide(items, findings)
    candidates = [index for index, finding in enumerate(findings) if finding["status"] in WORSE[:-1]]
    if not candidates:
        return
    index = data.draw(st.sampled_from(candidates))
    worse = data.draw(st.sampled_from(WORSE[WORSE.index(findings[index]["status"]) + 1 :]))
    after, _unused = _decide(items, [*findings[:index], {**findings[index], "status": worse}, *findings[index + 1 :]])
    assert RANK[after["decision"]] >= RANK[before["decision"]]


@given(checklists(), st.data())
def test_a_lost_finding_never_improves_the_decision(
    checklist: tuple[list[dict[str, t.Any]], list[dict[str, t.Any]]], data: st.DataObject
) -> None:
    items, findings = checklist
    passed = [index for index, finding in enumerate(findings) if finding["status"] in ("pass", "warn", "unknown")]
    if not passed:
        return
    index = data.draw(st.sampled_from(passed))
    before, _unused = _decide(items, findings)
    after, _unused = _decide(items, findings[:index] + findings[index + 1 :])
    assert RANK[after["decision"]] >= RANK[before["decision"]]


@given(checklists(), st.randoms(use_true_random=False))
def test_the_order_of_findings_does_not_matter(
    checklist: tuple[list[dict[str, t.Any]], list[dict[str, t.Any]]], shuffle: random.Random
) -> None:
    items, findings = checklist
    before, decided = _decide(items, findings)
    mixed = list(findings)
    shuffle.shuffle(mixed)
    after, decided_after = _decide(items, mixed)

    def key(entry: dict[str, t.Any]) -> tuple[str, str]:
        return entry["id"], entry["host"]

    for part in ("blocking", "warnings", "conditional"):
        assert sorted(before[part], key=key) == sorted(after[part], key=key)
    assert (before["decision"], before["counts"]) == (after["decision"], after["counts"])
    assert sorted(decided, key=key) == sorted(decided_after, key=key)


@given(checklists())
def test_every_expected_finding_is_decided_once_and_none_is_edited(
    checklist: tuple[list[dict[str, t.Any]], list[dict[str, t.Any]]],
) -> None:
    items, findings = checklist
    verdict, decided = _decide(items, findings)
    pairs = [(finding["id"], finding["host"]) for finding in decided]
    assert sorted(pairs) == sorted((item["id"], host) for item in items for host in item["hosts"])
    assert sum(verdict["counts"].values()) == len(decided)
    for finding in findings:
        kept = next(entry for entry in decided if (entry["id"], entry["host"]) == (finding["id"], finding["host"]))
        assert {key: kept[key] for key in finding} == finding


@given(checklists())
def test_go_means_that_every_blocker_passed_or_does_not_apply(
    checklist: tuple[list[dict[str, t.Any]], list[dict[str, t.Any]]],
) -> None:
    verdict, decided = _decide(*checklist)
    if verdict["decision"] == "GO":
        assert {finding["status"] for finding in decided} <= {"pass", "not_applicable"}
        assert "pass" in {finding["status"] for finding in decided}
