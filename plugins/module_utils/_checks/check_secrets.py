# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a git repository: is there a secret in what it tracks, or in what it once tracked? Where is told, and never what."""

from __future__ import annotations

import dataclasses
import datetime
import fnmatch
import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import git_history
from ansible_collections.opsready.golive.plugins.module_utils._clients.git import Git, top_of
from ansible_collections.opsready.golive.plugins.module_utils._clients.secret_engine import (
    Found,
    Searched,
    Text,
    search,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import read_whole, text_of
from ansible_collections.opsready.golive.plugins.module_utils._clients.yaml_documents import read_documents
from ansible_collections.opsready.golive.plugins.module_utils._core import units
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec, validated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.sensitive_text import forms_of

NAME = "check_secrets"

ARGUMENT_SPEC: Spec = {
    "path": {"type": "path", "required": True},
    "trusted_owner": {"type": "str"},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "ignored_rules": {"type": "list", "elements": "str", "default": []},
    "accepted_file": {"type": "path"},
    "history": {
        "type": "dict",
        "options": {"after": {"type": "str"}, "max_commits": {"type": "int", "default": 1000}},
    },
    "max_file_size": {"type": "str", "default": "1MiB"},
}
CONSTRAINTS: Constraints = {}

#: Of an accepted secret.
_ACCEPTED: Spec = {
    name: {"type": "str", "required": True} for name in ("path", "rule", "match", "owner", "reason", "expires")
}
#: What the engine has no rule for, or only one that needs a whole file.
_FORMS = ("private key", "GitLab token", "Google API key")
_MOST_SIZE = 16 * 2**20
_MOST_ACCEPTED = 2**20
_SHOWN = 10
_REMEDY = (
    "Revoke it where it is valid and take it out of the file, or accept it in accepted_file, with an owner and an end."
)


@dataclasses.dataclass(frozen=True)
class Files:
    """The tracked files: those that were searched, and why the others were not."""

    searched: int
    found: tuple[Found, ...]
    #: In files that hold very many, so many more were only counted.
    more: int = 0
    #: Name and reason.
    unreadable: tuple[tuple[str, str], ...] = ()
    binaries: tuple[str, ...] = ()
    excluded: int = 0
    #: For these there was no time.
    unread: int = 0


@dataclasses.dataclass(frozen=True)
class History:
    """The commits, of which so many were searched, and why the others were not."""

    commits: int
    searched: int
    found: tuple[Found, ...]
    more: int = 0
    binaries: int = 0
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Accepted:
    """An entry of the file of accepted secrets."""

    key: tuple[str, str, str]
    owner: str
    expires: datetime.datetime


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was found in the files and, where it was asked for, in the history, and what is accepted."""

    top: str
    files: Files
    history: History | None
    accepted: tuple[Accepted, ...]
    now: datetime.datetime
    limit_seconds: float


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    if not 0 < units.size_bytes(params["max_file_size"], option="max_file_size") <= _MOST_SIZE:
        raise BadInput(f"max_file_size is {params['max_file_size']}, expected at most 16MiB.")
    history = params.get("history")
    if history is not None and history["max_commits"] < 1:
        raise BadInput(f"history: max_commits is {history['max_commits']}, expected at least 1.")


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Search the files and commits, once for all items. Raises the errors of Git, BadInput, MissingLibrary, TimedOut."""
    _refuse_unusable(params)
    require("detect_secrets")
    accepted = tuple(_accepted(params["accepted_file"], run.deadline)) if params.get("accepted_file") else ()
    top = top_of(params["path"])
    git = Git(top, deadline=run.deadline, trusted_owner=params.get("trusted_owner"))
    look = _Look(git, params["exclude"], params["ignored_rules"], run.deadline)
    key = (NAME, top, params.get("trusted_owner"), tuple(params["exclude"]), tuple(params["ignored_rules"]))
    max_bytes = units.size_bytes(params["max_file_size"], option="max_file_size")
    files = _once(run, (*key, max_bytes), lambda: look.at_files(max_bytes), lambda made: made.unread > 0)
    history = None
    if params.get("history") is not None:
        after, most = params["history"].get("after"), params["history"]["max_commits"]
        history = _once(
            run, (*key, "history", after, most), lambda: look.at_history(after, most), lambda made: bool(made.problem)
        )
    return Facts(top, files, history, accepted, run.clock.now(), run.deadline.seconds)


Seen = t.TypeVar("Seen")


def _once(run: Run, key: tuple[t.Any, ...], look: t.Callable[[], Seen], was_cut: t.Callable[[Seen], bool]) -> Seen:
    """What all items share; what this one's time cut short is its answer alone. Raises TimedOut."""

    def whole() -> Seen:
        seen = look()
        if was_cut(seen):
            raise TimedOut("The search was cut short.", known={"seen": seen})
        return seen

    try:
        return run.once(key, whole)
    except TimedOut as problem:
        if "seen" not in problem.known:
            raise
        return t.cast(Seen, problem.known["seen"])


def _accepted(path: str, deadline: Deadline) -> t.Iterator[Accepted]:
    """The entries of that file. Raises Unreachable, Denied, UnexpectedAnswer, and BadInput naming the entry."""
    name = os.path.basename(path)
    text = text_of(read_whole(path, max_bytes=_MOST_ACCEPTED).octets)
    documents = read_documents(text, where=name, deadline=deadline)
    content = documents[0].content if len(documents) == 1 else None
    entries = content.get("accepted") if isinstance(content, dict) and set(content) == {"accepted"} else None
    if not isinstance(entries, list):
        raise UnexpectedAnswer(f"{name} does not say what is accepted: expected one list, accepted.")
    for number, entry in enumerate(entries, 1):
        where = f"{name}: accepted {number}"
        if not isinstance(entry, dict):
            raise BadInput(f"{where} is no mapping.")
        told = validated(_ACCEPTED, entry, where=where)
        empty = [key for key, value in told.items() if not value.strip()]
        if empty:
            raise BadInput(f"{where}: {', '.join(empty)} is empty.")
        expires = units.moment_of(told["expires"], option=f"{where}: expires")
        yield Accepted((told["path"], told["rule"], told["match"]), told["owner"], expires)


class _Look:
    """One repository, searched with one set of options until one deadline."""

    def __init__(self, git: Git, excluded: t.Sequence[str], ignored: t.Sequence[str], deadline: Deadline) -> None:
        self._git = git
        self._excluded = excluded
        self._ignored = ignored
        self._deadline = deadline

    def _search(self, texts: t.Iterable[Text]) -> Searched:
        return search(texts, forms=forms_of(_FORMS), ignored=self._ignored, deadline=self._deadline)

    def _is_excluded(self, path: str) -> bool:
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self._excluded)

    def at_files(self, max_bytes: int) -> Files:
        """The files that git tracks, as they lie in the working tree."""
        entries = self._git.lines("ls-files", "--stage", "-z", separator="\0")
        # A link holds no text (mode 120000), and a submodule is a repository of its own (160000).
        tracked = dict.fromkeys(entry.partition("\t")[2] for entry in entries if entry.startswith("100"))
        names = [name for name in tracked if not self._is_excluded(name)]
        unreadable: list[tuple[str, str]] = []
        binaries: list[str] = []

        def texts() -> t.Iterator[Text]:
            for name in names:
                if self._deadline.expired():
                    return
                try:
                    text = text_of(read_whole(os.path.join(self._git.top, name), max_bytes=max_bytes).octets)
                except GoliveError as problem:
                    unreadable.append((name, problem.message.rstrip(".")))
                    continue
                if "\0" in text:
                    binaries.append(name)
                else:
                    yield Text(name, "", list(enumerate(text.split("\n"), 1)))

        searched = self._search(texts())
        return Files(
            searched=searched.texts,
            found=searched.found,
            more=searched.more,
            unreadable=tuple(unreadable),
            binaries=tuple(binaries),
            excluded=len(tracked) - len(names),
            unread=len(names) - searched.texts - len(unreadable) - len(binaries),
        )

    def at_history(self, after: str | None, most: int) -> History:
        """The lines that commits added, newest commit first."""
        commits = searched = more = binaries = 0
        found: dict[tuple[str, str, str], Found] = {}
        problem = ""
        try:
            left_out = self._git.commit_of(after) if after is not None else None
            if after is not None and left_out is None:
                raise BadInput(f"history: after is {after!r}, which is no commit or tag of {self._git.top}.")
            listed = git_history.commits(self._git, left_out=left_out)
            commits = len(listed)
            for count, added in git_history.added_by(self._git, listed[:most]):
                binaries += sum(each.is_binary for each in added)
                texts = [Text(each.path, each.commit, each.lines) for each in added if not self._is_excluded(each.path)]
                seen = self._search(texts)
                # Newest first, so the commit that is kept is the one that brought it in.
                found.update({each.key: each for each in seen.found})
                more += seen.more
                if seen.texts < len(texts):
                    problem = f"it did not end within {self._deadline.seconds:g} s"
                    break
                searched += count
            if not problem and self._git.line("rev-parse", "--is-shallow-repository") == "true":
                problem = "the repository is shallow, and the commits before are not here"
        except (TimedOut, UnexpectedAnswer) as cut:
            problem = cut.message.rstrip(".")
        return History(commits, searched, tuple(found.values()), more, binaries, problem)


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """What was found and is not accepted, and whether all was looked at that was to be."""
    files, history = facts.files, facts.history
    yield from _judge_found("secrets in tracked files", files.found, files.more, facts)
    if not files.searched:
        yield unknown(
            "files searched",
            f"no tracked file of {facts.top} was searched, so nothing is known",
            remedy="Look at exclude and at git ls-files: nothing was left to be searched.",
        )
    else:
        yield holds("files searched", True, measured=files.searched, expected="at least 1")
    if files.unread:
        total = files.unread + files.searched + len(files.unreadable) + len(files.binaries)
        yield unknown(
            "files in time",
            f"after {facts.limit_seconds:g} s {files.unread} of {total} tracked files were not read",
            remedy="Raise timeout, or exclude what somebody else wrote.",
        )
    if files.unreadable:
        yield unknown(
            "files read",
            f"{len(files.unreadable)} tracked files were not read: {_some([reason for _name, reason in files.unreadable])}",
            remedy="Exclude those that nobody has to judge, or raise max_file_size.",
        )
    if history is not None:
        kept = {each.key for each in files.found}
        only_there = [each for each in history.found if each.key not in kept]
        yield from _judge_found("secrets in the history", only_there, history.more, facts)
        counted = f"{history.searched} of {history.commits} commits"
        if history.problem or history.searched < history.commits:
            why = history.problem or f"max_commits is {params['history']['max_commits']}"
            yield unknown(
                "history", f"{counted} were searched: {why}", remedy="Raise max_commits or timeout, or give after."
            )
        else:
            yield holds("history", True, measured=counted, expected="all")


