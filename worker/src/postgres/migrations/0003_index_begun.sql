-- The last epoch that was given before the index was begun: a dead letter with a later one was tried for it.
ALTER TABLE indexes ADD COLUMN begun bigint NOT NULL DEFAULT 0;
