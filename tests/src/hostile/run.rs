//! One reader and who watches it: hands it a file, then a healthy document, and counts what becomes of both.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::class;
use super::outcome::Outcome;
use super::reader::{Answer, Ask, Peak, document_deadline};

/// A document that took so much longer than its deadline was not stopped by it.
const LATE: Duration = Duration::from_secs(1);
/// So long after its deadline an answer is not waited for any more.
const NO_ANSWER: Duration = Duration::from_secs(30);
/// Longest that a healthy document may take right after a hostile one.
const HEALTHY_S_MAX: f64 = 10.0;

/// What reads: a program, and what it is told.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// What every file is tried with.
#[derive(Debug, Clone)]
pub struct Watch {
    /// What reads.
    pub subject: Subject,
    /// A document that nothing is wrong with.
    pub healthy: Ask,
    /// Words that are in no document and may come from nowhere.
    pub canary: String,
}

/// What must come of a file.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Its class; without one anything is well.
    pub class: Option<String>,
    /// What the reason, or that of a part that was lost, must say.
    pub says: String,
}

/// A reader that is started when it is needed, and again when it ended.
pub struct Runner {
    watch: Watch,
    reader: Option<Reader>,
    /// What was counted.
    pub outcome: Outcome,
}

impl Runner {
    /// Starts nothing yet.
    pub fn new(watch: Watch) -> Self {
        Self { watch, reader: None, outcome: Outcome::default() }
    }

    /// Has a file read, and a healthy document after it. Gives what came of the file, if it was told.
    ///
    /// # Errors
    /// The reader cannot be started.
    pub async fn file(&mut self, label: &str, mut ask: Ask, wanted: &Wanted) -> Result<Option<Answer>> {
        self.outcome.files += 1;
        ask.lacks.push(self.watch.canary.clone());
        let answer = self.ask(label, &ask).await?;
        if let Some(answer) = &answer {
            self.outcome.child_ends += usize::from(answer.child_ended);
            self.outcome.silent_empty += usize::from(answer.silent);
            if answer.silent {
                self.outcome.wrong.push(format!("{label}: it is {} without a text", answer.class));
            }
            if let Some(difference) = difference(answer, wanted) {
                self.outcome.wrong.push(format!("{label}: {difference}"));
            }
        }
        let healthy = self.watch.healthy.clone();
        let after = format!("the healthy document after {label}");
        if let Some(answer) = self.ask(&after, &healthy).await? {
            self.outcome.healthy += 1;
            let wanted = Wanted { class: Some(class::READ.to_owned()), says: String::new() };
            let slow = (answer.seconds > HEALTHY_S_MAX).then(|| format!("it took {:.1} s", answer.seconds));
            if let Some(difference) = difference(&answer, &wanted).or(slow) {
                self.outcome.wrong.push(format!("{after}: {difference}"));
            }
        }
        Ok(answer)
    }

    async fn ask(&mut self, label: &str, ask: &Ask) -> Result<Option<Answer>> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(Reader::start(&self.watch.subject)?),
        };
        let patience = document_deadline() + NO_ANSWER;
        match tokio::time::timeout(patience, reader.ask(ask)).await {
            Ok(Ok(answer)) => {
                if answer.seconds > (document_deadline() + LATE).as_secs_f64() {
                    self.outcome.hangs += 1;
                    self.outcome.wrong.push(format!("{label}: it took {:.1} s", answer.seconds));
                }
                Ok(Some(answer))
            }
            Ok(Err(error)) => {
                self.outcome.restarts += 1;
                self.outcome.wrong.push(format!("{label}: the reader ended over it: {error:#}"));
                self.reader = None;
                Ok(None)
            }
            Err(_) => {
                self.outcome.hangs += 1;
                self.outcome.wrong.push(format!("{label}: no answer after {} s", patience.as_secs()));
                self.reader = None;
                Ok(None)
            }
        }
    }

    /// Ends the reader and gives what was counted.
    pub async fn end(mut self) -> Outcome {
        if let Some(reader) = self.reader.take() {
            match reader.end().await {
                Ok(peak) => self.outcome.peak_mib = peak.mib,
                Err(error) => {
                    self.outcome.restarts += 1;
                    self.outcome.wrong.push(format!("the reader did not come to its end: {error:#}"));
                }
            }
        }
        self.outcome
    }
}

