"""Three bad releases, each taken back, or left on, as its plan says.

a: the new backend never becomes healthy; the new code takes the migration back.
b: a migration drops a column, then the inside smoke test fails, with jobs waiting and somebody writing; the backup comes back.
c: a failure after traffic is back, with users' rows since; nothing is undone by itself.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import Any

from scenarios import pictures
from scenarios.aftermath import ended_as, serves, summary
from scenarios.promises import Promises, some
from scenarios.users import REPORTER, Archive, AtWork, QueueFillers, Refused, Reporter, Uploaders
from scenarios.workspace import DemoError, Facts, Workspace, heading, say, wait_until

VERSIONS = {"a": "2.0.1", "b": "2.0.2", "c": "2.0.3"}
JOBS_WAITING = 20
# more than that, since the worker goes on while maintenance is being switched on
QUEUE_DEPTH = 28
SCHEDULED_SECONDS = 1800
# what the smoke test of the previous version leaves in the record of events: it uploads, reads and deletes one document
SMOKE_ACTIONS = re.compile(r"hochgeladen|heruntergeladen|gelöscht: \d+")


def run(workspace: Workspace, promises: Promises, letter: str) -> None:
    {"a": never_healthy, "b": dropped_column, "c": after_traffic}[letter](workspace, promises)


# ── a ──


def never_healthy(workspace: Workspace, promises: Promises) -> None:
    with workspace.stack_of() as facts:
        reporter = Reporter(workspace, facts)
        reporter.create_role()
        before = pictures.photograph(facts)
        files = kept_files(facts)
        ended = workspace.playbook("golive", version=VERSIONS["a"])
        report = ended_as(workspace, promises, ended, "rolled_back")
        plan = report["release"]["rollback"]["database"]
        promises.check("the plan said: back by downgrade", plan == "downgrade", plan)
        after = pictures.photograph(facts)
        compare(facts, promises, before, after, expected_new={})
        compare_files(facts, promises, files)
        serves(facts, promises, "1.0.0")
        highest = max(int(key) for key in after.rows["documents"])
        fresh_id(facts, promises, {"documents_id_seq": highest})
        summary(workspace, report)


# ── b ──


def dropped_column(workspace: Workspace, promises: Promises) -> None:
    options = ("--jobs-at-once", "1", "--set", "OCR_SECONDS=1.5")
    with workspace.stack_of(*options) as facts, ExitStack() as people:
        reporter = Reporter(workspace, facts)
        reporter.create_role()
        people.callback(reporter.close)
        archive = Archive(facts)
        archive.login()
        document = archive.upload("auftrag.pdf")
        scheduled = archive.submit(document, SCHEDULED_SECONDS)
        if not wait_until(lambda: scheduled in pictures.messages(facts).held, seconds=20):
            raise DemoError("the worker did not take the scheduled job")
        before = pictures.photograph(facts)
        files = kept_files(facts)
        fillers = QueueFillers(facts, archive, document, QUEUE_DEPTH)
        filling = people.enter_context(AtWork(fillers))
        writing = people.enter_context(AtWork(reporter))
        air = InTheAir(workspace, facts)
        people.enter_context(AtWork(air))
        if not wait_until(lambda: len(fillers.handed_in) > QUEUE_DEPTH, seconds=30):
            raise DemoError("users could not hand in jobs")
        ended = workspace.playbook("golive", version=VERSIONS["b"])
        say(f"users handed in {len(fillers.handed_in)} jobs, {REPORTER} tried to write {len(reporter.attempts)} rows")
        # one more row, so that the session is seen to work again
        wrote = len(reporter.attempts)
        wait_until(lambda: any(entry.result == "written" for entry in reporter.attempts[wrote:]), seconds=15)
        filling.stop()
        writing.stop()
        report = ended_as(workspace, promises, ended, "rolled_back")
        plan = report["release"]["rollback"]["database"]
        promises.check("the plan said: back by restore", plan == "restore", plan)
        jobs = [*fillers.handed_in, scheduled]
        heading("Users' jobs are done once the previous version runs")
        wait_until(lambda: unfinished(facts, fillers.handed_in) == 0, seconds=180)
        after = pictures.photograph(facts)
        marks = {entry.mark: entry.result for entry in reporter.attempts}
        compare(facts, promises, before, after, expected_new={"ocr_jobs": set(jobs)}, marks=marks)
        nobody_wrote(workspace, promises, reporter)
        compare_files(facts, promises, files)
        drained(promises, air)
        no_job_lost(facts, promises, fillers.handed_in, scheduled)
        serves(facts, promises, "1.0.0")
        failed = [name for name in pictures.databases(facts) if "_failed_" in name]
        promises.check("the failed release's database is kept beside", len(failed) == 1, some(failed))
        if failed:
            pictures.open_again(facts, failed[0])
            fresh_id(facts, promises, pictures.given_out(facts, failed[0]))
        summary(workspace, report)


def unfinished(facts: Facts, jobs: list[str]) -> int:
    with pictures.database(facts) as connection:
        row = connection.execute(
            "select count(*) from ocr_jobs where id = any(%s::uuid[]) and state <> 'fertig'", (jobs,)
        ).fetchone()
        return int(row[0])


def steps(workspace: Workspace) -> dict[str, tuple[str, str]]:
    """When each step of the newest release began and ended, by the journal."""
    found: dict[str, tuple[str, str]] = {}
    for entry in workspace.journal():
        if entry["event"] == "step_started":
            found[entry["step"]] = (entry["at"], "")
        elif entry["event"] == "step_ended":
            found[entry["step"]] = (found[entry["step"]][0], entry["at"])
    return found


def seconds_of(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def nobody_wrote(workspace: Workspace, promises: Promises, reporter: Reporter) -> None:
    """While the database was fenced, the session that kept trying got nothing in; before and after it did."""
    known = steps(workspace)
    fenced, lifted = seconds_of(known["fence"][1]), seconds_of(known["back_traffic"][0])
    written = [entry.at for entry in reporter.attempts if entry.result == "written"]
    tried = [entry for entry in reporter.attempts if fenced <= entry.at <= lifted]
    inside = [at for at in written if fenced <= at <= lifted]
    promises.check("the foreign session wrote before the fence, and after it was lifted",
                   any(at < fenced for at in written) and any(at > lifted for at in written),
                   f"{len(written)} rows in {reporter.sessions} sessions")  # fmt: skip
    promises.check("and nothing while the database was fenced", not inside and bool(tried),
                   f"{len(tried)} attempts in {lifted - fenced:.1f} s, {len(inside)} got in")  # fmt: skip


class InTheAir:
    """Looks at queue and worker once, right after maintenance was proven on: nobody hands in any more, nothing is drained yet."""

    def __init__(self, workspace: Workspace, facts: Facts) -> None:
        self._workspace, self._facts = workspace, facts
        self.waiting = self.running = self.scheduled = -1

    def __call__(self) -> None:
        if self.waiting >= 0 or not steps(self._workspace).get("maintenance_on", ("", ""))[1]:
            return
        with pictures.database(self._facts) as connection:
            running = connection.execute("select id::text from ocr_jobs where state = 'laeuft'").fetchall()
        found = pictures.messages(self._facts)
        self.running = len(running)
        self.scheduled = len(found.held.keys() - {identity for (identity,) in running})
        self.waiting = len(found.waiting)


def drained(promises: Promises, air: InTheAir) -> None:
    promises.check(
        f"at least {JOBS_WAITING} jobs waited, one ran and one was scheduled when maintenance was on",
        air.waiting >= JOBS_WAITING and (air.running, air.scheduled) == (1, 1),
        f"{air.waiting} waited, {air.running} ran, {air.scheduled} scheduled",
    )


def no_job_lost(facts: Facts, promises: Promises, jobs: list[str], scheduled: str) -> None:
    with pictures.database(facts) as connection:
        done = dict(
            connection.execute(
                "select id::text, completions from ocr_jobs where id = any(%s::uuid[])", ([*jobs, scheduled],)
            ).fetchall()
        )
    once = [job for job in jobs if done.get(job) == 1]
    promises.check(
        "every job that users handed in is done exactly once", len(once) == len(jobs), f"{len(once)} of {len(jobs)}"
    )
    found = pictures.messages(facts)
    promises.check("the scheduled job is still there, once", done.get(scheduled) == 0 and found.count(scheduled) == 1,
                   f"held by the worker: {found.held.get(scheduled, 0)}, waiting: {found.waiting.get(scheduled, 0)}")  # fmt: skip
    rest = {key for place in (found.waiting, found.held, found.aside) for key in place if key in jobs}
    promises.check("no message of a done job is left, and none is put aside", not rest and not found.aside, some(rest))


# ── c ──


def after_traffic(workspace: Workspace, promises: Promises) -> None:
    with workspace.stack_of() as facts, ExitStack() as people:
        archive = Archive(facts)
        archive.login()
        uploaders = Uploaders(archive)
        working = people.enter_context(AtWork(uploaders, pause_seconds=0.5))
        ended = workspace.playbook("golive", version=VERSIONS["c"])
        working.stop()
        report = ended_as(workspace, promises, ended, "left_on")
        sentence = str(workspace.journal()[-1]["detail"])
        told = re.search(r"(\d+) rows.* in (\d+) tables \((.+?)\), written in the last ([\d.]+) minutes", sentence)
        known = steps(workspace)
        since = [at for at, _unused in uploaders.uploaded if at > seconds_of(known["traffic"][0])]
        promises.check("users wrote after traffic was back", bool(since), f"{len(since)} documents")
        promises.check("the operator is told how many rows, which tables and how many minutes are at stake", told is not None,
                       told[0] if told else sentence[:200])  # fmt: skip
        if told:
            promises.check("no row of a user is missing in that number", int(told[1]) >= 2 * settled_by(since, known),
                           f"{told[1]} rows told, a document and an event per upload")  # fmt: skip
            promises.check("the tables are named", "documents" in told[3] and "events" in told[3], told[3])
        choices = [text for text in ("mend forward", "golive_accept_data_loss") if text in sentence]
        promises.check("the choices are named", len(choices) == 2, some(choices))
        stake = told[0] if told else "no stake told"
        promises.check("and all that is on the screen, too", stake in ended.output)
        back = [name for name in known if name.startswith("back_")]
        promises.check("nothing was undone by itself", not back, some(back))
        serves(facts, promises, VERSIONS["c"])
        with pictures.database(facts) as connection:
            wanted = [identifier for _unused, identifier in uploaders.uploaded]
            there = connection.execute("select count(*) from documents where id = any(%s)", (wanted,)).fetchone()[0]
        promises.check("no upload is lost", there == len(wanted), f"{there} of {len(wanted)}")
        status = workspace.playbook("status", version=VERSIONS["c"])
        promises.check(
            "status says the same to whoever comes next", "ended: left_on" in status.output and status.returncode == 0
        )
        summary(workspace, report)


def settled_by(uploads: list[float], known: dict[str, tuple[str, str]]) -> int:
    """How many uploads were answered before the release's last step ended, so that the count must hold them."""
    last = max(seconds_of(ended) for _unused, ended in known.values() if ended)
    return sum(at < last for at in uploads)


