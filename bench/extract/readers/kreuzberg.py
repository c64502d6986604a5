"""kreuzberg, without its cache; a document is one text."""

from pathlib import Path

from kreuzberg import ExtractionConfig, extract_file_sync


def pages(file: Path, _languages: str) -> list[str]:
    return [extract_file_sync(file, config=ExtractionConfig(use_cache=False)).content]