/// How an answer is other than it must be.
fn difference(answer: &Answer, wanted: &Wanted) -> Option<String> {
    let Answer { class, detail, notes, missing, leaked, recognised, .. } = answer;
    let told = || if detail.is_empty() { notes.join("; ") } else { detail.clone() };
    if let Some(expected) = &wanted.class
        && !class::fits(expected, class, *recognised)
    {
        return Some(format!("{class}, {expected} is expected ({})", told()));
    }
    if !leaked.is_empty() {
        return Some(format!("it has {leaked:?}"));
    }
    if !missing.is_empty() {
        return Some(format!("it lacks {missing:?}"));
    }
    if !told().contains(&wanted.says) {
        return Some(format!("it says {:?}, {:?} is expected", told(), wanted.says));
    }
    // Reasons are lines of logs and of terminals.
    let steers = |text: &String| text.chars().any(char::is_control);
    (steers(detail) || notes.iter().any(steers))
        .then(|| format!("its reason has control characters: {:?}", told()))
}

/// A process that reads.
struct Reader {
    child: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Reader {
    fn start(subject: &Subject) -> Result<Self> {
        let mut command = Command::new(&subject.program);
        command.args(&subject.args).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", subject.program.display()))?;
        let (Some(asks), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the reader has no pipes");
        };
        Ok(Self { child, asks, answers: BufReader::new(answers).lines() })
    }

    async fn ask(&mut self, ask: &Ask) -> Result<Answer> {
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        if self.asks.write_all(&line).await.is_ok()
            && let Some(line) = self.answers.next_line().await?
        {
            return Ok(serde_json::from_str(&line)?);
        }
        let ended = self.how_it_ended().await;
        bail!("{ended}")
    }

    async fn how_it_ended(&mut self) -> String {
        match tokio::time::timeout(LATE, self.child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it closed its pipes and goes on".to_owned(),
        }
    }

    async fn end(self) -> Result<Peak> {
        let Self { mut child, asks, mut answers } = self;
        drop(asks);
        let peak =
            tokio::time::timeout(NO_ANSWER, answers.next_line()).await.context("it does not end")??;
        let peak = serde_json::from_str(&peak.context("it said nothing")?)?;
        child.wait().await?;
        Ok(peak)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(class: &str) -> Answer {
        Answer {
            class: class.to_owned(),
            recognised: false,
            detail: "the reason".to_owned(),
            notes: Vec::new(),
            silent: false,
            child_ended: false,
            missing: Vec::new(),
            leaked: Vec::new(),
            seconds: 0.0,
        }
    }

    fn wanted(class: &str, says: &str) -> Wanted {
        Wanted { class: Some(class.to_owned()), says: says.to_owned() }
    }

    #[test]
    fn every_difference_is_seen() {
        assert_eq!(difference(&answer("damaged"), &wanted("damaged", "reason")), None);
        assert!(difference(&answer("damaged"), &wanted("encrypted", "")).is_some());
        assert!(difference(&answer("damaged"), &wanted("damaged", "another")).is_some());
        let lists: [fn(&mut Answer) -> &mut Vec<String>; 2] =
            [|answer| &mut answer.missing, |answer| &mut answer.leaked];
        for list in lists {
            let mut answer = answer("read");
            list(&mut answer).push("word".to_owned());
            assert!(difference(&answer, &wanted("read", "")).is_some());
        }
        let steers = Answer { detail: "a\u{1b}[2J".to_owned(), ..answer("damaged") };
        assert!(difference(&steers, &wanted("damaged", "")).is_some());
    }

    /// A reader that this shell script is.
    fn runner(script: &str) -> Runner {
        let args = vec!["-c".to_owned(), script.to_owned()];
        let subject = Subject { program: PathBuf::from("/bin/sh"), args };
        let healthy =
            Ask { path: PathBuf::new(), name: String::new(), times: 1, holds: vec![], lacks: vec![] };
        Runner::new(Watch { subject, healthy, canary: "canary".to_owned() })
    }

    #[tokio::test]
    async fn a_reader_that_ends_is_counted_and_started_again() {
        let mut runner = runner("read ask; exit 3");
        let ask = runner.watch.healthy.clone();
        let told = runner.file("a", ask, &Wanted::default()).await.unwrap();
        let outcome = runner.end().await;
        // Once over the file, once over the healthy document.
        assert_eq!((told, outcome.files, outcome.restarts), (None, 1, 2));
        assert!(outcome.wrong[0].contains("exit status: 3"), "{:?}", outcome.wrong);
    }

    #[tokio::test]
    async fn what_a_reader_says_is_compared() {
        let said = serde_json::to_string(&Answer { silent: true, ..answer("read") }).unwrap();
        let mut runner = runner(&format!("while read ask; do echo '{said}'; done; echo '{{\"mib\": 7}}'"));
        let ask = runner.watch.healthy.clone();
        runner.file("a", ask, &wanted("damaged", "")).await.unwrap();
        let outcome = runner.end().await;
        assert_eq!((outcome.restarts, outcome.silent_empty, outcome.healthy), (0, 1, 1));
        assert_eq!((outcome.wrong.len(), outcome.peak_mib), (2, 7.0), "{:?}", outcome.wrong);
    }
}
