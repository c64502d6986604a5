-- Stores that are filled again after a loss: a pass over a tenant's documents in the order of their arrival, and
-- another one until nothing lacks.
CREATE TABLE fills(
  tenant text NOT NULL, store text NOT NULL,
  begun bigint NOT NULL,                   -- the last epoch before it: a dead letter with a later one was tried for it
  after bigint NOT NULL DEFAULT 0,         -- arrival of the last document that this pass looked at
  looked bigint NOT NULL DEFAULT 0,        -- documents that this pass looked at
  lacking bigint NOT NULL DEFAULT 0,       -- of them, those that lack rows and are done again
  given_up bigint NOT NULL DEFAULT 0,      -- of them, those that lack rows and are dead letters
  again bigint NOT NULL DEFAULT 0,         -- documents that were done again, of all passes
  ended_at_ms bigint,                      -- a pass found nothing lacking
  PRIMARY KEY(tenant, store)
);
