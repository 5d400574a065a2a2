# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP API of Prometheus, and the one question to Alertmanager: input and output only, failures as our errors."""

from __future__ import annotations

import datetime
import email.utils
import re
import typing as t
from urllib.parse import urlencode

from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, parse_utc
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    UnexpectedAnswer,
    Unreachable,
)

#: A thousand targets with all that was discovered about them are a few MiB.
_MOST_BYTES = 16 * 1024 * 1024
_FRACTION = re.compile(r"\.(\d+)")
_DURATION = re.compile(r"(\d+)(ms|[ywdhms])")
_DURATION_SECONDS = {"y": 31536000.0, "w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class QueryRefused(UnexpectedAnswer):
    """The server is well, and does not evaluate this query."""


class Answer(t.NamedTuple):
    """What the API answered, with the server's own clock and its warnings: an answer may be a part of the whole."""

    content: t.Any
    now: datetime.datetime | None
    warnings: tuple[str, ...]


class Api:
    """Questions to one server, over one connection; close it, or use it in a ``with``."""

    def __init__(self, url: str, *, secret_headers: t.Mapping[str, t.Any], ca_file: str | None) -> None:
        """``url`` may have a path, where the server stands behind a proxy. Raises BadInput."""
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

    def get(self, path: str, query: t.Mapping[str, str], *, deadline: Deadline) -> Answer:
        """One answer of Prometheus, such as ``targets``. Raises Unreachable, TimedOut, Denied, UnexpectedAnswer, QueryRefused."""
        response, document = self._asked(f"/api/v1/{path}", query, deadline)
        if not isinstance(document, dict) or document.get("status") not in ("success", "error"):
            raise UnexpectedAnswer(f"{self.url}/api/v1/{path} answered, and not as Prometheus does.")
        if document["status"] == "error":
            said = str(document.get("error"))[:500]
            if document.get("errorType") in ("bad_data", "execution"):
                raise QueryRefused(said)
            raise Unreachable(f"{self.url} could not answer {path}: {document.get('errorType')}: {said}.")
        stamp = response.header("date")
        try:
            now = email.utils.parsedate_to_datetime(stamp) if stamp else None
        except (TypeError, ValueError):
            now = None
        return Answer(document.get("data"), now, tuple(str(text) for text in document.get("warnings") or ()))

    def silenced(self, *, deadline: Deadline) -> list[t.Mapping[str, str]]:
        """The labels of Alertmanager's silenced alerts. Raises as ``get`` does."""
        query = {"active": "false", "inhibited": "false", "unprocessed": "false", "silenced": "true"}
        _response, document = self._asked("/api/v2/alerts", query, deadline)
        if not isinstance(document, list) or not all(isinstance(alert, dict) for alert in document):
            raise UnexpectedAnswer(f"{self.url}/api/v2/alerts answered, and not as Alertmanager does.")
        return [alert.get("labels") or {} for alert in document]

    def _asked(self, path: str, query: t.Mapping[str, str], deadline: Deadline) -> tuple[http.Response, t.Any]:
        where = f"{self.url}{path}"
        response = self._client.request(
            "GET",
            f"{where}?{urlencode(query)}" if query else where,
            deadline=deadline,
            headers={"Accept": "application/json"},
            secret_headers=self._secret_headers,
            max_body=_MOST_BYTES,
        )
        kind = (response.header("content-type") or "").lower()
        if response.status in (401, 403):
            raise Denied(
                f"{where} refused us with status {response.status}.",
                remedy="Give bearer, username and password, or secret_headers.",
            )
        if response.status in (301, 302, 303, 307, 308):
            raise UnexpectedAnswer(f"{where} redirects (status {response.status}); name the final address.")
        if response.is_truncated:
            raise UnexpectedAnswer(f"{where} answered with more than the {_MOST_BYTES // 2**20} MiB that are read.")
        if "json" not in kind:
            if response.status != 200:
                raise Unreachable(
                    f"{where} answered with status {response.status}: it is not ready, or something stands before it."
                )
            page = "an HTML page" if "html" in kind else f"{kind or 'something'}"
            raise UnexpectedAnswer(
                f"{where} answered with {page} in place of JSON.", remedy="A login page, or another program's address?"
            )
        try:
            return response, response.json()
        except UnexpectedAnswer as problem:
            raise UnexpectedAnswer(problem.message.replace(response.url, where))


def moment(text: str) -> datetime.datetime | None:
    """A time as Go writes it, with nanoseconds; None where it stands for never. Raises UnexpectedAnswer."""
    try:
        when = parse_utc(_FRACTION.sub(lambda match: "." + match[1][:6].ljust(6, "0"), text))
    except ValueError:
        raise UnexpectedAnswer(f"Prometheus told a time that is none: {text[:40]!r}.")
    return when if when.year > 1970 else None


def duration_seconds(text: str) -> float | None:
    """Prometheus's own spans, ``15d`` or ``1h30m``, in seconds; None where it is none."""
    if not text or _DURATION.sub("", text):
        return None
    return sum(int(number) * _DURATION_SECONDS[unit] for number, unit in _DURATION.findall(text))
