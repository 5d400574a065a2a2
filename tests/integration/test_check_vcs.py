# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_vcs over real repositories, remotes and signatures; nothing that a repository configures is run."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_vcs, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.git_repository import Repository
from tests.leaks import assert_no_leak
from tests.module_examples import examples_of
from tests.parts import need_part
from tests.servers import HangingServer

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

TOKEN = "ghp-5f2c81d0a9e34b7c"
OTHER = "9" * 40


def finding(path: Path, *, timeout: float = 30.0, **params: t.Any) -> dict[str, t.Any]:
    given = {"path": str(path), **params}
    checked = validated(check_vcs.ARGUMENT_SPEC, given, where="check_vcs", **check_vcs.CONSTRAINTS)
    found = judged(registry.load("check_vcs"), checked, Run(timeout_seconds=timeout))
    assert_no_leak([TOKEN], json.dumps(found), "the finding")
    return found


class Release(t.NamedTuple):
    tree: Repository
    origin: Repository
    head: str


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A tree that was tagged and pushed."""
    origin = Repository(tmp_path / "origin.git", bare=True)
    tree = Repository(tmp_path / "tree")
    tree.commit("app/größe.py", "x = 1\n")
    head = tree.commit("README.md", "Archive\n")
    tree.git("tag", "--annotate", "--message", "2.0.1", "v2.0.1")
    tree.git("remote", "add", "origin", str(origin.path))
    tree.git("push", "--quiet", "origin", "main", "v2.0.1")
    return Release(tree, origin, head)


def test_a_released_tree_passes_and_is_left_as_it_was(release: Release) -> None:
    index = release.tree.path / ".git/index"
    os.utime(release.tree.path / "README.md", (1, 1))  # git status would now write a fresher index
    before = (hashlib.sha256(index.read_bytes()).hexdigest(), index.stat().st_mtime_ns)
    found = finding(release.tree.path / "app", commit=release.head, tag="v2.0.1", branch="main", pushed=True)
    assert found["status"] == "pass", found["summary"]
    assert (found["evidence"]["commit"], found["evidence"]["checked_out"]) == (release.head, "main")
    assert found["evidence"]["tag"]["is_annotated"] is True
    assert (hashlib.sha256(index.read_bytes()).hexdigest(), index.stat().st_mtime_ns) == before


def spoil(release: Release, how: str) -> None:
    tree = release.tree
    readme = tree.path / "README.md"
    if how == "changed":
        readme.write_text("changed by hand\n")
    elif how == "staged":
        readme.write_text("changed by hand\n")
        tree.git("add", "README.md")
    elif how == "deleted":
        (tree.path / "app/größe.py").unlink()
    elif how == "mode":
        readme.chmod(0o755)
    elif how == "untracked":
        (tree.path / "hotfix.py").touch()
    elif how == "assumed":
        tree.git("update-index", "--assume-unchanged", "README.md")
        readme.write_text("changed by hand\n")
    elif how == "skipped":
        tree.git("update-index", "--skip-worktree", "README.md")
        readme.write_text("changed by hand\n")
    elif how == "skipped as sparse":
        tree.git("config", "core.sparseCheckout", "true")
        tree.git("config", "sparse.expectFilesOutsideOfPatterns", "true")
        (tree.path / ".git/info/sparse-checkout").write_text("/*\n")
        tree.git("update-index", "--skip-worktree", "README.md")
        readme.write_text("changed by hand\n")
    elif how == "same size and time":
        os.utime(readme, (1, 1))
        tree.git("status")
        tree.git("config", "core.checkStat", "minimal")
        tree.git("config", "core.trustCTime", "false")
        other = tree.path.parent / "other"
        other.write_text("archive\n")
        os.utime(other, (1, 1))
        other.replace(readme)
    elif how == "merging":
        (tree.path / ".git/MERGE_HEAD").write_text(release.head + "\n")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("changed", "1 changed (README.md)"),
        ("staged", "1 changed (README.md)"),
        ("deleted", "1 changed (app/größe.py)"),
        ("mode", "1 changed (README.md)"),
        ("untracked", "1 unknown to git (hotfix.py)"),
        ("assumed", "1 changed out of git's sight (README.md)"),
        ("skipped", "1 changed out of git's sight (README.md)"),
        ("skipped as sparse", "1 changed out of git's sight (README.md)"),
        ("same size and time", "1 changed (README.md)"),
        ("merging", "is in the middle of a merge"),
    ],
)
def test_a_tree_that_is_not_as_committed_fails(release: Release, how: str, said: str) -> None:
    spoil(release, how)
    found = finding(release.tree.path)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]
    assert finding(release.tree.path, clean=False, tag="v2.0.1")["status"] == "pass"


def test_ignored_files_and_on_request_untracked_ones_do_not_count(release: Release) -> None:
    release.tree.commit(".gitignore", "*.log\n")
    (release.tree.path / "a.log").touch()
    assert finding(release.tree.path)["status"] == "pass"
    (release.tree.path / "b.txt").touch()
    assert finding(release.tree.path)["status"] == "fail"
    assert finding(release.tree.path, untracked="ignored")["status"] == "pass"


def test_a_sparse_checkout_hides_nothing(release: Release) -> None:
    release.tree.git("sparse-checkout", "set", "--no-cone", "/README.md")
    assert not (release.tree.path / "app").exists()
    assert finding(release.tree.path)["status"] == "pass"


def test_a_tree_whose_git_looks_elsewhere_is_not_judged(release: Release, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    shutil.copytree(release.tree.path, clean, ignore=shutil.ignore_patterns(".git"))
    release.tree.git("config", "core.worktree", str(clean))
    (release.tree.path / "README.md").write_text("changed by hand\n")
    found = finding(release.tree.path)
    said = f"git takes {clean} for the working tree of {release.tree.path}"
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]
    release.tree.git("config", "--unset", "core.worktree")
    linked = tmp_path / "linked"
    release.tree.git("worktree", "add", "--quiet", str(linked), "v2.0.1")
    assert finding(linked)["status"] == "pass"


def test_another_commit_and_another_tag_fail(release: Release) -> None:
    newer = release.tree.commit("README.md", "newer\n")
    found = finding(release.tree.path, commit=release.head)
    assert (found["status"], f"is at commit {newer[:12]}, expected {release.head[:12]}" in found["summary"]) == (
        "fail",
        True,
    )
    found = finding(release.tree.path, tag="v2.0.1")
    assert (found["status"], f"the tag v2.0.1 means commit {release.head[:12]}" in found["summary"].lower()) == (
        "fail",
        True,
    )
    found = finding(release.tree.path, tag="v2.0.2")
    assert (found["status"], "no tag v2.0.2" in found["summary"]) == ("fail", True)
    release.tree.git("branch", "v2.0.2")  # a branch of that name is no tag
    assert finding(release.tree.path, tag="v2.0.2")["status"] == "fail"


def test_a_commit_is_on_the_branch_or_not(release: Release) -> None:
    release.tree.git("checkout", "--quiet", "-b", "hotfix")
    assert finding(release.tree.path, branch="main")["status"] == "pass"
    release.tree.commit("README.md", "hotfix\n")
    found = finding(release.tree.path, branch="main")
    assert (found["status"], "is not on branch main" in found["summary"]) == ("fail", True)
    missing = finding(release.tree.path, branch="release/2")
    assert (missing["status"], "there is no branch release/2" in missing["summary"].lower()) == ("unknown", True)


def test_a_detached_clone_knows_the_branch_by_its_remote(release: Release, tmp_path: Path) -> None:
    release.tree.git("clone", "--quiet", "--branch", "v2.0.1", str(release.origin.path), str(tmp_path / "deployed"))
    found = finding(tmp_path / "deployed", commit=release.head, tag="v2.0.1", branch="main", pushed=True)
    assert (found["status"], found["evidence"]["checked_out"]) == ("pass", "no branch")


def test_a_shallow_clone_cannot_tell(release: Release, tmp_path: Path) -> None:
    release.tree.commit("README.md", "newer\n")
    release.tree.git("push", "--quiet", "origin", "main")
    origin = f"file://{release.origin.path}"
    release.tree.git("clone", "--quiet", "--depth", "1", "--branch", "main", origin, str(tmp_path / "shallow"))
    shallow = Repository(tmp_path / "shallow")
    shallow.git("fetch", "--quiet", "--depth", "1", "origin", "refs/tags/v2.0.1:refs/tags/v2.0.1")
    shallow.git("checkout", "--quiet", "v2.0.1")
    found = finding(tmp_path / "shallow", branch="main")
    assert (found["status"], "history" in found["summary"]) == ("unknown", True), found["summary"]


@pytest.mark.parametrize("what", ["commit", "branch", "tag", "moved tag"])
def test_what_was_not_pushed_fails(release: Release, what: str) -> None:
    options: dict[str, t.Any] = {"branch": "main"}
    if what == "commit":
        newer = release.tree.commit("README.md", "newer\n")
        said = f"commit {newer[:12]} is not on main of"
    elif what == "branch":
        release.tree.git("branch", "next")
        options, said = {"branch": "next"}, "has no branch next"
    elif what == "tag":
        release.tree.git("tag", "v2.0.2")
        options, said = {"tag": "v2.0.2"}, "the tag v2.0.2 is absent in"
    else:
        release.tree.git("tag", "--force", "--annotate", "--message", "again", "v2.0.1")
        options, said = {"tag": "v2.0.1"}, "the tag v2.0.1 is "
    found = finding(release.tree.path, pushed=True, **options)
    assert (found["status"], said in found["summary"].lower()) == ("fail", True), found["summary"]


def test_a_remote_that_went_on_is_only_told_with_its_history(release: Release, tmp_path: Path) -> None:
    release.tree.git("clone", "--quiet", str(release.origin.path), str(tmp_path / "deployed"))
    release.tree.commit("README.md", "newer\n")
    release.tree.git("push", "--quiet", "origin", "main")
    found = finding(tmp_path / "deployed", branch="main", pushed=True)
    assert (found["status"], "whose history is not here" in found["summary"]) == ("unknown", True)
    Repository(tmp_path / "deployed").git("fetch", "--quiet")
    assert finding(tmp_path / "deployed", branch="main", pushed=True)["status"] == "pass"


def test_a_branch_whose_name_only_ends_like_ours_is_another_one(release: Release) -> None:
    release.tree.git("push", "--quiet", "origin", "main:refs/heads/refs/heads/next")
    release.tree.git("branch", "next")
    assert finding(release.tree.path, branch="next", pushed=True)["status"] == "fail"


@pytest.fixture
def over_http(release: Release) -> t.Iterator[t.Callable[[], str]]:
    """The origin over git's plain HTTP, as any web server gives it; the address with a token in it."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_unused: object) -> None:
            return None

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(release.origin.path.parent))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()

    def address() -> str:
        release.origin.git("update-server-info")
        return f"http://{TOKEN}@127.0.0.1:{server.server_address[1]}/origin.git"

    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_remote_over_http_is_asked_and_its_token_never_told(
    release: Release, over_http: t.Callable[[], str], run_module: ModuleRun
) -> None:
    release.tree.git("remote", "set-url", "origin", over_http())
    options = {
        "path": str(release.tree.path),
        "branch": "main",
        "tag": "v2.0.1",
        "pushed": True,
        "enforce": False,
        "timeout": 30,
    }
    assert run_module("check_vcs", options, secrets=[TOKEN])["finding"]["status"] == "pass"
    release.tree.git("remote", "set-url", "origin", over_http().replace("origin.git", "gone.git"))
    found = run_module("check_vcs", options, secrets=[TOKEN])["finding"]
    assert (found["status"], "did not answer" in found["summary"]) == ("unknown", True)


