//! `cargo xtask corpus`: fetches and assembles the demo documents.

/// Assembles the documents.
pub fn run() -> anyhow::Result<()> {
    anyhow::bail!("not written yet")
}
