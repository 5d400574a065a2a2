# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A standby as the source of a backup: has it come past the fence, and will it let a long dump end?

What a standby has not replayed is missing from its backup, and nothing in that tells. The fence's mark is a change like any
other: a standby that shows it has replayed whatever was committed before. A position alone is a number that each cluster, and each
timeline, counts by itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import TIMELINE, Cluster, Mark
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, poll
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    Refused,
    TimedOut,
    UnexpectedAnswer,
)

if t.TYPE_CHECKING:
    import psycopg

_LSN = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
_INTERVAL = 0.2
#: A standby's control file may still tell the timeline before: whatever names a later one is believed.
_STATE = """
select r.recovering, (select system_identifier::text from pg_catalog.pg_control_system()),
       case when r.recovering then greatest(
         (select timeline_id from pg_catalog.pg_control_checkpoint()),
         (select min_recovery_end_timeline from pg_catalog.pg_control_recovery()),
         (select received_tli from pg_catalog.pg_stat_wal_receiver)) else {timeline} end,
       r.recovering and exists (select from pg_catalog.pg_stat_wal_receiver where received_tli is null),
       r.reached::text, coalesce(r.reached >= %(lsn)s::pg_lsn, false),
       pg_catalog.pg_wal_lsn_diff(%(lsn)s::pg_lsn, r.reached)::bigint,
       case when r.recovering then pg_catalog.pg_is_wal_replay_paused() else false end,
       (select pg_catalog.shobj_description(oid, 'pg_database') from pg_catalog.pg_database
        where datname = pg_catalog.current_database())
from (select s.recovering,
             case when s.recovering then pg_catalog.pg_last_wal_replay_lsn() else pg_catalog.pg_current_wal_lsn() end as reached
      from (select pg_catalog.pg_is_in_recovery() as recovering) s) r
""".replace("{timeline}", TIMELINE)


@dataclasses.dataclass(frozen=True)
class Fence:
    """Where a server's log stood when it was fenced; cluster and timeline where they were told."""

    lsn: str
    system_identifier: str | None = None
    timeline: int | None = None

    @staticmethod
    def of(params: t.Mapping[str, t.Any]) -> Fence | None:
        """From the module's options. Raises BadInput for what is no position in a log."""
        lsn, system, timeline = (params[f"after_{name}"] for name in ("lsn", "system_identifier", "timeline"))
        if params["catch_up_timeout"] < 0:
            raise BadInput(f"catch_up_timeout is {params['catch_up_timeout']:g}, expected 0 or more seconds.")
        if lsn is None:
            for name, value in (("after_system_identifier", system), ("after_timeline", timeline)):
                if value is not None:
                    raise BadInput(
                        f"{name} is given without after_lsn.", remedy="pg_fence returns all three as position."
                    )
            return None
        if _LSN.fullmatch(lsn) is None:
            raise BadInput(
                f"after_lsn is {lsn}, expected a position such as 0/1A2B3C4D.",
                remedy="pg_fence returns it as position.lsn.",
            )
        if timeline is not None and timeline < 1:
            raise BadInput(f"after_timeline is {timeline}, expected 1 or more.")
        return Fence(lsn, system, timeline)


@dataclasses.dataclass(frozen=True)
class State:
    """How far a server is. ``behind_bytes`` counts from a fence's position, and is None without one."""

    recovering: bool
    system_identifier: str
    timeline: int
    #: Whether its log is received on a timeline that the login is not told.
    is_timeline_hidden: bool
    reached: str | None
    is_past: bool
    behind_bytes: int | None
    is_paused: bool
    comment: str | None

    def shows_fence_of(self, release: str | None) -> bool:
        mark = Mark.parse(self.comment)
        return release is not None and mark is not None and mark.kind in FENCED and mark.identity == release


#: Marks of a database that nobody writes to any more, but those who were let in.
FENCED = ("fenced", "inside", "revoked")


