# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask git about a repository, and change nothing in it.

A repository's own configuration can name programs that git runs: hooks, a file-system monitor, pagers, helpers for credentials,
signatures and connections. These are put out of force here, and so are the system's and the user's configuration, for the
same answer whoever asks. Nothing is prompted for, no lock is taken, no index is written.

No list of such programs is ever whole: content filters, also those of submodules, are run. So git refuses a repository of another
user. That refusal stands unless the owner is named and we are root: then git runs as that user, with none of our rights.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import stat
import typing as t
from urllib.parse import unquote, urlsplit

from ansible_collections.opsready.golive.plugins.module_utils._core.bounded_command import Ran, run_bounded
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import failure_of, find_program
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

_MOST_OUTPUT = 16 * 2**20
#: Options that put out of force what a repository's configuration may run, and what it may keep out of git's sight.
_STERILE = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.checkStat=default",
    "core.trustCTime=true",
    "core.ignoreStat=false",
    "core.attributesFile=/dev/null",
    "core.pager=cat",
    "core.askPass=false",
    "core.sshCommand=ssh -o BatchMode=yes -o StrictHostKeyChecking=yes",
    "core.gitProxy=",
    "core.quotePath=false",
    "credential.helper=",
    "diff.external=",
    "gpg.program=gpg",
    "gpg.openpgp.program=gpg",
    "gpg.x509.program=gpgsm",
    "gpg.ssh.program=ssh-keygen",
    "log.showSignature=false",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
)
#: SUDO_UID too: git would trust the repositories of whoever called sudo.
_LEFT_OUT = ("GIT_", "SSH_ASKPASS", "LC_", "LANGUAGE", "SUDO_UID")
#: What git leaves in its folder while it waits for somebody.
_IN_PROGRESS = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisection",
}
#: A whole commit id, of either algorithm.
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
#: A line of attributes, a macro's too, that hands files to a content filter.
_FILTERED = re.compile(r"^[^#\n]*\sfilter=", re.MULTILINE)
_STATUS = ("status", "--porcelain=v2", "-z", "--ignore-submodules=none", "--no-renames")
_DUBIOUS = re.compile(r"dubious ownership|unsafe repository")


#: All that a process of another user gets of our environment, which that user can read. A proxy is left out with its password.
_KEPT_FOR_OTHERS = ("PATH", "http_proxy", "https_proxy", "all_proxy", "no_proxy")


def _environment(owner: pwd.struct_passwd | None) -> dict[str, str]:
    if owner is None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    else:
        known = {name: value for name, value in os.environ.items() if name == "PATH" or "@" not in value}
        kept = {
            name: value
            for name, value in known.items()
            if name in _KEPT_FOR_OTHERS or name.lower() in _KEPT_FOR_OTHERS[1:]
        }
        kept.update(HOME=owner.pw_dir, USER=owner.pw_name, LOGNAME=owner.pw_name)
    return {
        **kept,
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "false",
        "SSH_ASKPASS": "false",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes",
    }


def top_of(path: str) -> str:
    """The working tree that a path lies in, its links resolved. Raises Unreachable where there is none."""
    place = os.path.realpath(path)
    if not os.path.isdir(place):
        place = os.path.dirname(place)
    while True:
        if os.path.lexists(os.path.join(place, ".git")):
            return place
        if os.path.dirname(place) == place:
            raise Unreachable(f"{path} is in no git working tree.")
        place = os.path.dirname(place)


