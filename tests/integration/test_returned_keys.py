# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The RETURN of the database modules is what they return: one release's way there and back, every state, on a real server."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import claim
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.returned import contradictions
from tests.servers import Postgres, Standby

WAIVER = {"owner": "data team", "approver": "head of IT", "reason": "one writer", "expires": "2999-01-01T00:00:00Z"}
#: A row that a foreign key lacks.
BREAKS_IN_A_KEY = """
create table app.pages (document bigint references app.documents);
alter table app.pages disable trigger all;
insert into app.pages values (4711)
"""
#: What failures have beside a module's own keys.
OF_FAILURES = ("failed", "error", "msg", "remedy", "returncode", "stderr")


def test_what_is_documented_is_what_is_returned(run_module_here: ModuleRun, postgres: Postgres, tmp_path: Path) -> None:
    results: dict[str, list[dict[str, t.Any]]] = {"pg_fence": [], "pg_backup": [], "pg_restore": []}

    def run(module: str, **more: t.Any) -> dict[str, t.Any]:
        check, fails = more.pop("check", False), more.pop("fails", False)
        programs = {} if module == "pg_fence" else {"pg_bindir": sample.programs}
        superuser = {"dsn": sample.dsn(login="postgres"), "password": postgres.password}
        answer = run_module_here(module, {**sample.options(**programs, **more), **superuser}, check=check)
        assert answer.get("failed", False) is fails, answer
        results[module].append({key: value for key, value in answer.items() if key not in OF_FAILURES})
        return answer

    with Sample(postgres) as sample, sample.connect():
        place = f"file://{tmp_path}"
        fenced = f"{sample.name}_golive_r1"
        fence = {"module": "pg_fence", "fence_id": "r1"}
        run(**fence, state="fenced", method="none", waiver=WAIVER)
        run(**fence, state="fenced", check=True)
        assert run(**fence, state="fenced", copy=True)["sessions"]
        run(**fence, state="status")
        run("pg_backup", destination=place, database=fenced, check=True)
        sealed = {"recipients": ["age1qpx8j2w9yv6ffkptm0zfedg3w7l9ufl4yrt0qx8tdq5s6kys3suqv0k2pm"]}
        run("pg_backup", destination=place, database=fenced, verify="archive", encryption=sealed)
        query = [{"query": "select 1", "expect": "1"}]
        backup = run("pg_backup", destination=place, database=fenced, verify_sql=query, keep={"last": 1})
        run("pg_restore", state="listed", destination=place)
        run("pg_restore", state="verified", destination=place, check=True)
        run("pg_restore", state="verified", destination=place, verify_sql=query)
        (tmp_path / "broken").mkdir()
        broken = f"file://{tmp_path}/broken"
        sample.execute(BREAKS_IN_A_KEY, name=fenced)
        run("pg_backup", destination=broken, database=fenced, verify="head")
        run("pg_restore", state="verified", destination=broken, fails=True)
        sample.execute("drop table app.pages", name=fenced)
        sample.execute("update app.documents set title = 'x' where id = 1", name=fenced)
        sample.execute("insert into app.documents (title) values ('new')", name=fenced)
        manifest = backup["backup"]["manifest"]
        run("pg_restore", state="assessed", backup=manifest, restore_id="r1")
        left = f"{sample.name}_scratch_killed"
        postgres.execute(
            f'create database "{left}" allow_connections false connection limit {claim(sample.name, left)}'
        )
        (tmp_path / sample.name / "20260101T000000Z-00000000.dump").write_bytes(b"PGDMP")
        run("pg_restore", state="swept", destination=place)
        run("pg_restore", state="extracted", backup=manifest, restore_id="r1", tables=["app.documents"])
        restored = {"state": "restored", "backup": manifest, "restore_id": "r1", "accept_data_loss": True}
        run("pg_restore", **restored, target=fenced, check=True)
        with Standby(postgres) as standby:
            standby.catch_up()
            reader = standby.connect(fenced)
            restored["standbys"] = [standby.dsn(password=None)]
            run("pg_restore", **restored, target=fenced)
            reader.close()
        run("pg_restore", **{**restored, "standbys": []}, target=fenced)
        run(**fence, state="inside", application_roles=[sample.owner])
        run(**fence, state="lifted")
    found = {module: contradictions(module, answers) for module, answers in results.items()}
    assert found == {"pg_fence": [], "pg_backup": [], "pg_restore": []}
