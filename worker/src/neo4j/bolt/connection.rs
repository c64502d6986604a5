//! One connection: handshake, login, transactions. Whoever drops it in the middle of something closes it,
//! and with it the server ends what it had begun there.

use std::time::Duration;

use super::frame::{Receiver, Sender, Stream, frames};
use super::value::Reader;
use super::{Error, Value, map};

/// What every connection begins with, and the versions that we offer: 5.4 down to 5.1, and 4.4.
const HANDSHAKE: [u8; 20] = [0x60, 0x60, 0xb0, 0x17, 0, 3, 4, 5, 0, 0, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0];
/// How a server of HTTP answers.
const HTTP: [u8; 4] = *b"HTTP";
/// How we call ourselves.
const AGENT: &str = concat!("docmill/", env!("CARGO_PKG_VERSION"));

const HELLO: u8 = 0x01;
const LOGON: u8 = 0x6a;
const RESET: u8 = 0x0f;
const RUN: u8 = 0x10;
const BEGIN: u8 = 0x11;
const COMMIT: u8 = 0x12;
const ROLLBACK: u8 = 0x13;
const PULL: u8 = 0x3f;
const SUCCESS: u8 = 0x70;
const RECORD: u8 = 0x71;
const IGNORED: u8 = 0x7e;
const FAILURE: u8 = 0x7f;

/// Who we are.
pub struct Login<'a> {
    /// The user.
    pub username: &'a str,
    /// Its password; none where the server asks for none.
    pub password: Option<&'a str>,
}

/// What a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and write.
    Write,
    /// Only read.
    Read,
}

/// The rows of a statement; each has a value for every name that the statement returns, in its order.
pub type Answer = Vec<Vec<Value>>;

/// A connection that is logged in.
pub struct Connection {
    sender: Sender,
    receiver: Receiver,
    server: String,
    /// Whether the server refused something since the last reset: it ignores all else until then.
    refused: bool,
}

impl Connection {
    /// Agrees on a version and logs in. Tries once.
    pub async fn open(stream: Box<dyn Stream>, login: &Login<'_>) -> Result<Self, Error> {
        let (mut sender, mut receiver) = frames(stream);
        sender.send_raw(&HANDSHAKE).await?;
        let modern = match receiver.receive_raw().await? {
            [_, _, 1..=4, 5] => true,
            [_, _, 4, 4] => false,
            HTTP => return Err(Error::Protocol("this is the port of HTTP, not of Bolt")),
            [0, 0, 0, 0] => return Err(Error::Protocol("the server speaks neither Bolt 5 nor 4.4")),
            _ => return Err(Error::Protocol("this is not Neo4j, or it expects TLS")),
        };
        let mut connection = Self { sender, receiver, server: String::new(), refused: false };
        let credentials = match login.password {
            Some(password) => vec![
                ("scheme".to_owned(), "basic".into()),
                ("principal".to_owned(), login.username.into()),
                ("credentials".to_owned(), password.into()),
            ],
            None => vec![("scheme".to_owned(), "none".into())],
        };
        let mut hello = vec![("user_agent".to_owned(), AGENT.into())];
        if modern {
            hello.push(("bolt_agent".to_owned(), map([("product", AGENT.into())])));
        } else {
            hello.extend(credentials.iter().cloned());
        }
        let said = connection.ask(&message(HELLO, &[Value::Map(hello)])).await?;
        connection.server = said.entry("server").and_then(Value::text).unwrap_or_default().to_owned();
        if modern {
            connection.ask(&message(LOGON, &[Value::Map(credentials)])).await?;
        }
        Ok(connection)
    }

    /// What the server calls itself, as `Neo4j/5.26.0`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Begins a transaction, which the server ends by itself after `limit`.
    pub async fn begin(
        &mut self,
        database: Option<&str>,
        access: Access,
        limit: Duration,
    ) -> Result<(), Error> {
        let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        let mut extra = vec![("tx_timeout".to_owned(), Value::Int(limit))];
        if access == Access::Read {
            extra.push(("mode".to_owned(), "r".into()));
        }
        if let Some(database) = database {
            extra.push(("db".to_owned(), database.into()));
        }
        self.ask(&message(BEGIN, &[Value::Map(extra)])).await.map(drop)
    }

    /// Runs a statement in the transaction and takes all of its rows.
    pub async fn run(&mut self, statement: &str, parameters: Value) -> Result<Answer, Error> {
        // Both at once: a statement is one round trip.
        self.sender.send(&statement_messages(statement, &parameters)).await?;
        receive_rows(&mut self.receiver, &mut self.refused).await
    }

