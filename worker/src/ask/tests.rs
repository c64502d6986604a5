//! Questions and answers without HTTP: what is searched for, and how an answer ends.

use async_trait::async_trait;

use super::*;

fn turn(role: Role, content: &str) -> Turn {
    Turn { role, content: content.to_owned() }
}

fn question(text: &str, history: Vec<Turn>) -> Question {
    Question { text: text.to_owned(), history, filter: Filter::default(), k: 0 }
}

#[test]
fn what_says_too_little_is_searched_for_with_what_was_asked_before() {
    let history = vec![turn(Role::User, "Who wrote the zebra shell?"), turn(Role::Assistant, "Nobody.")];
    assert_eq!(searched(&question("And when?", history.clone())), "Who wrote the zebra shell?\nAnd when?");
    let whole = "Which animals graze on mountain meadows?";
    assert_eq!(searched(&question(whole, history)), whole);
    assert_eq!(searched(&question("And when?", Vec::new())), "And when?");
}

#[test]
fn a_model_is_told_the_last_turns_from_a_question_on() {
    let long = "x".repeat(TURNS_BYTES_MAX - 10);
    let history = [
        turn(Role::User, "too far back"),
        turn(Role::User, &long),
        turn(Role::Assistant, "a"),
        turn(Role::User, "b"),
        turn(Role::Assistant, "c"),
    ];
    let told = last_turns(&history);
    assert_eq!(told.iter().map(|turn| turn.content.len()).collect::<Vec<_>>(), [long.len(), 1, 1, 1]);
    let told = last_turns(&history[2..]);
    assert_eq!(told.first().map(|turn| turn.content.as_str()), Some("b"));
    assert!(last_turns(&history[2..3]).is_empty());
}

#[test]
fn hosts_are_told_to_nobody() {
    let problem = failed(&ModelError::Unreachable("connect to secret-host:1".to_owned()));
    assert!(!serde_json::to_string(&problem).unwrap().contains("secret-host"));
    assert_eq!(problem.status(), 502);
    assert_eq!(failed(&ModelError::Idle).status(), 504);
}

fn found(texts: &[&str]) -> SearchAnswer {
    found_texts(&TenantId::default(), texts)
}

/// Is never asked.
struct NoSearch;

#[async_trait]
impl Search for NoSearch {
    async fn search(&self, _: &TenantId, _: &SearchRequest) -> Result<SearchAnswer, crate::search::Error> {
        Err(crate::search::Error::Model("nobody is to search here".to_owned()))
    }
    async fn warm(&self, _: &[TenantId]) {}
}

/// Says these pieces, and why it ends.
struct Says(&'static [&'static str], &'static str);

#[async_trait]
impl ChatModel for Says {
    fn name(&self) -> &str {
        "says"
    }
    async fn stream(&self, _: Chat) -> Result<BoxStream<'static, Result<Delta, ModelError>>, ModelError> {
        let end = Delta::End { finish: self.1.to_owned(), input_tokens: None, output_tokens: None };
        let pieces = self.0.iter().map(|piece| Delta::Text((*piece).to_owned()));
        Ok(stream::iter(pieces.chain([end]).map(Ok).collect::<Vec<_>>()).boxed())
    }
}

fn asker(settings: &AskSettings, model: Option<Says>) -> Asker {
    let Asker(made) = Asker::new(Arc::new(NoSearch), settings).unwrap();
    let mut made = Arc::into_inner(made).unwrap();
    if let Some(model) = model {
        made.model = Some(Arc::new(model));
        made.max_tokens = 512;
    }
    Asker(Arc::new(made))
}

async fn told(asker: &Asker, style: Style, found: SearchAnswer) -> AskEvent {
    let question = question("Who wrote the zebra shell in which year?", Vec::new());
    let events = asker.answer(question, style, async move { Ok::<_, Problem>(found) });
    events.collect::<Vec<_>>().await.pop().unwrap()
}

