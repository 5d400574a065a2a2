# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far long work is, in the output of real plays. Each piece of work waits at a gate until its line was shown."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest
from psycopg import sql

from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import PLACE
from ansible_collections.opsready.golive.plugins.module_utils._core.progress import NAMED_BY, folder_of
from tests.integration.sample_database import ModuleInBackground, Sample
from tests.leaks import assert_no_leak
from tests.parts import need_part
from tests.playbook import ROOT, Played, as_yaml, run_playbook
from tests.servers import S3, Postgres, await_true, runs_as_root
from tests.ssh_server import SshServer
from tests.store_faults import FaultyStore, Seen

#: A row of app.gated is restored once no role of this name is there.
GATE = "gate_of_progress"
#: In one line, since a semicolon at its end ends a statement.
PASSES = (
    "create function app.passes() returns boolean language plpgsql volatile as $$ begin while exists"
    f" (select from pg_catalog.pg_roles where rolname = '{GATE}')"
    " loop perform pg_catalog.pg_sleep(0.02); end loop; return true; end $$"
)
SLOW = f"""
create schema app;
{PASSES};
create table app.free as select pg_catalog.generate_series(1, 100) i;
create table app.gated (i int check (app.passes()));
insert into app.gated values (1);
create index on app.gated (i)
"""
#: More than two parts of an upload.
BIG = """
create table public.big as select i, sha256(i::text::bytea) || sha256((i + 1)::text::bytea) as b from generate_series(1, 130000) i
"""
LINE = re.compile(r"^progress: \[(?P<host>[^]]+)\] (?P<text>.*)$", re.MULTILINE)
SOON = 60.0
NOTHING_READ = "cannot be read: The shell ended with code 7."


class Gate:
    """Closed until ``is_done`` says that it was waited for long enough; a run that never gets there is let through."""

    def __init__(self, server: Postgres, is_done: t.Callable[[], bool]) -> None:
        self._server = server
        self._is_done = is_done
        self.was_done = False
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def __enter__(self) -> Gate:
        self._server.execute(sql.SQL("create role {}").format(sql.Identifier(GATE)))
        self._thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self._left.set()
        self._thread.join()

    def _wait(self) -> None:
        try:
            await_true(lambda: self._is_done() or self._left.is_set(), seconds=SOON, what="What the gate waits for")
            self.was_done = not self._left.is_set()
        except TimeoutError:
            self.was_done = False
        finally:
            self._server.execute(sql.SQL("drop role {}").format(sql.Identifier(GATE)))


def lines_of(text: str, host: str) -> list[str]:
    return [found["text"] for found in LINE.finditer(text) if found["host"] == host]


def shown(directory: Path, host: str) -> list[str]:
    """The lines of a host that a run has shown so far: its log has what its output has."""
    log = directory / "log"
    text = log.read_text(errors="replace") if log.exists() else ""
    return lines_of(re.sub(r"^[^|]*\| ", "", text, flags=re.MULTILINE), host)


def folders() -> set[Path]:
    return set(Path(PLACE).glob("opsready-progress-*"))


@pytest.fixture(scope="module")
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        yield made.create(SLOW)
    finally:
        made.drop()


