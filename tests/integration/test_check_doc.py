# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_doc over real files, a real repository and a real HTTP server."""

from __future__ import annotations

import datetime
import email.utils
import hashlib
import json
import os
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_doc, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from tests.git_repository import Repository
from tests.module_examples import examples_of
from tests.servers import Answer, HangingServer, HttpServer

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

TODAY = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
CHANGELOG = f"# Changelog\n\n## [2.0.1] - {TODAY}\n\n- Größere Dateien\n\n## [2.0.0] - 2020-01-02\n\n- First\n"
RUNBOOK = "# Runbook\n\n" + "".join(
    f"## {title}\n\nSee [ERROR] in the log, and call 112.\n\n" for title in ("Emergency contacts", "Rollback", "Monitoring")
) + "text " * 200  # fmt: skip
TOKEN = "doc-token-5f2c81d0"
serves = pytest.mark.serves


def finding(timeout: float = 20.0, **params: t.Any) -> dict[str, t.Any]:
    checked = validated(check_doc.ARGUMENT_SPEC, params, where="check_doc", **check_doc.CONSTRAINTS)
    found = judged(registry.load("check_doc"), checked, Run(timeout_seconds=timeout))
    json.dumps(found)
    return found


@pytest.fixture
def changelog(tmp_path: Path) -> t.Callable[..., dict[str, t.Any]]:
    path = tmp_path / "CHANGELOG.md"

    def judge(text: str = CHANGELOG, **params: t.Any) -> dict[str, t.Any]:
        path.write_text(text)
        return finding(path=str(path), **params)

    return judge


@pytest.mark.parametrize(
    ("version", "options", "status", "said"),
    [
        ("2.0.1", {}, "pass", ""),
        ("v2.0.1", {"dated": True}, "pass", ""),
        ("2.0.2", {}, "fail", "has no heading of version 2.0.2; the first of a version is '[2.0.1]"),
        ("2.0.2", {"version_in": "text"}, "fail", "does not mention version 2.0.2"),
        ("2.0.0", {"version_in": "text"}, "pass", ""),
        ("2.0.1", {"dated": True, "max_age": "30d", "age_of": "section"}, "pass", ""),
        ("2.0.0", {"max_age": "30d", "age_of": "section"}, "fail", "age of the section is"),
    ],
)
def test_the_section_of_this_version(
    changelog: t.Any, version: str, options: dict[str, t.Any], status: str, said: str
) -> None:
    found = changelog(version=version, **options)
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


@pytest.mark.parametrize(
    ("text", "options", "status", "said"),
    [
        ("# 2.0.1\n\n# 2.0.0\ntext\n", {}, "fail", "the section '2.0.1' is empty"),
        ("# 2.0.1\ntext\n", {"dated": True}, "fail", "has no date"),
        ("# 2.0.1 (22.11.2025)\ntext\n", {"dated": True}, "pass", ""),
        ("# 2.0.1 (2025-13-45)\ntext\n", {"dated": True}, "fail", "has no date"),
        ("# 2.0.1\ntext\n", {"max_age": "1d", "age_of": "section"}, "unknown", "has no date"),
        ("# 2.0.1 (2099-01-01)\ntext\n", {"max_age": "1d", "age_of": "section"}, "unknown", "from now"),
        ("```\n# 2.0.1\n```\n", {}, "fail", "has no heading of version"),
        ("# 2.0.1\nTBD\n", {}, "fail", "TBD (line 2)"),
        ("# 2.0.1\nTBD\n", {"placeholders": "ignored"}, "pass", ""),
    ],
)
def test_a_section_that_says_nothing_is_none(
    changelog: t.Any, text: str, options: dict[str, t.Any], status: str, said: str
) -> None:
    found = changelog(text, version="2.0.1", **options)
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ({"required_headings": ["ROLLBACK", "emergency  contacts"]}, "pass", ""),
        ({"required_headings": ["Rückfall"]}, "fail", "the section 'Rückfall' is absent"),
        ({"contains": ["call 112"]}, "pass", ""),
        ({"contains": ["call 110"]}, "fail", "does not contain 'call 110'"),
        ({"placeholder_exceptions": []}, "fail", "[ERROR] (line 5)"),
        ({"placeholder_patterns": [r"\b112\b"]}, "fail", "112 (line 5)"),
        ({"min_size": "1kB"}, "pass", ""),
        ({"min_size": "1MB"}, "fail", "size is"),
        ({"max_size": "1kB"}, "unknown", "more than the 1000 that are read"),
        ({"max_age": "1h"}, "pass", ""),
    ],
)
def test_a_runbook_is_complete(changelog: t.Any, options: dict[str, t.Any], status: str, said: str) -> None:
    found = changelog(RUNBOOK, **{"placeholder_exceptions": ["[ERROR]"], **options})
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


