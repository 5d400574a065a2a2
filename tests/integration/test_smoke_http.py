# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""smoke_http against a small archive: what a user does, what goes wrong, and what is left behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import typing as t
from email.parser import BytesParser
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import lock_directory
from tests.servers import Answer, DemoCa, HangingServer, HttpServer, Request, await_true

PASSWORD = "geheim-smoke-passwort"
TOKEN = "geheim-jwt-aaaabbbbccccdddd"
BYPASS = "geheim-bypass-99"
PHRASE = "Rechnung 4711 (Müller & Söhne)"


class Archive:
    """Login, upload, a job that takes three looks, download, delete."""

    def __init__(self, tls: t.Any = None) -> None:
        self.documents: dict[str, bytes] = {}
        self.looks = 0
        self.wrong_text = False
        self.job_fails = False
        self.server = HttpServer(
            {
                "POST /api/auth/login": self.login,
                "POST /api/documents/": self.upload,
                "GET /api/jobs/7": self.job,
                "POST /api/jobs": self.guarded(lambda request: Answer(202, {"job_id": 7})),
                "*": self.document,
            },
            tls=tls,
        )

    def guarded(self, answer: t.Callable[[Request], Answer]) -> t.Callable[[Request], Answer]:
        def check(request: Request) -> Answer:
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return Answer(401, {"detail": "no"})
            return answer(request)

        return check

    def login(self, request: Request) -> Answer:
        sent = json.loads(request.body)
        if sent != {"username": "smoke", "password": PASSWORD}:
            return Answer(401, {"detail": "wrong"})
        return Answer(200, {"access_token": TOKEN, "refresh": "geheim-refresh-0123456789", "expires": 3600})

    def upload(self, request: Request) -> Answer:
        def keep(request: Request) -> Answer:
            message = BytesParser().parsebytes(
                b"Content-Type: " + request.headers["Content-Type"].encode() + b"\r\n\r\n" + request.body
            )
            parts = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}
            number = str(len(self.documents) + 1)
            self.documents[number] = parts["file"].get_payload(decode=True)
            return Answer(201, {"id": number, "name": parts["file"].get_filename()}, {"X-Id": number})

        return self.guarded(keep)(request)

    def job(self, request: Request) -> Answer:
        self.looks += 1
        if self.looks < 3:
            return Answer(200, {"state": "läuft"})
        if self.job_fails:
            return Answer(200, {"state": "fehlgeschlagen"})
        return Answer(200, {"state": "fertig", "text": "nichts" if self.wrong_text else self.text()})

    def text(self) -> str:
        from pypdf import PdfReader

        return PdfReader(io.BytesIO(self.documents["1"])).pages[0].extract_text()

    def document(self, request: Request) -> Answer:
        def serve(request: Request) -> Answer:
            number = request.path.split("/")[3]
            if number not in self.documents:
                return Answer(404, {"detail": "none"})
            if request.method == "DELETE":
                del self.documents[number]
                return Answer(204)
            return Answer(200, self.documents[number])

        return self.guarded(serve)(request)


@pytest.fixture
def archive() -> t.Iterator[Archive]:
    made = Archive()
    with made.server:
        yield made


