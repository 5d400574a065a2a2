"""A checklist that fails six times: the verdict names each, and nothing was changed."""

from __future__ import annotations

import re
import socket
from typing import Any

import yaml

from scenarios import pictures
from scenarios.aftermath import FORMATS, summary
from scenarios.promises import Promises, some
from scenarios.users import Archive
from scenarios.workspace import EXAMPLE, DemoError, Facts, Workspace, heading, wait_until

VERSION = "2.0.0"
FAULTS = ("certificate", "weak-secret", "bucket-read-only")
UNREACHABLE = "lager9"
UNDEFINED = "scanner"
# item and host → the status it must have; some faults are seen by two items
WANTED = {
    ("tls-public", "controller"): "fail",
    ("tls-file", "controller"): "fail",
    ("env-secret-key", "controller"): "fail",
    ("store-backups", "controller"): "fail",
    ("disk", "controller"): "fail",
    ("host-app", UNREACHABLE): "unknown",
    (UNDEFINED, "controller"): "unknown",
}
# what a living worker and its broker library write by themselves: queue bindings and replies to remote control
VOLATILE = re.compile(r"_kombu\.binding.*|.*\.reply\.celery\.pidbox|.*\.celery\.pidbox")


def closed_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def inventory(workspace: Workspace) -> Any:
    hosts = yaml.safe_load((EXAMPLE / "inventory.yml").read_text(encoding="utf-8"))
    hosts["all"]["hosts"][UNREACHABLE] = {
        "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": closed_port(), "ansible_ssh_timeout": 2,
        "ansible_ssh_retries": 0, "ansible_ssh_common_args": "-o BatchMode=yes -F none",
    }  # fmt: skip
    return workspace.write("inventory.yml", yaml.safe_dump(hosts, sort_keys=False))


def checklist(workspace: Workspace) -> Any:
    """The archive's own list, and one item more, whose variable somebody forgot."""
    items = yaml.safe_load((EXAMPLE / "checklist.yml").read_text(encoding="utf-8"))["golive_checklist"]
    forgotten = {
        "id": UNDEFINED, "title": "The scanner's folder has room", "satisfies": ["S1.25"],
        "check_host": {"disk": [{"path": "{{ ablage_scanner_dir }}", "min_free": "1GB"}]},
    }  # fmt: skip
    text = yaml.safe_dump({"golive_checklist": [*items, forgotten]}, allow_unicode=True, sort_keys=False)
    return workspace.write("checklist.yml", text)


def look(facts: Facts) -> dict[str, Any]:
    return {
        "transaction": pictures.next_transaction(facts),
        "buckets": pictures.bucket_listing(facts),
        "broker": pictures.broker_dump(facts, VOLATILE),
        "files": pictures.file_hashes(f"{facts['dir']}/app", f"{facts['dir']}/proxy"),
        "databases": pictures.databases(facts),
    }


def run(workspace: Workspace, promises: Promises) -> None:
    options = [word for fault in FAULTS for word in ("--fault", fault)]
    with workspace.stack_of(*options) as facts:
        keep_still(facts)
        job = hand_in(facts)
        before = look(facts)
        extra = ("-e", f"@{checklist(workspace)}", "-e", "ablage_min_free=900TB")
        ended = workspace.playbook("golive", version=VERSION, options=extra, inventory=inventory(workspace))
        after = look(facts)
        report = workspace.read_report()
        promises.check("the run fails", ended.returncode == 2, f"code {ended.returncode}")
        promises.check("the verdict is NO-GO", report["verdict"]["decision"] == "NO-GO", report["verdict"]["decision"])
        blocking = {(entry["id"], entry["host"]): entry for entry in report["verdict"]["blocking"]}
        for (item, host), status in WANTED.items():
            found = blocking.get((item, host), {})
            promises.check(
                f"{item} on {host} blocks it: {status}",
                found.get("status") == status,
                str(found.get("summary", "not named")),
            )
            promises.check(f"{item} is named on the screen", item in ended.output)
        others = sorted(set(blocking) - set(WANTED))
        promises.check("nothing else blocks it", not others, some(others))
        missing = [name for name in FORMATS if not (workspace.report / name).is_file()]
        promises.check(
            "the report is there as HTML, Markdown, JSON and JUnit", not missing, f"missing: {some(missing)}"
        )
        heading("What changed")
        promises.check("no transaction id was used up in the whole server, ours included", before["transaction"] == after["transaction"],
                       f"{before['transaction']} and {after['transaction']}")  # fmt: skip
        for what in ("buckets", "broker", "files"):
            changed = pictures.changed_keys(before[what], after[what])
            promises.check(
                f"{what}: nothing changed",
                not changed and bool(before[what]),
                f"{len(before[what])} looked at, changed: {some(changed)}",
            )
        promises.check("the job that a user scheduled is where it was, once", pictures.messages(facts).held == {job: 1})
        promises.check("no database came or went", before["databases"] == after["databases"])
        promises.check("no release began", not workspace.releases())
        summary(workspace, report)


def hand_in(facts: Facts) -> str:
    """One job that a worker holds until later, so that the broker has something to lose."""
    archive = Archive(facts)
    archive.login()
    job = archive.submit(archive.upload("auftrag.pdf"), delay_seconds=1800)
    if not wait_until(lambda: job in pictures.messages(facts).held, seconds=20):
        raise DemoError("the worker did not take the scheduled job")
    return job


def keep_still(facts: Facts) -> None:
    """What writes by itself rests, so that the comparison can be exact: the scheduler, and PostgreSQL's own housekeeping."""
    import subprocess

    import psycopg

    subprocess.run(
        [facts["supervisorctl"], "-s", f"unix://{facts['supervisor_socket']}", "stop", "beat"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    with psycopg.connect(
        host=facts["postgres_host"], port=facts["postgres_port"], user="postgres", dbname="postgres",
        password=facts.secret("db_superuser_password"), autocommit=True,
    ) as connection:  # fmt: skip
        connection.execute("alter system set autovacuum = off")
        connection.execute("select pg_reload_conf()")
