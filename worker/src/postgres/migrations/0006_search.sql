-- What searching at a server asks: filters by columns, what was committed since, what somebody told last.

-- Of the summary, which is JSON as text. A quote within a value is escaped there, so no title can look like one of these.
ALTER TABLE documents
  ADD COLUMN media_type text GENERATED ALWAYS AS (substring(summary FROM '"media_type":"([^"\\]*)"')) STORED,
  ADD COLUMN language text GENERATED ALWAYS AS (substring(summary FROM '"language":"([^"\\]*)"')) STORED,
  ADD COLUMN category text GENERATED ALWAYS AS (substring(summary FROM '"category":"([^"\\]*)"')) STORED,
  ADD COLUMN claimed_at_ms bigint;         -- when it was claimed last

CREATE INDEX manifests_by_seq ON manifests(seq);

-- The last word of whoever has one name for it: what the operator decided of scaling.
CREATE TABLE told(name text PRIMARY KEY, value text NOT NULL, at_ms bigint NOT NULL);