def test_an_empty_heading_is_not_there_an_old_file_is_old_and_an_empty_file_fails(
    changelog: t.Any, tmp_path: Path
) -> None:
    found = changelog("# Rollback\n\n# Other\ntext\n", required_headings=["Rollback"])
    assert (found["status"], "'Rollback' is empty" in found["summary"]) == ("fail", True)
    os.utime(tmp_path / "CHANGELOG.md", (time.time() - 90000, time.time() - 90000))
    old = finding(path=str(tmp_path / "CHANGELOG.md"), max_age="1d")
    assert (old["status"], "age is 25.0 h, expected at most 1d" in old["summary"]) == ("fail", True)
    os.utime(tmp_path / "CHANGELOG.md", (time.time() + 90000, time.time() + 90000))
    assert finding(path=str(tmp_path / "CHANGELOG.md"), max_age="1d")["status"] == "unknown"
    assert changelog("")["status"] == "fail"


@pytest.mark.parametrize("what", ["absent", "folder", "binary"])
def test_what_cannot_be_read_is_unknown(what: str, tmp_path: Path) -> None:
    path = tmp_path / "doc"
    if what == "folder":
        path.mkdir()
    elif what == "binary":
        path.write_bytes(b"%PDF-1.7\x00\x01")
    found = finding(path=str(path), version="1")
    assert (found["status"], "doc" in found["summary"].lower()) == ("unknown", True)


def test_utf_16_is_read(tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_bytes(CHANGELOG.encode("utf-16"))
    assert finding(path=str(path), version="2.0.1", contains=["Größere"])["status"] == "pass"


def test_a_changelog_must_differ_from_the_last_release(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.commit("docs/CHANGELOG.md", CHANGELOG)
    repository.git("tag", "v2.0.0")
    path = str(tmp_path / "docs/CHANGELOG.md")
    found = finding(path=path, changed_since="v2.0.0")
    assert (found["status"], "is the same as at v2.0.0" in found["summary"]) == ("fail", True)
    (tmp_path / "docs/CHANGELOG.md").write_text(CHANGELOG + "\nMore.\n")
    assert finding(path=path, changed_since="v2.0.0")["status"] == "pass"
    (tmp_path / "new.md").write_text("# new\ntext\n")
    assert finding(path=str(tmp_path / "new.md"), changed_since="v2.0.0")["status"] == "pass"
    unknown = finding(path=path, changed_since="v1.9.9")
    assert (unknown["status"], "v1.9.9 is no commit or tag" in unknown["summary"]) == ("unknown", True)
    assert finding(path=path, changed_since="--output=/tmp/x")["status"] == "unknown"


@pytest.fixture
def released(tmp_path: Path) -> Repository:
    """The release before this one, with its notes and its tag."""
    repository = Repository(tmp_path / "archive")
    repository.commit("CHANGELOG.md", "# Changelog\n\n## [2.0.0] - 2020-01-02\n\n- First\n")
    repository.git("tag", "v2.0.0")
    return repository


@serves("S1.62", case="pass")
def test_a_changelog_has_a_dated_section_of_this_version_since_the_last_tag(
    released: Repository, tmp_path: Path
) -> None:
    released.commit("CHANGELOG.md", CHANGELOG)
    found = finding(path=str(tmp_path / "archive/CHANGELOG.md"), version="2.0.1", dated=True, changed_since="v2.0.0")
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["headings"][1] == f"[2.0.1] - {TODAY}"


@serves("S1.62", case="fail")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["has no heading of version 2.0.1", "is the same as at v2.0.0"]),
        ("## [2.0.1]\n\n- Größere Dateien\n\n", ["has no date"]),
    ],
)
def test_a_changelog_without_this_versions_section_date_or_change_fails(
    released: Repository, tmp_path: Path, text: str, said: list[str]
) -> None:
    path = tmp_path / "archive/CHANGELOG.md"
    path.write_text(text + path.read_text())
    found = finding(path=str(path), version="2.0.1", dated=True, changed_since="v2.0.0")
    assert found["status"] == "fail"
    for part in said:
        assert part in found["summary"], found["summary"]


@serves("S1.61", case="pass")
def test_release_notes_name_the_version_and_are_told_by_their_hash(tmp_path: Path, http_server: HttpServer) -> None:
    notes = "# Archive 2.0.1\n\nGrößere Dateien.\n"
    (tmp_path / "notes.md").write_text(notes)
    http_server.route("/notes", Answer(200, notes))
    url = f"{http_server.url}/notes"
    for place, told in (({"path": str(tmp_path / "notes.md")}, "notes.md"), ({"url": url}, url)):
        found = finding(**place, version="2.0.1", version_in="text")
        assert found["status"] == "pass", found["summary"]
        assert found["evidence"]["document"] == told
        assert any("2.0.1" in str(measured) for measured in found["measured"].values()), found["measured"]
        assert found["evidence"]["sha256"] == hashlib.sha256(notes.encode()).hexdigest()


