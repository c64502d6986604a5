//! What needs the plan to be said: sizes against each other, and what the worker's image has.

use super::{Plan, Problem, ask, classify};
use crate::resource::IngestionPipelineSpec;

/// Memory of a worker beside its scratch, in MiB: the model, one extractor and what is in work.
const WORKER_BESIDE_SCRATCH_MIB: u64 = 512;
/// Languages of scans that the worker's image reads, by Tesseract's names.
const OCR_LANGUAGES: [&str; 7] = ["eng", "deu", "rus", "jpn", "chi_sim", "osd", "auto"];

/// Notes all that is wrong with a plan.
pub(super) fn check(plan: &Plan, spec: &IngestionPipelineSpec, problems: &mut Vec<Problem>) {
    problems.extend(files(plan));
    problems.extend(scratch(plan));
    problems.extend(spec.extract.ocr.languages.iter().filter_map(|name| language(name)));
    problems.extend(spec.ask.model.iter().flat_map(ask::check));
    problems.extend(classify::check(&spec.classify));
}

fn files(plan: &Plan) -> Option<Problem> {
    let (file_mib, scratch_mib) = (plan.documents.file_mib, plan.scratch_mib);
    (file_mib > scratch_mib).then(|| Problem {
        rule: "VP-11",
        path: "spec.extract.limits.maxFileMib",
        message: format!(
            "files of {file_mib} MiB do not fit the scratch of {scratch_mib} MiB; raise \
             spec.workers.scratch.tmpfs or lower it"
        ),
    })
}

fn scratch(plan: &Plan) -> Option<Problem> {
    let (scratch_mib, limit_mib) = (plan.scratch_mib, plan.worker.limits.memory_mib);
    (scratch_mib.saturating_add(WORKER_BESIDE_SCRATCH_MIB) > limit_mib).then(|| Problem {
        rule: "VP-12",
        path: "spec.workers.scratch.tmpfs",
        message: format!(
            "a scratch of {scratch_mib} MiB leaves less than {WORKER_BESIDE_SCRATCH_MIB} MiB of the {limit_mib} \
             that a worker may take; lower it or raise spec.workers.resources.limits.memory"
        ),
    })
}

fn language(name: &str) -> Option<Problem> {
    let known = OCR_LANGUAGES.join(", ");
    (!OCR_LANGUAGES.contains(&name)).then(|| Problem {
        rule: "VP-13",
        path: "spec.extract.ocr.languages",
        message: format!("the worker's image does not read {name:?}; it reads {known}"),
    })
}
