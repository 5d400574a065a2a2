# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge logs: is nothing in them that must not be, and everything that must, since a time?

Each source is read once, as a stream. What was not read (too much, too slow, unreadable, cut short) is said and is unknown, and so is a
source without a line. Of secrets and personal data only the kind and the place leave this file.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import shared_engine
from ansible_collections.opsready.golive.plugins.module_utils._clients import docker
from ansible_collections.opsready.golive.plugins.module_utils._clients.container_log import ContainerSource
from ansible_collections.opsready.golive.plugins.module_utils._clients.log_files import (
    FileSource,
    JournalSource,
    Reading,
    paths_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients.log_lines import (
    Batch,
    json_object,
    level_of,
    may_be_bad,
    moment_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    at_most,
    holds,
    plain,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import (
    are_in,
    compiled,
    is_in,
    may_take_long,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import SHORTEST
from ansible_collections.opsready.golive.plugins.module_utils._core.sensitive_text import GROUPS, Sensitive
from ansible_collections.opsready.golive.plugins.module_utils._core.side_by_side import side_by_side
from ansible_collections.opsready.golive.plugins.module_utils._core.since import since_when
from ansible_collections.opsready.golive.plugins.module_utils._core.units import size_bytes, size_text, span_seconds

NAME = "check_logs"

_SOCKET = "unix:///var/run/docker.sock"
_PATTERN: Spec = {
    "pattern": {"type": "str", "required": True},
    "name": {"type": "str"},
    "level": {"type": "str", "choices": ["fail", "warn"], "default": "fail"},
}
ARGUMENT_SPEC: Spec = {
    "sources": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "path"},
            "journal": {"type": "str"},
            "journal_directory": {"type": "path"},
            "container": {"type": "str"},
            "url": {"type": "str", "default": _SOCKET},
            "encoding": {"type": "str", "default": "utf-8"},
            "time_zone": {"type": "str", "choices": ["host", "utc"], "default": "host"},
        },
        "mutually_exclusive": [["path", "journal", "container"]],
        "required_one_of": [["path", "journal", "container"]],
    },
    "since": {"type": "str"},
    "baseline": {"type": "str"},
    "forbidden": {
        "type": "list",
        "elements": "dict",
        "options": {**_PATTERN, "max": {"type": "int", "default": 0}, "max_times_baseline": {"type": "float"}},
    },
    "required": {
        "type": "list",
        "elements": "dict",
        "options": {**_PATTERN, "min": {"type": "int", "default": 1}},
    },
    "ignore": {"type": "list", "elements": "str"},
    "max_critical": {"type": "int"},
    "max_errors": {"type": "int"},
    "max_warnings": {"type": "int"},
    "min_json_share": {"type": "float"},
    "min_lines": {"type": "int", "default": 1},
    "max_silence": {"type": "str"},
    "sensitive": {"type": "list", "elements": "str", "choices": list(GROUPS), "default": ["secrets"]},
    "known_secrets": {"type": "list", "elements": "str", "no_log": True},
    "excerpts": {"type": "int", "default": 20},
    "max_size": {"type": "str", "default": "200MB"},
}
CONSTRAINTS: Constraints = {"required_by": {"baseline": ["since"]}}

_LEVEL_BOUNDS = {"critical": "max_critical", "error": "max_errors", "warning": "max_warnings"}
_SHOWN_LEVEL = {level: level for level in _LEVEL_BOUNDS}
#: What may match differently in a line than in many at once: anchors of the text, assertions, possessive parts.
_NOT_OVER_LINES = re.compile(r"\\[AZ]|\(\?(?:[!=>]|<[!=])|[*+?}]\+")
#: Places named for each kind of secret; the count is always whole.
_PLACES = 20
_EXCERPT_CHARACTERS = 300
#: A source that is no longer is kept for the other items of the call, which may look for something else in it.
_SHARED_BYTES = 4 << 20
_AnySource = t.Union[FileSource, JournalSource, ContainerSource]


