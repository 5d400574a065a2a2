# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long was the system down, for a user? Start a probe that outlives us, and judge what it wrote.

Downtime is the sum of intervals without a good answer of a right version. The probe's samples are points; an interval
runs from the first bad sample to the next good one, so each end is uncertain by one step of the schedule: ``at_least`` and
``at_most`` say by how much. Where samples are missing nothing is known, and that time is counted apart.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import inspect
import json
import os
import select
import signal
import subprocess
import sys
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import probe_process
from ansible_collections.opsready.golive.plugins.module_utils._clients.http import (
    checked_headers,
    host_and_port,
    origin_of,
    trust,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import RELEASE, Spec, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import (
    CLOCK,
    Deadline,
    parse_utc,
    poll,
    utc_text,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, BadInput, Refused
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import held
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    Judgement,
    at_least,
    at_most,
    holds,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context

ARGUMENT_SPEC: Spec = compose(
    RELEASE,
    {
        "state": {"type": "str", "required": True, "choices": ["started", "read", "stopped"]},
        "path": {"type": "path", "required": True},
        "url": {"type": "str"},
        "interval_ms": {"type": "int", "default": 100},
        "timeout": {"type": "float", "default": 5.0},
        "max_seconds": {"type": "float", "default": 14400.0},
        "ca_file": {"type": "path"},
        "connect_to": {"type": "str"},
        "headers": {"type": "dict", "default": {}},
        "good": {
            "type": "dict",
            "default": {},
            "options": {
                "status": {"type": "list", "elements": "int", "default": [200]},
                "version_header": {"type": "str"},
                "versions": {"type": "list", "elements": "str", "default": []},
            },
            "apply_defaults": True,
        },
        "since": {"type": "str"},
        "until": {"type": "str"},
        "from_last_start": {"type": "bool", "default": False},
        "maintenance": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"since": {"type": "str", "required": True}, "until": {"type": "str"}},
        },
        "clock_tolerance": {"type": "float", "default": 0.0},
        "gap_after": {"type": "float"},
        "max_downtime": {"type": "float"},
        "enforce": {"type": "bool", "default": True},
    },
)
CONSTRAINTS: dict[str, t.Any] = {"required_if": [("state", "started", ("url",))]}

#: Seconds that a probe gets to say that it runs.
_STARTING_SECONDS = 15.0
#: Seconds that it gets to end, beyond the time-out of its last request.
_STOPPING_SECONDS = 5.0
#: Law 5 names at most so many single violations; their number is always given.
_MOST_VIOLATIONS = 20


# ---- the pure part: what the samples say


@dataclasses.dataclass(frozen=True)
class Sample:
    """One request of the probe. ``at`` is seconds since 1970, by the probe's own clock, steps of the wall clock removed."""

    at: float
    seconds: float
    status: int | None
    retry_after: str | None = None
    version: str | None = None
    error: str = ""

    @property
    def ended(self) -> float:
        return self.at + self.seconds

    @property
    def answer(self) -> str:
        """What came back, in a few words."""
        if self.status is None:
            return self.error or "no answer"
        if self.status == 503 and self.retry_after is None:
            return "503 without Retry-After"
        return str(self.status)


@dataclasses.dataclass(frozen=True)
class Recording:
    """What a probe's file holds. Its moments are seconds since 1970; no end means that none was written."""

    samples: tuple[Sample, ...]
    began: float | None
    #: When each probe that wrote here was started, in order; a way back days later starts one again.
    starts: tuple[float, ...]
    ended: float | None
    ended_by: str
    interval: float | None
    unreadable_lines: int
    worst_skew_ms: float
    #: Whether the probe was told in which header the system names its version.
    tells_version: bool