# ── shared ──


def kept_files(facts: Facts) -> dict[str, str]:
    """The archive's own configuration, and which version is current; caches and schedules move by themselves."""
    found = pictures.file_hashes(facts["dir"] + "/app", facts["dir"] + "/proxy")
    return {
        name: what
        for name, what in found.items()
        if name == facts["env_file"] or "/proxy/" in name or name == facts["current"]
    }


def compare_files(facts: Facts, promises: Promises, before: dict[str, str]) -> None:
    changed = pictures.changed_keys(before, kept_files(facts))
    promises.check("env file, proxy and the current version are as before", not changed, some(changed))


def compare(
    facts: Facts, promises: Promises, before: pictures.DatabasePicture, after: pictures.DatabasePicture, *,
    expected_new: dict[str, set[str]], marks: dict[str, str] | None = None,
) -> None:  # fmt: skip
    """Content by hash per table, and everything about the database that is not content.

    Only this may differ: the clean-up's own note in ``settings``; new jobs and events of users who were told that they are
    kept; and the events which the smoke test of the previous version leaves.
    """
    heading("What is there, compared with before")
    same = [table for table, value in before.hashes().items() if after.hashes().get(table) == value]
    say(f"same hash: {some(sorted(same), 10)}")
    found = pictures.differences(before, after)
    gone = {table: difference.gone for table, difference in found.items() if difference.gone}
    promises.check("no row is gone", not gone, str({table: len(rows) for table, rows in gone.items()} or "none"))
    changed = {f"{table} {key}" for table, difference in found.items() for key in difference.changed}
    promises.check(
        "no row changed but the clean-up's own note", changed <= {"settings aufraeumen"}, some(sorted(changed))
    )
    new = {table: difference.new for table, difference in found.items() if difference.new}
    new.get("settings", set()).discard("aufraeumen")
    events = new.pop("events", set())
    unexplained = [
        f"{table} {key}" for table, rows in new.items() for key in rows - expected_new.get(table, set())
    ] + unexplained_events(facts, events, marks or {})
    promises.check("no row is there that nobody wrote", not unexplained, some(unexplained))
    missing = [f"{table} {key}" for table, rows in expected_new.items() for key in rows - after.rows[table].keys()]
    missing += missing_marks(facts, marks or {})
    promises.check("every row that users were told is kept, is there", not missing,
                   some(missing) if missing else f"{sum(map(len, expected_new.values()))} jobs, "
                   f"{sum(result == 'written' for result in (marks or {}).values())} events")  # fmt: skip
    settings = pictures.setting_differences(before, after)
    promises.check(
        "owner, grants, settings, limits, comments and structure are as before", not settings, some(settings)
    )


