# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""collect_logs on real files and a real supervisord: what is in a bundle, what is left out and said, and what is never in one."""

from __future__ import annotations

import datetime
import html
import json
import os
import tarfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.supervisor_services import Supervisor
from ansible_collections.opsready.golive.plugins.module_utils._clients import log_files
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from tests.conftest import ModuleRun
from tests.integration.supervised import Supervised
from tests.module_examples import examples_of
from tests.returned import contradictions
from tests.servers import Answer, HttpServer

OWN = "geheim-eigenes-4711"
MARKED = "geheim<eigen>4711"
Collected = t.Callable[..., dict[str, t.Any]]


def _at(seconds: float = 0) -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now - datetime.timedelta(seconds=seconds)).isoformat(timespec="seconds")


@pytest.fixture
def collect(run_module_here: ModuleRun, tmp_path: Path) -> Collected:
    def run(*lines: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        log = tmp_path / "app.log"
        log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        sources = [{"service": "backend", "path": str(log)}]
        given = {"destination": str(tmp_path / "logs"), "sources": sources, "known_secrets": [OWN, MARKED], **options}
        return run_module_here("collect_logs", given, check=check, secrets=[OWN])

    return run


def _files(answer: dict[str, t.Any]) -> dict[str, str]:
    with tarfile.open(answer["bundle"]["path"]) as archive:
        streams = {name: archive.extractfile(name) for name in archive.getnames()}
        return {name: stream.read().decode() for name, stream in streams.items() if stream is not None}


def test_the_newest_lines_are_kept_and_what_was_cut_is_said(collect: Collected) -> None:
    answer = collect(*(f"{_at(60)} INFO line {number:05}" for number in range(1000)), max_size="2kB")
    (told,) = answer["services"]
    files = _files(answer)
    lines = files["backend.log"].splitlines()
    assert len(files["backend.log"]) == told["size_bytes"] <= 2000
    assert lines[-1].endswith("line 00999") and len(lines) == told["lines"]
    assert (told["lines_read"], told["lines"] + told["lines_cut"]) == (1000, 1000) and told["lines_cut"] > 0
    assert json.loads(files["manifest.json"])["services"] == answer["services"]
    assert contradictions("collect_logs", [answer, collect("x", check=True)]) == []


def test_of_a_private_key_no_line_is_kept_wherever_the_reading_is_divided(collect: Collected) -> None:
    filler = [f"{_at(60)} INFO {'x' * 100}"] * ((log_files._BLOCK // 132) - 2)
    key = ["-----BEGIN PRIVATE KEY-----", *(f"MIIbody{number}" for number in range(40)), "-----END PRIVATE KEY-----"]
    answer = collect(*filler, *key, f"{_at(60)} INFO behind", since="1h")
    content = _files(answer)["backend.log"]
    assert "MIIbody" not in content and content.rstrip().endswith("INFO behind")
    assert answer["services"][0]["lines_read"] == len(filler) + len(key) + 1
    older = collect(f"{_at(7200)} INFO old", *key[:5], f"{_at(60)} INFO new", *key[5:], since="1h")
    assert "MIIbody" not in _files(older)["backend.log"]


@pytest.mark.parametrize(
    "line",
    [
        f"the broker said {OWN}",
        f"the page said {html.escape(MARKED)}",
        "connecting to postgresql://app:geheim-in-url@db/x",
        "password=geheim-in-url",
        'json {"token": "geheim-in-url-0123456789"}',
        "Authorization: Bearer geheim-in-url-0123456789",
        "user geheim-in-url@example.org",
    ],
)
def test_no_secret_is_in_a_bundle_whatever_its_form(collect: Collected, line: str) -> None:
    answer = collect(f"{_at(60)} ERROR {line}")
    content = _files(answer)["backend.log"]
    assert "geheim" not in content and "********" in content
    assert answer["services"][0]["lines"] == 1


def test_only_the_levels_asked_for_with_their_tracebacks_and_only_since_then(collect: Collected) -> None:
    lines = (f"{_at(7200)} ERROR old", f"{_at(60)} INFO calm", f"{_at(50)} ERROR bad", "Traceback", "  File x",
             f"{_at(40)} no level here", f'{{"time": "{_at(30)}", "level": "critical", "msg": "worse"}}')  # fmt: skip
    answer = collect(*lines, levels=["error", "critical"], since="1h")
    assert [line.rpartition(" ")[2] for line in _files(answer)["backend.log"].splitlines()] == [
        "bad", "Traceback", "x", '"worse"}'
    ]  # fmt: skip
    both = collect(*lines, levels=["error"], pattern="b.d$")
    assert [line.rpartition(" ")[2] for line in _files(both)["backend.log"].splitlines()] == ["bad"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "no line since 1h"),
        (("without a time",), "no line since 1h, or none that tells its time"),
        ((f"{_at(7200)} INFO old",), "no line since 1h, or none that tells its time"),
    ],
)
def test_nothing_read_is_no_bundle_of_a_calm_service(collect: Collected, lines: tuple[str, ...], said: str) -> None:
    answer = collect(*lines)
    assert answer["failed"] and "Of 1 of 1 services nothing was read: backend: " in answer["msg"]
    assert said in answer["services"][0]["gaps"][0]
    assert Path(answer["bundle"]["path"]).exists()


def test_a_journal_or_a_file_that_is_not_there_is_named(collect: Collected, tmp_path: Path) -> None:
    there = tmp_path / "there.log"
    there.write_text(f"{_at(60)} INFO x\n")
    sources = [{"service": "backend", "path": str(there)}, {"service": "worker", "path": str(tmp_path / "none.log")}]
    answer = collect(sources=sources)
    assert answer["failed"] and f"worker: {tmp_path / 'none.log'} cannot be read" in answer["msg"]
    assert _files(answer)["backend.log"].endswith("INFO x\n") and _files(answer)["worker.log"] == ""


def test_a_bundle_that_cannot_be_written_is_named_and_nothing_is_left(collect: Collected, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    answer = collect(f"{_at(60)} INFO x", destination=str(tmp_path / "file" / "logs"))
    assert (
        answer["failed"] and f"{tmp_path / 'file' / 'logs'}" in answer["msg"] and "cannot be written" in answer["msg"]
    )
    assert not collect(f"{_at(60)} INFO x", check=True).get("failed")
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pattern": "("}, "pattern"),
        ({"since": "yesterday"}, "since"),
        ({"max_size": "much"}, "max_size"),
        ({"sources": []}, "nothing would be read"),
        ({"services": ["backend"]}, "supervisor"),
    ],
)
def test_an_option_that_cannot_be_meant_is_one_error(collect: Collected, options: dict[str, t.Any], said: str) -> None:
    answer = collect(f"{_at(60)} INFO x", **options)
    assert answer["failed"] and said in answer["msg"], answer["msg"]


def test_supervisords_own_word_says_where_a_service_logs(run_module_here: ModuleRun, tmp_path: Path) -> None:
    with Supervised() as app:
        arguments = {"destination": str(tmp_path / "logs"), "supervisor": app.server, "services": ["pair:*"]}
        run_module_here("services", {"state": "started", "supervisor": app.server, "services": ["pair:*"]})
        answer = run_module_here("collect_logs", arguments, secrets=[app.password])
        assert answer["failed"] and "pair:*: " in answer["msg"], "they print nothing"
        assert [each["file"] for each in answer["services"]] == ["pair-*.log"]
        unknown = run_module_here("collect_logs", {**arguments, "services": ["nobody"]}, secrets=[app.password])
        assert unknown["failed"] and "supervisord knows no service 'nobody'" in unknown["msg"]


def test_the_documented_example_collects_what_services_under_supervisor_logged(
    run_module_here: ModuleRun, tmp_path: Path
) -> None:
    with Supervised() as app:
        run_module_here("services", {"state": "started", "supervisor": app.server, "services": ["backend", "worker"]})
        asked = Supervisor(**app.server).call("supervisor.getAllProcessInfo", deadline=Deadline(10))
        for each in asked:
            if each["name"] in ("backend", "worker"):
                with open(each["stderr_logfile"], "a", encoding="utf-8") as log:
                    log.write(f"{_at(60)} ERROR {each['name']} cannot use {OWN}\n{_at(60)} INFO calm\n")
        replaced = {
            "/var/lib/opsready/archive/logs": str(tmp_path / "logs"),
            "unix:///run/archive/supervisor.sock": app.server["server"],
            "{{ vault_database_password }}": OWN,
        }
        (options,) = examples_of("collect_logs", replaced).values()
        answer = run_module_here("collect_logs", {**options, "supervisor": app.server}, secrets=[app.password, OWN])
    assert not answer.get("failed"), answer
    files = _files(answer)
    assert [files[f"{name}.log"].partition("ERROR ")[2] for name in ("backend", "worker")] == [
        "backend cannot use ********\n", "worker cannot use ********\n"
    ]  # fmt: skip
    assert contradictions("collect_logs", [answer]) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<int>7</int>", "does not list its processes"),
        ("<array><data><int>1</int></data></array>", "does not tell of a process"),
    ],
)
def test_something_that_is_no_supervisord_is_named(
    run_module_here: ModuleRun, http_server: HttpServer, tmp_path: Path, body: str, said: str
) -> None:
    told = f"<methodResponse><params><param><value>{body}</value></param></params></methodResponse>"
    http_server.route("/RPC2", Answer(200, told, {"Content-Type": "text/xml"}))
    answer = run_module_here(
        "collect_logs",
        {"destination": str(tmp_path), "services": ["backend"], "supervisor": {"server": http_server.url}},
    )
    assert (answer["failed"], answer["error"]) == (True, "UnexpectedAnswer"), answer
    assert said in answer["msg"]


def test_the_bundle_is_its_owners_alone(collect: Collected) -> None:
    path = Path(collect(f"{_at(60)} INFO x")["bundle"]["path"])
    assert [os.stat(place).st_mode & 0o777 for place in (path, path.parent)] == [0o600, 0o700]
