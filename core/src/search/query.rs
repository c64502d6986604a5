//! Which terms of a query to ask for: the rarest. A long query would make a store score every chunk
//! that has a common word; its few rarest terms say nearly as much and cost a fraction.

use crate::segment::{QueryTerm, is_stop_word};

/// What a plan may ask for, and what that may cost a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanLimits {
    /// Terms that must all be there.
    pub all_max: usize,
    /// Terms of which any may be there, when asking for all gives too few.
    pub any_max: usize,
    /// Terms in more than one of this many chunks are common: they narrow a question, they do not widen one.
    pub common_one_in: u64,
    /// Terms looked at: bounds the work on a pasted page.
    pub terms_max: usize,
    /// Chunks that a question may score, about: a score costs some microseconds.
    pub scored_max: u64,
    /// Entries of terms' lists that a question may walk: an entry costs some tenth of a microsecond.
    pub walked_max: u64,
    /// Entries of terms' lists that may be walked to score chunks that are known.
    pub walked_to_score_max: u64,
}

impl Default for PlanLimits {
    fn default() -> Self {
        Self {
            all_max: 4,
            any_max: 8,
            common_one_in: 10,
            terms_max: 64,
            scored_max: 1_500,
            walked_max: 40_000,
            walked_to_score_max: 6_000,
        }
    }
}

/// One question to a store; its terms are rarest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Chunks with all of these.
    All(Vec<QueryTerm>),
    /// Chunks with any of these.
    Any(Vec<QueryTerm>),
}

/// Plans a query: questions to ask one after the other until there are hits enough, narrow ones first.
/// `frequency` says in how many of `total` chunks a term is, about.
pub fn plan_query(
    terms: &[QueryTerm],
    frequency: &mut dyn FnMut(&QueryTerm) -> u64,
    total: u64,
    limits: &PlanLimits,
) -> Vec<Question> {
    // Stop words are not even counted while there are others: they have the longest lists.
    let (stop_words, telling): (Vec<&QueryTerm>, Vec<&QueryTerm>) =
        terms.iter().partition(|term| term.alternatives.iter().all(|form| is_stop_word(form)));
    let mut ranked = rank(&telling, frequency, total, limits);
    if ranked.is_empty() {
        ranked = rank(&stop_words, frequency, total, limits);
    }
    let all = narrowing(&ranked, total, limits);
    if ranked.iter().any(|known| !known.common) {
        ranked.retain(|known| !known.common);
    }
    let (any, cut) = widening(&ranked, limits);

    let mut questions = Vec::new();
    // Where cost forbids to ask for any of them, two together come nearest to it.
    let pair = (cut && all.len() > 2).then(|| Question::All(all[..2].to_vec()));
    let any = (any != all || any.len() > 1).then_some(Question::Any(any));
    questions.extend((!all.is_empty()).then_some(Question::All(all)));
    questions.extend(pair);
    questions.extend(any.filter(|question| !question.terms().is_empty()));
    questions
}

/// What tells by words which of some known chunks is best: as many of the query's terms as may be walked,
/// rarest first. `None` where none is anywhere.
pub fn scoring_question(
    terms: &[QueryTerm],
    frequency: &mut dyn FnMut(&QueryTerm) -> u64,
    total: u64,
    limits: &PlanLimits,
) -> Option<Question> {
    let telling: Vec<&QueryTerm> =
        terms.iter().filter(|term| !term.alternatives.iter().all(|form| is_stop_word(form))).collect();
    let mut walked = 0;
    let asked: Vec<QueryTerm> = rank(&telling, frequency, total, limits)
        .into_iter()
        .take_while(|known| {
            walked += known.frequency;
            walked <= limits.walked_to_score_max
        })
        .map(|known| known.term.clone())
        .collect();
    (!asked.is_empty()).then_some(Question::Any(asked))
}

struct Ranked<'a> {
    frequency: u64,
    place: usize,
    term: &'a QueryTerm,
    common: bool,
}