@dataclasses.dataclass(frozen=True)
class Source:
    """What was read of one source, in counts; times in seconds since the epoch, ages in seconds."""

    label: str
    lines: int = 0
    ignored: int = 0
    json_lines: int = 0
    levels: dict[str, int] = dataclasses.field(default_factory=dict)
    #: matches by the number of the pattern
    forbidden: dict[int, int] = dataclasses.field(default_factory=dict)
    required: dict[int, int] = dataclasses.field(default_factory=dict)
    baseline_lines: int = 0
    baseline_forbidden: dict[int, int] = dataclasses.field(default_factory=dict)
    sensitive: dict[str, int] = dataclasses.field(default_factory=dict)
    places: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    excerpts: tuple[str, ...] = ()
    silence: float | None = None
    has_times: bool = False
    files: tuple[str, ...] = ()
    read_bytes: int = 0
    undecodable_lines: int = 0
    hole_bytes: int = 0
    gaps: tuple[str, ...] = ()
    problem: str = ""
    remedy: str = ""

    @property
    def is_whole(self) -> bool:
        return not self.problem and not self.gaps


@dataclasses.dataclass(frozen=True)
class Facts:
    """All sources, and how long before now they were asked from."""

    sources: tuple[Source, ...]
    since: str | None
    since_seconds: float | None
    baseline_seconds: float | None


