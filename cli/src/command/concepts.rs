//! `docmill concepts`: what most documents mention.

use std::process::ExitCode;

use docmill_worker::sqlite::read;

use super::Context;
use crate::failure::Failure;
use crate::output::{self, escaped};

pub fn execute(context: &Context, top: usize) -> Result<ExitCode, Failure> {
    let concepts = context.read(|connection| read::concepts(connection, &context.tenant, top))?;
    if context.json {
        output::json(&serde_json::json!({ "concepts": concepts }))?;
    } else if concepts.is_empty() {
        println!("no concepts yet");
    } else {
        let rows = concepts.iter().map(|concept| {
            vec![
                escaped(&concept.name),
                concept.kind.clone(),
                concept.mentions.to_string(),
                concept.documents.to_string(),
            ]
        });
        println!("{}", output::table(&["concept", "kind", "mentions", "documents"], rows.collect()));
    }
    Ok(ExitCode::SUCCESS)
}
