# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person attests: a form where nobody filled in a name, or a fact that is asked for, is no attestation."""

from __future__ import annotations

import re
import typing as t

#: An attestation that is bound to no digest: it holds for its time.
UNBOUND = "none"
#: What stands in a form where a name or a number should be.
_BLANK = re.compile(r"[\W_]*|\[.*|<.*|(tbd|todo|n/?a|n\.?\s?n\.?|nobody|none|name|x+)", re.IGNORECASE)


def is_blank(value: t.Any) -> bool:
    """Whether this is what stands where nobody filled anything in: nothing, ``[Name]``, ``TBD``, ``n/a``, ``???``."""
    return _BLANK.fullmatch(str("" if value is None else value).strip()) is not None


def unstated(asks: t.Iterable[str], details: t.Mapping[str, t.Any] | None) -> list[str]:
    """What an attestation has to state and does not."""
    return [name for name in asks if is_blank((details or {}).get(name))]
