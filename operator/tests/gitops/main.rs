//! What Argo CD and Flux make of a pipeline: what they are given is run on every state that the operator tells of.
#![allow(clippy::unwrap_used)]

mod argocd;
mod flux;
#[path = "../support/mod.rs"]
mod support;
