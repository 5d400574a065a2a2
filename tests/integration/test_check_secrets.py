# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_secrets over real repositories, with keys that are made at random when the test runs."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import string
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_secrets, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._core import deps
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared
from tests.git_repository import Repository
from tests.module_examples import examples_of
from tests.parts import need_part

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

serves = pytest.mark.serves
CODE = 'import os\n\nPASSWORD = os.environ["PASSWORD"]\nsecret = settings.secret_key\nAPI_KEY = "${API_KEY}"\n'
HASH = re.compile(r"[0-9a-f]{4}(-[0-9a-f]{4}){3}")


def drawn(count: int, letters: str = string.ascii_letters + string.digits) -> str:
    return "".join(secrets.choice(letters) for _place in range(count))


def private_key() -> str:
    body = base64.encodebytes(secrets.token_bytes(9000)).decode()
    return f"-----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----\n"


#: By rule: how a secret of that rule is drawn, and how it stands in a file.
KINDS: dict[str, tuple[t.Callable[[], str], str, str]] = {
    "AWS Access Key": (lambda: "AKIA" + drawn(16, string.ascii_uppercase + string.digits), "settings.py", 'client = connect("s3", "{}")\n'),
    "GitHub Token": (lambda: "ghp_" + drawn(36), "deploy.sh", "curl -H 'X-Token: {}' https://api.github.com\n"),
    "GitLab token": (lambda: "glpat-" + drawn(20), "ci.py", "push({!r})\n"),
    "Secret Keyword": (lambda: drawn(8, string.ascii_lowercase), "settings.py", 'DB_PASSWORD = "{}"\n'),
    "Base64 High Entropy String": (lambda: base64.b64encode(secrets.token_bytes(48)).decode(), "app.yml", "value: {}\n"),
    "Basic Auth Credentials": (lambda: drawn(16), "urls.txt", "postgresql://archive:{}@db.firma.de/archive\n"),
    "private key": (private_key, "tls/key.pem", "{}"),
}  # fmt: skip


def finding(timeout: float = 60.0, shared: Shared | None = None, **params: t.Any) -> dict[str, t.Any]:
    checked = validated(check_secrets.ARGUMENT_SPEC, params, where="check_secrets", **check_secrets.CONSTRAINTS)
    found = judged(registry.load("check_secrets"), checked, Run(timeout_seconds=timeout, shared=shared))
    json.dumps(found)
    assert "raised" not in found["evidence"], found["summary"]
    return found


