# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What does a report contain, and how does it reach the disk?

The report is one JSON document (docs/report.schema.json). The other formats are derived from it and add
no facts.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ansible_collections.opsready.golive.plugins.module_utils._actions.release_steps import STEPS, TOUCHING, WAY_BACK

SCHEMA_VERSION = 1

STATUSES = ("fail", "unknown", "warn", "not_applicable", "pass")
# Worst first: the order in which a reader needs them.
DECISIONS = ("fail", "unknown", "warn", "waived", "not_applicable", "pass")
DECISION_RANK = {name: rank for rank, name in enumerate(DECISIONS)}
VERDICTS = ("GO", "GO WITH WARNINGS", "NO-GO")
SEVERITIES = ("blocker", "warning")
STEP_STATUSES = ("done", "failed", "undone", "skipped", "open")
OUTCOMES = {
    "live": "{system} {version} is live.",
    "rolled_back": "{system} {version} was rolled back.",
    "no_go": "{system} {version} was not released.",
    "left_on": "Maintenance of {system} was left on.",
    "checked": "{system} {version} was checked; no release was started.",
    "failed": "The release of {system} {version} failed.",
    "aborted": "The release of {system} {version} ended before anything was changed.",
}
#: What becomes of a downtime beside its budget. Seconds that nobody measured may lie on either side of it.
WITHIN_BUDGET, OVER_BUDGET, BUDGET_UNKNOWN = "within budget", "over budget", "unknown"
_STEP_TITLES = {step.name: step.title for step in (*STEPS, *WAY_BACK)}
FILE_NAMES = {"json": "report.json", "html": "index.html", "markdown": "report.md", "junit": "junit.xml"}

WORDS = {
    "pass": "pass",
    "warn": "warn",
    "unknown": "unknown",
    "fail": "fail",
    "waived": "waived",
    "not_applicable": "not applicable",
    "live": "live",
    "rolled_back": "rolled back",
    "no_go": "not released",
    "left_on": "maintenance left on",
    "checked": "checked only",
    "failed": "failed",
    "image_only": "image only",
    "downgrade": "downgrade",
    "restore": "restore",
    "forward_only": "forward only",
}


class ReportError(ValueError):
    """A part of the report has the wrong shape; the message names the part."""


# --- text ------------------------------------------------------------------------------------------------------------

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
# What no format may carry: C0 but tab and newline, C1, surrogates, non-characters, and bidirectional overrides, which
# can make a line read as the opposite of what it says.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)

_COMPACT = json.JSONEncoder(ensure_ascii=False, sort_keys=True, allow_nan=False, separators=(", ", ": "), default=str)
_INDENTED = json.JSONEncoder(ensure_ascii=False, sort_keys=True, allow_nan=False, indent=2, default=str)


def printable(text: str) -> str:
    """Return text without terminal colours, with every other control character shown as U+FFFD."""
    if _UNPRINTABLE.search(text) is None:
        return text
    return _UNPRINTABLE.sub("\ufffd", _ANSI.sub("", text.replace("\r\n", "\n")))


def encode(value: object, *, indented: bool = False) -> str:
    """Return value as JSON with sorted keys; what JSON cannot hold (NaN, dates, keys of mixed types) becomes text."""
    encoder = _INDENTED if indented else _COMPACT
    try:
        return encoder.encode(value)
    except (ValueError, TypeError):
        return encoder.encode(_json_types(value))


