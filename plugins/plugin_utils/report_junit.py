# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How does a CI server read the report?

JUnit XML: a test suite per host, a test case per item. fail is a failure, unknown an error, waived and not applicable
are skipped with the reason. A NO-GO or a release that did not end well is never green: what no finding says is said by
a test case of the suites "verdict" and "release".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.opsready.golive.plugins.plugin_utils.report_model import (
    as_text,
    decision_of,
    names,
    natural_key,
    parse_time,
    printable,
    rows,
    section,
    uncovered,
    waiver_sentence,
    word,
    write_atomic,
)

Finding = Mapping[str, Any]

_META = re.compile("[&<>\"'\n\t]")
_CONTENT_META = re.compile("[&<>]")
# In an attribute XML turns a bare line break into a space, so it travels as a character reference.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", "\n": "&#10;", "\t": "&#9;"}


def escape(value: object) -> str:
    """Return a value as text that is well-formed in a quoted XML attribute."""
    text = printable(value) if isinstance(value, str) else as_text(value)
    return text if _META.search(text) is None else _META.sub(lambda found: _ENTITIES[found.group()], text)


def _content(text: str) -> str:
    return (
        text if _CONTENT_META.search(text) is None else _CONTENT_META.sub(lambda found: _ENTITIES[found.group()], text)
    )


def write_junit(report: Mapping[str, Any], path: str | os.PathLike[str]) -> str:
    """Write the report as JUnit XML to path, atomically; return the sha256 of the file."""
    return write_atomic(render_junit(report), path)


