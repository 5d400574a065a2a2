# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plan, in real playbooks: what cannot be meant is refused at once, and what is expected never depends on ``--limit``."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.playbook import Inventory, Played, Vaulted, run_playbook

PATHS = {"files": [{"path": "/etc/passwd"}]}
FLEET: Inventory = {
    "all": {
        "vars": {"everywhere": "/etc/passwd"},
        "children": {
            "web": {"hosts": {"web1": {"mount": "/"}, "web2": {"mount": "/tmp"}, "web3": {"mount": "/"}}},
            "db": {"hosts": {"db1": {"mount": "/"}}},
            "nobody": {"hosts": {}},
        },
    }
}


def _item(identity: str = "passwd", **changes: t.Any) -> dict[str, t.Any]:
    item = {"id": identity, "title": f"About {identity}", "check_host": dict(PATHS), **changes}
    return {key: value for key, value in item.items() if value is not None}


def _plan(name: str, **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "opsready.golive.plan": {"checklist": name, **more}, "ignore_errors": True}


def _play(*tasks: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    return [{"hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}]


def _expected(played: Played, task: str) -> dict[str, t.Any]:
    path = played.of(task).result["expected"]
    return t.cast("dict[str, t.Any]", json.loads(Path(path).read_text()))


WAIVER = {"item": "tls", "owner": "ops", "approver": "head", "reason": "known", "expires": "2026-12-31T00:00:00Z"}
#: name of the variable -> (its content, what the one error says)
REFUSED: dict[str, tuple[t.Any, list[str]]] = {
    "unknown_key": ([_item(severty="blocker")], ["item passwd", "unknown key 'severty' (did you mean severity?)"]),
    "two_checks": (
        [_item(check_tls={"endpoints": ["a:1"]})],
        ["item passwd", "exactly one check_* or sign_off is needed", "check_host, check_tls"],
    ),
    "check_and_sign_off": ([_item(sign_off={"team": "x"})], ["item passwd", "check_host, sign_off"]),
    "no_check": ([_item(check_host=None)], ["item passwd", "found none"]),
    "unknown_check": ([_item(check_host=None, check_hosts=PATHS)], ["no check 'check_hosts' (did you mean check_host?)"]),
    "duplicate_id": ([_item("a"), _item("b"), _item("a")], ["item a: the id stands more than once"]),
    "no_id": ([_item(), _item(None)], ["item 2 of the list", "id is missing"]),
    "bad_id": ([_item("über uns")], ["item über uns", "id is missing or not of letters"]),
    "no_title": ([_item(title="")], ["item passwd", "title is missing"]),
    "not_a_mapping": (["check_host"], ["item 1 of the list is a text, expected a mapping"]),
    "check_not_a_mapping": ([_item(check_host=["/etc"])], ["check_host is a list, expected a mapping of its options"]),
    "unknown_deep_on_a_host": (
        [_item(hosts="web1", check_host={"disk": [{"path": "{{ mount }}", "min_fre": "20GB"}]})],
        ["item passwd: check_host: unknown key 'disk.min_fre' (did you mean min_free?)"],
    ),
    "wrong_choice_on_a_host": (
        [_item(hosts="web1", check_host=None, check_redis={"url": "redis://h:6379/0", "use": "brokr"})],
        ["item passwd: check_redis", "value of use must be one of"],
    ),
    "unknown_option": ([_item(check_host={"file": []})], ["item passwd: check_host: unknown key 'file' (did you mean files?)"]),
    "wrong_value": ([_item(check_host={"min_cpus": "many"})], ["item passwd: check_host", "min_cpus", "a whole number"]),
    "wrong_value_on_localhost": (
        [_item(hosts="localhost", check_host={"min_cpus": "many"})],
        ["item passwd: check_host", "min_cpus", "a whole number"],
    ),
    "no_host": ([_item(hosts="webb")], ["item passwd: the pattern 'webb' matches no host"]),
    "empty_group": ([_item(hosts="nobody")], ["item passwd: the pattern 'nobody' matches no host"]),
    "controller_and_more": ([_item(hosts="localhost,web")], ["item passwd: the pattern 'localhost,web' mixes the controller"]),
    "all_and_controller": ([_item(hosts="all:controller")], ["item passwd: the pattern 'all:controller' mixes the controller"]),
    "bad_pattern": ([_item(hosts="~(web")], ["item passwd: the pattern '~(web' cannot be read"]),
    "when_without_reason": ([_item(when=False)], ["item passwd: when needs a reason"]),
    "unknown_phase": ([_item(phase=["deploy"])], ["phase 'deploy' is not one of pre_deploy, post_start"]),
    "no_phase": ([_item(phase=[])], ["phase is empty"]),
    "unknown_severity": ([_item(severity="error")], ["severity 'error' is not one of blocker, warning"]),
    "bad_max_age": ([_item(max_age="an hour")], ["max_age is 'an hour', expected a duration"]),
    "bad_timeout": ([_item(timeout=0)], ["timeout is not above 0"]),
    "bad_sign_off": ([_item(check_host=None, sign_off={"tem": "x"})], ["item passwd", "sign_off", "tem"]),
    "sign_off_text": ([_item(check_host=None, sign_off="backend")], ["sign_off is not a mapping with team"]),
    "bad_expiry": ([_item(check_host=None, sign_off={"team": "x", "expires_after": "soon"})], ["sign_off.expires_after"]),
    "undefined_title": ([_item(title="On {{ nothing_here }}")], ["item passwd: 'nothing_here' is undefined"]),
    "undefined_hosts": ([_item(hosts="{{ nothing_here }}")], ["item passwd: 'nothing_here' is undefined"]),
    "undefined_id": ([_item("x-{{ nothing_here }}")], ["item x-{{ nothing_here }}: 'nothing_here' is undefined"]),
    "empty_list": ([], ["empty_list is empty: with nothing to judge there is no GO"]),
    "no_list": ({"id": "x"}, ["no_list is a mapping, expected a list of items"]),
    "a_text": ("just text", ["a_text is a text, expected a list of items"]),
    "undefined_list": ("{{ nothing_here }}", ["undefined_list cannot be used: 'nothing_here' is undefined"]),
    "two_faults": ([_item("a", ownr="x"), _item("b", severity="bad")], ["item a: unknown key 'ownr'", "item b: severity 'bad'"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def refused() -> Played:
    """One run for all of them: each is a task of its own."""
    return run_playbook(
        _play(
            *[_plan(name) for name in REFUSED],
            _plan("not_there"),
            {"name": "bad_option", "opsready.golive.plan": {"checklists": "x"}, "ignore_errors": True},
            _plan("own_waiver", waivers=[{**WAIVER, "approver": "Ops"}]),
            _plan("waiver_without_end", waivers=[WAIVER, {**WAIVER, "expires": "soon"}]),
            _plan("force_by_nobody", force=[{"item": "tls", "reason": "known"}]),
        ),
        inventory=FLEET,
        extra_vars={name: content for name, (content, _said) in REFUSED.items()},
    )


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_one_error_that_names_it(refused: Played, name: str) -> None:
    answer = refused.of(name)
    assert answer.status == "ignored", answer
    assert answer.result["error"] == "BadInput"
    for part in REFUSED[name][1]:
        assert part in answer.msg


def test_a_checklist_that_is_not_there_is_named(refused: Played) -> None:
    assert refused.of("not_there").msg == "The variable not_there is not defined; it holds the checklist."


def test_a_wrong_option_of_plan_is_named(refused: Played) -> None:
    assert "checklists" in refused.of("bad_option").msg


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own_waiver", "The waiver for tls is approved by its own owner; somebody else has to approve it."),
        ("waiver_without_end", "The waiver for tls expires at 'soon', expected a time such as"),
        ("force_by_nobody", "golive_force: each entry names item, reason and approver."),
    ],
)
def test_what_could_not_count_is_refused_before_anything_is_judged(refused: Played, name: str, said: str) -> None:
    assert refused.of(name).msg.startswith(said)


def test_nothing_is_a_defect(refused: Played) -> None:
    assert "Unexpected failure" not in refused.text
    assert "Traceback" not in refused.text


DEFAULTS_REFUSED = {
    "unknown": ({"check_hosts": {}}, "there is no check 'check_hosts' (did you mean check_host?)"),
    "text": ("check_host", "has to be a mapping"),
    "list": ({"check_host": ["a"]}, "has to be a mapping"),
    "template": ({"check_host": "{{ [1] }}"}, "check_host has to be a mapping of its options"),
    "option": ({"check_host": {"min_cpus": "many"}}, "min_cpus"),
}


@pytest.fixture(scope="module")
def planned() -> Played:
    tasks = [
        _plan("everything", defaults="my_defaults", require=["S1", "S2.1"]),
        _plan("one_undefined"),
        _plan("made_by_an_expression"),
        _plan("omitting"),
        _plan("everything", directory="{{ playbook_dir }}/elsewhere/deep") | {"name": "elsewhere"},
        {
            "name": "elsewhere again",
            "opsready.golive.plan": {"checklist": "everything", "directory": "{{ playbook_dir }}/elsewhere"},
        },
        *[_plan("one", defaults=f"defaults_{name}") | {"name": name} for name in DEFAULTS_REFUSED],
    ]
    variables = {
        "everything": [
            _item("here"),
            _item("everywhere", hosts="all", title="About {{ everywhere_called }}"),
            _item(
                "webs", hosts="web:!web2", severity="warning", satisfies=["S1.21", "S0.9"], owner="ops", max_age="1h"
            ),
            _item("local", hosts="localhost", phase="smoke", timeout="30s"),
            _item("signed", check_host=None, sign_off={"team": "backend", "expires_after": "7d"}, satisfies="S1.3"),
            _item("on host", hosts="web").copy()
            | {"id": "on-host", "check_host": {"paths": [{"path": "{{ mount }}", "min_free_bytes": 1}]}},
            _item("conditional", when="mount is defined", reason="only where something is mounted"),
            _item("never", when=False, reason="decided so"),
        ],
        "everywhere_called": "every host — überall",
        "my_defaults": {"check_host": {"min_cpus": 1}},
        "one_undefined": [_item("good"), _item("bad", check_host={"files": [{"path": "{{ nothing_here }}"}]})],
        "made_by_an_expression": "{{ part_one + part_two }}",
        "part_one": [_item("one")],
        "part_two": [_item("two")],
        "omitting": [_item("omits", owner="{{ omit }}", check_host={**PATHS, "min_cpus": "{{ omit }}"})],
        "one": [_item("one")],
        **{f"defaults_{name}": content for name, (content, _said) in DEFAULTS_REFUSED.items()},
    }
    return run_playbook(_play(*tasks), inventory=FLEET, extra_vars=variables, args=["--limit", "localhost,web1"])


def test_limit_does_not_shrink_what_is_expected(planned: Played) -> None:
    assert planned.of("everything").result["hosts"] == ["controller", "db1", "web1", "web2", "web3"]


def test_every_item_is_expected_from_each_of_its_hosts(planned: Played) -> None:
    # The plan's directory goes with the run, so these are the files that were written elsewhere.
    played = planned.of("elsewhere again").result
    assert (played["items"], played["findings"], played["changed"]) == (8, 1 + 4 + 2 + 1 + 1 + 3 + 1 + 1, False)
    assert played["msg"] == "8 items on 5 hosts: 14 findings are expected."
    document = _expected(planned, "elsewhere again")
    items = {item["id"]: item for item in document["items"]}
    assert items["here"]["hosts"] == ["controller"]
    assert items["everywhere"]["hosts"] == ["web1", "web2", "web3", "db1"]
    assert items["everywhere"]["title"] == "About every host — überall"
    assert items["webs"]["hosts"] == ["web1", "web3"]
    assert (items["webs"]["satisfies"], items["webs"]["owner"], items["webs"]["max_age_seconds"]) == (
        ["S1.21", "S0.9"],
        "ops",
        3600,
    )
    assert (items["local"]["hosts"], items["local"]["phase"], items["local"]["timeout_seconds"]) == (
        ["controller"],
        ["smoke"],
        30,
    )
    assert items["signed"]["sign_off"] == {
        "team": "backend",
        "expires_after": "7d",
        "binds_to": "release",
        "asks": [],
        "hours": None,
    }
    assert items["on-host"]["undefined"] == ""
    assert document["strictness"]["items"]["webs"]["severity"] == "warning"


def test_the_controller_is_never_part_of_all(planned: Played) -> None:
    items = {item["id"]: item for item in _expected(planned, "elsewhere again")["items"]}
    assert "controller" not in items["everywhere"]["hosts"]
    assert "localhost" not in items["everywhere"]["hosts"]


def test_a_plan_made_twice_is_the_same(planned: Played) -> None:
    first, second = planned.of("elsewhere").result, planned.of("elsewhere again").result
    assert {**first, "directory": "", "expected": ""} == {**second, "directory": "", "expected": ""}
    assert Path(first["expected"]).read_bytes() == Path(second["expected"]).read_bytes()


def test_the_plan_is_private(planned: Played) -> None:
    path = Path(planned.of("elsewhere again").result["expected"])
    assert path.stat().st_mode & 0o777 == 0o600


def test_one_undefined_variable_is_noted_with_its_item_and_the_plan_goes_on(planned: Played) -> None:
    answer = planned.of("one_undefined")
    assert (answer.status, answer.result["findings"]) == ("ok", 2)


def test_a_checklist_made_by_an_expression_is_read(planned: Played) -> None:
    assert planned.of("made_by_an_expression").result["items"] == 2


def test_omit_is_as_if_it_were_not_there(planned: Played) -> None:
    assert planned.of("omitting").status == "ok"


@pytest.mark.parametrize("name", DEFAULTS_REFUSED)
def test_defaults_that_cannot_be_meant_are_refused(planned: Played, name: str) -> None:
    answer = planned.of(name)
    assert (answer.status, answer.result.get("error")) == ("ignored", "BadInput")
    assert DEFAULTS_REFUSED[name][1] in answer.msg


def test_a_host_named_controller_is_refused() -> None:
    inventory: Inventory = {"all": {"hosts": {"controller": {}}}}
    played = run_playbook(_play(_plan("mine")), inventory=inventory, extra_vars={"mine": [_item()]})
    assert "has a host named controller" in played.of("mine").msg


SYSTEM: dict[str, t.Any] = {
    "golive_system": "archive",
    "golive_version": "2.0.0",
    "golive_state_host": "localhost",
    "golive_state_dir": "/tmp/state",
    "golive_checklist": [_item()],
    "golive_services": {
        "artefact": {"src": "/a.tar", "sha256": "0" * 64, "releases_dir": "/srv/releases", "current": "/srv/current"},
        "backend": ["web"],
    },
    "golive_maintenance": {
        "layers": [{"name": "proxy", "backend": "file", "path": "/tmp/flag", "survives_stop": True}],
        "verify": {"url": "https://a"},
    },
    "golive_downtime": {"url": "https://a"},
}
#: How each single variable is judged is told by unit tests; here is how the task says it.
SYSTEM_REFUSED: dict[str, tuple[dict[str, t.Any], list[str]]] = {
    "misspelt": (
        {"golive_donwtime": {"url": "x"}, "golive_version": None},
        ["golive_donwtime is not a variable", "(did you mean golive_downtime?)", "golive_version is missing"],
    ),
    "undefined": (
        {"golive_downtime": {"url": "{{ nothing_here }}"}},
        ["in golive_downtime, 'nothing_here' is undefined"],
    ),
    "unknown_key": (
        {"golive_downtime": {"url": "https://a", "budget": 3, "host": "ap1"}, "golive_verdict_max_age": "soon"},
        [
            "unknown key 'golive_downtime.budget' (did you mean budget_seconds?)",
            "golive_downtime.host is 'ap1', which is not in the inventory",
            "golive_verdict_max_age",
        ],
    ),
    "what_could_only_fail_in_the_window": (
        {
            "golive_workers": {"url": "redis://127.0.0.1/0"},
            "golive_database": {"dsn": "postgresql://app@127.0.0.1/archive"},
            "golive_maintenance": {"layers": [], "verify": {"url": "https://a"}},
        },
        [
            "golive_workers needs golive_services.workers",
            "missing required arguments: application_roles found in golive_database",
            "golive_maintenance.layers is empty",
        ],
    ),
    "secret_of_wrong_type": ({"golive_secrets": "hunter22-literal"}, ["golive_secrets"]),
}


@pytest.mark.parametrize("name", SYSTEM_REFUSED)
def test_a_system_file_that_is_wrong_says_where(name: str) -> None:
    changes, said = SYSTEM_REFUSED[name]
    variables = {key: value for key, value in {**SYSTEM, **changes}.items() if value is not None}
    played = run_playbook(_play({"name": "Plan", "opsready.golive.plan": {"system_file": True}}), extra_vars=variables)
    answer = played.of("Plan")
    assert (played.rc, answer.result["error"]) == (2, "BadInput")
    for part in ["The system file", *said]:
        assert part in answer.msg
    assert "hunter22" not in played.text
    assert "Traceback" not in played.text


def test_a_good_system_file_is_accepted_with_what_our_playbooks_add(tmp_path: Path) -> None:
    secret = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-vault"), "encrypt_string", "--vault-password-file", "vault", "--stdin-name", "x"],
        input=b"canary-in-the-vault", capture_output=True, cwd=tmp_path, check=False,
    ) if (tmp_path / "vault").write_text("passphrase") else None  # fmt: skip
    assert secret is not None and secret.returncode == 0, secret
    vaulted = yaml.load(secret.stdout, Loader=_VaultText)["x"]  # noqa: S506 - a SafeLoader with one more tag
    variables = {
        **SYSTEM,
        "golive_secrets": {"database": Vaulted(vaulted), "smoke": {"password": Vaulted(vaulted)}},
        "golive_database": {"dsn": "postgresql://app@{{ golive_state_host }}/archive", "application_roles": ["app"]},
        "golive_waivers": [{"item": "x", "owner": "a", "approver": "b", "reason": "c", "expires": "2026-12-31"}],
        "not_ours_at_all": 1,
    }
    played = run_playbook(
        _play(
            {"name": "Ours", "ansible.builtin.set_fact": {"golive_release": {"token": "ours"}}},
            {"name": "Plan", "opsready.golive.plan": {"system_file": True, "directory": str(tmp_path / "run")}},
        ),
        extra_vars=variables,
        args=["-vvv", "--vault-password-file", str(tmp_path / "vault")],
        directory=tmp_path,
    )
    assert played.rc == 0, played.text
    assert "canary-in-the-vault" not in played.text
    assert "canary-in-the-vault" not in (tmp_path / "run" / "expected.json").read_text()


class _VaultText(yaml.SafeLoader):
    """Reads what ``ansible-vault encrypt_string`` printed."""


_VaultText.add_constructor("!vault", lambda loader, node: loader.construct_scalar(node))


def test_the_digest_changes_with_what_is_written_and_not_with_secrets_or_people() -> None:
    def digests(**changes: t.Any) -> dict[str, str]:
        played = run_playbook(
            _play({"name": "Plan", "opsready.golive.plan": {"system_file": True}}), extra_vars={**SYSTEM, **changes}
        )
        assert played.rc == 0, played.text
        return {
            key: played.of("Plan").result[key] for key in ("checklist_sha256", "system_file_sha256", "hosts_sha256")
        }

    before = digests()
    assert (
        digests(
            golive_secrets={"database": "another"},
            golive_operator="emmy",
            golive_accept_data_loss=True,
            golive_progress="quiet",
        )
        == before
    )
    after = digests(golive_version="2.0.1", golive_checklist=[_item(check_host={"min_cpus": 1})])
    assert before["checklist_sha256"] != after["checklist_sha256"]
    assert before["system_file_sha256"] != after["system_file_sha256"]
    assert before["hosts_sha256"] == after["hosts_sha256"]


def test_a_directory_that_cannot_be_written_is_named() -> None:
    played = run_playbook(_play(_plan("mine", directory="/proc/nowhere")), extra_vars={"mine": [_item()]})
    assert "cannot be written on the controller" in played.of("mine").msg


def test_an_unquoted_time_in_the_list_is_no_obstacle(tmp_path: Path) -> None:
    play = tmp_path / "play.yml"
    play.write_text(
        """
- hosts: localhost
  gather_facts: false
  vars:
    mine:
      - {id: dated, title: 2026-12-31, check_host: {files: [{path: /etc/passwd}]}, reason: 2026-12-31T10:00:00Z, when: true}
  tasks:
    - name: Plan
      opsready.golive.plan: {checklist: mine}
"""
    )
    played = run_playbook(play, directory=tmp_path / "run")
    assert played.of("Plan").status == "ok", played.text