def _json_types(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _json_types(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_json_types(item) for item in value]
    return value


def as_text(value: object) -> str:
    """Return a value for a reader: text as it is, nothing as "", everything else as compact JSON; printable."""
    if isinstance(value, str):
        return printable(value)
    if value is None:
        return ""
    return printable(encode(value))


_CODE = re.compile(r"(?<!`)(`+)(?!`)(.*?[^`])\1(?!`)", re.DOTALL)


def spans(text: str) -> Iterator[tuple[bool, str]]:
    """Yield text in pieces, each with whether it stands between backticks, and so is code to be copied as it is."""
    end = 0
    for found in _CODE.finditer(text):
        if found.group(2).strip():
            yield False, text[end : found.start()]
            yield True, found.group(2).strip()
            end = found.end()
    yield False, text[end:]


def word(name: object) -> str:
    """Return the reader's word for a status, decision, outcome or rollback method."""
    text = as_text(name)
    return WORDS.get(text, text.replace("_", " "))


def human_seconds(seconds: object) -> str:
    """Return a duration (seconds) for a reader; "" where there is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return ""
    if abs(seconds) < 0.0995:
        return f"{seconds * 1000:.0f} ms" if seconds else "0 s"
    if abs(seconds) < 99.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def human_bytes(size: object) -> str:
    """Return a size (bytes) for a reader, in binary units; "" where there is none."""
    if isinstance(size, bool) or not isinstance(size, (int, float)) or not math.isfinite(size):
        return ""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(amount) < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def human_number(value: object) -> str:
    """Return a count with thousands separated; other values as text."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else as_text(value)


@lru_cache(maxsize=4096)
def parse_time(text: object) -> datetime | None:
    """Return an ISO 8601 time as an aware UTC datetime, or None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def human_time(text: object, *, precise: bool = False) -> str:
    """Return an ISO 8601 time for a reader (UTC), to the second or the millisecond; other values as text."""
    moment = parse_time(text) if isinstance(text, str) else None
    if moment is None:
        return as_text(text)
    fraction = f".{moment.microsecond // 1000:03d}" if precise else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} UTC"


_DIGITS = re.compile(r"(\d+)", re.ASCII)


@lru_cache(maxsize=65_536)
def natural_key(name: str) -> tuple[str | int, ...]:
    """Return a key that sorts S1.2 before S1.10 and web-2 before web-10."""
    return tuple(int(part) if index % 2 else part for index, part in enumerate(_DIGITS.split(name)))


# --- reading the report ----------------------------------------------------------------------------------------------


def decision_of(finding: Mapping[str, Any]) -> str:
    """Return what the verdict made of a finding: its status, or "waived"."""
    return str(finding.get("decision") or finding["status"])


def section(parent: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    """Return the mapping under name, empty where the part is absent or null."""
    value = parent.get(name) if parent else None
    return dict(value) if isinstance(value, Mapping) else {}


def rows(parent: Mapping[str, Any] | None, name: str) -> list[dict[str, Any]]:
    """Return the list of mappings under name, empty where the part is absent or null."""
    value = parent.get(name) if parent else None
    return [dict(row) for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []


def names(parent: Mapping[str, Any] | None, name: str) -> list[str]:
    """Return the list of texts under name, empty where the part is absent or null."""
    value = parent.get(name) if parent else None
    return [as_text(item) for item in value] if isinstance(value, (list, tuple)) else []


def part_lines(parts: object) -> list[str]:
    """Return services or workers, a line each: their name and what is known of them."""
    if not isinstance(parts, (list, tuple)):
        return [as_text(parts)] if parts else []
    lines = []
    for part in parts:
        if isinstance(part, Mapping):
            known = {key: as_text(value) for key, value in part.items() if key != "name"}
            told = ", ".join(f"{word(key)} {value}" for key, value in known.items() if value)
            lines.append(": ".join(text for text in (as_text(part.get("name")), told) if text))
        else:
            lines.append(as_text(part))
    return lines


def tone(report: Mapping[str, Any]) -> str:
    """Return pass, warn or fail: the worst of the verdict, of how the release ended and of how long users waited."""
    by_verdict = {"GO": "pass", "GO WITH WARNINGS": "warn", "NO-GO": "fail"}[report["verdict"]["decision"]]
    by_outcome = {"rolled_back": "warn", "aborted": "warn", "no_go": "fail", "left_on": "fail", "failed": "fail"}.get(
        report["outcome"], "pass"
    )
    by_downtime = "warn" if budget_headline(report) else "pass"
    return min(by_verdict, by_outcome, by_downtime, key=lambda name: DECISION_RANK[name])


def budget_verdict(
    *, seconds: float | None, at_most: float | None = None, unknown: float | None, budget: float | None
) -> str | None:
    """Return what a downtime is beside its budget (all in seconds), None without a budget; by the most that it can have been."""
    if not budget:
        return None
    if seconds is None:
        return BUDGET_UNKNOWN
    most = seconds if at_most is None else at_most
    if most > budget:
        return OVER_BUDGET
    return WITHIN_BUDGET if most + (unknown or 0.0) <= budget else BUDGET_UNKNOWN


def budget_headline(report: Mapping[str, Any]) -> str:
    """Return what a headline says of the downtime: nothing where it was within the budget, or where there is none."""
    verdict = section(section(report, "release"), "downtime").get("verdict")
    return {OVER_BUDGET: OVER_BUDGET, BUDGET_UNKNOWN: "downtime not known"}.get(as_text(verdict), "")


def budget_sentence(downtime: Mapping[str, Any]) -> str:
    """Return the downtime beside its budget in a few words; "" where no budget was given."""
    seconds, budget, verdict = downtime.get("seconds"), downtime.get("budget_seconds"), downtime.get("verdict")
    if verdict == OVER_BUDGET and isinstance(seconds, (int, float)) and isinstance(budget, (int, float)):
        return f"{human_seconds(max(seconds - budget, 0.0))} over the budget" if seconds > budget else "over the budget"
    if verdict == WITHIN_BUDGET:
        return "within the budget"
    return "whether it was within the budget is not known" if verdict == BUDGET_UNKNOWN else ""


def measured_later(release: Mapping[str, Any]) -> str:
    """Return since when was measured, where that is after the release had gone its way; "" for a downtime of all of it."""
    since = parse_time(as_text(section(release, "downtime").get("since")))
    began = [
        parse_time(as_text(step.get("started"))) for step in rows(release, "steps") if step.get("name") == TOUCHING[0]
    ]
    if since is None or not began or began[0] is None or since <= began[0]:
        return ""
    return f"since {human_time(since.isoformat())}"


def ways_title(report: Mapping[str, Any]) -> str:
    """Return what the commands that lead on are for: out of what is not settled, or back from what is live."""
    return "The way back; what users wrote since is counted first" if report["outcome"] == "live" else "Ways out"


def uncovered(verdict: Mapping[str, Any]) -> list[str]:
    """Return the required items that nothing covers, but for those that already stand among what blocks."""
    told = {as_text(entry.get("id")) for entry in rows(verdict, "blocking")}
    return [name for name in names(section(verdict, "coverage"), "missing") if name not in told]


def steps_by_item(report: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the steps that serve items of written checklists, by the item; one that the release has not come to is "not done"."""
    taken = {step["name"]: step for step in section(report, "release").get("steps") or []}
    by_item: dict[str, list[dict[str, Any]]] = {}
    for name, items in section(section(report["verdict"], "coverage"), "by_steps").items():
        step = taken.get(name) or {"name": name, "title": _STEP_TITLES.get(name, name), "status": "not done"}
        for item in items:
            by_item.setdefault(as_text(item), []).append(step)
    return by_item


def not_listed(report: Mapping[str, Any]) -> int:
    """Return how many findings the verdict counted that the report does not have: a run that died kept none."""
    return int(sum(section(report["verdict"], "counts").values())) - len(report["findings"])


def signer(sign_off: Mapping[str, Any]) -> str:
    """Return who signed, with what the person stated besides."""
    details = section(sign_off, "details")
    stated = ", ".join(f"{as_text(name)} {as_text(value)}" for name, value in details.items())
    return as_text(sign_off.get("name")) + (f" ({stated})" if stated else "")


def waiver_sentence(waiver: Mapping[str, Any]) -> str:
    """Return a waiver in one line: the reason, and who answers for it until when."""
    parts = [as_text(waiver.get("reason")) or "no reason given"]
    if waiver.get("forced"):
        parts.append("forced for this release")
    if waiver.get("owner"):
        parts.append(f"owner {as_text(waiver['owner'])}")
    if waiver.get("approver"):
        parts.append(f"approved by {as_text(waiver['approver'])}")
    if waiver.get("expires"):
        parts.append(f"until {human_time(waiver['expires'])}")
    return "; ".join(parts)


def lost_jobs(ledger: Mapping[str, Any]) -> str:
    """Return how many jobs were lost; a ledger that does not say is unknown, not none."""
    return f"{len(ledger['lost']):,}" if isinstance(ledger.get("lost"), (list, tuple)) else "unknown"


def group_blocking(entries: Iterable[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Fold entries of the same item, status and summary into one, with the hosts it holds on; worst first."""
    groups: dict[tuple[str, str, str], tuple[Mapping[str, Any], list[str]]] = {}
    for entry in entries:
        key = (as_text(entry.get("id")), as_text(entry.get("status")), as_text(entry.get("summary")))
        groups.setdefault(key, (entry, []))[1].append(as_text(entry.get("host")))
    return sorted(groups.values(), key=lambda group: DECISION_RANK.get(as_text(group[0].get("status")), 0))


def some_hosts(hosts: Sequence[str], limit: int = 8) -> str:
    """Return hosts for one line: all of a few, the first of many and how many more."""
    if len(hosts) <= limit:
        return ", ".join(hosts)
    return f"{', '.join(hosts[:limit])} and {len(hosts) - limit:,} more hosts"


# --- building --------------------------------------------------------------------------------------------------------


@cache
def generator_name() -> str:
    """Return "opsready.golive <version>", read from the collection this file belongs to."""
    root = Path(__file__).resolve().parents[2]
    manifest, galaxy = root / "MANIFEST.json", root / "galaxy.yml"
    version = ""
    if manifest.is_file():
        version = str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])
    elif galaxy.is_file():
        found = re.search(r"^version:\s*[\"']?([^\s\"'#]+)", galaxy.read_text(encoding="utf-8"), re.MULTILINE)
        version = found.group(1) if found else ""
    return f"opsready.golive {version}".strip()


def build_report(
    *,
    system: str,
    version: str,
    verdict: Mapping[str, Any],
    outcome: str,
    findings: Iterable[Mapping[str, Any]],
    outcome_text: str = "",
    findings_are_all: bool = True,
    release: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
    generated: str | None = None,
    generator: str | None = None,
) -> dict[str, Any]:
    """Assemble the report, sorted by item and host, with absent parts filled in.

    The counts are those of the findings; where they are not all that was judged, the verdict's own and theirs.
    Raises ReportError where a part has the wrong type or an unknown word; inputs are not changed.
    """
    if not isinstance(verdict, Mapping) or verdict.get("decision") not in VERDICTS:
        found = verdict.get("decision") if isinstance(verdict, Mapping) else verdict
        raise ReportError(f"verdict.decision is {found!r}, expected one of {', '.join(VERDICTS)}")
    if outcome not in OUTCOMES:
        raise ReportError(f"outcome is {outcome!r}, expected one of {', '.join(OUTCOMES)}")
    ordered = sorted(
        (_checked_finding(finding, index) for index, finding in enumerate(findings)),
        key=lambda finding: (natural_key(finding["id"]), natural_key(finding["host"])),
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "generated": generated or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "generator": generator or generator_name(),
        "system": str(system),
        "version": str(version),
        "verdict": _checked_verdict(verdict, ordered, findings_are_all),
        "outcome": outcome,
        "outcome_text": outcome_text or OUTCOMES[outcome].format(system=system, version=version),
        "findings": ordered,
        "release": _checked_release(release),
        "environment": dict(environment or {}),
    }


def _checked_finding(finding: Mapping[str, Any], index: int) -> dict[str, Any]:
    if not isinstance(finding, Mapping):
        raise ReportError(f"findings[{index}] is {type(finding).__name__}, expected a mapping")
    for name in ("id", "host", "status"):
        if not isinstance(finding.get(name), str):
            raise ReportError(f"findings[{index}].{name} is {finding.get(name)!r}, expected text")
    if finding["status"] not in STATUSES:
        raise ReportError(f"findings[{index}].status is {finding['status']!r}, expected one of {', '.join(STATUSES)}")
    if "decision" not in finding:
        return {**finding, "decision": finding["status"]}
    if finding["decision"] not in DECISION_RANK:
        raise ReportError(
            f"findings[{index}].decision is {finding['decision']!r}, expected one of {', '.join(DECISIONS)}"
        )
    return finding if isinstance(finding, dict) else dict(finding)


def _checked_verdict(
    verdict: Mapping[str, Any], findings: Sequence[Mapping[str, Any]], findings_are_all: bool
) -> dict[str, Any]:
    filled: dict[str, Any] = dict(verdict)
    for name in ("blocking", "warnings", "conditional", "loosened", "changed", "waivers", "sign_offs"):
        filled[name] = _checked_list(verdict, name, "verdict")
    for name in ("blocking", "warnings", "conditional"):
        filled[name].sort(key=lambda entry: (natural_key(str(entry.get("id"))), natural_key(str(entry.get("host")))))
    if not isinstance(verdict.get("coverage"), Mapping):
        filled["coverage"] = {"required": [], "covered": [], "by_steps": {}, "missing": []}
    # What a reader can count in the list is what the headline says.
    counts = dict.fromkeys(reversed(DECISIONS), 0) | ({} if findings_are_all else section(verdict, "counts"))
    for finding in findings:
        counts[finding["decision"]] += 1
    filled["counts"] = counts
    for name in ("digest", "decided"):
        filled[name] = filled.get(name) or None
    for sign_off in filled["sign_offs"]:
        # Nobody has signed yet: no time is null, as in every other part.
        sign_off.update({name: sign_off.get(name) or None for name in ("signed", "expires")})
    return filled


def _checked_release(release: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if release is None:
        return None
    if not isinstance(release, Mapping):
        raise ReportError(f"release is {type(release).__name__}, expected a mapping or null")
    steps = _checked_list(release, "steps", "release")
    for step in steps:
        if step.get("status") not in STEP_STATUSES:
            raise ReportError(
                f"release step {step.get('name')!r} has status {step.get('status')!r}, "
                f"expected one of {', '.join(STEP_STATUSES)}"
            )
    filled: dict[str, Any] = {**release, "steps": steps, "way_out": list(release.get("way_out") or [])}
    for name in ("backup", "downtime", "drain"):
        if not isinstance(filled.setdefault(name, None), (Mapping, type(None))):
            raise ReportError(f"release.{name} is {type(filled[name]).__name__}, expected a mapping or null")
    for name in ("digest", "started", "ended"):
        filled[name] = filled.get(name) or None
    if filled["downtime"]:
        intervals = _checked_list(filled["downtime"], "intervals", "release.downtime")
        filled["downtime"] = {**filled["downtime"], "intervals": [_interval(interval) for interval in intervals]}
    if filled["drain"] and isinstance(filled["drain"].get("ledger"), Mapping):
        filled["drain"] = _counted_drain(filled["drain"])
    return filled


def _interval(interval: Mapping[str, Any]) -> dict[str, Any]:
    """An interval of the probe (since, until, answers) or of the report (from, to, cause), as the report has it."""
    answers = interval.get("answers")
    counted = ", ".join(f"{answer} ({count} times)" for answer, count in answers.items()) if answers else ""
    return {
        "from": interval.get("from") or interval.get("since"),
        "to": interval.get("to") or interval.get("until"),
        "seconds": interval.get("seconds"),
        "cause": interval.get("cause") or counted,
    }


def _counted_drain(drain: Mapping[str, Any]) -> dict[str, Any]:
    """The drain with the lost messages as ids in its ledger; null where the drain does not say, which is not none."""
    ledger = dict(drain["ledger"])
    lost = ledger.get("lost", drain.get("lost"))
    if isinstance(lost, Mapping):
        lost = list(lost)
    ledger["lost"] = None
    if isinstance(lost, (list, tuple)):
        ledger["lost"] = [as_text(entry.get("id") if isinstance(entry, Mapping) else entry) for entry in lost]
    return {**drain, "ledger": ledger}


def _checked_list(parent: Mapping[str, Any], name: str, path: str) -> list[dict[str, Any]]:
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or not all(isinstance(entry, Mapping) for entry in value):
        raise ReportError(f"{path}.{name} is not a list of mappings")
    return [dict(entry) for entry in value]


# --- writing ---------------------------------------------------------------------------------------------------------


def render_json(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the report as JSON: sorted keys, one finding a line, so that two reports compare with diff."""
    last = len(report) - 1
    yield "{\n"
    for position, key in enumerate(sorted(report)):
        end = "\n" if position == last else ",\n"
        if key == "findings" and report[key]:
            findings, separator = report[key], '"findings": [\n'
            for start in range(0, len(findings), 256):
                yield separator + ",\n".join(map(encode, findings[start : start + 256]))
                separator = ",\n"
            yield f"\n]{end}"
        else:
            yield f"{encode(key)}: {encode(report[key], indented=True)}{end}"
    yield "}\n"


def write_json(report: Mapping[str, Any], path: str | os.PathLike[str]) -> str:
    """Write the report as JSON to path, atomically; return the sha256 of the file."""
    return write_atomic(render_json(report), path)


def write_atomic(chunks: Iterable[str], path: str | os.PathLike[str]) -> str:
    """Write text to path as UTF-8 by temporary file, fsync and rename; return its sha256. Raises OSError.

    The directory is made where it is missing; the umask rules who may read. A failure leaves the old file as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    digest = hashlib.sha256()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb", buffering=1 << 20) as stream:
            for chunk in chunks:
                # In JSON a lone surrogate becomes its own \udXXX escape; the other formats have none left.
                piece = chunk.encode("utf-8", "backslashreplace")
                digest.update(piece)
                stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return digest.hexdigest()


def write_all(
    report: Mapping[str, Any],
    directory: str | os.PathLike[str],
    formats: Iterable[str] = tuple(FILE_NAMES),
) -> dict[str, dict[str, str]]:
    """Write the report in each format into directory; return {format: {path, sha256}}.

    Raises ReportError for an unknown format, before anything is written, and OSError where a file cannot be written.
    """
    # The renderers import this module for its words and text functions.
    from ansible_collections.opsready.golive.plugins.plugin_utils.report_html import render_html
    from ansible_collections.opsready.golive.plugins.plugin_utils.report_junit import render_junit
    from ansible_collections.opsready.golive.plugins.plugin_utils.report_markdown import render_markdown

    renderers: dict[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
        "json": render_json,
        "html": render_html,
        "markdown": render_markdown,
        "junit": render_junit,
    }
    wanted = list(dict.fromkeys(formats))
    for name in wanted:
        if name not in renderers:
            raise ReportError(f"report format is {name!r}, expected one of {', '.join(renderers)}")
    written: dict[str, dict[str, str]] = {}
    for name in wanted:
        path = Path(directory) / FILE_NAMES[name]
        written[name] = {"path": str(path), "sha256": write_atomic(renderers[name](report), path)}
    return written
