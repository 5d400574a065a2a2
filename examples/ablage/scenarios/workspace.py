"""One demo's folder: a stack of its own, Ansible's own files, the release record, and an end to all of it on every way out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ready
import yaml

EXAMPLE = Path(__file__).resolve().parent.parent
REPOSITORY = EXAMPLE.parent.parent
# not resolved: the place of a virtual environment's interpreter is what makes the environment
PYTHON = os.path.abspath(sys.executable)
MARKER = ".ablage-demo"
PROCESS_MARK = "ABLAGE_DEMO_DIR"
POLL_SECONDS = 0.05
PLAYBOOK_SECONDS = 900.0
#: Playbooks that ask for reports and signatures.
JUDGING = ("golive", "pre_deploy", "deploy")

ANSIBLE_CFG = """\
[defaults]
local_tmp = {tmp}/ansible
remote_tmp = {tmp}/modules
inventory = {inventory}
nocows = True
retry_files_enabled = False
localhost_warning = False
inventory_unparsed_warning = False
interpreter_python = auto_silent
callback_result_format = yaml
display_skipped_hosts = False

[connection]
# without it Ansible writes each module and its arguments, passwords among them, to a file on the target
pipelining = True
"""


class DemoError(RuntimeError):
    """A demo cannot go on; the message names the way out."""


@dataclass(frozen=True)
class Settings:
    """What the command line says: where Ansible finds the collection, and what more it is told."""

    collections: str
    ansible_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ended:
    """A playbook that ended."""

    name: str
    returncode: int
    output: str


def _build(version: str) -> None:
    with contextlib.suppress(ready.BuildError):
        ready.build_reports.report(version)


@dataclass
class Workspace:
    """Everything of one demo lies below ``out``; nothing of it runs on after ``stack_of`` was left."""

    out: Path
    settings: Settings
    runs: list[str] = field(default_factory=list)
    ready_for: set[tuple[str, str]] = field(default_factory=set)

    @property
    def stack(self) -> Path:
        return self.out / "stack"

    @property
    def state(self) -> Path:
        return self.out / "state" / "ablage"

    @property
    def report(self) -> Path:
        return self.out / "report"

    @property
    def tmp(self) -> Path:
        return self.out / "tmp"

    # ── the folder ──

    def prepare(self) -> None:
        """An empty folder with our marker. Raises DemoError rather than remove what another program put there."""
        if self.out.exists() and any(self.out.iterdir()):
            if not (self.out / MARKER).is_file():
                raise DemoError(f"{self.out} holds something else than an earlier demo: choose another --directory")
            self.end_everything()
            shutil.rmtree(self.out)
        # traversable, since PostgreSQL runs as another user where we are root; what is private inside is closed itself
        self.out.mkdir(parents=True, exist_ok=True)
        self.out.chmod(0o711 if os.geteuid() == 0 else 0o700)
        (self.out / MARKER).write_text(
            "made by demo.py, which removes this folder when it runs again\n", encoding="utf-8"
        )
        self.tmp.mkdir(mode=0o700)
        configuration = ANSIBLE_CFG.format(tmp=self.tmp, inventory=EXAMPLE / "inventory.yml").replace("%", "%%")
        self.write("ansible.cfg", configuration)

    def write(self, name: str, content: str) -> Path:
        """Write a file below ``out`` that only its owner reads."""
        path = self.out / name
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        return path

    # ── processes ──

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ANSIBLE_CONFIG": str(self.out / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": self.settings.collections,
            "ANSIBLE_HOME": str(self.tmp / "home"),
            # for those that read no ansible.cfg: the demos promise not to write modules to files
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_FORCE_COLOR": "false",
            "PYTHONUNBUFFERED": "1",
            PROCESS_MARK: str(self.out),
        }

    def left_over(self) -> list[int]:
        """Processes that belong to this demo: marked in their environment, or at work on a file of its release record."""
        mark = f"{PROCESS_MARK}={self.out}".encode()
        below = os.fsencode(self.state)
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                if (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z":
                    continue
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if mark in (entry / "environ").read_bytes().split(b"\0") or any(below in word for word in words):
                    found.append(int(entry.name))
        return found

    def end_everything(self) -> None:
        """End what an earlier or interrupted run left: playbooks and probes by pid, then the stack."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.left_over():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            if wait_until(lambda: not self.left_over(), seconds=5):
                break
        if (self.stack / "stack.json").exists():
            self.stack_command("down")

    def stack_command(self, *arguments: str) -> str:
        """Run stack.py. Raises DemoError with its own words."""
        # a session of its own: Ctrl-C ends the demo, and the demo ends the stack
        ended = subprocess.run(
            [PYTHON, str(EXAMPLE / "stack.py"), arguments[0], "--dir", str(self.stack), *arguments[1:]],
            capture_output=True, text=True, errors="replace", check=False, start_new_session=True,
        )  # fmt: skip
        for line in ended.stderr.splitlines():
            say(f"stack: {line}")
        if ended.returncode != 0:
            raise DemoError(f"stack.py {arguments[0]} failed: {ended.stderr.strip() or ended.stdout.strip()}")
        return ended.stdout

    @contextlib.contextmanager
    def stack_of(self, *options: str, builds: str = "") -> Iterator[Facts]:
        """A fresh stack while the block runs. It is taken down on every way out, Ctrl-C included.

        Meanwhile that version is built: ``make_ready`` waits for it, and says what went wrong.
        """
        self.prepare()
        if builds:
            threading.Thread(target=_build, args=(builds,), daemon=True).start()
        heading("The reference system comes up in version 1.0.0")
        try:
            told = json.loads(self.stack_command("up", *options))
            say(f"up in {told['seconds']} s at {told['base_url']}")
            yield Facts.read(self.stack)
        finally:
            with uninterrupted():
                heading("The reference system goes down")
                self.end_everything()
                say("down; nothing of it runs any more")

    # ── what is there before anybody asks for a GO ──

    def make_ready(self, version: str, *, nightly_backup: bool = False) -> None:
        """Reports of the build and signatures for this release on this database, where there are none yet.

        A database that does not answer has nothing that could be reviewed: what is missing then stands in the verdict.
        """
        revision = self._revision()
        if revision is None or (version, revision) in self.ready_for:
            return
        heading(
            f"What is there before anybody asks for a GO on {version}: the build's reports, the SQL, people's signatures"
        )
        try:
            made = ready.make(self.stack, version, play=self._evening, nightly_backup=nightly_backup)
        except (ready.ReadyError, ready.BuildError) as error:
            raise DemoError(str(error)) from None
        self.ready_for.add((version, revision))
        say(f"{made}")

    def _revision(self) -> str | None:
        """Where the database is; None where it does not tell."""
        import psycopg

        facts = Facts.read(self.stack)
        try:
            with psycopg.connect(facts["golive_dsn"], password=facts.secret("db_golive_password")) as connection:
                return str(connection.execute("select version_num from alembic_version").fetchall())
        except psycopg.Error:
            return None

    def _evening(self, words: list[str]) -> tuple[int, str]:
        # what watches a release does not watch the evening before
        environment = {
            name: value for name, value in self._environment().items() if not name.startswith("ANSIBLE_CALLBACK")
        }
        command = [
            self._program(), "-i", str(EXAMPLE / "inventory.yml"), *ready.vars_files(self.stack), *self.settings.ansible_options,
            *words,
        ]  # fmt: skip
        ended = subprocess.run(
            command, env=environment, cwd=self.out, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False, start_new_session=True,
        )  # fmt: skip
        self.write("0-evening.log", ended.stdout + ended.stderr)
        return ended.returncode, ended.stdout + ended.stderr

    # ── playbooks ──

    @staticmethod
    def _program() -> str:
        beside = Path(PYTHON).parent / "ansible-playbook"
        return str(beside) if beside.exists() else "ansible-playbook"

    def command(self, name: str, *, version: str, inventory: Path | None, options: Sequence[str]) -> list[str]:
        inventories = ["-i", str(inventory or EXAMPLE / "inventory.yml")]
        files = [EXAMPLE / "checklist.yml"]
        if (signed := ready.folder_of(self.stack, version) / ready.WRITTEN).is_file():
            files.append(signed)
        vars_files = [*ready.vars_files(self.stack), *(word for path in files for word in ("-e", f"@{path}"))]
        return [
            self._program(), *inventories, f"opsready.golive.{name}", *vars_files, "-e", f"golive_version={version}", *self.settings.ansible_options, *options,
        ]  # fmt: skip

    def start(
        self,
        name: str,
        *,
        version: str,
        options: Sequence[str] = (),
        inventory: Path | None = None,
        quiet: bool = False,
    ) -> Running:
        """Start a playbook of the collection, as a user would, and show its output while it runs."""
        if name in JUDGING:
            self.make_ready(version)
        command = self.command(name, version=version, inventory=inventory, options=options)
        heading(f"ansible-playbook opsready.golive.{name} -e golive_version={version} {' '.join(options)}".rstrip())
        self.runs.append(name)
        log = self.out / f"{len(self.runs)}-{name}.log"
        log.touch(mode=0o600)
        process = subprocess.Popen(
            command, env=self._environment(), cwd=self.out, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        return Running(name, process, log, quiet)

    def playbook(
        self,
        name: str,
        *,
        version: str,
        options: Sequence[str] = (),
        inventory: Path | None = None,
        quiet: bool = False,
    ) -> Ended:
        """Run a playbook of the collection to its end."""
        running = self.start(name, version=version, options=options, inventory=inventory, quiet=quiet)
        try:
            return running.wait()
        except BaseException:
            running.kill()
            raise

    # ── what a release left ──

    def releases(self) -> list[Path]:
        """Release records, oldest first."""
        folder = self.state / "releases"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def record(self) -> Path:
        """The newest release record. Raises DemoError where there is none."""
        found = self.releases()
        if not found:
            raise DemoError(f"there is no release record below {self.state}")
        return found[-1]

    def journal(self) -> list[dict[str, Any]]:
        """Whole lines of the newest release's journal; empty before a release began."""
        found = self.releases()
        try:
            content = (found[-1] / "journal.jsonl").read_bytes() if found else b""
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in content.split(b"\n")[:-1]]

    def keep_record(self) -> None:
        """Copy the newest release record to ``release/``."""
        target = self.out / "release"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.record(), target)
        target.chmod(0o700)

    def read_report(self) -> dict[str, Any]:
        """report.json. Raises DemoError where there is none."""
        try:
            found: dict[str, Any] = json.loads((self.report / "report.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DemoError(f"no report was written to {self.report}") from None
        return found


@dataclass
class Running:
    """A playbook that runs, its output shown and kept."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    quiet: bool
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self.process.stdout is None:
            return
        screen = Screen()
        with self.log.open("a", encoding="utf-8") as log:
            for line in self.process.stdout:
                self.lines.append(line)
                log.write(line)
                log.flush()
                if not self.quiet:
                    screen.show(line.rstrip("\n"))

    def wait(self, seconds: float = PLAYBOOK_SECONDS) -> Ended:
        """Wait for the end. Raises DemoError at the limit."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise DemoError(f"{self.name} did not end within {seconds:.0f} s; its output is in {self.log}") from None
        # a program that outlives the playbook may hold the pipe open: what it says is not waited for
        self._reader.join(5)
        return Ended(self.name, self.process.returncode, "".join(self.lines))

    def kill(self) -> None:
        """SIGKILL to the whole process group, as when the machine loses power. Waits for the playbook's own end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Screen:
    """What of Ansible's output a person wants to watch: what runs, what the modules say, and why something failed.

    The rest, and all of it, is in the log beside.
    """

    #: Lines that say nothing to a person who watches, and lines that begin a block of such.
    SILENT = ("ok: [", "changed: [", "skipping: [", "included: ", "PLAY [")
    SILENT_BLOCKS = ("PLAY RECAP", "[ERROR]", "[WARNING]", "[DEPRECATION")

    def __init__(self) -> None:
        self._is_silent = False
        self._in_result = self._in_message = False

    def show(self, line: str) -> None:
        if line.startswith("TASK ["):
            self._is_silent = self._in_result = False
            say(f"· {line[6:].rpartition(']')[0].removeprefix('opsready.golive.')}")
        elif line.startswith(("fatal: [", "failed: [")):
            self._is_silent, self._in_result, self._in_message = False, True, False
            say(f"✗ failed on {line.partition('[')[2].partition(']')[0]}:")
        elif line.startswith(self.SILENT):
            # with -v a result follows
            self._is_silent = line.endswith("=> ")
        elif line.startswith(self.SILENT_BLOCKS):
            # a task's failure is told where its result is; any other error is told here only
            if line.startswith("[ERROR]") and "Task failed" not in line:
                say(f"✗ {line}")
            self._is_silent = True
        elif self._in_result and line.startswith("    "):
            # the result as YAML: its message is told, the rest of it is not
            self._in_message = line.startswith("    msg:") or (self._in_message and line.startswith("     "))
            if self._in_message:
                say(f"  {line.strip()}")
        elif line.strip() and not self._is_silent:
            self._in_result = False
            say(line)


@dataclass(frozen=True)
class Facts:
    """What stack.py wrote down: addresses and paths, and the secrets beside them."""

    facts: dict[str, Any]
    secrets: dict[str, str]

    @staticmethod
    def read(stack: Path) -> Facts:
        return Facts(
            yaml.safe_load((stack / "facts.yml").read_text(encoding="utf-8")),
            yaml.safe_load((stack / "secrets.yml").read_text(encoding="utf-8")),
        )

    def __getitem__(self, name: str) -> Any:
        return self.facts[f"ablage_{name}"]

    def secret(self, name: str) -> str:
        return self.secrets[f"ablage_{name}"]


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C and an ordinary kill wait: what was started is being ended."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_until(holds: Callable[[], bool], *, seconds: float) -> bool:
    """Poll until ``holds``; False at the deadline."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def say(text: str) -> None:
    print(f"  {text}", flush=True)


def heading(text: str) -> None:
    print(f"\n━━ {text}", flush=True)
