//! `docmill bench`: servers measured from outside, one configuration and one level after the other.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use docmill_worker::whole_file;
use serde_json::{Value, json};

use crate::args::{Bench, BenchAsk, BenchSearch, Config, Global, Level, Server, WhatIsAsked};
use crate::bench::{self, Compared, Figures, Kind, Load, Questions, Target};
use crate::failure::Failure;
use crate::output;
use crate::server::address;

/// What is asked to find out what a server is, before anything is measured.
const FIRST: &str = "What is this about?";
/// What `final_answer` calls the mock of a model.
const MOCK_MODEL: &str = "mock";

pub async fn execute(global: &Global, asked: Bench) -> Result<ExitCode, Failure> {
    match asked {
        Bench::Ask(asked) => ask(global, &asked).await,
        Bench::Search(asked) => search(global, &asked).await,
    }
}

async fn ask(global: &Global, asked: &BenchAsk) -> Result<ExitCode, Failure> {
    let questions = questions(&asked.questions)?;
    let most = asked.max_concurrent.unwrap_or(Level::MAX);
    let levels: Vec<Level> = asked.concurrency.iter().copied().filter(|level| *level <= most).collect();
    if levels.is_empty() {
        let message = format!("no level of --concurrency is at most {most}");
        return Err(Failure::new("bench_other", message, "raise --max-concurrent (MAX_CONCURRENT)"));
    }
    let mut done = Vec::new();
    for config in configs(global, asked).await? {
        let server = of(&asked.base_url, config).ok_or_else(|| {
            let message = format!("no --base-url is given for {}", config.as_str());
            Failure::new("bench_other", message, "give CONFIG=URL, or a URL for all of them")
        })?;
        let local = target(global, server)?;
        let other = of(&asked.compare_url, config).map(|server| target(global, server)).transpose()?;
        for target in std::iter::once(&local).chain(&other) {
            check(target, config).await?;
        }
        let mut measured = Vec::new();
        for concurrency in &levels {
            let load = Load {
                kind: Kind::Ask,
                concurrency: *concurrency,
                requests: asked.requests,
                remembered: asked.remembered,
                questions: questions.clone(),
            };
            let figures = bench::run(&local, &load).await?;
            let compared = match &other {
                Some(other) => Some(bench::run(other, &load).await?),
                None => None,
            };
            measured.push(bench::Level::of(*concurrency, figures, compared));
        }
        if !global.json {
            let remembered = if asked.remembered { ", remembered where they were" } else { "" };
            println!(
                "{} ({} requests a level{remembered})\n{}\n",
                config.as_str(),
                asked.requests,
                bench::asked(&measured)
            );
        }
        done.push(Compared {
            config: config.as_str(),
            base_url: local.url.clone(),
            compare_url: other.map(|other| other.url),
            levels: measured,
        });
    }
    let report = json!({"benchmark": "ask", "requests": asked.requests, "remembered": asked.remembered,
        "configs": done});
    write(&asked.output, &report)?;
    if global.json {
        output::json(&report)?;
    }
    let all = done.iter().flat_map(|config| &config.levels);
    verdict(all.flat_map(|level| std::iter::once(&level.local).chain(&level.compared)))
}

async fn search(global: &Global, asked: &BenchSearch) -> Result<ExitCode, Failure> {
    let questions = questions(&asked.questions)?;
    let target = target(global, &asked.base_url)?;
    let mut levels = Vec::new();
    for concurrency in &asked.concurrency {
        let load = Load {
            kind: Kind::Search,
            concurrency: *concurrency,
            requests: asked.requests,
            remembered: !asked.no_cache,
            questions: questions.clone(),
        };
        levels.push(bench::Level::of(*concurrency, bench::run(&target, &load).await?, None));
    }
    if global.json {
        output::json(&json!({"benchmark": "search", "requests": asked.requests, "base_url": target.url,
            "remembered": !asked.no_cache, "levels": levels}))?;
    } else {
        println!("{}", bench::searched(&levels));
    }
    verdict(levels.iter().map(|level| &level.local))
}

