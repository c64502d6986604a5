//! all-MiniLM-L6-v2 inside the process: tokenizer, ONNX model by rten, mean pooling, unit length.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rten::{Model, NodeId, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};
use tokenizers::{Tokenizer, TruncationParams};

use super::{Embedding, EmbeddingModel, Error, normalize};
use crate::vector::Passages;

/// Longer texts are cut: the model has no more positions.
const TOKENS_MAX: usize = 512;
/// The vector of the whole is the mean of this many: the model was trained on 128 and evaluated on 256,
/// and the more a vector sums up, the less it is near to any question.
const SUMMED_TOKENS_MAX: usize = 256;
/// A passage and the way to the next, in tokens. The model saw the whole text, so that a passage costs
/// nothing but its mean. Of the lengths tried on the paraphrases of `bench machine --only quality` (24,
/// 32, 48, 64, 96) the shortest answered most; two overlap by half, so that none cuts a thought.
const PASSAGE_TOKENS: usize = 24;
const PASSAGE_STEP: usize = 12;
/// Measured: batches of 4 to 8 are fastest, 32 is slower and takes three times the memory.
const BATCH_TEXTS_MAX: usize = 8;

/// The model, loaded and checked. Calls from several threads run at the same time, one core each.
pub struct MiniLm {
    tokenizer: Tokenizer,
    model: Model,
    /// Inputs as the graph names them: token ids, attention mask, token types.
    inputs: [NodeId; 3],
    output: NodeId,
    /// One-thread pools, one for each call that runs now: rten would otherwise spread every operator
    /// over all cores, which costs up to 14 % more, and one shared pool would run calls one by one.
    pools: Mutex<Vec<Arc<ThreadPool>>>,
}

impl MiniLm {
    /// Length of the vectors.
    pub const DIMENSIONS: usize = 384;
    /// Changes with the weights, the pooling or the cut, as then old vectors compare with nothing new.
    pub const FINGERPRINT: &'static str = "all-minilm-l6-v2/fp32/mean-l2/256/passages-24-12-512";

    /// Loads from the first directory of the search path that has the model.
    pub fn load_default() -> Result<Self, Error> {
        let searched = search_path();
        match searched.iter().find(|dir| dir.join("model.onnx").is_file()) {
            Some(dir) => Self::load(dir),
            None => {
                let searched: Vec<_> = searched.iter().map(|dir| dir.display().to_string()).collect();
                Err(Error::Missing { searched: searched.join(", ") })
            }
        }
    }

