# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far it is: options of the modules whose work can be long."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  progress:
    description:
      - Whether the play's output tells how far the work is - bytes, rate, share of what is expected, tables that are done - and at its end what came
        of it. V(quiet) tells nothing.
      - Lines go to standard error, so that they come at once where the output is a pipe or a file, and no report on standard output has them.
      - A line comes after O(progress_interval) at the earliest, and then when the phase has changed, when 5 % more are done, or after six times
        O(progress_interval). Work that is done before has the last line alone. There are no lines in check mode, with C(async) or with C(no_log).
      - The figures are read over a connection of their own, from a file in a private directory below C(/tmp) of the host, which is gone with the module.
        That they cannot be read is said once with C(-v), and changes nothing else.
    type: str
    choices: [lines, quiet]
    default: lines
  progress_interval:
    description: Seconds between two looks at how far it is, more than 0.
    type: float
    default: 10.0
"""