# ---------------------------------------------------------------------------------------------------------- gathering


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Read every source side by side. Raises BadInput."""
    for option in ("sources", "forbidden", "required", "ignore", "known_secrets"):
        if params[option] is not None and not params[option]:
            raise BadInput(f"{option} is an empty list: nothing would be judged by it.")
    _judged_options(params)
    # One for all items: those that ask alike then share what was read.
    now = run.once((NAME, "now"), lambda: run.clock.now().timestamp())
    since = since_when(params["since"], now)
    baseline = None if params["baseline"] is None else span_seconds(params["baseline"], option="baseline")
    begin = since if since is None or baseline is None else since - baseline
    wanted = _Wanted(params, since=since, now=now)
    most = size_bytes(params["max_size"], option="max_size")
    jobs: list[tuple[str, t.Callable[[], Source]]] = []
    for given in params["sources"]:
        known = {label for label, _job in jobs}
        jobs += [(label, job) for label, job in _jobs(given, begin, most, wanted, run) if label not in known]
    answers = side_by_side([job for _label, job in jobs], deadline=run.deadline, width=4)
    return Facts(
        sources=tuple(_source_or_not(label, answer) for (label, _job), answer in zip(jobs, answers)),
        since=params["since"],
        since_seconds=None if since is None else now - since,
        baseline_seconds=baseline,
    )


def _judged_options(params: t.Mapping[str, t.Any]) -> None:
    """Raises BadInput where nothing but the reading itself would be judged."""
    asked = ("forbidden", "required", "min_json_share", "max_silence", "sensitive", "known_secrets", "baseline")
    if not any(params[name] for name in asked) and all(params[name] is None for name in _LEVEL_BOUNDS.values()):
        raise BadInput(f"Nothing is asked of the lines: give one of {', '.join((*asked, *_LEVEL_BOUNDS.values()))}.")
    if any(entry["max_times_baseline"] is not None for entry in params["forbidden"] or []) and not params["baseline"]:
        raise BadInput("max_times_baseline needs baseline, the span before since to compare with.")
    if params["max_silence"] is not None:
        span_seconds(params["max_silence"], option="max_silence")
    if any(len(secret) < SHORTEST for secret in params["known_secrets"] or []):
        raise BadInput(f"known_secrets holds one of less than {SHORTEST} characters, which is in every log.")
    names = [_name(entry) for option in ("forbidden", "required") for entry in params[option] or []]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"Several patterns are called {name}.", remedy="Give each a name of its own.")


class _Wanted:
    """What is looked for in each line, compiled once."""

    def __init__(self, params: t.Mapping[str, t.Any], *, since: float | None, now: float) -> None:
        self.since = since
        self.now = now
        self.forbidden = [_Searched(entry["pattern"], "forbidden") for entry in params["forbidden"] or []]
        self.required = [_Searched(entry["pattern"], "required") for entry in params["required"] or []]
        self.ignore = [_Searched(pattern, "ignore") for pattern in params["ignore"] or []]
        self.needs_json = params["min_json_share"] is not None
        self.needs_level = any(params[name] is not None for name in _LEVEL_BOUNDS.values())
        known = params["known_secrets"] or []
        self.sensitive = Sensitive(params["sensitive"], known)
        self.mask = Sensitive(GROUPS, known)
        self.excerpts = params["excerpts"]


def _jobs(
    given: t.Mapping[str, t.Any], begin: float | None, most: int, wanted: _Wanted, run: Run
) -> list[tuple[str, t.Callable[[], Source]]]:
    """What reads one source of the options: one job for each file that it names."""
    if given["journal"]:
        where = given["journal_directory"]
        label = f"journal of {given['journal']}" + (f" in {where}" if where else "")

        def read_journal() -> Source:
            source = JournalSource(
                given["journal"],
                since=begin,
                directory=where,
                max_bytes=most,
                deadline=run.deadline,
            )
            return _read(label, source, ("journal", given["journal"], where, begin, most), wanted, run, is_utc=True)

        return [(label, read_journal)]
    if given["container"]:
        return [_container_job(given["container"], given["url"], begin, most, wanted, run)]
    _check_encoding(given["encoding"])
    try:
        paths = paths_of(given["path"])
    except GoliveError as problem:
        absent = _nothing(given["path"], problem)
        return [(given["path"], lambda: absent)]
    is_utc = given["time_zone"] == "utc"

    def read_file(path: str) -> Source:
        source = FileSource(
            path,
            since=begin,
            is_utc=is_utc,
            encoding=given["encoding"],
            max_bytes=most,
            deadline=run.deadline,
            now=wanted.now,
        )
        key = ("file", path, begin, most, is_utc, given["encoding"])
        return _read(path, source, key, wanted, run, is_utc=is_utc)

    return [(path, functools.partial(read_file, path)) for path in paths]


def _container_job(
    name: str, url: str, begin: float | None, most: int, wanted: _Wanted, run: Run
) -> tuple[str, t.Callable[[], Source]]:
    label = f"container {name}" + ("" if url == _SOCKET else f" of {url}")

    def engine() -> docker.Engine:
        return shared_engine.opened(url, run=run)

    source = ContainerSource(name, engine, since=begin, max_bytes=most, deadline=run.deadline)
    key = ("container", url, name, begin, most)
    return label, lambda: _read(label, source, key, wanted, run, is_utc=True)


def _check_encoding(name: str) -> None:
    try:
        newline = "\n".encode(name)
    except LookupError:
        raise BadInput(f"encoding is {name!r}, which Python does not know.")
    if newline != b"\n":
        raise BadInput(
            f"encoding is {name!r}, in which a line does not end with the byte 0x0A.",
            remedy="Leave it out for UTF-16, which is known by its byte order mark.",
        )


def _nothing(label: str, problem: GoliveError) -> Source:
    return Source(label, problem=problem.message, remedy=problem.remedy)


def _source_or_not(label: str, answer: Source | GoliveError) -> Source:
    if isinstance(answer, BadInput):
        raise answer
    return _nothing(label, answer) if isinstance(answer, GoliveError) else answer


class _Whole(t.NamedTuple):
    """A source that was read in full, to be shared; the time is that at which its reading began."""

    batches: tuple[Batch, ...]
    reading: Reading
    at: float


class _Begun:
    """A source that is being read: by the one item that began, to its end."""

    def __init__(self, source: _AnySource, at: float) -> None:
        self.reading = source.reading
        self.at = at
        self._kept: list[Batch] = []
        self._rest = source.batches()

    def whole(self) -> _Whole | None:
        """What others may have as well: None where it is long, or where something is missing, since they may have more time."""
        for batch in self._rest:
            self._kept.append(batch)
            if self.reading.read_bytes > _SHARED_BYTES:
                return None
        return None if self.reading.gaps else _Whole(tuple(self._kept), self.reading, self.at)

    @property
    def batches(self) -> t.Iterator[Batch]:
        yield from self._kept
        yield from self._rest


def _read(
    label: str, source: _AnySource, key: tuple[t.Hashable, ...], wanted: _Wanted, run: Run, *, is_utc: bool
) -> Source:
    begun: list[_Begun] = []

    def begin() -> _Whole | None:
        begun.append(_Begun(source, run.clock.now().timestamp()))
        return begun[0].whole()

    whole = run.once((NAME, *key), begin)
    read = whole or (begun[0] if begun else _Begun(source, run.clock.now().timestamp()))
    count = _Count(wanted, run, at=read.at, is_utc=is_utc)
    for batch in read.batches:
        count.take(batch)
    return count.source(label, read.reading)


class _Searched:
    """One pattern. Most batches do not hold it at all, which one search over the whole batch tells."""

    def __init__(self, pattern: str, option: str) -> None:
        self._pattern = compiled(pattern, option=option)
        self._whole = None if _NOT_OVER_LINES.search(pattern) else re.compile(pattern, re.MULTILINE)

    def lines_with(self, texts: t.Sequence[str], whole: str) -> list[int]:
        """The numbers of the lines that match; ``whole`` is all of them in one."""
        first = self._whole
        if first is not None and not may_take_long(first.pattern, [whole]) and not is_in(first, whole):
            return []
        return [number for number, is_match in enumerate(are_in(self._pattern, texts)) if is_match]


class _Count:
    """One source's counts, as its lines come by."""

    def __init__(self, wanted: _Wanted, run: Run, *, at: float, is_utc: bool) -> None:
        self.wanted = wanted
        self.run = run
        self.at = at
        self.is_utc = is_utc
        self.lines = self.ignored = self.json_lines = self.baseline_lines = self.untimed = 0
        self.levels: collections.Counter[str] = collections.Counter()
        self.forbidden: collections.Counter[int] = collections.Counter()
        self.required: collections.Counter[int] = collections.Counter()
        self.baseline_forbidden: collections.Counter[int] = collections.Counter()
        self.sensitive: collections.Counter[str] = collections.Counter()
        self.places: dict[str, list[str]] = {}
        self.excerpts: list[str] = []
        self.last: Batch | None = None
        self.is_within = wanted.since is None
        self.has_times = False

    def _moment(self, batch: Batch, index: int) -> float | None:
        known = batch.moment(index)
        if known is not None:
            return known
        text = batch.texts[index]
        return moment_of(text, json_object(text), is_utc=self.is_utc, now=self.wanted.now)

    def take(self, batch: Batch) -> None:
        """Count a batch; a line without a time belongs to the one before it."""
        begin = 0
        if not self.is_within:
            begin = self._begin(batch)
            self._before(batch, begin)
        if begin < len(batch.texts):
            self.last = batch
            self._within(batch.since(begin))

    def _begin(self, batch: Batch) -> int:
        """The first line that is not older than ``since``; the number of lines where all are."""
        since = self.wanted.since or 0.0
        for index in range(len(batch.texts)):
            moment = self._moment(batch, index)
            if moment is None:
                self.untimed += not self.has_times
                continue
            self.has_times = True
            if moment >= since:
                self.is_within = True
                return index
        return len(batch.texts)

    def _before(self, batch: Batch, end: int) -> None:
        texts = batch.texts[:end]
        if not self.has_times or not texts:
            return
        self.baseline_lines += len(texts)
        whole = "\n".join(texts)
        known = {number for pattern in self.wanted.ignore for number in pattern.lines_with(texts, whole)}
        for number, pattern in enumerate(self.wanted.forbidden):
            self.baseline_forbidden[number] += len(set(pattern.lines_with(texts, whole)) - known)

    def _within(self, batch: Batch) -> None:
        wanted, texts = self.wanted, batch.texts
        whole = "\n".join(texts)
        known = {number for pattern in wanted.ignore for number in pattern.lines_with(texts, whole)}
        self.ignored += len(known)
        self.lines += len(texts) - len(known)
        shown: set[int] = set()
        if wanted.needs_json:
            self.json_lines += sum(
                json_object(text) is not None for number, text in enumerate(texts) if number not in known
            )
        if wanted.needs_level:
            shown.update(self._levels(batch, known))
        for number, pattern in enumerate(wanted.forbidden):
            matching = set(pattern.lines_with(texts, whole)) - known
            self.forbidden[number] += len(matching)
            shown |= matching
        for number, pattern in enumerate(wanted.required):
            self.required[number] += len(set(pattern.lines_with(texts, whole)) - known)
        for kind, lines in wanted.sensitive.lines_with(texts).items():
            self.sensitive[kind] += len(lines)
            places = self.places.setdefault(kind, [])
            places += [batch.place(line) for line in lines[: _PLACES - len(places)]]
        for line in sorted(shown)[: max(0, wanted.excerpts - len(self.excerpts))]:
            text = self.run.scrub.text(wanted.mask.without(texts[line][: 4 * _EXCERPT_CHARACTERS]))
            self.excerpts.append(f"{batch.place(line)}: {text[:_EXCERPT_CHARACTERS]}")

    def _levels(self, batch: Batch, known: t.Container[int]) -> t.Iterator[int]:
        """Count the levels, and give the lines that are worse than info."""
        suspects = may_be_bad(batch.texts)
        for number, text in enumerate(batch.texts):
            if number in known:
                continue
            # Once it is known that lines name their levels, the harmless ones need no closer look.
            if self.levels["info"] and number not in suspects and batch.levels is None:
                self.levels["info"] += 1
                continue
            level = level_of(text, json_object(text)) or batch.level(number)
            self.levels[_SHOWN_LEVEL.get(level, "info") if level else "none"] += 1
            if level in _LEVEL_BOUNDS:
                yield number

    def source(self, label: str, reading: Reading) -> Source:
        gaps = list(reading.gaps)
        if reading.unread_bytes:
            gaps.append(f"the oldest {size_text(reading.unread_bytes)} of it were left out by max_size")
        if self.wanted.since is not None and self.untimed and not self.has_times:
            gaps.append(
                f"none of its {self.untimed} lines carries a time, so that it cannot be told which are newer than since"
            )
        if reading.hole_bytes and len(reading.files) < 2:
            gaps.append(f"it was truncated while its writer went on: {size_text(reading.hole_bytes)} of it are a hole")
        last = self._last_moment()
        return Source(
            label=label,
            lines=self.lines,
            ignored=self.ignored,
            json_lines=self.json_lines,
            levels=dict(self.levels),
            forbidden=dict(self.forbidden),
            required=dict(self.required),
            baseline_lines=self.baseline_lines,
            baseline_forbidden=dict(self.baseline_forbidden),
            sensitive=dict(self.sensitive),
            places={kind: tuple(places) for kind, places in self.places.items()},
            excerpts=tuple(self.excerpts),
            silence=None if last is None else max(0.0, self.at - last),
            has_times=self.has_times,
            files=tuple(reading.files),
            read_bytes=reading.read_bytes,
            undecodable_lines=reading.undecodable_lines,
            hole_bytes=reading.hole_bytes,
            gaps=tuple(gaps),
        )

    def _last_moment(self) -> float | None:
        if self.last is None:
            return None
        newest = range(len(self.last.texts) - 1, -1, -1)
        return next((moment for index in newest if (moment := self._moment(self.last, index)) is not None), None)