class Git:
    """One working tree, asked with one deadline."""

    def __init__(
        self,
        top: str,
        *,
        deadline: Deadline,
        trusted_owner: str | None = None,
        ca_file: str | None = None,
        once: t.Callable[[t.Hashable, t.Callable[[], Ran]], Ran] | None = None,
    ) -> None:
        """``trusted_owner`` is the user whose repository this is, and as whom root asks; ``once`` keeps answers.

        Raises BadInput, Denied and MissingLibrary.
        """
        self.top = top
        self._once = once
        self._deadline = deadline
        self._program = find_program("git", remedy="Install git there.")
        self._options = list(_STERILE)
        if ca_file:
            self._options.append(f"http.sslCAInfo={ca_file}")
        #: As whom git runs, where that is not ourselves.
        self._owner = _other_owner(top, trusted_owner) if trusted_owner is not None else None

    def ask(self, *arguments: str) -> Ran:
        """Run one git command, whatever its exit code. Raises TimedOut, Denied (another user's) and Unreachable (no repository)."""
        key = ("git", self.top, self._owner and self._owner.pw_uid, tuple(self._options), arguments)
        ended = self._run(arguments) if self._once is None else self._once(key, lambda: self._run(arguments))
        if ended.returncode and _DUBIOUS.search(ended.stderr.text):
            owner = _name_of(os.stat(self.top).st_uid)
            raise Denied(
                f"{self.top} belongs to {owner}, and git does not trust another user's repository.",
                remedy=f"Run the check as {owner} (become_user), or as root with trusted_owner: {owner}.",
            )
        if ended.returncode and self._owner and "cannot change to" in ended.stderr.text:
            raise Denied(f"{self._owner.pw_name} owns {self.top} and cannot get there: {describe_ended(ended)}.")
        if ended.returncode and "not a git repository" in ended.stderr.text:
            raise Unreachable(f"{self.top} is not a git repository that can be read.")
        return ended

    def _run(self, arguments: t.Sequence[str]) -> Ran:
        options = [part for option in self._options for part in ("-c", option)]
        return run_bounded(
            [self._program, "--no-pager", *options, "-C", self.top, *arguments],
            deadline=self._deadline,
            max_bytes=_MOST_OUTPUT,
            environment=_environment(self._owner),
            cwd="/" if self._owner else None,
            user=self._owner,
        )

    def lines(self, *arguments: str, separator: str = "\n") -> list[str]:
        """What a command prints, in pieces. Raises CommandFailed, and UnexpectedAnswer for more than can be kept."""
        ended = self.ask(*arguments)
        if ended.returncode:
            raise failure_of(f"git {arguments[0]}", ended.returncode, ended.stderr.text)
        if ended.stdout.is_cut:
            raise UnexpectedAnswer(f"git {arguments[0]} printed more than {_MOST_OUTPUT} bytes.")
        return [piece for piece in ended.stdout.text.split(separator) if piece]

    def line(self, *arguments: str) -> str | None:
        """The first line of what a command prints; None where it fails."""
        ended = self.ask(*arguments)
        return ended.stdout.text.split("\n")[0] if ended.returncode == 0 else None

    def require_tree(self) -> None:
        """Raises Unreachable where git looks at the files of another folder, as ``core.worktree`` can have it, or of none."""
        seen = self.line("rev-parse", "--show-toplevel")
        if seen is None or os.path.realpath(seen) != self.top:
            raise Unreachable(
                f"git takes {seen or 'no folder'} for the working tree of {self.top}, so it does not see what lies there.",
                remedy="See git config --show-origin --get-regexp '^core[.](worktree|bare)$'.",
            )

    def commit_of(self, revision: str) -> str | None:
        """The whole id of the commit that a revision means; a tag is followed. None where it means none here."""
        return self.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")

    def is_ancestor(self, commit: str, of: str) -> bool | None:
        """Whether ``of`` holds this commit; None where that cannot be told, for its history is not here."""
        code = self.ask("merge-base", "--is-ancestor", commit, of).returncode
        if code == 1 and self.line("rev-parse", "--is-shallow-repository") == "true":
            return None
        return {0: True, 1: False}.get(code)


def refuse_no_name(name: str, *, option: str) -> None:
    """Raise BadInput for what git itself refuses in the name of a reference (git-check-ref-format)."""
    if not name or name.startswith(("-", "/")) or re.search(r"[\x00-\x20~^:?*\[\\\x7f]|\.\.|@\{", name):
        raise BadInput(f"{option} is {name!r}, which is no name of a {option.rpartition('.')[2]}.")


