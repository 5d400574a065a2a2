# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer sets as cookies, read as browsers read it (RFC 6265, section 5.2), and judged by attribute. Pure.

Each Set-Cookie is a header of its own: joined, the comma of an Expires could not be told from one between two cookies. The
value of a cookie is a session's secret, and is not kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import re
import typing as t
from email.utils import parsedate_to_datetime

from ansible_collections.opsready.golive.plugins.module_utils._checks.json_expectations import short
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, one_of, unknown

#: The name that stands for every cookie of an answer.
ANY = "any"
COOKIES: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "secure": {"type": "bool"},
        "http_only": {"type": "bool"},
        "same_site": {"type": "list", "elements": "str", "choices": ["strict", "lax", "none"]},
        "level": {"type": "str", "choices": ["fail", "warn"], "default": "fail"},
    },
}
_ATTRIBUTES = ("secure", "http_only", "same_site")


@dataclasses.dataclass(frozen=True)
class Cookie:
    """One cookie, without its value; ``same_site`` is empty where nothing that browsers know is said."""

    name: str
    secure: bool
    http_only: bool
    same_site: str
    #: It ends at once: the answer takes a cookie away, and sets none.
    is_removal: bool


def refuse_unreadable(expectations: t.Iterable[t.Mapping[str, t.Any]]) -> None:
    """Raises BadInput for what would judge nothing."""
    for expectation in expectations:
        if expectation.get("same_site") == []:
            raise BadInput(f"cookies: same_site of {expectation['name']} is empty, so no cookie would do.")
        if expectation["name"] == ANY and all(expectation.get(name) is None for name in _ATTRIBUTES):
            raise BadInput(
                "cookies: any names no attribute, so nothing would be judged by it.",
                remedy="Add secure, http_only or same_site.",
            )


def cookies_of(headers: t.Iterable[tuple[str, str]], *, received_at: datetime.datetime) -> list[Cookie]:
    """The cookies of an answer that came at that time, in its order."""
    return [_cookie(value, received_at) for name, value in headers if name.lower() == "set-cookie"]


def _cookie(line: str, received_at: datetime.datetime) -> Cookie:
    pair, *listed = line.split(";")
    name, is_named, _value = pair.partition("=")
    attributes: dict[str, str] = {}
    for attribute in listed:  # the last one of a name counts
        key, _equals, value = attribute.partition("=")
        attributes[key.strip().lower()] = value.strip()
    same_site = attributes.get("samesite", "").lower()
    return Cookie(
        name=name.strip() if is_named else "",
        secure="secure" in attributes,
        http_only="httponly" in attributes,
        same_site=same_site if same_site in ("strict", "lax", "none") else "",
        is_removal=_has_ended(attributes, received_at),
    )


def _has_ended(attributes: t.Mapping[str, str], received_at: datetime.datetime) -> bool:
    if re.fullmatch(r"-?[0-9]+", attributes.get("max-age", "")):  # it goes before Expires
        return attributes["max-age"].startswith("-") or not attributes["max-age"].strip("0")
    with contextlib.suppress(ValueError, TypeError, IndexError, OverflowError):
        ends = parsedate_to_datetime(attributes.get("expires", ""))
        return ends.replace(tzinfo=ends.tzinfo or datetime.timezone.utc) <= received_at
    return False


def criteria(
    found: t.Sequence[Cookie], label: str, expectations: t.Iterable[t.Mapping[str, t.Any]]
) -> t.Iterator[Criterion]:
    """Each expectation on each cookie that it is for; a cookie that the answer takes away is none."""
    for expectation in expectations:
        name = expectation["name"]
        called = f"{label} cookie {short(name)}"
        kept = [cookie for cookie in found if not cookie.is_removal and name in (cookie.name, ANY)]
        if kept:
            for cookie in kept:
                yield from _of_cookie(cookie, f"{label} cookie {short(cookie.name) or '(without a name)'}", expectation)
        elif name == ANY:
            yield unknown(
                f"{label} cookies",
                f"{label} sets no cookie, so nothing was judged by the rule for any",
                remedy="Ask for an answer that sets cookies, such as that of a login.",
            )
        else:
            measured = "taken away" if any(cookie.name == name for cookie in found) else "absent"
            yield holds(called, False, measured=measured, expected="a cookie", level=expectation["level"])


def _of_cookie(cookie: Cookie, called: str, expectation: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    level = expectation["level"]
    if all(expectation.get(name) is None for name in _ATTRIBUTES):
        yield holds(called, True, measured="set", expected="a cookie")
    for option, written, measured in (
        ("secure", "Secure", cookie.secure),
        ("http_only", "HttpOnly", cookie.http_only),
    ):
        if expectation.get(option) is not None:
            state = {True: "set", False: "not set"}
            yield one_of(f"{called} {written}", state[measured], [state[expectation[option]]], level=level)
    if expectation.get("same_site"):
        yield one_of(f"{called} SameSite", cookie.same_site or "not set", expectation["same_site"], level=level)


def evidence(found: t.Iterable[Cookie]) -> list[dict[str, t.Any]]:
    """Name and attributes of each cookie."""
    return [{**dataclasses.asdict(cookie), "name": short(cookie.name)} for cookie in found]
