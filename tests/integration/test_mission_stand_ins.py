# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Items of the written checklists whose part the reference system lacks, on small services of this file."""

from __future__ import annotations

import hashlib
import typing as t

import pytest

from tests.servers import Answer, HttpServer, MotoS3, Request

USER, ADMIN = "geheim-user-token-41aa", "geheim-admin-token-77bb"
serves = pytest.mark.serves


@pytest.fixture
def walk(http_server: HttpServer, run_module_here: t.Any) -> t.Callable[..., dict[str, t.Any]]:
    def run(steps: list[dict[str, t.Any]], **options: t.Any) -> dict[str, t.Any]:
        arguments = {"base_url": http_server.url, "secrets": {"user": USER, "admin": ADMIN}, "steps": steps, **options}
        answer = run_module_here("smoke_http", {"enforce": False, **arguments}, secrets=[USER, ADMIN])
        return t.cast("dict[str, t.Any]", answer)

    return run


# ---- an admin panel


PANEL = "a small admin panel of the test"
OPENS = [
    {
        "name": "as administrator",
        "request": {"url": "/panel", "bearer": "${admin}"},
        "expect": {"contains": ["/panel.js"]},
    },
    {"name": "as user", "request": {"url": "/panel", "bearer": "${user}"}, "expect": {"status": [403]}},
    {"name": "as nobody", "request": {"url": "/panel"}, "expect": {"status": [401]}},
    {
        "name": "asset",
        "request": {"url": "/panel.js"},
        "expect": {"response_headers": [{"name": "Content-Type", "matches": "javascript"}], "contains": ["start()"]},
    },
]


def panel(request: Request) -> Answer:
    token = request.headers.get("Authorization")
    if token == f"Bearer {ADMIN}":
        return Answer(200, '<script src="/panel.js"></script>')
    return Answer(403 if token else 401, "no")


@serves("S1.59", case="pass", stand_in=PANEL)
def test_the_panel_opens_for_administrators_alone_and_its_asset_loads(http_server: HttpServer, walk: t.Any) -> None:
    http_server.route("/panel", panel)
    http_server.route("/panel.js", Answer(200, "start()", {"Content-Type": "text/javascript"}))
    done = walk(OPENS)
    assert done["status"] == "pass", done
    assert [step["http_status"] for step in done["steps"]] == [200, 403, 401, 200]


@serves("S1.59", case="fail", stand_in=PANEL)
@pytest.mark.parametrize(
    ("page", "asset", "said"),
    [
        (Answer(200, '<script src="/panel.js">'), Answer(200, "start()", {"Content-Type": "text/javascript"}), "status is 200, expected 403"),
        (panel, Answer(404, "gone"), "status is 404"),
        (panel, Answer(200, "<html>", {"Content-Type": "text/html"}), "Content-Type value is 'text/html'"),
    ],
)  # fmt: skip
def test_a_panel_that_is_open_or_lacks_its_asset_fails(
    http_server: HttpServer, walk: t.Any, page: t.Any, asset: Answer, said: str
) -> None:
    http_server.route("/panel", page)
    http_server.route("/panel.js", asset)
    failed = walk(OPENS)
    assert (failed["status"], said in failed["finding"]["summary"]) == ("fail", True), failed["finding"]["summary"]


# ---- an application with a backup call of its own


BACKUP = "a small application of the test with a backup call"
PARTS = ("datenbank", "dateien")
FULL = {
    "name": "full backup",
    "request": {"url": "/backup/full", "bearer": "${admin}", "json": {}},
    "expect": {
        "status": [202],
        "json": [{"path": f"$.{part}.{told}", "equals": True} for part in PARTS for told in ("erfolg", "validiert")],
    },
    "capture": {"job": "$.job"},
}


