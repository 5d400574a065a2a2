# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""checklist, in real playbooks: every item gets its finding, whatever happens to its host, and no secret gets out."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest

from tests.leaks import assert_no_leak
from tests.parts import need_part
from tests.playbook import Inventory, Played, run_playbook
from tests.servers import HangingServer, RefusedPort

CANARIES = {
    "database": "canary-db:7f/3a@9c e1",
    "in_a_list": "canary-list-8e77a1",
}


def _file(identity: str, path: str = "/etc/passwd", **more: t.Any) -> dict[str, t.Any]:
    return {"id": identity, "title": f"About {identity}", "check_host": {"files": [{"path": path}]}, **more}


def _plays(verdict: bool = True, **options: t.Any) -> list[dict[str, t.Any]]:
    plays: list[dict[str, t.Any]] = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [{"name": "Plan", "opsready.golive.plan": {"directory": "{{ playbook_dir }}/run"}}],
        },
        {
            "hosts": "localhost,all",
            "gather_facts": False,
            "tasks": [
                {"name": "Judge", "opsready.golive.checklist": {"directory": "{{ playbook_dir }}/run", **options}},
                {"name": "Go on", "ansible.builtin.debug": {"msg": "still here"}},
            ],
        },
    ]
    if verdict:
        plays.append(
            {
                "hosts": "localhost",
                "gather_facts": False,
                "tasks": [
                    {
                        "name": "Decide",
                        "opsready.golive.verdict": {"directory": "{{ playbook_dir }}/run", "enforce": False},
                    }
                ],
            }
        )
    return plays


def _spooled(played: Played, host: str = "controller", batch: str = "pre_deploy") -> dict[str, dict[str, t.Any]]:
    path = played.directory / "run" / "findings" / batch / f"{host}.json"
    return {finding["id"]: finding for finding in json.loads(path.read_text())}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Played]:
    """A host that works, one that cannot be reached, one without an interpreter and one without our libraries."""
    need_part("ssh", shutil.which("ssh"))
    system_python = "/usr/bin/python3"
    lacks = subprocess.run([system_python, "-c", "import psycopg"], capture_output=True, check=False).returncode != 0
    need_part("bare-python", lacks, "the system's Python has our libraries")
    with RefusedPort() as nobody:
        inventory: Inventory = {
            "all": {
                "children": {
                    "web": {
                        "hosts": {
                            "web1": {"own_path": "/etc/hostname"},
                            "lost": {
                                "ansible_connection": "ssh",
                                "ansible_host": "127.0.0.1",
                                "ansible_port": nobody.port,
                                "own_path": "/",
                            },
                            "broken": {"ansible_python_interpreter": "/nowhere/python3"},
                            "bare": {"ansible_python_interpreter": system_python, "own_path": "/"},
                        }
                    }
                }
            }
        }
        database = {"dsn": f"postgresql://app@127.0.0.1:{nobody.port}/archive", "password": CANARIES["database"]}
        items = [
            _file("umlaut", "/etc/größe", title="Die Größe — 大きさ"),
            _file("everywhere", hosts="web"),
            _file("own", "{{ own_path }}", hosts="web"),
            {"id": "database", "title": "Database", "hosts": "web", "check_postgres": database},
            _file("undefined", "{{ nothing_here }}"),
            _file("never", when=False, reason="decided so"),
            _file("only-there", hosts="web", when="own_path is defined", reason="only where it is mounted"),
            _file("odd-when", when="42", reason="a number is no condition"),
            _file("text-when", when="'no'", reason="a text is no condition"),
            _file("undefined-when", when="nothing_here", reason="nobody knows"),
            _file("template-when", when="{{ 1 == 1 }}", reason="always"),
            _file("later", phase="smoke"),
            _file("two-phases", phase=["pre_deploy", "smoke"]),
            {"id": "signed", "title": "Signed", "sign_off": {"team": "backend"}},
            _file("absent", "/no/such/file", severity="warning", satisfies="S1.2", owner="ops"),
        ]
        yield run_playbook(
            _plays(),
            inventory=inventory,
            extra_vars={"golive_checklist": items},
            directory=tmp_path_factory.mktemp("fleet"),
            args=["--ssh-extra-args", "-F none -o ConnectTimeout=5"],
        )


