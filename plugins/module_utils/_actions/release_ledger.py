# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of versions: a row for each end of a release, whatever it was, beside the records and outliving them.

A row is made of the release's own record alone. So what a kill or a full disk kept out is added at the next end, nothing is
added twice, and a ledger that was set aside is written anew. Its lines are chained as a journal's are: a row that was
changed, removed or put in is noticed, and blocks neither an end nor the next release, since nothing is decided by it.
"""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import journal
from ansible_collections.opsready.golive.plugins.module_utils._actions.release_record import Record, is_name
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError, UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

Row = dict[str, t.Any]

FILE = "ledger.jsonl"
#: What a release leaves behind as evidence, in the order in which ``sha256sum`` is given them.
BUNDLED = ("ROLLBACK.md", "journal.jsonl", "plan.json", "rollback_plan.json", "verdict.json")
#: How many characters of an outcome's sentence a row takes up; the journal keeps all of them.
_SHOWN_OF_DETAIL = 400
#: Rows that status shows, newest last.
_SHOWN = 20
#: Digits of a digest that tell one from another in a table.
_DIGITS = 12


def path_of(record: Record) -> str:
    return os.path.join(record.root, FILE)


def keep(record: Record) -> str:
    """Add every row that is missing; returns why that was not possible, or nothing. Call it inside ``exclusively``.

    On a full disk it leaves the reserve alone: that is for a way back, and a row can wait.
    """
    path = path_of(record)
    try:
        rows = missing(record, written(record))
        if rows:
            journal.append(path, rows, token=0, clock=record.clock)
    except OSError as problem:
        return f"{path} cannot be written: {problem.strerror}. The next end of a release adds what it lacks."
    except GoliveError as problem:
        return str(problem)
    return ""


def written(record: Record) -> tuple[Row, ...]:
    """The rows of the file, oldest first. Raises UnexpectedAnswer where one was changed, removed or put in, OSError."""
    path = path_of(record)
    remedy = (
        f"Keep it as evidence: mv {path} {path}.damaged. The next end of a release writes it anew from the records."
    )
    try:
        rows = journal.read_chain(path).entries
    except UnexpectedAnswer as problem:
        raise UnexpectedAnswer(problem.message.replace("the journal was", "the ledger was"), remedy=remedy) from None
    strange = next((number for number, row in enumerate(rows, start=1) if not _is_row(row)), None)
    if strange is not None:
        raise UnexpectedAnswer(f"Line {strange} of {path} is no row of a ledger.", remedy=remedy)
    return rows


def _is_row(row: Row) -> bool:
    """Whether it has what is made of a row; anybody can chain a line of his own."""
    texts = ("release", "version", "previous_version", "began", "ended", "operator", "ended_by", "verdict", "outcome")
    kinds: dict[str, type] = {**dict.fromkeys(texts, str), "artefacts": dict, "approvers": list, "bundle": dict,
                              "journal_entries": int}  # fmt: skip
    return (
        all(isinstance(row.get(name), kind) for name, kind in kinds.items())
        and is_name(row["release"])
        and all(isinstance(entry, dict) and {"name", "for"} <= set(entry) for entry in row["approvers"])
        and isinstance(row["bundle"].get("sha256"), str)
        and isinstance(row["bundle"].get("files"), dict)
    )


def missing(record: Record, rows: t.Iterable[Row]) -> list[Row]:
    """The ends that the records tell and these rows do not, oldest release first."""
    known = {(row.get("release"), row.get("ended")) for row in rows}
    found: list[Row] = []
    for release in record.releases():
        try:
            entries = record.chain(release).entries
        except UnexpectedAnswer:  # status says so, with the way out; what it had told stays in the ledger
            continue
        for number, entry in enumerate(entries, start=1):
            if entry["event"] == "ended" and (release, entry["at"]) not in known:
                found.append(_row(record, release, entries[:number]))
    return found


def _row(record: Record, release: str, entries: t.Sequence[journal.Entry]) -> Row:
    """What there is to know of an end, which the last of these entries tells."""
    begun, ended = entries[0], entries[-1]
    verdict = _verdict(record, release)
    planned = next((entry for entry in entries if entry["event"] == "planned"), {})
    claims = [entry for entry in entries if entry["event"] == "claimed"]
    return {
        "release": release,
        "version": begun.get("version", ""),
        "previous_version": planned.get("previous_version") or "",
        "artefacts": _dict(_dict(verdict.get("subject")).get("artefacts")),
        "digest": begun.get("digest", ""),
        "began": begun["at"],
        "ended": ended["at"],
        "operator": begun.get("operator", ""),
        "job": begun.get("job", ""),
        # Who took it over, where the run that began it did not end it.
        "ended_by": (claims[-1] if claims else begun).get("operator", ""),
        "approvers": _approvers(verdict),
        "verdict": str(verdict.get("decision") or "unknown"),
        "outcome": ended["outcome"],
        "detail": beginning_of(str(ended.get("detail", "")), _SHOWN_OF_DETAIL),
        "journal_entries": len(entries),
        "bundle": bundle(record, release, len(entries)),
    }


def _verdict(record: Record, release: str) -> dict[str, t.Any]:
    try:
        return record.document(release, "verdict.json") or {}
    except GoliveError:  # the row says that it is unknown
        return {}


def _dict(value: t.Any) -> dict[str, t.Any]:
    return value if isinstance(value, dict) else {}


def _approvers(verdict: t.Mapping[str, t.Any]) -> list[dict[str, str]]:
    """Who stood up for this verdict, and for what of it: signatures that held, waivers, words that forced or loosened."""

    def listed(part: str) -> list[dict[str, t.Any]]:
        entries = verdict.get(part)
        return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []

    found = [
        {"name": str(entry.get("name", "")), "for": f"sign-off {entry.get('item', '')} ({entry.get('team', '')})"}
        for entry in listed("sign_offs")
        if entry.get("state") == "pass"
    ]
    for part, word in (("waivers", "waiver"), ("forced", "forced"), ("loosened", "loosened")):
        found += [
            {"name": str(entry["approver"]), "for": f"{word} {entry.get('item') or entry.get('id', '')}"}
            for entry in listed(part)
            if entry.get("approver") and entry.get("state", "used") == "used"
        ]
    return found


def bundle(record: Record, release: str, entries: int) -> dict[str, t.Any]:
    """The digests of the record's files as they were at an end, and one over all of them.

    ``sha256`` is that of what ``sha256sum`` prints for the files by name; of the journal only the first ``entries`` lines
    count, since a release that is taken back later adds to it. Raises OSError.
    """
    files: dict[str, str] = {}
    for name in BUNDLED:
        try:
            with open(os.path.join(record.folder(release), name), "rb") as stream:
                content = stream.read()
        except FileNotFoundError:
            continue
        if name == "journal.jsonl":
            content = b"".join(line + b"\n" for line in content.split(b"\n")[:entries])
        files[name] = hashlib.sha256(content).hexdigest()
    listing = "".join(f"{digest}  {name}\n" for name, digest in files.items())
    return {"sha256": hashlib.sha256(listing.encode("ascii")).hexdigest(), "files": files}


def told(record: Record) -> dict[str, t.Any]:
    """The newest rows, what is wrong with them in ``faults``, and all of it as text; changes nothing."""
    faults: list[str] = []
    rows: list[Row] = []
    try:
        try:
            rows += written(record)
        except UnexpectedAnswer as problem:
            faults.append(str(problem))
        unwritten = missing(record, rows)
        if unwritten and not faults:
            faults.append(
                f"{path_of(record)} lacks {len(unwritten)} of these rows, which are told from the records; the next end of "
                "a release adds them."
            )
        rows = sorted([*rows, *unwritten], key=lambda row: str(row["ended"]))[-_SHOWN:]
        faults += [sentence for row in rows if (sentence := _differs(record, row))]
    except OSError as problem:
        faults.append(f"Not all of the ledger can be told: {problem.filename}: {problem.strerror}.")
    return {"rows": rows, "faults": faults, "text": "\n".join([*table(rows), *(f"  {fault}" for fault in faults)])}


def _differs(record: Record, row: Row) -> str:
    """What of a release's record is no longer as it was when it ended, where its folder is still there."""
    release = str(row["release"])
    if not os.path.isdir(record.folder(release)):
        return ""
    kept, now = row["bundle"]["files"], bundle(record, release, row["journal_entries"])["files"]
    names = [name for name in BUNDLED if kept.get(name) != now.get(name)]
    if not names:
        return ""
    return f"The record of {release} is not as it was when it ended {row['outcome']}: {', '.join(names)} changed since."


def table(rows: t.Sequence[Row]) -> list[str]:
    """The rows in Markdown, oldest first; nothing where there are none."""
    if not rows:
        return []
    lines = [
        "| version | before | began | ended | outcome | verdict | deployer | approvers | artefacts | release | bundle |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        people = row["operator"] if row["ended_by"] == row["operator"] else f"{row['operator']}, {row['ended_by']}"
        approvers = "; ".join(f"{entry['name']} ({entry['for']})" for entry in row["approvers"])
        artefacts = ", ".join(f"{name} {str(digest)[:_DIGITS]}" for name, digest in sorted(row["artefacts"].items()))
        cells = [row["version"], row["previous_version"], row["began"], row["ended"], row["outcome"], row["verdict"],
                 people, approvers, artefacts, row["release"], row["bundle"]["sha256"][:_DIGITS]]  # fmt: skip
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return lines


def _cell(text: t.Any) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
