# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How does the written checklist look once it is ticked?

GitHub-flavoured Markdown for a change ticket: verdict first, then the checklist by source, each tick with its evidence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.opsready.golive.plugins.plugin_utils.report_model import (
    DECISION_RANK,
    DECISIONS,
    as_text,
    budget_headline,
    budget_sentence,
    decision_of,
    group_blocking,
    human_bytes,
    human_number,
    human_seconds,
    human_time,
    lost_jobs,
    measured_later,
    names,
    natural_key,
    not_listed,
    part_lines,
    printable,
    rows,
    section,
    signer,
    some_hosts,
    spans,
    steps_by_item,
    uncovered,
    waiver_sentence,
    ways_title,
    word,
    write_atomic,
)

# Characters of evidence quoted for a finding; the whole is in report.json.
EVIDENCE_PASSED = 240
EVIDENCE_NOT_PASSED = 1_500
# Findings of one item that get a line each; above it, passing hosts are counted and alike sentences are folded.
LINES_PER_ITEM = 12
FOLDED_LINES_PER_ITEM = 50

Finding = Mapping[str, Any]

# An underscore between two letters or digits begins and ends no emphasis: names stay as they can be copied.
_META = re.compile(r"[\\`*\[\]<>|~&#]|(?<![^\W_])_|_(?![^\W_])")
_BREAKS = re.compile(r"\s*\n\s*|\t")
_BACKTICKS = re.compile("`+")


def escape(value: object) -> str:
    """Return a value as one line of Markdown text that is read as it stands, also inside a table."""
    text = printable(value) if isinstance(value, str) else as_text(value)
    if "\n" in text or "\t" in text:
        text = _BREAKS.sub(" ", text.strip())
    return text if _META.search(text) is None else _META.sub(r"\\\g<0>", text)


def prose(value: object, *, in_table: bool = False) -> str:
    """Return a value as one line of Markdown text in which what stands between backticks is code, as it can be copied."""
    pieces = []
    for is_code, text in spans(_BREAKS.sub(" ", as_text(value)).strip()):
        piece = code(text) if is_code else escape(text)
        # A table's row is cut at its bars before anything else is read.
        pieces.append(piece.replace("|", "\\|") if is_code and in_table else piece)
    return "".join(pieces)


def code(value: object) -> str:
    """Return a value as a Markdown code span, with a fence longer than any run of backticks inside."""
    text = _BREAKS.sub(" ", as_text(value)).strip()
    if not text:
        return ""
    fence = "`" * (max((len(run) for run in _BACKTICKS.findall(text)), default=0) + 1)
    pad = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def write_markdown(report: Mapping[str, Any], path: str | os.PathLike[str]) -> str:
    """Write the report as Markdown to path, atomically; return the sha256 of the file."""
    return write_atomic(render_markdown(report), path)