async fn answered(asker: &Asker, style: Style, found: SearchAnswer) -> FinalAnswer {
    match told(asker, style, found).await {
        AskEvent::FinalAnswer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn at_most(tokens: u32) -> Style {
    Style { max_tokens: Some(tokens), ..Style::default() }
}

fn until(stop: &str) -> Style {
    Style { stop: vec![stop.to_owned()], ..Style::default() }
}

const SHELL: &str = "The zebra shell was written by Ada Okonkwo in 1987. It runs on small machines.";
const YEAR: &str = "Which year it was nobody knows.";

#[tokio::test]
async fn sentences_are_as_long_as_they_may_be() {
    let asker = asker(&AskSettings::default(), None);
    let whole = answered(&asker, Style::default(), found(&[SHELL, YEAR])).await;
    assert_eq!((whole.finish.as_str(), whole.extractive, whole.passing), ("stop", true, false));
    // "The zebra shell was written by Ada Okonkwo in 1987. [1]" has 55 bytes.
    let best = answered(&asker, at_most(14), found(&[SHELL, YEAR])).await;
    assert_eq!(best.answer, "The zebra shell was written by Ada Okonkwo in 1987. [1]");
    assert_eq!(best.finish, if whole.answer == best.answer { "stop" } else { "length" });
    let short = answered(&asker, at_most(5), found(&[SHELL])).await;
    assert_eq!((short.answer.as_str(), short.finish.as_str()), ("The zebra shell was", "length"));
    let stopped = answered(&asker, until(" by"), found(&[SHELL])).await;
    assert_eq!((stopped.answer.as_str(), stopped.finish.as_str()), ("The zebra shell was written", "stop"));
    let passing = SearchAnswer { passing: true, ..found(&[SHELL]) };
    assert!(answered(&asker, Style::default(), passing).await.passing);
}

#[tokio::test]
async fn a_mock_keeps_to_what_is_wished() {
    let settings = AskSettings { mock: Some(std::time::Duration::ZERO), ..AskSettings::default() };
    let asker = asker(&settings, None);
    let answer = answered(&asker, Style::default(), found(&[])).await;
    assert_eq!((answer.answer.split(' ').count(), answer.finish.as_str()), (20, "stop"));
    let answer = answered(&asker, at_most(3), found(&[])).await;
    assert_eq!((answer.answer.trim(), answer.finish.as_str()), ("Mock response to:", "length"));
    let answer = answered(&asker, until("se to"), found(&[])).await;
    assert_eq!((answer.answer.as_str(), answer.finish.as_str()), ("Mock respon", "stop"));
}

#[tokio::test]
async fn an_end_that_was_wished_for_is_one() {
    let cut = || Some(Says(&["Ada wrote", " it [1] and"], "length"));
    let code = |event: AskEvent| match event {
        AskEvent::Error(problem) => serde_json::to_value(&problem).unwrap()["code"].clone(),
        other => panic!("{other:?}"),
    };
    let nobody_said = asker(&AskSettings::default(), cut());
    assert_eq!(code(told(&nobody_said, Style::default(), found(&[SHELL])).await), "answer_incomplete");
    let answer = answered(&asker(&AskSettings::default(), cut()), at_most(6), found(&[SHELL])).await;
    assert_eq!((answer.answer.as_str(), answer.finish.as_str()), ("Ada wrote it [1] and", "length"));
    assert_eq!(answer.citations.len(), 1);
    // A model that does not know what to stop at, and one that stops at once.
    let talks = asker(&AskSettings::default(), Some(Says(&["Ada wr", "ote it.\n", "\nMore"], "stop")));
    let answer = answered(&talks, until("\n\n"), found(&[SHELL])).await;
    assert_eq!((answer.answer.as_str(), answer.finish.as_str()), ("Ada wrote it.", "stop"));
    let answer = answered(&talks, until("Ada"), found(&[SHELL])).await;
    assert_eq!((answer.answer.as_str(), answer.finish.as_str()), ("", "stop"));
}

#[test]
fn sources_are_asked_for_as_many_as_are_used() {
    let settings = AskSettings { sources: 40, ..AskSettings::default() };
    let asker = asker(&settings, None);
    let request = |k| asker.request(&Question { k, ..question("Who?", Vec::new()) }).unwrap();
    assert_eq!((request(0).k, request(5).k, request(99).k), (40, 5, K_MAX));
    assert!(request(0).as_sources);
    let problem = serde_json::to_value(asker.request(&question(" ", Vec::new())).unwrap_err()).unwrap();
    assert_eq!((&problem["status"], &problem["field"]), (&422.into(), &"question".into()));
}
