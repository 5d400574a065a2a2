# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a value that is an address, a list of origins, or text of a form; no fault holds a password."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from urllib.parse import SplitResult, unquote, urlsplit

from ansible_collections.opsready.golive.plugins.module_utils._checks import secret_strength
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import is_in

_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63})"
)
#: Names that nobody can own (RFC 2606, RFC 6761).
_RESERVED = re.compile(r"(^|\.)(example\.(com|org|net)|example|test|invalid|localhost|local)$", re.IGNORECASE)


def split(value: str) -> SplitResult | None:
    """None where it is no URL."""
    try:
        parts = urlsplit(value.strip())
        _port = parts.port  # reading it is what raises where it is no number
    except ValueError:
        return None
    return parts


def without_secrets(value: str) -> str:
    """Scheme, user, host, port and path: neither password nor query."""
    parts = split(value)
    if parts is None or not parts.scheme:
        return "(not a URL)"
    user = (
        f"{parts.username}:********@"
        if parts.password is not None
        else (f"{parts.username}@" if parts.username else "")
    )
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{user}{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _is_private(host: str) -> bool:
    if _RESERVED.search(host) or ("." not in host and ":" not in host):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _url_fault(rule: t.Mapping[str, t.Any], value: str) -> t.Iterator[str]:
    parts = split(value)
    schemes = rule.get("schemes") or ["https"]
    if parts is None or not parts.hostname:
        yield "is not a URL with a host"
        return
    if parts.scheme not in schemes:
        yield f"has the scheme {parts.scheme}, expected {' or '.join(schemes)}"
    if not rule["allow_private"] and _is_private(parts.hostname):
        yield f"points to {parts.hostname}, which is not reachable from outside"


def _dsn_fault(rule: t.Mapping[str, t.Any], value: str) -> t.Iterator[str]:
    parts = split(value)
    if parts is None or not parts.scheme:
        yield "is not scheme://host/database"
        return
    scheme = parts.scheme.partition("+")[0].lower()
    scheme = "postgresql" if scheme == "postgres" else scheme
    schemes = rule.get("schemes") or ["postgresql"]
    if scheme not in schemes:
        yield f"has the scheme {scheme}, expected {' or '.join(schemes)}"
    if not parts.hostname and scheme != "sqlite" and "host=" not in parts.query:
        yield "names no host"
    if scheme in ("postgresql", "mysql", "mariadb") and not parts.path.strip("/"):
        yield "names no database"
    if parts.password and secret_strength.placeholder_in(unquote(parts.password)):
        yield "holds a placeholder for its password"


def _email_fault(rule: t.Mapping[str, t.Any], value: str) -> t.Iterator[str]:
    match = _EMAIL.fullmatch(value.strip())
    if match is None:
        yield "is not an e-mail address"
    elif _RESERVED.search(match[1]):
        yield f"is at {match[1]}, which nobody can own"


def origins_in(value: str) -> list[str] | None:
    """The origins of a JSON list, or of a list with commas; None for JSON that is no list of strings."""
    if value.strip().startswith("["):
        try:
            listed = foreign_json.read(value)
        except ValueError:
            return None
        return listed if isinstance(listed, list) and all(isinstance(item, str) for item in listed) else None
    return [item.strip() for item in value.split(",") if item.strip()]


def _origins_fault(rule: t.Mapping[str, t.Any], value: str) -> t.Iterator[str]:
    listed = origins_in(value)
    if not listed:
        yield "is not a list of origins"
        return
    for origin in listed:
        yield from _origin_fault(rule, origin)
    allowed = rule.get("allowed") or listed
    strange = [origin for origin in listed if origin not in allowed]
    missing = [origin for origin in allowed if origin not in listed]
    if strange:
        yield f"holds {', '.join(strange)}, which was not expected"
    if missing:
        yield f"lacks {', '.join(missing)}"


def _origin_fault(rule: t.Mapping[str, t.Any], origin: str) -> t.Iterator[str]:
    schemes = rule.get("schemes") or ["https"]
    parts = split(origin)
    if "*" in origin:
        yield "holds *, which lets every page read the answers"
    elif parts is None or not parts.hostname or parts.path or parts.query or parts.username:
        yield f"holds {origin}, which is not scheme://host"
    elif parts.scheme not in schemes:
        yield f"holds {origin}, expected {' or '.join(schemes)}"
    elif not rule["allow_private"] and _is_private(parts.hostname):
        yield f"holds {origin}, which is no public origin"


def _pattern_fault(rule: t.Mapping[str, t.Any], value: str) -> t.Iterator[str]:
    if not is_in(re.compile(rule["pattern"]), value):
        yield f"does not match /{rule['pattern']}/"


FAULTS: dict[str, t.Callable[[t.Mapping[str, t.Any], str], t.Iterator[str]]] = {
    "url": _url_fault,
    "dsn": _dsn_fault,
    "email": _email_fault,
    "origins": _origins_fault,
    "matches": _pattern_fault,
}


def fault_of(rule: t.Mapping[str, t.Any], value: str) -> str | None:
    """The first fault of a value of one of these kinds; None where it is as the rule wants it."""
    return next(FAULTS[rule["kind"]](rule, value), None)