def test_findings_never_fail_the_task(fleet: Played) -> None:
    assert fleet.rc == 0, fleet.text
    assert fleet.of("Decide").result["verdict"]["decision"] == "NO-GO"


@pytest.mark.parametrize("host", ["localhost", "web1", "lost", "broken", "bare"])
def test_the_play_goes_on_on_every_host_that_can_run_a_task(fleet: Played, host: str) -> None:
    assert fleet.of("Judge", host).status == "ok"
    assert fleet.of("Go on", host).status == "ok"


def test_an_unreachable_hosts_items_are_unknown_and_say_why(fleet: Played) -> None:
    findings = _spooled(fleet, "lost")
    assert set(findings) == {"everywhere", "own", "database", "only-there"}
    for finding in findings.values():
        assert finding["status"] == "unknown"
        assert finding["summary"].startswith("The host cannot be reached: ")
        assert "Connection refused" in finding["summary"]


def test_a_host_without_its_interpreter_is_unknown_and_says_why(fleet: Played) -> None:
    finding = _spooled(fleet, "broken")["everywhere"]
    assert finding["status"] == "unknown"
    assert "The checks could not be started on this host" in finding["summary"]
    assert "/nowhere/python3" in finding["summary"]


def test_a_host_without_the_library_names_library_interpreter_and_host(fleet: Played) -> None:
    findings = _spooled(fleet, "bare")
    assert findings["everywhere"]["status"] == "pass"
    assert findings["database"]["status"] == "unknown"
    for part in ("psycopg", "missing for /usr/bin/python3", " on "):
        assert part in findings["database"]["summary"]
    assert "pip install 'psycopg" in findings["database"]["remedy"]


def test_a_server_that_is_not_there_is_unknown(fleet: Played) -> None:
    finding = _spooled(fleet, "web1")["database"]
    assert finding["status"] == "unknown"
    assert "refused" in finding["summary"].lower()


def test_each_host_is_judged_with_its_own_variables(fleet: Played) -> None:
    assert _spooled(fleet, "web1")["own"]["status"] == "pass"
    assert "/etc/hostname" in _spooled(fleet, "web1")["own"]["summary"]
    broken = _spooled(fleet, "broken")["own"]
    assert (broken["status"], broken["summary"]) == ("unknown", "The item cannot be read: 'own_path' is undefined.")


def test_one_undefined_variable_is_one_unknown_item(fleet: Played) -> None:
    findings = _spooled(fleet)
    assert findings["undefined"]["status"] == "unknown"
    assert findings["undefined"]["summary"] == "The item cannot be read: 'nothing_here' is undefined."
    assert findings["two-phases"]["status"] == "pass"


@pytest.mark.parametrize(
    ("identity", "status", "said"),
    [
        ("never", "not_applicable", "Not applicable: decided so."),
        (
            "odd-when",
            "unknown",
            "The item cannot be read: when is a number, expected a boolean: true, false, or a condition that gives one.",
        ),
        (
            "text-when",
            "unknown",
            "The item cannot be read: when is a text, expected a boolean: true, false, or a condition that gives one.",
        ),
        ("undefined-when", "unknown", "The item cannot be read: 'nothing_here' is undefined."),
        ("template-when", "pass", "/etc/passwd"),
    ],
)
def test_a_condition_is_a_boolean_or_unknown(fleet: Played, identity: str, status: str, said: str) -> None:
    finding = _spooled(fleet)[identity]
    assert finding["status"] == status
    assert said in finding["summary"]


def test_a_condition_is_asked_on_each_host(fleet: Played) -> None:
    assert _spooled(fleet, "web1")["only-there"]["status"] == "pass"
    assert _spooled(fleet, "broken")["only-there"]["status"] == "not_applicable"


def test_only_this_phases_items_are_judged_and_none_that_a_person_signs(fleet: Played) -> None:
    assert "later" not in _spooled(fleet)
    assert "signed" not in _spooled(fleet)


