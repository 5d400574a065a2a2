"""What is no PDF is refused. What a recognised text must say is asked on the whole system, by the smoke test."""

from __future__ import annotations

from pathlib import Path

import pytest
from ablage.recognition import recognise

DOCUMENT = Path(__file__).resolve().parent.parent / "testdokument.pdf"


def test_a_pdf_is_read() -> None:
    assert isinstance(recognise(DOCUMENT.read_bytes()), str)


@pytest.mark.parametrize("content", [b"", b"no PDF at all"])
def test_what_is_no_pdf_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a readable PDF"):
        recognise(content)
