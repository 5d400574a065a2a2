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
from tests.container_lines import await_lines
from tests.integration.supervised import Supervised
from tests.module_examples import examples_of
from tests.playbook import ROOT, run_playbook
from tests.returned import contradictions
from tests.servers import Answer, Docker, HttpServer

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
        (options,) = [each for each in examples_of("collect_logs", replaced).values() if "supervisor" in each]
        answer = run_module_here("collect_logs", {**options, "supervisor": app.server}, secrets=[app.password, OWN])
    assert not answer.get("failed"), answer
    files = _files(answer)
    assert [files[f"{name}.log"].partition("ERROR ")[2] for name in ("backend", "worker")] == [
        "backend cannot use ********\n", "worker cannot use ********\n"
    ]  # fmt: skip
    assert contradictions("collect_logs", [answer]) == []


Speak = t.Callable[..., None]


@pytest.fixture
def speak(docker: Docker) -> t.Iterator[Speak]:
    """Start containers that say lines, and await that the engine has them."""
    image = docker.image("collected")
    names: list[str] = []

    def run(name: str, *lines: str, **config: t.Any) -> None:
        names.append(name)
        docker.run(name, image, config.pop("host", {}), Cmd=["/program", "say", *lines], **config)
        await_lines(docker, name, len(lines))

    yield run
    docker.remove(*names)


def test_services_that_are_containers_are_read_from_their_engine(
    docker: Docker, speak: Speak, run_module_here: ModuleRun, tmp_path: Path
) -> None:
    key = ["-----BEGIN PRIVATE KEY-----", "MIIbody", "-----END PRIVATE KEY-----"]
    speak("archive-backend-1", "INFO calm", f"ERROR no {OWN}", "Traceback", "  File x", *key, "INFO end")
    speak("archive-worker-1", "ERROR postgresql://app:geheim-in-url@db/x", Tty=True)
    replaced = {
        "/var/lib/opsready/archive/logs": str(tmp_path / "logs"),
        "unix:///var/run/docker.sock": docker.url,
        "{{ vault_database_password }}": OWN,
    }
    (options,) = [each for each in examples_of("collect_logs", replaced).values() if "docker" in each]
    options["known_secrets"] = [OWN]
    answer = run_module_here("collect_logs", options, secrets=[OWN])
    assert not answer.get("failed"), answer
    files = _files(answer)
    assert files["archive-backend-1.log"].splitlines() == [
        "INFO calm", "ERROR no ********", "Traceback", "  File x", *["(******** private key)"] * 3, "INFO end"
    ]  # fmt: skip
    assert files["archive-worker-1.log"] == "ERROR ********db/x\n" and "geheim" not in str(files)
    assert [each["gaps"] for each in answer["services"]] == [[], []]
    errors = _files(run_module_here("collect_logs", {**options, "levels": ["error"], "pattern": "ERROR|File"}))
    assert errors["archive-backend-1.log"] == "ERROR no ********\n  File x\n", "the engine's times part no traceback"


def test_the_playbook_collects_from_the_engine_of_a_system_of_containers(
    docker: Docker, speak: Speak, tmp_path: Path
) -> None:
    speak("played-backend-1", "INFO backend is up")
    speak("played-worker-1", "ERROR worker is not")
    images = dict.fromkeys(("played-backend-1", "played-worker-1"), f"sha256:{'0' * 64}")
    variables = {
        "golive_system": "played",
        "golive_version": "2.0.0",
        "golive_state_host": "localhost",
        "golive_state_dir": str(tmp_path / "state"),
        "golive_checklist": [{"id": "there", "title": "It answers", "check_http": {"url": "http://127.0.0.1:1/"}}],
        "golive_services": {
            "manager": "docker",
            "backend": ["played-backend-1"],
            "workers": ["played-worker-1"],
            "gates": [{"service": "played-backend-1", "url": "http://127.0.0.1:1/"}],
            "snapshot_dir": str(tmp_path / "snapshots"),
            "docker": {"url": docker.url, "images": images},
        },
        "golive_maintenance": {
            "layers": [{"name": "proxy", "backend": "file", "path": str(tmp_path / "flag"), "survives_stop": True}],
            "verify": {"url": "http://127.0.0.1:1/", "status": [200], "timeout": 20},
        },
        "golive_downtime": {"url": "http://127.0.0.1:1/", "budget_seconds": 300},
        "golive_report": {"directory": str(tmp_path / "report")},
    }
    played = run_playbook(ROOT / "playbooks" / "collect.yml", extra_vars=variables, directory=tmp_path / "play")
    assert played.rc == 0, played.text[-4000:]
    (collected,) = [result.result for result in played.results if result.action == "opsready.golive.collect_logs"]
    files = _files(collected)
    logged = [files[f"played-{name}-1.log"] for name in ("backend", "worker")]
    assert logged == ["INFO backend is up\n", "ERROR worker is not\n"]
    assert (tmp_path / "report" / Path(collected["bundle"]["path"]).name).exists()


def test_a_container_that_is_not_there_or_keeps_nothing_is_named_and_the_others_are_collected(
    docker: Docker, speak: Speak, run_module_here: ModuleRun, tmp_path: Path
) -> None:
    speak("talking", *(f"INFO line {number:03}" for number in range(200)))
    sources = [
        {"service": "bounded", "container": "talking", "url": docker.url},
        {"service": "absent", "container": "absent", "url": docker.url},
        {"service": "nowhere", "container": "talking", "url": "unix:///nowhere.sock"},
    ]
    options = {"destination": str(tmp_path), "services": ["talking"], "docker": {"url": docker.url}, "sources": sources}
    answer = run_module_here("collect_logs", {**options, "max_read": "5kB", "max_size": "1kB"})
    assert answer["failed"] and answer["msg"].startswith("Of 2 of 4 services nothing was read: "), answer["msg"]
    assert f"absent: {docker.url} has no container absent." in answer["msg"]
    assert "nowhere: There is no socket /nowhere.sock." in answer["msg"]
    told = {each["service"]: each for each in answer["services"]}
    for name in ("talking", "bounded"):
        assert told[name]["lines_cut"] > 0 and told[name]["size_bytes"] <= 1000
        assert told[name]["gaps"] == ["container talking: what it logged was read up to 5000 bytes"]
        assert _files(answer)[f"{name}.log"].splitlines()[-1].startswith("INFO line ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"services": ["x"], "docker": {}, "supervisor": {"server": "unix:///x"}}, "mutually exclusive"),
        ({"services": ["../x"], "docker": {}}, "container is '../x', which is not the name of a container"),
        ({"services": ["app"], "docker": {"url": "ssh://there"}}, "url is 'ssh://there', expected unix:///path"),
    ],
)
def test_containers_that_cannot_be_meant_are_one_error(
    run_module_here: ModuleRun, tmp_path: Path, options: dict[str, t.Any], said: str
) -> None:
    answer = run_module_here("collect_logs", {"destination": str(tmp_path / "logs"), **options})
    assert answer["failed"] and said in answer["msg"], answer["msg"]
    assert not (tmp_path / "logs").exists()


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
