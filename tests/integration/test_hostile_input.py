# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Law 1 under odd names, broken templates, other strategies and limits: expected stays checklist × inventory, and is all there."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from tests.playbook import Inventory, Played, run_playbook

TWO: Inventory = {"all": {"hosts": {"web1": {}, "web2": {}}}}
CANARY = "canary-5c1f-hostile"


def _item(identity: str, **more: t.Any) -> dict[str, t.Any]:
    return {"id": identity, "title": identity, "check_host": {"files": [{"path": "/etc/passwd"}]}, **more}


def _play(
    checklist: list[dict[str, t.Any]],
    *,
    inventory: Inventory | None = None,
    args: t.Sequence[str] = (),
    judge: dict[str, t.Any] | None = None,
    environment: dict[str, str] | None = None,
    directory: Path | None = None,
    **more: t.Any,
) -> Played:
    here = {"hosts": "localhost", "gather_facts": False}
    plays: list[dict[str, t.Any]] = [
        {**here, "tasks": [{"name": "Plan", "opsready.golive.plan": {}}]},
        {"hosts": "localhost,all", "gather_facts": False, **(judge or {}), "tasks": [
            {"name": "Judge", "opsready.golive.checklist": {}}]},
        {**here, "tasks": [
            {"name": "Decide", "opsready.golive.verdict": {"enforce": False, "waivers": more.pop("waivers", [])}},
            {"name": "Report", "opsready.golive.report": {"destination": "{{ playbook_dir }}/report", "system": "a", "version": "1"}}]},
    ]  # fmt: skip
    return run_playbook(
        plays,
        inventory=TWO if inventory is None else inventory,
        extra_vars={"golive_checklist": checklist, **more},
        args=args,
        environment=environment,
        directory=directory,
    )


def _report(played: Played) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((played.directory / "report" / "report.json").read_text("utf-8")))


def _is_whole(played: Played) -> bool:
    """Whether every expected finding is in the report, once."""
    found = [(finding["id"], finding["host"]) for finding in _report(played)["findings"]]
    return len(found) == len(set(found)) == played.of("Plan").result["findings"]


@pytest.mark.parametrize(
    ("args", "judge"),
    [
        ((), {"strategy": "free"}),
        ((), {"serial": 1}),
        (("--forks", "1"), {}),
        (("--check",), {}),
        (("--limit", "localhost,web2"), {}),
    ],
    ids=str,
)
def test_every_expected_finding_is_there_however_it_is_run(args: tuple[str, ...], judge: dict[str, t.Any]) -> None:
    played = _play([_item("all", hosts="all"), _item("here")], args=args, judge=judge)
    verdict = played.of("Decide").result["verdict"]
    assert _is_whole(played)
    lost = [("all", "web1")] if "--limit" in args else []
    assert [(entry["id"], entry["host"]) for entry in verdict["blocking"]] == lost
    assert verdict["counts"]["pass"] == 3 - len(lost)
    if lost:
        (finding,) = [finding for finding in _report(played)["findings"] if finding["decision"] == "unknown"]
        assert finding["remedy"] == "Run it without --limit, --tags, --skip-tags and --start-at-task."


def test_names_in_any_script_and_those_that_would_turn_a_line_round() -> None:
    names = {"wéb-שרת": {}, "x%2fy": {}, "名前": {}}
    turned = "\u202eOG-ON\u202c | <b>&amp; `x`"
    played = _play(
        [_item("titled", title=f"שלום {turned}", owner="مالك"), _item("own", hosts="all"),
         _item("path", severity="warning", check_host={"files": [{"path": "/ünï/\u202ename"}]})],
        inventory={"all": {"hosts": names}},
    )  # fmt: skip
    assert played.of("Decide").result["verdict"]["decision"] == "GO WITH WARNINGS"
    assert _is_whole(played)
    assert {finding["host"] for finding in _report(played)["findings"]} == {"controller", *names}
    for name in ("index.html", "report.md", "junit.xml"):
        text = (played.directory / "report" / name).read_text("utf-8")
        assert "\u202e" not in text and "<b>&amp; `" not in text
        assert "שלום" in text