def changes_of(git: Git) -> tuple[list[str], list[str]]:
    """Changed and untracked files. Neither index nor renames are written or guessed."""
    entries = git.lines(*_STATUS, "--untracked-files=normal", separator="\0")
    changes = [entry.split(" ", 10 if entry[0] == "u" else 8)[-1] for entry in entries if entry[0] in "1u"]
    return changes, [entry[2:] for entry in entries if entry.startswith("? ")]


def hidden_of(git: Git) -> t.Iterator[str]:
    """Files whose changes git was told not to see."""
    is_sparse = git.line("config", "--type=bool", "--get", "core.sparseCheckout") == "true"
    for entry in git.lines("ls-files", "-v", "-z", separator="\0"):
        mark, _space, name = entry.partition(" ")
        if mark.islower() or (mark == "S" and (not is_sparse or os.path.lexists(os.path.join(git.top, name)))):
            yield name


def in_the_way_of(git: Git, commit: str) -> t.Iterator[str]:
    """Files that git does not track here, ignored ones too, and that a checkout of this commit would have to overwrite."""
    tracked = set(git.lines("ls-files", "-z", separator="\0"))
    for path in added_in(git, commit):
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts))]
        found = next((each for each in above if _is_file(os.path.join(git.top, each))), None)
        if found is not None:
            if found not in tracked:
                yield found
            continue
        place = os.path.join(git.top, path)
        if _is_file(place):
            yield path
        for folder, _folders, names in os.walk(place):
            yield from sorted({os.path.relpath(os.path.join(folder, name), git.top) for name in names} - tracked)


def added_in(git: Git, commit: str) -> list[str]:
    """Paths of this commit that HEAD does not have."""
    return git.lines(
        *("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=A", "HEAD", commit, "--"),
        separator="\0",
    )


class Entry(t.NamedTuple):
    """One file of a commit: ``100644``, ``100755``, ``120000`` for a link or ``160000`` for a submodule."""

    mode: str
    identity: str


def files_of(git: Git, commit: str) -> dict[str, Entry]:
    """What a commit holds, by path; submodules by their own commits."""
    found = {}
    for line in git.lines("ls-tree", "-r", "-z", "--full-tree", commit, separator="\0"):
        described, _tab, path = line.partition("\t")
        mode, _kind, identity = described.split()
        found[path] = Entry(mode, identity)
    return found


def not_of_the_commit(git: Git, commit: str) -> list[str]:
    """Why a checkout of this commit alone does not make its files: submodules, and files that a content filter makes."""
    files = files_of(git, commit)
    said = [f"{path} is a submodule" for path, entry in files.items() if entry.mode == "160000"]
    for path, entry in files.items():
        if os.path.basename(path) == ".gitattributes" and entry.mode != "160000":
            ended = git.ask("cat-file", "blob", entry.identity)
            if ended.returncode:
                raise failure_of("git cat-file", ended.returncode, ended.stderr.text)
            if _FILTERED.search(ended.stdout.text):
                said.append(f"{path} names a content filter, as of Git LFS")
    local = git.line("rev-parse", "--git-path", "info/attributes") or ""
    with contextlib.suppress(FileNotFoundError), open(os.path.join(git.top, local), "rb") as source:
        if _FILTERED.search(source.read(_MOST_OUTPUT).decode("utf-8", "replace")):
            said.append(f"{source.name} names a content filter")
    return said


def left_by_a_switch(git: Git, commits: t.Sequence[str], *, ignores_untracked: bool) -> list[str] | None:
    """What a switch between HEAD and these commits, killed half-way, made that HEAD does not have.

    None where something stands in the tree or the index that none of these commits has: nothing is missing or empty but what they hold.
    """
    if in_progress(git) or any(hidden_of(git)):
        return None
    before, *others = [files_of(git, commit) for commit in ("HEAD", *commits)]
    known = [before, *others]
    for entry in git.lines(*_STATUS, "--untracked-files=all", separator="\0"):
        path = entry[2:]
        if entry[0] == "1":
            _kind, _state, _sub, _head, mode, _file, _was, identity, path = entry.split(" ", 8)
            staged = Entry(mode, identity) if mode != "000000" else None
            if staged not in [files.get(path) for files in known]:
                return None
        elif entry[0] != "?":
            return None
        if not _is_of(git.top, path, known) and not (entry[0] == "?" and ignores_untracked):
            return None
    made = dict.fromkeys(path for files in others for path in files if path not in before)
    return [path for path in made if _is_file(os.path.join(git.top, path)) and _is_of(git.top, path, others)]


