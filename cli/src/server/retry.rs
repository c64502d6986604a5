//! How long to wait before a request is sent again. Pure: time and chance are given.

use std::time::Duration;

/// Wait before the first repetition where the server names none; doubled by each further one.
const FIRST: Duration = Duration::from_millis(250);
/// Longest wait that is chosen here.
const LONGEST: Duration = Duration::from_secs(20);
/// What the server asks for is lengthened by up to this share, so that not all come back at once.
const SPREAD: f64 = 0.25;
/// Times that a server is asked which never answered: a wrong address must not take minutes to be told.
pub const STRANGER_TRIES: u32 = 3;

/// What is known when a request was not done.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// How often it was sent.
    pub tries: u32,
    /// Time since it was sent first.
    pub spent: Duration,
    /// What the server said of when to come back.
    pub retry_after: Option<Duration>,
    /// Whether this server ever answered us.
    pub known: bool,
}

/// How long to wait before it is sent again; none: that would take longer than `patience`. `chance` is from 0 to 1.
pub fn wait(tried: Tried, patience: Duration, chance: f64) -> Option<Duration> {
    if !tried.known && tried.tries >= STRANGER_TRIES {
        return None;
    }
    let wait = match tried.retry_after {
        // Never earlier than asked.
        Some(asked) => asked.mul_f64(1.0 + SPREAD * chance),
        None => {
            let most = FIRST.saturating_mul(1 << tried.tries.saturating_sub(1).min(16)).min(LONGEST);
            most.mul_f64(0.5 + 0.5 * chance)
        }
    };
    (tried.spent + wait <= patience).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn tried(tries: u32, spent_s: u64, retry_after_s: Option<u64>) -> Tried {
        let retry_after = retry_after_s.map(Duration::from_secs);
        Tried { tries, spent: Duration::from_secs(spent_s), retry_after, known: true }
    }

    #[test]
    fn waits_grow_and_end() {
        let waits: Vec<u128> =
            (1..=9).map(|tries| wait(tried(tries, 0, None), PATIENCE, 1.0).unwrap().as_millis()).collect();
        assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
        assert_eq!(wait(tried(40, 0, None), PATIENCE, 0.0), Some(LONGEST / 2));
        assert_eq!(wait(tried(9, 50, None), PATIENCE, 1.0), None);
    }

    #[test]
    fn the_servers_word_is_kept_if_there_is_time() {
        assert_eq!(wait(tried(1, 0, Some(10)), PATIENCE, 0.0), Some(Duration::from_secs(10)));
        assert_eq!(wait(tried(1, 0, Some(10)), PATIENCE, 1.0), Some(Duration::from_millis(12_500)));
        // Until tomorrow is not waited for at all.
        assert_eq!(wait(tried(1, 0, Some(86_000)), PATIENCE, 0.0), None);
        assert_eq!(wait(tried(1, 0, Some(1)), Duration::ZERO, 0.0), None);
    }

    #[test]
    fn a_server_that_never_answered_is_given_up_early() {
        let stranger = |tries| Tried { known: false, ..tried(tries, 0, None) };
        assert!(wait(stranger(1), PATIENCE, 0.5).is_some());
        assert!(wait(stranger(STRANGER_TRIES), PATIENCE, 0.5).is_none());
    }
}
