-- What was committed since, and what somebody told last. Apart from what is before it, so that `documents` is not kept
-- from its users while this index is built. `IF NOT EXISTS`: once these were made together.
CREATE INDEX IF NOT EXISTS manifests_by_seq ON manifests(seq);

-- The last word of whoever has one name for it: what the operator decided of scaling.
CREATE TABLE IF NOT EXISTS told(name text PRIMARY KEY, value text NOT NULL, at_ms bigint NOT NULL);
