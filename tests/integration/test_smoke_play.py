# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``opsready.golive.smoke``, alone: every host's items of the phase decide, and the walk through the system."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.integration.test_plan_play import SYSTEM
from tests.playbook import Inventory, Played, run_playbook
from tests.servers import Answer, HttpServer, Request

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
FLEET: Inventory = {"all": {"hosts": {"web1": {"file": "/etc/passwd"}, "web2": {"file": "/no/such/file"}}}}


def _smoke(server: HttpServer, tmp_path: Path, checklist: list[dict[str, t.Any]]) -> Played:
    plays = yaml.safe_load((PLAYBOOKS / "smoke.yml").read_text(encoding="utf-8"))
    walk = [{"name": "front page", "request": {"method": "GET", "url": "/"}}]
    return run_playbook(
        [{**play, "vars_files": [str(PLAYBOOKS / "vars" / "roles.yml")]} for play in plays],
        inventory=FLEET,
        extra_vars={
            **SYSTEM,
            "golive_state_dir": str(tmp_path),
            "golive_smoke": {"base_url": server.url, "inside": walk, "outside": walk},
            "golive_checklist": checklist,
        },
    )


def _item(phase: str) -> dict[str, t.Any]:
    files = [{"path": "{{ file }}"}]
    return {"id": "file", "title": "file", "phase": phase, "hosts": "web*", "check_host": {"files": files}}


@pytest.mark.parametrize(("phase", "ended"), [("smoke", False), ("watch", True)])
def test_an_item_that_fails_on_one_host_fails_the_smoke_test(
    http_server: HttpServer, tmp_path: Path, phase: str, ended: bool
) -> None:
    walked: list[Request] = []
    http_server.route("/", lambda request: walked.append(request) or Answer(200, "here"))
    http_server.route("/left", lambda request: Answer(200 if walked else 404, "by the walk"))
    left = {"id": "left", "title": "left", "phase": "smoke", "check_http": {"url": f"{http_server.url}/left"}}
    played = _smoke(http_server, tmp_path, [_item(phase), left])
    assert (played.rc == 0) is ended, played.text
    assert re.search(r"^smoke test: 1 step passed in \d+\.\d s$", played.stdout, re.MULTILINE)
    if not ended:
        blocking = played.of("Main | Decide").result["verdict"]["blocking"]
        assert [(entry["id"], entry["host"], entry["status"]) for entry in blocking] == [("file", "web2", "fail")]


def test_a_system_that_does_not_answer_fails_it(http_server: HttpServer, tmp_path: Path) -> None:
    http_server.route("/", Answer(500, "gone"))
    played = _smoke(http_server, tmp_path, [_item("watch")])
    assert played.rc != 0
    assert "smoke test: " not in played.stdout
