//! Sends the requests and judges the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::requests::{EVENTS, Maker, NOTHING_TO_SHOW, Operation, Request, Who, operations, plain};
use super::side::Side;
use super::stores::{Look, Wanted};
use super::town::Town;
use super::{Options, Outcome};
use crate::services::http::{Answer, Client};

/// Requests at once.
const AT_ONCE: u64 = 4;
/// Of a longer body a refusal may come before its end, and the connection is closed while it is still being sent.
const READ_BYTES_MAX: usize = 1 << 20;
/// The operation whose answer has no end.
const ENDLESS: &str = "/internal/v1/observations";

/// See the module.
pub struct Siege<'a> {
    /// What is asked.
    pub town: &'a Town,
    /// Who asks.
    pub sides: &'a [Side; 2],
    /// What must not be answered.
    pub wanted: &'a Wanted,
}

/// What is counted while requests are sent.
#[derive(Default)]
struct Tally {
    outcome: Outcome,
    asked: BTreeSet<(String, String)>,
    reached: BTreeSet<(String, String)>,
}

impl Siege<'_> {
    /// Sends them all.
    ///
    /// # Errors
    /// There is nothing to ask for.
    pub fn lay(&self, options: &Options) -> Result<Outcome> {
        let operations = operations()?;
        ensure!(operations.len() > 20, "only {} operations are described", operations.len());
        let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
        // All that is shown is looked at once before anything is tried, whatever chance asks for later.
        for (own, operation) in self.sides.iter().flat_map(|own| operations.iter().map(move |of| (own, of)))
        {
            if let Some(request) = plain(own, operation) {
                let answer = self.send(own, operation, &request);
                self.judge(own, operation, &request, answer, &tally);
            }
        }
        std::thread::scope(|scope| {
            for thread in 0..AT_ONCE {
                let (operations, next, tally) = (&operations, &next, &tally);
                let mut random = StdRng::seed_from_u64(options.seed ^ (thread << 32));
                scope.spawn(move || {
                    while next.fetch_add(1, Ordering::Relaxed) < options.queries {
                        let Some(operation) = operations.choose(&mut random) else { return };
                        let turn = usize::from(random.random_bool(0.5));
                        let (own, other) = (&self.sides[turn], &self.sides[1 - turn]);
                        let random = StdRng::seed_from_u64(random.random());
                        let mut maker = Maker { own, other, secrets: &self.town.secrets, random };
                        let request = maker.make(operation);
                        let answer = self.send(own, operation, &request);
                        self.judge(own, operation, &request, answer, tally);
                    }
                });
            }
        });
        let Tally { mut outcome, asked, reached } =
            tally.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let for_tenants: Vec<&Operation> =
            operations.iter().filter(|operation| !operation.internal).collect();
        let shows = |operation: &&Operation| !NOTHING_TO_SHOW.contains(&operation.path.as_str());
        let for_tenants: Vec<&Operation> = for_tenants.into_iter().filter(shows).collect();
        let reached = for_tenants
            .iter()
            .map(|operation| (operation.method.clone(), operation.path.clone()))
            .filter(|operation| reached.contains(operation))
            .collect::<BTreeSet<_>>();
        outcome.operations = operations.len();
        outcome.asked = asked.len();
        outcome.reached = (reached.len(), for_tenants.len());
        for operation in for_tenants {
            if !reached.contains(&(operation.method.clone(), operation.path.clone())) {
                outcome
                    .examples
                    .push(format!("never answered well: {} {}", operation.method, operation.path));
            }
        }
        Ok(outcome)
    }

    fn send(&self, own: &Side, operation: &Operation, request: &Request) -> std::io::Result<Answer> {
        let credential = match request.who {
            Who::Key => Some(own.key.clone()),
            Who::Token => Some(own.token.clone()),
            Who::Admin => Some(own.admin_key.clone()),
            Who::Nobody => None,
        };
        let client: Client = match operation.internal {
            // Nobody here is the operator.
            true => self.town.api.internal(credential),
            false => self.town.api.client(credential),
        };
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        client.send(&request.method, &request.path, &headers, &request.body)
    }

    fn judge(
        &self,
        own: &Side,
        operation: &Operation,
        request: &Request,
        answer: std::io::Result<Answer>,
        tally: &Mutex<Tally>,
    ) {
        let name = (operation.method.clone(), operation.path.clone());
        let mut tally = tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tally.outcome.queries += 1;
        tally.asked.insert(name.clone());
        let answer = match answer {
            Ok(answer) => answer,
            // It was refused while it was still being sent; the answer may be lost with the connection.
            Err(_) if request.body.len() > READ_BYTES_MAX => return,
            Err(error) => {
                tally.outcome.unanswered += 1;
                tally.outcome.examples.push(format!("no answer: {error}: {}", shown(request)));
                return;
            }
        };
        *tally.outcome.answers.entry(answer.status / 100).or_default() += 1;
        if answer.status / 100 == 2 {
            tally.reached.insert(name);
        }
        if answer.status >= 500 {
            tally.outcome.examples.push(format!("{}: {}", answer.status, shown(request)));
        }
        let text = answer.whole();
        let scanner = &self.wanted.foreign[&own.marks.tenant];
        let mut found = scanner.names_in(&text);
        if answer.status >= 400 || operation.is_question {
            // A refusal repeats what was sent, and an answer its question; nothing that was not sent may be in it.
            let sent = [
                unescaped(&request.path),
                request.headers.iter().map(|(_, value)| value.clone()).collect(),
            ];
            let sent = [sent.concat().as_bytes(), &request.body].concat();
            found.retain(|name| !scanner.names_in(&sent).contains(name));
        }
        if !found.is_empty() {
            *tally.outcome.foreign.entry("answers").or_default() += 1;
            tally.outcome.examples.push(format!(
                "{found:?} in the answer {} to {}",
                answer.status,
                shown(request)
            ));
        }
        let owned = [&own.marks.text, &own.marks.name].into_iter();
        let text_of_own = String::from_utf8_lossy(&text);
        tally.outcome.own +=
            owned.map(|mark| u64::from(answer.status < 300 && text_of_own.contains(mark))).sum::<u64>();
        let mut look = Look::default();
        look.secrets(self.wanted, &format!("the answer {} to {}", answer.status, shown(request)), &text);
        tally.outcome.texts += 1;
        if !look.secrets.is_empty() {
            tally.outcome.add("answers", look);
        }
    }
}

