//! How questions are answered: times as numbers, and a model that can be asked at all.

use reqwest::Url;

use super::read::time_ms;
use super::{AskTimes, ModelTimes, Problem};
use crate::resource::{Ask, AskModel, Duration};

/// Reads times; what is none is noted.
pub(super) fn times(ask: &Ask, problems: &mut Vec<Problem>) -> AskTimes {
    let mut ms = |path, time: &Duration| time_ms(path, time, problems);
    AskTimes {
        cache_ttl_s: ms("spec.ask.cacheTtl", &ask.cache_ttl).div_ceil(1_000),
        model: ask.model.as_ref().map(|model| ModelTimes {
            connect_ms: ms("spec.ask.model.connectTimeout", &model.connect_timeout),
            first_token_ms: ms("spec.ask.model.firstTokenTimeout", &model.first_token_timeout),
            idle_ms: ms("spec.ask.model.idleTimeout", &model.idle_timeout),
            total_ms: ms("spec.ask.model.totalTimeout", &model.total_timeout),
        }),
        mock_model_delay_ms: ask
            .benchmark
            .as_ref()
            .map_or(0, |benchmark| ms("spec.ask.benchmark.mockModelDelay", &benchmark.mock_model_delay)),
    }
}

/// What API pods would refuse to start with. Addresses are not repeated: a key may stand in one.
pub(super) fn check(model: &AskModel) -> impl Iterator<Item = Problem> {
    let url = (!is_url(&model.url)).then(|| Problem {
        rule: "VP-14",
        path: "spec.ask.model.url",
        message: "it is not the address of a model; write https://HOST[:PORT]/v1".to_owned(),
    });
    let name = (!is_name(&model.name)).then(|| Problem {
        rule: "VP-15",
        path: "spec.ask.model.name",
        message: format!("{:?} is no name; write the one that the model's server lists", model.name),
    });
    url.into_iter().chain(name)
}

fn is_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.has_host())
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}
