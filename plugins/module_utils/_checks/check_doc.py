# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a document: is it there, about this version, finished, and not older than what it describes?"""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import hashlib
import json
import os
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import document_text
from ansible_collections.opsready.golive.plugins.module_utils._checks.document_text import Document, Section
from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._clients.git import Git, top_of
from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import read_whole, text_of
from ansible_collections.opsready.golive.plugins.module_utils._core import units
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    at_most,
    holds,
    one_of,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import compiled
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NAME = "check_doc"

ARGUMENT_SPEC: Spec = {
    "path": {"type": "path"},
    "url": {"type": "str"},
    "secret_headers": {"type": "dict", "no_log": True},
    "bearer": {"type": "str", "no_log": True},
    "ca_file": {"type": "path"},
    "version": {"type": "str"},
    "version_in": {"type": "str", "choices": ["heading", "text"], "default": "heading"},
    "dated": {"type": "bool", "default": False},
    "required_headings": {"type": "list", "elements": "str"},
    "contains": {"type": "list", "elements": "str"},
    "placeholders": {"type": "str", "choices": ["refused", "ignored"], "default": "refused"},
    "placeholder_patterns": {"type": "list", "elements": "str"},
    "placeholder_exceptions": {"type": "list", "elements": "str", "default": []},
    "max_age": {"type": "str"},
    "age_of": {"type": "str", "choices": ["document", "section"], "default": "document"},
    "changed_since": {"type": "str"},
    "trusted_owner": {"type": "str"},
    "min_size": {"type": "str", "default": "1B"},
    "max_size": {"type": "str", "default": "4MiB"},
}
CONSTRAINTS: Constraints = {
    "required_one_of": [["path", "url"]],
    "mutually_exclusive": [["path", "url"], ["url", "changed_since"], ["url", "trusted_owner"]],
    "required_by": {"trusted_owner": ["changed_since"]},
}

