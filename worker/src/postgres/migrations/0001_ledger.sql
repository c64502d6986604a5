-- The ledger. Times are the server's, in milliseconds since the Unix epoch.
-- JSON is kept as text: jsonb refuses the escape of NUL, which notes of damaged files may hold.
CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE
  AS $$ SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- Every claim takes the next one, under the lock of its row.
CREATE SEQUENCE epochs AS bigint;
-- Gap-free numbers: taken back with the transaction that took them.
CREATE TABLE counters(name text PRIMARY KEY, value bigint NOT NULL) WITH (fillfactor = 10);
INSERT INTO counters VALUES('commit', 0);

CREATE TABLE workers(worker text PRIMARY KEY, lease_until_ms bigint NOT NULL) WITH (fillfactor = 50);

CREATE TABLE documents(
  document uuid PRIMARY KEY,
  arrived bigint GENERATED ALWAYS AS IDENTITY,
  tenant text NOT NULL,
  uri text NOT NULL,
  birth_uri text NOT NULL,
  generation bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('queued', 'processing', 'committed', 'failed')),
  owner text,
  epoch bigint NOT NULL DEFAULT 0,
  content bytea CHECK (octet_length(content) = 32),  -- NULL: the newest generation is a deletion
  bytes bigint NOT NULL,
  started boolean NOT NULL DEFAULT false,  -- the present claim counted a start, which a hand-back takes back
  starts integer NOT NULL DEFAULT 0,
  child_crashes integer NOT NULL DEFAULT 0,
  transient_failures integer NOT NULL DEFAULT 0,
  best bigint NOT NULL DEFAULT 0,
  summary text,                            -- of the committed generation
  committed_at_ms bigint,
  failure text,                            -- of the newest generation
  failed_at_ms bigint,
  changed_at_ms bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX documents_unsettled ON documents(arrived) WHERE state IN ('queued', 'processing');
CREATE INDEX documents_owned ON documents(owner) WHERE owner IS NOT NULL;
CREATE INDEX documents_failed ON documents(failed_at_ms) WHERE state = 'failed';
CREATE INDEX documents_tombstones ON documents(changed_at_ms) WHERE content IS NULL;

-- Keyed by the SHA-256 of the URI: a URI may be longer than an index entry.
CREATE TABLE sources(
  tenant text NOT NULL, uri_key bytea NOT NULL, uri text NOT NULL, document uuid NOT NULL,
  dev bigint, inode bigint, bytes bigint, mtime_ns bigint, ctime_ns bigint,
  scanned_at_ns bigint NOT NULL, root text,
  PRIMARY KEY(tenant, uri_key)
);
CREATE TABLE births(
  tenant text NOT NULL, uri_key bytea NOT NULL, moved_away integer NOT NULL, PRIMARY KEY(tenant, uri_key)
);

CREATE TABLE indexes(
  tenant text NOT NULL, index_id bigint NOT NULL, spec text NOT NULL,
  state text NOT NULL CHECK (state IN ('building', 'active', 'retired')),
  PRIMARY KEY(tenant, index_id)
);

CREATE TABLE manifests(
  manifest bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  document uuid NOT NULL, index_id bigint NOT NULL, generation bigint NOT NULL,
  seq bigint,                              -- set by the last statement of the commit
  language text NOT NULL,
  replaced_by bigint                       -- epoch of the commit that replaced it
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX manifests_current ON manifests(document, index_id) WHERE replaced_by IS NULL;
CREATE INDEX manifests_replaced ON manifests(document) WHERE replaced_by IS NOT NULL;
CREATE TABLE manifest_entries(
  manifest bigint NOT NULL REFERENCES manifests ON DELETE CASCADE,
  ordinal integer NOT NULL,
  chunk uuid NOT NULL, text_hash bytea NOT NULL, occurrence integer NOT NULL,
  page integer NOT NULL, start_byte integer NOT NULL, end_byte integer NOT NULL,
  heading text, stores smallint NOT NULL,
  PRIMARY KEY(manifest, ordinal)
);
CREATE INDEX entries_of_chunk ON manifest_entries(chunk);
CREATE INDEX entries_of_text ON manifest_entries USING hash(text_hash);
CREATE TABLE cleanups(
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  document uuid NOT NULL, below bigint NOT NULL, due_ms bigint NOT NULL, chunks uuid[] NOT NULL
);
CREATE INDEX cleanups_due ON cleanups(due_ms, id);
CREATE INDEX cleanups_of_document ON cleanups(document);

CREATE TABLE kept_pages(
  document uuid NOT NULL, generation bigint NOT NULL, page integer NOT NULL, content text NOT NULL,
  PRIMARY KEY(document, generation, page)
);
CREATE TABLE derived(
  tenant text NOT NULL, stage text NOT NULL, text_hash bytea NOT NULL, value bytea NOT NULL,
  kept_at_ms bigint NOT NULL,
  PRIMARY KEY(tenant, stage, text_hash)
);
CREATE INDEX derived_by_age ON derived(kept_at_ms);
