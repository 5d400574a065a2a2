# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the way back: what stock commands could not do is refused while nothing has changed yet."""

from __future__ import annotations

import re
import subprocess
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import rollback_document, rollback_plan
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

NAME = 'it\'s "$HOME" `größe` \\ 100%'
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def plan(migration: t.Mapping[str, t.Any] | None = None, **way_back: t.Any) -> rollback_plan.Plan:
    services = {"deployed": {"version": "1.0.0"}, "files": way_back.pop("files", [])}
    return rollback_plan.build(
        release="r1", system="archive", version="2.0.0", services=services, migration=migration or {}, way_back=way_back
    )


@pytest.mark.parametrize(
    ("way_back", "said"),
    [
        ({"dsn": "postgresql://u@h"}, "way_back.dsn names no database"),
        ({"dsn": "postgresql://u@h/db?pool_size=3"}, "way_back.dsn holds 'pool_size'"),
        ({"dsn": "postgresql://u:geheim@h/db"}, "way_back.dsn holds a password"),
        ({"dsn": "postgresql://u@h/a%0Ab"}, "way_back.dsn holds a line break"),
        ({"broker": "redis://:geheim@h/0"}, "way_back.broker: url holds a password"),
        ({"broker": "redis-sentinel://h"}, "way_back.broker: url has the scheme"),
        ({"flags": ["/srv/a\n```sh\nrm -rf /"]}, "way_back.flags holds a line break"),
        ({"programs": {"backend": ["a\tb"]}}, "way_back.programs.backend holds a line break"),
        ({"files": [{"path": "/a\nb", "kind": "absent"}]}, "services.files.path holds a line break"),
    ],
)
def test_what_cannot_be_written_down_is_refused_by_name(way_back: dict[str, t.Any], said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        plan(**way_back)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    ("migration", "way_back", "said"),
    [
        ({"from": ["a", "b"]}, {}, "several revisions, a, b"),
        ({"from": ["a"]}, {"migration_directory": ""}, "migration_directory is needed"),
        ({"from": ["a"]}, {"url_variable": "MY-URL"}, "'MY-URL', which a shell cannot set"),
        ({"from": ["a"]}, {"environment": {"a b": "c"}}, "'a b', which a shell cannot set"),
    ],
)
def test_a_downgrade_that_nobody_could_run_is_refused(
    migration: dict[str, t.Any], way_back: dict[str, t.Any], said: str
) -> None:
    known = {"dsn": "postgresql://u@h/db", "migration_directory": "/srv/2.0.0", **way_back}
    with pytest.raises(BadInput, match=said):
        plan({"rollback_kind": "downgrade", **migration}, **known)


def test_an_unknown_way_back_is_refused() -> None:
    with pytest.raises(BadInput, match="expected one of image_only"):
        plan({"rollback_kind": "hope"})


@pytest.mark.parametrize("kind", rollback_plan.KINDS)
def test_whatever_things_are_called_bash_reads_every_block(kind: str) -> None:
    everything = {
        "dsn": f"host=/run/pg user='{NAME}'".replace(NAME, NAME.replace("\\", "\\\\").replace("'", "\\'"))
        + " dbname=archive",
        "flags": [f"/srv/{NAME}"],
        "switches": [NAME],
        "supervisor": f"unix:///run/{NAME}",
        "supervisorctl": f"/opt/{NAME}/ctl",
        "supervisor_user": NAME,
        "programs": {"backend": [NAME], "workers": [NAME], "schedulers": []},
        "current": f"/srv/{NAME}/current",
        "releases_dir": f"/srv/{NAME}",
        "migration_directory": f"/srv/{NAME}",
        "migration_role": NAME,
        "environment": {"A": NAME},
        "backup": {"archive": f"s3://bucket/{NAME}.dump", "region": NAME},
        "broker": "unix:///run/a%20b.sock",
        "health": [f"http://h/{NAME}"],
        "ca_file": f"/srv/{NAME}",
        "user_path": f"http://h/{NAME}",
        "snapshot_dir": f"/srv/{NAME}",
        "files": [
            {"path": f"/etc/{NAME}", "kind": "file", "copy": "000", "mode": "0640", "uid": 1, "gid": 1},
            {"path": f"/etc/{NAME}", "kind": "link", "target": NAME},
            {"path": f"/etc/{NAME}", "kind": "absent"},
        ],
    }
    text = rollback_document.render(plan({"rollback_kind": kind, "from": ["a"]}, **everything))
    blocks = BLOCK.findall(text)
    assert len(blocks) == 9
    for block in blocks:
        read = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert (read.returncode, read.stderr) == (0, ""), block


def test_somebody_elses_text_cannot_begin_a_block() -> None:
    migration = {
        "rollback_kind": "restore",
        "rollback_reason": "one\n```sh\nrm -rf /\n```",
        "pending": [{"revision": "a", "title": "t\n```sh\nfalse\n```", "reasons": ["r"], "rollback": "lossy"}],
    }
    text = rollback_document.render(plan(migration))
    assert [block for block in BLOCK.findall(text) if "rm -rf" in block or "false" in block] == []


def test_a_system_of_nothing_has_no_empty_block() -> None:
    text = rollback_document.render(plan(supervisor="unix:///run/s.sock", flags=[], programs={}, health=[]))
    assert all(block.strip() for block in BLOCK.findall(text))
    assert "Start the previous version" not in text


def test_parts_on_several_hosts_are_told_apart() -> None:
    everything = {
        "flags": ["/flag"],
        "dsn": "postgresql://u@h/db",
        "hosts": {"maintenance": "proxy1", "database": "db1"},
    }
    text = rollback_document.render(plan(**everything))
    assert "## 1. Maintenance on\n\nOn `proxy1`.\n" in text
    assert "## 2. Database\n\nOn `db1`.\n" in text
    everything["hosts"] = {"maintenance": "one", "database": "one", "workers": "that has nothing to do"}
    assert "On `one`" not in rollback_document.render(plan(**everything))


def test_a_database_that_does_not_go_back_is_said_first() -> None:
    text = rollback_document.render(plan({"rollback_kind": "forward_only", "rollback_reason": "no backup"}))
    assert "**The database does not go back**: no backup." in text.partition("## 0.")[0]


def test_a_layer_that_a_request_switches_is_left_to_the_operator_by_name() -> None:
    text = rollback_document.render(plan(flags=["/flag"], switches=["cdn"]))
    assert text.count("by hand, here: cdn on.") == text.count("by hand, here: cdn off.") == 1


def test_an_object_store_is_asked_where_the_bucket_is() -> None:
    known: dict[str, t.Any] = {
        "dsn": "postgresql://u@h/db",
        "backup": {"archive": "s3://bucket/a b.dump", "region": "eu-west-1"},
    }
    assert "https://s3.eu-west-1.amazonaws.com/bucket/a%20b.dump" in rollback_document.render(
        plan({"rollback_kind": "restore"}, **known)
    )
    known["backup"].update(endpoint_url="https://store:9000/", addressing_style="virtual", ca_file="/ca.pem")
    text = rollback_document.render(plan({"rollback_kind": "restore"}, **known))
    assert "https://bucket.store:9000/a%20b.dump" in text and "--cacert /ca.pem" in text
