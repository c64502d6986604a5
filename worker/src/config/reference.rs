//! The reference page, written from the tables of keys, variables and codes and the defaults of the types.

use std::fmt::Write as _;

use super::variables::{AZURE, GCS, OWN, S3};
use super::{KEYS, WorkerConfig};
use crate::error_codes::CODES;

/// Names that people set elsewhere and that say nothing to this file, with what has their place.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "`MAX_WORKERS`, `RQ_WORKER_REPLICAS`",
        "the number of worker pods, which is not the worker's to choose",
    ),
    ("`SQS_QUEUE_URL`, `SQS_MAX_MESSAGES`, `SQS_WAIT_TIME`", "no such queue here; `queue.redis`"),
    ("`DLQ_URL`", "dead letters are in the ledger"),
    ("`OPENSEARCH_ENDPOINT`, `QDRANT_*`", "no such back end here"),
    ("`NEO4J_server_memory_*`", "memory of the Neo4j server, not of a worker; `check-config` looks at it"),
    (
        "`OLLAMA_HOST`, `OPENAI_MAX_RPM`, `ANTHROPIC_MAX_RPM`",
        "no such model here; what answers questions is `ask.model`",
    ),
    ("`CLEANUP_TEMP_FILES`", "temporary files always go with what made them; `scratch`"),
    (
        "`UVICORN_WORKERS`, `LOCAL_BASE_URL`, `K8S_BASE_URL`, `MAX_CONCURRENT`, `TOTAL_REQUESTS`",
        "clients and servers of HTTP, not the worker",
    ),
    (
        "`OPTIMIZATION_*` but the one above",
        "targets of the scaling, not of a worker; for threads and connections `concurrency` and `ledger.postgres.poolSize`",
    ),
];

/// The page.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Configuration of a worker\n\n\
         <!-- Generated: UPDATE_REFERENCE=1 cargo test --workspace config::reference -->\n\n\
         One YAML file (JSON is YAML too). Unknown keys are refused; a key without a value is as good as absent.\n\
         Passwords never stand in it: `…File` names the file of a mounted Secret, `…Env` a variable.\n\
         `docmill-worker check-config --config FILE [--json]` says everything that is wrong with it, then asks\n\
         each back end. `docmill-worker check-sandbox [--json]` says what holds extractors where it runs. Exit code 0: fine,\n\
         warnings allowed; 1: problems; 2: wrong usage.\n\n\
         | key | allowed | default | meaning |\n|---|---|---|---|\n",
    );
    let defaults = serde_json::to_value(WorkerConfig::default()).unwrap_or_default();
    for key in KEYS {
        let pointer = format!("/{}", key.path.replace('.', "/"));
        let default = match defaults.pointer(&pointer) {
            _ if key.required => "required".to_owned(),
            None | Some(serde_json::Value::Null) => "none".to_owned(),
            Some(serde_json::Value::Array(items)) if items.is_empty() => "none".to_owned(),
            Some(serde_json::Value::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
        };
        let (path, meaning) = (key.path, key.meaning);
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{path}` | {} | {default} | {meaning} |", key.allowed());
    }
    page += "\n## Environment\n\nA variable that is set and not empty overrides its key.\n\n| variable | key |\n|---|---|\n";
    for key in KEYS {
        if let Some(name) = key.environment {
            let _ = writeln!(page, "| `{name}` | `{}` |", key.path);
        }
    }
    page += "\nRead beside the keys:\n\n| variable | meaning |\n|---|---|\n";
    for (names, meaning) in OWN {
        let _ = writeln!(page, "| {} | {meaning} |", quoted(names));
    }
    page += "\nA store of objects that is given no keys knows from these who asks, and what else is said to its client.\n\
             Connections are as the configuration says: `AWS_ALLOW_HTTP` and the like change nothing.\n\n\
             | variable | for | meaning |\n|---|---|---|\n";
    for (store, table) in [("s3", S3), ("gcs", GCS), ("azure", AZURE)] {
        for (names, meaning) in table {
            let _ = writeln!(page, "| {} | `objects.{store}` | {meaning} |", quoted(names));
        }
    }
    page += "\nThese are not read:\n\n| variable | instead |\n|---|---|\n";
    for (names, instead) in ELSEWHERE {
        let _ = writeln!(page, "| {names} | {instead} |");
    }
    page += "\n## Codes of errors\n\nWith `--json` as `error.code`. What is wrong with the configuration is in `problems`, \
             with a back end\nin `findings`.\n\n| code | what happened |\n|---|---|\n";
    for (code, meaning) in CODES {
        let _ = writeln!(page, "| `{code}` | {meaning} |");
    }
    page
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_up_to_date() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/worker-config.md");
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(file, markdown()).unwrap();
        }
        assert!(
            std::fs::read_to_string(file).unwrap_or_default() == markdown(),
            "docs/reference/worker-config.md is old: run `UPDATE_REFERENCE=1 cargo test --workspace config::reference`"
        );
    }
}