def test_the_lists_order_is_kept(fleet: Played) -> None:
    content = json.loads((fleet.directory / "run" / "findings" / "pre_deploy" / "controller.json").read_text())
    assert [finding["id"] for finding in content] == [
        "umlaut",
        "undefined",
        "never",
        "odd-when",
        "text-when",
        "undefined-when",
        "template-when",
        "two-phases",
        "absent",
    ]


def test_a_finding_says_everything_the_contract_names(fleet: Played) -> None:
    finding = _spooled(fleet)["absent"]
    assert set(finding) == {
        "id",
        "title",
        "status",
        "severity",
        "summary",
        "expected",
        "measured",
        "evidence",
        "remedy",
        "check",
        "host",
        "started",
        "seconds",
        "satisfies",
        "owner",
        "phase",
        "left_out",
    }
    assert (finding["severity"], finding["satisfies"], finding["owner"]) == ("warning", ["S1.2"], "ops")
    assert (finding["host"], finding["check"], finding["status"]) == ("controller", "check_host", "fail")


def test_what_is_not_ascii_survives(fleet: Played) -> None:
    finding = _spooled(fleet)["umlaut"]
    assert finding["title"] == "Die Größe — 大きさ"
    assert "/etc/größe" in finding["summary"]


def test_the_task_returns_counts_what_did_not_pass_and_the_spools_digest(fleet: Played) -> None:
    answer = fleet.of("Judge", "localhost").result
    assert answer["counts"] == {"pass": 2, "warn": 0, "unknown": 4, "fail": 2, "not_applicable": 1}
    assert answer["msg"] == "2 pass, 4 unknown, 2 fail, 1 not_applicable"
    assert [entry["status"] for entry in answer["not_passed"]] == ["fail"] * 2 + ["unknown"] * 4
    spool = fleet.directory / "run" / "findings" / "pre_deploy" / "controller.json"
    assert answer["sha256"] == hashlib.sha256(spool.read_bytes()).hexdigest()
    assert "findings" not in answer
    assert spool.stat().st_mode & 0o777 == 0o600


def test_no_secret_is_in_what_the_fleet_said_or_kept(fleet: Played) -> None:
    kept = "".join(path.read_text(errors="replace") for path in (fleet.directory / "run").rglob("*.json"))
    assert_no_leak(CANARIES.values(), fleet.text + kept, "a run at normal verbosity")


def test_a_secret_in_a_list_given_as_it_is_is_not_shown_either() -> None:
    with RefusedPort() as nobody:
        url = f"redis://127.0.0.1:{nobody.port}/0"
        listed = [
            {"id": "listed", "title": "In a list", "check_redis": {"url": url, "password": CANARIES["in_a_list"]}}
        ]
        task = {"name": "Judge a list", "opsready.golive.checklist": {"checks": listed, "full": True}}
        played = run_playbook([{"hosts": "web1", "gather_facts": False, "tasks": [task]}], args=["-vvvvv"])
    assert played.of("Judge a list").result["findings"][0]["status"] == "unknown"
    assert_no_leak(CANARIES.values(), played.text, "standard output at -vvvvv")


def test_a_secret_that_is_an_ordinary_word_loses_no_finding() -> None:
    """Ansible masks every occurrence of a no_log value, ids, statuses and key names included."""
    words = ["pass", "unknown", "status", "check_host", "fail", "passwd", "0000", "id-of-it", "findings"]
    with RefusedPort() as nobody:
        url = f"redis://127.0.0.1:{nobody.port}/0"
        items = [
            {"id": f"redis-{word}", "title": word, "check_redis": {"url": url, "password": word}} for word in words
        ]
        items += [_file("id-of-it"), _file("passwd")]
        played = run_playbook(_plays(), extra_vars={"golive_checklist": items})
    assert played.rc == 0, played.text
    findings = _spooled(played)
    assert list(findings) == [item["id"] for item in items]
    assert all(finding["status"] in ("pass", "unknown", "fail") for finding in findings.values())
    assert played.of("Decide").result["verdict"]["decision"] == "NO-GO"


