# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of backups at other places: the newest that lies there too, the same, and far enough away."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import manifest
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Destination
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_facts import (
    Backup,
    Copy,
    Facts,
    first_of,
    proven_by,
)
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_places import opened, unlike
from ansible_collections.opsready.golive.plugins.module_utils._clients import s3
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, told_apart, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.units import span_seconds, span_text


def gathered(place: t.Mapping[str, t.Any], source: Facts, params: t.Mapping[str, t.Any], run: Run) -> Copy:
    """The newest backup of the source whose archive, of the same SHA-256 and size, lies there too."""
    with opened(place, run) as there:
        is_elsewhere = _is_elsewhere(params, place)
        others: list[str] = []
        try:
            names = set(there.names(manifest.folder(params["database"])))
            for one in reversed(proven_by(source, params["verify"])):
                if one.name not in names:
                    continue
                run.deadline.require(f"Looking at {there.url(one.name)}")
                problem = _unlike_there(there, one)
                if not problem:
                    return Copy(is_elsewhere, one.name, one.created, tuple(others))
                others.append(f"{there.url(one.name)} {problem}")
        except s3.Absent as problem:
            return Copy(is_elsewhere, absent=problem.message.rstrip("."))
        return Copy(is_elsewhere, others=tuple(others))


def _unlike_there(there: Destination, one: Backup) -> str:
    """Why what lies there is not this backup; nothing when it is."""
    try:
        made = manifest.load(there, one.name)
    except s3.Absent:
        return "was removed"
    except UnexpectedAnswer:
        return "cannot be read"
    if made.archive["sha256"] != one.sha256:
        return "is of another archive"
    problem = unlike(there, one.name, made, is_copy=True)
    return f"has an archive that {problem}" if problem else ""


def _is_elsewhere(params: t.Mapping[str, t.Any], place: t.Mapping[str, t.Any]) -> bool | None:
    """Whether what takes one place away leaves the other; None where it cannot be told."""
    here, there = params["destination"], place["destination"]
    if not here.startswith("s3://") and not there.startswith("s3://"):
        try:
            return os.stat(here[len("file://") :]).st_dev != os.stat(there[len("file://") :]).st_dev
        except OSError:
            return None
    if here.startswith("s3://") and there.startswith("s3://"):
        return _bucket_of(params) != _bucket_of(place)
    return True


def _bucket_of(place: t.Mapping[str, t.Any]) -> tuple[str, str]:
    endpoint = (place["s3"] or {}).get("endpoint_url") or ""
    return endpoint.rstrip("/").lower(), s3.split_url(place["destination"])[0]


def judged(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    places = params["copies"] or []
    for label, place, copy in zip(
        told_apart(f"copy at {place['destination']}" for place in places), places, facts.copies
    ):
        if copy.problem:
            yield unknown(label, f"{label} is unknown: {copy.problem}", remedy=copy.remedy)
            continue
        if copy.absent:
            yield holds(label, False, measured="missing", expected="there", sentence=f"{label} is not there: {copy.absent}",
                        remedy="Correct the copy's destination, or create it and copy.")  # fmt: skip
            continue
        yield holds(
            f"{label}: elsewhere",
            copy.is_elsewhere,
            measured="the same bucket or file system" if copy.is_elsewhere is False else "another",
            expected="another bucket, endpoint or file system",
            sentence=f"{label} is in the same bucket or file system as the backups, which can be lost as a whole"
            if copy.is_elsewhere is False
            else f"whether {label} is elsewhere could not be told",
            remedy="Copy to another site.",
        )
        if copy.others:
            yield holds(
                f"{label}: content",
                False,
                measured=f"{len(copy.others)} differ",
                expected="the same",
                sentence=f"copies that are not the backup of their name: {first_of(copy.others)}",
                remedy="Copy them again, archive first and manifest last.",
            )
        yield _judge_copy_age(label, copy, place["max_age"] or params["max_age"], facts)


def _judge_copy_age(label: str, copy: Copy, bound: str, facts: Facts) -> Criterion:
    remedy = "Look at what should copy the backups there."
    if copy.created is None:
        sentence = f"{label} holds none of the backups"
        return holds(
            f"{label}: age", False, measured="none", expected=f"at most {bound}", sentence=sentence, remedy=remedy
        )
    age = max(0.0, (facts.now - copy.created).total_seconds())
    return holds(
        f"{label}: age",
        age <= span_seconds(bound, option="max_age"),
        measured=span_text(age),
        expected=f"at most {bound}",
        sentence=f"the newest backup of {label} is {span_text(age)} old, expected at most {bound}",
        remedy=remedy,
    )