    /// Loads `model.onnx` and `tokenizer.json` from `dir`, and checks that they compute what they should.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let failed = |detail: String| Error::Load {
            dir: dir.display().to_string(),
            detail: detail.replace('\n', " "),
        };
        if !dir.join("model.onnx").is_file() {
            return Err(Error::Missing { searched: dir.display().to_string() });
        }
        let mut tokenizer =
            Tokenizer::from_file(dir.join("tokenizer.json")).map_err(|e| failed(e.to_string()))?;
        let truncation = TruncationParams { max_length: TOKENS_MAX, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|e| failed(e.to_string()))?;
        // The file pads every text to 128 tokens; we pad to the longest of a batch.
        tokenizer.with_padding(None);
        let model = Model::load_file(dir.join("model.onnx")).map_err(|e| failed(e.to_string()))?;
        let node = |name: &str| model.node_id(name).map_err(|e| failed(e.to_string()));
        let inputs = [node("input_ids")?, node("attention_mask")?, node("token_type_ids")?];
        let output = node("last_hidden_state")?;
        let minilm = Self { tokenizer, model, inputs, output, pools: Mutex::default() };
        minilm.self_test()?;
        // A pool's thread computes with the priority of the thread that made it: not with ours, who only load.
        lock(&minilm.pools).clear();
        Ok(minilm)
    }

    /// Embeds on the calling thread.
    pub fn embed_blocking(&self, texts: &[String]) -> Result<Vec<Embedding>, Error> {
        let mut tokens = Vec::with_capacity(texts.len());
        for text in texts {
            let encoding = self
                .tokenizer
                .encode_fast(text.as_str(), true)
                .map_err(|e| Error::Tokenize { detail: e.to_string() })?;
            tokens.push(encoding.get_ids().to_vec());
        }
        // Texts of like length share a batch, as each is padded to the longest.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&i| tokens[i].len());
        let mut embeddings = vec![Embedding::from(Vec::new()); texts.len()];
        for batch in order.chunks(BATCH_TEXTS_MAX) {
            let ids: Vec<&[u32]> = batch.iter().map(|&i| tokens[i].as_slice()).collect();
            for (&i, embedding) in batch.iter().zip(self.infer(&ids)?) {
                embeddings[i] = embedding;
            }
        }
        Ok(embeddings)
    }

    fn infer(&self, texts: &[&[u32]]) -> Result<Vec<Embedding>, Error> {
        let length = texts.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let shape = [texts.len(), length];
        let mut ids = vec![0i32; shape[0] * shape[1]];
        let mut mask = vec![0i32; shape[0] * shape[1]];
        for (row, text) in texts.iter().enumerate() {
            for (column, &id) in text.iter().enumerate() {
                ids[row * length + column] = id as i32;
                mask[row * length + column] = 1;
            }
        }
        let types = vec![0i32; shape[0] * shape[1]];
        let [ids_node, mask_node, types_node] = self.inputs;
        let inputs = vec![
            (ids_node, NdTensorView::from_data(shape, ids.as_slice()).into()),
            (mask_node, NdTensorView::from_data(shape, mask.as_slice()).into()),
            (types_node, NdTensorView::from_data(shape, types.as_slice()).into()),
        ];
        let pool = lock(&self.pools).pop().unwrap_or_else(|| Arc::new(ThreadPool::with_num_threads(1)));
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&pool)));
        let result = self.model.run_n(inputs, [self.output], Some(options));
        lock(&self.pools).push(pool);
        let [hidden] = result.map_err(|e| Error::Inference { detail: e.to_string() })?;
        let hidden: NdTensor<f32, 3> = hidden
            .try_into()
            .map_err(|_| Error::Inference { detail: "the model's output is no f32 tensor".into() })?;
        if hidden.shape() != [shape[0], shape[1], Self::DIMENSIONS] {
            let detail = format!("the model's output has shape {:?}", hidden.shape());
            return Err(Error::Inference { detail });
        }
        let hidden = hidden.to_vec();
        Ok(texts
            .iter()
            .zip(hidden.chunks_exact(length * Self::DIMENSIONS))
            .map(|(text, rows)| pooled(&rows[..text.len() * Self::DIMENSIONS]))
            .collect())
    }

    /// Embeds three fixed texts and compares with what the original model gives. A quantised or damaged file,
    /// or an engine's fault, gives plausible vectors without an error; this is what notices.
    fn self_test(&self) -> Result<(), Error> {
        let texts: Vec<String> = SELF_TEST.iter().map(|(text, _)| (*text).to_owned()).collect();
        let embeddings = self.embed_blocking(&texts)?;
        for ((text, expected), embedding) in SELF_TEST.iter().zip(&embeddings) {
            for (position, (expected, found)) in expected.iter().zip(&embedding.vector).enumerate() {
                let off = (expected - found).abs();
                if off.is_nan() || off > SELF_TEST_TOLERANCE {
                    let detail =
                        format!("component {position} of {text:?} is {found}, expected {expected}");
                    return Err(Error::SelfTest { detail });
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl EmbeddingModel for MiniLm {
    fn fingerprint(&self) -> &str {
        Self::FINGERPRINT
    }

    fn dimensions(&self) -> usize {
        Self::DIMENSIONS
    }

    fn declares(&self, language: &str) -> bool {
        language == "en"
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Embedding>, Error> {
        self.embed_blocking(&texts)
    }
}

/// The first components by the original model (PyTorch and onnxruntime agree to 1e-6).
const SELF_TEST: [(&str, [f32; 8]); 3] = [
    (
        "The cat sat on the mat.",
        [0.130237, -0.015773, -0.036717, 0.057986, -0.059792, 0.033054, 0.030124, 0.028927],
    ),
    (
        "A kitten was sitting on the rug.",
        [0.045133, 0.020477, 0.009093, 0.07088, -0.02551, 0.041205, 0.023148, 0.031422],
    ),
    (
        "Quarterly revenue grew by nine percent.",
        [0.052321, -0.029971, -0.003842, -0.034383, 0.038213, 0.026051, -0.003771, 0.0824],
    ),
];

/// Room for another order of additions, far below what quantisation does.
const SELF_TEST_TOLERANCE: f32 = 5e-4;

/// The mean of the first tokens, and the signs of the means of passages.
fn pooled(tokens: &[f32]) -> Embedding {
    let mut passages = Passages::default();
    let rest = tokens.len().saturating_sub(PASSAGE_STEP * MiniLm::DIMENSIONS).max(1);
    for start in (0..rest).step_by(PASSAGE_STEP * MiniLm::DIMENSIONS) {
        let end = tokens.len().min(start + PASSAGE_TOKENS * MiniLm::DIMENSIONS);
        passages.push(&mean(&tokens[start..end]));
    }
    let summed = tokens.len().min(SUMMED_TOKENS_MAX * MiniLm::DIMENSIONS);
    Embedding { vector: mean(&tokens[..summed]), passages }
}

/// Mean of the rows, at unit length.
fn mean(rows: &[f32]) -> Vec<f32> {
    let mut sum = vec![0.0; MiniLm::DIMENSIONS];
    for row in rows.chunks_exact(MiniLm::DIMENSIONS) {
        for (sum, x) in sum.iter_mut().zip(row) {
            *sum += x;
        }
    }
    // Unit length makes the division by the number of rows needless.
    normalize(&mut sum);
    sum
}

/// `$DOCMILL_MODELS`, beside the binary, the user's cache: what a person sets wins over what is packaged.
fn search_path() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("models")));
    let cache = set("DOCMILL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("docmill")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/docmill")))
        .map(|dir| dir.join("models"));
    let roots = [set("DOCMILL_MODELS"), beside, cache];
    roots.into_iter().flatten().map(|root| root.join("minilm-l6-v2")).collect()
}