# ------------------------------------------------------------------------------------------------------------ judging


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """What was read of each source, then what all of them say together; pure."""
    since = f" since {facts.since}" if facts.since else ""
    for source in facts.sources:
        yield from _judge_reading(source, params, since)
    for number, entry in enumerate(params["forbidden"] or []):
        yield from _judge_forbidden(number, entry, facts)
    for number, entry in enumerate(params["required"] or []):
        yield _judge_required(number, entry, facts)
    for level, option in _LEVEL_BOUNDS.items():
        if params[option] is not None:
            yield _judge_level(level, params[option], facts)
    if params["min_json_share"] is not None:
        lines = sum(source.lines for source in facts.sources)
        share = sum(source.json_lines for source in facts.sources) / lines if lines else None
        yield at_least(
            "share of lines that are JSON",
            None if share is None else round(share, 4),
            params["min_json_share"],
            remedy="See which writer does not use the logger: tracebacks, print, a wrapper's own lines.",
        )
    if params["sensitive"] or params["known_secrets"]:
        yield from _judge_sensitive(facts)


def _judge_reading(source: Source, params: t.Mapping[str, t.Any], since: str) -> t.Iterator[Criterion]:
    if source.problem:
        yield unknown(source.label, source.problem.rstrip("."), remedy=source.remedy)
        return
    if source.gaps:
        yield unknown(f"all of {source.label}", f"{source.label} was not read in full: {', and '.join(source.gaps)}")
    read = source.lines + source.ignored
    if not read:
        yield unknown(
            f"lines of {source.label}",
            f"{source.label} has no line{since}",
            remedy="See whether the service logs there, and at which level; an empty log proves nothing.",
        )
    else:
        yield at_least(f"lines of {source.label}", read, params["min_lines"])
    if params["max_silence"] is not None:
        yield at_most(
            f"silence of {source.label}",
            None if source.silence is None else round(source.silence, 1),
            span_seconds(params["max_silence"], option="max_silence"),
            unit="s",
            remedy="The service has written nothing for that long: see whether it still works, and still logs there.",
        )