def _events(facts: Facts, identifiers: set[str]) -> list[tuple[str, str]]:
    with pictures.database(facts) as connection:
        rows: list[Any] = connection.execute(
            "select actor, action from events where id = any(%s::bigint[])", (sorted(identifiers),)
        ).fetchall()
        return [(str(actor), str(action)) for actor, action in rows]


def unexplained_events(facts: Facts, identifiers: set[str], marks: dict[str, str]) -> list[str]:
    """New events which neither the smoke test nor a user wrote."""
    user = facts["user_name"]
    return [
        f"event {actor}: {action}"
        for actor, action in _events(facts, identifiers)
        if not (actor == user and SMOKE_ACTIONS.fullmatch(action))
        and not (actor == REPORTER and marks.get(action) in ("written", "unclear"))
    ]


def missing_marks(facts: Facts, marks: dict[str, str]) -> list[str]:
    """Rows that the reporter was told are written, and that are not there exactly once."""
    with pictures.database(facts) as connection:
        found = dict(
            connection.execute(
                "select action, count(*) from events where actor = %s group by 1", (REPORTER,)
            ).fetchall()
        )
    return [mark for mark, result in marks.items() if result == "written" and found.get(mark) != 1]


def fresh_id(facts: Facts, promises: Promises, used: dict[str, int]) -> None:
    """A new row gets an id that the failed release never used."""
    archive = Archive(facts)
    try:
        archive.login()
        identifier = archive.upload("danach.pdf")
    except Refused as refused:
        promises.check("a new document is taken", False, str(refused))
        return
    highest = used["documents_id_seq"]
    promises.check("a new row gets an id that the failed release never used", identifier > highest,
                   f"{identifier}, the failed release had got to {highest}")  # fmt: skip
