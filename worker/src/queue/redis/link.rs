//! The connection: made when needed, shared by all callers, dropped when it broke. Every wait has an end.

use std::io;
use std::time::{Duration, Instant};

use redis::{
    Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, RetryMethod, ScriptInvocation,
    ServerErrorKind, Value,
};
use tokio::sync::Mutex;

use super::connect::{Call, Wire, connect};
use super::options::RedisOptions;
use crate::queue::Error;

/// Trials of one call. With the pauses between them a server that restarts at once is waited for.
pub const TRIALS_MAX: u32 = 3;

/// Pause before the second trial, in milliseconds; doubled before each further one.
pub const PAUSE_MS: u64 = 100;

/// Whether a call may be made again when nobody knows whether it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// A second time changes nothing, or only what a lease heals.
    Harmless,
    /// A second time would give another answer.
    Never,
}

/// The way to Redis.
pub struct Link {
    options: RedisOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Counts the connections, so that a caller drops only the one that failed it.
    number: u64,
    wire: Option<Wire>,
    /// The last connection that could not be made.
    failed: Option<(Instant, RedisError)>,
}

impl Link {
    /// A link that connects when it is first used.
    pub fn new(options: RedisOptions) -> Self {
        Self { options, state: Mutex::default() }
    }

    /// What it was made of.
    pub fn options(&self) -> &RedisOptions {
        &self.options
    }

    /// Calls a script.
    pub async fn invoke<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        repeat: Repeat,
    ) -> Result<T, Error> {
        let answer = self.call(Call::Script(script), repeat).await;
        let answer = answer.and_then(|value| Ok(redis::from_redis_value(value)?));
        answer.map_err(|error| self.describe(&error))
    }

    /// Sends a plain command to the server that has this key.
    pub async fn command<T: FromRedisValue>(&self, command: &Cmd, key: &str) -> Result<T, RedisError> {
        let value = self.call(Call::Command { command, key }, Repeat::Harmless).await?;
        Ok(redis::from_redis_value(value)?)
    }

    async fn call(&self, call: Call<'_>, repeat: Repeat) -> RedisResult<Value> {
        let mut trial = 1;
        loop {
            let (error, again) = match self.wire().await {
                Err(error) => {
                    let again = may_connect_later(&error);
                    (error, again)
                }
                Ok((number, wire)) => match wire.send(call).await {
                    Ok(value) => return Ok(value),
                    Err(error) => {
                        let verdict = judge(&error);
                        if verdict != Verdict::Answered {
                            self.drop_wire(number).await;
                        }
                        let again = match verdict {
                            Verdict::Refused => true,
                            Verdict::Lost => repeat == Repeat::Harmless,
                            Verdict::Answered => passes(&error),
                        };
                        (error, again)
                    }
                },
            };
            if !again || trial == TRIALS_MAX {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(PAUSE_MS << (trial - 1))).await;
            trial += 1;
        }
    }

    /// The open connection and its number.
    async fn wire(&self) -> RedisResult<(u64, Wire)> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(wire) = &state.wire {
            return Ok((state.number, wire.clone()));
        }
        // Who waited while somebody else failed to connect has its answer too: a hundred waiters do
        // not try one after the other.
        if let Some((when, error)) = &state.failed
            && *when >= asked
        {
            return Err(error.clone());
        }
        match connect(&self.options).await {
            Ok(wire) => {
                state.number += 1;
                state.wire = Some(wire.clone());
                state.failed = None;
                Ok((state.number, wire))
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn drop_wire(&self, number: u64) {
        let mut state = self.state.lock().await;
        if state.number == number {
            state.wire = None;
        }
    }

    /// What went wrong, in words for people, with the place and without secrets.
    pub fn describe(&self, error: &RedisError) -> Error {
        let place = &self.options.url;
        Error(match error.kind() {
            ErrorKind::AuthenticationFailed => {
                format!("{place} refused the user name or the password ({error})")
            }
            _ if error.code() == Some("NOAUTH") => {
                format!("{place} wants a user name and a password, and none were given ({error})")
            }
            ErrorKind::Server(ServerErrorKind::NoPerm) => {
                format!("the user lacks a right at {place} ({error}); see the findings of check-config")
            }
            _ if error.code() == Some("OOM") => {
                format!("{place} has no memory left: raise maxmemory or stop enqueueing ({error})")
            }
            _ => format!("{place}: {error}"),
        })
    }
}

/// What an error says of a call that was sent.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The server answered; the connection is good.
    Answered,
    /// The server refused without an effect, and another connection may lead to a better one.
    Refused,
    /// Nobody knows whether it was carried out.
    Lost,
}

fn judge(error: &RedisError) -> Verdict {
    match error.kind() {
        // After a fail-over: the master that we knew is a replica now.
        ErrorKind::Server(ServerErrorKind::ReadOnly) => Verdict::Refused,
        // A time-out too: behind a half-open connection every later call would wait as long.
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => Verdict::Lost,
        _ => Verdict::Answered,
    }
}

/// Whether what the server said will pass: it reads its file, or a cluster chooses a master.
fn passes(error: &RedisError) -> bool {
    matches!(error.retry_method(), RetryMethod::WaitAndRetry)
}

/// Whether it may be possible to connect in a moment. Wrong passwords and certificates stay wrong.
fn may_connect_later(error: &RedisError) -> bool {
    if passes(error) {
        return true;
    }
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    error.kind() == ErrorKind::Io && io.is_none_or(|io| io.kind() != io::ErrorKind::InvalidData)
}
