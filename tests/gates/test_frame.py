# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must agree between files that name the same things."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.gates.copy_collection import ROOT, sources

HEADER = (
    "# Copyright (c) 2026, the opsready.golive authors",
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "# SPDX-License-Identifier: GPL-3.0-or-later",
)


def _modules() -> set[str]:
    return {path.stem for path in (ROOT / "plugins" / "modules").glob("[!_]*.py")}


def test_the_action_group_names_every_module() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    assert set(runtime["action_groups"]["golive"]) == _modules()


def test_every_acting_module_runs_through_the_acting_plugin() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    routes = {name: entry["action_plugin"] for name, entry in runtime["plugin_routing"]["modules"].items()}
    frame = re.compile(r"^from \S+\._core\.guard import .*\brun_module\b", re.M)
    acting = {name for name in _modules() if frame.search((ROOT / "plugins" / "modules" / f"{name}.py").read_text())}
    assert acting
    assert routes == dict.fromkeys(acting, "opsready.golive.acting")


def test_every_action_plugin_has_a_module_that_documents_it() -> None:
    actions = {path.stem for path in (ROOT / "plugins" / "action").glob("[!_]*.py")}
    assert actions <= _modules()


def test_library_floors_are_those_of_the_execution_environment() -> None:
    from ansible_collections.opsready.golive.plugins.module_utils._core.deps import CEILINGS, FLOORS

    lines = (ROOT / "meta" / "ee-requirements.txt").read_text().splitlines()
    required = {line for line in lines if line and not line.startswith("#")}
    floors = {f"{package}>={floor}" for package, floor in FLOORS.values()}
    ceilings = {
        f'{FLOORS[name][0]}<{ceiling}; python_version < "{python[0]}.{python[1]}"'
        for name, (python, ceiling) in CEILINGS.items()
    }
    assert required == floors | ceilings


def test_every_python_file_names_its_licence_first() -> None:
    plugins = [ROOT / name for name in sources(ROOT) if name.suffix == ".py" and name.parts[0] == "plugins"]
    assert plugins
    wrong = []
    for path in plugins:
        text = path.read_text()
        if path.name == "__init__.py":
            wrong += [f"{path} is not empty"] if text else []
        elif "\n".join(HEADER) not in text[:600]:
            wrong.append(f"{path} has no licence header")
    assert not wrong, wrong


def test_no_sanity_ignore_file_exists() -> None:
    assert not list((ROOT / "tests" / "sanity").glob("ignore*"))


def test_each_role_has_a_specification_and_a_readme() -> None:
    roles = [path for path in (ROOT / "roles").iterdir() if path.is_dir()]
    assert roles
    missing = [
        str(role / name)
        for role in roles
        for name in ("meta/argument_specs.yml", "README.md", "tasks/main.yml")
        if not (role / name).is_file()
    ]
    assert not missing, missing


def _role_variables(role: Path) -> set[str]:
    found = set()
    for path in (*role.glob("defaults/*.yml"), *role.glob("vars/*.yml")):
        found |= set(yaml.safe_load(path.read_text()) or {})
    return found


def test_role_variables_carry_the_roles_name() -> None:
    wrong = {
        role.name: sorted(name for name in _role_variables(role) if not re.match(rf"(__)?{role.name}_", name))
        for role in (ROOT / "roles").iterdir()
        if role.is_dir()
    }
    assert not {role: names for role, names in wrong.items() if names}


def test_nothing_hides_a_failure() -> None:
    hiding = re.compile(r"^\s*(ignore_errors|failed_when):\s*(true|false)\b", re.M)
    yaml_files = [
        ROOT / name
        for name in sources(ROOT)
        if name.suffix in {".yml", ".yaml"} and name.parts[0] in {"roles", "playbooks"}
    ]
    assert not [str(path) for path in yaml_files if hiding.search(path.read_text())]
