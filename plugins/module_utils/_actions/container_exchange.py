# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells of a container that is made anew: its names meanwhile, its label, and the files that say what it is made of.

Known to whoever exchanges containers, and to ROLLBACK.md, which does it without us.
"""

from __future__ import annotations

#: Names of the one that is made and of the one that it takes the place of, for the moment between.
NEW, OLD = "_golive_new", "_golive_old"
#: The id of the container that one was made in place of: what a run that was killed left is known by it.
REPLACES = "org.opsready.golive.replaces"
#: Folder of a snapshot with what each container is made of, and what stands there for the id that REPLACES is to be.
RECIPES, ITS_ID = "containers", "ID-OF-THE-CONTAINER-THAT-IS-REPLACED"
