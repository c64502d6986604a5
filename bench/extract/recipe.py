"""`run.sh recipe --processes N [--languages L] [--pictures png] FILE…`: a file pipeline as it is published, as one JSON object.

pdfplumber reads each page; one with fewer than 32 letters is rendered (pdf2image: 200 dpi, JPEG, pdftocairo) and recognised
(pytesseract). Files are shared among processes. Time is taken from when the processes are there with all imported, which
the recipe is given. How many threads Tesseract has, the environment says (`OMP_THREAD_LIMIT`).
"""

import argparse
import json
import multiprocessing
import sys
import time
from pathlib import Path

from clock import cpu_s
from readers import pytesseract as recogniser

#: A page with fewer is taken for a picture.
LETTERS_MIN = 32


def read(task: tuple[Path, str, str]) -> dict:
    import pdfplumber

    file, languages, pictures = task
    before = cpu_s()
    pages = []
    with pdfplumber.open(file) as document:
        for number, page in enumerate(document.pages, 1):
            text = page.extract_text() or ""
            page.close()
            recognised = sum(character.isalnum() for character in text) < LETTERS_MIN
            if recognised:
                text = recogniser.page(file, number, languages, pictures)
            pages.append({"text": text, "recognised": recognised})
    return {"file": str(file), "pages": pages, "cpu_s": cpu_s() - before}


def warm(_number: int) -> None:
    """Imports, and stays long enough that no process is asked twice."""
    import pdfplumber  # noqa: F401

    time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--languages", default="eng", help="as Tesseract names them")
    parser.add_argument("--pictures", choices=["jpeg", "png"], default="jpeg", help="published: jpeg")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    with multiprocessing.Pool(options.processes) as pool:
        pool.map(warm, range(options.processes), chunksize=1)
        began = time.monotonic()
        tasks = [(file, options.languages, options.pictures) for file in options.files]
        files = pool.map(read, tasks, chunksize=1)
        seconds = time.monotonic() - began
    json.dump({"seconds": seconds, "files": files}, sys.stdout)
    print()


main()
