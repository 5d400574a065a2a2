# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release record on the state host: lock, token, journal, plan. It outlives the controller.

Layout: ``<state_dir>/<system>/{lock.json,token,verdict.json,sign_offs.jsonl,ledger.jsonl}`` and ``releases/<id>/``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import re
import secrets
import shutil
import stat
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import journal
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import (
    CLOCK,
    Clock,
    Deadline,
    parse_utc,
    poll,
    utc_text,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Refused,
    TimedOut,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import Token

#: Lock and token are read and written in milliseconds; who waits longer waits for something that hangs.
_MUTEX_SECONDS = 30.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,47}")
#: Room that a release takes when it begins, for its way back: a full disk then blocks neither journal nor takeover.
_RESERVE_OCTETS = 1 << 20


def is_name(text: str) -> bool:
    """Whether a system or a release can be called so: it names a folder."""
    return _NAME.fullmatch(text) is not None


class Record:
    """One system's releases below a state directory."""

    def __init__(self, state_dir: str, system: str, *, clock: Clock = CLOCK) -> None:
        if not is_name(system):
            raise BadInput(f"system is {system!r}, expected letters, digits, '.', '_' and '-', at most 48.")
        self.system = system
        self.root = os.path.join(os.path.abspath(state_dir), system)
        self.clock = clock

    def create(self) -> None:
        """Make the directories. Raises ActionFailed naming the one that cannot be made, Refused for one that others can change.

        ROLLBACK.md is followed to the letter and the lock is believed, so nobody else may put another in their place.
        """
        folders = (self.root, os.path.join(self.root, "releases"))
        try:
            for path in folders:  # the mode is the last folder's only
                os.makedirs(path, mode=0o700, exist_ok=True)
            for path in (os.path.dirname(self.root), *folders):
                _refuse_what_others_change(path)
        except OSError as problem:
            raise ActionFailed(
                f"The state directory {self.root} cannot be made: {problem.strerror}.",
                remedy="Give this user the right to write there, or set golive_state_dir.",
            ) from None

    def folder(self, release: str) -> str:
        if not is_name(release):
            raise BadInput(f"{release!r} is not the id of a release.")
        return os.path.join(self.root, "releases", release)

    def journal_path(self, release: str) -> str:
        return os.path.join(self.folder(release), "journal.jsonl")

    def chain(self, release: str) -> journal.Chain:
        """A release's journal, verified. Raises UnexpectedAnswer, with the way to settle it all the same."""
        path = self.journal_path(release)
        try:
            chain = journal.read_chain(path)
            if not chain.entries and self._was_planned(release):
                raise UnexpectedAnswer(
                    f"Line 1 of {path} is missing: the journal was emptied after the plan was written."
                )
        except UnexpectedAnswer as problem:
            raise self.damage(problem, release) from None
        except PermissionError:
            raise self._unreadable(path) from None
        return chain

    def damage(self, problem: UnexpectedAnswer, release: str) -> UnexpectedAnswer:
        """What was found of a journal, with the stated way to settle its release regardless."""
        return UnexpectedAnswer(
            problem.message,
            remedy=f"Look at the services themselves first. Then `abort` with golive_takeover={release} and "
            "golive_damaged_journal=set_aside keeps the file as evidence beside a new one, and settles what can be proven.",
        )

    def _was_planned(self, release: str) -> bool:
        """The plan is written before anything changes, and after the journal's first line."""
        return os.path.exists(os.path.join(self.folder(release), "plan.json"))

    def set_aside(self, release: str, found: journal.Salvage, token: Token) -> str:
        """Put a new journal in the damaged one's place, made of what can be read; returns the name of the kept file.

        Raises ActionFailed when it cannot be written: then everything is as it was.
        """
        path = self.journal_path(release)
        entries = [{**entry, "salvaged": True, "token": _believable(entry, token)} for entry in found.entries]
        if not any(entry["event"] == "begun" for entry in entries):
            verdict = self.document(release, "verdict.json") or {}
            told = {"version": str(verdict.get("version", "")), "digest": str(verdict.get("digest", ""))}
            began_with = entries[0]["token"] if entries else token.number
            entries.insert(0, {"event": "begun", **told, "operator": "", "job": "", "host": "", "salvaged": True,
                               "token": began_with})  # fmt: skip
        note = {"event": "damaged", "line": found.line, "unreadable": list(found.unreadable), "sha256": found.sha256,
                "ended": found.ended}  # fmt: skip
        try:
            return os.path.basename(journal.set_aside(path, entries, note=note, token=token.number, clock=self.clock))
        except OSError as problem:
            raise ActionFailed(
                f"The damaged journal {path} cannot be set aside: {problem.strerror}.",
                remedy=f"Make room or give rights in {self.folder(release)}.",
            ) from None

    @contextlib.contextmanager
    def exclusively(self) -> t.Iterator[None]:
        """Nobody else reads or writes lock and token meanwhile."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(os.path.join(self.root, ".mutex"), flags, 0o600)
        except OSError as problem:
            raise ActionFailed(
                f"The state directory {self.root} cannot be used: {problem.strerror}.",
                remedy="Give this user the right to write there, or set golive_state_dir.",
            ) from None
        try:
            self._wait_for(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _wait_for(self, descriptor: int) -> None:
        def taken() -> bool:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        try:
            poll(taken, good=bool, deadline=Deadline(_MUTEX_SECONDS, clock=self.clock), describe=lambda *_unused: "")
        except TimedOut:
            raise Refused(
                f"Another module has been at work in {self.root} for {_MUTEX_SECONDS:g} s, where a moment is enough.",
                remedy=f"See who has it open (fuser {self.root}/.mutex), then try again.",
            ) from None

    def _unreadable(self, path: str) -> ActionFailed:
        return ActionFailed(
            f"{path} cannot be read by this user.", remedy="Run as the user who owns the state directory."
        )

    def _read_json(self, path: str) -> dict[str, t.Any] | None:
        try:
            with open(path, encoding="utf-8") as stream:
                content = json.load(stream)
        except FileNotFoundError:
            return None
        except PermissionError:
            raise self._unreadable(path) from None
        except OSError as problem:
            raise ActionFailed(
                f"{path} cannot be read: {problem.strerror}.", remedy="See to the state host's disk, then try again."
            ) from None
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise UnexpectedAnswer(f"{path} is damaged.", remedy="Look at the journal beside it, then remove the file.")
        return content

    def lock(self) -> dict[str, t.Any] | None:
        """Who holds the system now, or None. Raises UnexpectedAnswer for a lock that does not say who."""
        path = os.path.join(self.root, "lock.json")
        remedy = (
            "Read `status`: end the release that is open with `abort` and its golive_takeover, which writes the lock anew; "
            "remove the file where none is open."
        )
        try:
            lock = self._read_json(path)
        except UnexpectedAnswer as problem:
            raise UnexpectedAnswer(problem.message, remedy=remedy) from None
        if lock is not None and [type(lock.get(name)) for name in ("release", "number", "nonce")] != [str, int, str]:
            raise UnexpectedAnswer(f"{path} does not say who holds the lock.", remedy=remedy)
        return lock

    def document(self, release: str, name: str) -> dict[str, t.Any] | None:
        """``plan.json``, ``rollback_plan.json``, … of a release, or None. Raises UnexpectedAnswer, ActionFailed."""
        try:
            return self._read_json(os.path.join(self.folder(release), name))
        except UnexpectedAnswer as problem:
            raise UnexpectedAnswer(
                problem.message, remedy="Keep it: it is of this release alone. ROLLBACK.md beside it says the way back."
            ) from None

    def write(self, release: str, name: str, content: t.Any) -> None:
        text = (
            content
            if isinstance(content, str)
            else json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        )
        journal.write_whole(os.path.join(self.folder(release), name), text)

    def last_verdict(self) -> dict[str, t.Any] | None:
        return self._read_json(os.path.join(self.root, "verdict.json"))

    def last_judged(self) -> dict[str, t.Any] | None:
        """The newest verdict that was kept, GO or not: what a sign-off is bound to."""
        return self._read_json(os.path.join(self.root, "judged.json"))

    def keep_verdict(self, verdict: t.Mapping[str, t.Any]) -> None:
        """Keep what was judged; a GO also as the last GO, which later thresholds are compared with."""
        text = json.dumps(dict(verdict), sort_keys=True) + "\n"
        journal.write_whole(os.path.join(self.root, "judged.json"), text)
        if verdict.get("decision") in ("GO", "GO WITH WARNINGS"):
            journal.write_whole(os.path.join(self.root, "verdict.json"), text)

    def sign_offs(self) -> list[dict[str, t.Any]]:
        chain = journal.read_chain(os.path.join(self.root, "sign_offs.jsonl"))
        return [dict(entry["sign_off"]) for entry in chain.entries]

    def sign(self, sign_off: t.Mapping[str, t.Any]) -> None:
        path = os.path.join(self.root, "sign_offs.jsonl")
        try:
            journal.append(path, [{"sign_off": dict(sign_off)}], token=0, clock=self.clock)
        except OSError as problem:
            raise ActionFailed(
                f"{path} cannot be written: {problem.strerror}.", remedy=f"Make room or give rights in {self.root}."
            ) from None

    def next_number(self) -> int:
        """The next monotonic token number; call it inside ``exclusively``."""
        path = os.path.join(self.root, "token")
        try:
            with open(path, encoding="ascii") as stream:
                number = int(stream.read())
        except FileNotFoundError:
            number = 0
        except ValueError:
            raise UnexpectedAnswer(
                f"{path} does not hold a number.", remedy="Put one there that is above every journal's token."
            ) from None
        journal.write_whole(path, f"{number + 1}\n")
        return number + 1

    def _identity(self) -> str:
        """Eight digits that tell this record from another of the same name; call it inside ``exclusively``."""
        path = os.path.join(self.root, "identity")
        try:
            with open(path, encoding="ascii") as stream:
                identity = stream.read().strip()
        except FileNotFoundError:
            identity = secrets.token_hex(4)
            journal.write_whole(path, f"{identity}\n")
        if not re.fullmatch(r"[0-9a-f]{8}", identity):
            raise UnexpectedAnswer(f"{path} does not hold eight hexadecimal digits.")
        return identity

    def reserve_room(self) -> None:
        """Take the room that a way back may need. Raises ActionFailed where there is none."""
        path = os.path.join(self.root, "reserve")
        if not os.path.exists(path):
            journal.write_whole(path, "\0" * _RESERVE_OCTETS)

    def give_room_back(self) -> bool:
        """Let a way back write its token, lock and journal, whoever filled the disk; whether there was room to give."""
        try:
            os.unlink(os.path.join(self.root, "reserve"))
        except OSError:  # gone already, or as unwritable as the rest: who writes next says so
            return False
        return True

    def new_id(self) -> str:
        """``r20261122T010203-5e1f``, unique among the system's releases; call it inside ``exclusively``.

        The record's own digits keep it apart from a release of another record, which begins in the same second: the id
        marks databases, flags and files on hosts that both may use.
        """
        base = f"r{self.clock.now().strftime('%Y%m%dT%H%M%S')}-{self._identity()[:4]}"
        candidate, count = base, 1
        while os.path.exists(self.folder(candidate)):
            count += 1
            candidate = f"{base}-{count}"
        return candidate

    def take(self, release: str, *, owner: t.Mapping[str, t.Any], version: str) -> Token:
        """Write the lock with a fresh token; call it inside ``exclusively``."""
        token = Token(self.system, release, self.next_number(), self._identity() + secrets.token_hex(4))
        note = {**owner, "release": release, "version": version, "number": token.number, "nonce": token.nonce,
                "taken": utc_text(self.clock.now())}  # fmt: skip
        journal.write_whole(os.path.join(self.root, "lock.json"), json.dumps(note, sort_keys=True) + "\n")
        return token

    def free(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.root, "lock.json"))

    def never_began(self, lock: t.Mapping[str, t.Any]) -> bool:
        """Whether the lock's release wrote no journal: it was killed, or is at it this moment. Nothing was changed then."""
        return not self.chain(lock["release"]).entries

    def standing_lock(self) -> dict[str, t.Any] | None:
        """The lock, unless it says nothing any more: its release never began, or its run ended it and died before it let go."""
        lock = self.lock()
        if lock is None:
            return None
        entries = self.chain(lock["release"]).entries
        if not entries:
            return None
        last = entries[-1]
        has_ended = last["event"] == "ended" and last["outcome"] != "left_on" and last["token"] == lock["number"]
        return None if has_ended else lock

    def discard(self, release: str) -> None:
        """Give back the lock and the folder of a release that did not begin."""
        self.free()
        shutil.rmtree(self.folder(release), ignore_errors=True)

    def verify(self, token: Token) -> None:
        """Raise Refused unless this token holds the system's lock now, and ActionFailed where the record is gone."""
        held = self.lock()
        if token.system != self.system:
            raise BadInput(f"The token is of system {token.system}, not {self.system}.")
        if held is None or held["number"] != token.number or held["nonce"] != token.nonce:
            if not os.path.isdir(self.root):
                raise ActionFailed(
                    f"The record of {self.system} is gone: there is no {self.root}.",
                    remedy="See to the state host's disk; this run must end.",
                )
            owner = f"release {held['release']} holds it" if held else "nobody holds it"
            if held and held["release"] == token.release and held["number"] != token.number:
                owner = f"another run has taken its release over (token {held['number']}, its own is {token.number})"
            raise Refused(
                f"This run no longer holds the lock of {self.system}: {owner}.",
                remedy="Read `status`; this run must end.",
            )

    def described_lock(self, lock: t.Mapping[str, t.Any]) -> str:
        """Owner, job and the journal's last sign of life; whether its run is dead is for a person to say."""
        chain = self.chain(lock["release"])
        last = chain.entries[-1]["at"] if chain.entries else lock["taken"]
        idle = (self.clock.now() - parse_utc(last)).total_seconds()
        job = f", job {lock['job']}" if lock.get("job") else ""
        return (
            f"release {lock['release']} of {self.system} {lock['version']} holds the lock (operator {lock.get('operator') or 'unknown'}"
            f"{job}); its journal was last written {idle:.0f} s ago, at {last}"
        )

    def releases(self) -> list[str]:
        """Ids of all releases that began, oldest first; a folder without a journal is what a kill while beginning left.

        Tokens order them: they only grow, and a clock may have been ahead.
        """
        try:
            names = os.listdir(os.path.join(self.root, "releases"))
        except FileNotFoundError:
            return []
        began = [(self._began_with(name), name) for name in names if is_name(name)]
        return [name for number, name in sorted(began) if number]

    def _began_with(self, release: str) -> float:
        """The token that a release began with; 0 for one that did not begin, infinity for one that nobody can place."""
        line = journal.first_line(self.journal_path(release))
        if line is None:
            return math.inf if self._was_planned(release) else 0
        number = line.get("token")
        return number if isinstance(number, int) and number > 0 else math.inf

    def open_without_lock(self) -> str | None:
        """A release that has not ended though nobody holds the lock, as where lock.json was lost; only the newest can be."""
        if self.lock() is not None:
            return None
        for release in self.releases()[-1:]:
            try:
                last = self.chain(release).entries[-1]
            except UnexpectedAnswer:  # the lock is gone, as after an end; more is not to be known
                return None
            if last["event"] != "ended" or last["outcome"] == "left_on":
                return release
        return None

    def _live(self) -> t.Iterator[tuple[str, tuple[journal.Entry, ...]]]:
        """Releases that ended live with their journals, newest first; of a damaged one nobody can say how it ended."""
        for release in reversed(self.releases()):
            try:
                entries = self.chain(release).entries
            except UnexpectedAnswer:
                continue
            if entries and entries[-1].get("outcome") == "live":
                yield release, entries

    def serving(self) -> dict[str, t.Any] | None:
        """What this record says is live: ``release``, ``version``, ``since``, ``artefacts``; None where it says nothing."""
        for release, entries in self._live():
            verdict = self.document(release, "verdict.json") or {}
            artefacts = (verdict.get("subject") or {}).get("artefacts") or {}
            return {"release": release, "version": entries[0].get("version"), "since": entries[-1]["at"],
                    "artefacts": artefacts}  # fmt: skip
        return None

    def history(self) -> dict[str, float]:
        """Seconds of each step in the newest release that went live."""
        for _release, entries in self._live():
            done = [step for step in steps_of(entries) if step["status"] == "done"]
            return {step["name"]: step["seconds"] for step in done if step["seconds"] is not None}
        return {}