/// Metrics of all processes, and the first event of each tenant: labels are of fixed sets, and say nothing of anybody.
///
/// # Errors
/// A process does not answer.
pub fn metrics(town: &Town, sides: &[Side; 2], wanted: &Wanted) -> Result<Look> {
    let mut look = Look::default();
    let internal = town.api.internal(None).get("/metrics");
    ensure!(internal.status == 200, "{}", internal.text());
    let mut pages = BTreeMap::from([("metrics of the API".to_owned(), internal.text())]);
    for worker in &town.workers {
        let (status, text) = worker.get("/metrics");
        ensure!(status == 200, "{text}");
        pages.insert(format!("metrics of {}", worker.name()), text);
    }
    for (what, text) in pages {
        for line in text.lines() {
            look.at(wanted, &what, None, line.as_bytes());
        }
    }
    for side in sides {
        let told = town.api.client(Some(side.key.clone())).first_line(EVENTS)?;
        look.at(wanted, "an event", Some(&side.marks.tenant), told.as_bytes());
    }
    let operator = Some(town.secrets.operator.clone());
    let observed = town.api.internal(operator).first_line(ENDLESS)?;
    look.at(wanted, "an observation", None, observed.as_bytes());
    Ok(look)
}

/// A request, for a person; not all of it.
fn shown(request: &Request) -> String {
    const CHARS: usize = 300;
    let body: String = String::from_utf8_lossy(&request.body).chars().take(CHARS).collect();
    let path: String = request.path.chars().take(CHARS).collect();
    let headers: String = format!("{:?}", request.headers).chars().take(CHARS).collect();
    format!("{} {path} of {:?} {headers} {body:?}", request.method, request.who)
}

/// The text behind percent signs.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| after.get(..2)).flatten();
        let value = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(value.unwrap_or(byte));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
