# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a git working tree: is it clean, at the released commit, tagged, on the branch, and known to the remote?"""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients.git import (
    COMMIT,
    Git,
    changes_of,
    describe_ended,
    hidden_of,
    in_progress,
    refuse_no_name,
    secrets_of_url,
    top_of,
    without_userinfo,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    TimedOut,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, one_of, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

NAME = "check_vcs"

ARGUMENT_SPEC: Spec = {
    "path": {"type": "path", "required": True},
    "trusted_owner": {"type": "str"},
    "clean": {"type": "bool", "default": True},
    "untracked": {"type": "str", "choices": ["refused", "ignored"], "default": "refused"},
    "commit": {"type": "str"},
    "tag": {"type": "str"},
    "branch": {"type": "str"},
    "pushed": {"type": "bool", "default": False},
    "remote": {"type": "str", "default": "origin"},
    "ca_file": {"type": "path"},
    "signature": {
        "type": "dict",
        "options": {
            "allowed_signers": {"type": "path"},
            "fingerprints": {"type": "list", "elements": "str"},
        },
        "required_one_of": [["allowed_signers", "fingerprints"]],
    },
}
CONSTRAINTS: Constraints = {"required_by": {"signature": ["tag"]}}

_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Remote:
    """What the remote says; ``problem`` where it says nothing."""

    url: str
    problem: str = ""
    branch_tip: str | None = None
    #: Whether the remote's branch holds the commit; None where that cannot be told here.
    holds_commit: bool | None = None
    #: The remote's tag itself, and the commit that it means.
    tag: str | None = None
    tag_commit: str | None = None


@dataclasses.dataclass(frozen=True)
class Signature:
    """Whether the tag's signature is good, and by which keys it is."""

    is_good: bool
    keys: tuple[str, ...] = ()
    is_ssh: bool = False
    #: What git said where it is not good.
    said: str = ""