def _name(entry: t.Mapping[str, t.Any]) -> str:
    return str(entry["name"] or f"/{entry['pattern']}/")


def _judge_forbidden(number: int, entry: t.Mapping[str, t.Any], facts: Facts) -> t.Iterator[Criterion]:
    count = sum(source.forbidden.get(number, 0) for source in facts.sources)
    where = ", ".join(source.label for source in facts.sources if source.forbidden.get(number))
    ratio = entry["max_times_baseline"]
    if ratio is None or count <= entry["max"]:
        yield at_most(
            f"lines with {_name(entry)}",
            count,
            entry["max"],
            remedy=f"Look at {where}; the evidence shows the first." if where else "",
            level=entry["level"],
        )
        return
    yield _beside_baseline(number, entry, facts, count)


def _beside_baseline(number: int, entry: t.Mapping[str, t.Any], facts: Facts, count: int) -> Criterion:
    """More than ``max`` is accepted where it is no more often than it was before."""
    label = f"lines with {_name(entry)} beside their rate before"
    if not any(source.baseline_lines for source in facts.sources):
        return unknown(
            label, f"{_name(entry)} is in {count} lines, and the baseline before has no line to compare with"
        )
    before = sum(source.baseline_forbidden.get(number, 0) for source in facts.sources)
    now_rate = 3600 * count / max(1.0, facts.since_seconds or 0.0)
    before_rate = 3600 * before / max(1.0, facts.baseline_seconds or 0.0)
    bound = entry["max_times_baseline"] * before_rate
    return holds(
        label,
        now_rate <= bound,
        measured=round(now_rate, 3),
        expected=f"at most {plain(bound)} an hour",
        sentence=f"{_name(entry)} is in {count} lines, {plain(now_rate)} an hour, and was in {plain(before_rate)} an hour before",
        remedy="It comes more often than before: the evidence shows the first lines.",
        level=entry["level"],
    )


