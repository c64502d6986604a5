//! `docmill reindex`: another index beside the active one, then the switch.

use std::process::ExitCode;
use std::sync::Arc;

use super::Context;
use crate::args;
use crate::failure::{DOCUMENTS_FAILED, Failure};
use crate::output;

pub async fn execute(
    context: &Context,
    embeddings: Option<args::Embeddings>,
    concepts: Option<args::Concepts>,
    extraction: args::Extraction,
) -> Result<ExitCode, Failure> {
    let counters = Arc::default();
    let stop = crate::signals::stop();
    let progress = crate::progress::Progress::start(Arc::clone(&counters), context.json);
    let (embeddings, concepts) = (embeddings.map(Into::into), concepts.map(Into::into));
    let (tenant, extractor) = (context.tenant.clone(), crate::backend::extractor(&extraction)?);
    let done =
        crate::backend::reindex(&context.dir, tenant, embeddings, concepts, extractor, counters, stop)
            .await?;
    drop(progress);
    if context.json {
        output::json(&done)?;
    } else if done.from == done.to {
        println!("the index is made with {} already", done.to);
    } else if done.lacking == 0 {
        println!("{} documents indexed; searches read {} now", done.documents, done.to);
    } else {
        println!("{} documents still lack a place in the new index; run it again", done.lacking);
    }
    Ok(if done.lacking == 0 { ExitCode::SUCCESS } else { ExitCode::from(DOCUMENTS_FAILED) })
}
