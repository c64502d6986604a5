-- The stores. Rows are chunks with epochs; fill factors leave room to raise an epoch without touching
-- an index (a heap-only update), as the full-text and the vector index are dear to write.
CREATE TABLE chunks(
  chunk uuid PRIMARY KEY, tenant text NOT NULL, document uuid NOT NULL, index_id bigint NOT NULL,
  text_hash bytea NOT NULL, epoch bigint NOT NULL,
  text text NOT NULL, terms tsvector NOT NULL
) WITH (fillfactor = 90);
CREATE INDEX chunk_terms ON chunks USING gin(terms);

-- What is common to the tables of all indexes; each has a child table with a column of its dimensions,
-- made when its first row comes. This one stays empty. It needs no extension.
CREATE TABLE vectors(
  chunk uuid PRIMARY KEY, tenant text NOT NULL, document uuid NOT NULL, index_id bigint NOT NULL,
  text_hash bytea NOT NULL, epoch bigint NOT NULL
);

CREATE TABLE concepts(
  concept bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant text NOT NULL, canonical_name text NOT NULL, display text NOT NULL, kind text NOT NULL,
  UNIQUE(tenant, canonical_name)
);
CREATE TABLE evidence(
  chunk uuid PRIMARY KEY, tenant text NOT NULL, document uuid NOT NULL, index_id bigint NOT NULL,
  text_hash bytea NOT NULL, epoch bigint NOT NULL
) WITH (fillfactor = 90);
-- Without a cascade: who removes evidence or a concept while a mention comes is told (23503) and tries again.
CREATE TABLE mentions(
  chunk uuid NOT NULL REFERENCES evidence, concept bigint NOT NULL REFERENCES concepts, count integer NOT NULL,
  PRIMARY KEY(chunk, concept)
);
CREATE INDEX mentions_of_concept ON mentions(concept, chunk);
