# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole PDF of one page with text that can be extracted: a document to upload whose words are known."""

from __future__ import annotations

import textwrap

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

_LINE_CHARACTERS = 80
_MOST_LINES = 45


def _literal(line: str) -> bytes:
    """A string as PDF writes it (ISO 32000-1, 7.3.4.2), in WinAnsiEncoding."""
    try:
        raw = line.encode("cp1252")
    except UnicodeEncodeError:
        raise BadInput("The text of a generated PDF is limited to the letters of Windows-1252.")
    return b"(" + raw.replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)") + b")"


def pdf_with(text: str) -> bytes:
    """One A4 page with this text in Helvetica. Raises BadInput for letters that its encoding lacks, or too much text."""
    lines = [part for line in text.splitlines() for part in (textwrap.wrap(line, _LINE_CHARACTERS) or [""])] or [""]
    if len(lines) > _MOST_LINES:
        raise BadInput(f"The text of a generated PDF is {len(lines)} lines long, expected at most {_MOST_LINES}.")
    shown = b"\nT* ".join(_literal(line) + b" Tj" for line in lines)
    content = b"BT /F1 12 Tf 16 TL 56 780 Td\n" + shown + b"\nET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n" % len(content) + content + b"\nendstream",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    document = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(document))
        document += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = len(document)
    document += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    document += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    document += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return document