def test_a_check_that_hangs_is_unknown_within_its_limit_while_others_pass(tmp_path: Path) -> None:
    with HangingServer() as hanging:
        items = [
            {"id": "hangs", "title": "x", "timeout": 1, "check_redis": {"url": f"redis://127.0.0.1:{hanging.port}/0"}},
            *[_file(f"fast-{number:03}") for number in range(200)],
        ]
        played = run_playbook(_plays(), extra_vars={"golive_checklist": items}, directory=tmp_path)
    findings = _spooled(played)
    assert list(findings) == [item["id"] for item in items]
    assert findings.pop("hangs")["status"] == "unknown"
    assert {finding["status"] for finding in findings.values()} == {"pass"}
    assert played.of("Decide").result["verdict"]["counts"]["pass"] == 200


def test_the_whole_lists_limit_leaves_partial_results(tmp_path: Path) -> None:
    with HangingServer() as hanging:
        items = [
            _file("fast"),
            {"id": "hangs", "title": "x", "timeout": 60, "check_redis": {"url": f"redis://127.0.0.1:{hanging.port}/0"}},
        ]
        played = run_playbook(_plays(timeout=2), extra_vars={"golive_checklist": items}, directory=tmp_path)
    findings = _spooled(played)
    assert findings["fast"]["status"] == "pass"
    assert findings["hangs"]["summary"] == "The whole list's limit of 2 s was reached; this item was still at work."


def test_without_a_plan_a_name_is_refused_and_a_list_is_judged() -> None:
    played = run_playbook(
        [
            {
                "hosts": "web1",
                "gather_facts": False,
                "tasks": [
                    {"name": "By name", "opsready.golive.checklist": {}, "ignore_errors": True},
                    {
                        "name": "By unknown name",
                        "opsready.golive.checklist": {"checks": "not_there"},
                        "ignore_errors": True,
                    },
                    {"name": "Nothing", "opsready.golive.checklist": {"checks": []}, "ignore_errors": True},
                    {
                        "name": "Odd defaults",
                        "opsready.golive.checklist": {"checks": [_file("a")], "defaults": "odd"},
                        "ignore_errors": True,
                    },
                    {
                        "name": "Odd item",
                        "opsready.golive.checklist": {"checks": ["check_host"]},
                        "ignore_errors": True,
                    },
                    {"name": "Odd option", "opsready.golive.checklist": {"items": [_file("a")]}, "ignore_errors": True},
                    {
                        "name": "Odd parameters",
                        "opsready.golive.checklist": {
                            "checks": [_file("a")],
                            "defaults": {"check_host": [1]},
                            "full": True,
                        },
                    },
                    {
                        "name": "Listed",
                        "opsready.golive.checklist": {
                            "checks": [_file("a"), _file("b")],
                            "full": True,
                            "defaults": {"check_host": {"min_cpus": 1}},
                        },
                    },
                    {
                        "name": "Other phase",
                        "opsready.golive.checklist": {
                            "checks": [_file("a", phase="smoke")],
                            "phase": "watch",
                            "full": True,
                        },
                    },
                ],
            }
        ],
        extra_vars={"golive_checklist": [_file("a")], "odd": "a text"},
    )
    assert "expected.json: opsready.golive.plan comes before checklist." in played.of("By name").msg
    assert played.of("By unknown name").msg == "The variable not_there is not defined; it holds the checklist."
    assert played.of("Nothing").msg == "checks is empty: with nothing to judge nothing is known."
    assert "defaults has to be a mapping" in played.of("Odd defaults").msg
    assert "item 1 of the list is a text" in played.of("Odd item").msg
    assert "items" in played.of("Odd option").msg
    assert played.of("Odd parameters").result["findings"][0]["summary"].endswith("has to be a mapping of its options.")
    listed = played.of("Listed").result["findings"]
    assert [(finding["id"], finding["status"], finding["host"]) for finding in listed] == [
        ("a", "pass", "web1"),
        ("b", "pass", "web1"),
    ]
    assert listed[0]["measured"]["usable processors"] >= 1
    assert played.of("Other phase").result["msg"] == "nothing to judge here"
    assert "Traceback" not in played.text


