-- From format 3: the columns that api.sql relies on. A summary that is no JSON has none of them: an index over a value that
-- cannot be computed would keep the whole file from being brought up.
ALTER TABLE workers ADD COLUMN started_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN claimed_at_ms INTEGER;
ALTER TABLE documents ADD COLUMN
  media_type TEXT GENERATED ALWAYS AS (CASE WHEN json_valid(summary) THEN json_extract(summary, '$.media_type') END) VIRTUAL;
ALTER TABLE documents ADD COLUMN
  language TEXT GENERATED ALWAYS AS (CASE WHEN json_valid(summary) THEN json_extract(summary, '$.language') END) VIRTUAL;
ALTER TABLE documents ADD COLUMN
  category TEXT GENERATED ALWAYS AS (CASE WHEN json_valid(summary) THEN json_extract(summary, '$.category') END) VIRTUAL;