_MOST_SIZE = 64 * 2**20
_DATE = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)|(?<!\d)(\d{1,2})\.(\d{1,2})\.(\d{4})(?!\d)")
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Facts:
    """The document, or why there is none."""

    label: str
    problem: str = ""
    remedy: str = ""
    #: The server's status where it is not 200.
    status: int | None = None
    size_bytes: int = 0
    sha256: str = ""
    document: Document | None = None
    #: When it was changed last, where that is known.
    changed_at: datetime.datetime | None = None
    now: datetime.datetime | None = None
    #: Whether it differs from what it was at ``changed_since``; None where ``not_compared`` says why not.
    is_changed: bool | None = None
    not_compared: str = ""


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in ("required_headings", "contains", "placeholder_patterns"):
        if params.get(option) == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    for pattern in params.get("placeholder_patterns") or ():
        compiled(pattern, option="placeholder_patterns")
    if params.get("version") is not None and not params["version"].strip():
        raise BadInput("version is empty, so nothing would be judged by it.")
    in_section = params.get("version") is not None and params["version_in"] == "heading"
    for option in ("dated", "age_of"):
        if params[option] in (True, "section") and not in_section:
            raise BadInput(f"{option} needs version, and version_in: heading: it is about that section's heading.")
    if params["age_of"] == "section" and not params.get("max_age"):
        raise BadInput("age_of means nothing without max_age.")
    if params.get("max_age"):
        units.span_seconds(params["max_age"], option="max_age")
    if params.get("url"):
        http.origin_of(params["url"])
    units.size_bytes(params["min_size"], option="min_size")
    if not 0 < units.size_bytes(params["max_size"], option="max_size") <= _MOST_SIZE:
        raise BadInput(f"max_size is {params['max_size']}, expected at most 64MiB.")


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Read the document, and compare it with what git knows of it. Raises BadInput."""
    _refuse_unusable(params)
    label = re.sub(r"[?#].*", "", params["url"]) if params.get("url") else os.path.basename(params["path"])
    max_bytes = units.size_bytes(params["max_size"], option="max_size")
    try:
        if params.get("url"):
            octets, text, changed_at, status = _fetched(params, run, max_bytes)
            if status != 200:
                return Facts(label, status=status)
        else:
            path = params["path"]
            file = run.once(("whole file", path, max_bytes), lambda: read_whole(path, max_bytes=max_bytes))
            octets, text = file.octets, text_of(file.octets)
            changed_at = datetime.datetime.fromtimestamp(file.changed_at, datetime.timezone.utc)
        if "\0" in text[:8192]:
            raise UnexpectedAnswer(f"{label} is not text.")
    except BadInput:
        raise
    except GoliveError as problem:
        return Facts(label, problem=problem.message.rstrip("."), remedy=problem.remedy)
    extra = [re.compile(pattern) for pattern in params.get("placeholder_patterns") or ()]
    is_changed, not_compared = _compared(params, run) if params.get("changed_since") else (None, "")
    return Facts(
        label,
        size_bytes=len(octets),
        sha256=hashlib.sha256(octets).hexdigest(),
        document=document_text.read(text, extra=extra, excepted=params["placeholder_exceptions"]),
        changed_at=changed_at,
        now=run.clock.now(),
        is_changed=is_changed,
        not_compared=not_compared,
    )


def _fetched(
    params: t.Mapping[str, t.Any], run: Run, max_bytes: int
) -> tuple[bytes, str, datetime.datetime | None, int]:
    url, ca_file = params["url"], params.get("ca_file")
    secrets = {**(params.get("secret_headers") or {}), **http.bearer(params.get("bearer"))}

    def get() -> http.Response:
        return http.request(
            "GET",
            url,
            deadline=run.deadline,
            secret_headers=secrets,
            ca_file=ca_file,
            follow=True,
            max_body=max_bytes,
        )

    response = run.once(("document", url, json.dumps(secrets, sort_keys=True, default=str), ca_file, max_bytes), get)
    if response.status != 200:
        return b"", "", None, response.status
    if response.is_truncated:
        raise UnexpectedAnswer(f"{url} has more than the {max_bytes} bytes that are read.")
    changed_at = None
    stamp = response.header("last-modified")
    if stamp:
        try:
            changed_at = email.utils.parsedate_to_datetime(stamp)
        except (TypeError, ValueError):
            changed_at = None
    if changed_at is not None and changed_at.tzinfo is None:
        changed_at = changed_at.replace(tzinfo=datetime.timezone.utc)
    return response.content(limit=max_bytes), response.text(), changed_at, 200


def _compared(params: t.Mapping[str, t.Any], run: Run) -> tuple[bool | None, str]:
    """Whether git sees a difference between the file as it is and as it was."""
    since = params["changed_since"]
    try:
        path = os.path.realpath(params["path"])
        top = top_of(path)
        git = Git(top, deadline=run.deadline, trusted_owner=params.get("trusted_owner"), once=run.once)
        commit = git.commit_of(since)
        if commit is None:
            return None, f"{since} is no commit or tag of {top}"
        relative = os.path.relpath(path, top)
        now = git.line("hash-object", f"--path={relative}", "--", relative)
        before = git.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:{relative}")
    except GoliveError as problem:
        return None, str(problem).rstrip(".")
    return (now != before, "") if now else (None, f"git could not read {path}")


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Size, age, this version's section, headings, texts, and what nobody filled in."""
    label, document = facts.label, facts.document
    if facts.status is not None:
        if facts.status in (404, 410):
            sentence = f"{label} is not there: status {facts.status}"
            yield holds(
                label,
                False,
                measured=f"status {facts.status}",
                expected="a document",
                sentence=sentence,
                remedy="Publish it there, or correct its address.",
            )
        else:
            yield unknown(label, f"{label} answered with status {facts.status}, expected 200")
        return
    if document is None:
        yield unknown(label, facts.problem, remedy=facts.remedy)
        return
    yield at_least(
        f"{label} size", facts.size_bytes, units.size_bytes(params["min_size"], option="min_size"), unit="bytes"
    )
    section = None
    if params.get("version"):
        section = _section_of(document, params["version"])
        yield from _judge_version(section, document, label, params)
    if params.get("max_age"):
        yield _judge_age(facts, section, params)
    if params.get("changed_since"):
        yield holds(
            f"{label} changed since {params['changed_since']}",
            facts.is_changed,
            measured="changed" if facts.is_changed else "the same",
            expected="changed",
            sentence=f"{label} cannot be compared: {facts.not_compared}"
            if facts.is_changed is None
            else f"{label} is the same as at {params['changed_since']}",
        )
    for wanted in dict.fromkeys(params.get("required_headings") or ()):
        yield _judge_heading(document, label, wanted)
    for text in dict.fromkeys(params.get("contains") or ()):
        found = document_text.normalised(text) in document_text.normalised(document.text)
        yield holds(
            f"{label} contains {text!r}",
            found,
            measured="found" if found else "not found",
            expected="found",
            sentence=f"{label} does not contain {text!r}",
        )
    if params["placeholders"] == "refused":
        yield _judge_placeholders(document, label)


def _section_of(document: Document, version: str) -> Section | None:
    return next((each for each in document.sections if document_text.has_version(each.title, version)), None)