def _judge_found(name: str, found: t.Sequence[Found], more: int, facts: Facts) -> t.Iterator[Criterion]:
    ends = {entry.key: entry for entry in facts.accepted}
    unaccepted = [each for each in found if each.key not in ends]
    expired = [each for each in found if each.key in ends and ends[each.key].expires <= facts.now]
    count = len(unaccepted) + more
    yield holds(
        name,
        not count,
        measured=count,
        expected="none",
        sentence=f"{count} {name}: {_some([str(each) for each in unaccepted], count)}",
        remedy=_REMEDY,
    )
    if expired:
        told = [f"{each} until {ends[each.key].expires:%Y-%m-%d %H:%M} by {ends[each.key].owner}" for each in expired]
        yield holds(
            f"{name}, accepted",
            False,
            measured=len(expired),
            expected="not expired",
            sentence=f"{len(expired)} {name} were accepted for a time that is over: {_some(told)}",
            remedy=_REMEDY,
        )


def _some(said: t.Sequence[str], count: int | None = None) -> str:
    total = len(said) if count is None else count
    more = f" and {total - _SHOWN} more" if total > _SHOWN else ""
    return ", ".join(each[:300] for each in said[:_SHOWN]) + more


def evidence(facts: Facts) -> dict[str, t.Any]:
    """Path, line, rule and hash of each, which of them are accepted, and what was looked at."""
    files, history = facts.files, facts.history
    ends = {entry.key: entry for entry in facts.accepted}

    def told(found: t.Iterable[Found]) -> list[dict[str, t.Any]]:
        return [
            {
                **dataclasses.asdict(each),
                "accepted_until": ends[each.key].expires.isoformat() if each.key in ends else None,
            }
            for each in found
        ]

    seen = {each.key for each in (*files.found, *(history.found if history else ()))}
    return {
        "path": facts.top,
        "files_searched": files.searched,
        "found": told(files.found),
        "unreadable": dict(files.unreadable),
        "binaries": list(files.binaries),
        "excluded": files.excluded,
        "unread": files.unread,
        "history": {
            "commits": history.commits,
            "searched": history.searched,
            "binaries": history.binaries,
            "found": told(history.found),
        }
        if history
        else None,
        "accepted_unused": [" ".join(entry.key) for entry in facts.accepted if entry.key not in seen],
    }
