"""`run.sh read READER [--languages L] FILE…`: what a reader makes of each file, a line of JSON each.

`pages` are texts (a reader that knows no pages gives one), `cpu_s` is of this process and those that it waited for, without
what importing took; a file that cannot be read has an `error` instead.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

from clock import cpu_s

READERS = ("pdftotext", "pymupdf", "pypdf", "pdfplumber", "kreuzberg", "pytesseract")


def read(reader, file: Path, languages: str) -> dict:
    before = cpu_s()
    try:
        pages = reader.pages(file, languages)
    except Exception as error:  # One file that a reader dies over is a finding, and no end of the run.
        return {"file": str(file), "pages": [], "cpu_s": cpu_s() - before, "error": f"{type(error).__name__}: {error}"}
    return {"file": str(file), "pages": pages, "cpu_s": cpu_s() - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--languages", default="eng", help="as Tesseract names them, for readers that recognise")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    reader = importlib.import_module(f"readers.{options.reader}")
    for file in options.files:
        json.dump(read(reader, file, options.languages), sys.stdout)
        print(flush=True)


main()
