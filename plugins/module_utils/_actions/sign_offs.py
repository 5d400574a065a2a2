# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attestations of persons: kept with what they are bound to, until when they hold, and renewed where they ended."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.release_record import Record
from ansible_collections.opsready.golive.plugins.module_utils._core.attestation import is_blank, unstated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context, Result

Params = t.Mapping[str, t.Any]


def signed(context: Context, record: Record) -> Result:
    """Keep an attestation; one that holds is not kept twice, one that ended is renewed and stays on record."""
    given = {key: value for key, value in context.params["sign_off"].items() if value is not None}
    if is_blank(given["name"]):
        raise BadInput(f"The sign-off names nobody: {given['name'].strip() or 'empty'}.")
    awaited = _awaited(given, record)
    lacking = unstated(awaited.get("asks") or [], given.get("details"))
    if lacking:
        raise BadInput(
            f"{given['item']} asks for {', '.join(lacking)}, and this sign-off does not state it.",
            remedy='Say it with -e \'{"signed_details": {"' + lacking[0] + '": "..."}}\'.',
        )
    valid_seconds = given.pop("valid_seconds", None) or awaited.get("valid_seconds")
    sign_off = {"digest": awaited.get("digest"), **given}
    now = record.clock.now()
    same = [old for old in record.sign_offs() if all(old.get(key) == value for key, value in sign_off.items())]
    if same:
        ends = parse_utc(str(same[-1]["signed"])) + datetime.timedelta(seconds=valid_seconds) if valid_seconds else None
        if ends is None or ends > now:
            until = f"until {utc_text(ends)}" if ends else "without an end"
            said = f"{sign_off['name']} has signed {sign_off['item']} already, {until}."
            return {"changed": False, "sign_off": same[-1], "msg": said}
        sign_off["renews"] = same[-1]["signed"]
    sign_off["signed"] = utc_text(now)
    if not context.check_mode:
        record.create()
        record.sign(sign_off)
    again = ", which had ended," if same else ""
    return {
        "changed": True,
        "sign_off": sign_off,
        "msg": f"{sign_off['name']} signed {sign_off['item']}{again} for {sign_off['digest'][:12]}.",
    }


def _awaited(given: Params, record: Record) -> t.Mapping[str, t.Any]:
    """What the verdict kept last waits for; empty where none was kept and the caller says the digest. Raises what refuses."""
    judged = record.last_judged()
    if judged is None:
        if given.get("digest"):
            return {}
        raise Refused(
            f"Nothing of {record.system} was judged yet, so there is nothing to sign.", remedy="Run pre_deploy first."
        )
    waiting = judged.get("sign_offs") or []
    awaited = next((entry for entry in waiting if entry["item"] == given["item"]), None)
    if awaited is None:
        listed = ", ".join(f"{entry['item']} ({entry['team']})" for entry in waiting) or "nothing"
        raise BadInput(f"The last verdict waits for no signature of {given['item']}. It waits for: {listed}.")
    if awaited["team"] != given["team"]:
        raise Refused(f"{given['item']} is for team {awaited['team']} to sign, not for team {given['team']}.")
    if not awaited.get("digest"):
        raise Refused(
            f"What is to be signed for {given['item']} cannot be determined.",
            remedy="Run pre_deploy where the migration can be read.",
        )
    if given.get("digest") not in (None, awaited["digest"]):
        raise Refused(
            f"{given['digest'][:12]} is not what was judged last; that is {awaited['digest'][:12]}.",
            remedy="Read the newest report, then sign what it says.",
        )
    return t.cast("t.Mapping[str, t.Any]", awaited)