def read_recording(lines: t.Iterable[bytes]) -> Recording:
    """Read a probe's lines; a torn one is counted and left out, a later probe in the same file goes on with it."""
    samples: list[Sample] = []
    began: float | None = None
    starts: list[float] = []
    ended: float | None = None
    ended_by = ""
    interval: float | None = None
    unreadable = 0
    worst_skew = 0.0
    offset = 0.0
    tells_version = True
    for raw in lines:
        if not raw.strip():
            continue
        try:
            line = json.loads(raw)
            if "began" in line:
                # Within one run of the probe only the monotonic clock counts: NTP may step the wall clock meanwhile.
                offset = float(line["began"]["t"]) - float(line["began"]["m"])
                starts.append(float(line["began"]["t"]))
                began = starts[0]
                interval = float(line["began"]["interval"])
                tells_version = tells_version and bool(line["began"].get("version_header"))
                ended, ended_by = None, ""
            elif "ended" in line:
                ended = offset + float(line["ended"]["m"])
                ended_by = str(line["ended"]["reason"])
            else:
                worst_skew = max(worst_skew, float(line["skew"]))
                samples.append(
                    Sample(
                        at=offset + float(line["m"]),
                        seconds=float(line["ms"]) / 1000,
                        status=line["status"],
                        retry_after=line["retry_after"],
                        version=line["version"],
                        error=line["error"],
                    )
                )
        except (ValueError, KeyError, TypeError):
            unreadable += 1
    samples.sort(key=lambda sample: sample.at)
    return Recording(
        tuple(samples), began, tuple(starts), ended, ended_by, interval, unreadable, worst_skew, tells_version
    )


@dataclasses.dataclass(frozen=True)
class Interval:
    """A stretch of time in one state: ``good``, ``down`` or ``unknown``."""

    state: str
    since: float
    until: float
    answers: tuple[tuple[str, int], ...] = ()

    @property
    def seconds(self) -> float:
        return self.until - self.since


@dataclasses.dataclass(frozen=True)
class Downtime:
    """Everything that is said about a window of the recording. Times are seconds since 1970, lengths are seconds."""

    since: float
    until: float
    seconds: float
    at_least: float
    at_most: float
    unknown_seconds: float
    resolution: float
    intervals: tuple[Interval, ...]
    samples: int
    bad_samples: int
    p50_ms: float | None
    p95_ms: float | None
    max_ms: float | None
    versions: tuple[tuple[str, int], ...]
    violations: tuple[str, ...]
    violation_count: int
    maintenance_seconds: float
    maintenance_unknown_seconds: float
    maintenance_samples: int

    @property
    def down(self) -> tuple[Interval, ...]:
        return tuple(interval for interval in self.intervals if interval.state == "down")

    @property
    def gaps(self) -> tuple[Interval, ...]:
        return tuple(interval for interval in self.intervals if interval.state == "unknown")


def downtime(
    samples: t.Sequence[Sample],
    *,
    since: float,
    until: float,
    interval: float,
    expected_versions: t.Sequence[str] = (),
    good_statuses: t.Sequence[int] = (200,),
    maintenance: t.Sequence[tuple[float, float]] = (),
    gap_after: float | None = None,
) -> Downtime:
    """Judge the window from ``since`` to ``until`` (seconds since 1970). ``interval`` is the schedule's, in seconds.

    Two neighbours more than ``gap_after`` seconds apart (default: five intervals, at least three seconds) leave a gap. Every
    moment of the window is good, down or unknown. ``maintenance`` holds the windows in which law 5 is judged.
    """
    ordered = sorted(samples, key=lambda sample: sample.at)
    limit = _gap(interval, gap_after)
    until = max(since, until)

    def answered(sample: Sample) -> bool:
        return sample.status in good_statuses

    def good(sample: Sample) -> bool:
        return answered(sample) and (not expected_versions or sample.version in expected_versions)

    stretches = _stretches(ordered, good, answered, since=since, until=until, interval=interval, limit=limit)
    intervals = tuple(_merged(stretches))
    inside = [sample for sample in ordered if since <= sample.at < until]
    steps = [later.at - earlier.at for earlier, later in zip(inside, inside[1:]) if later.at - earlier.at <= limit]
    spread = _spread(ordered, good, intervals)
    lengths_ms = sorted(sample.seconds * 1000 for sample in inside if sample.status is not None)
    violations: list[str] = []
    judged = 0
    for begin, end in maintenance:
        # A request that was under way when maintenance went off may be answered by either side.
        within = [sample for sample in ordered if sample.at >= begin and sample.ended <= end]
        judged += len(within)
        violations += [
            f"{_clock_text(sample.at)}: {sample.answer}" + (f" (version {sample.version})" if sample.version else "")
            for sample in within
            if sample.status != 503 or not sample.retry_after
        ]
    counted: dict[str, int] = {}
    for sample in inside:
        if sample.version is not None:
            counted[sample.version] = counted.get(sample.version, 0) + 1
    return Downtime(
        since=since,
        until=until,
        seconds=_total(intervals, "down"),
        at_least=spread[0],
        at_most=spread[1],
        unknown_seconds=_total(intervals, "unknown"),
        resolution=max([interval, *steps]),
        intervals=intervals,
        samples=len(inside),
        bad_samples=sum(1 for sample in inside if not good(sample)),
        p50_ms=_percentile(lengths_ms, 50),
        p95_ms=_percentile(lengths_ms, 95),
        max_ms=lengths_ms[-1] if lengths_ms else None,
        versions=tuple(sorted(counted.items())),
        violations=tuple(violations[:_MOST_VIOLATIONS]),
        violation_count=len(violations),
        maintenance_seconds=sum(max(0.0, end - begin) for begin, end in maintenance),
        maintenance_unknown_seconds=sum(_unknown_between(stretches, begin, end) for begin, end in maintenance),
        maintenance_samples=judged,
    )


