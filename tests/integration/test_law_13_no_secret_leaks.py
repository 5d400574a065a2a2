# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Law 13, broken on purpose: recognisable secrets everywhere, every service made to fail, and none of them to be seen."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible import constants

from tests.leaks import assert_no_leak
from tests.playbook import ROOT, Played, run_playbook
from tests.servers import S3, HangingServer, Postgres, Redis, RefusedPort

CANARIES = {
    name: f"canary-{name}:{number}/aB@%ü{number * 7919}"
    for number, name in enumerate(["database", "broker", "store", "header", "bypass", "unused"])
}
#: Every Python process of the run notes each program it starts, with argv and environment: nothing is sampled.
WATCH = """
import json, os, sys
def _note(event, arguments):
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        with open(os.environ["GOLIVE_TEST_STARTED"], "a", encoding="utf-8", errors="replace") as stream:
            stream.write(json.dumps([event, repr(arguments), dict(os.environ)], default=repr) + "\\n")
sys.addaudithook(_note)
import syslog
def _to_file(*arguments):
    with open(os.environ["GOLIVE_TEST_SYSLOG"], "a", encoding="utf-8", errors="replace") as stream:
        stream.write(repr(arguments[-1]) + "\\n")
syslog.syslog = _to_file
"""
RUN = {"directory": "{{ playbook_dir }}/run"}


#: ansible-core 2.21 shows invocations only when asked; older ones always put them into results.
INVOCATIONS = ["0", "1"] if hasattr(constants, "INJECT_INVOCATION") else ["1"]


@pytest.fixture(scope="module", params=INVOCATIONS)
def shown(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres: Postgres,
    s3: S3,
    redis_server: Redis,
) -> tuple[Played, Path]:
    folder = tmp_path_factory.mktemp("canary")
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(WATCH)
    with RefusedPort() as nobody, HangingServer() as hanging:

        def database(port: int) -> dict[str, t.Any]:
            return {"dsn": f"postgresql://app@127.0.0.1:{port}/archive", "password": "{{ secrets.database }}"}

        def broker(port: int) -> dict[str, t.Any]:
            return {"url": f"redis://127.0.0.1:{port}/0", "password": "{{ secrets.broker }}"}

        def store(endpoint: str) -> dict[str, t.Any]:
            return {"endpoint_url": endpoint, "access_key": "a", "secret_key": "{{ secrets.store }}", "buckets": ["b"]}

        def backups(endpoint: str) -> dict[str, t.Any]:
            """Secrets in a dict, and in a dict in a list."""
            keys = {name: value for name, value in store(endpoint).items() if name != "buckets"}
            copy = {"destination": "s3://copies/x", "s3": keys}
            return {"destination": "s3://backups/x", "s3": keys, "copies": [copy], "max_age": "1h", **database(nobody.port),
                    "database": "archive"}  # fmt: skip

        checks: dict[str, dict[str, t.Any]] = {
            "database-refused": {"check_postgres": database(postgres.port)},
            "database-gone": {"check_postgres": database(nobody.port)},
            "database-hangs": {"check_postgres": database(hanging.port)},
            "broker-refused": {"check_redis": broker(redis_server.port)},
            "broker-gone": {"check_redis": broker(nobody.port)},
            "broker-hangs": {"check_redis": broker(hanging.port)},
            "store-refused": {"check_s3": store(s3.endpoint)},
            "store-gone": {"check_s3": store(f"http://127.0.0.1:{nobody.port}")},
            "store-hangs": {"check_s3": store(f"http://127.0.0.1:{hanging.port}")},
            "backups-refused": {"check_backup": backups(s3.endpoint)},
            "password-in-url": {"check_redis": {"url": "redis://:{{ secrets.broker | urlencode }}@127.0.0.1:1/0"}},
            "password-in-dsn": {"check_postgres": {"dsn": "host=127.0.0.1 port=1 password='{{ secrets.database }}'"}},
            "wrong-type": {"check_s3": {**store("http://127.0.0.1:1"), "canary_bytes": "{{ secrets.store }}x", "secret_key": "{{ secrets.store }}"}},
            "undefined-beside": {"check_redis": {"url": "redis://{{ nothing_here }}", "password": "{{ secrets.broker }}"}},
        }  # fmt: skip
        del checks["wrong-type"]["check_s3"]["canary_bytes"]
        items = [{"id": name, "title": name, "timeout": 2, "hosts": "all", **body} for name, body in checks.items()]
        backup = {**database(postgres.port), "destination": "file:///nowhere/at/all"}
        plays = [
            {"hosts": "localhost", "gather_facts": False, "tasks": [
                {"name": "Plan", "opsready.golive.plan": RUN}]},
            {"hosts": "all", "gather_facts": False, "tasks": [
                {"name": "Judge", "opsready.golive.checklist": {**RUN, "full": True}},
                {"name": "Alone", "opsready.golive.check_redis": broker(redis_server.port), "ignore_errors": True},
                {"name": "Alone with lists", "opsready.golive.check_backup": backups(s3.endpoint), "ignore_errors": True},
                {"name": "Looped", "opsready.golive.check_postgres": database(postgres.port), "loop": [1, 2],
                 "loop_control": {"label": "{{ item }}"}, "ignore_errors": True},
                {"name": "Back up", "opsready.golive.pg_backup": backup, "ignore_errors": True}]},
            {"hosts": "localhost", "gather_facts": False, "tasks": [
                {"name": "Decide", "opsready.golive.verdict": {**RUN, "enforce": False}},
                {"name": "Report", "opsready.golive.report": {**RUN, "destination": "{{ playbook_dir }}/report", "system": "a", "version": "2"}}]},
        ]  # fmt: skip
        played = run_playbook(
            plays,
            extra_vars={"golive_checklist": items, "secrets": CANARIES},
            args=["-vvvvv"],
            environment={
                "ANSIBLE_INJECT_INVOCATION": request.param,
                "GOLIVE_TEST_SYSLOG": str(folder / "syslog"),
                "GOLIVE_TEST_STARTED": str(folder / "started"),
                "PYTHONPATH": f"{folder / 'site'}:{ROOT / 'build'}",
            },
            directory=folder / "play",
        )
    return played, folder