def test_a_remote_that_does_not_answer_is_unknown(
    release: Release, refused_port: int, hanging_server: HangingServer, tmp_path: Path
) -> None:
    for url, timeout in (
        (f"http://user:{TOKEN}@127.0.0.1:{refused_port}/x.git", 30.0),
        (f"http://127.0.0.1:{hanging_server.port}/x.git", 3.0),
        (str(tmp_path / "nowhere.git"), 30.0),
        ("ext::sh -c touch% /tmp/never", 30.0),
        ("ssh://127.0.0.1:1/x.git", 30.0),
    ):
        release.tree.git("remote", "set-url", "origin", url)
        found = finding(release.tree.path, branch="main", pushed=True, timeout=timeout)
        assert found["status"] == "unknown", (url, found["summary"])
    found = finding(release.tree.path, branch="main", pushed=True, remote="upstream")
    assert (found["status"], "there is no remote upstream" in found["summary"]) == ("unknown", True)


def test_nothing_that_a_repository_configures_is_run(release: Release, tmp_path: Path) -> None:
    trap, tree = tmp_path / "sprung", release.tree
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $0 $* >> {trap}\nexit 1\n")
    program.chmod(0o755)
    for name in ("core.fsmonitor", "core.pager", "core.sshCommand", "core.askPass", "credential.helper", "diff.external",
                 "gpg.program", "gpg.ssh.program"):  # fmt: skip
        tree.git("config", name, str(program))
    for hook in ("post-index-change", "reference-transaction", "fsmonitor-watchman", "pre-commit", "post-checkout"):
        shutil.copy(program, tree.path / ".git/hooks" / hook)
    os.utime(tree.path / "README.md", (1, 1))
    found = finding(tree.path, branch="main", tag="v2.0.1", pushed=True, signature={"fingerprints": ["SHA256:x"]})
    tree.git("remote", "set-url", "origin", "ssh://127.0.0.1:1/x.git")
    finding(tree.path, branch="main", pushed=True)
    assert not trap.exists(), trap.read_text()
    assert (found["status"], "is not good: it is not signed" in found["summary"]) == ("fail", True)


