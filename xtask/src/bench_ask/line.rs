//! The last line: what was measured, what of it falls short, and what was not measured. Pure.

use std::fmt::Write as _;

use anyhow::{Error, Result, ensure};

/// See the module.
#[derive(Default)]
pub struct Line {
    said: String,
    short: Vec<String>,
    /// Not measured, as it was not named.
    left_out: Vec<&'static str>,
    /// Not measured, though it was to be.
    lacking: Vec<&'static str>,
}

impl Line {
    /// A figure that nothing is wanted of.
    pub fn tell(&mut self, name: &str, value: f64) {
        let _ = write!(self.said, " {name}={value:.2}");
    }

    /// A figure that is as wanted, or falls short.
    pub fn judge(&mut self, name: &str, value: f64, is_good: bool, wanted: &str) {
        self.tell(name, value);
        if !is_good {
            self.short.push(format!("{name} {value:.2}, wanted {wanted}"));
        }
    }

    /// A part that nobody named.
    pub fn leave_out(&mut self, part: &'static str) {
        self.left_out.push(part);
    }

    /// A part that was wanted, and lacks what it needs.
    pub fn lack(&mut self, part: &'static str) {
        self.lacking.push(part);
    }

    /// A part that could not be measured: the others are all the same.
    pub fn fail(&mut self, part: &'static str, error: &Error) {
        let _ = write!(self.said, " {part}=failed");
        self.short.push(format!("{part}: {error:#}"));
    }

    /// The figures in the order in which they were taken, then the parts that were skipped.
    pub fn text(&self) -> String {
        let skipped: Vec<&str> = self.left_out.iter().chain(&self.lacking).copied().collect();
        let skipped = if skipped.is_empty() { "none".to_owned() } else { skipped.join(",") };
        format!("{} skipped={skipped}", self.said)
    }

    /// # Errors
    /// Something falls short; or a part lacks what it needs, and that is not allowed.
    pub fn verdict(&self, may_lack: bool) -> Result<()> {
        ensure!(self.short.is_empty(), "falls short: {}", self.short.join("; "));
        let lacking = self.lacking.join(", ");
        ensure!(may_lack || lacking.is_empty(), "not taken: {lacking} (--allow-skipped to do without)");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn what_falls_short_is_told_with_what_was_wanted() {
        let mut line = Line::default();
        line.judge("times_peer", 25.0, true, "at least 20");
        assert!(line.verdict(false).is_ok());
        line.judge("cached_rps", 14_000.0, false, "at least 15000");
        line.fail("slow", &anyhow!("refused").context("no server"));
        assert_eq!(line.text(), " times_peer=25.00 cached_rps=14000.00 slow=failed skipped=none");
        let error = line.verdict(true).unwrap_err().to_string();
        assert_eq!(
            error,
            "falls short: cached_rps 14000.00, wanted at least 15000; slow: no server: refused"
        );
    }

    #[test]
    fn what_was_skipped_is_told_and_allowed_where_nobody_wanted_it() {
        let mut line = Line::default();
        line.leave_out("peer");
        assert!(line.verdict(false).is_ok());
        line.lack("k8s");
        assert_eq!(line.text(), " skipped=peer,k8s");
        assert!(line.verdict(true).is_ok());
        assert!(line.verdict(false).unwrap_err().to_string().contains("not taken: k8s"));
    }
}