def test_templates_that_fail_or_give_another_type_are_each_one_unknown() -> None:
    def of(**options: t.Any) -> dict[str, t.Any]:
        return {"check_host": options}

    broken: dict[str, tuple[dict[str, t.Any], str]] = {
        "syntax": (of(files=[{"path": "{{ foo bar }}"}]), "the template of files.0.path cannot be evaluated"),
        "zero": (of(min_cpus="{{ 1 / 0 }}"), "the template of min_cpus cannot be evaluated"),
        "filter": (of(min_cpus="{{ 1 | nofilter }}"), "nofilter"),
        "lookup": (of(files=[{"path": "{{ lookup('file', '/no/such') }}"}]), ""),
        "undefined": (of(files=[{"path": "{{ nothing_here }}"}]), "'nothing_here' is undefined"),
        "text": ({"hosts": "all", **of(files="{{ 'a' ~ 'b' }}")}, "files"),
        "list": ({"hosts": "all", **of(min_cpus="{{ [1] }}")}, "min_cpus"),
        "when": ({"when": "{{ 'no' }}", "reason": "r"}, "when is a text, expected a boolean"),
    }
    played = _play([_item("good"), *(_item(name, **body) for name, (body, _said) in broken.items())])
    assert _is_whole(played)
    found = {finding["id"]: finding for finding in _report(played)["findings"]}
    assert found.pop("good")["decision"] == "pass"
    assert {finding["decision"] for finding in found.values()} == {"unknown"}
    for name, (_body, said) in broken.items():
        assert said in found[name]["summary"], name
    assert played.of("Decide").result["verdict"]["decision"] == "NO-GO"


def test_nothing_but_waived_items_goes_with_a_warning_and_nothing_but_not_applicable_does_not_go() -> None:
    absent = _item("absent", check_host={"files": [{"path": "/no/such/file"}]})
    waiver = {"item": "absent", "owner": "a", "approver": "b", "reason": "r", "expires": "2126-01-01T00:00:00Z"}
    waived = _play([absent], waivers=[waiver]).of("Decide").result["verdict"]
    assert (waived["decision"], waived["counts"]["waived"]) == ("GO WITH WARNINGS", 1)
    none = _play([_item("never", when=False, reason="r")]).of("Decide").result["verdict"]
    assert none["decision"] == "NO-GO"
    assert none["blocking"][0]["summary"] == "Nothing was judged in phase pre_deploy."


def test_a_checklist_of_five_megabytes_is_judged_whole() -> None:
    items = [_item(f"i{number}", title="ü" * 5300, satisfies=[f"S1.{number}"]) for number in range(500)]
    played = _play(items)
    verdict = played.of("Decide").result["verdict"]
    assert (verdict["decision"], verdict["counts"]["pass"]) == ("GO", 500)
    assert (played.directory / "extra.yml").stat().st_size > 5_000_000
    assert _is_whole(played)


SECRET = "{{ vault_token }}"
#: A secret where it belongs, and where it does not, in items that fail in every way.
SECRETIVE: list[dict[str, t.Any]] = [
    _item("pg", check_host=None, check_postgres={"dsn": "postgresql://a@127.0.0.1:1/x", "password": SECRET}),
    _item("dsn", check_host=None, check_postgres={"dsn": "postgresql://a:{{ vault_token }}@127.0.0.1:1/x"}),
    _item("redis", check_host=None, check_redis={"url": "redis://127.0.0.1:1/0", "password": SECRET}),
    _item("s3", check_host=None, check_s3={"endpoint_url": "http://127.0.0.1:1", "access_key": "a", "secret_key": SECRET, "buckets": ["b"]}),
    _item("http", hosts="all", check_host=None, check_http={"url": "http://127.0.0.1:1/", "bearer": SECRET, "secret_headers": {"X": SECRET}}),
    _item("type", hosts="all", check_host=None, check_http={"url": "http://127.0.0.1:1/", "bearer": [SECRET], "status": SECRET}),
    _item("when", when=SECRET, reason="r"),
    _item("broken", check_host=None, check_http={"url": "{{ vault_token | nofilter }}", "bearer": SECRET}),
]  # fmt: skip


@pytest.mark.parametrize("keep", [False, True], ids=["as it is", "keep remote files"])
def test_no_secret_is_printed_or_kept_at_any_verbosity(tmp_path: Path, keep: bool) -> None:
    checklist = [{key: value for key, value in item.items() if value is not None} for item in SECRETIVE]
    environment = {"ANSIBLE_KEEP_REMOTE_FILES": "1"} if keep else {}
    played = _play(
        checklist, args=["-vvv"], environment=environment, directory=tmp_path / "play", vault_token=CANARY
    )  # fmt: skip
    assert _is_whole(played)
    assert played.of("Decide").result["verdict"]["counts"]["unknown"] == 10
    assert CANARY not in played.text
    holding = {
        path for path in (tmp_path / "play").rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()
    }
    holding.discard(tmp_path / "play" / "extra.yml")
    # Ansible switches pipelining off and keeps each module with its arguments: its own doing, told in docs/security.md.
    assert {path.name.rpartition("_")[0] for path in holding} == ({"AnsiballZ_golive_checklist"} if keep else set())
