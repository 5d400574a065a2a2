# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One comparison of before and after, from which changed, diff and check mode all come."""

from __future__ import annotations

import typing as t


class Comparison:
    """What was, and what is or would be, by name. Values are plain data without secrets."""

    def __init__(self) -> None:
        self._before: dict[str, t.Any] = {}
        self._after: dict[str, t.Any] = {}

    def add(self, name: str, before: t.Any, after: t.Any) -> None:
        """Note one thing; a second note of the same name moves its end only."""
        self._before.setdefault(name, before)
        self._after[name] = after

    @property
    def is_changed(self) -> bool:
        return self._before != self._after

    @property
    def differing(self) -> list[str]:
        """Names of what is not as it was."""
        return [name for name, before in self._before.items() if before != self._after[name]]

    def told(self) -> dict[str, t.Any]:
        """``changed`` and ``diff`` for the module's result; the diff holds what differs."""
        names = self.differing
        return {
            "changed": self.is_changed,
            "diff": {
                "before": {name: self._before[name] for name in names},
                "after": {name: self._after[name] for name in names},
            },
        }
