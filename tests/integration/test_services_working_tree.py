# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""services whose versions are commits of a working tree: a real supervisord, a real git, and containers that mount the code."""

from __future__ import annotations

import json
import typing as t
import urllib.request
from pathlib import Path

import pytest

from tests.git_repository import Repository
from tests.integration.supervised import BACKEND, Supervised
from tests.servers import Docker

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

pytestmark = pytest.mark.long

serves = pytest.mark.serves


class Site:
    """A backend that runs from the tree, and the module on it."""

    def __init__(
        self, app: Supervised, repository: Repository, run_module: ModuleRun, docker: str, folder: Path
    ) -> None:
        self.app, self.repository, self._run_module = app, repository, run_module
        self.folder, self.docker = folder, docker
        self.first = self._version("1.0.0")
        repository.git("branch", "live")
        self.second = self._version("2.0.0")
        repository.git("checkout", "--quiet", "live")

    def _version(self, version: str) -> str:
        commit = self.repository.commit("backend.py", BACKEND.replace("here.name", repr(version)))
        self.repository.git("tag", version)
        return commit

    def __call__(
        self, state: str, version: str | None = None, commit: str | None = None, check: bool = False, **more: t.Any
    ) -> dict[str, t.Any]:
        tree = {"path": str(self.repository.path), "docker": self.docker, "version": version, "commit": commit}
        arguments = {
            "state": state,
            "supervisor": self.app.server,
            "services": ["backend"],
            "working_tree": {name: value for name, value in tree.items() if value is not None},
            "snapshot_dir": str(self.folder),
            **more,
        }
        return self._run_module("services", arguments, check=check, secrets=[self.app.password])

    def serve(self, version: str) -> dict[str, t.Any]:
        gate = {
            "service": "backend",
            "url": self.app.url,
            "json": [{"path": "$.version", "equals": version}],
            "timeout": 20,
        }
        return self("started", version, gates=[gate])

    def served(self) -> str:
        with urllib.request.urlopen(self.app.url, timeout=5) as answer:
            return t.cast(str, json.load(answer)["version"])

    @property
    def head(self) -> str:
        return self.repository.git("rev-parse", "HEAD")


@pytest.fixture
def site(docker: Docker, run_module_here: ModuleRun, tmp_path: Path) -> t.Iterator[Site]:
    with Supervised() as app:
        repository = Repository(app.root / "tree")
        app.current.unlink()
        app.current.symlink_to("tree")
        yield Site(app, repository, run_module_here, docker.url, tmp_path / "snapshot")


@pytest.fixture
def mounting(docker: Docker, site: Site) -> t.Iterator[dict[str, str]]:
    """Containers by what they mount of the tree; not one of them runs."""
    image = docker.image("archive")
    tree = site.repository.path
    sources = {"tree-backend-1": str(tree), "tree-above-1": str(tree.parent), "tree-none-1": str(site.app.releases)}
    for name, source in sources.items():
        docker.create(name, image, {"Binds": [f"{source}:/app:ro"]})
    yield sources
    docker.remove(*sources)


@serves("S1.63", case="pass")
def test_a_release_goes_back_to_the_commit_that_ran_before(site: Site, mounting: dict[str, str]) -> None:
    first, second = site.first, site.second
    assert site.serve("1.0.0")["deployed"] == {"version": "1.0.0", "digest": f"git:{first}"}
    noted = site("snapshot")
    assert noted["snapshot"]["version"] == {
        "working_tree": str(site.repository.path),
        "commit": first,
        "branch": "live",
    }
    assert noted["snapshot"]["deployed"] == {"version": "1.0.0", "digest": f"git:{first}"}
    # The whole tree, or a folder that it lies in; what is mounted beside it is none of its code.
    mounts = [
        {"container": name, "state": "created", "source": mounting[name]} for name in ("tree-above-1", "tree-backend-1")
    ]
    assert noted["working_tree"]["bind_mounts"] == mounts
    assert site("pulled", "2.0.0", commit=second)["pulled"]["digest"] == f"git:{second}"
    site("stopped")
    started = site.serve("2.0.0")
    assert (started["working_tree"]["from"], started["working_tree"]["to"]) == (first, second), started
    assert site.served() == "2.0.0"
    # The tag is moved: the way back knows the commit.
    site.repository.git("tag", "--force", "1.0.0", second)

    site("stopped")
    planned = site("restored", check=True)
    assert (planned["changed"], site.head) == (True, second)
    back = site("restored")
    assert (back["changed"], back["deployed"]["digest"]) == (True, f"git:{first}"), back
    tree = back["working_tree"]
    assert (tree["from"], tree["to"], tree["branch"], tree["is_clean"]) == (second, first, "live", True), tree
    assert tree["bind_mounts"] == mounts
    again = site("restored")
    assert (again["changed"], again["working_tree"]["from"]) == (False, first), again
    site("started")
    assert site.served() == "1.0.0"


