"""Text of a PDF."""

from __future__ import annotations

import io


def recognise(content: bytes) -> str:
    """The text of all pages. Raises ValueError if the file is not a readable PDF."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)
    except PyPdfError as error:
        raise ValueError(f"not a readable PDF: {error}") from error