    /// Runs these statements and commits, without waiting between them: the server goes on by itself whatever
    /// becomes of us, and nobody waits for locks of a client that stands still. Answers are read while the rest is
    /// sent, as a server that cannot get rid of them reads no more. Gives the answers of those before the first that
    /// was refused, and the refusal: then nothing took effect.
    pub async fn finish(
        &mut self,
        statements: &[(&str, Value)],
    ) -> Result<(Vec<Answer>, Option<Error>), Error> {
        let Self { sender, receiver, refused, .. } = self;
        let sending = async {
            for (statement, parameters) in statements {
                sender.send(&statement_messages(statement, parameters)).await?;
            }
            sender.send(&[message(COMMIT, &[])]).await
        };
        let receiving = async {
            let (mut answers, mut first_refusal) = (Vec::with_capacity(statements.len()), None);
            for _ in statements {
                match receive_rows(receiver, refused).await {
                    Ok(rows) => answers.push(rows),
                    // What follows is ignored by the server, which says so.
                    Err(error @ Error::Refused { .. }) => _ = first_refusal.get_or_insert(error),
                    Err(error) => return Err(error),
                }
            }
            match receive(receiver, refused, &mut |_| ()).await {
                Ok(_) => {}
                Err(error @ Error::Refused { .. }) => _ = first_refusal.get_or_insert(error),
                Err(error) => return Err(error),
            }
            Ok((answers, first_refusal))
        };
        let ((), answered) = futures::future::try_join(sending, receiving).await?;
        Ok(answered)
    }

    /// Commits the transaction. When the connection breaks meanwhile, nobody knows what became of it.
    pub async fn commit(&mut self) -> Result<(), Error> {
        self.ask(&message(COMMIT, &[])).await.map(drop)
    }

    /// Undoes the transaction, also one in which something was refused.
    pub async fn roll_back(&mut self) -> Result<(), Error> {
        let how = if self.refused { RESET } else { ROLLBACK };
        self.refused = false;
        self.ask(&message(how, &[])).await.map(drop)
    }

    async fn ask(&mut self, message: &[u8]) -> Result<Value, Error> {
        self.sender.send(&[message.to_vec()]).await?;
        receive(&mut self.receiver, &mut self.refused, &mut |_| ()).await
    }
}

/// Receives the answer to a statement.
async fn receive_rows(receiver: &mut Receiver, refused: &mut bool) -> Result<Answer, Error> {
    let run = match receive(receiver, refused, &mut |_| ()).await {
        Err(error) if !matches!(error, Error::Refused { .. }) => return Err(error),
        run => run,
    };
    let mut rows = Vec::new();
    // Also after a refusal: what follows is ignored by the server, and says so.
    let pulled = receive(receiver, refused, &mut |row| rows.push(row)).await;
    run?;
    pulled?;
    Ok(rows)
}

/// Receives rows until a message is answered.
async fn receive(
    receiver: &mut Receiver,
    refused: &mut bool,
    row: &mut (dyn FnMut(Vec<Value>) + Send),
) -> Result<Value, Error> {
    loop {
        let message = receiver.receive().await?;
        let mut reader = Reader::new(&message);
        let (fields, kind) = (reader.byte()?, reader.byte()?);
        match (kind, fields) {
            (IGNORED, _) => {
                return Err(Error::Refused { code: String::new(), message: "ignored".to_owned() });
            }
            (RECORD, 0xb1) => match reader.value()? {
                Value::List(values) => row(values),
                _ => return Err(Error::Protocol("a row is not a list")),
            },
            (SUCCESS, 0xb1) => return reader.value(),
            (FAILURE, 0xb1) => {
                *refused = true;
                let said = reader.value()?;
                let part = |name| said.entry(name).and_then(Value::text).unwrap_or_default().to_owned();
                return Err(Error::Refused { code: part("code"), message: part("message") });
            }
            _ => return Err(Error::Protocol("a message of an unknown kind")),
        }
    }
}

/// To run it and to take all of its rows.
fn statement_messages(statement: &str, parameters: &Value) -> [Vec<u8>; 2] {
    let mut run = vec![0xb3, RUN];
    [&statement.into(), parameters, &map([])].iter().for_each(|field| field.write(&mut run));
    [run, message(PULL, &[map([("n", Value::Int(-1))])])]
}

fn message(kind: u8, fields: &[Value]) -> Vec<u8> {
    // No message has more than a handful of fields.
    let mut bytes = vec![0xb0 | (fields.len() as u8 & 0x0f), kind];
    fields.iter().for_each(|field| field.write(&mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn answered(bytes: &[u8]) -> Error {
        let (here, mut there) = tokio::io::duplex(1 << 16);
        there.write_all(bytes).await.unwrap();
        let login = Login { username: "neo4j", password: Some("hunter2") };
        let opened = Connection::open(Box::new(here), &login).await;
        drop(there);
        opened.err().unwrap()
    }

    #[tokio::test]
    async fn whoever_is_no_neo4j_is_told_apart() {
        for (answer, part) in [(b"HTTP", "HTTP"), (&[0, 0, 0, 0], "neither"), (b"\x15\x03\x03\x00", "TLS")]
        {
            assert!(answered(answer).await.to_string().contains(part));
        }
    }

    #[tokio::test]
    async fn a_refused_login_has_its_code() {
        let failure = map([("code", "Neo.X".into()), ("message", "no".into())]);
        let refusal = message(FAILURE, &[failure]);
        let mut bytes = vec![0, 0, 4, 4, 0, refusal.len() as u8];
        bytes.extend_from_slice(&refusal);
        bytes.extend_from_slice(&[0, 0]);
        assert!(matches!(answered(&bytes).await, Error::Refused { code, .. } if code == "Neo.X"));
    }
}
