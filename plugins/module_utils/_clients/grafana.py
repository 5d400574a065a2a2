# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP API of Grafana, as far as it only reads: input and output only, failures as our errors."""

from __future__ import annotations

import datetime
import email.utils
import json
import typing as t
from urllib.parse import quote

from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    UnexpectedAnswer,
    Unreachable,
)

#: The settings of a Grafana with many plugins are a MiB, a dashboard or an answer of many series a few.
_MOST_BYTES = 16 * 1024 * 1024
_ROLE = (
    "The role Viewer suffices where it may see the folder: dashboards:read, datasources:query (of each data source), "
    "library.panels:read and alert.rules:read."
)


class Answer(t.NamedTuple):
    """Status and document of an answer, and Grafana's own clock where it told it."""

    status: int
    content: t.Any
    now: datetime.datetime | None

    @property
    def said(self) -> str:
        """What Grafana says of an error, in a few words."""
        said = self.content.get("message") if isinstance(self.content, dict) else None
        return str(said or f"status {self.status}")[:300].rstrip(".")


class Api:
    """Questions to one Grafana, over one connection; close it, or use it in a ``with``."""

    def __init__(self, url: str, *, secret_headers: t.Mapping[str, t.Any], ca_file: str | None) -> None:
        """``url`` may have a path, where Grafana is served from one. Raises BadInput."""
        self.url = url.rstrip("/")
        if "?" in url or "#" in url:
            raise BadInput("url must be the address alone, without a query or fragment.")
        http.origin_of(self.url)
        self._secret_headers = secret_headers
        self._client = http.HttpClient(ca_file=ca_file)

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *ignored: object) -> None:
        self._client.close()

    def get(self, *parts: str, deadline: Deadline) -> Answer:
        """The answer to ``/api/`` and these parts of a path, whatever its status, but for a refusal.

        Raises Unreachable, TimedOut, Denied, UnexpectedAnswer.
        """
        return self._asked("GET", "/".join(quote(part, safe="") for part in parts), None, deadline)

    def query(self, question: t.Mapping[str, t.Any], *, deadline: Deadline) -> Answer:
        """The answer of data sources to queries; it reads, though it is a POST. Raises as ``get`` does."""
        return self._asked("POST", "ds/query", json.dumps(question, sort_keys=True).encode(), deadline)

    def _asked(self, method: str, path: str, body: bytes | None, deadline: Deadline) -> Answer:
        where = f"{self.url}/api/{path}"
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        response = self._client.request(
            method,
            where,
            deadline=deadline,
            headers=headers,
            secret_headers=self._secret_headers,
            body=body,
            max_body=_MOST_BYTES,
        )
        if response.status == 401:
            raise Denied(
                f"{where} refused us with status 401.",
                remedy="Give the token of a service account, or username and password.",
            )
        if response.status == 403:
            raise Denied(f"{where} refused us with status 403.", remedy=_ROLE)
        if response.status in (301, 302, 303, 307, 308):
            raise UnexpectedAnswer(f"{where} redirects (status {response.status}); name the final address.")
        if response.is_truncated:
            raise UnexpectedAnswer(f"{where} answered with more than the {_MOST_BYTES // 2**20} MiB that are read.")
        return Answer(response.status, _document(response, where), _clock(response))


def _document(response: http.Response, where: str) -> t.Any:
    kind = (response.header("content-type") or "").lower()
    if "json" not in kind:
        if response.status != 200:
            raise Unreachable(
                f"{where} answered with status {response.status}: it is not ready, or something stands before it."
            )
        page = "an HTML page" if "html" in kind else f"{kind or 'something'}"
        raise UnexpectedAnswer(
            f"{where} answered with {page} in place of JSON.", remedy="A login page, or another program's address?"
        )
    return response.json()


def _clock(response: http.Response) -> datetime.datetime | None:
    stamp = response.header("date")
    try:
        return email.utils.parsedate_to_datetime(stamp) if stamp else None
    except (TypeError, ValueError):
        return None
