//! What `/metrics` says, and what of it came between two looks. Pure.

use anyhow::{Context, Result};

/// A look.
pub struct Metrics(String);

/// How often values were at most so large.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Upper bounds, the last of them infinite, each with the count of all values up to it.
    buckets: Vec<(f64, f64)>,
}

impl Metrics {
    /// In Prometheus' text form.
    pub fn of(text: String) -> Self {
        Self(text)
    }

    /// The sum of the series of a name that have all of these labels, written `name="value"`, or `name="val` for all values
    /// that begin so.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.series(name)
            .filter(|(set, _)| labels.iter().all(|label| set.contains(label)))
            .map(|(_, value)| value)
            .sum()
    }

    /// Answers that were failures of the server.
    pub fn server_errors(&self) -> f64 {
        self.sum("docmill_api_requests_total", &["status=\"5"])
    }

    /// A histogram without labels.
    ///
    /// # Errors
    /// There is none.
    pub fn histogram(&self, name: &str) -> Result<Histogram> {
        let bound =
            |labels: &str| match labels.trim_matches(['{', '}']).strip_prefix("le=")?.trim_matches('"') {
                "+Inf" => Some(f64::INFINITY),
                bound => bound.parse().ok(),
            };
        let series = format!("{name}_bucket");
        let buckets = self.series(&series).map(|(labels, count)| Some((bound(labels)?, count)));
        let buckets: Option<Vec<(f64, f64)>> = buckets.collect();
        let buckets = buckets.filter(|buckets| !buckets.is_empty());
        Ok(Histogram { buckets: buckets.with_context(|| format!("/metrics has no {name}"))? })
    }

    /// Labels with their braces, and values.
    fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter_map(move |line| {
            let (series, value) = line.rsplit_once(' ')?;
            let labels = series.strip_prefix(name)?;
            let is_it = labels.is_empty() || labels.starts_with('{');
            is_it.then_some((labels, value.parse().ok()?))
        })
    }
}

impl Histogram {
    /// What came since an earlier look.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |bound: f64| {
            earlier.buckets.iter().find(|bucket| bucket.0 == bound).map_or(0.0, |found| found.1)
        };
        Self {
            buckets: self.buckets.iter().map(|(bound, count)| (*bound, count - before(*bound))).collect(),
        }
    }

    /// How many values there are.
    pub fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |last| last.1)
    }

    /// The value that this share of all does not exceed: as Prometheus has it, on the straight line between two bounds;
    /// infinite above the last of them, and where there is no value.
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = share * self.count();
        let (mut from, mut below) = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            if *count >= rank && *count > below && bound.is_finite() {
                return from + (bound - from) * (rank - below) / (count - below);
            }
            (from, below) = (*bound, *count);
        }
        f64::INFINITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP late How late
# TYPE late histogram
late_bucket{le=\"0.01\"} 90
late_bucket{le=\"0.02\"} 98
late_bucket{le=\"0.05\"} 100
late_bucket{le=\"+Inf\"} 100
late_sum 0.7
late_count 100
docmill_api_requests_total{method=\"GET\",route=\"/v1/search\",status=\"200\"} 40
docmill_api_requests_total{method=\"GET\",route=\"/v1/search\",status=\"503\"} 2
docmill_api_requests_total{method=\"POST\",route=\"/v1/search\",status=\"200\"} 3
docmill_api_requests_totals 9
";

    #[test]
    fn series_are_told_apart() {
        let metrics = Metrics::of(TEXT.to_owned());
        let name = "docmill_api_requests_total";
        assert_eq!(metrics.sum(name, &[]), 45.0);
        assert_eq!(metrics.sum(name, &["method=\"GET\"", "route=\"/v1/search\""]), 42.0);
        assert_eq!(metrics.server_errors(), 2.0);
        assert!(metrics.histogram("early").is_err() && metrics.histogram(name).is_err());
    }

    #[test]
    fn quantiles_lie_between_their_bounds() {
        let late = Metrics::of(TEXT.to_owned()).histogram("late").unwrap();
        assert_eq!(late.count(), 100.0);
        let about = |share: f64, expected: f64| (late.quantile(share) - expected).abs() < 1e-9;
        assert!(about(0.45, 0.005) && about(0.94, 0.015) && about(0.99, 0.035) && about(1.0, 0.05));
        let none = late.since(&late);
        assert_eq!((none.count(), none.quantile(0.99)), (0.0, f64::INFINITY));
        let above = Histogram { buckets: vec![(0.01, 1.0), (f64::INFINITY, 10.0)] };
        assert_eq!(above.quantile(0.99), f64::INFINITY);
        let before =
            Histogram { buckets: vec![(0.01, 80.0), (0.02, 80.0), (0.05, 80.0), (f64::INFINITY, 80.0)] };
        assert!((late.since(&before).quantile(0.5) - 0.01).abs() < 1e-9);
    }
}