@dataclasses.dataclass(frozen=True)
class Facts:
    """The working tree as git sees it, or why it cannot be seen."""

    top: str = ""
    head: str = ""
    #: The branch that is checked out; empty when none is.
    checked_out: str = ""
    changes: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    #: Files whose changes git was told not to see.
    hidden: tuple[str, ...] = ()
    in_progress: tuple[str, ...] = ()
    is_shallow: bool = False
    tag: str | None = None
    tag_commit: str | None = None
    #: The branch by which names it is known here, and whether it holds the commit.
    branch_names: tuple[str, ...] = ()
    is_on_branch: bool | None = None
    remote: Remote | None = None
    signature: Signature | None = None


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    if params.get("commit") is not None and not COMMIT.fullmatch(params["commit"].strip().lower()):
        raise BadInput(f"commit is {params['commit']!r}, expected a whole commit id: 40 or 64 hexadecimal digits.")
    for option in ("tag", "branch", "remote"):
        if params.get(option) is not None:
            refuse_no_name(params[option], option=option)
    if params["pushed"] and not params.get("branch") and not params.get("tag"):
        raise BadInput("pushed needs branch or tag: what is to be known to the remote?")
    if not params["clean"] and not any(params.get(option) for option in ("commit", "tag", "branch")):
        raise BadInput("clean is false and neither commit, tag nor branch is given, so nothing would be judged.")
    if (params.get("signature") or {}).get("fingerprints") == []:
        raise BadInput("signature.fingerprints is empty, so nobody could have signed.")


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Ask git, once for all items about this tree. Raises BadInput, Unreachable, Denied, MissingLibrary, TimedOut."""
    _refuse_unusable(params)
    top = top_of(params["path"])
    git = Git(
        top,
        deadline=run.deadline,
        trusted_owner=params.get("trusted_owner"),
        ca_file=params.get("ca_file"),
        once=run.once,
    )
    git.require_tree()
    head = git.commit_of("HEAD")
    if head is None:
        raise Unreachable(f"{top} has no commit.")
    changes, untracked = changes_of(git)
    tag, branch = params.get("tag"), params.get("branch")
    names = _branch_names(git, branch, params["remote"]) if branch else []
    held = [git.is_ancestor(head, name) for name in names]
    return Facts(
        top=top,
        head=head,
        checked_out=git.line("symbolic-ref", "--quiet", "--short", "HEAD") or "",
        changes=tuple(changes),
        untracked=tuple(untracked),
        hidden=tuple(hidden_of(git)) if params["clean"] else (),
        in_progress=in_progress(git),
        is_shallow=git.line("rev-parse", "--is-shallow-repository") == "true",
        tag=git.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"refs/tags/{tag}") if tag else None,
        tag_commit=git.commit_of(f"refs/tags/{tag}") if tag else None,
        branch_names=tuple(name.partition("/")[2] for name in names),
        is_on_branch=True if True in held else (None if None in held or not held else False),
        remote=_remote(git, params, head, run) if params["pushed"] else None,
        signature=_signature(git, params) if params.get("signature") else None,
    )


def _branch_names(git: Git, branch: str, remote: str) -> list[str]:
    names = (f"refs/heads/{branch}", f"refs/remotes/{remote}/{branch}")
    return [name for name in names if git.commit_of(name) is not None]


def _remote(git: Git, params: t.Mapping[str, t.Any], head: str, run: Run) -> Remote:
    remote, branch, tag = params["remote"], params.get("branch"), params.get("tag")
    url = git.line("remote", "get-url", "--", remote)
    if not url:
        return Remote("", problem=f"there is no remote {remote}")
    run.scrub.learn(secrets_of_url(url))
    shown = without_userinfo(url)
    wanted = [f"refs/heads/{branch}"] if branch else []
    wanted += [f"refs/tags/{tag}", f"refs/tags/{tag}^{{}}"] if tag else []
    try:
        ended = git.ask("ls-remote", "--upload-pack=git-upload-pack", "--", remote, *wanted)
    except TimedOut:
        return Remote(shown, problem=f"{shown} did not answer within {run.deadline.seconds:g} s")
    except GoliveError as problem:
        return Remote(shown, problem=problem.message.rstrip("."))
    if ended.returncode:
        return Remote(shown, problem=f"{shown} did not answer: {without_userinfo(describe_ended(ended))}")
    # Patterns of ls-remote match the ends of names, so each is looked up by its whole name.
    split = (line.partition("\t") for line in ended.stdout.text.splitlines())
    listed = {name: identity for identity, _tab, name in split}
    tip = listed.get(f"refs/heads/{branch}")
    known = tip is not None and git.commit_of(tip) is not None
    holds_commit = None
    if tip is not None:
        holds_commit = True if tip == head else (git.is_ancestor(head, tip) if known else None)
    tag_itself = listed.get(f"refs/tags/{tag}")
    return Remote(
        shown,
        branch_tip=tip,
        holds_commit=holds_commit,
        tag=tag_itself,
        tag_commit=listed.get(f"refs/tags/{tag}^{{}}", tag_itself),
    )


def _signature(git: Git, params: t.Mapping[str, t.Any]) -> Signature:
    options = params["signature"]
    # Always set, or the repository's own configuration would say whom to trust.
    signers = options.get("allowed_signers") or os.devnull
    ended = git.ask(
        "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-tag", "--raw", "--", f"refs/tags/{params['tag']}"
    )
    said = ended.stdout.text + ended.stderr.text
    by_gpg = [key for line in re.findall(r"^\[GNUPG:\] VALIDSIG (.+)$", said, re.MULTILINE) for key in _keys_of(line)]
    by_ssh = re.findall(r"^Good \"git\" signature .*\b(SHA256:[A-Za-z0-9+/=]+)", said, re.MULTILINE)
    # Without allowed signers git accepts nobody; of a signature that is right the fingerprint then decides alone.
    is_good = ended.returncode == 0 if options.get("allowed_signers") or not by_ssh else True
    return Signature(
        is_good=is_good and bool(by_gpg or by_ssh),
        keys=tuple(dict.fromkeys([*by_gpg, *by_ssh])),
        is_ssh=bool(by_ssh),
        said=_what_is_wrong(said),
    )


def _keys_of(line: str) -> list[str]:
    """The fingerprints of the key that signed and of its primary key, the first and last word of gpg's line."""
    words = line.split()
    return [words[0], words[-1]]