@serves("S1.63", case="fail")
def test_a_tree_that_is_not_clean_is_refused_before_the_window_and_thrown_away_by_nobody(site: Site) -> None:
    stray = site.repository.path / "hotfix.py"
    stray.write_text("by hand\n")
    refused = site("snapshot")
    assert refused["error"] == "Refused", refused
    assert "is not clean: 1 unknown to git (hotfix.py)" in refused["msg"]
    assert not site.folder.exists()
    stray.unlink()
    site("snapshot")
    site.serve("2.0.0")
    site("stopped")
    code = site.repository.path / "backend.py"
    code.write_text(code.read_text() + "# mended at night\n")
    kept = site("restored")
    assert (kept["failed"], site.head) == (True, site.second), kept
    assert "is not clean: 1 changed (backend.py)" in kept["msg"]
    assert "mended at night" in code.read_text()
    site.repository.git("checkout", "--quiet", "--", "backend.py")
    assert site("restored")["working_tree"]["to"] == site.first


@serves("S1.63", case="fail")
def test_code_is_not_changed_under_a_container_that_runs_with_it(
    site: Site, docker: Docker, mounting: dict[str, str]
) -> None:
    site("snapshot")
    site.serve("2.0.0")
    site("stopped")
    docker.asked("POST", "/containers/tree-backend-1/start")
    refused = site("restored")
    assert (refused["failed"], site.head) == (True, site.second), refused
    assert "tree-backend-1 runs with " in refused["msg"]
    assert "docker compose stop" in refused["msg"]
    docker.asked("POST", "/containers/tree-backend-1/kill")
    docker.await_state("tree-backend-1", lambda state: not state["Running"])
    assert site("restored")["working_tree"]["to"] == site.first


