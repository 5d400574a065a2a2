# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation says is what there is."""

from __future__ import annotations

import ast
import json
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.plugin_utils import checklist_items, verdict_rules
from ansible_collections.opsready.golive.plugins.plugin_utils.system_file import (
    SYSTEM_FILE,
    check_names,
    check_together,
    check_value,
)

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = sorted((ROOT / "plugins/modules").glob("*.py"))
ROLES = sorted(path.parent.parent for path in (ROOT / "roles").glob("*/tasks/main.yml"))
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/README.md"), *ROOT.glob("examples/*/README.md")]
)
README = (ROOT / "README.md").read_text(encoding="utf-8")

BLOCK = re.compile(r"^( *)```yaml\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def yaml_blocks(page: Path) -> list[t.Any]:
    """Parsed, with aliases made copies of their own, as templating makes them."""
    blocks = [block for unused, block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    return [json.loads(json.dumps(yaml.safe_load(block))) for block in blocks]


def text_of(module: Path, name: str) -> t.Any:
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{named(module)} has no {name}")


def defaults_of(role: Path) -> dict[str, t.Any]:
    return yaml.safe_load((role / "defaults/main.yml").read_text(encoding="utf-8")) or {}


def specification_of(role: Path) -> dict[str, t.Any]:
    document = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    return t.cast("dict[str, t.Any]", document["argument_specs"])


def nested(value: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """Every mapping inside a value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nested(inner)


def test_there_are_modules_roles_and_pages_to_look_at() -> None:
    assert len(MODULES) > 20
    assert len(ROLES) == 12
    assert len(PAGES) > 15


# ── modules ──


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_documentation_examples_and_returns_are_yaml(module: Path) -> None:
    assert text_of(module, "DOCUMENTATION")["module"] == module.stem
    assert text_of(module, "RETURN")
    tasks = text_of(module, "EXAMPLES")
    # acting is the way in which the others are run; nobody calls it.
    called = "maintenance" if module.stem == "acting" else module.stem
    assert [play for play in nested(tasks) if f"opsready.golive.{called}" in play]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_examples_use_options_that_there_are(module: Path) -> None:
    for task in nested(text_of(module, "EXAMPLES")):
        for key, options in task.items():
            name = str(key).removeprefix("opsready.golive.")
            if name == key or not isinstance(options, dict):
                continue
            documentation = text_of(ROOT / f"plugins/modules/{name}.py", "DOCUMENTATION")
            known = set(documentation["options"]) | {
                alias for option in documentation["options"].values() for alias in option.get("aliases", ())
            }
            for fragment in documentation.get("extends_documentation_fragment", ()):
                known |= set(options_of_fragment(fragment))
            assert set(options) <= known


@pytest.mark.parametrize("check", registry.names())
def test_the_examples_of_every_check_are_run_by_a_test(check: str) -> None:
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests/integration").glob("test_*.py")]
    assert any(re.search(rf"\bexamples_of\(\s*\"{check}\"", text) for text in tests)


def options_of_fragment(fragment: str) -> dict[str, t.Any]:
    source = (ROOT / f"plugins/doc_fragments/{fragment.rpartition('.')[2]}.py").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "DOCUMENTATION"
        ):
            return t.cast("dict[str, t.Any]", yaml.safe_load(ast.literal_eval(node.value)).get("options") or {})
    raise AssertionError(fragment)


# ── README ──


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_module_is_in_the_readme(module: Path) -> None:
    summary = text_of(module, "DOCUMENTATION")["short_description"]
    assert f"| `{module.stem}` | {summary[0].lower()}{summary[1:]} |" in README


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_every_role_is_in_the_readme(role: Path) -> None:
    assert f"| [`{role.name}`](roles/{role.name}/README.md) |" in README


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_every_playbook_is_in_the_readme(playbook: Path) -> None:
    assert f"| `opsready.golive.{playbook.stem}` |" in README


def test_the_readmes_system_file_and_checklist_are_accepted() -> None:
    variables: dict[str, t.Any] = {}
    for block in yaml_blocks(ROOT / "README.md"):
        variables.update(block)
    check_names(variables)
    # As the user's own variable has it.
    variables["golive_services"]["artefact"]["sha256"] = "0" * 64
    for name, value in variables.items():
        if name != "golive_checklist":
            check_value(name, value)
    assert check_together(variables) == []
    for index, item in enumerate(variables["golive_checklist"]):
        checklist_items.check_params(*parsed(item, index))


def parsed(item: t.Any, index: int) -> tuple[checklist_items.Item, dict[str, t.Any]]:
    found = checklist_items.parse(item, index)
    return found, found.params


# ── pages ──


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_inside_the_project_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, unused, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings], target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_yaml_on_pages_can_be_meant(page: Path) -> None:
    role_options = {role.name: {n for e in specification_of(role).values() for n in e["options"]} for role in ROLES}
    for block in yaml_blocks(page):
        for mapping in nested(block):
            for key, value in mapping.items():
                if key.startswith("golive_"):
                    assert key in SYSTEM_FILE
                    if "required" not in str(SYSTEM_FILE[key]) and key != "golive_checklist":
                        check_value(key, value)
                for role, options in role_options.items():
                    if key.startswith(f"{role}_") and page.parent.name == role:
                        assert key in options
                if key.startswith("opsready.golive."):
                    assert (ROOT / f"plugins/modules/{key.rpartition('.')[2]}.py").exists()
            used = mapping.get("role") or mapping.get("name")
            if isinstance(used, str) and used.startswith("opsready.golive."):
                assert (ROOT / "roles" / used.rpartition(".")[2]).is_dir()


def test_the_checklist_page_shows_items_that_are_accepted() -> None:
    page = ROOT / "docs/checklist.md"
    blocks = yaml_blocks(page)
    items = [item for block in blocks for item in block.get("golive_checklist", ())]
    defaults = {
        name: options for block in blocks for name, options in block.get("golive_checklist_defaults", {}).items()
    }
    assert {item["id"] for item in items} >= {"tls-public", "migration-reviewed"}
    for index, item in enumerate(items):
        found, params = parsed(item, index)
        if found.sign_off is None:
            checklist_items.check_params(found, {**defaults.get(found.check, {}), **params})
    assert [verdict_rules.read_waivers(block["golive_waivers"]) for block in blocks if "golive_waivers" in block]


def test_the_checklist_page_names_every_check_key_phase_and_severity() -> None:
    text = (ROOT / "docs/checklist.md").read_text(encoding="utf-8")
    for name in [*registry.names(), *checklist_items.PHASES, *checklist_items.SEVERITIES]:
        assert f"`{name}`" in text
    for key in checklist_items._KEYS:
        assert re.search(rf"^\| .*`{key}`", text, re.MULTILINE), key


@pytest.mark.parametrize("name", sorted(SYSTEM_FILE))
def test_every_variable_of_the_system_file_has_its_row_and_keys(name: str) -> None:
    text = (ROOT / "docs/system-file.md").read_text(encoding="utf-8")
    option = SYSTEM_FILE[name]
    row = rf"^\| \*\*`{name}`\*\* \|" if option.get("required") else rf"^\| `{name}` \|"
    assert re.search(row, text, re.MULTILINE)
    if not option.get("options"):
        return
    section = text.partition(f"\n### {name}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
    keys = re.findall(r"^\| (?:\*\*)?`(\w+)`", section, re.MULTILINE)
    assert keys == list(option["options"])


def test_no_page_names_a_variable_that_there_is_not() -> None:
    ours = set(SYSTEM_FILE) | {"golive_release"}
    for page in PAGES:
        assert set(re.findall(r"\bgolive_[a-z_]+\b", page.read_text(encoding="utf-8"))) <= ours, named(page)


# ── roles ──


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_each_role_specifies_its_variables_as_it_defaults_them(role: Path) -> None:
    defaults, seen = defaults_of(role), set()
    for entry, specification in specification_of(role).items():
        assert (role / f"tasks/{entry}.yml").exists()
        for name, option in specification["options"].items():
            seen.add(name)
            assert option["default"] == defaults[name], (entry, name)
            assert option["description"]
    assert seen == set(defaults)


@pytest.mark.parametrize("role", [role for role in ROLES if role.name != "settle"], ids=lambda path: path.name)
def test_each_entry_point_specifies_what_its_tasks_use(role: Path) -> None:
    for entry, specification in specification_of(role).items():
        tasks = (role / f"tasks/{entry}.yml").read_text(encoding="utf-8")
        used = set(re.findall(rf"(?<!_)\b{role.name}_[a-z0-9_]+", tasks)) & set(defaults_of(role))
        assert used == set(specification["options"]), entry


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_secrets_of_roles_are_not_logged(role: Path) -> None:
    for specification in specification_of(role).values():
        for name, option in specification["options"].items():
            if re.search(r"password|secret|bypass$|_s3$", name):
                assert option["no_log"] is True, name


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_each_roles_readme_has_a_row_for_each_variable(role: Path) -> None:
    text = (role / "README.md").read_text(encoding="utf-8")
    for name in defaults_of(role):
        assert f"| `{name}` |" in text
    for heading in ("## Needs", "## Example", "## Variables", "## Running it again", "## The way back"):
        assert heading in text


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_our_own_plays_do_not_validate_a_role_inside_the_window(role: Path) -> None:
    ours = [*(ROOT / "playbooks").rglob("*.yml"), *(ROOT / "roles/settle/tasks").glob("*.yml")]
    for path in ours:
        for task in nested(yaml.safe_load(path.read_text(encoding="utf-8"))):
            for action in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
                if task.get(action, {}).get("name") == f"opsready.golive.{role.name}":
                    assert task[action].get("rolespec_validate") is False, (named(path), task["name"])