def _judge_version(
    section: Section | None, document: Document, label: str, params: t.Mapping[str, t.Any]
) -> t.Iterator[Criterion]:
    version = params["version"]
    if params["version_in"] == "text":
        found = document_text.has_version(document.text, version)
        yield holds(
            f"{label} version",
            found,
            measured=version if found else "not found",
            expected=version,
            sentence=f"{label} does not mention version {version}",
            remedy=f"Write a section about {version}, or let the document be made anew.",
        )
        return
    newest = next((each.title for each in document.sections if re.search(r"\d+\.\d", each.title)), "no version")
    yield holds(
        f"{label} section of {version}",
        section is not None and not section.is_empty,
        measured=(f"{section.title!r} without text" if section.is_empty else section.title) if section else newest,
        expected=f"a heading of {version} with text below it",
        sentence=f"{label}: the section {section.title!r} is empty"
        if section
        else f"{label} has no heading of version {version}; the first of a version is {newest!r}",
        remedy="Write what changed.",
    )
    if params["dated"] and section is not None:
        dated = _date_in(section.title)
        yield holds(
            f"{label} date of {version}",
            dated is not None,
            measured=dated.isoformat() if dated else "no date",
            expected="a date",
            sentence=f"{label}: the heading {section.title!r} has no date",
            remedy=f"Write the date into the heading, such as {version} (2026-01-31).",
        )


def _date_in(title: str) -> datetime.date | None:
    """The first real date, as 2026-11-22 or 22.11.2026."""
    for match in _DATE.finditer(title):
        year, month, day = (match[1], match[2], match[3]) if match[1] else (match[6], match[5], match[4])
        try:
            return datetime.date(int(year), int(month), int(day))
        except ValueError:
            continue
    return None


def _judge_age(facts: Facts, section: Section | None, params: t.Mapping[str, t.Any]) -> Criterion:
    label, now = facts.label, t.cast(datetime.datetime, facts.now)
    if params["age_of"] == "section":
        name = f"{label} age of the section"
        dated = _date_in(section.title) if section else None
        if dated is None:
            return unknown(
                name,
                f"{label}: the section of {params['version']} has no date",
                remedy="Write the date into its heading.",
            )
        # A day is over when its last second is.
        age = (now - datetime.datetime.combine(dated, datetime.time(), datetime.timezone.utc)).total_seconds() - 86400
        allowed_ahead = 2 * 86400.0
    else:
        name = f"{label} age"
        if facts.changed_at is None:
            return unknown(name, f"{label} does not say when it was changed last", remedy="Use age_of: section.")
        age = (now - facts.changed_at).total_seconds()
        allowed_ahead = CLOCKS_DIFFER
    if age < -allowed_ahead:
        return unknown(
            name,
            f"{name} is negative: it is dated {units.span_text(-age)} from now",
            remedy="Compare the clock of the host that wrote it with this one: timedatectl or chronyc tracking.",
        )
    age = max(0.0, age)
    return holds(
        name,
        age <= units.span_seconds(params["max_age"], option="max_age"),
        measured=units.span_text(age),
        expected=f"at most {params['max_age']}",
    )


def _judge_heading(document: Document, label: str, wanted: str) -> Criterion:
    found = [
        each for each in document.sections if document_text.normalised(each.title) == document_text.normalised(wanted)
    ]
    filled = [each for each in found if not each.is_empty]
    state = "there" if filled else "empty" if found else "absent"
    return dataclasses.replace(
        one_of(
            f"{label} heading {wanted!r}",
            state,
            ["there"],
            remedy="Write what belongs below it.",
        ),
        sentence=f"{label}: the section {wanted!r} is {state}",
    )


def _judge_placeholders(document: Document, label: str) -> Criterion:
    found = document.placeholders
    named = ", ".join(f"{each.text} (line {each.line})" for each in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return dataclasses.replace(
        at_most(f"{label} placeholders", len(found), 0, remedy="Replace them by what is meant."),
        sentence=f"{label} has places that nobody filled in: {named}{more}",
        remedy="Fill them in, or name what is meant as it stands in placeholder_exceptions." if found else "",
    )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """Its hash, size and date, its first headings and the placeholders; not its text."""
    if facts.document is None:
        return {"document": facts.label, "problem": facts.problem or f"status {facts.status}"}
    return {
        "document": facts.label,
        "sha256": facts.sha256,
        "bytes": facts.size_bytes,
        "changed_at": facts.changed_at.isoformat() if facts.changed_at else None,
        "headings": [section.title[:120] for section in facts.document.sections[:20]],
        "placeholders": [dataclasses.asdict(each) for each in facts.document.placeholders[:20]],
    }
