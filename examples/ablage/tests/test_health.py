"""A component that does not answer is named, and the whole is as bad as its worst part."""

from __future__ import annotations

import pytest
from ablage import health, version


@pytest.mark.parametrize(
    ("states", "whole"),
    [(["gesund", "gesund"], "gesund"), (["gesund", "beeintraechtigt"], "beeintraechtigt"),
     (["kritisch", "gesund"], "kritisch"), ([], "kritisch")],
)  # fmt: skip
def test_the_whole_is_as_bad_as_its_worst_part(states: list[str], whole: str) -> None:
    assert health.worst(states) == whole


def test_without_any_server_every_part_says_so() -> None:
    whole = health.complete()
    assert (whole["status"], whole["version"]) == ("kritisch", version.VERSION)
    parts = whole["komponenten"]
    assert {parts[name]["status"] for name in ("datenbank", "schema", "redis", "speicher")} == {"kritisch"}
    assert parts["worker"]["status"] == "beeintraechtigt"
    assert whole["pipeline"]["status"] == "kritisch"
    assert health.pipeline()["version"] == version.VERSION
    assert health.detailed()["status"] == "kritisch"


def test_a_part_that_answers_is_timed() -> None:
    answered = health.examined(lambda: {"status": health.GESUND}, health.KRITISCH)
    assert (answered["status"], answered["dauer_ms"] >= 0) == ("gesund", True)
