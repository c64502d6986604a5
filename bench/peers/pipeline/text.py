"""Text to chunks and concepts. The model is a mock that takes no time, as in docmill's benchmark."""

import re
from collections import Counter

#: Two paragraphs of the generated documents: three chunks each.
CHUNK_CHARS_MAX = 1_700
#: Concepts a chunk; names come first, then the words that occur most.
CONCEPTS_MAX = 5
NAMES_MAX = 2
#: Shorter words say little.
WORD_LETTERS_MIN = 7

NAME = re.compile(r"[A-Z][a-z]+(?: [A-Z][a-z]+)+")
WORD = re.compile(rf"[a-z]{{{WORD_LETTERS_MIN},}}")
SENTENCE_END = re.compile(r"(?<=[.!?]) ")
#: Words that open a sentence and look like the beginning of a name.
OPENERS = {"In", "The", "A", "At", "On", "From"}
#: Words that are long enough and say nothing.
FILLERS = {"because", "between"}


def chunks(text: str) -> list[str]:
    """Paragraphs packed up to the limit; one that is longer is split at its sentences."""
    packed: list[str] = []
    for paragraph in text.split("\n\n"):
        whole = len(paragraph) <= CHUNK_CHARS_MAX
        pieces = [paragraph] if whole else pack(SENTENCE_END.split(paragraph), " ")
        packed.extend(piece for piece in pieces if piece.strip())
    return pack(packed, "\n\n")


def pack(pieces: list[str], separator: str) -> list[str]:
    """Neighbours joined while they fit. A piece that is too long by itself is cut."""
    packed: list[str] = []
    for piece in pieces:
        if packed and len(packed[-1]) + len(separator) + len(piece) <= CHUNK_CHARS_MAX:
            packed[-1] += separator + piece
            continue
        packed.extend(piece[at : at + CHUNK_CHARS_MAX] for at in range(0, len(piece), CHUNK_CHARS_MAX))
    return packed


def concepts(chunk: str) -> list[str]:
    """What a language model would name, in lower case and without repetition."""
    names = (without_opener(found) for found in NAME.findall(chunk))
    found = [name for name, _ in Counter(filter(None, names)).most_common(NAMES_MAX)]
    words = Counter(word for word in WORD.findall(chunk) if word not in FILLERS)
    found.extend(word for word, _ in words.most_common(CONCEPTS_MAX - len(found)))
    return found


def without_opener(name: str) -> str:
    """`In Amber Institute` is `amber institute`; a single word is no name."""
    words = name.split(" ")
    if words[0] in OPENERS:
        words = words[1:]
    return " ".join(words).lower() if len(words) > 1 else ""
