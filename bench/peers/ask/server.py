"""A question-answering server as many teams first write it: FastAPI, SentenceTransformers, vectors in the process.

Its bottlenecks are the point and are left in: retrieval and embedding block the event loop, the model is loaded by the
first question, texts are prepared one after the other, and the model's words are waited for in the same handler. Where
such a server has a fast way that costs nobody a thought, it is taken: NumPy for the vectors, uvloop and httptools.
"""

import argparse
import asyncio
import hashlib
import itertools
import json
import os
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
SOURCES = 8  # as docmill where a question does not say
SNIPPET_CHARS = 200


class MockEmbedder:
    """Vectors without meaning, the same for the same text."""

    def encode(self, texts):
        rows = []
        for text in texts:
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
            rows.append(numpy.random.default_rng(seed).standard_normal(DIMENSIONS, dtype=numpy.float32))
        vectors = numpy.array(rows)
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

    def __init__(self, chunks, mock):
        self.chunks, self.mock = chunks, mock
        self.embedder, self.vectors = None, None

    def load(self):
        return MockEmbedder() if self.mock else RealEmbedder()

    def prepare(self):
        """One text after the other, as the server starts."""
        embedder = self.load()
        self.vectors = numpy.vstack([embedder.encode([chunk["text"]]) for chunk in self.chunks])

    def search(self, question):
        if self.embedder is None:
            self.embedder = self.load()
        vector = self.embedder.encode([question])[0]
        best = numpy.argsort(-(self.vectors @ vector))[:SOURCES]
        return [shown(n, self.chunks[at]) for n, at in enumerate(best, 1)]


def chunks_of(path):
    """The chunks of `docmill export`: a document a line."""
    chunks = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            document = json.loads(line)
            title = document["title"] or document["uri"].rsplit("/", 1)[-1]
            about = {"document": document["id"], "uri": document["uri"], "title": title}
            for chunk in document["chunks"]:
                chunks.append({**about, "page": chunk["page"], "heading": chunk["heading"], "text": chunk["text"]})
    if not chunks:
        raise SystemExit(f"error: no chunks in {path}: write it with `docmill export`")
    return chunks


def shown(n, chunk):
    """A source as docmill's events show one."""
    source = {"n": n, **chunk, "snippet": chunk["text"][:SNIPPET_CHARS]}
    del source["text"]
    return source


def words_of(question):
    """Twenty words, as docmill's mock model says them."""
    words = itertools.chain(["Mock", "response", "to:"], question.split(), itertools.cycle(["and", "so", "on"]))
    *most, last = itertools.islice(words, MOCK_WORDS)
    return [word + " " for word in most] + [last]


def sentences_of(sources):
    """Without a model: the beginnings of what was found."""
    return [source["snippet"] + f" [{source['n']}] " for source in sources[:3]]


def event(name, data):
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def application(store, mock_llm, delay_s):
    app = FastAPI()

    @app.get("/readyz")
    def ready():
        return {"status": "ready", "chunks": len(store.chunks)}

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
                # So that each word leaves by itself, as a model's do.
                await asyncio.sleep(0)
            model = "mock" if mock_llm else "extractive"
            yield event("final_answer", {"answer": "".join(said), "citations": sources[:1], "model": model})

        return StreamingResponse(answer(), media_type="text/event-stream")

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=Path, required=True, metavar="FILE", help="what `docmill export` wrote")
    parser.add_argument("--mock", choices=["none", "embeddings", "llm", "both"], default="both")
    parser.add_argument("--port", type=int, default=8090)
    given = parser.parse_args()
    # The names by which docmill's mocks are set are this server's too; the option counts.
    delay_s = float(os.environ.get("MOCK_LLM_DELAY_MS", "0")) / 1000
    store = Store(chunks_of(given.chunks), given.mock in {"embeddings", "both"})
    store.prepare()
    app = application(store, given.mock in {"llm", "both"}, delay_s)
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
