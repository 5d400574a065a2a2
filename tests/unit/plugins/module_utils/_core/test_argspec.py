# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One validator for modules and items, and every secret is found where the spec says so."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._core import argspec
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import (
    Spec,
    compose,
    secrets_in,
    strings_in,
    transform_secrets,
    validated,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

SPEC: Spec = {
    "dsn": {"type": "str", "required": True, "no_log": False},
    "password": {"type": "str", "no_log": True, "aliases": ["pass_phrase"]},
    "headers": {"type": "dict", "no_log": True},
    "endpoints": {
        "type": "list",
        "elements": "dict",
        "options": {"url": {"type": "str"}, "token": {"type": "str", "no_log": True}},
    },
    "login": {"type": "dict", "options": {"user": {"type": "str"}, "password": {"type": "str", "no_log": True}}},
}


def test_an_option_named_twice_must_be_the_same() -> None:
    assert set(compose(argspec.POSTGRES, argspec.RELEASE)) == {"dsn", "password", "release"}
    assert compose(argspec.POSTGRES, argspec.POSTGRES) == argspec.POSTGRES
    with pytest.raises(ValueError, match="dsn is defined twice"):
        compose(argspec.POSTGRES, {"dsn": {"type": "int"}})


def test_every_key_at_fault_is_named() -> None:
    with pytest.raises(BadInput) as caught:
        validated({"port": {"type": "int", "required": True}}, {"prot": 1}, where="item db: check_x")
    assert "item db: check_x: " in str(caught.value)
    assert "prot" in str(caught.value)
    assert "port" in str(caught.value)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"port": "2m"}, "port is a text, expected a whole number"),
        ({"limits": {"load": "much"}}, "limits.load is a text, expected a number"),
        ({"limits": {"load": 2.5}, "port": [1]}, "port is a list, expected a whole number"),
        ({"paths": [{"size": {"a": 1}}]}, "paths.size is a mapping, expected a whole number"),
        ({"counts": ["1", "many"]}, "an entry of counts is a text, expected a whole number"),
        ({"force": "perhaps"}, "force is a text, expected true or false"),
        ({"prot": 1}, "there is no option prot; there are counts, force, limits, paths, port"),
    ],
)
def test_a_value_of_a_wrong_type_is_told_in_the_words_of_the_file(params: dict[str, t.Any], said: str) -> None:
    spec: Spec = {
        "port": {"type": "int"},
        "force": {"type": "bool"},
        "counts": {"type": "list", "elements": "int"},
        "limits": {"type": "dict", "options": {"load": {"type": "float"}}},
        "paths": {"type": "list", "elements": "dict", "options": {"size": {"type": "int"}}},
    }
    with pytest.raises(BadInput) as caught:
        validated(spec, params, where="item db: check_x")
    assert str(caught.value) == f"item db: check_x: {said}."


def test_types_and_defaults_are_applied() -> None:
    spec: Spec = {"port": {"type": "int"}, "mode": {"type": "str", "default": "strict"}}
    assert validated(spec, {"port": "5432"}, where="x") == {"port": 5432, "mode": "strict"}


def test_constraints_are_applied() -> None:
    with pytest.raises(BadInput, match="mutually exclusive"):
        validated(
            {"a": {"type": "str"}, "b": {"type": "str"}},
            {"a": "1", "b": "2"},
            where="x",
            mutually_exclusive=[("a", "b")],
        )


def _params(secret: t.Any) -> dict[str, t.Any]:
    return {
        "dsn": "postgresql://db/x",
        "pass_phrase": secret,
        "headers": {"X-Key": secret, "n": 5, "flag": True},
        "endpoints": [{"url": "https://a", "token": secret}, "not a mapping", {"url": "https://b", "token": None}],
        "login": {"user": "app", "password": secret},
        "unknown": "kept",
    }


def test_every_secret_is_moved_wherever_the_spec_has_it() -> None:
    moved: list[t.Any] = []

    def move(value: t.Any) -> str:
        moved.append(value)
        return f"#{len(moved)}"

    left = transform_secrets(SPEC, _params("hunter22"), move)
    assert "hunter22" not in repr(left)
    assert left["endpoints"] == [
        {"url": "https://a", "token": "#3"},
        "not a mapping",
        {"url": "https://b", "token": None},
    ]
    assert left["unknown"] == "kept"
    assert len(moved) == 4


@given(st.sampled_from([None, "", [], {}]))
def test_nothing_is_no_secret(value: t.Any) -> None:
    assert transform_secrets(SPEC, {"password": value}, lambda _unused: "moved") == {"password": value}


def test_the_strings_of_all_secrets_are_known() -> None:
    assert secrets_in(SPEC, _params("hunter22")) == ["hunter22", "hunter22", "5", "hunter22", "hunter22"]
    assert list(strings_in([("a", {"k": "b"}), 3, None, False])) == ["a", "b", "3"]


@pytest.mark.parametrize("part", [argspec.POSTGRES, argspec.REDIS, argspec.S3, argspec.RELEASE])
def test_every_connection_spec_says_which_option_is_secret(part: Spec) -> None:
    for name, option in part.items():
        if any(word in name for word in ("password", "secret")):
            assert option.get("no_log") is True, name
