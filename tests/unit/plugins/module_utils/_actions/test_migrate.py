# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a migration told of Alembic's output holds no half of a secret, wherever the cut falls."""

from __future__ import annotations

import types
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import migrate
from ansible_collections.opsready.golive.plugins.module_utils._core.command import Completed
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import CommandFailed
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber, in_use

SECRET = "canary-7:9/d1f@xyz"
HALF = SECRET[8:]


def test_the_kept_output_of_a_migration_holds_no_half_of_a_secret() -> None:
    said = SECRET + "." * (4000 - len(HALF))
    with in_use(Scrubber([SECRET])):
        assert HALF not in migrate._tail(Completed(0, said, "", 1.0))


def test_a_migration_that_failed_tells_no_half_of_a_secret() -> None:
    last = "." * (400 - len(SECRET[:8])) + SECRET
    stderr = SECRET + "." * (4000 - len(HALF) - len(last) - 1) + "\n" + last
    work = t.cast("t.Any", types.SimpleNamespace(recorded=lambda: ["1"], database="archive"))
    problem = CommandFailed("alembic ended with code 1.", returncode=1, stderr=stderr)
    with in_use(Scrubber([SECRET])):
        failed = migrate.Migration._failed(work, "upgrade", problem, ["1"], {})
    assert SECRET[:8] not in failed.message and HALF not in failed.known["output"]
