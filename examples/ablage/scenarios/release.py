"""The main job: the reference system goes from version 1 to version 2."""

from __future__ import annotations

from scenarios.aftermath import ended_as, program_pids, serves, summary
from scenarios.promises import Promises, some
from scenarios.workspace import Workspace

VERSION = "2.0.0"
STATEFUL = ("postgres", "redis", "s3", "proxy")


def run(workspace: Workspace, promises: Promises) -> None:
    with workspace.stack_of(builds=VERSION) as facts:
        pids = program_pids(facts)
        workspace.make_ready(VERSION)
        ended = workspace.playbook("golive", version=VERSION)
        report = ended_as(workspace, promises, ended, "live")
        decision = report["verdict"]["decision"]
        promises.check("the verdict is GO", decision == "GO", decision)
        plan, go = ended.output.find("PLAN  ablage"), ended.output.find("point of no return")
        promises.check(
            "the plan is printed before the first change",
            0 <= plan < go < ended.output.find("Journal images → maintenance_on"),
        )
        release = report["release"]
        downtime, backup = release["downtime"] or {}, release["backup"] or {}
        seconds, budget = downtime.get("seconds"), downtime.get("budget_seconds")
        promises.check("the downtime was measured and is within its budget",
                       seconds is not None and budget is not None and seconds <= budget, f"{seconds} s of {budget} s")  # fmt: skip
        promises.check("the backup was restored into a scratch database and compared",
                       backup.get("verified") == "restore" or bool(backup.get("restore_seconds")),
                       f"{backup.get('size_bytes')} bytes, {backup.get('restore_seconds')} s")  # fmt: skip
        stopped = [name for name in STATEFUL if program_pids(facts).get(name) != pids[name]]
        promises.check(
            "database, broker, object store and proxy ran on throughout", not stopped, f"stopped: {some(stopped)}"
        )
        serves(facts, promises, VERSION)
        summary(workspace, report)
