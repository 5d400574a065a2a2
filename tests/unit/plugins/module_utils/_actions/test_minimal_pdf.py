# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A generated PDF is whole, and its words can be read back."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from ansible_collections.opsready.golive.plugins.module_utils._actions.minimal_pdf import pdf_with
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

WORDS = st.text(alphabet="abcXYZ0189äöüßÄÖÜ()\\€", min_size=1, max_size=20)


def read(document: bytes) -> str:
    return PdfReader(io.BytesIO(document), strict=True).pages[0].extract_text()


@settings(deadline=None, max_examples=50)
@given(st.lists(WORDS, min_size=1, max_size=12))
def test_words_are_read_back(words: list[str]) -> None:
    assert read(pdf_with(" ".join(words))).split() == words


def test_lines_stay_lines_and_long_ones_are_broken() -> None:
    assert read(pdf_with("one\ntwo")).splitlines() == ["one", "two"]
    assert len(read(pdf_with("word " * 40)).splitlines()) == 3
    assert read(pdf_with("")) == ""


def test_every_entry_of_the_table_points_at_its_object() -> None:
    document = pdf_with("Rechnung 4711")
    start = int(document.rsplit(b"startxref\n", 1)[1].split()[0])
    assert document[start : start + 4] == b"xref"
    offsets = [int(each) for each in re.findall(rb"(\d{10}) 00000 n", document[start:])]
    for number, offset in enumerate(offsets, 1):
        assert document[offset:].startswith(b"%d 0 obj" % number)


def test_letters_that_the_encoding_lacks_are_refused() -> None:
    with pytest.raises(BadInput):
        pdf_with("漢字")
    with pytest.raises(BadInput):
        pdf_with("x\n" * 46)