# ── another user's repository ──


def give_away(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.lchown(path, pwd.getpwnam("nobody").pw_uid, -1)


@pytest.fixture
def foreign(release: Release) -> t.Iterator[Path]:
    """The tree as another user's, where that user can get to it."""
    need_part("root", os.geteuid() == 0, "only root can give files to another user")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        release.tree.path = Path(shutil.move(release.tree.path, folder))
        give_away(release.tree.path)
        yield release.tree.path


def test_another_users_repository_is_unknown_until_the_owner_is_named(foreign: Path) -> None:
    found = finding(foreign)
    assert found["status"] == "unknown"
    assert "belongs to nobody, and git does not trust another user's repository" in found["summary"]
    assert "trusted_owner: nobody" in found["remedy"]
    assert finding(foreign, trusted_owner="nobody")["status"] == "pass"
    wrong = finding(foreign, trusted_owner="daemon")
    assert (wrong["status"], "belongs to nobody, not to daemon" in wrong["summary"]) == ("unknown", True)
    assert "there is no such user" in finding(foreign, trusted_owner="nobody-at-all")["summary"]


def ways_into_a_program(tree: Repository, program: str) -> None:
    """A filter, one whose name no option can carry, one of a submodule, and the program that serves a local remote."""
    (tree.path / ".git/info/attributes").write_text("README.md filter=trap\napp/* filter=a=b\n")
    tree.git("config", "filter.trap.clean", f"{program} filter")
    with (tree.path / ".git/config").open("a") as config:
        config.write(f'[filter "a=b"]\n\tclean = {program} named\n')
    inner = Repository(tree.path.parent / "inner")
    inner.commit("f", "x\n")
    tree.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.path), "sub")
    tree.git("commit", "--quiet", "--message", "sub")
    (tree.path / ".git/modules/sub/info/attributes").write_text("* filter=trap\n")
    tree.git(
        "config", "--file", str(tree.path / ".git/modules/sub/config"), "filter.trap.clean", f"{program} submodule"
    )
    origin = Path(shutil.copytree(tree.path / ".git", tree.path.parent / "origin.git"))
    give_away(origin)
    tree.git("remote", "set-url", "origin", str(origin))
    tree.git("config", "remote.origin.uploadpack", f"{program} remote; git-upload-pack")
    give_away(tree.path)
    for path in ("README.md", "app/größe.py", "sub/f"):
        os.utime(tree.path / path, (1, 1))


