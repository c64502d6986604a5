-- Documents, their chunks with full text, and concepts.
-- Only chunks refer by a foreign key: one on concepts would lock the rows of hubs with every mention.
CREATE TABLE documents (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  content_hash bytea NOT NULL UNIQUE,
  uri text NOT NULL,
  bytes integer NOT NULL,
  chunks integer NOT NULL,
  indexed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE chunks (
  document_id bigint NOT NULL REFERENCES documents ON DELETE CASCADE,
  ordinal integer NOT NULL,
  body text NOT NULL,
  terms tsvector GENERATED ALWAYS AS (to_tsvector('english', body)) STORED,
  PRIMARY KEY (document_id, ordinal)
);
CREATE INDEX chunks_terms ON chunks USING gin (terms);
CREATE TABLE concepts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE
);
CREATE TABLE mentions (
  document_id bigint NOT NULL,
  ordinal integer NOT NULL,
  concept_id bigint NOT NULL,
  PRIMARY KEY (document_id, ordinal, concept_id)
);
CREATE INDEX mentions_concept ON mentions (concept_id);
-- Documents that cannot be read, with the reason; trying again would not help.
CREATE TABLE failures (
  uri text PRIMARY KEY,
  reason text NOT NULL,
  failed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
