# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe's samples say: every moment is good, down or unknown, and the bounds hold."""

from __future__ import annotations

import datetime
import json
import math
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions.downtime_probe import (
    Downtime,
    Sample,
    described,
    downtime,
    judge,
    look,
    measure,
    read_recording,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement


def samples_of(pattern: str, *, start: float = 1000.0, interval: float = 0.1, seconds: float = 0.01) -> list[Sample]:
    """``g`` good, ``m`` maintenance, ``b`` 502, ``t`` time-out, ``o`` old version, ``r`` 503 without Retry-After, blank none."""
    kinds: dict[str, dict[str, t.Any]] = {
        "g": {"status": 200, "version": "2"},
        "o": {"status": 200, "version": "1"},
        "m": {"status": 503, "retry_after": "60"},
        "r": {"status": 503},
        "b": {"status": 502},
        "t": {"status": None, "error": "timeout"},
    }
    return [
        Sample(at=start + index * interval, seconds=seconds, **kinds[letter])
        for index, letter in enumerate(pattern)
        if letter != " "
    ]


def judged(pattern: str, **options: t.Any) -> Downtime:
    options.setdefault("since", 1000.0)
    options.setdefault("until", 1000.0 + len(pattern) * 0.1)
    return downtime(samples_of(pattern), interval=0.1, **options)


def test_downtime_runs_from_the_first_bad_sample_to_the_next_good_one() -> None:
    found = judged("ggggbbbmmmgggg")
    assert found.seconds == pytest.approx(0.6)
    assert found.at_least == pytest.approx(0.5)
    assert found.at_most == pytest.approx(0.7)
    assert dict(found.down[0].answers) == {"502": 3, "503": 3}
    assert found.unknown_seconds == 0
    assert (found.samples, found.bad_samples) == (14, 6)


def test_every_interval_counts() -> None:
    found = judged("gbgbbgbbbg")
    assert [round(each.seconds, 1) for each in found.down] == [0.1, 0.2, 0.3]
    assert found.seconds == pytest.approx(0.6)


def test_a_timeout_counts_as_down() -> None:
    assert judged("ggttgg").seconds == pytest.approx(0.2)


def test_an_answer_of_a_wrong_version_is_no_good_answer() -> None:
    assert judged("ggooogg", expected_versions=["2"]).seconds == pytest.approx(0.3)
    assert judged("ggooogg", expected_versions=["1", "2"]).seconds == 0
    assert dict(judged("ggooogg", expected_versions=["2"]).down[0].answers) == {"version 1": 3}
    assert judged("ggooogg").versions == (("1", 3), ("2", 4))


def test_a_503_without_retry_after_is_told_apart() -> None:
    assert dict(judged("grg").down[0].answers) == {"503 without Retry-After": 1}


def test_missing_samples_are_unknown_and_not_good() -> None:
    found = judged("ggggg" + " " * 30 + "ggggg")
    assert found.unknown_seconds == pytest.approx(3.0)
    assert found.seconds == 0
    assert len(found.gaps) == 1


def test_a_short_pause_of_the_probe_is_resolution_and_no_gap() -> None:
    found = judged("ggggg     ggggg")
    assert found.unknown_seconds == 0
    assert found.resolution == pytest.approx(0.6)
    assert judged("ggggg     ggggg", gap_after=0.3).unknown_seconds == pytest.approx(0.5)


def test_a_machine_that_stood_still_for_two_seconds_widens_the_bounds_and_is_no_gap() -> None:
    found = judged("gggg" + " " * 20 + "bbgggg")
    assert (found.unknown_seconds, found.resolution) == (0, pytest.approx(2.1))
    assert (found.seconds, found.at_most) == (pytest.approx(0.2), pytest.approx(2.3))
    assert judged("gggg" + " " * 30 + "gggg").unknown_seconds == pytest.approx(3.0)


def test_nothing_recorded_is_all_unknown() -> None:
    found = downtime([], since=10.0, until=20.0, interval=0.1)
    assert (found.unknown_seconds, found.seconds, found.p95_ms, found.max_ms) == (10.0, 0, None, None)
    assert Judgement.of(judge(found, max_downtime=60, maintenance=[])).status == "fail", "no sample at all is no pass"


def test_time_before_the_first_and_after_the_last_sample_is_unknown() -> None:
    found = judged("gggg", since=990.0, until=1010.0)
    assert found.unknown_seconds == pytest.approx(10.0 + (10.0 - 0.4))
    assert judged("gggg", since=999.9).unknown_seconds == 0


def test_a_window_that_ends_before_it_begins_is_empty() -> None:
    found = judged("gggg", since=1000.0, until=900.0)
    assert (found.seconds, found.unknown_seconds, found.intervals) == (0, 0, ())


def test_bounds_beside_a_gap_and_at_the_windows_begin() -> None:
    assert judged("bbgg").at_most == pytest.approx(0.2)
    beside = judged("gg" + " " * 40 + "bbgg")
    assert beside.at_most == pytest.approx(0.2)
    clipped = judged("bbbbbb", since=1000.05, until=1000.09)
    assert (clipped.at_least, round(clipped.seconds, 2)) == (0.0, 0.04)


def test_percentiles_are_of_answered_requests() -> None:
    samples = [Sample(at=float(index), seconds=index / 1000, status=200) for index in range(1, 101)]
    samples.append(Sample(at=101.0, seconds=5.0, status=None, error="timeout"))
    found = downtime(samples, since=0, until=102, interval=1.0)
    assert (found.p50_ms, found.p95_ms, found.max_ms) == (50.0, 95.0, 100.0)


# ---- law 5


def test_maintenance_that_holds() -> None:
    found = judged("ggmmmmmmgg", maintenance=[(1000.2, 1000.8)])
    assert (found.violation_count, found.maintenance_samples) == (0, 6)
    assert Judgement.of(judge(found, max_downtime=1, maintenance=[(0.0, 1.0)])).status == "pass"


@pytest.mark.parametrize("letter", ["g", "b", "t", "r", "o"])
def test_anything_but_503_with_retry_after_breaks_maintenance(letter: str) -> None:
    found = judged(f"ggmmm{letter}mmgg", maintenance=[(1000.2, 1000.8)])
    assert found.violation_count == 1
    judgement = Judgement.of(judge(found, max_downtime=None, maintenance=[(1000.2, 1000.8)]))
    assert judgement.status == "fail"
    assert "1 of 6 requests during maintenance" in judgement.summary


def test_a_request_under_way_when_maintenance_ends_is_nobodys_fault() -> None:
    slow = [*samples_of("mmm"), Sample(at=1000.3, seconds=0.3, status=200)]
    found = downtime(slow, since=1000.0, until=1001.0, interval=0.1, maintenance=[(1000.0, 1000.4)])
    assert (found.violation_count, found.maintenance_samples) == (0, 3)


def test_many_violations_are_counted_and_some_are_named() -> None:
    found = judged("g" * 50, maintenance=[(1000.0, 1005.0)])
    assert found.violation_count == 50
    assert len(found.violations) == 20
    assert "200 (version 2)" in found.violations[0]


def test_maintenance_that_was_not_watched_is_unknown() -> None:
    window = [(1000.0, 1005.0)]
    found = judged("mmm" + " " * 40 + "mmmmmmm", maintenance=window)
    judgement = Judgement.of(judge(found, max_downtime=None, maintenance=window))
    assert judgement.status == "unknown"
    assert "3.9 s of maintenance" in judgement.summary or "4.0 s of maintenance" in judgement.summary


# ---- the budget


@pytest.mark.parametrize(
    ("pattern", "budget", "status"),
    [
        ("ggbbgg", 1.0, "pass"),
        ("g" + "b" * 20 + "g", 1.0, "fail"),
        ("gg" + " " * 40 + "gg", 1.0, "unknown"),
        ("gg" + " " * 40 + "gg", 10.0, "pass"),
        ("g" + "b" * 20 + " " * 40 + "g", 1.0, "fail"),
    ],
)
def test_the_budget_is_judged_by_the_longest_downtime_and_gaps_are_unknown(
    pattern: str, budget: float, status: str
) -> None:
    judgement = Judgement.of(judge(judged(pattern), max_downtime=budget, maintenance=[]))
    assert judgement.status == status, judgement.summary


def test_torn_lines_are_unknown_where_a_kill_does_not_explain_them() -> None:
    found = judged("ggg")
    assert Judgement.of(judge(found, max_downtime=1, maintenance=[], unreadable_lines=1)).status == "pass"
    assert Judgement.of(judge(found, max_downtime=1, maintenance=[], unreadable_lines=2)).status == "unknown"


# ---- properties

PATTERNS = st.text(alphabet="gmbtor ", max_size=80)


@given(PATTERNS, st.floats(-5, 15), st.floats(0, 20), st.one_of(st.none(), st.floats(0.05, 3)))
def test_every_moment_is_good_down_or_unknown(pattern: str, offset: float, length: float, gap: float | None) -> None:
    since, until = 1000.0 + offset, 1000.0 + offset + length
    found = downtime(samples_of(pattern), since=since, until=until, interval=0.1, gap_after=gap)
    total = math.fsum(each.seconds for each in found.intervals)
    assert total == pytest.approx(until - since, abs=1e-6)
    for earlier, later in zip(found.intervals, found.intervals[1:]):
        assert earlier.until == later.since
        assert earlier.state != later.state
    assert -1e-9 <= found.seconds <= found.at_most + 1e-9
    assert found.at_least <= found.seconds + 1e-9


@given(PATTERNS, st.integers(0, 79))
def test_a_good_answer_more_never_adds_downtime(pattern: str, place: int) -> None:
    if place >= len(pattern) or pattern[place] == " ":
        return
    better = pattern[:place] + "g" + pattern[place + 1 :]
    assert judged(better, until=1009.0).seconds <= judged(pattern, until=1009.0).seconds + 1e-9


@given(PATTERNS, st.randoms(use_true_random=False))
def test_the_order_in_the_file_does_not_matter(pattern: str, random: t.Any) -> None:
    mixed = samples_of(pattern)
    random.shuffle(mixed)
    assert downtime(mixed, since=1000, until=1009, interval=0.1) == judged(pattern, until=1009)


@given(PATTERNS, st.floats(0, 1))
def test_two_windows_side_by_side_add_up(pattern: str, share: float) -> None:
    watched = f"g{pattern}g"
    cut = 1000.0 + share * (len(watched) - 1) * 0.1
    whole = judged(watched)
    first = judged(watched, until=cut)
    second = judged(watched, since=cut)
    assert first.seconds + second.seconds == pytest.approx(whole.seconds, abs=1e-6)
    assert first.unknown_seconds + second.unknown_seconds == pytest.approx(whole.unknown_seconds, abs=1e-6)


@given(PATTERNS)
def test_the_description_is_plain_data(pattern: str) -> None:
    json.dumps(described(judged(pattern, maintenance=[(1000.0, 1001.0)])), allow_nan=False)


# ---- the file


def line(**values: t.Any) -> bytes:
    return json.dumps(values).encode() + b"\n"


def sample_line(monotonic: float, wall: float = 0.0) -> bytes:
    return line(n=1, t=wall, m=monotonic, ms=5.0, skew=0.5, status=200, retry_after=None, version=None, error="")


def test_a_step_of_the_wall_clock_moves_no_sample() -> None:
    began = line(began={"t": 5000.0, "m": 10.0, "interval": 0.1})
    recording = read_recording([began, sample_line(11.0, wall=5001.0), sample_line(12.0, wall=9999.0)])
    assert [sample.at for sample in recording.samples] == [5001.0, 5002.0]


def test_a_second_probe_in_the_same_file_goes_on_with_it() -> None:
    lines = [
        line(began={"t": 100.0, "m": 10.0, "interval": 0.1}),
        sample_line(10.0),
        b'{"n": 2, "t": 10',
        b"\n",
        line(began={"t": 200.0, "m": 3.0, "interval": 0.2}),
        sample_line(3.5),
        line(ended={"t": 201.0, "m": 4.0, "reason": "stop file"}),
        b"[]\n",
    ]
    recording = read_recording(lines)
    assert [sample.at for sample in recording.samples] == [100.0, 200.5]
    assert (recording.began, recording.ended, recording.ended_by) == (100.0, 201.0, "stop file")
    assert (recording.interval, recording.unreadable_lines, recording.worst_skew_ms) == (0.2, 2, 0.5)


def _day(hour: int, second: float = 0.0) -> str:
    return utc_text(
        datetime.datetime(2026, 11, 22, hour, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=second)
    )


def _at(hour: int, second: float = 0.0) -> float:
    return parse_utc(_day(hour, second)).timestamp()


def _recorded(path: Path, *runs: tuple[int, str], lead: float = 0.0) -> str:
    """A recording of probes, each of an hour and a pattern of seconds: ``.`` is good, ``x`` is not.

    ``lead`` is the seconds from a probe's begin to its first sample.
    """
    lines = []
    for hour, pattern in runs:
        lines.append(line(began={"t": _at(hour), "m": 0.0, "interval": 1.0}))
        lines += [
            line(n=n, t=0.0, m=n + lead, ms=5.0, skew=0.5, status=200 if state == "." else 503, retry_after="9",
                 version=None, error="")
            for n, state in enumerate(pattern)
        ]  # fmt: skip
        lines.append(line(ended={"t": 0.0, "m": float(len(pattern)), "reason": "stop file"}))
    path.write_bytes(b"".join(lines))
    return str(path)


def test_a_way_back_hours_later_is_told_by_its_own_window(tmp_path: Path) -> None:
    path = _recorded(tmp_path / "probe.jsonl", (1, "..xxx..."), (5, "..xxxxx.."))
    windows = [{"since": _day(1, 2), "until": _day(1, 5)}, {"since": _day(5, 2), "until": _day(5, 7)}]
    whole = measure(path, since=_day(1), maintenance=windows).downtime
    assert (whole.seconds, whole.unknown_seconds > 14_000) == (8.0, True)
    own = measure(path, since=_day(1), maintenance=windows, from_last_start=True).downtime
    assert (own.seconds, own.unknown_seconds, own.since, own.maintenance_seconds) == (5.0, 0.0, _at(5), 5.0)


def test_the_moment_from_a_probes_begin_to_its_first_answer_is_no_gap(tmp_path: Path) -> None:
    path = _recorded(tmp_path / "probe.jsonl", (1, "..xxx..."), (5, "..xxxxx.."), lead=0.25)
    own = measure(path, from_last_start=True).downtime
    assert (own.since, own.unknown_seconds, own.seconds) == (_at(5), 0.0, 5.0)


def test_maintenance_that_was_on_while_nobody_measured_is_unknown_and_not_left_out(tmp_path: Path) -> None:
    path = _recorded(tmp_path / "probe.jsonl", (1, "..xxx"), (5, "xxx.."))
    seen = measure(
        path, maintenance=[{"since": _day(1, 2), "until": _day(5, 3)}], max_downtime=60, from_last_start=True
    )
    assert (seen.downtime.since, seen.downtime.maintenance_unknown_seconds > 14_000) == (_at(1), True)
    assert seen.downtime.unknown_seconds > 14_000
    assert seen.judgement.status == "unknown"


@pytest.mark.parametrize("window", [{}, {"until": _day(1, 40)}])
def test_a_window_that_outlasts_its_probe_is_unknown_from_there_on(tmp_path: Path, window: dict[str, str]) -> None:
    """The probe ended by its own limit: what it did not see of maintenance may have been anything."""
    path = _recorded(tmp_path / "probe.jsonl", (1, "..xxxxx"))
    seen = measure(path, since=_day(1), maintenance=[{"since": _day(1, 2), **window}])
    assert seen.downtime.maintenance_unknown_seconds > 30
    assert seen.judgement.status == "unknown"
    held = measure(path, since=_day(1), maintenance=[{"since": _day(1, 2), "until": _day(1, 6)}])
    assert (held.downtime.maintenance_unknown_seconds, held.judgement.status) == (0.0, "pass")


def test_one_probe_that_went_on_is_told_whole(tmp_path: Path) -> None:
    path = _recorded(tmp_path / "probe.jsonl", (1, "..xxx..."))
    assert measure(path, from_last_start=True).downtime == measure(path).downtime


def test_an_empty_file_says_nothing() -> None:
    assert read_recording([]).began is None


def test_a_sample_without_status_or_words_has_an_answer() -> None:
    assert Sample(at=0, seconds=0, status=None).answer == "no answer"


def test_two_who_look_at_once_do_not_take_each_other_for_the_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "probe.lock").write_text("{}")
    seen = []

    def looked_at_again(text: bytes) -> dict[str, t.Any]:
        if not seen:
            seen.append(None)
            seen.append(look(str(tmp_path / "probe")).is_alive)
        return {}

    monkeypatch.setattr(f"{look.__module__}.json.loads", looked_at_again)
    assert not look(str(tmp_path / "probe")).is_alive
    assert seen == [None, False]
