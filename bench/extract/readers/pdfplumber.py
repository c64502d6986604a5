"""pdfplumber, as its guide has it; what it keeps of a page is let go, as memory would grow with the pages."""

from pathlib import Path

import pdfplumber


def pages(file: Path, _languages: str) -> list[str]:
    texts = []
    with pdfplumber.open(file) as document:
        for page in document.pages:
            texts.append(page.extract_text() or "")
            page.close()
    return texts
