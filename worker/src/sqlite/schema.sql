-- The embedded shape in one file: ledger, text, vectors, graph. Format 4; what the API keeps beside is in api.sql.
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE sequences(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES('format', 4);
INSERT INTO sequences VALUES('epoch', 0), ('commit', 0);

-- Ledger ----------------------------------------------------------------------------------------
CREATE TABLE workers(
  worker TEXT PRIMARY KEY, lease_until_ms INTEGER NOT NULL, started_at_ms INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- The rowid is the order in which documents came, and lists go on by it: nobody may VACUUM, which gives new ones.
CREATE TABLE documents(
  document BLOB NOT NULL UNIQUE,
  tenant TEXT NOT NULL,
  uri TEXT NOT NULL,
  birth_uri TEXT NOT NULL,
  generation INTEGER NOT NULL,
  state TEXT NOT NULL,
  owner TEXT,
  epoch INTEGER NOT NULL DEFAULT 0,
  content BLOB,                       -- NULL: the newest generation is a deletion
  bytes INTEGER NOT NULL,
  started INTEGER NOT NULL DEFAULT 0, -- the present claim counted a start, which a hand-back takes back
  starts INTEGER NOT NULL DEFAULT 0,
  child_crashes INTEGER NOT NULL DEFAULT 0,
  transient_failures INTEGER NOT NULL DEFAULT 0,
  best INTEGER NOT NULL DEFAULT 0,
  summary TEXT,                       -- of the committed generation
  committed_at_ms INTEGER,
  failure TEXT,                       -- of the newest generation
  failed_at_ms INTEGER,
  changed_at_ms INTEGER NOT NULL,
  claimed_at_ms INTEGER,              -- when the present claim was given
  -- What searches are filtered by.
  media_type TEXT GENERATED ALWAYS AS (CASE WHEN json_valid(summary) THEN json_extract(summary, '$.media_type') END) VIRTUAL,
  language TEXT GENERATED ALWAYS AS (CASE WHEN json_valid(summary) THEN json_extract(summary, '$.language') END) VIRTUAL,
  category TEXT GENERATED ALWAYS AS (CASE WHEN json_valid(summary) THEN json_extract(summary, '$.category') END) VIRTUAL
);
CREATE INDEX documents_unsettled ON documents(state) WHERE state IN ('queued', 'processing');
CREATE INDEX documents_failed ON documents(failed_at_ms) WHERE state = 'failed';
CREATE INDEX documents_tombstones ON documents(changed_at_ms) WHERE content IS NULL;

CREATE TABLE sources(
  tenant TEXT NOT NULL, uri TEXT NOT NULL, document BLOB NOT NULL,
  dev INTEGER, inode INTEGER, bytes INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
  scanned_at_ns INTEGER NOT NULL, root TEXT,
  PRIMARY KEY(tenant, uri)
) WITHOUT ROWID;
CREATE TABLE births(tenant TEXT NOT NULL, uri TEXT NOT NULL, moved_away INTEGER NOT NULL, PRIMARY KEY(tenant, uri)) WITHOUT ROWID;

CREATE TABLE indexes(
  tenant TEXT NOT NULL, index_id INTEGER NOT NULL, spec TEXT NOT NULL, state TEXT NOT NULL,
  begun INTEGER NOT NULL DEFAULT 0,   -- the last epoch that was given before
  PRIMARY KEY(tenant, index_id)
) WITHOUT ROWID;

CREATE TABLE manifests(
  manifest INTEGER PRIMARY KEY,
  document BLOB NOT NULL, index_id INTEGER NOT NULL, generation INTEGER NOT NULL,
  seq INTEGER NOT NULL, language TEXT NOT NULL,
  replaced_by INTEGER                 -- epoch of the commit that replaced it
);
CREATE INDEX manifests_of_document ON manifests(document, index_id);
CREATE TABLE manifest_entries(
  manifest INTEGER NOT NULL, ordinal INTEGER NOT NULL,
  chunk BLOB NOT NULL, text_hash BLOB NOT NULL, occurrence INTEGER NOT NULL,
  page INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, heading TEXT, stores INTEGER NOT NULL,
  PRIMARY KEY(manifest, ordinal)
) WITHOUT ROWID;
CREATE INDEX entries_of_chunk ON manifest_entries(chunk);
CREATE TABLE cleanups(
  id INTEGER PRIMARY KEY, document BLOB NOT NULL, below INTEGER NOT NULL, due_ms INTEGER NOT NULL, chunks BLOB NOT NULL
);
CREATE INDEX cleanups_due ON cleanups(due_ms);
CREATE INDEX cleanups_of_document ON cleanups(document);

CREATE TABLE kept_pages(
  document BLOB NOT NULL, generation INTEGER NOT NULL, page INTEGER NOT NULL, content TEXT NOT NULL,
  PRIMARY KEY(document, generation, page)
);
CREATE TABLE derived(
  tenant TEXT NOT NULL, stage TEXT NOT NULL, text_hash BLOB NOT NULL, value BLOB NOT NULL, kept_at_ms INTEGER NOT NULL,
  PRIMARY KEY(tenant, stage, text_hash)
);

-- Text store ------------------------------------------------------------------------------------
CREATE TABLE chunks(
  row INTEGER PRIMARY KEY, chunk BLOB NOT NULL UNIQUE, document BLOB NOT NULL, index_id INTEGER NOT NULL,
  text_hash BLOB NOT NULL, epoch INTEGER NOT NULL, text TEXT NOT NULL
);
CREATE INDEX chunks_of_text ON chunks(text_hash);
CREATE INDEX chunks_of_document ON chunks(document);
CREATE VIRTUAL TABLE chunk_terms USING fts5(terms, content='', contentless_delete=1, tokenize="unicode61 remove_diacritics 0");
CREATE VIRTUAL TABLE chunk_term_counts USING fts5vocab('chunk_terms', 'row');

-- Vector store ----------------------------------------------------------------------------------
CREATE TABLE vectors(
  row INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: searches keep codes in memory by it
  chunk BLOB NOT NULL UNIQUE, document BLOB NOT NULL, index_id INTEGER NOT NULL,
  text_hash BLOB NOT NULL, epoch INTEGER NOT NULL, scale REAL NOT NULL, code BLOB NOT NULL
);
CREATE TABLE vector_values(row INTEGER PRIMARY KEY, value BLOB NOT NULL, passages BLOB NOT NULL);

-- Graph store -----------------------------------------------------------------------------------
CREATE TABLE concepts(
  concept INTEGER PRIMARY KEY, tenant TEXT NOT NULL, canonical_name TEXT NOT NULL,
  display TEXT NOT NULL, kind TEXT NOT NULL,
  UNIQUE(tenant, canonical_name)
);
CREATE TABLE evidence(
  row INTEGER PRIMARY KEY, chunk BLOB NOT NULL UNIQUE, document BLOB NOT NULL, index_id INTEGER NOT NULL,
  text_hash BLOB NOT NULL, epoch INTEGER NOT NULL
);
CREATE TABLE mentions(
  row INTEGER NOT NULL, concept INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(row, concept)
) WITHOUT ROWID;
CREATE INDEX mentions_of_concept ON mentions(concept, row);
