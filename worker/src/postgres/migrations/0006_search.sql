-- What searching at a server asks: filters by columns. Writes the table anew, which nobody reads meanwhile.

-- Of the summary, which is JSON as text. A quote within a value is escaped there, so no title can look like one of these.
ALTER TABLE documents
  ADD COLUMN media_type text GENERATED ALWAYS AS (substring(summary FROM '"media_type":"([^"\\]*)"')) STORED,
  ADD COLUMN language text GENERATED ALWAYS AS (substring(summary FROM '"language":"([^"\\]*)"')) STORED,
  ADD COLUMN category text GENERATED ALWAYS AS (substring(summary FROM '"category":"([^"\\]*)"')) STORED,
  ADD COLUMN claimed_at_ms bigint;         -- when it was claimed last
