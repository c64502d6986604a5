//! Figures as a table, whose columns people know from elsewhere.

use super::figures::{Figures, Level};

/// Questions: both servers side by side.
pub fn asked(levels: &[Level]) -> String {
    let header = ["Conc", "Local RPS", "K8s RPS", "Local TTFT", "K8s TTFT", "Ratio (L/K)"];
    let none = || "-".to_owned();
    let rows = levels.iter().map(|level| {
        let other = level.compared.as_ref();
        [
            level.concurrency.to_string(),
            rate(&level.local),
            other.map_or_else(none, rate),
            time(level.local.ttft_ms.mean),
            other.map_or_else(none, |figures| time(figures.ttft_ms.mean)),
            level.ratio.map_or_else(none, |ratio| format!("{ratio:.2}")),
        ]
    });
    drawn(header, rows.collect())
}

/// Searches: rate and latency, and what asking took of a core for each.
pub fn searched(levels: &[Level]) -> String {
    let header = ["Conc", "RPS", "p50", "p95", "p99", "max", "Own CPU"];
    let rows = levels.iter().map(|level| {
        let total = level.local.total_ms;
        let times = [total.p50, total.p95, total.p99, total.max].map(time);
        let [p50, p95, p99, max] = times;
        let own = format!("{:.1} µs", level.local.generator_us);
        [level.concurrency.to_string(), rate(&level.local), p50, p95, p99, max, own]
    });
    drawn(header, rows.collect())
}

fn rate(figures: &Figures) -> String {
    let failed = if figures.failed > 0 { format!(" ({} failed)", figures.failed) } else { String::new() };
    format!("{:.1}{failed}", figures.rps)
}

/// Milliseconds, or seconds where there are many.
fn time(ms: f64) -> String {
    if ms >= 1_000.0 { format!("{:.2} s", ms / 1_000.0) } else { format!("{ms:.1} ms") }
}

fn drawn<const COLUMNS: usize>(header: [&str; COLUMNS], rows: Vec<[String; COLUMNS]>) -> String {
    let mut widths = header.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}"));
        cells.collect::<Vec<_>>().join(" | ")
    };
    let mut lines = vec![line(header.to_vec())];
    lines.push(widths.map(|width| "-".repeat(width)).join("-|-"));
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::figures::Spent;
    use super::super::load::{Shot, Times};
    use super::*;

    fn figures(ms: u64, count: usize, failed: usize) -> Figures {
        let time = Duration::from_millis(ms);
        let good = Shot { answered: Ok(Times { first: time, total: time * 2 }) };
        let bad = Shot { answered: Err("503".to_owned()) };
        let shots: Vec<Shot> =
            std::iter::repeat_n(good, count).chain(std::iter::repeat_n(bad, failed)).collect();
        let cpu = Duration::from_micros(12) * shots.len() as u32;
        Figures::of(&shots, Spent { time: Duration::from_secs(2), cpu, warm_up: 0 })
    }

    #[test]
    fn both_servers_stand_side_by_side() {
        let levels = [
            Level::of(1, figures(1_200, 5, 0), Some(figures(1_800, 4, 0))),
            Level::of(10, figures(12, 50, 1), None),
        ];
        insta::assert_snapshot!(asked(&levels), @r"
        Conc |       Local RPS | K8s RPS | Local TTFT | K8s TTFT | Ratio (L/K)
        -----|-----------------|---------|------------|----------|------------
           1 |             2.5 |     2.0 |     1.20 s |   1.80 s |        1.25
          10 | 25.0 (1 failed) |       - |    12.0 ms |        - |           -
        ");
        insta::assert_snapshot!(searched(&levels[1..]), @r"
        Conc |             RPS |     p50 |     p95 |     p99 |     max | Own CPU
        -----|-----------------|---------|---------|---------|---------|--------
          10 | 25.0 (1 failed) | 24.0 ms | 24.0 ms | 24.0 ms | 24.0 ms | 12.0 µs
        ");
    }
}