def walk() -> dict[str, t.Any]:
    return {
        "secret_headers": {"X-Bypass": BYPASS},
        "variables": {"phrase": PHRASE},
        "secrets": {"password": PASSWORD},
        "steps": [
            {
                "name": "log in",
                "request": {"url": "auth/login", "json": {"username": "smoke", "password": "${password}"}},
                "capture": {"token": "$.access_token"},
                "secret": True,
            },
            {
                "name": "upload",
                "request": {
                    "url": "/documents/",
                    "bearer": "${token}",
                    "multipart": [
                        {"field": "title", "content": "smoke"},
                        {"field": "file", "filename": "smoke-${run_id}.pdf", "pdf_text": "${phrase}"},
                    ],
                },
                "expect": {"status": [201], "response_headers": [{"name": "X-Id", "exists": True}]},
                "capture": {"document": "$.id", "upload": "sent:sha256", "id_header": "header:X-Id", "code": "status"},
            },
            {
                "name": "start",
                "request": {"url": "jobs", "bearer": "${token}", "json": {"document_id": "${document}"}},
                "capture": {"job": "$.job_id"},
            },
            {
                "name": "wait",
                "request": {"url": "jobs/${job}", "bearer": "${token}"},
                "poll": {
                    "until": [{"path": "$.state", "equals": "fertig"}],
                    "give_up": [{"path": "$.state", "equals": "fehlgeschlagen"}],
                    "timeout": 10,
                    "interval": 0.02,
                },
                "expect": {"json": [{"path": "$.text", "equals": "${phrase}"}]},
            },
            {
                "name": "download",
                "request": {"url": "documents/${document}/download", "bearer": "${token}"},
                "expect": {"body_sha256": "${upload}"},
            },
        ],
        "cleanup": [
            {
                "name": "delete",
                "request": {"method": "delete", "url": "documents/${document}", "bearer": "${token}"},
            }
        ],
    }


