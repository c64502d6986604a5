"""PyMuPDF, as its guide has it."""

from pathlib import Path

import pymupdf


def pages(file: Path, _languages: str) -> list[str]:
    with pymupdf.open(file) as document:
        return [page.get_text() for page in document]
