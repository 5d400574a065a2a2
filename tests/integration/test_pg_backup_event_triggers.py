# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a login makes event triggers is found out without TEMP on the maintenance database, too."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import only_superusers
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.integration.test_pg_every_kind import WATCHED
from tests.servers import Postgres


@pytest.fixture(params=[None, "15"], ids=["18", "15"])
def sample(request: pytest.FixtureRequest) -> t.Iterator[Sample]:
    """On a server whose maintenance databases give nobody TEMP."""
    with Postgres(request.param) as server:
        for name in ("postgres", "template1"):
            server.execute(f"revoke temporary on database {name} from public", dbname=name)
        yield Sample(server).create()


def watch(sample: Sample) -> None:
    sample.execute(WATCHED)
    sample.execute('create event trigger "Wächter" on sql_drop execute function app.no_drop()')


def judged(sample: Sample, *, has_temp: bool, **login: t.Any) -> tuple[bool, list[str]]:
    """Whether the login makes them, and what it was tried with."""
    tried: list[str] = []
    with contextlib.closing(sample.server.connect(**login)) as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr(only_superusers, "_has", lambda cluster, right: has_temp)
        execute = connection.execute
        patch.setattr(connection, "execute", lambda text, *more: (tried.append(str(text)), execute(text, *more))[1])
        made = only_superusers._makes(Cluster(connection, deadline=Deadline(30)), only_superusers.EVENT_TRIGGER)
    return made, tried


def test_it_is_tried_without_a_function_where_there_is_no_temp(sample: Sample) -> None:
    lowly = {"user": sample.login, "password": sample.password}
    with contextlib.closing(sample.server.connect(**lowly)) as connection:
        assert only_superusers._has(Cluster(connection, deadline=Deadline(30)), "TEMPORARY") is False
    for login, makes in (({}, True), (lowly, False)):
        made, tried = judged(sample, has_temp=False, **login)
        assert made is makes
        assert "pg_temp" not in str(tried) and "create event trigger" in str(tried)
    made, tried = judged(sample, has_temp=True)
    assert made is True and "pg_temp" in str(tried)
    left = "select evtname from pg_event_trigger union all select proname from pg_proc where proname like 'opsready%'"
    assert sample.server.execute(left) == []


def test_who_makes_none_and_has_no_temp_is_refused_before_the_dump(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    watch(sample)
    wanted = sample.options(destination=f"file://{tmp_path}", pg_bindir=sample.programs)
    for check in (True, False):
        refused = run_module_here("pg_backup", wanted, check=check)
        assert refused["error"] == "Denied", refused
        assert f'1 event trigger ("Wächter") of {sample.name}' in refused["msg"]
    assert list(tmp_path.iterdir()) == []
    superuser = {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}
    assert run_module_here("pg_backup", {**wanted, **superuser})["changed"] is True


def test_a_login_that_is_let_make_publications_leaves_none(sample: Sample) -> None:
    for login, makes in (({}, True), ({"user": sample.login, "password": sample.password}, False)):
        with contextlib.closing(sample.server.connect(**login)) as connection:
            assert (
                only_superusers._makes(Cluster(connection, deadline=Deadline(30)), only_superusers.PUBLICATION) is makes
            )
    assert sample.server.execute("select pubname from pg_publication") == []
