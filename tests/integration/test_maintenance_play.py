# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance over a whole release that fails: noted in the journal when it goes on, and off again where the old version serves."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import typing as t
from pathlib import Path

import pytest

from tests.integration import test_plain_system_play as plain
from tests.integration.supervised import BACKEND, Supervised
from tests.servers import Answer, HttpServer, Request

pytestmark = pytest.mark.long

serves = pytest.mark.serves
#: A backend that starts, and is never healthy.
SICK = BACKEND.replace("send_response(200)", "send_response(500)")


class Site(plain.Site):
    """The plain system, whose application has a switch for maintenance of its own, and a new version that is never healthy."""

    def __init__(self, app: Supervised, proxy: HttpServer, admin: HttpServer, directory: Path) -> None:
        self.admin, self.is_switched = admin, False
        super().__init__(app, proxy, admin, directory)
        self.archive = app.artefact("2.0.0", {"backend.py": SICK.encode()})
        for word in ("enable", "disable", "status"):
            admin.route(f"/maintenance/{word}", self._switched)

    def _switched(self, request: Request) -> Answer:
        if request.method == "POST":
            self.is_switched = request.path.endswith("enable")
        return Answer(200, {"maintenance": self.is_switched})

    def _forwarded(self, request: Request) -> Answer:
        shut = Answer(503, "maintenance", {"Retry-After": "30"})
        return shut if self.is_switched else super()._forwarded(request)

    def variables(self) -> dict[str, t.Any]:
        told = super().variables()
        url = f"{self.admin.url}/maintenance"
        switch = {
            "name": "application", "backend": "http", "enable": {"url": f"{url}/enable"}, "disable": {"url": f"{url}/disable"},
            "read": {"url": f"{url}/status", "path": "$.maintenance"},
        }  # fmt: skip
        told["golive_maintenance"]["layers"].append(switch)
        well = [{"path": "$.status", "equals": "gesund"}]
        gates = [{"service": "backend", "url": self.app.url, "json": well, "timeout": 2}]
        told["golive_services"].update(gates=gates, previous_gates=gates)
        del told["golive_notify"]
        return told

    def journal(self) -> list[tuple[str, str, str]]:
        """Event, step and status of what the release noted of the way into maintenance and out of it."""
        lines = (self.record / "releases" / self.release / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines]
        return [
            (each["event"], each["step"], each.get("status", ""))
            for each in entries
            if each.get("step") in ("maintenance_on", "back_traffic")
        ]

    def turned(self) -> list[str]:
        """What the switch was told to do, in order."""
        return [request.path.rpartition("/")[2] for request in self.admin.requests if request.method == "POST"]

    def answer(self) -> tuple[int, str]:
        """Status and body that a user gets."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=10)) as connection:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


@pytest.fixture
def site(tmp_path: Path) -> t.Iterator[Site]:
    with Supervised() as app, HttpServer() as proxy, HttpServer() as admin:
        yield Site(app, proxy, admin, tmp_path)


WENT_ON = [("step_started", "maintenance_on", ""), ("step_ended", "maintenance_on", "done")]


@serves("S1.28", "S1.44", case="pass")
def test_a_release_that_fails_leaves_maintenance_at_every_layer_by_itself_and_tells_its_downtime(site: Site) -> None:
    failed = site.play("golive", codes=(2,))
    assert site.journal() == [*WENT_ON, ("step_started", "back_traffic", ""), ("step_ended", "back_traffic", "done")]
    assert site.turned() == ["enable", "disable"]
    asked = [(request.method, request.path) for request in site.admin.requests]
    for word in ("enable", "disable"):
        assert ("GET", "/maintenance/status") in asked[asked.index(("POST", f"/maintenance/{word}")) + 1 :]
    assert (site.flag.exists(), site.is_switched) == (False, False)
    status, body = site.answer()
    assert (status, json.loads(body)["version"]) == (200, "1.0.0")
    told = site.written()
    assert (told["outcome"], "maintenance is off" in told["outcome_text"]) == ("rolled_back", True)
    downtime = told["release"]["downtime"]
    assert (downtime["verdict"], downtime["unknown_seconds"], downtime["budget_seconds"]) == ("within budget", 0, 300)
    assert 0 < downtime["seconds"] < 300
    assert "503" in downtime["intervals"][0]["cause"]
    assert re.search(r"^downtime: \d+\.\d s of 300 s allowed", failed.stdout, re.MULTILINE)


@serves("S1.28", case="fail")
def test_a_switch_that_answers_and_stays_as_it_was_ends_the_release_and_the_outer_layer_goes_off_again(
    site: Site,
) -> None:
    site.admin.route("/maintenance/enable", Answer(200, {"maintenance": True}))
    failed = site.play("golive", codes=(2,))
    assert site.journal()[:2] == [WENT_ON[0], ("step_ended", "maintenance_on", "failed")], site.journal()
    assert site.journal()[-1] == ("step_ended", "back_traffic", "done")
    assert "Layer application accepted the request, and is not enabled" in failed.text
    assert site.turned() == ["enable"], "what says that it is off is not turned off"
    assert (site.flag.exists(), site.answer()[0]) == (False, 200)
    assert site.written()["outcome"] == "rolled_back"


@serves("S1.44", case="fail")
def test_where_the_old_version_does_not_serve_either_maintenance_stays_on_and_everybody_is_told(site: Site) -> None:
    (site.app.root / "health").write_text("kritisch")
    failed = site.play("golive", codes=(2,))
    assert site.journal() == WENT_ON, "nothing says that it is off"
    assert (site.turned(), site.flag.exists(), site.is_switched) == (["enable"], True, True)
    assert site.answer()[0] == 503
    told = site.written()
    assert told["outcome"] == "left_on"
    assert told["outcome_text"].startswith("The way back stopped at "), told["outcome_text"]
    assert "$.status is kritisch, expected gesund" in failed.text
    status = " ".join(site.play("status").stdout.split())
    assert "ended: left_on" in status
    assert re.search(r"maintenance is on since 20\d\d-\d\d-\d\dT[0-9:.]+Z, as the journal has it", status)
