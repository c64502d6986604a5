//! `docmill verify`: the audit.

use std::process::ExitCode;

use super::Context;
use crate::args;
use crate::failure::{FOUND_SOMETHING, Failure};
use crate::{findings, output};

pub async fn execute(
    context: &Context,
    repair: bool,
    extraction: args::Extraction,
) -> Result<ExitCode, Failure> {
    let (tenant, extractor) = (context.tenant.clone(), crate::backend::extractor(&extraction)?);
    let found = crate::backend::verify(&context.dir, tenant, repair, extractor).await?;
    if context.json {
        output::json(&found)?;
    } else {
        findings::print(&found, None);
        if !found.is_clean() {
            println!("{}", if repair { "repaired; verify again" } else { "next: docmill verify --repair" });
        }
    }
    Ok(if found.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(FOUND_SOMETHING) })
}