@serves("S1.63", case="fail")
def test_a_version_that_is_not_the_reviewed_commit_is_refused_before_anything_is_stopped(site: Site) -> None:
    for version, commit, said in (
        ("2.0.0", site.first, f"expected {site.first}: the tag was moved"),
        ("3.0.0", None, "has no tag or commit 3.0.0"),
        ("main", None, "has no tag or commit main"),
        ("--orphan", None, "is no name of a version"),
    ):
        for state in ("pulled", "started"):
            refused = site(state, version, commit=commit)
            assert (refused["failed"], site.head) == (True, site.first), refused
            assert said in refused["msg"], refused["msg"]
    blob = site.repository.git("rev-parse", f"{site.second}:backend.py")
    (site.repository.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    refused = site("pulled", "2.0.0")
    assert refused["error"] == "Refused", refused
    assert f"Not every file of commit {site.second[:12]} is in " in refused["msg"]


@serves("S1.63", case="fail")
@pytest.mark.parametrize(
    ("kept", "tracked"), [(".env", ".env"), ("conf", "conf/live.ini"), ("conf/live.ini", "conf")], ids=str
)
def test_a_file_that_git_does_not_track_here_is_never_overwritten(site: Site, kept: str, tracked: str) -> None:
    tree = site.repository
    (tree.path / ".git/info/exclude").write_text(".env\nconf\n")
    tree.git("checkout", "--quiet", "2.0.0")
    (tree.path / tracked).parent.mkdir(exist_ok=True)
    (tree.path / tracked).write_text("an example\n")
    tree.git("add", "--force", tracked)
    tree.git("commit", "--quiet", "--message", "example")
    tree.git("tag", "3.0.0")
    tree.git("checkout", "--quiet", "live")
    (tree.path / kept).parent.mkdir(exist_ok=True)
    (tree.path / kept).write_text("production\n")
    assert site("snapshot")["working_tree"]["is_clean"] is True
    for state in ("pulled", "started"):
        refused = site(state, "3.0.0")
        assert (refused.get("failed"), site.head) == (True, site.first), refused
        assert f"would overwrite and git does not track: {kept}." in refused["msg"]
    assert (tree.path / kept).read_text() == "production\n"
    (tree.path / kept).unlink()
    assert site("pulled", "3.0.0")["pulled"]["version"] == "3.0.0"


@serves("S1.63", case="fail")
def test_a_commit_that_is_not_all_of_its_code_is_refused_on_both_ends(site: Site) -> None:
    tree = site.repository
    tree.git("checkout", "--quiet", "2.0.0")
    tree.commit("data/.gitattributes", "# filter=none\n*.bin filter=lfs diff=lfs\n")
    tree.git("tag", "3.0.0-lfs")
    tree.git("checkout", "--quiet", "2.0.0")
    tree.git("update-index", "--add", "--cacheinfo", f"160000,{site.first},lib")
    tree.git("commit", "--quiet", "--message", "submodule")
    tree.git("tag", "3.0.0-submodule")
    tree.git("checkout", "--quiet", "live")
    expected = {
        "3.0.0-lfs": "data/.gitattributes names a content filter",
        "3.0.0-submodule": "lib is a submodule",
    }
    for version, said in expected.items():
        refused = site("pulled", version)
        assert (refused["error"], said in refused["msg"]) == ("Refused", True), refused
        assert "Deploy it as an artefact" in refused["msg"]
        tree.git("checkout", "--quiet", version)
        for refused in (site("snapshot"), site("pulled", "2.0.0")):
            assert (refused["error"], said in refused["msg"]) == ("Refused", True), refused
        tree.git("checkout", "--quiet", "live")
    (tree.path / ".git/info/attributes").write_text("backend.py filter=here\n")
    refused = site("snapshot")
    assert "info/attributes names a content filter" in refused["msg"], refused
    (tree.path / ".git/info/attributes").unlink()
    tree.commit(".gitattributes", "# filter=none\n*.bin -filter\n")
    assert site("snapshot")["snapshot"]["version"]["branch"] == "live"


def switch_half_way(tree: Repository, *, is_index_written: bool) -> None:
    """What a checkout of 3.0.0 leaves that was killed, before or after it wrote the index; HEAD is written last."""
    for path in ("backend.py", "new/a.py", "new/ignored.log"):
        (tree.path / path).parent.mkdir(exist_ok=True)
        (tree.path / path).write_bytes((tree.path.parent / "whole" / path).read_bytes())
    (tree.path / "cut.py").write_bytes(b"")
    (tree.path / "old.py").unlink()
    if is_index_written:
        tree.git("read-tree", "3.0.0")
    (tree.path / ".git/index.lock").touch()


@serves("S1.63", case="fail")
@pytest.mark.parametrize("is_index_written", [False, True])
def test_a_switch_that_was_killed_is_taken_back_when_all_that_it_left_is_of_the_release(
    site: Site, is_index_written: bool
) -> None:
    tree, lock = site.repository, site.repository.path / ".git/index.lock"
    (tree.path / ".git/info/exclude").write_text("*.log\n")
    noted = tree.commit("old.py", "old\n")
    tree.git("checkout", "--quiet", "2.0.0")
    for path in ("new/a.py", "cut.py"):
        tree.commit(path, "new\n")
    (tree.path / "new/ignored.log").write_text("new\n")
    tree.git("add", "--force", "new/ignored.log")
    tree.git("commit", "--quiet", "--message", "ignored")
    tree.git("tag", "3.0.0")
    tree.git("worktree", "add", "--quiet", "--detach", str(tree.path.parent / "whole"), "3.0.0")
    tree.git("checkout", "--quiet", "live")
    site("snapshot")
    switch_half_way(tree, is_index_written=is_index_written)

    for refused in (site("restored", "3.0.0"), site("pulled", "3.0.0")):
        assert refused["failed"] is True, refused
        assert f"{lock} is there" in refused["msg"]
        assert f"rm {lock}" in refused["msg"]
    assert lock.exists()
    lock.unlink()
    # What was written by hand since then is nobody's to throw away.
    mine = tree.path / "new/a.py"
    mine.write_text("mended at night\n")
    refused = site("restored", "3.0.0")
    assert (refused["failed"], "is not clean" in refused["msg"]) == (True, True), refused
    assert mine.read_text() == "mended at night\n"
    mine.write_text("new\n")
    # Without the version nobody knows whose files these are.
    assert "is not clean" in site("restored")["msg"]

    back = site("restored", "3.0.0")
    assert (back.get("failed"), back["working_tree"]["to"]) == (None, noted), back
    assert (back["working_tree"]["is_clean"], back["working_tree"]["branch"]) == (True, "live")
    assert not (tree.path / "new").exists()
    assert site("pulled", "3.0.0")["pulled"]["version"] == "3.0.0"


@serves("S1.63", case="fail")
def test_a_tree_whose_git_looks_elsewhere_is_refused(site: Site) -> None:
    site.repository.git("config", "core.worktree", str(site.app.releases))
    refused = site("snapshot")
    assert (refused["failed"], "git takes " in refused["msg"]) == (True, True), refused


@serves("S1.63", case="fail")
def test_a_lock_is_told_before_the_window(site: Site) -> None:
    lock = site.repository.path / ".git/index.lock"
    lock.touch()
    for refused in (site("snapshot"), site("pulled", "2.0.0")):
        assert (refused["error"], f"{lock} is there" in refused["msg"]) == ("Refused", True), refused
    assert not site.folder.exists()
