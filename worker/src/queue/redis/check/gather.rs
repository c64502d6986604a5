//! Asks a server for the facts. What it may not be asked stays unknown; only no answer at all is an error.

use std::collections::HashMap;

use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value};

use super::super::link::Link;
use super::super::{Keys, RedisUrl};
use super::rights::{ALSO_KNOWN, KEY, RIGHTS};
use super::{DefaultUser, Facts, Version};

/// Collects the facts.
pub async fn gather(link: &Link, keys: &Keys, url: &RedisUrl) -> Result<Facts, RedisError> {
    let info = Asker { link, key: keys.probe() };
    let about: Option<String> = info.ask(&["INFO"]).await?;
    let about = about.as_deref().map(fields).unwrap_or_default();
    let fact = |name: &str| about.get(name).map(|value| (*value).to_owned());
    let appendfsync: Option<Vec<String>> = info.ask(&["CONFIG", "GET", "appendfsync"]).await?;
    let default_user: Option<Value> = info.ask(&["ACL", "GETUSER", "default"]).await?;
    Ok(Facts {
        tls: url.tls,
        local: url.is_local(),
        version: about.get("redis_version").and_then(|version| parse_version(version)),
        role: fact("role"),
        append_only: about.get("aof_enabled").map(|enabled| *enabled == "1"),
        append_ok: about.get("aof_last_write_status").map(|status| *status == "ok"),
        appendfsync: appendfsync.and_then(|pair| pair.into_iter().nth(1)),
        maxmemory_policy: fact("maxmemory_policy"),
        default_user: default_user.map_or(DefaultUser::Hidden, parse_user),
        commands_missing: info.missing().await?,
        commands_denied: info.denied().await?,
    })
}

struct Asker<'a> {
    link: &'a Link,
    key: String,
}

impl Asker<'_> {
    async fn call<T: FromRedisValue>(&self, words: &[&str]) -> Result<T, RedisError> {
        let mut command = Cmd::new();
        for word in words {
            command.arg(if *word == KEY { self.key.as_str() } else { word });
        }
        self.link.command(&command, &self.key).await
    }

    /// The answer; none where the server refuses it: a missing right, a command that it does not have.
    async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Result<Option<T>, RedisError> {
        match self.call(words).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if answered(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn missing(&self) -> Result<Vec<String>, RedisError> {
        let mut names: Vec<&str> = ALSO_KNOWN.to_vec();
        names.extend(RIGHTS.iter().map(|right| right.rule.split('|').next().unwrap_or(right.rule)));
        names.dedup();
        let mut words = vec!["COMMAND", "INFO"];
        words.extend(&names);
        let Some(known) = self.ask::<Vec<Value>>(&words).await? else { return Ok(Vec::new()) };
        let missing = names.iter().zip(known).filter(|(_, known)| *known == Value::Nil);
        Ok(missing.map(|(name, _)| (*name).to_owned()).collect())
    }

    async fn denied(&self) -> Result<Vec<String>, RedisError> {
        let mut denied = Vec::new();
        for right in RIGHTS {
            match self.call::<Value>(right.probe).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {
                    denied.push(right.rule.to_owned());
                }
                Err(error) if !answered(&error) => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(denied)
    }
}

/// Whether the server said no, as against not saying anything or asking who we are.
fn answered(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) && error.code() != Some("NOAUTH")
}

/// The fields of an INFO.
fn fields(info: &str) -> HashMap<&str, &str> {
    info.lines().filter_map(|line| line.trim_end().split_once(':')).collect()
}

fn parse_version(text: &str) -> Option<Version> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    let major = parts.next()??;
    Some(Version([major, parts.next().flatten().unwrap_or(0), parts.next().flatten().unwrap_or(0)]))
}

/// Reads ACL GETUSER: names and values in turn. Before Redis 7 the keys are a list without `~`.
fn parse_user(user: Value) -> DefaultUser {
    let Value::Array(parts) = user else { return DefaultUser::Hidden };
    let mut commands = String::new();
    let mut keys = String::new();
    for [name, value] in parts.as_chunks::<2>().0 {
        match String::from_redis_value(name.clone()).as_deref() {
            Ok("commands") => commands = words(value),
            Ok("keys") => keys = words(value),
            _ => {}
        }
    }
    if commands == "+@all" && matches!(keys.as_str(), "~*" | "*") {
        DefaultUser::MayAll
    } else {
        DefaultUser::Limited { commands, keys }
    }
}

fn words(value: &Value) -> String {
    match Vec::<String>::from_redis_value(value.clone()) {
        Ok(words) => words.join(" "),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("7.0.15"), Some(Version([7, 0, 15])));
        assert_eq!(parse_version("8.4"), Some(Version([8, 4, 0])));
        assert_eq!(parse_version("x"), None);
    }

    #[test]
    fn info_is_read() {
        let info = fields("# Server\r\nredis_version:7.0.15\r\n\r\n# Persistence\r\naof_enabled:1\r\n");
        assert_eq!(info["redis_version"], "7.0.15");
        assert_eq!(info["aof_enabled"], "1");
    }

    #[test]
    fn the_default_user_is_read() {
        let user = |commands: &str, keys: Value| {
            let flags = Value::Array(vec![text("off")]);
            let parts = vec![text("flags"), flags, text("commands"), text(commands), text("keys"), keys];
            parse_user(Value::Array(parts))
        };
        assert_eq!(user("+@all", text("~*")), DefaultUser::MayAll);
        assert_eq!(user("+@all", Value::Array(vec![text("*")])), DefaultUser::MayAll);
        let off = DefaultUser::Limited { commands: "-@all".to_owned(), keys: String::new() };
        assert_eq!(user("-@all", text("")), off);
        assert_eq!(parse_user(Value::Nil), DefaultUser::Hidden);
    }
}
