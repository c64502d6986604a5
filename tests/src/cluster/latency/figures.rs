//! What was measured, and where it falls short.

use std::time::Duration;

/// Longest time to a written number of workers, in milliseconds: of half, and of 99 in 100.
const WRITTEN_MAX_MS: (u64, u64) = (500, 2_000);
/// Longest time to the first document, of half, in milliseconds.
const FIRST_DOCUMENT_MAX_MS: u64 = 10_000;

/// Times of all trials.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// From the answer to an upload to one worker that is asked for.
    pub from_none: Vec<Duration>,
    /// From the answer to an upload to twenty that are asked for, of two.
    pub to_most: Vec<Duration>,
    /// From the answer to the first upload to its document being found, without a worker at first.
    pub first_document: Vec<Duration>,
    /// How long all of it took.
    pub seconds: u64,
}

impl Figures {
    /// The closing line.
    pub fn line(&self) -> String {
        let written = self.written();
        format!(
            "cluster_latency: trials={} p50_ms={} p99_ms={} first_document_p50_ms={} from_none_p50_ms={} \
             to_twenty_p50_ms={} seconds={}",
            self.from_none.len(),
            quantile_ms(&written, 50),
            quantile_ms(&written, 99),
            quantile_ms(&self.first_document, 50),
            quantile_ms(&self.from_none, 50),
            quantile_ms(&self.to_most, 50),
            self.seconds,
        )
    }

    /// The times of the last trial.
    pub fn newest(&self) -> String {
        let ms = |times: &[Duration]| times.last().map_or(0, Duration::as_millis);
        format!(
            "none to one {} ms, two to twenty {} ms, first document {} ms",
            ms(&self.from_none),
            ms(&self.to_most),
            ms(&self.first_document)
        )
    }

    /// Where it falls short; nothing where it does not.
    pub fn short(&self) -> Vec<String> {
        let written = self.written();
        let bounds = [
            ("p50_ms", quantile_ms(&written, 50), WRITTEN_MAX_MS.0),
            ("p99_ms", quantile_ms(&written, 99), WRITTEN_MAX_MS.1),
            ("first_document_p50_ms", quantile_ms(&self.first_document, 50), FIRST_DOCUMENT_MAX_MS),
        ];
        let over = bounds.into_iter().filter(|(_, found, most)| found > most);
        over.map(|(name, found, most)| format!("{name} is {found}, at most {most} is good")).collect()
    }

    fn written(&self) -> Vec<Duration> {
        self.from_none.iter().chain(&self.to_most).copied().collect()
    }
}

/// The smallest of the times that as many in a hundred do not exceed.
fn quantile_ms(times: &[Duration], percent: usize) -> u64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ms: &[u64]) -> Vec<Duration> {
        ms.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn quantiles_are_times_that_were_measured() {
        assert_eq!(quantile_ms(&[], 50), 0);
        assert_eq!(quantile_ms(&all(&[30, 10, 20]), 50), 20);
        assert_eq!(quantile_ms(&all(&[30, 10, 20]), 99), 30);
        assert_eq!(quantile_ms(&all(&(1..=200).collect::<Vec<_>>()), 99), 198);
    }

    #[test]
    fn bounds_are_judged() {
        let mut figures = Figures {
            from_none: all(&[300, 320]),
            to_most: all(&[280, 1_900]),
            first_document: all(&[8_000]),
            seconds: 100,
        };
        assert_eq!(figures.short(), [""; 0]);
        assert!(
            figures.line().starts_with("cluster_latency: trials=2 p50_ms=300 p99_ms=1900 first_document")
        );
        figures.to_most = all(&[2_100, 2_200]);
        assert_eq!(figures.short(), ["p99_ms is 2200, at most 2000 is good"]);
    }
}
