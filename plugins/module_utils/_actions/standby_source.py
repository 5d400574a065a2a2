# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A standby as the source of a backup: has it come past the fence, and will it let a long dump end?

What a standby has not replayed is missing from its backup, and nothing in that tells. The fence's mark is a change like any
other: a standby that shows it has replayed whatever was committed before.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Refused

if t.TYPE_CHECKING:
    import psycopg

_LSN = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")


def require_lsn(text: str | None) -> None:
    """Raises BadInput for what is no position in a log."""
    if text is not None and _LSN.fullmatch(text) is None:
        raise BadInput(
            f"after_lsn is {text}, expected a position such as 0/1A2B3C4D.",
            remedy="pg_fence returns it as position.lsn.",
        )


def require_past_the_fence(
    connection: psycopg.Connection[t.Any],
    database: str,
    *,
    after_lsn: str | None,
    release: str | None,
    fenced_by: str | None,
    deadline: Deadline,
) -> None:
    """Raise Refused where the standby has not replayed ``after_lsn``, or shows no fence of the release that the backup is for.

    ``fenced_by`` is the id of the fence that it shows.
    """
    is_past, replayed = postgres.rows(
        connection,
        "select coalesce(pg_catalog.pg_last_wal_replay_lsn() >= %s::pg_lsn, true), pg_catalog.pg_last_wal_replay_lsn()::text",
        (after_lsn,),
        doing="Asking the standby how far it is",
        deadline=deadline,
    )[0]
    remedy = "Wait for its replay, or back up from its primary."
    if not is_past:
        raise Refused(
            f"The server of {database} is a standby that has replayed {replayed}, and the fence is at {after_lsn}: what was "
            "written between would be missing.",
            remedy=remedy,
            known={"replayed_lsn": replayed, "after_lsn": after_lsn},
        )
    if release is not None and after_lsn is None and fenced_by != release:
        raise Refused(
            f"The server of {database} is a standby that has replayed {replayed}, and it shows no fence of release {release}: "
            "what was written before that fence may be missing.",
            remedy=f"{remedy} Where there is no fence to be shown, give as after_lsn what pg_fence returned as position.lsn.",
            known={"replayed_lsn": replayed},
        )


def cancels_long_dumps(connection: psycopg.Connection[t.Any], *, deadline: Deadline) -> bool:
    """Whether its primary is not told what the standby still reads, and so clears it away under a dump."""
    feedback = postgres.value(
        connection,
        "select pg_catalog.current_setting('hot_standby_feedback')",
        doing="Asking for hot_standby_feedback",
        deadline=deadline,
    )
    return bool(feedback != "on")
