"""`run.sh office DIR`: office files, and beside each the text that went into it, the same every time.

python-docx, python-pptx and openpyxl make DOCX, PPTX and XLSX. Where LibreOffice is installed it makes the older and the open
formats of the first two. Prints a line of JSON for each: name, file, text.
"""

import argparse
import json
import random
import shutil
import subprocess
from pathlib import Path

import docx
import openpyxl
import pptx

SECTIONS = 60
SLIDES = 240
ROWS = 20_000
WORDS = (
    "archive ledger harbour winter signal copper meadow engine lantern orchard quarry rudder saddle timber velvet "
    "walnut cinder dynamo falcon granite hollow island jigsaw kettle"
).split()
#: What LibreOffice makes of which.
CONVERSIONS = {"report": ("doc", "odt", "rtf", "epub"), "deck": ("ppt", "odp"), "table": ("xls", "ods")}
#: LibreOffice may wait for ever for a window that nobody sees.
CONVERSION_MAX_S = 180


def sentence(draw: random.Random) -> str:
    return " ".join(draw.choices(WORDS, k=12)).capitalize() + "."


def report(folder: Path, draw: random.Random) -> list[str]:
    """Sections with a paragraph, a list and a table each."""
    document, said = docx.Document(), []

    def say(text: str) -> str:
        said.append(text)
        return text

    for number in range(SECTIONS):
        document.add_heading(say(f"Section {number} of {draw.choice(WORDS)}"), level=1)
        document.add_paragraph(say(" ".join(sentence(draw) for _ in range(5))))
        for _ in range(3):
            document.add_paragraph(say(sentence(draw)), style="List Bullet")
        table = document.add_table(rows=4, cols=3)
        for row in table.rows:
            for cell in row.cells:
                cell.text = say(f"{draw.choice(WORDS)} {draw.randrange(10_000)}")
    document.save(folder / "report.docx")
    return said


def deck(folder: Path, draw: random.Random) -> list[str]:
    """Slides with a title, two lines and notes each."""
    presentation, said = pptx.Presentation(), []
    for number in range(SLIDES):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        title, body, notes = f"Slide {number} {draw.choice(WORDS)}", [sentence(draw) for _ in range(2)], sentence(draw)
        slide.shapes.title.text = title
        slide.placeholders[1].text = "\n".join(body)
        slide.notes_slide.notes_text_frame.text = notes
        said += [title, *body, notes]
    presentation.save(folder / "deck.pptx")
    return said


def table(folder: Path, draw: random.Random) -> list[str]:
    """A sheet of words and whole numbers."""
    book = openpyxl.Workbook(write_only=True)
    sheet, said = book.create_sheet("Stock"), []
    for number in range(ROWS):
        row = [number, draw.choice(WORDS), draw.choice(WORDS), draw.randrange(1_000)]
        sheet.append(row)
        said.append(" ".join(str(cell) for cell in row))
    book.save(folder / "table.xlsx")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    office = shutil.which("soffice")
    for name, extension, make in (("report", "docx", report), ("deck", "pptx", deck), ("table", "xlsx", table)):
        text = folder / f"{name}.txt"
        text.write_text("\n".join(make(folder, random.Random(name))), encoding="utf-8")
        made = [extension]
        for target in CONVERSIONS[name] if office else ():
            command = [office, "--headless", "--convert-to", target, "--outdir", folder, folder / f"{name}.{extension}"]
            done = subprocess.run(command, capture_output=True, timeout=CONVERSION_MAX_S, check=False)
            if done.returncode == 0 and (folder / f"{name}.{target}").exists():
                made.append(target)
        for extension in made:
            file = folder / f"{name}.{extension}"
            print(json.dumps({"name": file.name, "file": str(file), "text": str(text)}), flush=True)


main()
