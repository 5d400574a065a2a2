# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How does a report read on a screen, at three in the morning, on paper and on a phone?

One file without any external asset. Everything is there without JavaScript; the script adds filters and arrow keys.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.opsready.golive.plugins.plugin_utils.report_model import (
    BUDGET_UNKNOWN,
    DECISION_RANK,
    DECISIONS,
    OVER_BUDGET,
    WITHIN_BUDGET,
    as_text,
    budget_headline,
    budget_sentence,
    decision_of,
    encode,
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
    parse_time,
    part_lines,
    printable,
    rows,
    section,
    signer,
    some_hosts,
    spans,
    tone,
    uncovered,
    waiver_sentence,
    ways_title,
    word,
    write_atomic,
)
from ansible_collections.opsready.golive.plugins.plugin_utils.report_page import SCRIPT, STYLE

# Above this many findings the passing ones are listed per item, host by host, without their evidence.
FULL_DETAIL_FINDINGS = 2_000
# Non-passing findings that are unfolded from the start; more of them would bury each other.
UNFOLDED_FINDINGS = 12
# Entries, worst first, whose evidence is laid out over lines; for the rest it stays on one, which is ten times faster.
LAID_OUT_ENTRIES = 1_000
BLOCKING_SHOWN = 50
INTERVALS_MARKED = 40

_META = re.compile("[&<>\"']")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def escape(value: object) -> str:
    """Return a value as text that is inert in HTML content and in a quoted attribute."""
    text = printable(value) if isinstance(value, str) else as_text(value)
    return text if _META.search(text) is None else _META.sub(lambda found: _ENTITIES[found.group()], text)


def prose(value: object) -> str:
    """Return a value as inert HTML in which what stands between backticks is code."""
    return "".join(
        f"<code>{escape(text)}</code>" if is_code else escape(text) for is_code, text in spans(as_text(value))
    )


def write_html(report: Mapping[str, Any], path: str | os.PathLike[str]) -> str:
    """Write the report as one HTML file to path, atomically; return the sha256 of the file."""
    return write_atomic(render_html(report), path)


