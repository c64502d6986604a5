//! What came of it, and where it falls short.

use docmill_worker::extract::attempts::Unheld;
use docmill_worker::extract::trials::Trial;

use super::Figures;

/// Fewest attempts.
const TRIED_MIN: usize = 25;
/// Most CPU time that a child of its own costs a document, in milliseconds.
const CPU_MS_MAX: f64 = 5.0;
/// Most that reading by a child that is there takes, beside reading in the process.
const OVER_MAX: f64 = 1.15;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Attempts in the sandbox.
    pub held: Vec<Trial>,
    /// Attempts where nothing but limits holds.
    pub unheld: Vec<Trial>,
    /// What it costs.
    pub figures: Figures,
    /// The kernel's version of Landlock.
    pub landlock_abi: u32,
    /// Who tried.
    pub user: u32,
}

impl Outcome {
    /// The closing line.
    pub fn line(&self) -> String {
        let Figures { cpu_ms_per_document, html_over_inprocess, pdf_over_inprocess } = self.figures;
        format!(
            "sandbox: escapes_tried={} escaped={} cpu_ms_per_document={cpu_ms_per_document:.2} \
             html_over_inprocess={html_over_inprocess:.3} pdf_over_inprocess={pdf_over_inprocess:.3} landlock_abi={} user={}",
            self.held.len(),
            names(&self.held, |trial| trial.escaped).len(),
            self.landlock_abi,
            self.user,
        )
    }

    /// What came of the attempts where nothing but limits holds.
    pub fn line_unheld(&self) -> String {
        let out = names(&self.unheld, |trial| trial.escaped).len();
        format!("without a sandbox: escapes_tried={} escaped={out}", self.unheld.len())
    }

    /// What is wrong, whatever the machine is busy with.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut note = |attempts: Vec<&str>, what: &str| {
            if !attempts.is_empty() {
                wrong.push(format!("{what}: {}", attempts.join("; ")));
            }
        };
        note(names(&self.held, |trial| trial.escaped), "came through");
        note(names(&self.held, |trial| !trial.reported), "were held without page, cause or last words");
        let blunt = |trial: &Trial| trial.unheld == Unheld::Escapes && !trial.escaped;
        note(names(&self.unheld, blunt), "fail without a sandbox too, and prove nothing");
        let limited = |trial: &Trial| trial.unheld == Unheld::Fails && trial.escaped;
        note(names(&self.unheld, limited), "are to be held by limits alone, and are not");
        if self.held.len() < TRIED_MIN {
            wrong.push(format!("{} attempts, {TRIED_MIN} are wanted", self.held.len()));
        }
        wrong
    }

    /// Where it falls short; nothing where it does not.
    pub fn short(&self) -> Vec<String> {
        let Figures { cpu_ms_per_document, html_over_inprocess, pdf_over_inprocess } = self.figures;
        let checks = [
            (cpu_ms_per_document <= CPU_MS_MAX, "a child of its own costs a document too much"),
            (html_over_inprocess <= OVER_MAX, "HTML costs too much more than in the process"),
            (pdf_over_inprocess <= OVER_MAX, "a PDF costs too much more than in the process"),
        ];
        let slow = checks.into_iter().filter(|(is_so, _)| !is_so).map(|(_, short)| short.to_owned());
        self.wrong().into_iter().chain(slow).collect()
    }
}

fn names(trials: &[Trial], which: impl Fn(&Trial) -> bool) -> Vec<&'static str> {
    trials.iter().filter(|trial| which(trial)).map(|trial| trial.attempt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(attempt: &'static str, escaped: bool, unheld: Unheld) -> Trial {
        Trial { attempt, escaped, how: String::new(), reported: true, unheld }
    }

    fn good() -> Outcome {
        Outcome {
            held: (0..25).map(|_| trial("read a file", false, Unheld::Escapes)).collect(),
            unheld: vec![
                trial("read a file", true, Unheld::Escapes),
                trial("take 8 GiB", false, Unheld::Fails),
            ],
            figures: Figures {
                cpu_ms_per_document: 1.5,
                html_over_inprocess: 1.08,
                pdf_over_inprocess: 1.1,
            },
            landlock_abi: 7,
            user: 10_001,
        }
    }

    #[test]
    fn what_is_good_is_not_short() {
        assert_eq!(good().short(), [""; 0]);
        let line = "sandbox: escapes_tried=25 escaped=0 cpu_ms_per_document=1.50 html_over_inprocess=1.080 \
                    pdf_over_inprocess=1.100 landlock_abi=7 user=10001";
        assert_eq!(good().line(), line);
        assert_eq!(good().line_unheld(), "without a sandbox: escapes_tried=2 escaped=1");
    }

    #[test]
    fn what_came_through_or_proves_nothing_is_named() {
        let mut bad = good();
        bad.held[3].escaped = true;
        bad.held[4].reported = false;
        bad.unheld[0].escaped = false;
        bad.unheld[1].escaped = true;
        assert_eq!(bad.wrong().len(), 4, "{:?}", bad.wrong());
        let slow = Outcome { figures: Figures { html_over_inprocess: 1.2, ..good().figures }, ..good() };
        assert_eq!((slow.wrong().len(), slow.short().len()), (0, 1));
    }
}