@pytest.fixture
def smoke(archive: Archive, run_module_here: t.Any) -> t.Callable[..., dict[str, t.Any]]:
    def run(check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {"base_url": f"{archive.server.url}/api", **walk(), **options}
        secrets = [PASSWORD, TOKEN, BYPASS, "geheim-refresh-0123456789"]
        return t.cast("dict[str, t.Any]", run_module_here("smoke_http", arguments, check=check, secrets=secrets))

    return run


def test_a_document_goes_in_is_read_and_is_removed_again(archive: Archive, smoke: t.Any) -> None:
    done = smoke()
    assert not done.get("failed"), done
    assert done["status"] == "pass"
    assert [step["status"] for step in done["steps"]] == ["pass"] * 5
    assert done["steps"][3]["attempts"] == 3
    assert done["steps"][0]["excerpt"] == ""
    assert done["captured"]["document"] == "1"
    assert done["captured"]["code"] == 201
    assert "token" not in done["captured"]
    assert (done["changed"], done["left_behind"], archive.documents) == (True, [], {})
    assert all(request.headers["X-Bypass"] == BYPASS for request in archive.server.requests)
    assert archive.server.requests[-1].method == "DELETE"
    json.dumps(done)


def test_each_run_is_a_walk_of_its_own(archive: Archive, smoke: t.Any) -> None:
    done = smoke(runs=2)
    assert len(done["steps"]) == 10
    assert len({request.body for request in archive.server.requests if b'filename="smoke-' in request.body}) == 2
    assert archive.documents == {}


def test_a_wrong_text_fails_and_the_document_is_removed(archive: Archive, smoke: t.Any) -> None:
    archive.wrong_text = True
    failed = smoke()
    assert failed["failed"]
    assert "wait $.text is nichts, expected Rechnung 4711" in failed["msg"].replace("Wait", "wait")
    assert [step["name"] for step in failed["steps"]] == ["log in", "upload", "start", "wait"]
    assert failed["cleanup"][0]["status"] == "pass"
    assert archive.documents == {}
    assert smoke(enforce=False)["status"] == "fail"


def test_a_job_that_failed_is_not_waited_for(archive: Archive, smoke: t.Any) -> None:
    archive.job_fails = True
    failed = smoke()
    assert "$.state is fehlgeschlagen, expected fertig" in failed["msg"]
    assert failed["steps"][-1]["attempts"] == 3


def test_a_job_that_does_not_end_fails_at_the_polls_limit(archive: Archive, smoke: t.Any) -> None:
    archive.server.route("GET /api/jobs/7", Answer(200, {"state": "läuft"}))
    steps = walk()["steps"]
    steps[3]["poll"].update(timeout=0.2)
    failed = smoke(steps=steps)
    assert failed["status"] == "fail"
    assert "$.state is läuft, expected fertig" in failed["msg"]


def test_a_wrong_password_fails_and_is_not_shown(archive: Archive, smoke: t.Any) -> None:
    failed = smoke(secrets={"password": "geheim-wrong-one"})
    assert failed["status"] == "fail"
    assert "status is 401" in failed["msg"]
    assert "geheim-wrong-one" not in json.dumps(failed)
    assert failed["cleanup"] == [], "nothing was made, so nothing is removed"
    assert failed["left_behind"] == []


def test_what_could_not_be_removed_is_named_and_is_a_warning(archive: Archive, smoke: t.Any) -> None:
    archive.server.route("DELETE /api/documents/1", Answer(500, "broken"))
    done = smoke()
    assert not done.get("failed"), done
    assert done["status"] == "warn"
    assert len(done["left_behind"]) == 1
    assert "/api/documents/1" in done["left_behind"][0]
    assert "left behind" in done["msg"].lower()


def test_no_server_and_a_hanging_server_are_unknown(
    smoke: t.Any, refused_port: int, hanging_server: HangingServer
) -> None:
    nobody = smoke(base_url=f"http://127.0.0.1:{refused_port}")
    assert (nobody["failed"], nobody["status"]) == (True, "unknown")
    assert "refused" in nobody["msg"]
    silent = smoke(base_url=f"http://127.0.0.1:{hanging_server.port}", request_timeout=0.2)
    assert silent["status"] == "unknown"
    assert "may have made something" in silent["left_behind"][0]
    assert silent["changed"]


def test_the_limit_for_all_steps_holds(archive: Archive, smoke: t.Any) -> None:
    archive.server.route("GET /api/jobs/7", Answer(200, {"state": "läuft"}))
    failed = smoke(timeout=2.0)
    assert failed["failed"]
    assert archive.documents == {}, "cleanup has a limit of its own"


def test_a_server_that_goes_away_while_polling_is_unknown(archive: Archive, smoke: t.Any) -> None:
    steps = walk()["steps"]
    steps[3]["request"]["url"] = "http://127.0.0.1:1/jobs"
    steps[3]["poll"].update(timeout=0.2)
    failed = smoke(steps=steps)
    assert failed["status"] == "unknown"
    assert failed["steps"][-1]["attempts"] > 1


def test_check_mode_sends_nothing_and_is_unknown(archive: Archive, smoke: t.Any) -> None:
    told = smoke(check=True)
    assert not told.get("failed")
    assert (told["changed"], told["status"], told["steps"]) == (True, "unknown", [])
    assert "check mode does not run it" in told["msg"]
    assert archive.server.requests == []


def test_bodies_are_sent_as_they_are_named(archive: Archive, run_module_here: t.Any, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"\x00\x01")
    archive.server.route("*", Answer(200, "ok $${x}"))
    part = {"field": 'a"b', "src": str(tmp_path / "file.bin")}
    steps = [
        {"name": "form", "request": {"url": "f", "form": {"a": "ü b", "c": ["1", "2"]}}},
        {"name": "text", "request": {"url": "t", "method": "put", "body": "wort $${kein}"}},
        {"name": "file", "request": {"url": "m", "multipart": [part]}, "capture": {"sum": "body:sha256"}},
        {"name": "own type", "request": {"url": "j", "json": [1], "headers": {"content-type": "application/x-own"}}},
        {"name": "quoted", "request": {"url": "q/${sum}?x=1"}, "expect": {"contains": ["ok"], "max_ms": 60000}},
        {"name": "head", "request": {"url": "h", "method": "HEAD"}},
    ]
    done = run_module_here("smoke_http", {"base_url": archive.server.url, "steps": steps})
    assert not done.get("failed"), done
    form, text, file, own, quoted, _head = archive.server.requests
    assert parse_qs(form.body.decode()) == {"a": ["ü b"], "c": ["1", "2"]}
    assert (text.method, text.body) == ("PUT", b"wort ${kein}")
    assert b'name="a%22b"; filename="file.bin"' in file.body
    assert own.headers["content-type"] == "application/x-own"
    assert quoted.path == f"/q/{done['captured']['sum']}?x=1"


def test_captured_values_are_quoted_in_a_path(archive: Archive, run_module_here: t.Any) -> None:
    archive.server.route("*", Answer(200, {"id": "a/b?c", "next": archive.server.url + "/next"}))
    steps = [
        {"name": "first", "request": {"url": "x"}, "capture": {"id": "$.id", "next": "$.next"}},
        {"name": "second", "request": {"url": "y/${id}"}},
        {"name": "third", "request": {"url": "${next}"}},
    ]
    run_module_here("smoke_http", {"base_url": archive.server.url, "steps": steps})
    assert [request.path for request in archive.server.requests] == ["/x", "/y/a%2Fb%3Fc", "/next"]


def test_a_value_that_is_not_there_cannot_be_kept(archive: Archive, run_module_here: t.Any) -> None:
    archive.server.route("*", Answer(200, "no json"))
    for place in ("$.id", "header:X-None", "sent:sha256"):
        step = {"name": "s", "request": {"url": archive.server.url}, "capture": {"x": place}}
        failed = run_module_here("smoke_http", {"steps": [step]})
        assert failed["status"] == "fail"
        assert f"{place} is absent" in failed["msg"]


def test_a_body_with_another_digest_fails(archive: Archive, smoke: t.Any) -> None:
    steps = walk()["steps"]
    steps[4]["expect"] = {"body_sha256": "0" * 64}
    assert "body sha256" in smoke(steps=steps)["msg"]


def test_an_excerpt_shows_no_value_of_a_secret_looking_key(archive: Archive, run_module_here: t.Any) -> None:
    body = {"api_key": "geheim-excerpt-1", "list": [{"password": "geheim-excerpt-2"}], "name": "x" * 400, "none": None}
    archive.server.route("*", Answer(200, body))
    step = {"name": "s", "request": {"url": archive.server.url}}
    done = run_module_here("smoke_http", {"steps": [step]}, secrets=["geheim-excerpt-1", "geheim-excerpt-2"])
    assert done["steps"][0]["excerpt"].endswith("…")
    archive.server.route("*", Answer(200, b"\x00" * 9))
    assert "9 bytes of application/octet-stream" in json.dumps(run_module_here("smoke_http", {"steps": [step]}))
    archive.server.route("*", Answer(200, "{kein json", {"Content-Type": "application/json"}))
    assert "not JSON" in run_module_here("smoke_http", {"steps": [step]})["steps"][0]["excerpt"]


def test_an_excerpt_of_a_log_shows_no_secret_and_nothing_personal(archive: Archive, run_module_here: t.Any) -> None:
    token, mail, key = "abc123def456ghi789jkl", "erika.mustermann@example.org", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
    log = f"step 1\nSECRET_KEY={token}\nsent to {mail}\n-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\ndone"
    # One that stands where the excerpt ends must not be cut in half.
    for text in (log, "x" * 170 + f" SECRET_KEY={token}"):
        for body in (text, {"lines": text.splitlines()}):
            archive.server.route("*", Answer(200, body))
            step = {"name": "s", "request": {"url": archive.server.url}}
            done = run_module_here("smoke_http", {"steps": [step]}, secrets=[token[:8], mail, key])
            assert "********" in done["steps"][0]["excerpt"]


def test_a_secret_answer_that_is_no_json_is_masked_too(archive: Archive, run_module_here: t.Any) -> None:
    archive.server.route("POST /t", Answer(200, "geheim-plain-token-0123"))
    archive.server.route("GET /e", Answer(200, "you sent geheim-plain-token-0123"))
    steps = [
        {"name": "t", "request": {"url": "t", "method": "POST"}, "secret": True},
        {"name": "e", "request": {"url": "e"}},
    ]
    done = run_module_here(
        "smoke_http", {"base_url": archive.server.url, "steps": steps}, secrets=["geheim-plain-token-0123"]
    )
    assert "********" in done["steps"][1]["excerpt"]


def test_over_tls_with_a_private_authority(demo_ca: DemoCa, run_module_here: t.Any, tmp_path: Path) -> None:
    paths = demo_ca.issue().write(tmp_path / "tls")
    secure = Archive(tls=demo_ca.issue())
    with secure.server:
        options = {
            "base_url": f"https://localhost:{secure.server.port}/api",
            "connect_to": f"127.0.0.1:{secure.server.port}",
            **walk(),
        }
        assert run_module_here("smoke_http", options)["status"] == "unknown"
        assert run_module_here("smoke_http", {**options, "ca_file": str(paths.ca)})["status"] == "pass"


STEP: dict[str, t.Any] = {"name": "s", "request": {"url": "http://127.0.0.1:1/"}}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"steps": []}, "steps is empty"),
        ({"runs": 0}, "runs is 0"),
        ({"timeout": 0}, "timeout is 0"),
        ({"variables": {"a": 1}, "secrets": {"a": "geheim"}}, "both in variables and in secrets"),
        (
            {"steps": [{**STEP, "request": {"url": "http://x/${later}"}}]},
            "needs ${later}, which nothing before it gives",
        ),
        ({"steps": [{**STEP, "request": {"url": "http://x/${a b}"}}]}, "is no placeholder"),
        ({"headers": {"X": "${later}"}}, "is no variable and no secret"),
        ({"steps": [{**STEP, "request": {"url": "path"}}]}, "there is no base_url"),
        ({"steps": [{**STEP, "expect": {"json": []}}]}, "json is empty"),
        ({"steps": [{**STEP, "poll": {"until": [{"path": "$..x", "equals": 1}]}}]}, "cannot be read"),
        ({"steps": [{**STEP, "capture": {"a-b": "$.x"}}]}, "is not a name"),
        ({"steps": [{**STEP, "capture": {"run_id": "$.x"}}]}, "is the name of a variable already"),
        ({"steps": [{**STEP, "capture": {"x": 1}}]}, "names no place"),
        ({"steps": [{**STEP, "capture": {"x": "$[?]"}}]}, "cannot be read"),
        ({"cleanup": [{**STEP, "request": {"url": "http://x/${never}"}}]}, "needs ${never}"),
        ({"steps": [{**STEP, "request": {"url": "http://x", "body": "a", "json": 1}}]}, "mutually exclusive"),
    ],
)
def test_steps_that_cannot_be_sent_are_refused_before_anything_is(
    run_module_here: t.Any, options: dict[str, t.Any], says: str
) -> None:
    refused = run_module_here("smoke_http", {"steps": [STEP], **options})
    assert refused["failed"]
    assert says in refused["msg"], refused["msg"]


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"src": "/nonexistent/file"}, "cannot be read"),
        ({"pdf_text": "漢字"}, "Windows-1252"),
        ({"pdf_text": "\n" * 99}, "lines long"),
    ],
)
def test_a_file_that_cannot_be_made_is_unknown_and_nothing_is_left(
    run_module_here: t.Any, part: dict[str, t.Any], says: str
) -> None:
    step = {"name": "s", "request": {"url": "http://127.0.0.1:1/", "multipart": [{"field": "f", **part}]}}
    failed = run_module_here("smoke_http", {"steps": [step]})
    assert failed["status"] == "unknown"
    assert says in failed["msg"]
    assert failed["left_behind"] == []


def test_an_interrupted_walk_tidies_up(archive: Archive) -> None:
    archive.server.route("GET /api/jobs/7", Answer(200, {"state": "läuft"}))
    arguments = {"base_url": f"{archive.server.url}/api", **walk(), "_ansible_remote_tmp": "/tmp"}
    system = f"smoke-{os.urandom(4).hex()}"
    arguments["release"] = f"{system}/r-1/1/0123456789abcdef"
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.module_process", "smoke_http"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )
    try:
        assert child.stdin is not None
        child.stdin.write(json.dumps(arguments).encode())
        child.stdin.close()
        child.stdin = None
        await_true(
            lambda: any(request.path == "/api/jobs/7" for request in list(archive.server.requests)),
            seconds=60,
            what="polling",
        )
        child.send_signal(signal.SIGTERM)
        out, _err = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
        (Path(lock_directory()) / f"{system}.lock").unlink(missing_ok=True)
    answer = json.loads(out)
    assert answer["failed"]
    assert "SIGTERM" in answer["msg"]
    assert answer["cleanup"][0]["status"] == "pass"
    assert archive.documents == {}