/// The terms that are anywhere, rarest first: one that is nowhere can only empty the result.
fn rank<'a>(
    terms: &[&'a QueryTerm],
    frequency: &mut dyn FnMut(&QueryTerm) -> u64,
    total: u64,
    limits: &PlanLimits,
) -> Vec<Ranked<'a>> {
    let mut ranked: Vec<Ranked<'a>> = Vec::new();
    for (place, term) in terms.iter().take(limits.terms_max).enumerate() {
        if !ranked.iter().any(|known| known.term == *term) {
            let frequency = frequency(term);
            let common = limits.common_one_in > 0 && frequency * limits.common_one_in > total;
            ranked.push(Ranked { frequency, place, term, common });
        }
    }
    ranked.retain(|known| known.frequency > 0);
    ranked.sort_by_key(|known| (known.frequency, known.place));
    ranked
}

/// The rarest terms; common ones only while there would be too many chunks to score.
fn narrowing(ranked: &[Ranked<'_>], total: u64, limits: &PlanLimits) -> Vec<QueryTerm> {
    let mut all: Vec<QueryTerm> = Vec::new();
    let (mut walked, mut matches) = (0, total as f64);
    for known in ranked.iter().take(limits.all_max) {
        let enough = matches <= limits.scored_max as f64;
        if !all.is_empty() && (walked + known.frequency > limits.walked_max || known.common && enough) {
            break;
        }
        walked += known.frequency;
        // As if terms came independently: they do not, and the store stops at its limit then.
        matches *= known.frequency as f64 / total.max(1) as f64;
        all.push(known.term.clone());
    }
    all
}

/// The rarest terms whose chunks together may be scored, at least one, and whether cost cut them short.
fn widening(ranked: &[Ranked<'_>], limits: &PlanLimits) -> (Vec<QueryTerm>, bool) {
    let mut any: Vec<QueryTerm> = Vec::new();
    let mut scored = 0;
    for known in ranked.iter().take(limits.any_max) {
        scored += known.frequency;
        if !any.is_empty() && scored > limits.scored_max {
            return (any, true);
        }
        any.push(known.term.clone());
    }
    (any, scored > limits.scored_max)
}

impl Question {
    /// Its terms.
    pub fn terms(&self) -> &[QueryTerm] {
        match self {
            Self::All(terms) | Self::Any(terms) => terms,
        }
    }

    /// The question in FTS5's language; `None` when no term has a letter or digit.
    pub fn in_fts5(&self) -> Option<Asked> {
        let by = match self {
            Self::All(_) => " AND ",
            Self::Any(_) => " OR ",
        };
        let mut forms = Vec::new();
        let terms: Vec<String> = self.terms().iter().filter_map(|term| in_fts5(term, &mut forms)).collect();
        (!terms.is_empty()).then(|| Asked { text: terms.join(by), forms })
    }
}

/// A question as FTS5 reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// For `MATCH`.
    pub text: String,
    /// The form that each of its phrases asks for, in FTS5's order.
    pub forms: Vec<String>,
}

/// One term: its forms, any of which will do, each quoted so that nothing in it is an operator.
fn in_fts5(term: &QueryTerm, asked: &mut Vec<String>) -> Option<String> {
    let star = if term.prefix { " *" } else { "" };
    let telling = |form: &&String| form.chars().any(char::is_alphanumeric);
    let forms: Vec<&String> = term.alternatives.iter().filter(telling).collect();
    asked.extend(forms.iter().map(|form| form.to_string()));
    let quoted: Vec<String> = forms
        .iter()
        .map(|form| format!("\"{}\"{star}", form.replace('"', "\"\"").replace('\0', "")))
        .collect();
    match quoted.len() {
        0 => None,
        1 => quoted.into_iter().next(),
        _ => Some(format!("({})", quoted.join(" OR "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::segment_query;
    use proptest::prelude::*;

    fn plan_of(query: &str, known: &[(&str, u64)], total: u64) -> Vec<Question> {
        let mut frequency = |term: &QueryTerm| {
            term.alternatives
                .iter()
                .filter_map(|form| known.iter().find(|(name, _)| name == form).map(|(_, n)| *n))
                .max()
                .unwrap_or(0)
        };
        plan_query(&segment_query(query), &mut frequency, total, &PlanLimits::default())
    }

    fn first_forms(question: &Question) -> Vec<&str> {
        question.terms().iter().map(|term| term.alternatives[0].as_str()).collect()
    }

    #[test]
    fn the_rarest_terms_come_first_and_unknown_and_common_ones_go() {
        let known = [("shell", 90), ("zebra", 1), ("the", 900), ("history", 30)];
        let plan = plan_of("the shell zebra history qqqq", &known, 1_000);
        let [all @ Question::All(_), any @ Question::Any(_)] = &plan[..] else { panic!("{plan:?}") };
        assert_eq!(first_forms(all), ["zebra", "history", "shell"]);
        assert_eq!(first_forms(any), ["zebra", "history", "shell"]);
    }

    #[test]
    fn common_terms_are_asked_for_when_there_are_no_others() {
        let plan = plan_of("the", &[("the", 900)], 1_000);
        assert_eq!(plan.len(), 1);
        assert_eq!(first_forms(&plan[0]), ["the"]);
    }

    #[test]
    fn where_any_would_cost_too_much_pairs_come_before_the_rarest_alone() {
        let known = [("shell", 6_000), ("zebra", 3_000), ("history", 9_000)];
        let plan = plan_of("shell zebra history", &known, 100_000);
        let forms: Vec<_> = plan.iter().map(first_forms).collect();
        assert_eq!(forms, [vec!["zebra", "shell", "history"], vec!["zebra", "shell"], vec!["zebra"]]);
        assert!(matches!(plan[..], [Question::All(_), Question::All(_), Question::Any(_)]));
    }

    #[test]
    fn common_terms_narrow_what_would_be_too_many() {
        let known = [("shell", 15_000), ("zebra", 20_000), ("history", 40_000)];
        let plan = plan_of("shell zebra history", &known, 100_000);
        assert_eq!(first_forms(&plan[0]), ["shell", "zebra"], "a third list would be too long to walk");
        let rare = [("shell", 15_000), ("zebra", 300)];
        assert_eq!(first_forms(&plan_of("shell zebra", &rare, 100_000)[0]), ["zebra"]);
    }

    #[test]
    fn chunks_are_scored_by_all_that_may_be_walked() {
        let known = [("shell", 4_000), ("zebra", 1), ("the", 9), ("history", 2_500), ("path", 3_000)];
        let mut frequency = |term: &QueryTerm| {
            let of = |form: &String| known.iter().find(|(name, _)| name == form).map(|(_, n)| *n);
            term.alternatives.iter().filter_map(of).max().unwrap_or(0)
        };
        let mut scoring = |query: &str| {
            scoring_question(&segment_query(query), &mut frequency, 50_000, &PlanLimits::default())
        };
        let asked = scoring("the shell zebra history path qqqq").unwrap();
        assert_eq!(first_forms(&asked), ["zebra", "history", "path"]);
        assert_eq!(scoring("the qqqq"), None);
    }

    #[test]
    fn nothing_known_asks_for_nothing() {
        assert_eq!(plan_of("qqqq", &[], 1_000), []);
    }

    proptest! {
        #[test]
        fn no_query_escapes_its_quotes(query in "\\PC{0,80}") {
            let mut any = |_: &QueryTerm| 1;
            for question in plan_query(&segment_query(&query), &mut any, 10, &PlanLimits::default()) {
                if let Some(question) = question.in_fts5() {
                    prop_assert_eq!(question.text.matches('"').count() % 2, 0);
                    prop_assert!(!question.forms.is_empty());
                }
            }
        }

        #[test]
        fn no_question_costs_more_than_its_limits(
            frequencies in prop::collection::vec(1u64..100_000, 1..12),
        ) {
            let words: Vec<String> = (0..frequencies.len()).map(|n| format!("word{n}x")).collect();
            let known: Vec<(&str, u64)> =
                words.iter().map(String::as_str).zip(frequencies.iter().copied()).collect();
            let count = |word: &str| known.iter().find(|(name, _)| *name == word).map_or(0, |(_, n)| *n);
            let limits = PlanLimits::default();
            for question in plan_of(&words.join(" "), &known, 100_000) {
                let sum: u64 = first_forms(&question).into_iter().map(count).sum();
                let alone = question.terms().len() == 1;
                match question {
                    Question::All(_) => prop_assert!(alone || sum <= limits.walked_max),
                    Question::Any(_) => prop_assert!(alone || sum <= limits.scored_max),
                }
            }
        }
    }
}
