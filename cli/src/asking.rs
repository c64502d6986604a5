//! An answer that comes piece by piece, told to whoever asked: here and at a server alike.

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

use crate::answers;
use crate::failure::Failure;
use crate::output;

/// Tells an answer.
pub struct Telling {
    json: bool,
    /// Pieces are printed as they come.
    streams: bool,
    /// Some were.
    begun: bool,
}

impl Telling {
    /// To people as it comes if `streams`; to programs when it is whole.
    pub fn new(json: bool, streams: bool) -> Self {
        Self { json, streams: streams && !json, begun: false }
    }

    /// The next piece.
    pub fn message(&mut self, delta: &str) -> Result<(), Failure> {
        if self.streams && !delta.is_empty() {
            self.begun = true;
            let mut out = std::io::stdout().lock();
            out.write_all(answers::shown(delta).as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }

    /// The whole answer, as the API's `FinalAnswer`.
    pub fn end(&mut self, answer: &Value) -> Result<ExitCode, Failure> {
        if self.json {
            output::json(answer)?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.begun {
            println!();
        } else {
            println!("{}", answers::shown(answer["answer"].as_str().unwrap_or_default()));
        }
        answers::sources(answer);
        Ok(ExitCode::SUCCESS)
    }

    /// It ends here, and not with its end.
    pub fn cut(&self) {
        if self.begun {
            println!();
        }
    }
}
