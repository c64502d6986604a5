//! Categories that workers would refuse to start with, or that no configuration has room for.

use super::Problem;
use crate::resource::Classify;

/// Where they are.
const PATH: &str = "spec.classify.categories";
/// Most bytes of all categories as JSON: half of what a ConfigMap holds, and workers read. The rest of the configuration
/// and the spaces of its lines have the other half.
const BYTES_MAX: usize = 512 << 10;

/// What is wrong with them, by the rules of workers, and with their size.
pub(super) fn check(classify: &Classify) -> impl Iterator<Item = Problem> {
    let settings = classify.settings();
    let unusable = settings.check().err().map(|what| Problem {
        rule: "VP-16",
        path: PATH,
        message: format!("{what}; change it"),
    });
    let bytes = serde_json::to_vec(&settings.categories).unwrap_or_default().len();
    let too_large = (bytes > BYTES_MAX).then(|| Problem {
        rule: "VP-17",
        path: PATH,
        message: format!(
            "as JSON they have {bytes} bytes, and the configuration has room for {BYTES_MAX}; leave examples out, or \
             shorten them"
        ),
    });
    unusable.into_iter().chain(too_large)
}