def _what_is_wrong(said: str) -> str:
    known = {
        "no signature found": "it is not signed",
        "NO_PUBKEY": "the key is not on this host",
        "EXPKEYSIG": "the key has expired",
        "EXPSIG": "the signature has expired",
        "REVKEYSIG": "the key was revoked",
        "BADSIG": "the signature does not belong to this tag",
        "No principal matched": "the key is not among the allowed signers",
        "Could not verify signature": "the signature does not belong to this tag",
        "cannot run": "the program that verifies it is not on this host",
    }
    return next(
        (words for mark, words in known.items() if mark in said),
        beginning_of((said.strip().splitlines() or ["no answer"])[-1], 200),
    )


#: Reasons for which nothing was found out about a signature.
_NOT_TOLD = ("the key is not on this host", "the program that verifies it")


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """The tree, the commit, the tag with its signature, the branch, the remote."""
    short = facts.head[:12]
    if params["clean"]:
        yield from _judge_clean(facts, params)
    if params.get("commit"):
        yield holds(
            "commit",
            facts.head == params["commit"].strip().lower(),
            measured=facts.head,
            expected=params["commit"],
            sentence=f"{facts.top} is at commit {short}, expected {params['commit'][:12]}",
            remedy=f"git -C {facts.top} checkout {params['commit'].strip()}, or release the commit that is there.",
        )
    if params.get("tag"):
        yield _judge_tag(facts, params["tag"])
    if facts.signature is not None and facts.tag_commit is not None:
        yield _judge_signature(facts.signature, params)
    if params.get("branch"):
        yield _judge_branch(facts, params)
    if facts.remote is not None:
        yield from _judge_pushed(facts, facts.remote, params)


