# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One undefined variable is named, and nothing that stands beside it."""

from __future__ import annotations

import datetime
import typing as t

import ansible.template
import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.opsready.golive.plugins.plugin_utils import templating
from ansible_collections.opsready.golive.plugins.plugin_utils.templating import Undefined, plain, templated, truth


def _trusted(text: str) -> str:
    try:
        from ansible.template import trust_as_template
    except ImportError:  # ansible-core 2.18
        return text
    return t.cast(str, trust_as_template(text))


@pytest.fixture
def templar() -> Templar:
    variables = {"seven": 7, "words": {"a": "b"}, "undefined_inside": _trusted("{{ nothing_here }}"), "yes_text": "no"}
    return Templar(loader=DataLoader(), variables=variables)


def test_values_are_templated_in_full(templar: Templar) -> None:
    value = {
        "n": _trusted("{{ seven }}"),
        "list": [_trusted("x{{ seven }}"), 1],
        "deep": {"w": _trusted("{{ words }}")},
    }
    assert templated(templar, value) == {"n": 7, "list": ["x7", 1], "deep": {"w": {"a": "b"}}}


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ nothing_here }}", "'nothing_here' is undefined"),
        ("literal-canary{{ nothing_here }}", "'nothing_here' is undefined"),
        ("{{ 'literal-canary' ~ nothing_here }}", "'nothing_here' is undefined"),
        ("{{ undefined_inside }}", "'nothing_here' is undefined"),
        ("{{ words.c }}", "has no attribute 'c'"),
        ("{{ 'literal-canary' | no_such_filter }}", "no_such_filter"),
        ("{{ lookup('file', '/no/such/literal-canary') }}", ""),
        ("{{ 1 / 0 }} literal-canary", ""),
        ("{{ 'literal-canary' | to_datetime }}", ""),
        ("{{ literal-canary", ""),
    ],
)
def test_what_cannot_be_templated_names_the_variable_and_nothing_beside_it(
    templar: Templar, template: str, said: str
) -> None:
    with pytest.raises(Undefined) as caught:
        templated(templar, {"key": _trusted(template)})
    assert said in str(caught.value)
    assert "literal-canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_template_that_cannot_be_evaluated_is_named_by_its_place(templar: Templar) -> None:
    value = {"files": [{"path": _trusted("{{ seven }}")}, {"path": _trusted("{{ literal-canary beside }}")}], "n": None}
    with pytest.raises(Undefined, match=r"^the template of files\.1\.path cannot be evaluated \(\w+\)$"):
        templated(templar, value)


def test_a_condition_that_is_none_is_not_repeated(templar: Templar) -> None:
    """It may have brought in a secret."""
    with pytest.raises(
        Undefined, match=r"^when is a text, expected a boolean: true, false, or a condition that gives one$"
    ):
        truth(templar, _trusted("'literal-canary'"), where="when")


class _Vault:
    """As a vault's string on ansible-core 2.18: neither text nor container, and text when asked."""

    def __str__(self) -> str:
        return "decrypted"


def test_everything_becomes_one_of_jsons_types() -> None:
    day, moment = datetime.date(2026, 12, 31), datetime.datetime(2026, 12, 31, 10, tzinfo=datetime.timezone.utc)
    value = {1: (day, moment), "v": _Vault(), "t": True, "n": None, "f": 1.5, "s": "text"}
    assert plain(value) == {
        "1": ["2026-12-31", "2026-12-31T10:00:00+00:00"], "v": "decrypted", "t": True, "n": None, "f": 1.5, "s": "text",
    }  # fmt: skip


def test_omit_is_left_out_wherever_it_stands() -> None:
    omit = object()
    assert plain({"a": omit, "b": [1, omit], "c": {"d": omit}}, omit) == {"b": [1], "c": {}}
    assert plain({"a": "__omit_place_holder__x", "b": 1}, "__omit_place_holder__x") == {"b": 1}
    assert plain({"a": None}, None) == {"a": None}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [(True, True), (False, False), ("seven == 7", True), ("seven > 7", False), ("{{ seven == 7 }}", True),
     ("nothing_here is defined", False), ("{% if seven == 7 %}True{% else %}False{% endif %}", True)],
)  # fmt: skip
def test_a_condition_is_a_real_boolean(templar: Templar, condition: t.Any, holds: bool) -> None:
    value = _trusted(condition) if isinstance(condition, str) else condition
    assert truth(templar, value, where="when") is holds


@pytest.mark.parametrize(
    "condition", ["seven", "'no'", "yes_text", 1, 0, None, [], "nothing_here", "words.c", "seven =="]
)
def test_anything_else_is_no_condition(templar: Templar, condition: t.Any) -> None:
    value = _trusted(condition) if isinstance(condition, str) else condition
    with pytest.raises(Undefined):
        truth(templar, value, where="when")


def test_what_nobody_vouched_for_is_not_evaluated(templar: Templar) -> None:
    if not hasattr(ansible.template, "is_trusted_as_template"):
        pytest.skip("ansible-core 2.18 knows no trust")
    with pytest.raises(Undefined):
        truth(templar, "lookup('pipe', 'touch /tmp/never') == ''", where="when")
    assert templating._with_trust_of("untrusted", "{{ 1 }}") == "{{ 1 }}"


def test_a_core_without_trust_evaluates_as_it_always_did(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.delattr(ansible.template, "trust_as_template", raising=False)
    assert templating._with_trust_of("x", "{{ x }}") == "{{ x }}"
