//! Reads documents in this process, as nobody should: what the sandbox costs is measured beside it.

use std::fs::File;

use docmill_core::failure::{Failure, FailureCode};

use super::source::Source;
use super::work::{self, Task, Tools};
use super::{Event, ExtractOptions, Input, Spent};

/// What a child keeps from document to document.
#[derive(Default)]
pub struct Here {
    tools: Tools,
}

impl Here {
    /// CPU time of all pages so far that were recognised.
    pub fn spent(&self) -> Spent {
        self.tools.recogniser.spent()
    }

    /// All that a child would say of a document.
    ///
    /// # Errors
    /// The document's, as from a child.
    pub fn read(&mut self, input: &Input, options: &ExtractOptions) -> Result<Vec<Event>, Failure> {
        let file = File::open(&input.path)
            .map_err(|error| Failure::new(FailureCode::Unreadable, error.to_string()))?;
        let task = Task {
            source: Source::File(file),
            kind: None,
            name: &input.name,
            options,
            pages: input.resume_from_page.max(1)..=u32::MAX,
            lost: &input.lost,
        };
        let mut events = Vec::new();
        let mut keep = |event| {
            events.push(event);
            Ok(())
        };
        work::read(task, &mut self.tools, &mut keep)?;
        Ok(events)
    }
}
