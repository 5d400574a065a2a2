# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One login to a PostgreSQL database for all items of a run that ask it, whatever their check."""

from __future__ import annotations

from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run


def target(dsn: str, password: str | None) -> tuple[str | None, ...]:
    """What a login is shared by, as the beginning of a key of ``Run.once``."""
    return ("postgres", dsn, password)


def lender(dsn: str, *, password: str | None, run: Run) -> postgres.Lender:
    """Who lends the connections to this database."""
    return run.once(
        target(dsn, password),
        lambda: postgres.Lender(dsn, password=password, application_name="opsready/check"),
    )
