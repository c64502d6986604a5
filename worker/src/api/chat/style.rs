//! How clients of OpenAI's API wish an answer to be: what can be done is done, what cannot be meant is refused.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::ChatRequest;
use crate::api::problem::Problem;
use crate::ask::Style;

/// Most that a temperature may be.
const TEMPERATURE_MAX: f64 = 2.0;
/// Texts before which an answer may end.
const STOPS_MAX: usize = 4;
/// Longest of them, in bytes.
const STOP_BYTES_MAX: usize = 256;

/// A text, or several, before which an answer is to end.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Stop {
    One(String),
    Many(Vec<String>),
    Other(IgnoredAny),
}

/// What the request wishes.
///
/// # Errors
/// The first wish that is none.
pub fn of(request: &ChatRequest) -> Result<Style, Problem> {
    let limits = [
        tokens("max_tokens", request.max_tokens)?,
        tokens("max_completion_tokens", request.max_completion_tokens)?,
    ];
    Ok(Style {
        max_tokens: limits.into_iter().flatten().min(),
        temperature: temperature(request.temperature)?,
        stop: stop(request.stop.as_ref())?,
    })
}

fn tokens(field: &'static str, given: Option<i64>) -> Result<Option<u32>, Problem> {
    let Some(given) = given else { return Ok(None) };
    if given < 1 {
        return Err(Problem::invalid(field, "is too small", "1 or more").given(&given.to_string()));
    }
    Ok(Some(u32::try_from(given).unwrap_or(u32::MAX)))
}

fn temperature(given: Option<f64>) -> Result<Option<f32>, Problem> {
    let Some(given) = given else { return Ok(None) };
    if !(0.0..=TEMPERATURE_MAX).contains(&given) {
        let allowed = format!("0 to {TEMPERATURE_MAX}");
        return Err(Problem::invalid("temperature", "is out of range", allowed).given(&given.to_string()));
    }
    Ok(Some(given as f32))
}

fn stop(given: Option<&Stop>) -> Result<Vec<String>, Problem> {
    let wrong = |what| {
        let allowed = format!("a text, or up to {STOPS_MAX}, of 1 to {STOP_BYTES_MAX} bytes each");
        Err(Problem::invalid("stop", what, allowed))
    };
    let texts = match given {
        None => return Ok(Vec::new()),
        Some(Stop::One(text)) => std::slice::from_ref(text),
        Some(Stop::Many(texts)) => texts,
        Some(Stop::Other(IgnoredAny)) => return wrong("is no text"),
    };
    if texts.len() > STOPS_MAX {
        return wrong("has too many texts");
    }
    if !texts.iter().all(|text| (1..=STOP_BYTES_MAX).contains(&text.len())) {
        return wrong("has a text that is empty or too long");
    }
    Ok(texts.to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(wishes: Value) -> Result<Style, Problem> {
        let mut request = json!({"model": "docmill", "messages": []});
        let fields = wishes.as_object().unwrap().clone();
        request.as_object_mut().unwrap().extend(fields);
        of(&serde_json::from_value(request).unwrap())
    }

    #[test]
    fn wishes_are_read() {
        assert_eq!(read(json!({})), Ok(Style::default()));
        let none = json!({"max_tokens": null, "temperature": null, "stop": null});
        assert_eq!(read(none), Ok(Style::default()));
        let all =
            json!({"max_tokens": 90, "max_completion_tokens": 9, "temperature": 1, "stop": ["a", "b"]});
        let stop = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(read(all), Ok(Style { max_tokens: Some(9), temperature: Some(1.0), stop }));
        assert_eq!(read(json!({"stop": "\n"})).unwrap().stop, ["\n"]);
        assert_eq!(read(json!({"max_tokens": 1_i64 << 40})).unwrap().max_tokens, Some(u32::MAX));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (wishes, field) in [
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"max_completion_tokens": -1}), "max_completion_tokens"),
            (json!({"temperature": 2.1}), "temperature"),
            (json!({"temperature": -0.1}), "temperature"),
            (json!({"stop": ""}), "stop"),
            (json!({"stop": 5}), "stop"),
            (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
            (json!({"stop": ["x".repeat(257)]}), "stop"),
        ] {
            let problem = serde_json::to_value(read(wishes.clone()).unwrap_err()).unwrap();
            assert_eq!((&problem["status"], &problem["field"]), (&json!(422), &json!(field)), "{wishes}");
        }
    }
}
