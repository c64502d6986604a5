-- What the API keeps: keys, uploads, batches, answers to repeated requests; and what workers say of themselves.

-- Of a key only the SHA-256 is kept: it is random, so no slow hash is needed.
CREATE TABLE api_keys(
  id text PRIMARY KEY,
  secret_hash bytea NOT NULL UNIQUE CHECK (octet_length(secret_hash) = 32),
  label text NOT NULL, tenant text NOT NULL, scopes text[] NOT NULL,
  created_at_ms bigint NOT NULL, expires_at_ms bigint, revoked_at_ms bigint
);

-- Where an uploaded content is. Doomed: being removed, and not to be relied on any more.
CREATE TABLE objects(
  tenant text NOT NULL, content bytea NOT NULL CHECK (octet_length(content) = 32),
  object_key text NOT NULL UNIQUE, bytes bigint NOT NULL,
  used_at_ms bigint NOT NULL, doomed boolean NOT NULL DEFAULT false,
  PRIMARY KEY(tenant, content)
);
CREATE INDEX objects_by_age ON objects(used_at_ms);
CREATE INDEX documents_of_content ON documents(content) WHERE content IS NOT NULL;
CREATE INDEX documents_of_tenant ON documents(tenant, arrived);

-- Provisional: the content is a name for what a store said of it, until a worker has read it.
ALTER TABLE documents ADD COLUMN provisional boolean NOT NULL DEFAULT false;
-- What a store said of the content that was registered last; NULL where it was hashed.
ALTER TABLE sources ADD COLUMN version bytea;

CREATE TABLE batches(
  batch uuid PRIMARY KEY, arrived bigint GENERATED ALWAYS AS IDENTITY,
  tenant text NOT NULL, name text, created_at_ms bigint NOT NULL, cancelled_at_ms bigint
);
CREATE INDEX batches_of_tenant ON batches(tenant, arrived);
CREATE TABLE batch_documents(
  batch uuid NOT NULL REFERENCES batches ON DELETE CASCADE, document uuid NOT NULL, generation bigint NOT NULL,
  PRIMARY KEY(batch, document)
);
CREATE INDEX batches_of_document ON batch_documents(document);

-- The first answer to a request with an Idempotency-Key, and what the request was.
CREATE TABLE answers(
  tenant text NOT NULL, key_hash bytea NOT NULL, fingerprint bytea NOT NULL, answer text NOT NULL,
  answered_at_ms bigint NOT NULL,
  PRIMARY KEY(tenant, key_hash)
);
CREATE INDEX answers_by_age ON answers(answered_at_ms);

-- Bytes that a tenant uploaded on a day (since 1970), in several rows, so that uploads do not wait for each other.
CREATE TABLE usage(
  tenant text NOT NULL, day bigint NOT NULL, part smallint NOT NULL, bytes bigint NOT NULL,
  PRIMARY KEY(tenant, day, part)
) WITH (fillfactor = 50);

ALTER TABLE workers
  ADD COLUMN host text NOT NULL DEFAULT '',
  ADD COLUMN started_at_ms bigint NOT NULL DEFAULT now_ms(),
  ADD COLUMN busy integer NOT NULL DEFAULT 0,
  ADD COLUMN oldest_began_ms bigint,       -- when the document began that is longest in work
  ADD COLUMN drained boolean NOT NULL DEFAULT false,
  ADD COLUMN drain_until_ms bigint;        -- takes no new work until then
