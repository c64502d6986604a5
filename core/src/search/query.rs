//! Which terms of a query to ask for: the rarest. A long query would make a store score every chunk
//! that has a common word; its few rarest terms say nearly as much and cost a fraction.

use crate::segment::{QueryTerm, is_stop_word};

/// How many terms a plan asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanLimits {
    /// Terms that must all be there.
    pub all_max: usize,
    /// Terms of which any may be there, when asking for all gives too few.
    pub any_max: usize,
    /// Terms in more than one of this many chunks are left out, unless there are no others.
    pub common_one_in: u64,
    /// Terms looked at: bounds the work on a pasted page.
    pub terms_max: usize,
}

impl Default for PlanLimits {
    fn default() -> Self {
        Self { all_max: 4, any_max: 8, common_one_in: 10, terms_max: 64 }
    }
}

/// What to ask for, rarest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryPlan {
    /// Ask for all of these first.
    pub all: Vec<QueryTerm>,
    /// Then, when that gave too few, for any of these.
    pub any: Vec<QueryTerm>,
}

/// Plans a query. `frequency` says in how many of `total` chunks a term is.
pub fn plan_query(
    terms: &[QueryTerm],
    frequency: &mut dyn FnMut(&QueryTerm) -> u64,
    total: u64,
    limits: &PlanLimits,
) -> QueryPlan {
    let mut ranked: Vec<(u64, usize, &QueryTerm)> = Vec::new();
    for (place, term) in terms.iter().take(limits.terms_max).enumerate() {
        if !ranked.iter().any(|(_, _, known)| *known == term) {
            ranked.push((frequency(term), place, term));
        }
    }
    // A term that is nowhere can only empty the result.
    ranked.retain(|(frequency, _, _)| *frequency > 0);
    let telling = |(frequency, _, term): &(u64, usize, &QueryTerm)| {
        let common = limits.common_one_in > 0 && frequency * limits.common_one_in > total;
        !common && !term.alternatives.iter().all(|form| is_stop_word(form))
    };
    if ranked.iter().any(telling) {
        ranked.retain(telling);
    }
    ranked.sort_by_key(|(frequency, place, _)| (*frequency, *place));
    let first = |n: usize| ranked.iter().take(n).map(|(_, _, term)| (*term).clone()).collect();
    QueryPlan { all: first(limits.all_max), any: first(limits.any_max) }
}

impl QueryPlan {
    /// The first question in FTS5's language; `None` when there is nothing to ask for.
    pub fn all_in_fts5(&self) -> Option<String> {
        joined(&self.all, " AND ")
    }

    /// The second question; `None` as above.
    pub fn any_in_fts5(&self) -> Option<String> {
        joined(&self.any, " OR ")
    }
}

fn joined(terms: &[QueryTerm], by: &str) -> Option<String> {
    let asked: Vec<String> = terms.iter().filter_map(in_fts5).collect();
    (!asked.is_empty()).then(|| asked.join(by))
}

/// One term: its forms, any of which will do, each quoted so that nothing in it is an operator.
fn in_fts5(term: &QueryTerm) -> Option<String> {
    let star = if term.prefix { " *" } else { "" };
    let forms: Vec<String> = term
        .alternatives
        .iter()
        .filter(|form| form.chars().any(char::is_alphanumeric))
        .map(|form| format!("\"{}\"{star}", form.replace('"', "\"\"").replace('\0', "")))
        .collect();
    match forms.len() {
        0 => None,
        1 => forms.into_iter().next(),
        _ => Some(format!("({})", forms.join(" OR "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::segment_query;
    use proptest::prelude::*;

    fn plan(query: &str, known: &[(&str, u64)]) -> QueryPlan {
        let mut frequency = |term: &QueryTerm| {
            term.alternatives
                .iter()
                .filter_map(|form| known.iter().find(|(name, _)| name == form).map(|(_, n)| *n))
                .max()
                .unwrap_or(0)
        };
        plan_query(&segment_query(query), &mut frequency, 1_000, &PlanLimits::default())
    }

    fn first_forms(terms: &[QueryTerm]) -> Vec<&str> {
        terms.iter().map(|term| term.alternatives[0].as_str()).collect()
    }

    #[test]
    fn the_rarest_terms_come_first_and_unknown_and_common_ones_go() {
        let known = [("shell", 90), ("zebra", 1), ("the", 900), ("history", 30)];
        let plan = plan("the shell zebra history qqqq", &known);
        assert_eq!(first_forms(&plan.all), ["zebra", "history", "shell"]);
    }

    #[test]
    fn common_terms_are_asked_for_when_there_are_no_others() {
        let plan = plan("the", &[("the", 900)]);
        assert_eq!(first_forms(&plan.all), ["the"]);
    }

    #[test]
    fn nothing_known_asks_for_nothing() {
        let plan = plan("qqqq", &[]);
        assert_eq!((plan.all_in_fts5(), plan.any_in_fts5()), (None, None));
    }

    proptest! {
        #[test]
        fn no_query_escapes_its_quotes(query in "\\PC{0,80}") {
            let mut any = |_: &QueryTerm| 1;
            let plan = plan_query(&segment_query(&query), &mut any, 10, &PlanLimits::default());
            if let Some(question) = plan.all_in_fts5() {
                prop_assert_eq!(question.matches('"').count() % 2, 0);
            }
        }
    }
}