@pytest.fixture(scope="module")
def big(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        yield made.create(BIG)
    finally:
        made.drop()


class Watched(t.NamedTuple):
    played: Played
    secrets: list[str]
    #: Folder, owner, mode and content of what the modules wrote while they worked.
    written: dict[Path, tuple[int, int, str]]
    gate: Gate


#: ``su``, whose user reads what root does, wherever Python and the collection are installed.
SU = """#!/bin/sh
test "$1 $2" = "nobody -c" || exit 5
exec setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search /bin/sh -c "$3"
"""


def becoming(directory: Path) -> dict[str, t.Any]:
    """What an inventory says of a host where the module runs as another user."""
    exe = directory / "su"
    exe.write_text(SU)
    exe.chmod(0o755)
    return {
        "ansible_become": True,
        "ansible_become_method": "su",
        "ansible_become_exe": str(exe),
        "ansible_become_user": "nobody",
    }


@pytest.fixture(scope="module")
def watched(
    postgres: Postgres, sample: Sample, big: Sample, s3: S3, tmp_path_factory: pytest.TempPathFactory
) -> Watched:
    """One run: an upload that stalls at its second part, then a restore on several hosts, each waiting for its line."""
    directory = tmp_path_factory.mktemp("watched")
    directory.chmod(0o755)
    deaf = directory / "deaf"
    asked = directory / "asked"
    deaf.write_text(
        f'#!/bin/sh\ncase "$*" in *opsready-progress-*) echo >> {asked}; exit 7;; esac\nexec /bin/sh "$@"\n'
    )
    deaf.chmod(0o755)
    others: dict[str, dict[str, t.Any]] = {}
    bucket = s3.create_bucket()
    before = folders()
    written: dict[Path, tuple[int, int, str]] = {}

    def is_restored() -> bool:
        hosts = ["lines", *others]
        if not all(any(one.startswith("pg_restore: restore") for one in shown(directory, host)) for host in hosts):
            return False
        if not asked.exists() or len(asked.read_text()) < 2:
            return False
        for folder in folders() - before:
            seen = folder.stat()
            written[folder] = (seen.st_uid, stat.S_IMODE(seen.st_mode), (folder / "figures").read_text())
        return True

    with SshServer(directory) as ssh, FaultyStore(s3) as store, Gate(postgres, is_restored) as gate:
        if runs_as_root() and shutil.which("ssh"):
            others["far"] = {**ssh.variables, **becoming(directory), "ansible_pipelining": False, "interval": 1}
        inventory = {"all": {"hosts": {"lines": {}, "quiet": {"how": "quiet"},
                     "deaf": {"ansible_shell_executable": str(deaf)}, **others}}}  # fmt: skip
        awaited = ["MB stored", "estimated by the last backup"]

        def stall(seen: Seen) -> None:
            if seen.phase == "part 2" and awaited:
                text = awaited.pop(0)
                await_true(
                    lambda: any(text in one for one in shown(directory, "lines -> db1")),
                    seconds=SOON,
                    what=f"A line with {text}",
                )

        store.watch = stall
        options = {"endpoint_url": store.endpoint, "access_key": store.access_key, "secret_key": store.secret_key}
        place = {"destination": f"s3://{bucket}", "s3": options, "progress_interval": "{{ interval | default(0.5) }}"}
        large = {"delegate_to": "db1", "vars": {"ansible_connection": "local"},
                 "opsready.golive.pg_backup": big.options(
                     **place, pg_bindir=big.programs, verify="head", compression="none")}  # fmt: skip
        played = run_playbook(
            [
                {"hosts": "lines", "gather_facts": False, "tasks": [
                    {"name": "Back up", **large},
                    {"name": "Back up again", **large},
                    {"name": "Back up what is restored", "opsready.golive.pg_backup": sample.options(
                        **place, pg_bindir=sample.programs, verify="head")}]},
                {"hosts": "all", "gather_facts": False, "strategy": "free", "tasks": [
                    {"name": "Prove", "opsready.golive.pg_restore": sample.options(
                        **place, state="verified", pg_bindir=sample.programs, progress="{{ how | default('lines') }}")}]},
            ],
            inventory=inventory,
            directory=directory,
            environment={"ANSIBLE_LOG_PATH": str(directory / "log"), "ANSIBLE_FORKS": "6"},
            args=["-v"],
        )  # fmt: skip
    return Watched(played, [sample.password, s3.secret_key], written, gate)


def test_an_upload_tells_bytes_read_and_stored_rate_share_and_tables(watched: Watched) -> None:
    lines = lines_of(watched.played.text, "lines -> db1")
    assert watched.played.of("Back up").status == "ok", watched.played.text
    assert lines[0].startswith("pg_backup: dump, ") and all(" of " in line for line in lines), lines
    stored = [line for line in lines if "stored" in line]
    assert re.fullmatch(
        r"pg_backup: dump, [\d.]+ MB \(estimated at \d+ % or more, the database has [\d.]+ MB\), [\d.]+ MB stored,"
        r" [\d.]+ (B|kB|MB)/s, [01] of 1 tables counted(, the same for \d:\d\d)?, \d:\d\d",
        stored[0],
    ), stored


def test_the_last_backup_estimates_the_next(watched: Watched) -> None:
    again = [line for line in lines_of(watched.played.text, "lines -> db1") if "estimated by the last backup" in line]
    assert re.match(
        r"pg_backup: dump, [\d.]+ MB \(about \d+ % of 18\.\d MB, estimated by the last backup\)", again[0]
    ), again


def test_each_of_several_hosts_tells_of_its_own_restore(watched: Watched) -> None:
    assert watched.gate.was_done and watched.played.rc == 0, watched.played.text
    line = next(one for one in lines_of(watched.played.text, "lines") if one.startswith("pg_restore: restore"))
    assert re.match(r"pg_restore: restore, [\d.]+ kB of [\d.]+ kB read \(100 %\), [\d.]+ k?B/s, table 2 of 2", line), (
        line
    )


def test_another_user_is_watched_over_ssh_without_pipelining(watched: Watched) -> None:
    need_part("root", runs_as_root(), "only root becomes another user without a password")
    need_part("ssh", shutil.which("ssh"))
    lines = lines_of(watched.played.text, "far")
    assert any(one.startswith("pg_restore: restore") for one in lines), watched.played.text


def test_what_came_of_it_is_told_at_its_end(watched: Watched) -> None:
    told = re.findall(r"^done: \[(.*?)\] (.*)$", watched.played.text, re.MULTILINE)
    assert [text for host, text in told if host == "lines -> db1"] == [
        f"pg_backup: {watched.played.of('Back up').result['msg']}",
        f"pg_backup: {watched.played.of('Back up again').result['msg']}",
    ], told
    assert ("lines", f"pg_restore: {watched.played.of('Prove', 'lines').result['msg']}") in told
    assert " MB, 130000 rows in 1 table, proven by head" in told[0][1]


def test_quiet_says_nothing_beside_others_that_do(watched: Watched) -> None:
    assert watched.played.of("Prove", "quiet").status == "ok"
    assert lines_of(watched.played.text, "quiet") == []
    assert "done: [quiet]" not in watched.played.text


def test_what_cannot_be_read_is_said_once_and_the_work_goes_on(watched: Watched) -> None:
    assert watched.played.of("Prove", "deaf").status == "ok"
    assert lines_of(watched.played.text, "deaf") == []
    assert watched.played.text.count(NOTHING_READ) == 1, watched.played.text
    assert f"The progress on deaf {NOTHING_READ}" in watched.played.text


def test_figures_are_private_hold_no_secret_and_are_gone_with_the_module(watched: Watched) -> None:
    assert len(watched.written) >= 2
    for folder, (_owner, mode, content) in watched.written.items():
        assert mode == 0o700
        assert set(re.findall(r'"(\w[\w ]*)"', content)) <= {
            "phase", "restore", "seconds", "size", "stored", "whole", "estimated_by", "tables", "made"}  # fmt: skip
        assert not folder.exists()
    if runs_as_root() and shutil.which("ssh"):
        assert len({owner for owner, _mode, _content in watched.written.values()}) == 2
    assert_no_leak(watched.secrets, watched.played.text + str(watched.written), "a run with progress")


@pytest.fixture(scope="module")
def kept(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a backup of the sample."""
    directory = tmp_path_factory.mktemp("kept")
    made = ModuleInBackground(
        "pg_backup", sample.options(destination=f"file://{directory}", pg_bindir=sample.programs, verify="head")
    ).answer()
    assert made["changed"], made
    return directory


def test_ansible_runner_gets_the_same_lines(postgres: Postgres, sample: Sample, kept: Path, tmp_path: Path) -> None:
    import ansible_runner

    task = {"name": "Prove", "opsready.golive.pg_restore": sample.options(
        destination=f"file://{kept}", state="verified", pg_bindir=sample.programs, progress_interval=0.3)}  # fmt: skip
    (tmp_path / "play.yml").write_text(as_yaml([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    output = tmp_path / "artifacts" / "here" / "stdout"
    with Gate(postgres, lambda: output.exists() and "progress: [localhost]" in output.read_text()) as gate:
        runner = ansible_runner.run(
            private_data_dir=str(tmp_path),
            playbook=str(tmp_path / "play.yml"),
            ident="here",
            quiet=True,
            timeout=120,
            envvars={
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build"),
                "ANSIBLE_HOME": str(tmp_path / "home"),
                "ANSIBLE_NOCOLOR": "true",
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT / "build"),
            },
        )
    assert gate.was_done and runner.rc == 0, output.read_text()
    told = [line for event in runner.events for line in lines_of(event["stdout"].replace("\r", ""), "localhost")]
    assert told and told[0].startswith("pg_restore: restore, "), told


def test_an_interrupt_right_behind_a_line_ends_the_run(
    postgres: Postgres, sample: Sample, kept: Path, tmp_path: Path, ansible_environment: dict[str, str]
) -> None:
    task = {"name": "Prove", "opsready.golive.pg_restore": sample.options(
        destination=f"file://{kept}", state="verified", pg_bindir=sample.programs, progress_interval=0.5)}  # fmt: skip
    (tmp_path / "play.yml").write_text(as_yaml([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    output = tmp_path / "output"
    done = threading.Event()
    with Gate(postgres, done.is_set), output.open("wb") as stream:
        run = subprocess.Popen(
            [str(Path(sys.executable).parent / "ansible-playbook"), "play.yml"],
            cwd=tmp_path, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True, env=ansible_environment,
        )  # fmt: skip
        try:
            try:
                await_true(lambda: b"progress: " in output.read_bytes(), seconds=SOON, what="A line", interval=0.001)
            except TimeoutError as late:
                raise AssertionError(output.read_text()) from late
            os.killpg(run.pid, signal.SIGINT)
            assert run.wait(SOON) == 99, output.read_text()
        finally:
            run.kill()
            run.wait()
        await_true(lambda: sample.databases() == [sample.name], seconds=SOON, what="The module's end")
        done.set()


class AtWork(t.NamedTuple):
    module: ModuleInBackground
    folder: Path

    def figures(self) -> dict[str, t.Any]:
        """What it has written so far."""
        with contextlib.suppress(FileNotFoundError):
            return dict(json.loads((self.folder / "figures").read_text()))
        return {}

    def await_figures(self, holds: t.Callable[[dict[str, t.Any]], bool], what: str) -> None:
        await_true(lambda: bool(self.figures()) and holds(self.figures()), seconds=SOON, what=what)


def at_work(module: str, options: dict[str, t.Any]) -> AtWork:
    word = secrets.token_hex(16)
    return AtWork(ModuleInBackground(module, options, prefix=["env", f"{NAMED_BY}={word}"]), Path(folder_of(word)))


def test_who_is_ended_leaves_no_figures_and_the_next_removes_what_a_killed_one_left(
    postgres: Postgres, sample: Sample, kept: Path
) -> None:
    """What a living module holds is left alone, however old it is."""
    options = sample.options(destination=f"file://{kept}", state="verified", pg_bindir=sample.programs)
    living = Path(folder_of(secrets.token_hex(16)))
    living.mkdir(0o700)
    held = os.open(living, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    done = threading.Event()
    try:
        with Gate(postgres, done.is_set):
            killed = at_work("pg_restore", options)
            killed.await_figures(lambda seen: seen["phase"] == "restore", "The first figures")
            killed.module.child.kill()
            killed.module.child.communicate()
            assert killed.folder.exists()
            for old in (killed.folder, living):
                os.utime(old, (0, 0))

            ended = at_work("pg_restore", options)
            ended.await_figures(lambda seen: seen["phase"] == "restore", "The next one's figures")
            assert not killed.folder.exists() and living.exists()
            ended.module.child.send_signal(signal.SIGTERM)
            assert ended.module.answer()["error"] == "Ended"
            assert not ended.folder.exists()
            done.set()
    finally:
        os.close(held)
        shutil.rmtree(living)


def test_a_restore_that_fails_says_only_what_went_wrong_and_leaves_no_figures(
    postgres: Postgres, sample: Sample, kept: Path
) -> None:
    options = sample.options(destination=f"file://{kept}", state="verified", pg_bindir=sample.programs)
    failed = threading.Event()
    with Gate(postgres, failed.is_set):
        work = at_work("pg_restore", options)
        work.await_figures(lambda seen: seen["tables"] == [2, 2], "The second table")
        ended = postgres.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname like %s and query ilike 'copy%%'",
            f"{sample.name[:20]}%",
        )
        assert ended == [(True,)]
        answer = work.module.answer()
        failed.set()
    assert answer["error"] == "CommandFailed" and "terminating connection" in answer["msg"], answer
    assert not re.search("processing data|creating|connecting to database", answer["msg"]), answer["msg"]
    assert not work.folder.exists()
    assert sample.databases() == [sample.name]
