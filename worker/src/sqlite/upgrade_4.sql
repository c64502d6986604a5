-- From format 3: the columns that api.sql relies on.
ALTER TABLE workers ADD COLUMN started_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN claimed_at_ms INTEGER;
ALTER TABLE documents ADD COLUMN
  media_type TEXT GENERATED ALWAYS AS (json_extract(summary, '$.media_type')) VIRTUAL;
ALTER TABLE documents ADD COLUMN
  language TEXT GENERATED ALWAYS AS (json_extract(summary, '$.language')) VIRTUAL;
ALTER TABLE documents ADD COLUMN
  category TEXT GENERATED ALWAYS AS (json_extract(summary, '$.category')) VIRTUAL;
