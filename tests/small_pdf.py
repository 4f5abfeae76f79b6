"""PDFs for tests, made with pypdf alone."""

from __future__ import annotations

from pathlib import Path

from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

_LINE = 80


def write_pdf(path: Path, *pages: str, password: str | None = None) -> Path:
    """Write a PDF with one page a text (ASCII without brackets); an empty text is an empty page."""
    writer = PdfWriter()
    helvetica = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): helvetica})
    for text in pages:
        page = writer.add_blank_page(595, 842)
        if not text:
            continue
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
        content = DecodedStreamObject()
        content.set_data(
            b"BT /F1 11 Tf 14 TL 40 800 Td " + b" ".join(b"(%s) Tj T*" % line.encode() for line in lines) + b" ET"
        )
        page[NameObject("/Contents")] = content
    if password is not None:
        # Old, but it needs no package for cryptography.
        writer.encrypt(password, algorithm="RC4-128")
    writer.write(path)
    return path
