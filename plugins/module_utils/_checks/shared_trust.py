# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One TLS policy for all items of a run that trust the same, and the handshakes that were verified by it."""

from __future__ import annotations

import ssl
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._clients.handshakes import Handshakes
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run


class Trust(t.NamedTuple):
    """A client's policy, and what it has verified in this run."""

    context: ssl.SSLContext
    handshakes: Handshakes


def trust(ca_file: str | None, *, run: Run) -> Trust:
    """The system's authorities, or only those of ``ca_file``. Raises BadInput."""
    return run.once(("tls trust", ca_file), lambda: Trust(http.trust(ca_file), Handshakes()))
