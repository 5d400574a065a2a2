# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A standby that a way back would have to free is looked at before a GO, and not at night."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import standbys
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.integration.test_pg_preflight import options
from tests.integration.test_pg_standby_source import sample, standby
from tests.integration.test_pg_standbys import named
from tests.servers import HangingServer, Postgres, Standby

__all__ = ["sample", "standby"]


@pytest.mark.parametrize("check", [True, False])
def test_a_standby_of_the_server_is_let_pass(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path, check: bool
) -> None:
    wanted = options(sample, tmp_path, standbys=named(sample, standby))
    seen = run_module_here("pg_backup", wanted, check=check, secrets=[sample.password])
    assert seen["changed"] is True, seen


@pytest.mark.parametrize("check", [True, False])
def test_what_is_no_standby_of_the_server_is_refused(
    run_module_here: ModuleRun,
    sample: Sample,
    standby: Standby,
    tmp_path: Path,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    check: bool,
) -> None:
    monkeypatch.setattr(standbys, "STANDBY_SECONDS", 1)
    postgres.execute(f"create role {sample.login} login password '{sample.password}'")
    with HangingServer() as silent:
        hanging = f"postgresql://{sample.login}@127.0.0.1:{silent.port}/{sample.name}"
        gone = "postgresql://golive@127.0.0.1:1/archive"
        for wrong, said in (
            (named(sample, standby.primary), "is named as a standby and is not in recovery"),
            (named(sample, postgres), "is named as a standby and is of another cluster"),
            ([hanging], f"127.0.0.1:{silent.port}"),
            ([gone], "127.0.0.1:1"),
        ):
            wanted = options(sample, tmp_path, standbys=[*named(sample, standby), *wrong])
            refused = run_module_here("pg_backup", wanted, check=check, secrets=[sample.password])
            assert (refused["failed"], refused["error"]) == (True, "Refused"), refused
            assert "A way back could not free 1 of 2 standbys: " in refused["msg"]
            assert said in refused["msg"]
            assert len(refused["standbys"]) == 1
        both = options(sample, tmp_path, standbys=[gone, *named(sample, standby.primary)])
        refused = run_module_here("pg_backup", both, check=check)
        assert "2 of 2 standbys" in refused["msg"]
        assert "127.0.0.1:1" in refused["msg"] and "is not in recovery" in refused["msg"]
    postgres.execute(f"drop role {sample.login}")
    assert list(tmp_path.iterdir()) == []
    assert sample.databases() == [sample.name]