class FencedSource:
    """The server that is to be backed up, against the fence that it must have come past."""

    def __init__(
        self,
        connection: psycopg.Connection[t.Any],
        database: str,
        *,
        fence: Fence | None,
        release: str | None,
        deadline: Deadline,
        warn: t.Callable[[str], None],
    ) -> None:
        self._connection, self._database = connection, database
        self._fence, self._release = fence, release
        self._deadline, self._warn = deadline, warn

    def require_past(self, seconds: float) -> bool:
        """Whether it was waited for, ``seconds`` at most. Raise Refused for a server that has not come past the fence, or of another cluster."""
        state = self._look()
        self._tell_what_is_not_compared(state)
        if self._is_past(state):
            return False
        if seconds == 0 or not state.recovering:
            raise self._refusal(state, 0)
        self._warn(f"{self._how_far(state)} It is waited for, {seconds:g} s at most.")
        limit = Deadline(min(seconds, self._deadline.remaining()), clock=self._deadline.clock)
        seen = [state]

        def look() -> bool:
            seen[0] = self._look()
            return self._is_past(seen[0])

        try:
            poll(
                look,
                good=bool,
                deadline=limit,
                describe=lambda one, two: "It is not past the fence",
                interval=_INTERVAL,
            )
        except TimedOut:
            raise self._refusal(seen[0], limit.seconds)
        return True

    def _look(self) -> State:
        asked = {"lsn": None if self._fence is None else self._fence.lsn}
        doing = "Asking the server how far it is"
        return State(*postgres.rows(self._connection, _STATE, asked, doing=doing, deadline=self._deadline)[0])

    def _tell_what_is_not_compared(self, state: State) -> None:
        fence = self._fence
        if fence is None or state.shows_fence_of(self._release):
            return
        missing = [
            name
            for name, value in (
                ("after_system_identifier", fence.system_identifier),
                ("after_timeline", fence.timeline),
            )
            if value is None
        ]
        if missing:
            self._warn(
                f"Of the fence at {fence.lsn} its position was compared without {' and '.join(missing)}: another cluster, or another "
                "timeline, comes to that position by itself. pg_fence returns them as position."
            )
        elif state.is_timeline_hidden:
            self._warn(
                f"The login is not told the timeline that the standby of {self._database} receives, and {state.timeline} may be the one "
                "before: grant it pg_read_all_stats."
            )

    def _is_past(self, state: State) -> bool:
        """Raises Refused for what no waiting mends."""
        fence = self._fence
        if fence is None:
            return not state.recovering or self._release is None or state.shows_fence_of(self._release)
        if fence.system_identifier not in (None, state.system_identifier):
            raise Refused(
                f"The server of {self._database} is of the cluster {state.system_identifier}, and the fence is in the cluster "
                f"{fence.system_identifier}: what is there was never fenced.",
                remedy="Back up from the server that was fenced, or from a standby of it.",
                known={"system_identifier": state.system_identifier},
            )
        if fence.timeline is None or state.timeline == fence.timeline or state.shows_fence_of(self._release):
            return state.is_past
        if state.timeline < fence.timeline:
            return False
        left = self._left_at(fence.timeline, state.timeline)
        if left is None or _number(left) < _number(fence.lsn):
            how = "where it left that cannot be read" if left is None else f"it left that at {left}"
            raise Refused(
                f"The server of {self._database} is on timeline {state.timeline}, and the fence is at {fence.lsn} of timeline "
                f"{fence.timeline}: {how}, so what was written before the fence may be missing.",
                remedy="Fence the server that is the primary now, and back up behind that fence"
                + ("; or grant the login pg_read_server_files and EXECUTE on pg_read_file." if left is None else "."),
                known={"timeline": state.timeline},
            )
        return state.is_past

    def _left_at(self, before: int, now: int) -> str | None:
        """Where the server's history left a timeline for a later one; None where that cannot be read."""
        statement = "select pg_catalog.pg_read_file(%s, 0, 1048576)"
        asked = (f"pg_wal/{now:08X}.history",)
        try:
            found = postgres.rows(
                self._connection, statement, asked, doing="Reading the timeline's history", deadline=self._deadline
            )
        except (Denied, UnexpectedAnswer):
            return None
        for line in str(found[0][0]).splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == str(before) and _LSN.fullmatch(words[1]):
                return words[1]
        return None

    def _how_far(self, state: State) -> str:
        kind = "a standby that has replayed" if state.recovering else "no standby and has written its log until"
        so_far = f"The server of {self._database} is {kind} {state.reached}"
        if self._fence is None:
            return f"{so_far}, and it shows no fence of release {self._release}: what was written before that fence may be missing."
        at = f"the fence is at {self._fence.lsn}"
        if state.is_past or state.behind_bytes is None:
            return f"{so_far} of timeline {state.timeline}, and {at} of timeline {self._fence.timeline}: what was written between would be missing."
        return f"{so_far}, and {at}: what was written between would be missing, {state.behind_bytes} bytes of the log."

    def _refusal(self, state: State, waited: float) -> Refused:
        paused = "Its replay is paused: SELECT pg_wal_replay_resume() there. " if state.is_paused else ""
        remedy = f"{paused}Wait for its replay, with a longer catch_up_timeout, or back up from its primary."
        if not state.recovering:
            remedy = "Back up from the server that was fenced, or from a standby of it."
        if self._fence is None:
            remedy += " Where there is no fence to be shown, give as after_lsn what pg_fence returned as position.lsn."
        known: dict[str, t.Any] = {"replayed_lsn": state.reached, "waited_seconds": waited}
        if self._fence is not None:
            known.update(after_lsn=self._fence.lsn, behind_bytes=state.behind_bytes)
        said = f" It was waited for {waited:g} s." if waited else ""
        return Refused(f"{self._how_far(state)}{said}", remedy=remedy, known=known)


def comes_by_replay(cluster: Cluster, name: str, *, seconds: float, warn: t.Callable[[str], None]) -> bool:
    """Whether a database that is not there came with a standby's replay, as one does that was renamed by the fence."""
    if not cluster.rows("select pg_catalog.pg_is_in_recovery()", None, "Asking the server whether it is a standby")[0][
        0
    ]:
        return False
    warn(f"The server is a standby that has no database {name} yet. Its replay is waited for, {seconds:g} s at most.")
    limit = Deadline(min(seconds, cluster.deadline.remaining()), clock=cluster.deadline.clock)
    with contextlib.suppress(TimedOut):
        poll(
            lambda: cluster.find(name),
            good=lambda found: found is not None,
            deadline=limit,
            describe=lambda one, two: f"There is no database {name}",
            interval=_INTERVAL,
        )
        return True
    return False


def _number(lsn: str) -> int:
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def cancels_long_dumps(connection: psycopg.Connection[t.Any], *, deadline: Deadline) -> bool:
    """Whether its primary is not told what the standby still reads, and so clears it away under a dump."""
    feedback = postgres.value(
        connection,
        "select pg_catalog.current_setting('hot_standby_feedback')",
        doing="Asking for hot_standby_feedback",
        deadline=deadline,
    )
    return bool(feedback != "on")