def shows_nothing(found: dict[str, t.Any], secret: str) -> None:
    """Not the secret, and no part of it either."""
    text = json.dumps(found)
    for line in secret.split("\n")[1:3] if "\n" in secret else [secret]:
        parts = {line[at : at + 8] for at in range(max(1, len(line) - 7))}
        assert not [part for part in parts if part in text]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository in which nothing is secret."""
    made = Repository(tmp_path / "archive")
    made.commit("app/main.py", CODE)
    return made


@serves("S1.20", case="pass")
def test_a_repository_whose_secrets_are_references_passes_and_is_counted(repository: Repository) -> None:
    repository.commit("README.md", "Set PASSWORD before the start.\n")
    found = finding(path=str(repository.path / "app"), history={})
    assert found["status"] == "pass", found["summary"]
    assert (found["measured"]["files searched"], found["measured"]["history"]) == (2, "2 of 2 commits")


@serves("S1.20", case="fail")
@pytest.mark.parametrize("rule", sorted(KINDS))
def test_a_secret_in_a_tracked_file_is_told_by_path_line_rule_and_hash(repository: Repository, rule: str) -> None:
    draw, name, line = KINDS[rule]
    secret = draw()
    repository.commit(name, f"# first\n{line.format(secret)}")
    found = finding(path=str(repository.path))
    assert (found["status"], f"1 secrets in tracked files: {name}:2 {rule} (" in found["summary"]) == ("fail", True), (
        found
    )
    (told,) = found["evidence"]["found"]
    assert (told["path"], told["line"], told["rule"], found["evidence"]["files_searched"]) == (name, 2, rule, 2)
    assert HASH.fullmatch(told["match"])
    shows_nothing(found, secret)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
def test_a_file_that_is_not_utf_8_is_searched_all_the_same(repository: Repository, encoding: str) -> None:
    secret = KINDS["AWS Access Key"][0]()
    (repository.path / "größe.ini").write_bytes(f"# Größe\nkey={secret}\n".encode(encoding))
    repository.git("add", ".")
    found = finding(path=str(repository.path))
    assert (found["status"], "größe.ini:2 AWS Access Key" in found["summary"]) == ("fail", True), found["summary"]


def test_a_file_that_was_renamed_is_found_where_it_is_now(repository: Repository) -> None:
    repository.commit("old.py", KINDS["Secret Keyword"][2].format(KINDS["Secret Keyword"][0]()))
    repository.git("mv", "old.py", "new.py")
    found = finding(path=str(repository.path))
    assert [each["path"] for each in found["evidence"]["found"]] == ["new.py"]


def test_an_untracked_file_a_link_and_a_submodule_are_not_searched(repository: Repository, tmp_path: Path) -> None:
    key = f"k = '{KINDS['GitHub Token'][0]()}'\n"
    (repository.path / "local.py").write_text(key)
    (tmp_path / "elsewhere.py").write_text(key)
    (repository.path / "link.py").symlink_to(tmp_path / "elsewhere.py")
    Repository(tmp_path / "part").commit("part.py", key)
    repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "part"), "part")
    repository.git("add", "link.py")
    found = finding(path=str(repository.path))
    assert (found["status"], found["evidence"]["files_searched"]) == ("pass", 2), found["summary"]
    repository.git("add", "local.py")
    assert finding(path=str(repository.path))["status"] == "fail"


def test_a_secret_that_was_removed_is_in_the_history_with_the_commit_that_brought_it(repository: Repository) -> None:
    secret = KINDS["AWS Access Key"][0]()
    brought = repository.commit("app/s3.py", f"# one\n# two\nKEY = '{secret}'\n")
    repository.commit("app/s3.py", f"# two\nKEY = '{secret}'  # moved\n")
    repository.commit("app/s3.py", "# two\n")
    path = str(repository.path)
    assert finding(path=path)["status"] == "pass"
    found = finding(path=path, history={})
    assert (found["status"], f"1 secrets in the history: app/s3.py:3 of {brought[:12]} AWS" in found["summary"]) == (
        "fail",
        True,
    )
    shows_nothing(found, secret)
    after = finding(path=path, history={"after": "HEAD"})
    assert (after["status"], after["measured"]["history"]) == ("pass", "0 of 0 commits")
    assert finding(path=path, history={}, exclude=["app/s3.*"])["status"] == "pass"


def test_a_secret_that_is_still_there_is_told_once_and_a_branch_is_history_too(repository: Repository) -> None:
    repository.commit("a.py", KINDS["Secret Keyword"][2].format(drawn(10)))
    found = finding(path=str(repository.path), history={})
    assert "in the history" not in found["summary"]
    repository.git("checkout", "--quiet", "-b", "side")
    repository.commit("b.py", f"x = '{KINDS['GitLab token'][0]()}'\n")
    repository.git("checkout", "--quiet", "main")
    assert "1 secrets in the history: b.py:1 of" in finding(path=str(repository.path), history={})["summary"]


def test_what_only_a_merge_brought_in_is_history_too(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "side")
    repository.commit("side.py", "a = 1\n")
    repository.git("checkout", "--quiet", "main")
    repository.commit("main.py", "b = 1\n")
    repository.git("merge", "--quiet", "--no-commit", "side")
    (repository.path / "side.py").write_text(f"a = 1\nkey = '{KINDS['AWS Access Key'][0]()}'\n")
    repository.git("add", ".")
    repository.git("commit", "--quiet", "--message", "merge")
    repository.commit("side.py", "a = 1\n")
    assert "side.py:2 of" in finding(path=str(repository.path), history={})["summary"]


def test_a_history_that_is_not_searched_to_its_end_is_unknown_and_says_how_much_was(
    repository: Repository, tmp_path: Path
) -> None:
    for number in range(3):
        repository.commit("n.txt", f"{number}\n")
    cut = finding(path=str(repository.path), history={"max_commits": 3})
    assert (cut["status"], "3 of 4 commits were searched: max_commits is 3" in cut["summary"]) == ("unknown", True)
    repository.git("clone", "--quiet", "--depth=2", f"file://{repository.path}", str(tmp_path / "shallow"))
    shallow = finding(path=str(tmp_path / "shallow"), history={})
    assert (shallow["status"], "the repository is shallow" in shallow["summary"]) == ("unknown", True)
    nothing = finding(path=str(repository.path), history={"after": "v9"})
    assert (nothing["status"], "no commit or tag" in nothing["summary"]) == ("unknown", True)


def accepting(path: Path, told: t.Mapping[str, t.Any], **changes: t.Any) -> str:
    entry = {**{key: told[key] for key in ("path", "rule", "match")}, "owner": "backend", "reason": "a demo", "expires": "2099-12-31"}  # fmt: skip
    path.write_text(yaml.safe_dump({"accepted": [{**entry, **changes}]}))
    return str(path)


@serves("S1.20", case="fail")
@serves("S1.20", case="pass")
def test_what_is_accepted_with_an_owner_passes_until_it_expires_and_only_there(
    repository: Repository, tmp_path: Path
) -> None:
    text = KINDS["Secret Keyword"][2].format(drawn(10))
    repository.commit("demo.py", text)
    path, place = str(repository.path), repository.path / "accepted.yml"
    (told,) = finding(path=path)["evidence"]["found"]
    accepted = accepting(place, told)
    repository.git("add", ".")
    found = finding(path=path, accepted_file=accepted)
    assert (found["status"], found["evidence"]["accepted_unused"]) == ("pass", []), found["summary"]
    repository.commit("demo.py", f"\n\n{text}")
    assert finding(path=path, accepted_file=accepted, history={})["status"] == "pass"
    expired = finding(path=path, accepted_file=accepting(place, told, expires="2026-01-31"))
    assert expired["status"] == "fail"
    assert f"demo.py:3 Secret Keyword ({told['match']}) until 2026-02-01 00:00 by backend" in expired["summary"]
    repository.git("mv", "demo.py", "app/demo.py")
    moved = finding(path=path, accepted_file=accepting(place, told))
    assert (moved["status"], len(moved["evidence"]["accepted_unused"])) == ("fail", 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- path: a\n", "does not say what is accepted: expected one list"),
        ("accepted: {}\n", "does not say what is accepted"),
        ("accepted: []\naccepted: []\n", "has the key 'accepted' twice"),
        ("accepted: [3]\n", "accepted 1 is no mapping"),
        ("accepted: [{path: a}]\n", "accepted 1: missing required arguments: expires, match, owner, reason, rule"),
        ("accepted: [{path: a, rule: r, match: m, owner: '', reason: r, expires: 2026-12-31}]\n", "accepted 1: owner is empty"),
        ("accepted: [{path: a, rule: r, match: m, owner: o, reason: r, expires: soon}]\n", "expires is 'soon', expected a day"),
    ],
)  # fmt: skip
def test_a_file_of_what_is_accepted_that_cannot_be_read_accepts_nothing(
    repository: Repository, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "accepted.yml").write_text(text)
    found = finding(path=str(repository.path), accepted_file=str(tmp_path / "accepted.yml"))
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


def test_a_comment_in_the_code_allows_nothing(repository: Repository) -> None:
    repository.commit("a.py", f'PASSWORD = "{drawn(12)}"  # pragma: allowlist secret\n')
    assert finding(path=str(repository.path))["status"] == "fail"


def test_patterns_and_rules_that_are_left_out_are_and_unknown_rules_are_refused(repository: Repository) -> None:
    repository.commit("vendor/deep/a.py", KINDS["Secret Keyword"][2].format(drawn(10)))
    path = str(repository.path)
    found = finding(path=path, exclude=["vendor/*"])
    assert (found["status"], found["evidence"]["excluded"]) == ("pass", 1)
    assert finding(path=path, ignored_rules=["Secret Keyword"])["status"] == "pass"
    refused = finding(path=path, ignored_rules=["Keyword"])
    assert (refused["status"], "there is no rule 'Keyword'; there are AWS Access Key" in refused["summary"]) == (
        "unknown",
        True,
    )


def test_nothing_searched_is_nothing_known(repository: Repository, tmp_path: Path) -> None:
    for path, options in ((repository.path, {"exclude": ["*"]}), (Repository(tmp_path / "empty").path, {})):
        found = finding(path=str(path), **options)
        assert (found["status"], "no tracked file of" in found["summary"].lower()) == ("unknown", True), found[
            "summary"
        ]
    assert finding(path=str(tmp_path))["status"] == "unknown"


def test_what_is_binary_is_counted_and_what_is_large_or_gone_is_unknown(repository: Repository) -> None:
    (repository.path / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0" + secrets.token_bytes(200))
    repository.commit("gone.txt", "x\n")
    repository.commit("large.txt", "text " * 1000)
    repository.git("add", ".")
    path = str(repository.path)
    assert (found := finding(path=path))["status"] == "pass", found["summary"]
    assert found["evidence"]["binaries"] == ["logo.png"]
    (repository.path / "gone.txt").unlink()
    found = finding(path=path, max_file_size="1kB")
    assert (found["status"], set(found["evidence"]["unreadable"])) == ("unknown", {"gone.txt", "large.txt"})
    assert "2 tracked files were not read" in found["summary"]


def test_a_line_of_any_length_is_searched(repository: Repository) -> None:
    key = KINDS["AWS Access Key"][0]()
    for place in (0, 4090, 50_000):
        repository.commit("min.js", f"{'a b ' * (place // 4)} '{key}' {'c d ' * 9000}\n")
        found = finding(path=str(repository.path))
        assert "min.js:1 AWS Access Key" in found["summary"], place


def test_a_file_full_of_secrets_is_counted_to_its_end(repository: Repository) -> None:
    repository.commit("dump.py", "".join(f'password = "{drawn(12)}"\n' for _line in range(130)))
    found = finding(path=str(repository.path))
    assert (found["measured"]["secrets in tracked files"], "and 120 more" in found["summary"]) == (130, True)


def test_a_search_without_time_is_unknown_says_what_is_left_and_is_not_anothers_answer(repository: Repository) -> None:
    for number in range(40):
        (repository.path / f"{number}.py").write_text(f"value_{number} = compute('something', {number})\n" * 2000)
    repository.git("add", ".")
    shared = Shared()
    cut = finding(timeout=1.5, shared=shared, path=str(repository.path), history={})
    assert cut["status"] == "unknown", cut["summary"]
    assert re.search(r"after 1\.5 s \d+ of 41 tracked files were not read", cut["summary"], re.IGNORECASE)
    assert finding(timeout=120, shared=shared, path=str(repository.path))["measured"]["files searched"] == 41


def test_a_library_that_is_missing_is_named(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(deps.FLOORS, "detect_secrets", ("bc-detect-secrets", "999.0"))
    found = finding(path=str(repository.path))
    assert (found["status"], "bc-detect-secrets is 1." in found["summary"]) == ("unknown", True), found["summary"]


def test_another_users_repository_is_searched_when_the_owner_is_named(repository: Repository) -> None:
    need_part("root", os.geteuid() == 0, "only root can give files to another user")
    repository.commit("a.py", KINDS["Secret Keyword"][2].format(drawn(10)))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = shutil.move(repository.path, folder)
        subprocess.run(["chown", "-R", "nobody", path], check=True)
        refused = finding(path=str(path))
        assert (refused["status"], "does not trust" in refused["summary"]) == ("unknown", True)
        assert finding(path=str(path), trusted_owner="nobody", history={})["status"] == "fail"


@pytest.mark.parametrize(
    ("params", "said"),
    [({"max_file_size": "1GB"}, "at most 16MiB"), ({"history": {"max_commits": 0}}, "expected at least 1")],
)
def test_what_cannot_be_used_is_unknown_and_says_so(
    repository: Repository, params: dict[str, t.Any], said: str
) -> None:
    found = finding(path=str(repository.path), **params)
    assert (found["status"], said in found["summary"]) == ("unknown", True)


def test_the_module_prints_no_secret_whatever_happens(repository: Repository, run_module: ModuleRun) -> None:
    secret = KINDS["GitHub Token"][0]()
    repository.commit("a.sh", f"TOKEN={secret}\n")
    repository.commit("a.sh", "\n")
    repository.commit("b.yml", f"token: {secret}\n")
    for options in (
        {},
        {"history": {}},
        {"timeout": 0.4, "history": {}},
        {"accepted_file": str(repository.path / "b.yml")},
    ):
        args = {"path": str(repository.path), "timeout": 60, **options, "enforce": False}
        assert run_module("check_secrets", args, secrets=[secret, secret[:12]])["finding"]["status"] in (
            "fail",
            "unknown",
        )


def test_the_examples_run_and_tell_good_from_bad(repository: Repository, run_module: ModuleRun, tmp_path: Path) -> None:
    shutil.move(repository.path, tmp_path / "current")
    current = Repository(tmp_path / "current")
    current.git("tag", "v2.0.0")
    current.commit(".accepted-secrets.yml", "accepted: []\n")
    examples = examples_of("check_secrets", {"/srv/archive": str(tmp_path)}).values()

    def statuses() -> list[str]:
        return [run_module("check_secrets", {**args, "enforce": False})["finding"]["status"] for args in examples]

    assert statuses() == ["pass", "pass"]
    current.commit("a.py", KINDS["Secret Keyword"][2].format(drawn(10)))
    assert statuses() == ["fail", "fail"]
