# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How handing over a message can end, other than well: whether it may be handed over again depends on it."""

from __future__ import annotations

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError, UnexpectedAnswer


class NotNow(UnexpectedAnswer):
    """The server did not take the message and may take it later; ``known["retry_after"]`` is its wish in seconds, if any."""


class Unconfirmed(GoliveError):
    """The server has the whole message and did not say what became of it: sent again, it might arrive twice."""
