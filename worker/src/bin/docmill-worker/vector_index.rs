//! `vector-index`: builds what makes a search for neighbours fast, once there are vectors to build it over.

use std::process::ExitCode;

use docmill_worker::error_codes::VECTOR_INDEX_FAILED;
use docmill_worker::postgres::{Hnsw, build_hnsw};

use crate::args::VectorIndex;
use crate::load;

/// Does it; 0: it is there for all indexes, 1: not.
pub fn run(options: &VectorIndex) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(options.json, &error.to_string()),
    };
    match runtime.block_on(Box::pin(build(options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => failed(options.json, &message),
    }
}

fn failed(json: bool, message: &str) -> ExitCode {
    if json {
        println!("{}", serde_json::json!({"error": {"code": VECTOR_INDEX_FAILED, "message": message}}));
    } else {
        eprintln!("error: {message}");
    }
    ExitCode::FAILURE
}

async fn build(options: &VectorIndex) -> Result<(), String> {
    if options.ef_construction < 2 * options.m {
        let least = 2 * options.m;
        return Err(format!(
            "--ef-construction is {}; with --m {} it is at least {least}",
            options.ef_construction, options.m
        ));
    }
    let database = load::database(&options.config).await?;
    let how = Hnsw {
        m: options.m,
        ef_construction: options.ef_construction,
        memory_mib: options.memory_mib,
        ..Hnsw::default()
    };
    let mut told = Vec::new();
    for index in database.indexes_in_use().await.map_err(|error| error.to_string())? {
        let built = build_hnsw(&database, index, how).await.map_err(|error| error.to_string())?;
        if !options.json {
            let what = if built {
                "is built"
            } else {
                "was left as it is: there is one, somebody builds it, or there are no vectors"
            };
            println!("index {}: {what}", index.0);
        }
        told.push(serde_json::json!({"index": index.0.to_string(), "built": built}));
    }
    if options.json {
        println!("{}", serde_json::json!({ "indexes": told }));
    }
    Ok(())
}