def test_check_mode_judges_too_and_what_would_leave_a_trace_says_so() -> None:
    played = run_playbook(_plays(), extra_vars={"golive_checklist": [_file("a")]}, args=["--check"])
    assert _spooled(played)["a"]["status"] == "pass"


def test_volatile_items_are_judged_once_more_and_replace_the_first_answer(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    items = [_file("volatile", str(flag), max_age="1h"), _file("steady", str(flag))]
    plays = _plays(verdict=False)
    plays[1]["hosts"] = "localhost"
    run = {"directory": "{{ playbook_dir }}/run"}
    plays[1]["tasks"] += [
        {"name": "Lose it", "ansible.builtin.file": {"path": str(flag), "state": "absent"}},
        {"name": "Again", "opsready.golive.checklist": {**run, "volatile": True, "full": True}},
        {"name": "Decide", "opsready.golive.verdict": {**run, "enforce": False}},
    ]
    played = run_playbook(plays, extra_vars={"golive_checklist": items}, directory=tmp_path / "play")
    assert [finding["id"] for finding in played.of("Again").result["findings"]] == ["volatile"]
    verdict = played.of("Decide").result["verdict"]
    assert [entry["id"] for entry in verdict["blocking"]] == ["volatile"]
    assert verdict["counts"]["pass"] == 1


def test_a_module_called_without_its_action_plugin_says_so(run_module_here: t.Any) -> None:
    answer = run_module_here("checklist", {"checks": "golive_checklist"})
    assert "checks has to be a list here" in answer["msg"]


def test_what_is_sent_carries_our_files_and_ansible_packs_none_of_them() -> None:
    tasks = [{"name": "Judge", "opsready.golive.checklist": {"checks": [_file("here")]}}]
    played = run_playbook([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}], args=["-vvvvv"])
    assert played.of("Judge").result["counts"]["pass"] == 1
    packed = re.findall(r"module_utils file (\S+)", played.stdout)
    assert "ansible/module_utils/basic.py" in packed
    assert not [path for path in packed if "opsready" in path]


_PLANNED = [
    {"id": "absent", "title": "The file is there", "hosts": "all", "check_host": {"files": [{"path": "/nonexistent/x"}]}},
    {"id": "three", "title": "It ends well", "hosts": "all", "check_command": {"argv": ["sh", "-c", "exit 3"], "changes_nothing": True}},
]  # fmt: skip
_MILD_ITEM = {**_PLANNED[0], "check_host": {"files": [{"path": "/etc/passwd"}]}}
_OTHER_CHECK = {
    "id": "absent",
    "title": "x",
    "hosts": "all",
    "check_command": {"argv": ["true"], "changes_nothing": True},
}


@pytest.mark.parametrize(
    ("own", "unknown"),
    [
        ({"golive_checklist": [_MILD_ITEM, _PLANNED[1]]}, "absent"),
        ({"golive_checklist": [_OTHER_CHECK, _PLANNED[1]]}, "absent"),
        ({"golive_checklist_defaults": {"check_command": {"exit_codes": [3]}}}, "three"),
        ({"golive_checklist": "{{ [mild, three] }}", "mild": _MILD_ITEM, "three": _PLANNED[1]}, "absent"),
    ],
    ids=["a milder item", "another check", "milder defaults", "an expression"],
)
def test_what_a_hosts_own_variables_make_of_the_list_is_never_what_was_planned(
    tmp_path: Path, own: dict[str, t.Any], unknown: str
) -> None:
    """Law 1, from the inventory: one host's variable of that name would judge what nobody planned, and be believed."""
    inventory = {"all": {"vars": {"golive_checklist": _PLANNED}, "hosts": {"web1": own, "web2": {}}}}
    played = run_playbook(_plays(), inventory=inventory, directory=tmp_path)
    said = {(one["id"], one["host"]): one for one in played.of("Decide").result["verdict"]["blocking"]}
    assert (said[unknown, "web1"]["status"], said[unknown, "web2"]["status"]) == ("unknown", "fail")
    assert "own variables hold another item" in said[unknown, "web1"]["summary"]
    assert len(said) == 4