def _gap(interval: float, gap_after: float | None) -> float:
    """How many seconds without a sample are a gap.

    A busy or migrated machine stands still for a second or two. That is told as a coarser resolution, and in the bounds of the
    downtime; it is no reason to take a good release back.
    """
    return max(5 * interval, 3.0) if gap_after is None else max(gap_after, interval)


def _stretches(
    ordered: t.Sequence[Sample],
    good: t.Callable[[Sample], bool],
    answered: t.Callable[[Sample], bool],
    *,
    since: float,
    until: float,
    interval: float,
    limit: float,
) -> list[Interval]:
    """The window cut at each sample: a sample speaks for the time until the next, or one interval before a gap."""
    pieces: list[Interval] = []

    def add(state: str, begin: float, end: float, answer: str = "") -> None:
        begin, end = max(begin, since), min(end, until)
        if end > begin:
            pieces.append(Interval(state, begin, end, ((answer, 1),) if answer else ()))

    if not ordered:
        add("unknown", since, until)
        return pieces
    # The first sample also speaks for what little lies between the window's begin and itself.
    first = ordered[0]
    lead = first.at - since
    add("unknown" if lead > limit else ("good" if good(first) else "down"), since, first.at)
    for index, sample in enumerate(ordered):
        following = ordered[index + 1].at if index + 1 < len(ordered) else max(until, sample.at)
        state = "good" if good(sample) else "down"
        answer = "" if state == "good" else (f"version {sample.version}" if answered(sample) else sample.answer)
        if following - sample.at <= limit:
            add(state, sample.at, following, answer)
        else:
            add(state, sample.at, sample.at + interval, answer)
            add("unknown", sample.at + interval, following)
    return pieces


def _merged(pieces: t.Iterable[Interval]) -> t.Iterator[Interval]:
    held_back: Interval | None = None
    counts: dict[str, int] = {}
    for piece in pieces:
        if held_back is not None and piece.state == held_back.state:
            held_back = dataclasses.replace(held_back, until=piece.until)
        else:
            if held_back is not None:
                yield dataclasses.replace(held_back, answers=tuple(sorted(counts.items())))
            held_back, counts = piece, {}
        for answer, number in piece.answers:
            counts[answer] = counts.get(answer, 0) + number
    if held_back is not None:
        yield dataclasses.replace(held_back, answers=tuple(sorted(counts.items())))


def _total(intervals: t.Iterable[Interval], state: str) -> float:
    return sum(interval.seconds for interval in intervals if interval.state == state)


