# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantities and paths of Kubernetes manifests."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients.kubernetes_manifests import quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("5.", 5),
        ("100m", "0.1"),
        ("250u", "0.00025"),
        ("7n", "0.000000007"),
        ("1k", 1000),
        ("1Ki", 1024),
        ("128Mi", 128 * 2**20),
        ("129M", 129_000_000),
        ("1.5Gi", 3 * 2**29),
        ("1E", 10**18),
        ("1Ei", 2**60),
        ("1e3", 1000),
        ("1E3", 1000),
        ("123e-2", "1.23"),
        ("-1", -1),
    ],
)
def test_a_quantity_is_the_number_that_it_means(text: str, number: object) -> None:
    assert quantity(text) == Decimal(str(number))


@pytest.mark.parametrize(
    "text", ["", "Mi", "1K", "1KB", "1MB", "1 Mi", "1e", "1e3Mi", "0x10", "1,5", "cpu", "1e9999", "m1", "."]
)
def test_what_is_no_quantity_is_none(text: str) -> None:
    assert quantity(text) is None


@given(st.integers(0, 10**9), st.sampled_from(["m", "", "k", "Ki", "M", "Mi", "G", "Gi"]))
def test_more_of_a_unit_is_more(amount: int, unit: str) -> None:
    less, more = quantity(f"{amount}{unit}"), quantity(f"{amount + 1}{unit}")
    assert less is not None
    assert more is not None
    assert less < more


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_none(text: str) -> None:
    assert quantity(text) is None or isinstance(quantity(text), Decimal)