@serves("S1.61", case="fail")
def test_release_notes_of_another_version_or_at_no_place_fail(tmp_path: Path, http_server: HttpServer) -> None:
    (tmp_path / "notes.md").write_text("# Archive 2.0.0\n\nFirst.\n")
    old = finding(path=str(tmp_path / "notes.md"), version="2.0.1", version_in="text")
    assert (old["status"], "does not mention version 2.0.1" in old["summary"]) == ("fail", True)
    http_server.route("/notes", Answer(404, "no"))
    gone = finding(url=f"{http_server.url}/notes", version="2.0.1", version_in="text")
    assert (gone["status"], "status 404" in gone["summary"]) == ("fail", True)


def test_without_a_repository_nothing_can_be_compared(changelog: t.Any) -> None:
    found = changelog(changed_since="v1")
    assert (found["status"], "is in no git working tree" in found["summary"]) == ("unknown", True)


def test_a_page_is_fetched_and_judged(http_server: HttpServer) -> None:
    page = "<!DOCTYPE html><html><body><h1>Release 2.0.1</h1><p>Größer. <code>{{ x }}</code></p></body></html>"
    stamp = email.utils.formatdate(time.time() - 7200, usegmt=True)
    http_server.route("/notes", Answer(200, page, {"Last-Modified": stamp}))
    http_server.route("/moved", Answer(302, b"", {"Location": "/notes"}))
    url = f"{http_server.url}/moved"
    assert finding(url=url, version="2.0.1", max_age="3h")["status"] == "pass"
    assert finding(url=url, version="2.0.1", max_age="1h")["status"] == "fail"
    assert finding(url=url, version="2.0.2")["status"] == "fail"
    assert finding(url=url, max_size="20B")["status"] == "unknown"
    http_server.route("/undated", Answer(200, "# 2.0.1\nx\n", {"Last-Modified": "yesterday"}))
    assert finding(url=f"{http_server.url}/undated", version="2.0.1", max_age="3h")["status"] == "unknown"


@pytest.mark.parametrize(("status", "judged_as"), [(404, "fail"), (410, "fail"), (403, "unknown"), (500, "unknown")])
def test_a_page_that_is_not_there(http_server: HttpServer, status: int, judged_as: str) -> None:
    http_server.route("/notes", Answer(status, "# 2.0.1\nx\n"))
    found = finding(url=f"{http_server.url}/notes", version="2.0.1")
    assert (found["status"], f"status {status}" in found["summary"]) == (judged_as, True)


def test_no_answer_and_a_slow_one_are_unknown(refused_port: int, hanging_server: HangingServer) -> None:
    assert finding(url=f"http://127.0.0.1:{refused_port}/x")["status"] == "unknown"
    assert finding(url=f"http://127.0.0.1:{hanging_server.port}/x", timeout=0.5)["status"] == "unknown"


def test_a_token_is_sent_and_never_told(http_server: HttpServer, run_module: ModuleRun) -> None:
    http_server.route("/notes", Answer(200, f"# 2.0.1\nTODO {TOKEN}\n## {TOKEN}\nx\n"))
    args = {
        "url": f"{http_server.url}/notes",
        "bearer": TOKEN,
        "version": "2.0.2",
        "placeholder_patterns": ["doc-token.*"],
    }
    assert run_module("check_doc", args, secrets=[TOKEN])["finding"]["status"] == "fail"
    assert http_server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"required_headings": []}, "required_headings is empty"),
        ({"contains": []}, "contains is empty"),
        ({"placeholder_patterns": ["("]}, "not a regular expression"),
        ({"version": " "}, "version is empty"),
        ({"dated": True}, "dated needs version"),
        ({"age_of": "section", "max_age": "1d", "version": "1", "version_in": "text"}, "age_of needs version"),
        ({"age_of": "section", "version": "1"}, "without max_age"),
        ({"max_age": "soon"}, "not a span"),
        ({"max_size": "1GB"}, "at most 64MiB"),
        ({"min_size": "1G"}, "not a size"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_why(changelog: t.Any, params: dict[str, t.Any], said: str) -> None:
    found = changelog(**params)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


def test_the_examples_run_and_tell_good_from_bad(
    tmp_path: Path, http_server: HttpServer, run_module: ModuleRun
) -> None:
    repository = Repository(tmp_path / "current")
    repository.commit("CHANGELOG.md", "# Changelog\n")
    repository.git("tag", "v2.0.0")
    repository.commit("CHANGELOG.md", CHANGELOG)
    repository.commit("docs/runbook.md", RUNBOOK)
    http_server.route("/releases/2.0.1", Answer(200, "Archive v2.0.1 is out."))
    replaced = {"/srv/archive": str(tmp_path), "https://archive.example.org": http_server.url}
    examples = examples_of("check_doc", replaced).values()

    def statuses() -> list[str]:
        return [run_module("check_doc", {**args, "enforce": False})["finding"]["status"] for args in examples]

    assert statuses() == ["pass", "pass", "pass"]
    repository.commit("CHANGELOG.md", CHANGELOG.replace("2.0.1", "2.0.2"))
    repository.commit("docs/runbook.md", RUNBOOK.replace("112", "[Telefon]"))
    http_server.route("/releases/2.0.1", Answer(404, "no"))
    assert statuses() == ["fail", "fail", "fail"]
