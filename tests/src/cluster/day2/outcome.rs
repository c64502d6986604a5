//! What came of the steps.

use anyhow::Result;

use super::Step;

/// What came of the steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Steps that were run.
    pub steps: usize,
    /// Names of those that failed.
    pub failed: Vec<&'static str>,
    /// Times that a pipeline that was ready was not, without a cause in what was declared.
    pub flips: usize,
    /// How long all of it took.
    pub seconds: u64,
}

impl Outcome {
    /// Tells what a step saw, and counts it.
    pub(super) fn add(&mut self, step: Step, flips: usize, seconds: f64, result: Result<String>) {
        let name = step.name();
        self.steps += 1;
        self.flips += flips;
        let is_good = result.is_ok() && flips == 0;
        let said = result.unwrap_or_else(|error| format!("{error:#}"));
        let word = if is_good { "ok" } else { "FAILED" };
        eprintln!("{name}: {word} in {seconds:.1} s, flips {flips}: {said}");
        if !is_good {
            self.failed.push(name);
        }
    }

    /// The closing line.
    pub fn line(&self) -> String {
        format!(
            "cluster_day2: steps={} failed={} flips={} seconds={}",
            self.steps,
            self.failed.len(),
            self.flips,
            self.seconds
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_turned_ready_off_has_failed() {
        let mut outcome = Outcome::default();
        outcome.add(Step::Volume, 0, 1.0, Ok("grown".to_owned()));
        outcome.add(Step::Drain, 1, 2.0, Ok("drained".to_owned()));
        outcome.add(Step::Kubelet, 0, 3.0, Err(anyhow::anyhow!("no node")));
        assert_eq!(outcome.failed, ["drain", "kubelet"]);
        assert_eq!(outcome.line(), "cluster_day2: steps=3 failed=2 flips=1 seconds=0");
    }
}