def _judge_required(number: int, entry: t.Mapping[str, t.Any], facts: Facts) -> Criterion:
    count = sum(source.required.get(number, 0) for source in facts.sources)
    name = f"lines with {_name(entry)}"
    if count < entry["min"] and not all(source.is_whole and source.lines for source in facts.sources):
        return unknown(name, f"{name} are {count} in what was read, expected at least {entry['min']}")
    return at_least(name, count, entry["min"], level=entry["level"])


def _judge_level(level: str, bound: int, facts: Facts) -> Criterion:
    name = f"lines of level {level}"
    levels: collections.Counter[str] = collections.Counter()
    for source in facts.sources:
        levels.update(source.levels)
    if not levels or set(levels) == {"none"}:
        return unknown(
            name,
            f"{name} cannot be counted: none of {sum(levels.values())} lines names a level",
            remedy="Say in format how the lines name their level, or let the application write JSON lines with a level.",
        )
    return at_most(name, levels[level], bound, remedy="The evidence shows the first lines.")


def _judge_sensitive(facts: Facts) -> t.Iterator[Criterion]:
    found: collections.Counter[str] = collections.Counter()
    places: dict[str, list[str]] = {}
    for source in facts.sources:
        found.update(source.sensitive)
        for kind, where in source.places.items():
            places.setdefault(kind, []).extend(where)
    if not found:
        yield at_most("lines with secrets or personal data", 0, 0)
    for kind in sorted(found):
        named = ", ".join(places[kind][:3]) + (", …" if found[kind] > 3 else "")
        yield holds(
            f"{kind} in lines",
            False,
            measured=found[kind],
            expected="none",
            sentence=f"{kind} in {found[kind]} lines: {named}",
            remedy="Stop the program from logging it, remove those lines and their copies, and change what was a secret.",
        )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """What was read, as JSON: counts, places and masked excerpts."""
    return dataclasses.asdict(facts)
