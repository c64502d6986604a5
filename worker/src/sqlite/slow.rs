//! Statements of the file that took long, by their words: what one machine has in place of a server that could be asked
//! what it is busy with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

/// From this long on a statement is noted.
const SLOW: Duration = Duration::from_millis(20);
/// Statements that are remembered; of more, the one that was not slow for longest makes room.
const STATEMENTS_MAX: usize = 100;
/// Longest words of one that are kept, in bytes; they are those of this program and hold no values.
const WORDS_BYTES_MAX: usize = 4_096;

/// A statement that took long, as often as it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowStatement {
    /// Its words; values are not among them but where it was written with them.
    pub words: String,
    /// How often it took long.
    pub count: u64,
    /// The longest time.
    pub longest: Duration,
    /// The mean of those that took long.
    pub mean: Duration,
}

/// See the module. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Slow(Arc<Mutex<HashMap<String, Times>>>);

struct Times {
    count: u32,
    longest: Duration,
    all: Duration,
    last: Instant,
}

impl Slow {
    /// Notes the statements of this connection.
    pub(super) fn watch(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let slow = self.clone();
        let note = move |event: TraceEvent<'_>| {
            if let TraceEvent::Profile(statement, took) = event
                && took >= SLOW
            {
                slow.note(&statement.sql(), took);
            }
        };
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(note))
    }

    fn note(&self, words: &str, took: Duration) {
        let words = &words[..words.floor_char_boundary(WORDS_BYTES_MAX)];
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = kept.get_mut(words) {
            times.count = times.count.saturating_add(1);
            times.longest = times.longest.max(took);
            times.all += took;
            times.last = Instant::now();
            return;
        }
        if kept.len() >= STATEMENTS_MAX {
            let oldest = kept.iter().min_by_key(|(_, times)| times.last).map(|(words, _)| words.clone());
            oldest.and_then(|oldest| kept.remove(&oldest));
        }
        let times = Times { count: 1, longest: took, all: took, last: Instant::now() };
        kept.insert(words.to_owned(), times);
    }

    /// Those that took at least so long once, the longest first.
    pub(super) fn above(&self, least: Duration) -> Vec<SlowStatement> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |(words, times): (&String, &Times)| SlowStatement {
            words: words.clone(),
            count: u64::from(times.count),
            longest: times.longest,
            mean: times.all / times.count.max(1),
        };
        let mut found: Vec<SlowStatement> =
            kept.iter().filter(|(_, times)| times.longest >= least).map(told).collect();
        found.sort_by(|a, b| b.longest.cmp(&a.longest).then_with(|| a.words.cmp(&b.words)));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_takes_long_is_noted_without_its_values() {
        let slow = Slow::default();
        let mut connection = Connection::open_in_memory().unwrap();
        slow.watch(&mut connection).unwrap();
        let count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n";
        let counted = |to: u64| connection.query_row(count, [to], |row| row.get::<_, u64>(0)).unwrap();
        assert_eq!(counted(10), 10);
        assert_eq!(slow.above(Duration::ZERO), []);
        // As far as takes long on this machine.
        let mut to = 1_000_000;
        while slow.above(Duration::ZERO).is_empty() {
            counted(to);
            to *= 2;
        }
        let [noted] = &slow.above(SLOW)[..] else { panic!("one statement") };
        assert_eq!((noted.words.as_str(), noted.count, noted.mean), (count, 1, noted.longest));
        assert_eq!(slow.above(Duration::MAX), []);
    }

    #[test]
    fn times_are_counted_together_and_the_longest_come_first() {
        let slow = Slow::default();
        let ms = Duration::from_millis;
        for (words, took) in [("a", ms(30)), ("b", ms(40)), ("a", ms(50))] {
            slow.note(words, took);
        }
        let told: Vec<_> = slow
            .above(ms(1))
            .into_iter()
            .map(|one| (one.words, one.count, one.longest, one.mean))
            .collect();
        assert_eq!(told, [("a".to_owned(), 2, ms(50), ms(40)), ("b".to_owned(), 1, ms(40), ms(40))]);
        for n in 0..STATEMENTS_MAX {
            slow.note(&format!("{n}"), ms(20));
        }
        let left = slow.above(ms(1));
        assert_eq!((left.len(), left.iter().any(|one| one.words == "b")), (STATEMENTS_MAX, false));
    }
}