def render_junit(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the report as JUnit XML, one suite a piece."""
    hosts: dict[str, list[Finding]] = {}
    counts = {"failure": 0, "error": 0, "skipped": 0, "": 0}
    for finding in report["findings"]:
        hosts.setdefault(finding["host"], []).append(finding)
        counts[_ELEMENTS[decision_of(finding)]] += 1
    release = _release_cases(report)
    verdict = _verdict_cases(report, red=counts["failure"] + counts["error"] > 0)
    for element, _unused in (*release, *verdict):
        counts[element] += 1
    system = escape(report["system"])
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="{system} {escape(report["version"])}" tests="{sum(counts.values())}" '
        f'failures="{counts["failure"]}" errors="{counts["error"]}" skipped="{counts["skipped"]}">\n'
    )
    if verdict:
        yield _suite(system, "verdict", verdict, 0.0, report["verdict"].get("decided"))
    for host in sorted(hosts, key=natural_key):
        findings = hosts[host]
        seconds = sum(_seconds(finding) for finding in findings)
        classname = f"{system}.{escape(host)}"
        cases = [(_ELEMENTS[decision_of(finding)], _case(finding, classname)) for finding in findings]
        started = min((as_text(finding["started"]) for finding in findings if finding.get("started")), default=None)
        yield _suite(system, host, cases, seconds, started)
    if release:
        steps = rows(section(report, "release"), "steps")
        total = sum(_seconds(step) for step in steps)
        yield _suite(system, "release", release, total, section(report, "release").get("started"))
    yield "</testsuites>\n"


_ELEMENTS = {
    "fail": "failure",
    "unknown": "error",
    "waived": "skipped",
    "not_applicable": "skipped",
    "warn": "",
    "pass": "",
}
_STEP_ELEMENTS = {"failed": "failure", "open": "error", "skipped": "skipped", "undone": "skipped", "done": ""}


def _seconds(timed: Mapping[str, Any]) -> float:
    seconds = timed.get("seconds")
    return float(seconds) if isinstance(seconds, (int, float)) and seconds > 0 else 0.0


def _suite(system: str, name: str, cases: Sequence[tuple[str, str]], seconds: float, started: object) -> str:
    elements = [element for element, _unused in cases]
    moment = parse_time(started) if isinstance(started, str) else None
    timestamp = f' timestamp="{moment:%Y-%m-%dT%H:%M:%S}"' if moment else ""
    return (
        f'<testsuite name="{escape(name)}" hostname="{escape(name)}" package="{system}" tests="{len(cases)}" '
        f'failures="{elements.count("failure")}" errors="{elements.count("error")}" '
        f'skipped="{elements.count("skipped")}" time="{seconds:.3f}"{timestamp}>\n'
        f"{''.join(case for _unused, case in cases)}</testsuite>\n"
    )


def _case(finding: Finding, classname: str) -> str:
    decision = decision_of(finding)
    element = _ELEMENTS[decision]
    inner = ""
    if element == "skipped":
        inner = f'<skipped message="{escape(_skip_reason(finding, decision))}"/>'
    elif element:
        told = [f"{label}: {as_text(finding[name])}" for label, name in _TOLD if finding.get(name) not in (None, "")]
        inner = (
            f'<{element} type="{escape(finding.get("severity") or decision)}" '
            f'message="{escape(finding.get("summary"))}">{_content(chr(10).join(told))}</{element}>'
        )
    return (
        f'<testcase name="{escape(finding["id"])}" classname="{classname}" time="{_seconds(finding):.3f}">{inner}'
        f"<system-out>{_content(_output(finding, decision))}</system-out></testcase>\n"
    )


_TOLD = (("expected", "expected"), ("measured", "measured"), ("remedy", "remedy"))


def _skip_reason(finding: Finding, decision: str) -> str:
    waiver = section(finding, "waiver")
    if decision == "waived" and waiver:
        return f"waived: {waiver_sentence(waiver)}"
    return f"{word(decision)}: {as_text(finding.get('summary'))}"


def _output(finding: Finding, decision: str) -> str:
    lines = [f"{word(decision)}: {as_text(finding.get('title'))}: {as_text(finding.get('summary'))}"]
    satisfies = names(finding, "satisfies")
    if satisfies:
        lines.append(f"satisfies: {', '.join(satisfies)}")
    if finding.get("measured") not in (None, ""):
        lines.append(f"measured: {as_text(finding['measured'])}")
    if finding.get("evidence") not in (None, "", [], {}):
        lines.append(f"evidence: {as_text(finding['evidence'])}")
    return "\n".join(lines)


def _verdict_cases(report: Mapping[str, Any], *, red: bool) -> list[tuple[str, str]]:
    """What blocks without a finding that says so: items that nobody covers, and hosts that never reported."""
    verdict = report["verdict"]
    reported = (
        {(finding["id"], finding["host"]) for finding in report["findings"]} if verdict.get("blocking") else set()
    )
    told = [(name, "covered by no check and no sign-off", "") for name in uncovered(verdict)]
    told += [
        (
            as_text(entry.get("id")),
            f"{as_text(entry.get('host'))}: {as_text(entry.get('summary'))}",
            f"remedy: {as_text(entry['remedy'])}" if entry.get("remedy") else "",
        )
        for entry in rows(verdict, "blocking")
        if (entry.get("id"), entry.get("host")) not in reported
    ]
    if not told and not red and verdict["decision"] == "NO-GO":
        told = [("verdict", f"NO-GO: {report['outcome_text']}", "")]
    return [
        (
            "error",
            f'<testcase name="{escape(name)}" classname="{escape(report["system"])}.verdict" time="0.000">'
            f'<error type="blocker" message="{escape(message)}">{_content(to_do)}</error></testcase>\n',
        )
        for name, message, to_do in told
    ]


def _release_cases(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    classname = f"{escape(report['system'])}.release"
    cases = []
    for step in rows(section(report, "release"), "steps"):
        element = _STEP_ELEMENTS[step["status"]]
        detail = as_text(step.get("detail"))
        message = f"{word(step['status'])}: {detail}" if detail else word(step["status"])
        inner = f'<{element} message="{escape(message)}"/>' if element else ""
        cases.append(
            (
                element,
                f'<testcase name="{escape(step.get("name"))}" classname="{classname}" '
                f'time="{_seconds(step):.3f}">{inner}</testcase>\n',
            )
        )
    if report["outcome"] in ("rolled_back", "failed", "left_on"):
        message = escape(report["outcome_text"])
        cases.append(
            (
                "failure",
                f'<testcase name="outcome" classname="{classname}" time="0.000">'
                f'<failure message="{message}"/></testcase>\n',
            )
        )
    return cases
