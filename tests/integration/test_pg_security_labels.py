# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security labels are restored with what they label, and a server without their provider is refused while nothing is changed."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest

from tests import label_provider
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.integration.test_pg_restore import back_up, fence, restore
from tests.servers import Postgres

LABELS = (
    "select objtype, objname, label from pg_seclabels where provider = %s"
    " and (objtype in ('table', 'column') or objname in (quote_ident(current_database()), %s)) order by 1, 2"
)


@pytest.fixture
def labelled() -> t.Iterator[Sample]:
    server = Postgres()
    label_provider.load(server)
    with server:
        sample = Sample(server).create()
        provider = label_provider.NAME
        for what, text in (
            ("table app.documents", "it''s secret"),
            ("column app.documents.title", "public"),
            (f'database "{sample.name}"', "archive"),
            (f'role "{sample.owner}"', "owner"),
        ):
            sample.execute(f"security label for {provider} on {what} is '{text}'")
        yield sample


def labels(sample: Sample, name: str | None = None) -> list[tuple[t.Any, ...]]:
    return sample.execute(LABELS, label_provider.NAME, sample.owner, name=name)


def superuser(sample: Sample) -> dict[str, t.Any]:
    return {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}


def test_labels_of_every_kind_are_as_they_were(run_module_here: ModuleRun, labelled: Sample, tmp_path: Path) -> None:
    before = labels(labelled)
    assert [(kind, text) for kind, _name, text in before] == [
        ("column", "public"), ("database", "archive"), ("role", "owner"), ("table", "it's secret"),
    ]  # fmt: skip
    fence(run_module_here, labelled)
    made = back_up(run_module_here, labelled, tmp_path, verify="restore", **superuser(labelled))
    provider = label_provider.NAME
    labelled.execute(f"security label for {provider} on table app.documents is null", name=f"{labelled.name}_golive_r1")
    wanted = restore(labelled, "restored", backup=made["manifest"], accept_data_loss=True, **superuser(labelled))
    done = run_module_here("pg_restore", wanted)
    assert done["changed"] is True, done
    fence(run_module_here, labelled, "lifted")
    assert labels(labelled) == before

    # What is not there is told as a comment, since a server without the provider takes no label.
    roles = Path(made["roles"].removeprefix("file://")).read_text()
    line = f"""-- SECURITY LABEL FOR "{provider}" ON ROLE "{labelled.owner}" IS 'owner';\n"""
    assert line in roles
    labelled.execute(f'security label for {provider} on role "{labelled.owner}" is null')
    assert labels(labelled) != before
    script = tmp_path / "labels.sql"
    script.write_text("".join(one[3:] for one in roles.splitlines(keepends=True) if "SECURITY LABEL FOR" in one))
    subprocess.run(
        [labelled.server.program("psql"), "-X", "-v", "ON_ERROR_STOP=1", "-f", str(script), labelled.server.dsn()],
        check=True,
        capture_output=True,
    )
    assert labels(labelled) == before


@pytest.mark.parametrize("of", ["table", "database"])
def test_without_the_provider_nothing_is_changed(
    run_module_here: ModuleRun, labelled: Sample, tmp_path: Path, of: str
) -> None:
    if of == "table":
        labelled.execute(f'security label for {label_provider.NAME} on database "{labelled.name}" is null')
    fence(run_module_here, labelled)
    made = back_up(run_module_here, labelled, tmp_path)
    label_provider.unload(labelled.server)
    there = labelled.databases()
    wanted = restore(labelled, "restored", backup=made["manifest"], accept_data_loss=True, **superuser(labelled))
    refused = run_module_here("pg_restore", wanted)
    assert (refused["failed"], refused["error"]) == (True, "Refused"), refused
    said = f"has security labels of the provider {label_provider.NAME}, which the server has not loaded"
    assert said in refused["msg"]
    assert "shared_preload_libraries" in refused["msg"]
    assert (refused["label_provider"], labelled.databases()) == (label_provider.NAME, there)
    # A scratch database on another server than the one with the labels leaves them out, and so does a login that is no superuser.
    proven = run_module_here("pg_restore", restore(labelled, "verified", backup=made["manifest"]))
    assert proven["verified"]["ok"] is True, proven
