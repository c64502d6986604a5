//! `docmill verify`: the audit.

use std::process::ExitCode;

use super::Context;
use crate::failure::{FOUND_SOMETHING, Failure};
use crate::{findings, output};

pub async fn execute(context: &Context, repair: bool) -> Result<ExitCode, Failure> {
    let found = crate::backend::verify(&context.dir, context.tenant.clone(), repair).await?;
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