def _spread(
    ordered: t.Sequence[Sample], good: t.Callable[[Sample], bool], intervals: t.Sequence[Interval]
) -> tuple[float, float]:
    """The least and the most that the downtime can have been, by where its ends may lie between two samples."""
    goods = [sample.at for sample in ordered if good(sample)]
    bads = [sample.at for sample in ordered if not good(sample)]
    least = most = 0.0
    for index, interval in enumerate(intervals):
        if interval.state != "down":
            continue
        own = bads[bisect.bisect_left(bads, interval.since) : bisect.bisect_left(bads, interval.until)]
        least += own[-1] - own[0] if own else 0.0
        begin = interval.since
        if index and intervals[index - 1].state == "good":
            before = bisect.bisect_left(goods, interval.since)
            begin = max(intervals[index - 1].since, goods[before - 1] if before else begin)
        most += interval.until - begin
    return least, most


def _unknown_between(pieces: t.Iterable[Interval], begin: float, end: float) -> float:
    return sum(
        max(0.0, min(piece.until, end) - max(piece.since, begin)) for piece in pieces if piece.state == "unknown"
    )


def _percentile(ordered: t.Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile of sorted numbers."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


def _clock_text(at: float) -> str:
    return utc_text(datetime.datetime.fromtimestamp(at, datetime.timezone.utc))


def judge(
    found: Downtime,
    *,
    max_downtime: float | None,
    maintenance: t.Sequence[tuple[float, float]],
    unreadable_lines: int = 0,
) -> t.Iterator[Criterion]:
    """Was the system down for longer than the budget, and did maintenance hold (law 5)?"""
    yield at_least("samples", found.samples, 1, remedy="The probe wrote nothing in this window: was it running?")
    if unreadable_lines > 1:  # one torn line is what a kill leaves
        yield unknown("probe file", f"{unreadable_lines} lines of the probe's file cannot be read")
    if max_downtime is not None:
        remedy = "The report's time line shows each interval and what was answered in it."
        if found.at_most <= max_downtime < found.at_most + found.unknown_seconds:
            yield unknown(
                "downtime",
                f"downtime is {found.seconds:.1f} s, and {found.unknown_seconds:.1f} s more are unknown since the probe "
                f"has gaps: the budget of {max_downtime:g} s cannot be judged",
                remedy=remedy,
            )
        else:
            yield at_most("downtime", round(found.at_most, 3), max_downtime, unit="s", remedy=remedy)
    if maintenance:
        shown = "; ".join(found.violations[:3])
        yield holds(
            "maintenance held",
            found.violation_count == 0,
            measured=found.violation_count,
            expected="503 with Retry-After on the user path all the time",
            sentence=f"{found.violation_count} of {found.maintenance_samples} requests during maintenance were not "
            f"answered by 503 with Retry-After: {shown}",
            remedy="Maintenance must be answered by a layer that the release does not stop, such as the proxy.",
        )
        yield at_least("samples during maintenance", found.maintenance_samples, 1)
        if found.maintenance_unknown_seconds > 0:
            yield unknown(
                "maintenance watched",
                f"for {found.maintenance_unknown_seconds:.1f} s of maintenance the probe has no sample",
            )


def described(found: Downtime) -> dict[str, t.Any]:
    """The result as plain data: lengths in seconds, times in RFC 3339."""

    def listed(intervals: t.Iterable[Interval]) -> list[dict[str, t.Any]]:
        return [
            {
                "since": _clock_text(interval.since),
                "until": _clock_text(interval.until),
                "seconds": round(interval.seconds, 3),
                "answers": dict(interval.answers),
            }
            for interval in intervals
        ]

    def rounded(number: float | None) -> float | None:
        return None if number is None else round(number, 1)

    return {
        "since": _clock_text(found.since),
        "until": _clock_text(found.until),
        "seconds": round(found.seconds, 3),
        "at_least_seconds": round(found.at_least, 3),
        "at_most_seconds": round(found.at_most, 3),
        "unknown_seconds": round(found.unknown_seconds, 3),
        "resolution_seconds": round(found.resolution, 3),
        "intervals": listed(found.down),
        "gaps": listed(found.gaps),
        "samples": found.samples,
        "bad_samples": found.bad_samples,
        "p50_ms": rounded(found.p50_ms),
        "p95_ms": rounded(found.p95_ms),
        "max_ms": rounded(found.max_ms),
        "versions": dict(found.versions),
        "maintenance": {
            "seconds": round(found.maintenance_seconds, 3),
            "unknown_seconds": round(found.maintenance_unknown_seconds, 3),
            "samples": found.maintenance_samples,
            "violations": list(found.violations),
            "violation_count": found.violation_count,
        },
    }


# ---- the part that touches the world


@dataclasses.dataclass(frozen=True)
class Running:
    """The probe that holds an output file, as its lock file describes it; alive while the kernel holds its lock."""

    is_alive: bool
    note: dict[str, t.Any]

    @property
    def pid(self) -> int | None:
        """The process, if it is still the one that wrote the note."""
        pid = self.note.get("pid")
        if not isinstance(pid, int) or self.note.get("boot") != probe_process.boot_id():
            return None
        return pid if probe_process.start_ticks(pid) == self.note.get("start_ticks") else None


def look(path: str) -> Running:
    """Which probe writes to this file."""
    try:
        descriptor = os.open(path + ".lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return Running(False, {})
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look must not see each other
            is_alive = False
        except BlockingIOError:
            is_alive = True
        try:
            note = json.loads(os.pread(descriptor, 65536, 0) or b"{}")
        except ValueError:  # torn by a full disk: the lock still tells whether it lives
            note = {}
        return Running(is_alive, note if isinstance(note, dict) else {})
    finally:
        os.close(descriptor)


def _configuration(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the probe process is told. Raises BadInput."""
    origin_of(params["url"])
    if params["interval_ms"] < 10:
        raise BadInput(f"interval_ms is {params['interval_ms']}, expected at least 10.")
    if params["timeout"] <= 0 or params["max_seconds"] <= 0:
        raise BadInput("timeout and max_seconds must be more than 0 seconds.")
    if params["connect_to"]:
        host_and_port(params["connect_to"])
    if params["ca_file"]:
        trust(params["ca_file"])
    configuration = {
        "path": os.path.abspath(params["path"]),
        "url": params["url"].strip(),
        "interval": params["interval_ms"] / 1000,
        "timeout": params["timeout"],
        "seconds": params["max_seconds"],
        "ca_file": os.path.abspath(params["ca_file"]) if params["ca_file"] else None,
        "connect_to": params["connect_to"],
        "headers": checked_headers(params["headers"]),
        "version_header": params["good"]["version_header"],
    }
    text = json.dumps(configuration, sort_keys=True)
    return {
        **configuration,
        "fingerprint": hashlib.sha256(text.encode("utf-8")).hexdigest(),
        "release": params["release"],
    }


def _start(configuration: t.Mapping[str, t.Any], deadline: Deadline) -> dict[str, t.Any]:
    """Start the probe in a session of its own and wait until it says that it runs. Raises ActionFailed, Refused."""
    path = str(configuration["path"])
    code_path = path + ".py"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + ".stop")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(code_path)
    descriptor = os.open(code_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as copy:
        copy.write(inspect.getsource(probe_process))
    # No death signal here: outliving us is the purpose. And a small environment: ours may hold somebody's secret.
    environment = {
        name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ
    }
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", code_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd="/",
        start_new_session=True,
    )
    try:
        stdin, stdout = t.cast("t.IO[bytes]", process.stdin), t.cast("t.IO[bytes]", process.stdout)
        with contextlib.suppress(BrokenPipeError):  # it ended already; what it said is read below
            stdin.write(json.dumps(configuration).encode("utf-8"))
            stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        said = b""
        while b"\n" not in said:
            if not select.select([stdout], [], [], deadline.require("Starting the probe"))[0]:
                continue
            more = os.read(stdout.fileno(), 65536)
            if not more:
                break
            said += more
    finally:
        stdout.close()
        if process.poll() is None and not said:
            process.kill()
        process.wait()
    try:
        answer = json.loads(said)
    except ValueError:
        last = said.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise ActionFailed(f"The probe did not start: {last[0]}.")
    if "refused" in answer:
        raise Refused(f"The probe for {path} did not start: {answer['refused']}.")
    return t.cast("dict[str, t.Any]", answer["ready"])


def _read(path: str) -> Recording:
    try:
        with open(path, "rb") as lines:
            return read_recording(lines)
    except FileNotFoundError:
        raise BadInput(f"There is no recording at {path}: no probe was started for it.")
    except OSError as problem:
        raise BadInput(f"The recording at {path} cannot be read: {problem.strerror}.")


def started(context: Context) -> dict[str, t.Any]:
    """Make sure that a probe with these settings writes to the file."""
    params = context.params
    configuration = _configuration(params)
    path = configuration["path"]
    if not os.path.isdir(os.path.dirname(path)):
        raise BadInput(f"The folder {os.path.dirname(path)} does not exist.")
    running = look(path)
    if running.is_alive:
        if running.note.get("fingerprint") != configuration["fingerprint"]:
            raise Refused(
                f"Another probe, for {running.note.get('url', 'an unknown URL')}, writes to {path} (process "
                f"{running.note.get('pid', 'unknown')}).",
                remedy="Stop it with state stopped, or choose another path.",
            )
        return {"changed": False, "running": True, "pid": running.note.get("pid"), "recording": path}
    if context.check_mode:
        return {"changed": True, "running": False, "pid": None, "recording": path}
    before = os.path.getsize(path) if os.path.exists(path) else 0
    note = _start(configuration, Deadline(_STARTING_SECONDS))

    def first() -> Sample | None:
        with open(path, "rb") as lines:
            lines.seek(before)
            samples = read_recording(lines).samples
        return samples[0] if samples else None

    patience = Deadline(params["timeout"] + _STARTING_SECONDS)
    sample = poll(
        first,
        good=lambda seen: seen is not None,
        deadline=patience,
        describe=lambda seen, in_a_row: f"The probe runs (process {note['pid']}), but {path} has no sample",
        interval=0.02,
    )
    first_answer = sample.answer if sample is not None else ""
    if sample is None or sample.status not in params["good"]["status"]:
        context.warn(
            f"The probe's first answer from {configuration['url']} is {first_answer}, which is not a good one."
        )
    return {"changed": True, "running": True, "pid": note["pid"], "recording": path, "first_answer": first_answer}


def read(context: Context) -> dict[str, t.Any]:
    """What the probe has seen so far."""
    path = os.path.abspath(context.params["path"])
    return {"changed": False, **_judged(context, path)}


def stopped(context: Context) -> dict[str, t.Any]:
    """End the probe, tidy up beside its file, and say what it has seen."""
    path = os.path.abspath(context.params["path"])
    running = look(path)
    if running.is_alive and not context.check_mode:
        _stop(path, running)
    return {"changed": running.is_alive, **_judged(context, path)}


def _stop(path: str, running: Running) -> None:
    grace = float(running.note.get("timeout") or 5.0) + _STOPPING_SECONDS
    os.close(os.open(path + ".stop", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for limit, number in ((grace, signal.SIGTERM), (grace, signal.SIGKILL), (5.0, None)):
        deadline = Deadline(limit)
        while look(path).is_alive and not deadline.expired():
            deadline.clock.sleep(0.02)
        if not look(path).is_alive:
            break
        pid = running.pid
        if pid is None or number is None:
            raise ActionFailed(f"The probe for {path} does not end, and its process cannot be told for sure.")
        with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
            os.kill(pid, number)
    for suffix in (".stop", ".py", ".lock"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)


def _moment(text: str, option: str) -> float:
    try:
        return parse_utc(text).timestamp()
    except ValueError:
        raise BadInput(f"{option} is {text!r}, expected a time such as 2026-11-22T01:02:03Z.")


@dataclasses.dataclass(frozen=True)
class Measured:
    """A recording, what it says of a window, and how that is judged."""

    recording: Recording
    downtime: Downtime
    judgement: Judgement


def measure(
    path: str,
    *,
    since: str | None = None,
    until: str | None = None,
    maintenance: t.Sequence[t.Mapping[str, str | None]] = (),
    versions: t.Sequence[str] = (),
    statuses: t.Sequence[int] = (200,),
    max_downtime: float | None = None,
    gap_after: float | None = None,
    clock_tolerance: float = 0.0,
    from_last_start: bool = False,
) -> Measured:
    """Judge what a probe wrote so far; times in RFC 3339. Raises BadInput and ActionFailed where there is no recording."""
    recording = _read(path)
    if recording.began is None or recording.interval is None:
        raise ActionFailed(f"{path} holds no recording of a probe.")
    if versions and not recording.tells_version:
        raise BadInput(
            "good.versions is given, but the probe was not told in which header the system names its version.",
            remedy="Start it with good.version_header, or leave good.versions out.",
        )
    begin = _moment(since, "since") if since else recording.began
    open_until = _moment(until, "until") if until else max(CLOCK.now().timestamp(), recording.ended or 0.0)
    windows = [
        (
            _moment(str(window["since"]), "maintenance.since") + clock_tolerance,
            (_moment(str(window["until"]), "maintenance.until") if window.get("until") else open_until)
            - clock_tolerance,
        )
        for window in maintenance
    ]
    end = open_until if until else recording.ended or open_until
    last = max((closed for _opened, closed in windows), default=end)
    if last - end > _gap(recording.interval, gap_after):
        end = last  # a probe that ended by itself has not seen the rest of a window: that is unknown, and not over
    samples = recording.samples
    if from_last_start:
        begin = max(begin, _last_start(recording.starts, windows))
        windows = [window for window in windows if window[1] > begin]
        # What lies between the start and its first answer is that answer's, and not the pause before the start.
        samples = tuple(sample for sample in samples if sample.at >= begin)
    found = downtime(
        samples,
        since=begin,
        until=end,
        interval=recording.interval,
        expected_versions=versions,
        good_statuses=statuses,
        maintenance=windows,
        gap_after=gap_after,
    )
    criteria = judge(found, max_downtime=max_downtime, maintenance=windows, unreadable_lines=recording.unreadable_lines)
    return Measured(recording, found, Judgement.of(criteria))


def _last_start(starts: t.Sequence[float], windows: t.Iterable[tuple[float, float]]) -> float:
    """The last start; with maintenance on at that moment the one before it, since what nobody measured meanwhile is unknown."""
    moment = starts[-1]
    for since, until in sorted(windows, reverse=True):
        if since <= moment < until:
            moment = max((start for start in starts if start <= since), default=since)
    return moment


def _judged(context: Context, path: str) -> dict[str, t.Any]:
    params = context.params
    running = look(path)
    seen = measure(
        path,
        since=params["since"],
        until=params["until"],
        maintenance=params["maintenance"],
        versions=params["good"]["versions"],
        statuses=params["good"]["status"],
        max_downtime=params["max_downtime"],
        gap_after=params["gap_after"],
        clock_tolerance=params["clock_tolerance"],
        from_last_start=params["from_last_start"],
    )
    recording, judgement = seen.recording, seen.judgement
    result: dict[str, t.Any] = {
        "running": running.is_alive,
        "pid": running.pid if running.is_alive else None,
        "recording": path,
        "ended_by": recording.ended_by or ("" if running.is_alive else "killed"),
        "downtime": described(seen.downtime),
        "worst_skew_ms": recording.worst_skew_ms,
        "unreadable_lines": recording.unreadable_lines,
        "finding": dataclasses.asdict(judgement),
        "msg": judgement.summary,
    }
    if params["enforce"] and judgement.status in ("fail", "unknown"):
        raise ActionFailed(judgement.summary, remedy=judgement.remedy, known=result)
    return result


_STATES: dict[str, t.Callable[[Context], dict[str, t.Any]]] = {"started": started, "read": read, "stopped": stopped}


def body(context: Context) -> dict[str, t.Any]:
    """The module's work."""
    state = context.params["state"]
    if state == "read" or context.check_mode:
        return _STATES[state](context)
    with held(context.params["release"], doing=f"downtime_probe {state}"):
        try:
            return _STATES[state](context)
        except OSError as problem:
            raise ActionFailed(f"The probe's files at {context.params['path']}: {problem.strerror or problem}.")