def _judge_clean(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    found = {"changed": facts.changes, "changed out of git's sight": facts.hidden}
    if params["untracked"] == "refused":
        found["unknown to git"] = facts.untracked
    said = "; ".join(f"{len(names)} {what} ({_some(names)})" for what, names in found.items() if names)
    yield holds(
        "clean tree",
        not said,
        measured=said or "clean",
        expected="clean",
        sentence=f"{facts.top} is not clean: {said}",
        remedy="Commit what belongs to the release, and remove the rest."
        + (" See git update-index --no-assume-unchanged and --no-skip-worktree." if facts.hidden else ""),
    )
    if facts.in_progress:
        yield holds(
            "git at rest",
            False,
            measured=", ".join(facts.in_progress),
            expected="nothing in progress",
            sentence=f"{facts.top} is in the middle of {', '.join(facts.in_progress)}",
            remedy=f"git -C {facts.top} status says how to end or to abort it.",
        )


def _some(names: t.Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name[:100] for name in names[:_SHOWN]) + more


def _judge_tag(facts: Facts, tag: str) -> Criterion:
    measured = facts.tag_commit[:12] if facts.tag_commit else "absent"
    sentence = f"the tag {tag} means commit {measured}, and {facts.head[:12]} is checked out"
    return holds(
        f"tag {tag}",
        facts.tag_commit == facts.head,
        measured=measured,
        expected=facts.head[:12],
        sentence=sentence if facts.tag_commit else f"there is no tag {tag} in {facts.top}",
        remedy="" if facts.tag_commit else "Fetch the tags, or make it.",
    )


def _judge_signature(signature: Signature, params: t.Mapping[str, t.Any]) -> Criterion:
    name, options = f"signature of {params['tag']}", params["signature"]
    if not signature.is_good:
        sentence = f"{name} is not good: {signature.said}"
        if signature.said.startswith(_NOT_TOLD):
            return unknown(name, sentence)
        return holds(name, False, measured=signature.said, expected="good", sentence=sentence)
    wanted = [_plain_key(key) for key in options.get("fingerprints") or ()]
    by = signature.keys[0]
    if not wanted and not signature.is_ssh:
        return unknown(
            name, f"{name} is by {by}, and nobody said whose key that is", remedy="Name the key in fingerprints."
        )
    good = not wanted or any(_plain_key(key) in wanted for key in signature.keys)
    return holds(
        name,
        good,
        measured=by,
        expected="by a known key",
        sentence=f"{name} is by {by}, which is not among fingerprints",
        remedy="Let one of the known signers sign it, or add the fingerprint once it is known whose it is.",
    )


def _plain_key(key: str) -> str:
    """SSH's fingerprints are told apart by case, OpenPGP's are not and may be written in groups."""
    key = key.strip()
    return key.rstrip("=") if key.startswith("SHA256:") else re.sub(r"\s", "", key).upper()


def _judge_branch(facts: Facts, params: t.Mapping[str, t.Any]) -> Criterion:
    branch = params["branch"]
    name = f"commit on {branch}"
    if not facts.branch_names:
        return unknown(name, f"there is no branch {branch} in {facts.top}", remedy="Fetch it.")
    return holds(
        name,
        facts.is_on_branch,
        measured="on it" if facts.is_on_branch else "not on it",
        expected="on it",
        sentence=f"the history in {facts.top} is cut off, so whether {branch} holds {facts.head[:12]} cannot be told"
        if facts.is_on_branch is None
        else f"commit {facts.head[:12]} is not on branch {branch}",
        remedy="git fetch --unshallow" if facts.is_on_branch is None else "",
    )


def _judge_pushed(facts: Facts, remote: Remote, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    short, branch, tag = facts.head[:12], params.get("branch"), params.get("tag")
    if remote.problem:
        yield unknown("pushed", f"what is pushed cannot be told: {remote.problem}")
        return
    if branch:
        name, tip = f"{branch} of the remote", remote.branch_tip
        if tip is None:
            yield holds(
                name,
                False,
                measured="absent",
                expected=f"holds {short}",
                sentence=f"{remote.url} has no branch {branch}",
                remedy=f"git push {remote.url} {branch}.",
            )
        elif remote.holds_commit is None:
            yield unknown(
                name,
                f"{branch} of {remote.url} is at {tip[:12]}, whose history is not here, so whether it holds {short} cannot be told",
                remedy="git fetch",
            )
        else:
            yield holds(
                name,
                remote.holds_commit,
                measured=tip[:12],
                expected=f"holds {short}",
                sentence=f"commit {short} is not on {branch} of {remote.url}, which is at {tip[:12]}",
                remedy="Push it.",
            )
    if tag:
        there, here = (remote.tag or "absent")[:12], (facts.tag or "absent")[:12]
        yield dataclasses.replace(
            one_of(
                f"tag {tag} of the remote",
                there,
                [here if facts.tag else "the one of this tree"],
                remedy=f"Push the tag: git push {remote.url} refs/tags/{tag}; a tag that is another one there was moved, so ask who did.",
            ),
            sentence=f"the tag {tag} is {there} in {remote.url} and {here} in {facts.top}",
        )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """Commit, branch, tag and remote, and the first files that are not as committed."""
    return {
        "path": facts.top,
        "commit": facts.head,
        "checked_out": facts.checked_out or "no branch",
        "changed": list(facts.changes[:20]),
        "untracked": list(facts.untracked[:20]),
        "hidden": list(facts.hidden[:20]),
        "is_shallow": facts.is_shallow,
        "tag": {"object": facts.tag, "commit": facts.tag_commit, "is_annotated": facts.tag != facts.tag_commit}
        if facts.tag
        else None,
        "remote": dataclasses.asdict(facts.remote) if facts.remote else None,
        "signature": dataclasses.asdict(facts.signature) if facts.signature else None,
    }
