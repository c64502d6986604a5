"""Poppler's program, in the order of reading."""

import subprocess
from pathlib import Path


def pages(file: Path, _languages: str) -> list[str]:
    run = subprocess.run(["pdftotext", "-enc", "UTF-8", str(file), "-"], check=True, capture_output=True)
    # A form feed ends each page.
    return run.stdout.decode(errors="replace").split("\f")[:-1]
