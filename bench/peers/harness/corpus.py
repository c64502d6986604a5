"""Documents of the shape that docmill's own benchmark generates (`tests/src/bench/services/documents.rs`).

The same vocabulary, sentences and hubs, and 4 KB each; not the same bytes, as the random generators differ. `Folder`
takes docmill's own, where they were written.
"""

import bisect
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

DOCUMENT_BYTES = 4_000
#: Hubs that a document names: two a chunk.
HUBS_A_DOCUMENT = 6
#: Letters of a paragraph beside its prose, as the Rust side counts them.
OPENING_BYTES = 40
#: Documents of one folder.
FOLDER_MAX = 500

PREFIXES = ["", "re", "con", "trans", "in", "per", "sub", "de", "pre", "inter", "over", "un"]
ROOTS = (
    "form port struct duct press tract serv scrib spect vert mit cept sign plant measur record market garden"
    " water light bridg harbour engin letter paper field storm travel season village number window"
).split()
SUFFIXES = ["", "ing", "er", "ation", "ed", "able", "s", "ment", "ly"]
LINKS = (
    "the of and to in a is that for it was on with as by at from this which are when after before between"
    " because while their every not more"
).split()
HUB_FIRST = "Amber Copper Silver Marble Cedar Willow Harbour Summit River Meadow".split()
HUB_SECOND = "Institute Foundation Railway Observatory Brewery".split()


class Writer:
    """A source of text whose words occur as often as their rank says (Zipf)."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.words = [p + r + s for s, p, r in itertools.product(SUFFIXES, PREFIXES, ROOTS)]
        # One fixed shuffle, so that rank says nothing of form.
        random.Random(1).shuffle(self.words)
        weights = (1 / (rank + 2.7) for rank in range(len(self.words)))
        self.cumulative = list(itertools.accumulate(weights))

    def word(self) -> str:
        at = self.random.random() * self.cumulative[-1]
        return self.words[min(bisect.bisect(self.cumulative, at), len(self.words) - 1)]

    def sentence(self) -> str:
        """8 to 18 words, links and others in turn."""
        count = self.random.randint(8, 18)
        words = [
            self.random.choice(LINKS) if place % 2 == 0 and place + 1 < count else self.word()
            for place in range(count)
        ]
        return " ".join(words).capitalize() + "."

    def prose(self, size: int) -> str:
        text = self.sentence()
        while len(text) < size:
            text += " " + self.sentence()
        return text

    def document(self) -> str:
        paragraphs = []
        for _ in range(HUBS_A_DOCUMENT):
            hub = f"{self.random.choice(HUB_FIRST)} {self.random.choice(HUB_SECOND)}"
            prose = self.prose(DOCUMENT_BYTES // HUBS_A_DOCUMENT - OPENING_BYTES)
            paragraphs.append(f"In {hub} it was said. {prose}")
        return "\n\n".join(paragraphs)


class Generated:
    """Generated documents, written to a folder as they are asked for; each is another one."""

    def __init__(self, root: Path, seed: int):
        self.root, self.writer, self.written = root, Writer(seed), 0
        self.stock: list[str] = []

    def prepare(self, count: int) -> None:
        """Writes documents ahead, where handing out has to be quick."""
        self.stock += [self.one() for _ in range(count)]

    def take(self, count: int) -> list[str]:
        """Paths of so many documents that were not handed out before."""
        taken, self.stock = self.stock[:count], self.stock[count:]
        return taken + [self.one() for _ in range(count - len(taken))]

    def one(self) -> str:
        folder = self.root / f"{self.written // FOLDER_MAX:03}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.written}.txt"
        path.write_text(self.writer.document(), encoding="utf-8")
        self.written += 1
        return str(path)


class Folder:
    """The .txt files below a folder, in the order of their names."""

    def __init__(self, root: Path):
        self.root = root
        self.paths: Iterator[str] = (str(path.resolve()) for path in sorted(root.rglob("*.txt")))

    def take(self, count: int) -> list[str]:
        taken = list(itertools.islice(self.paths, count))
        if len(taken) < count:
            raise SystemExit(f"{self.root} has too few .txt files: {count - len(taken)} more are needed")
        return taken
