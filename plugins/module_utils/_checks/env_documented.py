# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do an env file and its example tell of the same variables?"""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients.envfile import Parsed
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds


class Undocumented(t.NamedTuple):
    """What one of the two has and the other lacks, by name."""

    of_file: tuple[str, ...]
    of_example: tuple[str, ...]


def compared(held: t.Mapping[str, str], told: Parsed, rules: t.Iterable[t.Mapping[str, t.Any]]) -> Undocumented:
    """The file's variables against the example, which may tell of one in an assignment that is commented out."""
    excused = {rule["name"] for rule in rules if rule.get("optional") or rule["kind"] == "absent"}
    return Undocumented(
        of_file=tuple(sorted(held.keys() - told.values.keys() - set(told.commented))),
        of_example=tuple(sorted(told.values.keys() - held.keys() - excused)),
    )


def judge(seen: Undocumented, *, file: str, example: str) -> t.Iterator[Criterion]:
    """What the example does not tell of, then what the file lacks."""
    undocumented, left_unset = ", ".join(seen.of_file), ", ".join(seen.of_example)
    yield holds(
        "documented variables",
        not undocumented,
        measured=undocumented or "all",
        expected="all",
        sentence=f"{example} does not tell of {undocumented}",
        remedy="Write it into the example, without its value, or take it out of the file.",
    )
    yield holds(
        "variables of the example",
        not left_unset,
        measured=f"without {left_unset}" if left_unset else "all",
        expected="all",
        sentence=f"{file} lacks {left_unset}, which {example} has",
        remedy="Set it, or comment it out in the example where the application can do without.",
    )
