-- What the API keeps beside the ledger: keys, uploads, batches, answers to repeated requests. The same tables as the
-- server's, in SQLite's words.

CREATE INDEX documents_of_tenant ON documents(tenant);
CREATE INDEX documents_of_content ON documents(content) WHERE content IS NOT NULL;
CREATE INDEX documents_of_kind ON documents(tenant, language, media_type);
CREATE INDEX documents_lately ON documents(committed_at_ms) WHERE committed_at_ms IS NOT NULL;
CREATE INDEX manifests_by_seq ON manifests(seq);

-- Of a key only the SHA-256 is kept: it is random, so no slow hash is needed.
CREATE TABLE api_keys(
  id TEXT PRIMARY KEY, secret_hash BLOB NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
  label TEXT NOT NULL, tenant TEXT NOT NULL, scopes TEXT NOT NULL, -- a JSON list
  created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER, revoked_at_ms INTEGER
) WITHOUT ROWID;

-- Where an uploaded content is. Doomed: being removed, and not to be relied on any more.
CREATE TABLE objects(
  tenant TEXT NOT NULL, content BLOB NOT NULL CHECK (length(content) = 32),
  object_key TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL,
  used_at_ms INTEGER NOT NULL, doomed INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(tenant, content)
) WITHOUT ROWID;
CREATE INDEX objects_by_age ON objects(used_at_ms);

CREATE TABLE batches(
  arrived INTEGER PRIMARY KEY AUTOINCREMENT, batch BLOB NOT NULL UNIQUE,
  tenant TEXT NOT NULL, name TEXT, created_at_ms INTEGER NOT NULL, cancelled_at_ms INTEGER
);
CREATE INDEX batches_of_tenant ON batches(tenant, arrived);
CREATE TABLE batch_documents(
  batch BLOB NOT NULL, document BLOB NOT NULL, generation INTEGER NOT NULL,
  PRIMARY KEY(batch, document)
) WITHOUT ROWID;
CREATE INDEX batches_of_document ON batch_documents(document);

-- The first answer to a request with an Idempotency-Key, and what the request was.
CREATE TABLE answers(
  tenant TEXT NOT NULL, key_hash BLOB NOT NULL, fingerprint BLOB NOT NULL, answer TEXT NOT NULL,
  answered_at_ms INTEGER NOT NULL,
  PRIMARY KEY(tenant, key_hash)
) WITHOUT ROWID;
CREATE INDEX answers_by_age ON answers(answered_at_ms);

-- Bytes that a tenant uploaded on a day (since 1970).
CREATE TABLE usage(
  tenant TEXT NOT NULL, day INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY(tenant, day)
) WITHOUT ROWID;

-- What others told the API of themselves, one row a name.
CREATE TABLE told(name TEXT PRIMARY KEY, value TEXT NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID;
