# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release may not begin over, and what may not be taken over: each refusal with its own sentence."""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import journal
from ansible_collections.opsready.golive.plugins.module_utils._actions.release_record import Record
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER, parse_utc
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Refused

_JUDGE_AGAIN = "Judge again: run pre_deploy or golive."
_TAKEN_BACK = ("rolled_back", "aborted")

Params = t.Mapping[str, t.Any]


def require_go(verdict: Params, *, now_text: str, max_age_seconds: float, check_mode: bool = False) -> None:
    """Raise Refused unless this verdict lets something change (law 2); in check mode nothing does, whatever it says."""
    decision = verdict.get("decision")
    if decision not in ("GO", "GO WITH WARNINGS"):
        raise Refused(f"The verdict is {decision or 'missing'}: nothing is changed without a GO.")
    if verdict.get("phase", "pre_deploy") != "pre_deploy":
        raise Refused(f"The verdict is of phase {verdict['phase']}, and only one of pre_deploy lets a release begin.")
    if not check_mode and (verdict.get("check_mode") or verdict.get("conditional")):
        raise Refused("The verdict was made in check mode: some of it is only GO if the rest holds.")
    if not verdict.get("digest"):
        raise Refused("The verdict is for no release: it has no digest.")
    try:
        age = (parse_utc(now_text) - parse_utc(str(verdict.get("decided", "")))).total_seconds()
    except ValueError:
        raise Refused("The verdict does not say when it was made.", remedy=_JUDGE_AGAIN) from None
    if age < -CLOCKS_DIFFER:
        raise Refused(
            f"The verdict was made {-age:.0f} s from now by the clock of the host that keeps the record.",
            remedy="Set the clock of the controller or of that host right, then run it again.",
        )
    if age > max_age_seconds:
        raise Refused(
            f"The verdict is {age:.0f} s old, and may be at most {max_age_seconds:.0f} s.",
            remedy=_JUDGE_AGAIN,
        )


#: What a GO is for, beside system and version, and what it means when it is not the same any more.
_SUBJECTS = {
    "checklist_sha256": "The checklist is not the one that was judged",
    "system_file_sha256": "The system file is not the one that was judged",
    "hosts_sha256": "The hosts that the checklist names are not those that were judged",
    "migration_preview": "What the migration would do is not what was judged: its files, its target or the database's "
    "revision changed",
}


def require_subject(verdict: Params, params: Params) -> None:
    """Raise Refused unless the verdict is for what would be deployed: each part has its own sentence (law 2)."""
    judged_as = (verdict.get("system"), verdict.get("version"))
    if judged_as != (params["system"], params["version"]):
        raise Refused(
            f"The verdict is for {judged_as[0]} {judged_as[1]}, not for {params['system']} {params['version']}."
        )
    judged, now = verdict.get("subject"), params["subject"]
    if not isinstance(judged, dict):
        raise Refused("The verdict does not say for which artefacts, checklist and hosts it is.", remedy=_JUDGE_AGAIN)
    for name in sorted({**(judged.get("artefacts") or {}), **now["artefacts"]}):
        was, is_now = (_digest((part.get("artefacts") or {}).get(name)) for part in (judged, now))
        if was != is_now:
            raise Refused(f"The verdict is for {name} {was}, and {is_now} would be deployed.", remedy=_JUDGE_AGAIN)
    for name, sentence in _SUBJECTS.items():
        was, is_now = (str(part.get(name) or "") for part in (judged, now))
        if was != is_now:
            raise Refused(f"{sentence} ({_short(is_now)}, judged was {_short(was)}).", remedy=_JUDGE_AGAIN)


def _digest(value: t.Any) -> str:
    return f"sha256:{str(value).lower().replace('sha256:', '')}" if value else "no digest"


def _short(value: str) -> str:
    return f"{value[:12]}…" if value else "none"


def refuse_what_serves(params: Params, record: Record) -> None:
    """Raise Refused for the version that serves already; a version's name stands for one artefact and no other."""
    serving = record.serving()
    if serving is None or serving["version"] != params["version"]:
        return
    was, now = serving["artefacts"], {name: _digest(value) for name, value in params["subject"]["artefacts"].items()}
    since = f"live since {serving['since']} (release {serving['release']})"
    if was and {name: _digest(value) for name, value in was.items()} != now:
        # Both would lie in one folder and answer with one version: no gate could tell them apart, and nothing lead back.
        raise Refused(
            f"Version {params['version']} of {params['system']} is {since}, from another artefact than the one that "
            f"would be deployed ({', '.join(sorted(now.values())) or 'none is named'}).",
            remedy="Give the new build a version of its own: under the same one there would be no way back.",
        )
    if not params["redeploy"]:
        raise Refused(
            f"Version {params['version']} of {params['system']} is {since} already: nothing would change but the downtime.",
            remedy="To deploy it again all the same, say golive_redeploy: true.",
        )


def refuse_a_second(params: Params, record: Record) -> None:
    """Raise Refused while another release holds the lock, or has not ended though its lock is gone (law 3)."""
    held = record.standing_lock()
    without_lock = None if held else record.open_without_lock()
    if without_lock is not None:
        raise Refused(
            f"Release {without_lock} of {params['system']} has not ended, though nobody holds the lock: it was lost.",
            remedy=f"End it first: `abort` with golive_takeover={without_lock}.",
        )
    if held is None:
        return
    if params["takeover"] == held["release"]:
        raise Refused(
            f"Release {held['release']} has not ended, so no other begins.",
            remedy=f"End it first: `abort` with golive_takeover={held['release']}.",
        )
    raise Refused(
        f"There is a release already: {record.described_lock(held)}.",
        remedy=f"Wait for it; or read `status`; or, when you know that its run is dead, end it with `abort` "
        f"and golive_takeover={held['release']}.",
    )


def refuse_what_was_taken_back(release: str, last: journal.Entry) -> None:
    if last["event"] == "ended" and last["outcome"] in _TAKEN_BACK:
        raise Refused(
            f"Release {release} ended: {last['outcome']}. Nothing is left to take over.", remedy="Read `status`."
        )


def refuse_what_was_built_upon(release: str, record: Record) -> None:
    """Raise Refused for a release that a later one came after, unless that one was taken back."""
    for later in record.releases()[::-1]:
        if later == release:
            return
        if record.chain(later).entries[-1].get("outcome") not in _TAKEN_BACK:
            raise Refused(
                f"Release {later} came after {release}; what it changed would be lost.",
                remedy=f"Take {later} back first.",
            )