def render_markdown(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the report as Markdown."""
    yield _verdict(report)
    yield _steps(report)
    yield _downtime(section(report, "release"))
    yield _backup(section(section(report, "release"), "backup"))
    yield _way_back(report)
    yield from _checklist(report)
    yield _waivers(report)
    yield _sign_offs(report)
    yield _loosened(report)
    yield _changed(report)
    yield _proof(report)


# --- verdict ---------------------------------------------------------------------------------------------------------


def _verdict(report: Mapping[str, Any]) -> str:
    verdict, outcome = report["verdict"], report["outcome"]
    said = "" if outcome in ("no_go", "checked") else f", {word(outcome)}"
    waited = budget_headline(report)
    said += f", {waited}" if waited else ""
    lines = [
        f"# {verdict['decision']}{said}: {escape(report['system'])} {escape(report['version'])}",
        "",
        prose(report["outcome_text"]),
        "",
    ]
    counts = section(verdict, "counts")
    told = ", ".join(f"{human_number(counts[name])} {word(name)}" for name in reversed(DECISIONS) if counts.get(name))
    lines += [
        f"Findings: {told or 'none'}."
        + (f" Of these {not_listed(report):,} were not kept with the release." if not_listed(report) else "")
        + (f" Decided {human_time(verdict['decided'])}." if verdict.get("decided") else ""),
        "",
    ]
    broken = [step for step in rows(section(report, "release"), "steps") if step.get("status") in ("failed", "open")]
    if broken:
        lines += ["## Where it stopped", ""]
        lines += [
            f"- **{word(step['status'])}** {escape(step.get('title') or step.get('name'))}: {prose(step.get('detail'))}"
            for step in broken
        ]
        lines.append("")
    ways = [as_text(way) for way in section(report, "release").get("way_out") or []]
    if ways:
        lines += [f"## {ways_title(report)}", "", *(f"- {code(way)}" for way in ways), ""]
    missing = uncovered(verdict)
    for title, name in (("What blocks", "blocking"), ("Warnings", "warnings")):
        groups = group_blocking(rows(verdict, name))
        listed = [
            f"- **{word(entry.get('status'))}** {code(entry.get('id'))} on {escape(some_hosts(hosts))}: "
            f"{prose(entry.get('summary'))}" + (f"\n  - do: {prose(entry['remedy'])}" if entry.get("remedy") else "")
            for entry, hosts in groups[:FOLDED_LINES_PER_ITEM]
        ]
        if len(groups) > FOLDED_LINES_PER_ITEM:
            listed.append(f"- and {len(groups) - FOLDED_LINES_PER_ITEM:,} more, in the checklist below")
        if name == "blocking" and missing:
            listed.append(f"- **unknown** covered by no check and no sign-off: {', '.join(map(escape, missing))}")
        if listed:
            lines += [f"## {title}", "", *listed, ""]
    conditional = rows(verdict, "conditional")
    if conditional:
        lines += [f"## GO if these {len(conditional):,} hold", ""]
        lines += [
            f"- {code(entry.get('id'))} on {escape(entry.get('host'))}: {prose(entry.get('reason'))}"
            for entry in conditional
        ]
        lines.append("")
    return "\n".join(lines) + "\n"


# --- the release -----------------------------------------------------------------------------------------------------


def _table(title: str, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    body = [f"| {' | '.join(cell or ' ' for cell in line)} |" for line in lines]
    if not body:
        return ""
    return "\n".join([f"## {title}", "", f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}", *body, "", ""])


def _steps(report: Mapping[str, Any]) -> str:
    release = section(report, "release")
    turn = as_text(release.get("point_of_no_return"))
    return _table(
        "Steps",
        ("Step", "Status", "Took", "Planned", "Detail"),
        (
            (
                ("rollback: " if step.get("phase") == "rollback" else "")
                + escape(step.get("title") or step.get("name"))
                + (
                    " (point of no return)"
                    if turn and as_text(step.get("name")) == turn and step.get("phase") != "rollback"
                    else ""
                ),
                word(step.get("status")),
                human_seconds(step.get("seconds")),
                human_seconds(step.get("predicted_seconds")),
                prose(step.get("detail"), in_table=True),
            )
            for step in rows(release, "steps")
        ),
    )


def _downtime(release: Mapping[str, Any]) -> str:
    downtime = section(release, "downtime")
    if not downtime:
        return ""
    facts = [
        ("Measured from outside", human_seconds(downtime.get("seconds")) or "unknown"),
        ("Budget", human_seconds(downtime.get("budget_seconds")) or "none was given"),
        ("Measured only", measured_later(release)),
        ("Verdict", budget_sentence(downtime)),
        ("Resolution", human_seconds(downtime.get("resolution_seconds"))),
        ("Samples", human_number(downtime.get("samples"))),
        ("Unknown", human_seconds(downtime.get("unknown_seconds"))),
        ("Job delay", human_seconds(downtime.get("job_delay_seconds"))),
    ]
    facts += [
        (
            f"{human_time(interval.get('from'), precise=True)} to {human_time(interval.get('to'), precise=True)}",
            f"{human_seconds(interval.get('seconds'))} {escape(interval.get('cause'))}".strip(),
        )
        for interval in rows(downtime, "intervals")
    ]
    return _table("Downtime", ("", ""), ((escape(label), text) for label, text in facts if text))


def _backup(backup: Mapping[str, Any]) -> str:
    if not backup:
        return ""
    verified = word(backup.get("verified")) if backup.get("verified") else "nothing: it was not restored"
    facts = [
        ("Key", code(backup.get("key"))),
        ("Size", human_bytes(backup.get("size_bytes"))),
        ("Tables", human_number(backup.get("tables"))),
        ("Rows", human_number(backup.get("rows"))),
        ("Verified by", verified),
        ("Restore took", human_seconds(backup.get("restore_seconds"))),
        ("Dump took", human_seconds(backup.get("dump_seconds"))),
        ("Taken", human_time(backup.get("at"))),
        ("sha256", code(backup.get("sha256"))),
    ]
    return _table("Backup", ("", ""), ((label, text) for label, text in facts if text))


def _way_back(report: Mapping[str, Any]) -> str:
    release = section(report, "release")
    rollback, ledger = section(release, "rollback"), section(section(release, "drain"), "ledger")
    lines = []
    if rollback.get("database"):
        reason = prose(rollback.get("reason"))
        lines.append(f"- Database: **{word(rollback.get('database'))}**" + (f", {reason}" if reason else ""))
    lines += [f"- Service {escape(line)}" for line in part_lines(rollback.get("services"))]
    lines += [f"- Cannot be undone: {prose(line)}" for line in names(release, "irreversible")]
    if ledger:
        lost = names(ledger, "lost")
        told = [
            f"{human_number(ledger[name])} {name}"
            for name in ("before", "finished", "waiting")
            if ledger.get(name) is not None
        ]
        ids = f" ({', '.join(map(code, lost))})" if lost else ""
        lines.append(f"- Jobs: {', '.join([*told, f'{lost_jobs(ledger)} lost'])}{ids}")
    lines += [f"- Worker {escape(line)}" for line in part_lines(section(release, "drain").get("workers"))]
    return "\n".join(["## Way back", "", *lines, "", ""]) if lines else ""


# --- the checklist ---------------------------------------------------------------------------------------------------


def _source(name: str) -> str:
    return name.split(".", 1)[0] if "." in name else ""


def _checklist(report: Mapping[str, Any]) -> Iterator[str]:
    items: dict[str, list[Finding]] = {}
    own: dict[str, list[Finding]] = {}
    for finding in report["findings"]:
        satisfied = finding.get("satisfies")
        if satisfied:
            for name in satisfied:
                items.setdefault(as_text(name), []).append(finding)
        else:
            own.setdefault(finding["id"], []).append(finding)
    coverage = section(report["verdict"], "coverage")
    steps = steps_by_item(report)
    for name in [*steps, *names(coverage, "missing")]:
        items.setdefault(name, [])
    sources: dict[str, list[str]] = {}
    for name in sorted(items, key=natural_key):
        sources.setdefault(_source(name), []).append(name)
    for source in sorted(sources, key=natural_key):
        listed = [(name, items[name], steps.get(name, [])) for name in sources[source]]
        yield from _section(f"Checklist {escape(source)}" if source else "Checklist", listed)
    if own:
        listed = [(name, own[name], []) for name in sorted(own, key=natural_key)]
        yield from _section("Items of no written checklist", listed)


def _section(title: str, items: Sequence[tuple[str, list[Finding], list[dict[str, Any]]]]) -> Iterator[str]:
    ticked = sum(_is_ticked(findings, steps) for _unused, findings, steps in items)
    yield f"## {title}: {ticked:,} of {len(items):,} ticked\n\n"
    for name, findings, steps in items:
        yield _item(name, findings, steps)
    yield "\n"


def _is_ticked(findings: Iterable[Finding], steps: Sequence[Mapping[str, Any]]) -> bool:
    """Whether something passed or was done, and nothing did not."""
    decisions = {decision_of(finding) for finding in findings}
    done = all(step["status"] == "done" for step in steps)
    return done and bool(steps or "pass" in decisions) and decisions <= {"pass", "not_applicable"}


def _item(name: str, findings: Sequence[Finding], steps: Sequence[Mapping[str, Any]]) -> str:
    if not findings and not steps:
        return f"- [ ] **{escape(name)}** not covered by any check, step or sign-off\n"
    box = "x" if _is_ticked(findings, steps) else " "
    worst = min((decision_of(finding) for finding in findings), key=DECISION_RANK.__getitem__, default="pass")
    note = "" if box == "x" or worst == "pass" else f" (**{word(worst)}**)"
    titles = [as_text(finding.get("title")) or finding["id"] for finding in findings]
    titles = list(dict.fromkeys([*titles, *(as_text(step.get("title")) for step in steps)]))
    lines = [f"- [{box}] **{escape(name)}** {'; '.join(map(escape, titles))}{note}"]
    lines += [f"  - {step['status']} by the release ({code(step['name'])})" for step in steps]
    if len(findings) <= LINES_PER_ITEM:
        lines += [line for finding in findings for line in _finding_lines(finding, [finding["host"]])]
    else:
        lines += _folded_lines(findings)
    return "\n".join(lines) + "\n"


def _folded_lines(findings: Sequence[Finding]) -> list[str]:
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        decision = decision_of(finding)
        told = "" if decision == "pass" else as_text(finding.get("summary"))
        groups.setdefault((decision, finding["id"], told), []).append(finding)
    ordered = sorted(groups.items(), key=lambda group: DECISION_RANK[group[0][0]])
    lines = [
        line
        for _unused, alike in ordered[:FOLDED_LINES_PER_ITEM]
        for line in _finding_lines(alike[0], [finding["host"] for finding in alike])
    ]
    rest = sum(len(alike) for _unused, alike in ordered[FOLDED_LINES_PER_ITEM:])
    return [*lines, f"  - and {rest:,} more findings, in report.json"] if rest else lines


def _finding_lines(finding: Finding, hosts: Sequence[str]) -> list[str]:
    decision = decision_of(finding)
    where = escape(some_hosts(hosts)) if len(hosts) <= LINES_PER_ITEM or decision != "pass" else f"{len(hosts):,} hosts"
    # Of many hosts that pass, the sentence and the evidence are the first one's.
    of = f" of {escape(hosts[0])}" if len(hosts) > 1 else ""
    told = prose(finding.get("summary"))
    sentence = f"{'such as' if of and decision == 'pass' else ''} {told}".strip()
    lines = [f"  - {word(decision)} on {where} ({code(finding['id'])}): {sentence}"]
    if decision != "pass":
        lines += [
            f"    - {label}: {prose(finding[name])}"
            for label, name in (("expected", "expected"), ("measured", "measured"), ("remedy", "remedy"))
            if finding.get(name) not in (None, "")
        ]
        waiver = section(finding, "waiver")
        if waiver:
            lines.append(f"    - waived: {prose(waiver_sentence(waiver))}")
    evidence = finding.get("evidence")
    if evidence not in (None, "", [], {}):
        text = as_text(evidence)
        limit = EVIDENCE_PASSED if decision == "pass" else EVIDENCE_NOT_PASSED
        more = f" and {len(text) - limit:,} more characters in report.json" if len(text) > limit else ""
        lines.append(f"    - evidence{of}: {code(text[:limit])}{more}")
    return lines


# --- people and proof ------------------------------------------------------------------------------------------------


def _waivers(report: Mapping[str, Any]) -> str:
    return _table(
        "Waivers",
        ("Item", "State", "Owner", "Approver", "Reason", "Scope", "Expires"),
        (
            (
                escape(waiver.get("item")),
                word(waiver.get("state")),
                escape(waiver.get("owner")),
                escape(waiver.get("approver")),
                prose(waiver.get("reason"), in_table=True),
                escape(waiver.get("scope")),
                escape(human_time(waiver.get("expires"))),
            )
            for waiver in rows(report["verdict"], "waivers")
        ),
    )


def _sign_offs(report: Mapping[str, Any]) -> str:
    return _table(
        "Sign-offs",
        ("Item", "State", "Team", "Name", "Signed", "Expires", "Bound to"),
        (
            (
                escape(entry.get("item")),
                word(entry.get("state")),
                escape(entry.get("team")),
                escape(signer(entry)),
                escape(human_time(entry.get("signed"))),
                escape(human_time(entry.get("expires"))),
                escape(entry.get("binds_to")),
            )
            for entry in rows(report["verdict"], "sign_offs")
        ),
    )


def _loosened(report: Mapping[str, Any]) -> str:
    return _table(
        "Loosened since the last GO",
        ("Item", "Field", "Was", "Now", "Approver"),
        (
            tuple(escape(entry.get(name)) for name in ("id", "field", "was", "now", "approver"))
            for entry in rows(report["verdict"], "loosened")
        ),
    )


def _changed(report: Mapping[str, Any]) -> str:
    return _table(
        "Changed since the last GO, neither milder nor stricter",
        ("Item", "Field", "Was", "Now"),
        (
            tuple(escape(entry.get(name)) for name in ("id", "field", "was", "now"))
            for entry in rows(report["verdict"], "changed")
        ),
    )


def _proof(report: Mapping[str, Any]) -> str:
    release = section(report, "release")
    journal = section(release, "journal")
    facts = [
        ("Release", code(release.get("id"))),
        ("Release digest", code(release.get("digest"))),
        ("Verdict digest", code(report["verdict"].get("digest"))),
        (
            "Journal head",
            f"{code(journal.get('head'))} after {human_number(journal.get('entries'))} entries"
            if journal.get("head")
            else "",
        ),
        ("Report", f"{human_time(report['generated'])}, {escape(report['generator'])}"),
    ]
    return "\n".join(["## Digests", "", *(f"- {label}: {text}" for label, text in facts if text), ""])
