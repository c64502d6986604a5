"""Every page as a picture, and Tesseract's program for each: pdf2image and pytesseract."""

from pathlib import Path

import pytesseract
from pdf2image import convert_from_path, pdfinfo_from_path

DOTS_PER_INCH = 200


def page(file: Path, number: int, languages: str, pictures: str = "jpeg") -> str:
    # One page at a time: a document of big pictures does not fit into memory.
    (picture,) = convert_from_path(
        file, dpi=DOTS_PER_INCH, fmt=pictures, use_pdftocairo=True, first_page=number, last_page=number
    )
    return pytesseract.image_to_string(picture, lang=languages)


def pages(file: Path, languages: str) -> list[str]:
    count = pdfinfo_from_path(file)["Pages"]
    return [page(file, number, languages) for number in range(1, count + 1)]