def _is_of(top: str, path: str, commits: t.Iterable[t.Mapping[str, Entry]]) -> bool:
    """Whether the file is as one of the commits has it, or holds nothing."""
    place = os.path.join(top, path)
    if os.path.realpath(os.path.dirname(place)) != os.path.dirname(place):
        return False  # behind a link it is another file
    if not _is_file(place):
        return not path.endswith("/")  # a repository in it is listed so
    wanted = [files[path] for files in commits if path in files]
    found = os.lstat(place)
    if stat.S_ISLNK(found.st_mode):
        mode, octets = "120000", os.fsencode(os.readlink(place))
    elif stat.S_ISREG(found.st_mode):
        mode = "100755" if found.st_mode & stat.S_IXUSR else "100644"
        with open(place, "rb") as source:
            octets = source.read()
    else:
        return False
    if not octets:
        return bool(wanted)
    return any(entry == Entry(mode, _identity_of(octets, len(entry.identity))) for entry in wanted)


def _identity_of(octets: bytes, digits: int) -> str:
    """The id of a blob; its length tells the repository's algorithm."""
    made = hashlib.sha256() if digits == 64 else hashlib.sha1(usedforsecurity=False)
    made.update(b"blob %d\0" % len(octets))
    made.update(octets)
    return made.hexdigest()


def lock_of(git: Git) -> str | None:
    """The lock by which a git that works there, or was killed there, keeps others from a switch."""
    for name in ("index.lock", "HEAD.lock"):
        path = os.path.join(git.top, git.line("rev-parse", "--git-path", name) or "")
        if os.path.lexists(path) and path.endswith(name):
            return path
    return None


def _is_file(path: str) -> bool:
    """Whether something is there that is no folder; a link to one is none."""
    return os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path))


def in_progress(git: Git) -> tuple[str, ...]:
    """What git is in the middle of, such as a merge."""
    folder = git.line("rev-parse", "--absolute-git-dir") or ""
    found = [what for name, what in _IN_PROGRESS.items() if os.path.exists(os.path.join(folder, name))]
    return tuple(dict.fromkeys(found))


def _other_owner(top: str, owner: str) -> pwd.struct_passwd | None:
    """The owner to run git as; None where that is ourselves. Raises BadInput, and Denied where it is not theirs or we are not root."""
    try:
        user = pwd.getpwnam(owner)
    except KeyError:
        raise BadInput(f"trusted_owner is {owner!r}, and there is no such user.")
    for path in (top, os.path.join(top, ".git"), os.path.join(top, ".git", "config")):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found = os.lstat(path).st_uid
            if found != user.pw_uid:
                raise Denied(f"{path} belongs to {_name_of(found)}, not to {owner}.")
    if user.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise Denied(
            f"{top} belongs to {owner}, and only root can ask git as {owner}.",
            remedy=f"Run the check as {owner} (become_user).",
        )
    return user


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user with id {uid}"


def secrets_of_url(url: str) -> list[str]:
    """What in a remote's URL is secret: a password, or a token in the place of the user's name."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return [url]
    if parts.scheme not in ("http", "https") or not parts.netloc.rpartition("@")[0]:
        return []
    said = parts.password if parts.password else parts.username
    return sorted({said, unquote(said)} - {""}) if said else []


def without_userinfo(url: str) -> str:
    """A remote's URL as it may be shown."""
    return re.sub(r"(://)[^/]*@", r"\1", url)


def describe_ended(ended: Ran) -> str:
    """The end of what a command that failed said, in one line."""
    lines: t.Sequence[str] = ended.stderr.text.strip().splitlines()
    return beginning_of(lines[-1].strip(), 300) if lines else f"it ended with exit code {ended.returncode}"
