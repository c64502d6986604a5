//! Proofs of the operator on a cluster without a node. The operator is a process of this machine.

use anyhow::Result;

use crate::proof::{self, PassedOn};
use crate::{images, process};

/// The operator killed at every write, lied to, edited behind its back, one of two, gone.
pub fn faults(passed: &PassedOn) -> Result<()> {
    proof::build_as_tests_do()?;
    let program = process::target_dir().join("debug/docmill-operator");
    proof::run("debug/cluster_faults", &passed.after("--operator", &program))
}

/// Many pipelines under one operator as it is shipped: memory and time of a dev build mean little.
pub fn scale(passed: &PassedOn) -> Result<()> {
    proof::build_as_tests_do()?;
    let program = images::shipped_operator()?;
    proof::run("debug/cluster_scale", &passed.after("--operator", &program))
}
