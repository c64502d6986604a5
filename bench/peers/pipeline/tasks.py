"""The task: some documents from disk to records. May run twice for the same documents."""

import hashlib
from pathlib import Path

import psycopg
import psycopg_pool
from celery.signals import worker_process_init, worker_process_shutdown

from pipeline import store, text
from pipeline.config import app, needed

#: Connections of a pool child, which works on one task at a time.
CONNECTIONS_MAX = 2
#: Longest wait for one of them.
CONNECTION_WAIT_S = 30
#: A document larger than this is refused; the generated ones have 4 KB.
DOCUMENT_BYTES_MAX = 200_000_000

pool: psycopg_pool.ConnectionPool | None = None


@worker_process_init.connect
def open_pool(**_signal) -> None:
    """A pool a child: connections don't survive a fork."""
    global pool
    pool = psycopg_pool.ConnectionPool(
        needed("PEER_DATABASE_URL"),
        min_size=1,
        max_size=CONNECTIONS_MAX,
        timeout=CONNECTION_WAIT_S,
        open=True,
    )


@worker_process_shutdown.connect
def close_pool(**_signal) -> None:
    if pool is not None:
        pool.close()


@app.task(
    # A store that is away is waited for, 1, 2, 4 … s between tries; other errors are mistakes in here.
    autoretry_for=(psycopg.OperationalError, psycopg_pool.PoolTimeout),
    max_retries=10,
    retry_backoff=1,
    retry_backoff_max=30,
    retry_jitter=True,
)
def index_documents(paths: list[str]) -> dict:
    """Reads, cuts and writes documents; those whose content is there already are skipped."""
    contents, failures = read(paths)
    with pool.connection() as connection:
        present = store.known(connection, [content_hash for _, content_hash, _ in contents])
    documents = [
        store.Document(uri, content_hash, size, text.chunks(body))
        for uri, content_hash, (size, body) in contents
        if content_hash not in present
    ]
    with pool.connection() as connection:
        indexed = store.write(connection, documents)
        for uri, reason in failures.items():
            store.fail(connection, uri, reason)
    return {"indexed": indexed, "skipped": len(contents) - indexed, "failed": len(failures)}


def read(paths: list[str]) -> tuple[list[tuple], dict[str, str]]:
    """Contents with their hashes, and why some cannot be had: one costs only itself."""
    contents, failures = [], {}
    for path in paths:
        try:
            raw = Path(path).read_bytes()
            if len(raw) > DOCUMENT_BYTES_MAX:
                raise ValueError(f"{len(raw)} bytes, at most {DOCUMENT_BYTES_MAX} are taken")
            contents.append((path, hashlib.sha256(raw).digest(), (len(raw), raw.decode("utf-8"))))
        except (OSError, ValueError) as error:
            failures[path] = str(error)
    return contents, failures