def render_html(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the report as one HTML document, in pieces that stay small however many findings there are."""
    entries = _entries(report["findings"])
    anchors = _anchors(entries)
    yield _head(report)
    yield _band(report)
    yield '<main id="content" tabindex="-1">\n'
    yield _contents(report)
    yield _broken_steps(report)
    yield _way_out(report)
    yield _blocking(report, anchors)
    yield _conditional(report, anchors)
    yield _tiles(report)
    yield _warnings(report, anchors)
    yield _steps(report)
    yield _way_back(report)
    yield from _findings(report, entries)
    yield _waivers(report, anchors)
    yield _sign_offs(report)
    yield _loosened(report)
    yield _changed(report)
    yield _coverage(report)
    yield _proof(report)
    yield f"</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"


# --- head and band ---------------------------------------------------------------------------------------------------


def _policy(source: str) -> str:
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _head(report: Mapping[str, Any]) -> str:
    waited = budget_headline(report)
    said = f"{report['verdict']['decision']}, {word(report['outcome'])}" + (f", {waited}" if waited else "")
    title = f"{said}: {report['system']} {report['version']}"
    # Bars of the time line are placed by style attributes, so styles are allowed inline; nothing may be loaded at all.
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {_policy(SCRIPT)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="robots" content="noindex">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f'<body class="{tone(report)}">\n<a class="skip" href="#content">Skip to the report</a>\n'
    )


def _band(report: Mapping[str, Any]) -> str:
    verdict, outcome = report["verdict"], report["outcome"]
    headline = [verdict["decision"]]
    if outcome == "live":
        headline.append(word(outcome))
    elif outcome not in ("no_go", "checked"):
        # A release that did not end well must not greet the reader with a large GO.
        headline.insert(0, word(outcome).capitalize())
    heading = " ".join(
        f'<span class="{place}">{escape(text)}</span>'
        for place, text in zip(("first", "second"), headline, strict=False)
    )
    waited = budget_headline(report)
    if waited:
        heading += f' <span class="waited">{escape(waited)}</span>'
    release = section(report, "release")
    facts = [f"decided {human_time(verdict['decided'])}"] if verdict.get("decided") else []
    if release.get("previous_version"):
        facts.append(f"from {as_text(release['previous_version'])}")
    if release.get("operator"):
        facts.append(f"by {as_text(release['operator'])}")
    if release.get("id"):
        facts.append(f"release {as_text(release['id'])}")
    return (
        '<header class="band"><div class="inner">\n'
        f'<p class="system">{escape(report["system"])} <b>{escape(report["version"])}</b></p>\n'
        f"<h1>{heading}</h1>\n"
        f'<p class="sentence">{prose(report["outcome_text"])}</p>\n'
        f'<p class="facts">{" ".join(f"<span>{escape(fact)}</span>" for fact in facts)}</p>\n'
        "</div></header>\n"
    )


def _contents(report: Mapping[str, Any]) -> str:
    verdict, release = report["verdict"], section(report, "release")
    links = [
        ("blocks", "What blocks", bool(verdict.get("blocking") or section(verdict, "coverage").get("missing"))),
        ("steps", "Time line", bool(release.get("steps"))),
        ("way-back", "Way back", bool(section(release, "rollback") or section(release, "backup"))),
        ("findings", "Findings", True),
        ("waivers", "Waivers", bool(verdict.get("waivers"))),
        ("sign-offs", "Sign-offs", bool(verdict.get("sign_offs"))),
        ("proof", "Digests", True),
    ]
    items = "".join(f'<li><a href="#{anchor}">{label}</a></li>' for anchor, label, present in links if present)
    return f'<nav aria-label="Contents"><ul>{items}</ul></nav>\n'


# --- what blocks -----------------------------------------------------------------------------------------------------


def _badge(level: str, label: str = "") -> str:
    return f'<span class="st {level}">{escape(label or word(level))}</span>' if level in DECISION_RANK else ""


def _linked(item: object, host: object, anchors: Mapping[tuple[str, str], str]) -> str:
    anchor = anchors.get((as_text(item), as_text(host)))
    label = f"<code>{escape(item)}</code>"
    return f'<a href="#{anchor}">{label}</a>' if anchor else label


def _broken_steps(report: Mapping[str, Any]) -> str:
    broken = [step for step in rows(section(report, "release"), "steps") if step.get("status") in ("failed", "open")]
    items = "".join(
        f"<li>{_badge('fail' if step['status'] == 'failed' else 'unknown', word(step['status']))}"
        f"<div><h3>{escape(step.get('title') or step.get('name'))}</h3>"
        f"<p>{prose(step.get('detail')) or 'The journal gives no reason.'}</p></div></li>\n"
        for step in broken
    )
    if not items:
        return ""
    heading = '<h2 id="broken-h">Where it stopped</h2>'
    return f'<section class="blocks" aria-labelledby="broken-h">{heading}\n<ol>\n{items}</ol></section>\n'


def _way_out(report: Mapping[str, Any]) -> str:
    ways = [as_text(way) for way in section(report, "release").get("way_out") or []]
    if not ways:
        return ""
    items = "".join(f"<li><code>{escape(way)}</code></li>\n" for way in ways)
    heading = f'<h2 id="ways-h">{escape(ways_title(report))}</h2>'
    return f'<section class="ways" aria-labelledby="ways-h">{heading}\n<ul>\n{items}</ul></section>\n'


def _blocking(report: Mapping[str, Any], anchors: Mapping[tuple[str, str], str]) -> str:
    verdict = report["verdict"]
    groups = group_blocking(rows(verdict, "blocking"))
    missing = uncovered(verdict)
    if not groups and not missing:
        return ""
    parts = [
        '<section id="blocks" class="blocks" aria-labelledby="blocks-h"><h2 id="blocks-h">What blocks</h2>\n<ol>\n'
    ]
    for entry, hosts in groups[:BLOCKING_SHOWN]:
        parts.append(
            f"<li>{_badge(as_text(entry.get('status')))}<div><h3>{escape(entry.get('summary')) or 'no summary'}</h3>"
            f'<p class="where">{_linked(entry.get("id"), hosts[0], anchors)} on {escape(some_hosts(hosts))}</p>'
            f"{_to_do(entry)}</div></li>\n"
        )
    if len(groups) > BLOCKING_SHOWN:
        parts.append(f"<li><div><p>and {len(groups) - BLOCKING_SHOWN:,} more, listed under Findings.</p></div></li>\n")
    if missing:
        count = "1 required item is" if len(missing) == 1 else f"{len(missing):,} required items are"
        parts.append(
            f"<li>{_badge('unknown')}<div><h3>{count} covered by no check and no sign-off</h3>"
            f'<p class="where">{", ".join(f"<code>{escape(name)}</code>" for name in missing)}</p></div></li>\n'
        )
    return "".join(parts) + "</ol></section>\n"


def _to_do(entry: Mapping[str, Any]) -> str:
    remedy = entry.get("remedy")
    return f'<p class="remedy"><b>Do</b> {prose(remedy)}</p>' if remedy else ""


def _conditional(report: Mapping[str, Any], anchors: Mapping[tuple[str, str], str]) -> str:
    entries = rows(report["verdict"], "conditional")
    if not entries:
        return ""
    items = "".join(
        f"<li>{_linked(entry.get('id'), entry.get('host'), anchors)} on {escape(entry.get('host'))}: "
        f"{escape(entry.get('reason'))}</li>\n"
        for entry in entries
    )
    holds = "this one holds" if len(entries) == 1 else f"these {len(entries):,} hold"
    return f'<section class="conditional"><h2>GO if {holds}</h2>\n<ul>\n{items}</ul></section>\n'


def _warnings(report: Mapping[str, Any], anchors: Mapping[tuple[str, str], str]) -> str:
    groups = group_blocking(rows(report["verdict"], "warnings"))
    if not groups:
        return ""
    parts = ['<section class="warnings"><h2>Warnings</h2>\n<ul>\n']
    for entry, hosts in groups[:BLOCKING_SHOWN]:
        parts.append(
            f"<li>{_badge(as_text(entry.get('status')))}<div>{escape(entry.get('summary')) or 'no summary'} "
            f'<span class="where">{_linked(entry.get("id"), hosts[0], anchors)} on {escape(some_hosts(hosts))}</span>'
            f"{_to_do(entry)}</div></li>\n"
        )
    if len(groups) > BLOCKING_SHOWN:
        parts.append(f"<li><div>and {len(groups) - BLOCKING_SHOWN:,} more, listed under Findings.</div></li>\n")
    return "".join(parts) + "</ul></section>\n"


# --- tiles -----------------------------------------------------------------------------------------------------------


def _tile(label: str, figure: str, note: str, state: str = "") -> str:
    return (
        f'<div class="tile {state}"><dt>{escape(label)}</dt><dd><span class="figure">{figure}</span>'
        f'<span class="note">{escape(note)}</span></dd></div>\n'
    )


def _tiles(report: Mapping[str, Any]) -> str:
    verdict, release = report["verdict"], section(report, "release")
    counts = section(verdict, "counts")
    total = sum(count for count in counts.values() if isinstance(count, int))
    tiles = [
        _tile(
            "Findings",
            f"{human_number(counts.get('pass', 0))}<small> of {human_number(total)} pass</small>",
            ", ".join(f"{counts[name]:,} {word(name)}" for name in DECISIONS[:-1] if counts.get(name))
            or "nothing else",
        )
    ]
    tiles += _downtime_tile(release)
    backup = section(release, "backup")
    if backup:
        notes = [f"{human_number(backup[name])} {name}" for name in ("tables", "rows") if backup.get(name) is not None]
        if backup.get("verified"):
            took = human_seconds(backup.get("restore_seconds"))
            notes.append(f"verified by {word(backup['verified'])}" + (f" in {took}" if took else ""))
        else:
            notes.append("not verified")
        state = "pass" if backup.get("verified") else "fail"
        tiles.append(
            _tile("Backup", escape(human_bytes(backup.get("size_bytes")) or "size unknown"), ", ".join(notes), state)
        )
    ledger = section(section(release, "drain"), "ledger")
    if ledger:
        notes = [
            f"{human_number(ledger[name])} {label}" for name, label in _LEDGER_WORDS if ledger.get(name) is not None
        ]
        lost = lost_jobs(ledger)
        tiles.append(_tile("Jobs lost", lost, ", ".join(notes), {"0": "pass", "unknown": "unknown"}.get(lost, "fail")))
    return f'<dl class="tiles">\n{"".join(tiles)}</dl>\n{_proportions(counts, total)}'


_LEDGER_WORDS = (("before", "before the drain"), ("finished", "finished"), ("waiting", "still waiting"))


def _downtime_tile(release: Mapping[str, Any]) -> list[str]:
    downtime = section(release, "downtime")
    if not downtime:
        return []
    seconds, budget = downtime.get("seconds"), downtime.get("budget_seconds")
    figure = escape(human_seconds(seconds) or "unknown")
    allowed = human_seconds(budget)
    if allowed:
        figure += f"<small> of {escape(allowed)}</small>"
    later = measured_later(release)
    notes = [f"measured only {later}" if later else "", budget_sentence(downtime) if allowed else "no budget was given"]
    if downtime.get("resolution_seconds") is not None:
        notes.append(f"measured every {human_seconds(downtime['resolution_seconds'])}")
    if downtime.get("unknown_seconds"):
        notes.append(f"{human_seconds(downtime['unknown_seconds'])} unknown")
    if downtime.get("job_delay_seconds") is not None:
        notes.append(f"job delay {human_seconds(downtime['job_delay_seconds'])}")
    state = {WITHIN_BUDGET: "pass", OVER_BUDGET: "fail", BUDGET_UNKNOWN: "unknown"}.get(
        as_text(downtime.get("verdict")), ""
    )
    return [_tile("Downtime", figure, ", ".join(note for note in notes if note), state)]


def _proportions(counts: Mapping[str, Any], total: int) -> str:
    if not total:
        return '<p class="empty">No item was judged. Nothing judged is not a pass.</p>\n'
    bars = "".join(f'<i class="{name}" style="flex-grow:{counts[name]}"></i>' for name in DECISIONS if counts.get(name))
    return f'<div class="bar" aria-hidden="true">{bars}</div>\n'


# --- time line -------------------------------------------------------------------------------------------------------


def _span(start: object, seconds: object) -> tuple[float, float] | None:
    moment = parse_time(start) if isinstance(start, str) else None
    if moment is None:
        return None
    length = float(seconds) if isinstance(seconds, (int, float)) else 0.0
    return moment.timestamp(), moment.timestamp() + max(length, 0.0)


def _steps(report: Mapping[str, Any]) -> str:
    release = section(report, "release")
    steps = rows(release, "steps")
    if not steps:
        return ""
    intervals = rows(section(release, "downtime"), "intervals")
    spans = [_span(step.get("started"), step.get("seconds")) for step in steps]
    down = _down_spans(intervals)
    known = [span for span in spans if span]
    parts = ['<section id="steps" aria-labelledby="steps-h"><h2 id="steps-h">Time line</h2>\n']
    if known:
        begin, end = min(span[0] for span in known), max(span[1] for span in known)
        parts.append(
            f'<p class="legend"><span>{escape(_clock(begin))} to {escape(_clock(end))} UTC, '
            f"{escape(human_seconds(end - begin))}</span>"
            + ('<span><i class="swatch" aria-hidden="true"></i>no good answer from outside</span>' if down else "")
            + "</p>\n"
        )
    else:
        begin, end = 0.0, 0.0
    parts.append(_track_list(release, steps, spans, down, (begin, end)))
    window = _window(down, (begin, end))
    if window:
        inside = [
            (step, span)
            for step, span in zip(steps, spans, strict=True)
            if span and span[1] >= window[0] and span[0] <= window[1]
        ]
        parts.append(
            f'<h3>The window, enlarged</h3>\n<p class="legend"><span>{escape(_clock(window[0]))} to '
            f"{escape(_clock(window[1]))} UTC, {escape(human_seconds(window[1] - window[0]))}</span></p>\n"
        )
        parts.append(
            _track_list(release, [step for step, _unused in inside], [span for _unused, span in inside], down, window)
        )
    parts.append(_interval_table(intervals))
    return "".join(parts) + "</section>\n"


def _clock(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, tz=_UTC).strftime("%H:%M:%S")


_UTC = datetime.fromisoformat("1970-01-01T00:00:00Z").tzinfo


def _down_spans(intervals: Iterable[Mapping[str, Any]]) -> list[tuple[float, float]]:
    spans = []
    for interval in intervals:
        begin = _span(interval.get("from"), interval.get("seconds"))
        end = _span(interval.get("to"), 0)
        if begin:
            spans.append((begin[0], end[1] if end else begin[1]))
    return sorted(spans, key=lambda span: span[0] - span[1])[:INTERVALS_MARKED]


def _window(down: Sequence[tuple[float, float]], whole: tuple[float, float]) -> tuple[float, float] | None:
    """Return the downtime with a margin, where it is too small a part of the whole release to be read there."""
    length = whole[1] - whole[0]
    if not down or length <= 0:
        return None
    begin, end = min(span[0] for span in down), max(span[1] for span in down)
    margin = max((end - begin) * 0.1, 0.5)
    begin, end = max(begin - margin, whole[0]), min(end + margin, whole[1])
    return (begin, end) if 0 < end - begin < 0.4 * length else None


def _place(span: tuple[float, float], frame: tuple[float, float]) -> str:
    length = frame[1] - frame[0] or 1.0
    begin, end = max(span[0], frame[0]), min(span[1], frame[1])
    return f"left:{100 * (begin - frame[0]) / length:.3f}%;width:{100 * max(end - begin, 0.0) / length:.3f}%"


def _track_list(
    release: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    spans: Sequence[tuple[float, float] | None],
    down: Sequence[tuple[float, float]],
    frame: tuple[float, float],
) -> str:
    marks = "".join(
        f'<i class="down" style="{_place(span, frame)}"></i>'
        for span in down
        if span[1] >= frame[0] and span[0] <= frame[1]
    )
    turn, back = as_text(release.get("point_of_no_return")), "rollback"
    parts = ['<ol class="steps">\n']
    for step, span in zip(steps, spans, strict=True):
        name, status = as_text(step.get("name")), as_text(step.get("status"))
        if back and step.get("phase") == "rollback":
            parts.append('<li class="turn"><span>rollback</span></li>\n')
            back = turn = ""
        if turn and name == turn:
            parts.append('<li class="turn"><span>point of no return</span></li>\n')
            turn = ""
        predicted = human_seconds(step.get("predicted_seconds"))
        took = human_seconds(step.get("seconds"))
        ran = f'<i class="run" style="{_place(span, frame)}"></i>' if span else ""
        detail = as_text(step.get("detail"))
        parts.append(
            f'<li class="{escape(status)}"><span class="name">{escape(step.get("title") or name)}</span>'
            f'<span class="state"><span class="mark">{escape(word(status))}</span></span>'
            f'<span class="track" aria-hidden="true">{marks}{ran}</span>'
            f'<span class="took">{escape(took) or "–"}'
            + (f"<small> planned {escape(predicted)}</small>" if predicted else "")
            + "</span>"
            + (f'<span class="detail">{escape(detail)}</span>' if detail else "")
            + "</li>\n"
        )
    return "".join(parts) + "</ol>\n"


def _interval_table(intervals: Sequence[Mapping[str, Any]]) -> str:
    return _table(
        "Downtime, measured from outside",
        ("From", "To", "Seconds", "Cause"),
        (
            (
                escape(human_time(interval.get("from"), precise=True)),
                escape(human_time(interval.get("to"), precise=True)),
                escape(human_seconds(interval.get("seconds"))),
                escape(interval.get("cause")),
            )
            for interval in intervals
        ),
    )


# --- the way back ----------------------------------------------------------------------------------------------------


def _way_back(report: Mapping[str, Any]) -> str:
    release = section(report, "release")
    rollback, backup, drain = section(release, "rollback"), section(release, "backup"), section(release, "drain")
    irreversible = names(release, "irreversible")
    if not (rollback or backup or drain or irreversible):
        return ""
    parts = [
        '<section id="way-back" aria-labelledby="way-back-h"><h2 id="way-back-h">Way back</h2>\n<dl class="facts">\n'
    ]
    if rollback.get("database"):
        method = f"<b>{escape(word(rollback.get('database')))}</b>"
        reason = escape(rollback.get("reason"))
        parts.append(_fact("Database", f"{method}: {reason}" if reason else method))
    if rollback:
        services = [escape(service) for service in part_lines(rollback.get("services"))]
        if services:
            parts.append(_fact("Services", "<br>".join(services)))
    if irreversible:
        parts.append(_fact("Cannot be undone", "<br>".join(escape(line) for line in irreversible)))
    if release.get("point_of_no_return"):
        parts.append(_fact("Point of no return", escape(release["point_of_no_return"])))
    for label, text in _backup_lines(backup):
        parts.append(_fact(label, text))
    ledger = section(drain, "ledger")
    if ledger:
        lost = names(ledger, "lost")
        told = ", ".join(
            f"{human_number(ledger[name])} {label}" for name, label in _LEDGER_WORDS if ledger.get(name) is not None
        )
        ids = ": " + ", ".join(f"<code>{escape(name)}</code>" for name in lost) if lost else ""
        parts.append(_fact("Jobs", f"{escape(told)}{', ' if told else ''}{lost_jobs(ledger)} lost{ids}"))
    workers = drain.get("workers")
    if isinstance(workers, (list, tuple)) and workers:
        parts.append(_fact("Workers", "<br>".join(escape(worker) for worker in part_lines(workers))))
    return "".join(parts) + "</dl></section>\n"


def _fact(label: str, html: str) -> str:
    return f"<div><dt>{escape(label)}</dt><dd>{html}</dd></div>\n"


def _backup_lines(backup: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not backup:
        return
    facts = [human_bytes(backup.get("size_bytes"))]
    facts += [f"{human_number(backup[name])} {name}" for name in ("tables", "rows") if backup.get(name) is not None]
    facts += [f"taken {human_time(backup['at'])}"] if backup.get("at") else []
    facts += [f"dump {human_seconds(backup['dump_seconds'])}"] if backup.get("dump_seconds") is not None else []
    yield "Backup", f"<code>{escape(backup.get('key'))}</code><br>{escape(', '.join(fact for fact in facts if fact))}"
    if backup.get("verified"):
        took = human_seconds(backup.get("restore_seconds"))
        yield (
            "Backup verified by",
            escape(word(backup["verified"]) + (f" into a scratch database, {took}" if took else "")),
        )
    else:
        yield "Backup verified by", "nothing: it was not restored"
    if backup.get("sha256"):
        yield "Backup sha256", f"<code>{escape(backup['sha256'])}</code>"


# --- findings --------------------------------------------------------------------------------------------------------

Finding = Mapping[str, Any]


def _entries(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Return what the list shows, worst first: one finding each, or, of very many, one item and its hosts."""
    if len(findings) <= FULL_DETAIL_FINDINGS:
        entries = [[finding] for finding in findings]
    else:
        groups: dict[tuple[str, ...], list[Finding]] = {}
        for finding in findings:
            decision = decision_of(finding)
            # Alike for a reader: all passing ones of an item, and those of the others that say the same sentence.
            told = "" if decision == "pass" else as_text(finding.get("summary"))
            groups.setdefault((decision, as_text(finding.get("severity")), finding["id"], told), []).append(finding)
        entries = list(groups.values())
    entries.sort(key=lambda entry: _urgency(entry[0]))
    return entries


def _urgency(finding: Finding) -> tuple[int, bool, tuple[str | int, ...], tuple[str | int, ...]]:
    rank = DECISION_RANK[decision_of(finding)]
    return rank, finding.get("severity") != "blocker", natural_key(finding["id"]), natural_key(finding["host"])


def _anchors(entries: Sequence[Sequence[Finding]]) -> dict[tuple[str, str], str]:
    return {
        (finding["id"], finding["host"]): f"f{position}"
        for position, entry in enumerate(entries)
        for finding in entry
        if decision_of(finding) != "pass"
    }


def _findings(report: Mapping[str, Any], entries: Sequence[Sequence[Finding]]) -> Iterator[str]:
    findings = report["findings"]
    hosts = sorted({finding["host"] for finding in findings}, key=natural_key)
    yield (
        '<section id="findings" aria-labelledby="findings-h"><h2 id="findings-h">Findings '
        f"<small>{len(findings):,} on {len(hosts):,} host{'' if len(hosts) == 1 else 's'}</small></h2>\n"
    )
    if not_listed(report):
        yield f'<p class="hint">{not_listed(report):,} more were judged, and not kept with the release.</p>\n'
    if not findings:
        yield '<p class="empty">There are no findings.</p></section>\n'
        return
    yield _filters(findings, hosts)
    if len(findings) > FULL_DETAIL_FINDINGS:
        yield (
            '<p class="hint">With this many findings, what reads the same is shown once, with its hosts. '
            "The evidence of every finding is in <code>report.json</code>.</p>\n"
        )
    first_passing = next(
        (position for position, entry in enumerate(entries) if decision_of(entry[0]) == "pass"), len(entries)
    )
    for label, start, end in (("Not passed", 0, first_passing), ("Passed", first_passing, len(entries))):
        if start == end:
            continue
        count = sum(len(entry) for entry in entries[start:end])
        yield f'<div class="list"><h3>{label} <small>{count:,}</small></h3>\n<ul class="rows" role="list">\n'
        batch: list[str] = []
        for position in range(start, end):
            unfold = label == "Not passed" and first_passing <= UNFOLDED_FINDINGS
            batch.append(_entry(entries[position], position, unfold))
            if len(batch) == 64:
                yield "".join(batch)
                batch = []
        yield "".join(batch) + "</ul></div>\n"
    yield '<p class="empty none" hidden>No finding matches the filters.</p></section>\n'


def _filters(findings: Sequence[Finding], hosts: Sequence[str]) -> str:
    counts: dict[str, int] = {}
    for finding in findings:
        decision = decision_of(finding)
        counts[decision] = counts.get(decision, 0) + 1
    boxes = "".join(
        f'<label class="chip {name}"><input type="checkbox" name="status" value="{name}">'
        f"<span>{escape(word(name))} <b>{counts[name]:,}</b></span></label>\n"
        for name in DECISIONS
        if name in counts
    )
    items = sorted({finding["id"] for finding in findings}, key=natural_key)
    host_list = "".join(f'<option value="{escape(host)}">' for host in hosts)
    item_list = "".join(f'<option value="{escape(item)}">' for item in items)
    return (
        '<form class="filters" role="search" aria-label="Filter findings" hidden>\n'
        f"<fieldset><legend>Status</legend>{boxes}</fieldset>\n"
        '<label>Severity<select name="severity"><option value="">any</option><option>blocker</option>'
        "<option>warning</option></select></label>\n"
        f'<label>Host<input name="host" list="hosts" autocomplete="off" spellcheck="false"></label>\n'
        '<label>Item<input name="item" list="items" autocomplete="off" spellcheck="false" placeholder="S1.21">'
        "</label>\n"
        '<label class="wide">Text<input type="search" name="text" autocomplete="off" spellcheck="false"></label>\n'
        '<button type="reset">Clear</button>\n<p class="shown" role="status" aria-live="polite"></p>\n'
        f'<datalist id="hosts">{host_list}</datalist><datalist id="items">{item_list}</datalist>\n</form>\n'
    )


def _entry(entry: Sequence[Finding], position: int, unfold: bool) -> str:
    finding, decision = entry[0], decision_of(entry[0])
    laid_out = position < LAID_OUT_ENTRIES
    satisfies = [escape(name) for name in names(finding, "satisfies")]
    item = escape(finding["id"])
    if len(entry) == 1:
        where, body = escape(finding["host"]), _body(finding, decision, laid_out=laid_out)
    else:
        where = f"{len(entry):,} hosts"
        detail = "" if decision == "pass" else _body(finding, decision, laid_out=laid_out, shared=True)
        body = f'{detail}<ul class="hosts">{"".join(map(_host_line, entry))}</ul>'
    sentence = escape(finding.get("summary")) if decision != "pass" else ""
    return (
        f'<li id="f{position}" data-s="{decision}" data-v="{escape(finding.get("severity"))}" '
        f'data-i="{" ".join([item, *satisfies])}"><details{" open" if unfold else ""}>'
        f'<summary><span class="st {decision}">{escape(word(decision))}</span>'
        f'<span class="what"><span class="title">{escape(finding.get("title")) or item}</span>'
        + (f'<span class="said">{sentence}</span>' if sentence else "")
        + f'<span class="ids"><code>{item}</code>'
        + (f" {', '.join(satisfies)}" if satisfies else "")
        + f'</span></span><span class="where">{where}</span></summary>\n{body}</details></li>\n'
    )


def _host_line(finding: Finding) -> str:
    measured = finding.get("measured")
    told = escape(measured) if measured is not None else ""
    return f"<li><b>{escape(finding['host'])}</b> {told}</li>"


def _body(finding: Finding, decision: str, *, laid_out: bool, shared: bool = False) -> str:
    facts: list[tuple[str, str]] = []
    if decision == "pass" and finding.get("summary"):
        facts.append(("Found", escape(finding["summary"])))
    criteria = _criteria(finding)
    for label, name in (("Expected", "expected"), ("Measured", "measured"), ("Remedy", "remedy")):
        if finding.get(name) not in (None, "", {}) and not (criteria and name in ("expected", "measured")):
            facts.append((label, prose(finding[name])))
    waiver = section(finding, "waiver")
    if waiver:
        facts.append(("Waiver", escape(waiver_sentence(waiver))))
    if finding.get("status") != decision:
        facts.append(("Status before the verdict", escape(word(finding.get("status")))))
    made = [
        text
        for text in (
            as_text(finding.get("severity")),
            as_text(finding.get("check")),
            " ".join(names(finding, "phase")),
            f"owner {as_text(finding['owner'])}" if finding.get("owner") else "",
            human_time(finding.get("started")),
            human_seconds(finding.get("seconds")),
        )
        if text
    ]
    if made:
        facts.append(("Judged", escape(" · ".join(made))))
    parts = [
        '<div class="body"><dl>',
        *(f"<dt>{label}</dt><dd>{html}</dd>" for label, html in facts),
        "</dl>",
        criteria,
    ]
    evidence = finding.get("evidence")
    if evidence not in (None, "", [], {}):
        text = evidence if isinstance(evidence, str) else encode(evidence, indented=laid_out)
        title = f"Evidence from {escape(finding['host'])}" if shared else "Evidence"
        parts.append(f'<details><summary>{title}</summary><pre tabindex="0">{escape(text)}</pre></details>')
    return "".join(parts) + "</div>"


def _criteria(finding: Finding) -> str:
    """Every criterion in a line of its own: what was expected beside what was measured."""
    expected, measured = finding.get("expected"), finding.get("measured")
    if not isinstance(expected, Mapping) or not isinstance(measured, Mapping):
        return ""
    table = _table(
        "Each criterion",
        ("Criterion", "Expected", "Measured"),
        (
            (escape(name), escape(expected.get(name)), escape(measured.get(name)))
            for name in dict.fromkeys((*expected, *measured))
        ),
    )
    return table.replace("<table>", '<table class="criteria">', 1)


# --- tables ----------------------------------------------------------------------------------------------------------


def _table(caption: str, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    body = "".join(
        "<tr>"
        + "".join(f'<td data-l="{column}">{cell or "–"}</td>' for column, cell in zip(columns, line, strict=True))
        + "</tr>\n"
        for line in lines
    )
    if not body:
        return ""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>\n"


_STATE_LEVELS = {"used": "waived", "valid": "pass", "unused": "warn", "missing": "unknown"}


def _state(state: object) -> str:
    text = as_text(state)
    level = text if text in DECISION_RANK else _STATE_LEVELS.get(text, "fail")
    return f'<span class="st {level}">{escape(word(text))}</span>' if text else ""


def _waivers(report: Mapping[str, Any], anchors: Mapping[tuple[str, str], str]) -> str:
    decided = parse_time(report["verdict"].get("decided") or report["generated"])
    table = _table(
        "An accepted failure counts only with an owner, another person's approval and an end.",
        ("Item", "State", "Owner", "Approver", "Reason", "Scope", "Expires"),
        (
            (
                f"<code>{escape(waiver.get('item'))}</code>",
                _state(waiver.get("state")),
                escape(waiver.get("owner")),
                escape(waiver.get("approver")),
                escape(waiver.get("reason")),
                escape(waiver.get("scope")),
                escape(_expiry(waiver.get("expires"), decided)),
            )
            for waiver in rows(report["verdict"], "waivers")
        ),
    )
    return (
        f'<section id="waivers" aria-labelledby="w-h"><h2 id="w-h">Waivers</h2>\n{table}</section>\n' if table else ""
    )


def _expiry(expires: object, now: datetime | None) -> str:
    text, moment = human_time(expires), parse_time(expires) if isinstance(expires, str) else None
    if moment is None or now is None:
        return text
    days = (moment - now).total_seconds() / 86_400
    return f"{text}, {'expired' if days < 0 else f'{days:.0f} days left'}"


def _sign_offs(report: Mapping[str, Any]) -> str:
    decided = parse_time(report["verdict"].get("decided") or report["generated"])
    table = _table(
        "Attested by a person and bound to what was reviewed.",
        ("Item", "State", "Team", "Name", "Signed", "Expires", "Bound to"),
        (
            (
                f"<code>{escape(entry.get('item'))}</code>",
                _state(entry.get("state")),
                escape(entry.get("team")),
                escape(signer(entry)),
                escape(human_time(entry.get("signed"))),
                escape(_expiry(entry.get("expires"), decided)),
                escape(entry.get("binds_to")),
            )
            for entry in rows(report["verdict"], "sign_offs")
        ),
    )
    return (
        f'<section id="sign-offs" aria-labelledby="s-h"><h2 id="s-h">Sign-offs</h2>\n{table}</section>\n'
        if table
        else ""
    )


def _loosened(report: Mapping[str, Any]) -> str:
    table = _table(
        "Less strict than at the last GO.",
        ("Item", "Field", "Was", "Now", "Approver"),
        (
            (
                f"<code>{escape(entry.get('id'))}</code>",
                escape(entry.get("field")),
                escape(entry.get("was")),
                escape(entry.get("now")),
                escape(entry.get("approver")),
            )
            for entry in rows(report["verdict"], "loosened")
        ),
    )
    return f'<section aria-labelledby="l-h"><h2 id="l-h">Loosened</h2>\n{table}</section>\n' if table else ""


def _changed(report: Mapping[str, Any]) -> str:
    table = _table(
        "Different from the last GO, neither milder nor stricter.",
        ("Item", "Field", "Was", "Now"),
        (
            (
                f"<code>{escape(entry.get('id'))}</code>",
                escape(entry.get("field")),
                escape(entry.get("was")),
                escape(entry.get("now")),
            )
            for entry in rows(report["verdict"], "changed")
        ),
    )
    return f'<section aria-labelledby="ch-h"><h2 id="ch-h">Changed</h2>\n{table}</section>\n' if table else ""


def _coverage(report: Mapping[str, Any]) -> str:
    coverage = section(report["verdict"], "coverage")
    required, covered, missing = (names(coverage, name) for name in ("required", "covered", "missing"))
    if not (required or covered or missing):
        return ""
    codes = {
        name: ", ".join(f"<code>{escape(item)}</code>" for item in items)
        for name, items in (("required", required), ("missing", missing), ("covered", covered))
    }
    return (
        '<section aria-labelledby="c-h"><h2 id="c-h">Coverage</h2>\n<dl class="facts">\n'
        + (_fact("Required", codes["required"]) if required else "")
        + _fact(
            "Covered",
            f"{len(covered):,} items"
            + (f"<details><summary>List</summary>{codes['covered']}</details>" if covered else ""),
        )
        + "".join(
            _fact(f"By the step {escape(step)}", ", ".join(f"<code>{escape(item)}</code>" for item in items))
            for step, items in section(coverage, "by_steps").items()
        )
        + _fact("Missing", codes["missing"] or "none")
        + "</dl></section>\n"
    )


def _proof(report: Mapping[str, Any]) -> str:
    release, journal = section(report, "release"), section(section(report, "release"), "journal")
    facts: list[tuple[str, str]] = [
        ("Release digest", f"<code>{escape(release.get('digest'))}</code>" if release.get("digest") else ""),
        (
            "Verdict digest",
            f"<code>{escape(report['verdict'].get('digest'))}</code>" if report["verdict"].get("digest") else "",
        ),
        (
            "Journal head",
            f"<code>{escape(journal.get('head'))}</code> after {escape(human_number(journal.get('entries')))} entries"
            if journal.get("head")
            else "",
        ),
        (
            "Release",
            f"{escape(human_time(release.get('started')))} to {escape(human_time(release.get('ended')) or 'open')}"
            if release.get("started")
            else "",
        ),
        (
            "Report",
            f"{escape(human_time(report['generated']))}, {escape(report['generator'])}, "
            f"schema {escape(report['schema_version'])}",
        ),
        *(
            (as_text(name).replace("_", " ").capitalize(), escape(value))
            for name, value in section(report, "environment").items()
        ),
    ]
    body = "".join(_fact(label, html) for label, html in facts if html)
    heading = '<section id="proof" aria-labelledby="p-h"><h2 id="p-h">Digests</h2>'
    return f'{heading}\n<dl class="facts proof">\n{body}</dl></section>\n'