def _refuse_what_others_change(path: str) -> None:
    """Raise Refused for a folder of another user than root, and for one that everybody may write into."""
    seen = os.stat(path)
    if seen.st_uid not in (0, os.geteuid()):
        raise Refused(
            f"{path} keeps the way back, and belongs to uid {seen.st_uid}, while this run is uid {os.geteuid()}.",
            remedy=f"Run as that user, or look at what is in it and chown it: chown -R {os.geteuid()} {path}.",
        )
    if seen.st_mode & stat.S_IWOTH and not seen.st_mode & stat.S_ISVTX:
        raise Refused(
            f"{path} keeps the way back, and everybody may write into it.",
            remedy=f"Look at what is in it, then: chmod o-w {path}.",
        )


def _believable(entry: journal.Entry, token: Token) -> int:
    """The token that a salvaged line names; none is above the one that salvages it."""
    named = entry.get("token")
    return named if isinstance(named, int) and 0 < named < token.number else token.number


def steps_of(entries: t.Sequence[journal.Entry]) -> list[dict[str, t.Any]]:
    """The steps as the journal tells them: name, status, started, seconds, known.

    ``seconds`` is None of an open one, and where the clock was set back meanwhile.
    """
    steps: list[dict[str, t.Any]] = []
    for entry in entries:
        if entry["event"] == "step_started":
            steps.append({"name": entry["step"], "title": entry.get("title", ""), "status": "open", "started": entry["at"],
                          "seconds": None, "direction": entry.get("direction", "forward"), "detail": "", "known": {}})  # fmt: skip
        elif entry["event"] == "step_ended":
            for step in reversed(steps):
                if step["name"] == entry["step"] and step["status"] == "open":
                    elapsed = (parse_utc(entry["at"]) - parse_utc(step["started"])).total_seconds()
                    step.update(status=entry["status"], seconds=round(elapsed, 3) if elapsed >= 0 else None,
                                detail=entry.get("detail", ""), known=entry.get("known", {}))  # fmt: skip
                    break
    return steps


def measured_from(entries: t.Sequence[journal.Entry]) -> str | None:
    """From when on the probe was there: it starts before the plan is written."""
    known = [entry["at"] for entry in entries if entry["event"] == "planned"] or [entry["at"] for entry in entries]
    return str(known[0]) if known else None


def maintenance_windows(entries: t.Sequence[journal.Entry]) -> list[dict[str, str]]:
    """From maintenance proven on until it may end, as ``since`` and ``until``; no ``until`` while it is on."""
    windows: list[dict[str, str]] = []
    for entry in entries:
        is_on = bool(windows) and "until" not in windows[-1]
        if entry["event"] == "step_ended" and entry["step"] in ("maintenance_on", "back_maintenance"):
            if entry["status"] == "done" and not is_on:
                windows.append({"since": entry["at"]})
        elif entry["event"] == "step_started" and entry["step"] in ("traffic", "back_traffic") and is_on:
            windows[-1]["until"] = entry["at"]
    return windows
