# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a TCP port says to one who knocks: open, closed (it refused), or filtered (nothing came back)."""

from __future__ import annotations

import errno
import socket

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Unreachable

OPEN, CLOSED, FILTERED = "open", "closed", "filtered"
#: A router or a firewall said that nobody can be reached; whether the port is open behind it is not known.
_IN_BETWEEN = {errno.EHOSTUNREACH, errno.EHOSTDOWN}


def knocked(address: str, port: int, *, seconds: float) -> str:
    """Connect, and hang up at once. Raises Unreachable where this host itself cannot try."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as knocking:
            knocking.settimeout(max(0.05, seconds))
            knocking.connect((address, port))
    except (socket.timeout, TimeoutError):  # two classes before Python 3.10
        return FILTERED
    except ConnectionError:
        return CLOSED
    except OSError as problem:
        if problem.errno in _IN_BETWEEN:
            return FILTERED
        raise Unreachable(f"{address} port {port} cannot be tried from here: {problem.strerror or problem}.")
    return OPEN
