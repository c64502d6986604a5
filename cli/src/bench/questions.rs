//! What is asked in measurements: the same questions every time, in the same order.

use std::fs;
use std::path::Path;

use crate::failure::Failure;

/// Questions where none are given. What they ask about does not matter: every store has an answer of some kind.
const EVERYDAY: [&str; 20] = [
    "How do I install a package?",
    "What does the installer ask first?",
    "How is a partition encrypted?",
    "Which file holds the network settings?",
    "How do I recover a broken package database?",
    "What is the difference between a task and a package?",
    "How are users added to a group?",
    "When is a kernel module loaded?",
    "Which languages are supported?",
    "How do I upgrade to a newer release?",
    "What happens when the disk is full?",
    "Who maintains the documentation?",
    "How is a mirror chosen?",
    "What does a checksum protect against?",
    "How do I mount a file system at boot?",
    "Which ports does the service listen on?",
    "How are passwords stored?",
    "What is a meta package?",
    "How do I read the log of a service?",
    "Where are configuration files kept?",
];
/// Most questions of a file.
const QUESTIONS_MAX: usize = 1_000_000;
/// Numbers that are drawn before they begin again.
const DRAWN: usize = 1 << 16;
/// Begin of the numbers that are drawn.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Questions, and in which order they are asked.
#[derive(Debug, Clone)]
pub struct Questions {
    list: Vec<String>,
    /// Which one after the other; empty: as they stand.
    order: Vec<u32>,
}

impl Questions {
    /// Those of everyday.
    pub fn some() -> Self {
        Self { list: EVERYDAY.map(str::to_owned).to_vec(), order: Vec::new() }
    }

    /// Of a file, one a line.
    pub fn of_file(path: &Path) -> Result<Self, Failure> {
        let list: Vec<String> = fs::read_to_string(path)?
            .lines()
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .take(QUESTIONS_MAX)
            .collect();
        if list.is_empty() {
            let message = format!("there is no question in {}", path.display());
            return Err(Failure::new("io", message, "write one question a line"));
        }
        Ok(Self { list, order: Vec::new() })
    }

    /// `distinct` questions made of these, drawn by Zipf's law: the second half as often as the first, and so on.
    pub fn by_zipf(self, distinct: u32) -> Self {
        let made = |number: u32| {
            let base = number as usize % self.list.len().max(1);
            let base = self.list.get(base).map(String::as_str).unwrap_or_default();
            if (number as usize) < self.list.len() { base.to_owned() } else { format!("{base} ({number})") }
        };
        let list: Vec<String> = (0..distinct).map(made).collect();
        // Each share added to those before it: a draw is looked up in them.
        let mut sum = 0.0;
        let shares: Vec<f64> = (1..=distinct)
            .map(|rank| {
                sum += 1.0 / f64::from(rank);
                sum
            })
            .collect();
        let mut state = SEED;
        let order = (0..DRAWN)
            .map(|_| {
                state =
                    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let drawn = (state >> 11) as f64 / (1u64 << 53) as f64 * sum;
                shares.partition_point(|share| *share <= drawn).min(list.len().saturating_sub(1)) as u32
            })
            .collect();
        Self { list, order }
    }

    /// All of them, each once.
    pub fn each(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(String::as_str)
    }

    /// Which question a request asks.
    pub fn number_of(&self, request: u32) -> usize {
        let request = request as usize;
        match self.order.get(request % self.order.len().max(1)) {
            Some(number) => *number as usize,
            None => request % self.list.len().max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_few_are_asked_again_and_again() {
        let questions = Questions::some().by_zipf(1_000);
        assert_eq!(questions.each().collect::<BTreeSet<_>>().len(), 1_000);
        let mut times = vec![0u32; 1_000];
        for request in 0..60_000 {
            times[questions.number_of(request)] += 1;
        }
        // 1 / (1 + 1/2 + … + 1/1000) is 13.4 %.
        assert!((7_400..8_600).contains(&times[0]), "{}", times[0]);
        assert!((3_600..4_500).contains(&times[1]), "{}", times[1]);
        assert!(times.iter().filter(|times| **times > 0).count() > 950);
    }

    #[test]
    fn questions_come_in_turn() {
        let questions = Questions::some();
        assert_eq!((questions.number_of(0), questions.number_of(21)), (0, 1));
        assert_eq!(questions.each().count(), 20);
    }
}
