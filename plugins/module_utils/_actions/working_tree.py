# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of an application as commits of one git working tree, which its services run from: noted, switched, come back to.

Nothing is fetched, and nothing that git does not know is thrown away: a tree that is not clean is refused, not reset.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.service_managers import Deployed
from ansible_collections.opsready.golive.plugins.module_utils._clients import docker, git
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Denied,
    Refused,
)

_SHOWN = 5


class WorkingTree:
    """One working tree; ``version`` is a tag or a whole commit id, which ``commit`` holds it to. Raises BadInput, Denied, Unreachable."""

    def __init__(self, options: t.Mapping[str, t.Any], *, deadline: Deadline) -> None:
        self.path = git.top_of(options["path"])
        self.version: str | None = options["version"]
        self._commit = (options["commit"] or "").strip().lower()
        if self._commit and not git.COMMIT.fullmatch(self._commit):
            raise BadInput("working_tree.commit is no whole commit id: 40 or 64 hexadecimal digits.")
        if self.version is not None:
            git.refuse_no_name(self.version, option="working_tree.version")
        self._ignores_untracked = options["untracked"] == "ignored"
        self._engine = options["docker"]
        self._deadline = deadline
        self._git = git.Git(self.path, deadline=deadline)
        try:
            self._git.require_tree()
            #: Where it was when this call began.
            self.began_at = self.head()
        except Denied as problem:
            raise Denied(problem.message, remedy="Run the task as the owner of the tree: become_user.")

    # -- what is there

    def head(self) -> str:
        """The commit that is checked out. Raises Refused where there is none."""
        commit = self._git.commit_of("HEAD")
        if commit is None:
            raise Refused(f"{self.path} has no commit.")
        return commit

    def not_clean(self) -> str:
        """What stands in the tree that its commit does not have, in words; empty where it is clean."""
        changes, untracked = git.changes_of(self._git)
        found = {
            "changed": changes,
            "changed out of git's sight": list(git.hidden_of(self._git)),
            "unknown to git": [] if self._ignores_untracked else untracked,
        }
        said = [f"{len(names)} {what} ({', '.join(names[:_SHOWN])})" for what, names in found.items() if names]
        return "; ".join([*said, *(f"in the middle of {what}" for what in git.in_progress(self._git))])

    def require_clean(self) -> None:
        """Raises Refused for a tree that holds what a commit does not: it would be lost, or go along."""
        said = self.not_clean()
        if said:
            raise Refused(
                f"{self.path} is not clean: {said}.",
                remedy="Commit or move away what is there; nothing is thrown away. git status tells all of it.",
            )

    def _require_unlocked(self) -> None:
        """Raises Refused where git would not switch. Whether the lock is a dead one cannot be proven from here."""
        lock = git.lock_of(self._git)
        if lock is not None:
            raise Refused(
                f"{lock} is there: a git works in {self.path}, or was killed there.",
                remedy=f"Where pgrep -a git shows none that does, also in containers: rm {shlex.quote(lock)}",
            )

    def bind_mounts(self) -> list[dict[str, str]] | None:
        """The containers that see this tree, or a part of it; None where no engine is named."""
        if self._engine is None:
            return None
        engine = docker.opened(self._engine, deadline=self._deadline)
        try:
            found = []
            for listed in engine.containers(deadline=self._deadline):
                try:
                    mounts = engine.container(listed.id, deadline=self._deadline).mounts
                except docker.NotThere:  # it is gone since it was listed
                    continue
                found += [
                    {"container": listed.name, "state": listed.state, "source": source}
                    for source in mounts or ()
                    if source and _overlaps(os.path.realpath(source), self.path)
                ]
            return found
        finally:
            engine.close()

    def told(self) -> dict[str, t.Any]:
        """Path, the commits that it came from and is at, whether it is clean, and who has it mounted."""
        said = self.not_clean()
        return {
            "path": self.path,
            "from": self.began_at,
            "to": self.head(),
            "tags": self._tags(),
            "branch": self._branch(),
            "is_clean": not said,
            "not_clean": said,
            "bind_mounts": self.bind_mounts(),
        }

    def _tags(self) -> list[str]:
        return self._git.lines("tag", "--points-at", "HEAD", "--sort=version:refname")

    def _branch(self) -> str:
        return self._git.line("symbolic-ref", "--quiet", "--short", "HEAD") or ""

    # -- versions, as a ServiceManager is asked for them

    def deployed(self) -> Deployed:
        head = self.head()
        tags = self._tags()
        wanted = self._means(self.version) if self.version is not None else None
        version = self.version if wanted == head else (tags[-1] if tags else head)
        return Deployed(version, f"git:{head}" + ("-dirty" if self.not_clean() else ""))

    def selected_at(self) -> float | None:
        """When HEAD was moved last, seconds since 1970."""
        folder = self._git.line("rev-parse", "--absolute-git-dir") or ""
        for name in ("logs/HEAD", "HEAD"):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                return os.stat(path).st_mtime
        return None

    def snapshot(self) -> dict[str, t.Any]:
        """Raises Refused for a tree that no commit can bring back."""
        self._require_unlocked()
        self.require_clean()
        self._require_plain(self.head())
        return {"working_tree": self.path, "commit": self.head(), "branch": self._branch()}

    def pull(self, *, check_mode: bool, deadline: Deadline) -> dict[str, t.Any]:
        """Prove that the version is in the repository, with every file of it. Nothing is fetched or switched."""
        if self.version is None:
            raise BadInput("working_tree.version is needed: a tag or a whole commit id.")
        self._require_unlocked()
        self._require_plain(self.head())
        digest = self.require_available(self.version)
        self._require_nothing_in_the_way(digest.partition(":")[2])
        return {"changed": False, "version": self.version, "digest": digest, "bytes": 0}

    def _means(self, version: str) -> str | None:
        """The commit of a tag, or of a whole id. A branch moves, and means none."""
        return self._git.commit_of(version if git.COMMIT.fullmatch(version) else f"refs/tags/{version}")

    def require_available(self, version: str) -> str:
        commit = self._means(version)
        if commit is None:
            raise Refused(
                f"{self.path} has no tag or commit {version}.",
                remedy="git fetch --tags. A branch is no version: it moves.",
            )
        if self._commit and version == self.version and commit != self._commit:
            raise Refused(
                f"{version} means commit {commit} in {self.path}, expected {self._commit}: the tag was moved."
            )
        self._require_whole(commit)
        self._require_plain(commit)
        return f"git:{commit}"

    def _require_plain(self, commit: str) -> None:
        """Raises Refused for a commit whose files git does not make by itself: a switch would leave others, and call it clean."""
        said = git.not_of_the_commit(self._git, commit)
        if said:
            raise Refused(
                f"Commit {commit[:12]} of {self.path} is not all of its code: {'; '.join(said[:_SHOWN])}. "
                f"Submodules and files of a content filter are not switched.",
                remedy="Deploy it as an artefact, which holds them: artefact in place of working_tree.",
            )

    def _require_whole(self, commit: str) -> None:
        """Raises Refused where a file of the commit is not here, as in a partial clone."""
        ended = self._git.ask("archive", "--format=tar", f"--output={os.devnull}", commit)
        if ended.returncode:
            raise Refused(
                f"Not every file of commit {commit[:12]} is in {self.path}: {git.describe_ended(ended)}.",
                remedy="git fetch it whole.",
            )

    def _require_nothing_in_the_way(self, commit: str) -> None:
        """Raises Refused for files that the commit has and git does not track here, such as an ignored ``.env``."""
        found = list(dict.fromkeys(git.in_the_way_of(self._git, commit)))
        if found:
            raise Refused(
                f"{self.path} holds {len(found)} that commit {commit[:12]} would overwrite and git does not track: "
                f"{', '.join(found[:_SHOWN])}.",
                remedy="Keep a copy and move it away, or take it out of the commit; nothing is thrown away.",
            )

    def select(self, version: str) -> None:
        commit = self.require_available(version).partition(":")[2]
        self._switch(commit, branch="")

    def _noted(self, kept: t.Mapping[str, t.Any]) -> str:
        """The commit that a snapshot of this tree has. Raises Refused."""
        if kept.get("working_tree") != self.path:
            raise Refused(f"The snapshot is of {kept.get('working_tree') or 'no working tree'}, not of {self.path}.")
        self._require_unlocked()
        return str(kept["commit"])

    def require_restorable(self, kept: t.Mapping[str, t.Any]) -> None:
        commit = self._noted(kept)
        if self.not_clean() and self._left_by_a_switch(commit) is None:
            self.require_clean()
        self._require_whole(commit)
        if not self.not_clean():
            self._require_nothing_in_the_way(commit)

    def restore(self, kept: t.Mapping[str, t.Any]) -> None:
        """Back to the noted commit, on the branch that was checked out as long as that still means it.

        A switch that was killed half-way is taken back first, where all that it left is of HEAD, the noted commit or the version.
        """
        commit, branch = self._noted(kept), str(kept["branch"])
        if self.not_clean():
            self._take_half_a_switch_back(commit)
        is_same_branch = branch and self._git.commit_of(f"refs/heads/{branch}") == commit
        self._switch(commit, branch=branch if is_same_branch else "")

    def _require_not_mounted(self) -> None:
        """Raises Refused for a running container that sees the tree."""
        using = [each["container"] for each in self.bind_mounts() or () if each["state"] == "running"]
        if using:
            names = ", ".join(dict.fromkeys(using))
            raise Refused(
                f"{names} runs with {self.path} mounted: its code would change under it.",
                remedy="Stop it first: docker compose stop.",
            )

    def _left_by_a_switch(self, noted: str) -> list[str] | None:
        """What a switch that was killed made; None where the tree holds anything else."""
        target = self._means(self.version) if self.version is not None else None
        commits = [noted, *([target] if target else [])]
        return git.left_by_a_switch(self._git, commits, ignores_untracked=self._ignores_untracked)

    def _take_half_a_switch_back(self, noted: str) -> None:
        """Leaves a tree as it is that holds anything else; that is refused as one that is not clean."""
        made = self._left_by_a_switch(noted)
        if made is None:
            return
        self._require_whole(self.head())
        self._require_not_mounted()
        for path in made:
            place = os.path.join(self.path, path)
            os.unlink(place)
            with contextlib.suppress(OSError):  # it holds more
                while (place := os.path.dirname(place)) != self.path:
                    os.rmdir(place)
        ended = self._git.ask("reset", "--hard", "--quiet", "HEAD")
        if ended.returncode:
            raise ActionFailed(
                f"{self.path} was switched half-way, and is not taken back to {self.head()[:12]}: {git.describe_ended(ended)}.",
                remedy="git status tells what stands in the way.",
            )

    def _switch(self, commit: str, *, branch: str) -> None:
        self._require_unlocked()
        self.require_clean()
        if self.head() == commit and self._branch() == branch:
            return
        self._require_whole(commit)
        self._require_nothing_in_the_way(commit)
        self._require_not_mounted()
        where = [branch] if branch else ["--detach", commit]
        ended = self._git.ask("checkout", "--quiet", "--no-overwrite-ignore", *where, "--")
        said = self.not_clean()
        if ended.returncode or self.head() != commit or said:
            why = git.describe_ended(ended) if ended.returncode else said or "another commit is checked out"
            raise ActionFailed(
                f"{self.path} is at {self.head()[:12]} and not as commit {commit[:12]} has it: {why}.",
                remedy="git status tells what stands in the way.",
            )


def _overlaps(source: str, tree: str) -> bool:
    """Whether one lies in the other."""
    return os.path.commonpath([source, tree]) in (source, tree)
