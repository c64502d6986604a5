"""A question-answering server as many teams first write it: FastAPI, SentenceTransformers, vectors in the process.

Its bottlenecks are the point and are left in: retrieval and embedding block the event loop, the model is loaded by the
first question, documents are prepared one after the other, and the model's words are waited for in the same handler.
"""

import argparse
import asyncio
import hashlib
import html
import json
import os
import re
import time
from pathlib import Path

import numpy
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

DIMENSIONS = 768  # as docmill's mock embeddings
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MOCK_WORDS = 20  # as docmill's mock model
CHUNK_CHARS = 1_000
CHUNKS_MAX = 20_000
SOURCES = 8
READ = {".html", ".htm", ".txt", ".md"}


class MockEmbedder:
    """Vectors without meaning, the same for the same text."""

    def encode(self, texts):
        rows = []
        for text in texts:
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
            rows.append(numpy.random.default_rng(seed).standard_normal(DIMENSIONS))
        vectors = numpy.array(rows, dtype=numpy.float32)
        return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


class RealEmbedder:
    """The model itself. Needs sentence-transformers, which run.sh does not install."""

    def __init__(self):
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(MODEL)

    def encode(self, texts):
        return self.model.encode(texts, normalize_embeddings=True)


class Question(BaseModel):
    question: str


class Store:
    """Chunks and their vectors, in the process."""

    def __init__(self, folder, mock):
        self.folder, self.mock = folder, mock
        self.embedder, self.chunks, self.vectors = None, [], None

    def prepare(self):
        """The documents, one after the other, as the server starts."""
        embedder = MockEmbedder() if self.mock else RealEmbedder()
        for path in sorted(self.folder.rglob("*")):
            if path.suffix not in READ or len(self.chunks) >= CHUNKS_MAX:
                continue
            text = path.read_text(errors="replace")
            if path.suffix in {".html", ".htm"}:
                text = html.unescape(re.sub(r"<[^>]+>", " ", text))
            text = " ".join(text.split())
            for at in range(0, len(text), CHUNK_CHARS):
                self.chunks.append((path.name, text[at : at + CHUNK_CHARS]))
        del self.chunks[CHUNKS_MAX:]
        if not self.chunks:
            raise SystemExit(f"error: no {', '.join(sorted(READ))} below {self.folder}")
        self.vectors = numpy.vstack([embedder.encode([text]) for _, text in self.chunks])

    def search(self, question):
        if self.embedder is None:
            self.embedder = MockEmbedder() if self.mock else RealEmbedder()
        vector = self.embedder.encode([question])[0]
        best = numpy.argsort(-(self.vectors @ vector))[:SOURCES]
        return [{"n": n, "title": self.chunks[at][0], "snippet": self.chunks[at][1][:200]} for n, at in enumerate(best, 1)]


def words_of(question):
    """Twenty words, as docmill's mock model says them."""
    words = ["Mock", "response", "to:", *question.split()]
    fill = ["and", "so", "on"]
    while len(words) < MOCK_WORDS:
        words.append(fill[(len(words) - 3 - len(question.split())) % 3])
    return [word + " " for word in words[: MOCK_WORDS - 1]] + [words[MOCK_WORDS - 1]]


def sentences_of(sources):
    """Without a model: the beginnings of what was found."""
    return [source["snippet"] + f" [{source['n']}] " for source in sources[:3]]


def event(name, data):
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def application(store, mock_llm, delay_s):
    app = FastAPI()

    @app.get("/readyz")
    def ready():
        return {"status": "ready"}

    @app.post("/v1/ask/stream")
    async def ask(body: Question):
        sources = store.search(body.question)

        async def answer():
            yield event("search_results", {"results": sources})
            said = []
            for word in words_of(body.question) if mock_llm else sentences_of(sources):
                if mock_llm and delay_s:
                    time.sleep(delay_s)
                said.append(word)
                yield event("message", {"delta": word})
                await asyncio.sleep(0)
            model = "mock" if mock_llm else "extractive"
            yield event("final_answer", {"answer": "".join(said), "citations": sources[:1], "model": model})

        return StreamingResponse(answer(), media_type="text/event-stream")

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=Path, required=True, help="folder of HTML and text")
    parser.add_argument("--mock", choices=["none", "embeddings", "llm", "both"], default="both")
    parser.add_argument("--port", type=int, default=8090)
    given = parser.parse_args()
    delay_s = float(os.environ.get("MOCK_LLM_DELAY_MS", "0")) / 1000
    store = Store(given.documents, given.mock in {"embeddings", "both"})
    store.prepare()
    app = application(store, given.mock in {"llm", "both"}, delay_s)
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
