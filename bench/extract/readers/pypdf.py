"""pypdf, as its guide has it."""

from pathlib import Path

from pypdf import PdfReader


def pages(file: Path, _languages: str) -> list[str]:
    return [page.extract_text() for page in PdfReader(file).pages]
