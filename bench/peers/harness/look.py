"""What is in the database, asked beside the pipeline."""

import psycopg


class Look:
    def __init__(self, url: str):
        self.connection = psycopg.connect(url, autocommit=True)

    def number(self, query: str) -> float:
        return float(self.connection.execute(query).fetchone()[0] or 0)

    def indexed(self) -> int:
        return int(self.number("SELECT count(*) FROM documents"))

    def failed(self) -> int:
        return int(self.number("SELECT count(*) FROM failures"))

    def chunks_per_document(self) -> float:
        return self.number("SELECT count(*) FROM chunks") / max(self.indexed(), 1)

    def concepts_per_chunk(self) -> float:
        chunks = self.number("SELECT count(*) FROM chunks")
        return self.number("SELECT count(*) FROM mentions") / max(chunks, 1)

    def uris(self) -> set[str]:
        return {row[0] for row in self.connection.execute("SELECT uri FROM documents")}

    def duplicates(self) -> int:
        """Rows beyond the first of a document that was submitted once."""
        return int(self.number("SELECT count(*) - count(DISTINCT uri) FROM documents"))

    def partial(self) -> int:
        """Documents that have other chunks than they should, or chunks without concepts."""
        return int(
            self.number(
                "SELECT count(*) FROM documents d WHERE chunks <>"
                " (SELECT count(DISTINCT c.ordinal) FROM chunks c JOIN mentions m"
                "  ON m.document_id = c.document_id AND m.ordinal = c.ordinal WHERE c.document_id = d.id)"
            )
        )

    def indexed_at(self, uris: list[str]) -> dict[str, float]:
        """When these were indexed, in seconds since 1970; those that were not are not in it."""
        rows = self.connection.execute(
            "SELECT uri, min(extract(epoch FROM indexed_at)) FROM documents WHERE uri = ANY(%s) GROUP BY uri",
            [uris],
        )
        return {uri: float(at) for uri, at in rows}

    def first_after(self, at: float, without: list[str]) -> float | None:
        """When the first document after a moment was indexed that is none of these."""
        row = self.connection.execute(
            "SELECT min(extract(epoch FROM indexed_at)) FROM documents"
            " WHERE indexed_at > to_timestamp(%s) AND uri <> ALL(%s)",
            [at, without],
        ).fetchone()
        return None if row[0] is None else float(row[0])
