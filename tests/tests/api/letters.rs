//! Dead letters that are made in the ledger, too many for one transaction of a replay, and an account that its
//! server keeps of what is replayed.

use docmill_core::failure::{Failure, FailureCode};

use super::house::{Held, House};

/// Dead letters that one transaction replays.
pub const TOGETHER: usize = 500;
/// A replay of all takes three.
pub const LETTERS: usize = 2 * TOGETHER + 100;
/// One that the second transaction replays, by its place in their order.
const OF_THE_SECOND: usize = TOGETHER + 200;

const ACCOUNT: &str = "
    CREATE TABLE replays(document uuid NOT NULL);
    CREATE FUNCTION note_replay() RETURNS trigger LANGUAGE plpgsql
      AS $$ BEGIN INSERT INTO replays VALUES(NEW.document); RETURN NULL; END $$;
    CREATE TRIGGER note_replay AFTER UPDATE ON documents FOR EACH ROW
      WHEN (OLD.state = 'failed' AND NEW.state = 'queued') EXECUTE FUNCTION note_replay();";

/// See the module.
pub struct Letters<'a> {
    house: &'a House,
}

impl<'a> Letters<'a> {
    /// Writes them, and begins the account. They failed one after the other.
    pub fn write(house: &'a House) -> Self {
        house.sql(ACCOUNT);
        house.sql(&format!(
            "INSERT INTO documents(document, tenant, uri, birth_uri, generation, state, content, bytes, failure,
                                   failed_at_ms, changed_at_ms)
             SELECT md5('letter ' || n)::uuid, 'default', 'upload:old/' || n, 'upload:old/' || n, 1, 'failed',
                    decode(repeat('00', 32), 'hex'), 100, '{}', now_ms() - 100000 + n, now_ms()
             FROM generate_series(1, {LETTERS}) n",
            failure()
        ));
        Self { house }
    }

    /// Holds a replay up in its second transaction, until what this gives is dropped.
    pub fn hold_one_of_the_second(&self) -> Held {
        let lock = format!("SELECT 1 FROM documents WHERE uri = 'upload:old/{OF_THE_SECOND}' FOR UPDATE");
        self.house.hold(&lock)
    }

    /// Has some of those that were replayed fail again.
    pub fn fail_again(&self, count: usize) {
        self.house.sql(&format!(
            "UPDATE documents SET state = 'failed', failure = '{}', failed_at_ms = now_ms()
              WHERE document IN (SELECT document FROM replays LIMIT {count})",
            failure()
        ));
    }

    /// So many were replayed, and none twice.
    pub fn replayed_once(&self, count: usize) {
        let rows = ["replays", "(SELECT DISTINCT document FROM replays) d"];
        assert_eq!(rows.map(|rows| self.house.count(rows)), [count as i64; 2]);
    }
}

fn failure() -> String {
    serde_json::to_string(&Failure::new(FailureCode::StoreFailed, "made by a test")).unwrap()
}