/// Which configurations: those that were named, else what the servers are.
async fn configs(global: &Global, asked: &BenchAsk) -> Result<Vec<Config>, Failure> {
    if !asked.configs.is_empty() {
        return Ok(asked.configs.clone());
    }
    let mut found = Vec::new();
    for server in &asked.base_url {
        match server.config {
            Some(config) => found.push(config),
            None => {
                let target = target(global, &server.url)?;
                let config = Config::of(
                    has_mock_embeddings(&target).await?.unwrap_or(false),
                    is_mock(&target).await?,
                );
                found.push(config);
            }
        }
    }
    Ok(found)
}

/// The server of a configuration: its own, else the one for all.
fn of(servers: &[Server], config: Config) -> Option<&str> {
    let own = servers.iter().find(|server| server.config == Some(config));
    own.or_else(|| servers.iter().find(|server| server.config.is_none())).map(|server| server.url.as_str())
}

fn target(global: &Global, url: &str) -> Result<Target, Failure> {
    let key = address::key(global.api_key_file.as_deref(), std::env::var(address::KEY_VARIABLE).ok())?;
    Ok(Target::new(url, key)?.or_token(global.data_dir().ok().and_then(address::token)))
}

/// Refuses figures of something else than they are said to be of.
async fn check(target: &Target, config: Config) -> Result<(), Failure> {
    let embeddings = has_mock_embeddings(target).await?;
    let is = Config::of(
        embeddings.unwrap_or(matches!(config, Config::MockEmbeddings | Config::MockBoth)),
        is_mock(target).await?,
    );
    if is == config {
        return Ok(());
    }
    let message = format!("{} is {}, not {}", target.url, is.as_str(), config.as_str());
    let advice = "start it with USE_MOCK_LLM=1 or without, on documents that were ingested with USE_MOCK_EMBEDDINGS=1 or without";
    Err(Failure::new("bench_other", message, advice))
}

/// Whether a mock writes its answers.
async fn is_mock(target: &Target) -> Result<bool, Failure> {
    let answer = bench::first_answer(target, FIRST).await?;
    Ok(answer["model"].as_str() == Some(MOCK_MODEL))
}

/// Whether its vectors are without meaning; none where it does not say.
async fn has_mock_embeddings(target: &Target) -> Result<Option<bool>, Failure> {
    let indexes = bench::indexes(target).await?;
    let active =
        indexes["indexes"].as_array().into_iter().flatten().find(|index| index["state"] == "active");
    Ok(active.and_then(|index| index["embeddings"].as_str()).map(|name| name.starts_with(MOCK_MODEL)))
}

fn questions(asked: &WhatIsAsked) -> Result<Arc<Questions>, Failure> {
    let questions = match &asked.file {
        Some(file) => Questions::of_file(file)?,
        None => Questions::some(),
    };
    Ok(Arc::new(match asked.zipf {
        Some(distinct) => questions.by_zipf(distinct),
        None => questions,
    }))
}

fn write(path: &Path, report: &Value) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(report).map_err(|error| Failure::internal(error.to_string()))?;
    whole_file::write(path, |file| Ok(file.write_all(&text)?))
}

fn verdict<'a>(figures: impl Iterator<Item = &'a Figures>) -> Result<ExitCode, Failure> {
    let (mut failed, mut why) = (0, None);
    for figures in figures {
        failed += figures.failed;
        why = why.or(figures.failure.as_deref());
    }
    if failed == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let message = format!("{failed} requests failed, the first with: {}", why.unwrap_or_default());
    Err(Failure::new(
        "bench_failed",
        message,
        "look at the server's log; figures beside failures say little",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_has_its_own_server_or_the_one_for_all() {
        let server = |config, url: &str| Server { config, url: url.to_owned() };
        let servers = [server(None, "http://all"), server(Some(Config::MockBoth), "http://mock")];
        assert_eq!(of(&servers, Config::MockBoth), Some("http://mock"));
        assert_eq!(of(&servers, Config::Baseline), Some("http://all"));
        assert_eq!(of(&servers[1..], Config::Baseline), None);
    }
}
