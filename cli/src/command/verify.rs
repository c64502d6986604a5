//! `docmill verify`: the audit.

use std::process::ExitCode;

use super::Context;
use crate::failure::{FOUND_SOMETHING, Failure};
use crate::output::{self, escaped};

pub async fn execute(context: &Context, repair: bool) -> Result<ExitCode, Failure> {
    let findings = crate::backend::verify(&context.dir, context.tenant.clone(), repair).await?;
    if context.json {
        output::json(&findings)?;
    } else {
        let counts = [
            ("missing", findings.missing),
            ("orphan", findings.orphan),
            ("stale", findings.stale),
            ("duplicate", findings.duplicate),
            ("queue", findings.queue),
        ];
        let rows = counts.iter().map(|(name, count)| vec![(*name).to_owned(), count.to_string()]);
        println!("{}", output::table(&["finding", "count"], rows.collect()));
        println!("{} manifests and {} rows looked at", findings.checked_manifests, findings.checked_rows);
        for example in &findings.examples {
            println!("  {}", escaped(example));
        }
        if !findings.is_clean() {
            println!("{}", if repair { "repaired; verify again" } else { "next: docmill verify --repair" });
        }
    }
    Ok(if findings.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(FOUND_SOMETHING) })
}