/// A pool list stays valid whatever panicked while it was held.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::cosine;
    use super::*;

    #[test]
    fn the_installed_model_passes_its_self_test_and_batches_change_nothing() {
        let model = MiniLm::load_default().expect("`make setup` installs the model");
        let texts: Vec<String> = (0..11)
            .map(|i| format!("Text {i}: {}", "several words of unequal length ".repeat(i * i)))
            .chain(["".to_owned(), "日本語".to_owned()])
            .collect();
        let together = model.embed_blocking(&texts).unwrap();
        for (text, embedding) in texts.iter().zip(&together) {
            let alone = model.embed_blocking(std::slice::from_ref(text)).unwrap();
            assert_eq!(embedding.vector.len(), MiniLm::DIMENSIONS);
            assert!(cosine(&alone[0].vector, &embedding.vector) > 0.9999, "{text:?}");
            assert_eq!(alone[0].passages.as_bytes().len(), embedding.passages.as_bytes().len());
            assert_eq!(alone, model.embed_blocking(std::slice::from_ref(text)).unwrap());
        }
        let kin = model.embed_blocking(&SELF_TEST.map(|(text, _)| text.to_owned())).unwrap();
        let kin: Vec<Vec<f32>> = kin.into_iter().map(|embedding| embedding.vector).collect();
        assert!((cosine(&kin[0], &kin[1]) - 0.6495).abs() < 1e-3);
        assert!((cosine(&kin[0], &kin[2]) + 0.0238).abs() < 1e-3);
        assert!(model.declares("en") && !model.declares("de"));
    }

    #[test]
    fn a_missing_model_says_how_to_get_it() {
        let error = MiniLm::load(Path::new("/nonexistent")).err().unwrap();
        assert!(error.to_string().contains("make setup"), "{error}");
    }

    #[test]
    fn a_damaged_model_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("model.onnx"), b"not a model").unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), b"{}").unwrap();
        assert!(matches!(MiniLm::load(dir.path()), Err(Error::Load { .. })));
    }
}