class OwnBackup:
    """Takes a backup, needs three looks for it, and puts its artifact into a real bucket, under the job's name."""

    def __init__(self, server: HttpServer, store: MotoS3) -> None:
        self.parts: dict[str, dict[str, bool]] = {part: {"erfolg": True, "validiert": True} for part in PARTS}
        self.states = ["wartet", "läuft", "fertig"]
        self.artifact = b"what was backed up" * 1000
        self.store, self.bucket = store, store.create_bucket()
        server.route("POST /backup/full", self.begin)
        server.route("/backup/status", lambda request: Answer(200, {"status": "gesund"}))
        server.route("/backup/status/job-7", self.state)

    def begin(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {ADMIN}":
            return Answer(401, "no")
        self.put(self.artifact)
        return Answer(202, {"job": "job-7", **self.parts})

    def put(self, artifact: bytes) -> None:
        self.store.client().put_object(Bucket=self.bucket, Key="job-7.tar", Body=artifact, ACL="public-read")

    def state(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {ADMIN}":
            return Answer(401, "no")
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return Answer(200, {"state": state, "sha256": hashlib.sha256(self.artifact).hexdigest()})

    def until_done(self, status: str = "/backup/status/${job}") -> list[dict[str, t.Any]]:
        return [
            FULL,
            {
                "name": "done",
                "request": {"url": status, "bearer": "${admin}"},
                "poll": {
                    "until": [{"path": "$.state", "equals": "fertig"}],
                    "give_up": [{"path": "$.state", "one_of": ["fehler"]}],
                    "timeout": 5,
                    "interval": 0.02,
                },
                "capture": {"sum": "$.sha256"},
            },
            {
                "name": "artifact",
                "request": {"url": f"{self.store.endpoint}/{self.bucket}/${{job}}.tar"},
                "expect": {"body_sha256": "${sum}"},
            },
        ]


@pytest.fixture
def own_backup(http_server: HttpServer, moto_s3: MotoS3) -> OwnBackup:
    return OwnBackup(http_server, moto_s3)


@serves("S1.29", "S1.30", case="pass", stand_in=BACKUP)
def test_a_backup_that_the_application_takes_is_read_again(own_backup: OwnBackup, walk: t.Any) -> None:
    done = walk(own_backup.until_done())
    assert done["status"] == "pass", done["msg"]
    assert (done["captured"]["job"], done["steps"][1]["attempts"]) == ("job-7", 3)


@serves("S1.29", case="fail", stand_in=BACKUP)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("told", ["erfolg", "validiert"])
def test_a_part_that_was_not_backed_up_fails_whatever_the_status_says(
    own_backup: OwnBackup, walk: t.Any, part: str, told: str
) -> None:
    own_backup.parts[part][told] = False
    failed = walk([FULL])
    assert (failed["status"], f"$.{part}.{told} is false, expected true" in failed["msg"]) == ("fail", True), failed[
        "msg"
    ]


@serves("S1.30", case="fail", stand_in=BACKUP)
def test_a_backup_that_fails_or_is_not_looked_at_itself_fails(own_backup: OwnBackup, walk: t.Any) -> None:
    own_backup.states = ["läuft", "fehler"]
    failed = walk(own_backup.until_done())
    assert (failed["status"], "$.state is fehler" in failed["msg"]) == ("fail", True), failed["msg"]
    own_backup.states = ["fertig"]
    # The system's state, which needs no token, says nothing of this backup.
    other = walk([FULL, {**own_backup.until_done("/backup/status")[1], "capture": {}}])
    assert (other["status"], "$.state" in other["msg"]) == ("fail", True), other["msg"]


@serves("S1.30", case="fail", stand_in=BACKUP)
def test_an_artifact_that_is_another_one_in_its_storage_fails(own_backup: OwnBackup, walk: t.Any) -> None:
    assert walk(own_backup.until_done()[:2])["status"] == "pass"
    own_backup.put(b"cut")
    done, read = own_backup.until_done()[1:]
    for step in (done, read):
        step["request"]["url"] = step["request"]["url"].replace("${job}", "job-7")
    failed = walk([done, read])
    said = f"Artifact body sha256 is {hashlib.sha256(b'cut').hexdigest()}, expected "
    assert (failed["status"], said in failed["msg"]) == ("fail", True), failed["msg"]
