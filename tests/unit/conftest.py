# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Property tests without hypothesis's time limit per example: no test asserts on a clock.

Where every skip is a failure, as on CI, the examples are the same in each run; everywhere else they are new ones.
"""

from __future__ import annotations

from hypothesis import settings

from tests.parts import skips_are_failures

settings.register_profile("no-clock", deadline=None, database=None, derandomize=skips_are_failures())
settings.load_profile("no-clock")
