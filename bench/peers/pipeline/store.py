"""Records into PostgreSQL: one transaction a batch, so that a batch is there whole or not at all."""

from dataclasses import dataclass

import psycopg

from pipeline import text


@dataclass(frozen=True)
class Document:
    """A document that was read and cut."""

    uri: str
    content_hash: bytes
    bytes: int
    chunks: list[str]


def known(connection: psycopg.Connection, hashes: list[bytes]) -> set[bytes]:
    """Which contents are there already; asked first, as work on them would be for nothing."""
    rows = connection.execute("SELECT content_hash FROM documents WHERE content_hash = ANY(%s)", [hashes])
    return {row[0] for row in rows}


def write(connection: psycopg.Connection, documents: list[Document]) -> int:
    """Writes those that nobody else wrote meanwhile, and says how many. The caller's transaction."""
    by_hash = {document.content_hash: document for document in documents}
    # In order: two batches that overlap wait for each other instead of deadlocking.
    ordered = [by_hash[key] for key in sorted(by_hash)]
    inserted = connection.execute(
        "INSERT INTO documents (content_hash, uri, bytes, chunks)"
        " SELECT * FROM unnest(%s::bytea[], %s::text[], %s::integer[], %s::integer[])"
        " ON CONFLICT (content_hash) DO NOTHING RETURNING id, content_hash",
        [
            [document.content_hash for document in ordered],
            [document.uri for document in ordered],
            [document.bytes for document in ordered],
            [len(document.chunks) for document in ordered],
        ],
    ).fetchall()
    chunks = [
        (document_id, ordinal, body)
        for document_id, content_hash in inserted
        for ordinal, body in enumerate(by_hash[content_hash].chunks)
    ]
    copy(connection, "chunks (document_id, ordinal, body)", chunks)
    named = [(place[:2], text.concepts(place[2])) for place in chunks]
    ids = concept_ids(connection, sorted({name for _, names in named for name in names}))
    mentions = [(*place, ids[name]) for place, names in named for name in names]
    copy(connection, "mentions (document_id, ordinal, concept_id)", mentions)
    return len(inserted)


def concept_ids(connection: psycopg.Connection, names: list[str]) -> dict[str, int]:
    """Ids of concepts, new ones made. `names` are in order, for the same reason as above."""
    ids = select_concepts(connection, names)
    new = [name for name in names if name not in ids]
    if new:
        connection.execute(
            "INSERT INTO concepts (name) SELECT unnest(%s::text[]) ON CONFLICT (name) DO NOTHING", [new]
        )
        ids.update(select_concepts(connection, new))
    return ids


def select_concepts(connection: psycopg.Connection, names: list[str]) -> dict[str, int]:
    rows = connection.execute("SELECT name, id FROM concepts WHERE name = ANY(%s)", [names])
    return dict(rows.fetchall())


def copy(connection: psycopg.Connection, target: str, rows: list[tuple]) -> None:
    """COPY, the fastest way in that psycopg has."""
    with connection.cursor().copy(f"COPY {target} FROM STDIN") as stream:
        for row in rows:
            stream.write_row(row)


def fail(connection: psycopg.Connection, uri: str, reason: str) -> None:
    """Records a document that cannot be read."""
    connection.execute(
        "INSERT INTO failures (uri, reason) VALUES (%s, %s)"
        " ON CONFLICT (uri) DO UPDATE SET reason = excluded.reason, failed_at = clock_timestamp()",
        [uri, reason],
    )