def test_the_run_went_to_its_end_and_everything_failed_as_meant(shown: tuple[Played, Path]) -> None:
    played, folder = shown
    assert played.rc == 0, played.text[-5000:]
    findings = played.of("Judge").result["findings"]
    assert len(findings) == 14
    assert "pass" not in {finding["status"] for finding in findings}
    assert {played.of(task).status for task in ("Alone", "Alone with lists", "Back up")} == {"ignored"}
    assert (folder / "started").stat().st_size > 0
    assert "Invoked with checks=" in (folder / "syslog").read_text()


def test_no_secret_is_on_the_screen_at_the_highest_verbosity(shown: tuple[Played, Path]) -> None:
    played, _folder = shown
    assert_no_leak(CANARIES.values(), played.stdout, "standard output")
    assert_no_leak(CANARIES.values(), played.stderr, "standard error")


def test_no_secret_is_in_any_result(shown: tuple[Played, Path]) -> None:
    played, _folder = shown
    assert_no_leak(CANARIES.values(), json.dumps([result.result for result in played.results]), "a result")
    assert_no_leak(
        CANARIES.values(), json.dumps([result.result for result in played.results], ensure_ascii=False), "a result"
    )


def test_no_secret_is_in_a_file_of_the_run(shown: tuple[Played, Path]) -> None:
    played, folder = shown
    written_by_this_test = {played.directory / "extra.yml"}
    looked_at = 0
    for path in folder.rglob("*"):
        if path.is_file() and path not in written_by_this_test:
            looked_at += 1
            assert_no_leak(
                CANARIES.values(), path.read_bytes().decode("utf-8", "replace"), str(path.relative_to(folder))
            )
    assert looked_at > 8


def test_no_secret_is_in_argv_environment_or_syslog(shown: tuple[Played, Path]) -> None:
    _played, folder = shown
    assert_no_leak(CANARIES.values(), (folder / "started").read_text(), "argv or environment of a program")
    assert_no_leak(CANARIES.values(), (folder / "syslog").read_text(), "the syslog")


_AWKWARD = "hunter'9 f\"31c"


@pytest.mark.parametrize("wrong", [{}, {"misspelt": 1}], ids=["refused by us", "refused by Ansible"])
@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("worker_drain", {"url": f"redis://:{_AWKWARD}@127.0.0.1:1/0", "system": "x", "state": "status"}),
        ("pg_fence", {"state": "status", "dsn": f"postgresql://u:{_AWKWARD}@127.0.0.1:1/db"}),
        ("pg_fence", {"state": "status", "dsn": f"host=127.0.0.1 user=u password={_AWKWARD} dbname=x"}),
        ("check_redis", {"url": f"redis://:{_AWKWARD}@127.0.0.1:1/0"}),
        ("check_http", {"url": f"http://u:{_AWKWARD}@127.0.0.1:1/"}),
        ("services", {"manager": "supervisor", "state": "status", "names": ["a"],
                      "supervisor": {"server": f"http://u:{_AWKWARD}@127.0.0.1:1"}}),
    ],
)  # fmt: skip
def test_a_password_where_none_belongs_is_not_shown_by_its_own_refusal(
    run_module_here: t.Any, module: str, options: dict[str, t.Any], wrong: dict[str, t.Any]
) -> None:
    """A quote and a blank end a URL in a sentence; in an option they end nothing, and -vvv prints options whole."""
    answer = run_module_here(module, {**options, **wrong}, secrets=["hunter", "9 f", "31c"])
    assert answer["failed"] is True
