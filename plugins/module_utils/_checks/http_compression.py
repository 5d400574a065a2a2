# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an answer comes compressed to who asks for it. Only gzip is unpacked, up to a bound; other codings are told."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, one_of, unknown

OPTION: dict[str, t.Any] = {"type": "str", "choices": ["required", "optional"]}
_ASKED = {"Accept-Encoding": "gzip"}
_ALSO_ASKED = {"Accept-Encoding": "br, zstd"}


@dataclasses.dataclass(frozen=True)
class Packed:
    """How a body came. ``plain_bytes`` is None where it could not be unpacked; with ``is_more`` it is what was read."""

    coding: str
    sent_bytes: int
    plain_bytes: int | None
    is_more: bool = False
    problem: str = ""


def ask_for(request: t.Mapping[str, t.Any], headers: dict[str, t.Any]) -> None:
    """Ask for gzip where compression is to be judged. Raises BadInput where the headers ask for something else."""
    if request.get("compression") != "required":
        return
    if any(name.lower() == "accept-encoding" for name in headers):
        raise BadInput("compression asks for gzip itself: leave the header Accept-Encoding out.")
    headers.update(_ASKED)


def packed(response: http.Response) -> Packed:
    """How an answer's body came, unpacked up to the client's bound."""
    size = len(response.body)
    try:
        content = response.content()
    except GoliveError as problem:
        return Packed(response.coding, size, None, problem=problem.message)
    return Packed(response.coding, size, len(content), is_more=response.is_truncated)


def other_coding(request: t.Mapping[str, t.Any], ask: t.Callable[[t.Mapping[str, t.Any]], http.Response]) -> str:
    """The coding that is given to who knows br and zstd alone; empty where there is none. It is told, and not judged."""
    if request.get("compression") != "required":
        return ""
    with contextlib.suppress(GoliveError):
        coding = ask(_ALSO_ASKED).coding
        return "" if coding == "identity" else coding
    return ""


def criteria(seen: Packed, label: str) -> t.Iterator[Criterion]:
    """Whether the body came as gzip, and is."""
    name = f"{label} compression"
    if seen.problem and seen.coding in ("gzip", "x-gzip"):
        yield holds(name, False, measured="not gzip", expected="gzip", sentence=f"{name}: {seen.problem.rstrip('.')}")
    elif not seen.sent_bytes:
        yield unknown(name, f"{name} cannot be told: the answer has no body", remedy="Ask for one that has.")
    else:
        yield one_of(
            name,
            {"identity": "none", "x-gzip": "gzip"}.get(seen.coding, seen.coding),
            ["gzip"],
            remedy="Let the server compress this kind of answer. It may leave small ones out: then name a larger one.",
        )


def evidence(seen: Packed, other: str) -> dict[str, t.Any]:
    """The coding, and the body's bytes as sent and unpacked."""
    told: dict[str, t.Any] = {"coding": seen.coding, "sent_bytes": seen.sent_bytes, "plain_bytes": seen.plain_bytes}
    if seen.is_more:
        told["plain_bytes"] = f"more than {seen.plain_bytes}"
    return {**told, "also": other} if other else told