def test_what_another_users_repository_runs_has_that_users_rights(
    foreign: Path, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap, program = foreign.parent / "sprung", foreign.parent / "program"
    program.write_text(f"#!/bin/sh\n{{ echo $1 $(id -u) $(id -g) $(id -G); env; }} >> {trap}\ncat\n")
    program.chmod(0o755)
    ways_into_a_program(release.tree, str(program))
    trap.write_text("")  # what the making of it ran
    trap.chmod(0o666)
    monkeypatch.setenv("SECRET_OF_ROOT", TOKEN)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{TOKEN}@127.0.0.1:1")
    found = finding(foreign, trusted_owner="nobody", tag="v2.0.1", pushed=True)
    assert found["measured"]["clean tree"] == "clean", found
    assert found["measured"]["tag v2.0.1 of the remote"] == release.tree.git("rev-parse", "v2.0.1")[:12]
    sprung = trap.read_text()
    user = pwd.getpwnam("nobody")
    lines = {line for line in sprung.splitlines() if line.startswith(("filter ", "named ", "submodule ", "remote "))}
    rights = f"{user.pw_uid} {user.pw_gid} {user.pw_gid}"
    assert lines == {f"{how} {rights}" for how in ("filter", "named", "submodule")}, sprung
    assert_no_leak([TOKEN], sprung, "what the other user sees")


def test_only_root_asks_in_another_users_name_and_a_place_the_owner_cannot_get_to_is_told(
    foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign.parent.chmod(0o700)
    found = finding(foreign, trusted_owner="nobody")
    assert found["status"] == "unknown"
    assert f"nobody owns {foreign} and cannot get there" in found["summary"]
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    found = finding(foreign, trusted_owner="nobody")
    assert (found["status"], "only root can ask git as nobody" in found["summary"]) == ("unknown", True), found


# ── signatures ──


@pytest.fixture
def ssh_key(tmp_path: Path) -> Path:
    need_part("ssh-keygen", shutil.which("ssh-keygen"), "apt-get install openssh-client")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a@firma.de", "-f", str(key)], check=True)
    return key


def fingerprint_of(key: Path) -> str:
    said = subprocess.run(["ssh-keygen", "-l", "-f", f"{key}.pub"], capture_output=True, text=True, check=True).stdout
    return said.split()[1]


def sign(tree: Repository, key: Path, tag: str = "v2.0.2") -> None:
    tree.git("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}", "tag", "--sign", "--message", tag, tag)


def test_a_tag_signed_by_ssh(release: Release, ssh_key: Path, tmp_path: Path) -> None:
    sign(release.tree, ssh_key)
    signers = tmp_path / "allowed"
    signers.write_text(f"a@firma.de {ssh_key.with_suffix('.pub').read_text()}")
    empty = tmp_path / "nobody"
    empty.write_text("")
    release.tree.git("config", "gpg.ssh.allowedSignersFile", str(signers))  # a repository must not vouch for itself

    def status(**signature: t.Any) -> tuple[str, str]:
        found = finding(release.tree.path, tag="v2.0.2", signature=signature)
        return found["status"], found["summary"]

    assert status(allowed_signers=str(signers))[0] == "pass"
    assert status(allowed_signers=str(signers), fingerprints=[fingerprint_of(ssh_key)])[0] == "pass"
    assert status(fingerprints=[fingerprint_of(ssh_key)])[0] == "pass"
    for refused in ({"allowed_signers": str(empty)}, {"fingerprints": ["SHA256:" + "A" * 43]},
                    {"allowed_signers": str(signers), "fingerprints": ["SHA256:" + "A" * 43]}):  # fmt: skip
        assert status(**refused)[0] == "fail", refused


def test_an_unsigned_and_a_forged_tag_fail(release: Release, ssh_key: Path) -> None:
    wanted = {"fingerprints": [fingerprint_of(ssh_key)]}
    found = finding(release.tree.path, tag="v2.0.1", signature=wanted)
    assert (found["status"], "it is not signed" in found["summary"]) == ("fail", True)
    sign(release.tree, ssh_key)
    forged = release.tree.git("cat-file", "tag", "v2.0.2").replace("v2.0.2", "v2.0.3") + "\n"
    path = release.tree.path.parent / "forged"
    path.write_text(forged)
    identity = release.tree.git("hash-object", "-t", "tag", "-w", str(path))
    release.tree.git("update-ref", "refs/tags/v2.0.3", identity)
    found = finding(release.tree.path, tag="v2.0.3", signature=wanted)
    assert (found["status"], "is not good" in found["summary"]) == ("fail", True), found["summary"]


def test_a_tag_signed_by_openpgp(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_part("gpg", shutil.which("gpg"), "apt-get install gnupg")
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    gpg = ["gpg", "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"]
    try:
        subprocess.run([*gpg, "--quick-generate-key", "a@firma.de", "ed25519", "sign"], check=True, capture_output=True)
        listed = subprocess.run(
            [*gpg, "--list-keys", "--with-colons"], capture_output=True, text=True, check=True
        ).stdout
        key = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
        release.tree.git("-c", f"user.signingKey={key}", "tag", "--sign", "--message", "x", "v2.0.2")
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False, capture_output=True)
    grouped = " ".join(key[start : start + 4] for start in range(0, len(key), 4)).lower()
    for wanted, status in (([key], "pass"), ([grouped], "pass"), (["A" * 40], "fail")):
        found = finding(release.tree.path, tag="v2.0.2", signature={"fingerprints": wanted})
        assert found["status"] == status, found["summary"]
    monkeypatch.setenv("GNUPGHOME", str(tmp_path / "nobody"))
    (tmp_path / "nobody").mkdir(mode=0o700)
    found = finding(release.tree.path, tag="v2.0.2", signature={"fingerprints": [key]})
    assert (found["status"], "the key is not on this host" in found["summary"]) == ("unknown", True), found["summary"]
    subprocess.run(["gpgconf", "--kill", "all"], check=False, capture_output=True)


# ── what cannot be asked ──


def test_what_is_no_repository_is_unknown(tmp_path: Path) -> None:
    assert "is in no git working tree" in finding(tmp_path)["summary"]
    (tmp_path / ".git").mkdir()
    assert finding(tmp_path)["status"] == "unknown"
    empty = Repository(tmp_path / "empty")
    found = finding(empty.path)
    assert (found["status"], "has no commit" in found["summary"]) == ("unknown", True)


def test_without_git_nothing_is_known(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    found = finding(release.tree.path)
    assert (found["status"], "git is not on the PATH" in found["summary"]) == ("unknown", True)


def test_variables_of_git_do_not_lead_it_astray(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repository(tmp_path / "other")
    other.commit("x", "x")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    assert finding(release.tree.path)["evidence"]["commit"] == release.head


def test_several_items_ask_the_same_tree_once(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, real = tmp_path / "calls", shutil.which("git")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(f'#!/bin/sh\necho "$*" >> {calls}\nexec {real} "$@"\n')
    (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    wanted: list[dict[str, t.Any]] = [
        {"commit": release.head},
        {"tag": "v2.0.1", "pushed": True},
        {"tag": "v2.0.1", "pushed": True},
    ]
    items = [
        {"id": str(number), "check": "check_vcs", "params": {"path": str(release.tree.path), **extra}, "timeout": 30.0}
        for number, extra in enumerate(wanted)
    ]
    found = judge_all(items, [], timeout_seconds=60, scrub=Scrubber())
    assert [each["status"] for each in found] == ["pass"] * 3
    said = calls.read_text()
    assert (said.count(" status "), said.count(" ls-remote ")) == (1, 1)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"commit": "main"}, "expected a whole commit id"),
        ({"tag": "--upload-pack=x"}, "no name of a tag"),
        ({"tag": ""}, "no name of a tag"),
        ({"branch": "a..b"}, "no name of a branch"),
        ({"branch": "main@{1}"}, "no name of a branch"),
        ({"remote": "-x"}, "no name of a remote"),
        ({"pushed": True}, "pushed needs branch or tag"),
        ({"clean": False}, "nothing would be judged"),
        ({"tag": "v1", "signature": {"fingerprints": []}}, "nobody could have signed"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_why(release: Release, params: dict[str, t.Any], said: str) -> None:
    found = finding(release.tree.path, **params)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


def test_the_examples_run_and_tell_good_from_bad(
    release: Release, ssh_key: Path, run_module: ModuleRun, tmp_path: Path
) -> None:
    release.tree.git("tag", "--delete", "v2.0.1")
    release.tree.git("push", "--quiet", "origin", ":refs/tags/v2.0.1")
    sign(release.tree, ssh_key, "v2.0.1")
    release.tree.git("push", "--quiet", "origin", "v2.0.1")
    (tmp_path / "allowed_signers").write_text(f"a@firma.de {ssh_key.with_suffix('.pub').read_text()}")
    replaced = {
        "/srv/archive/current": str(release.tree.path),
        "/etc/archive": str(tmp_path),
        "8f14e45fceea167a5a36dedd4bea2543f3c8d1b2": release.head,
    }
    examples = examples_of("check_vcs", replaced).values()

    def statuses() -> list[str]:
        return [run_module("check_vcs", {**args, "enforce": False})["finding"]["status"] for args in examples]

    assert statuses() == ["pass", "pass"]
    (release.tree.path / "README.md").write_text("changed by hand\n")
    assert statuses() == ["fail", "fail"]
