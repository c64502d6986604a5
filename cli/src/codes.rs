//! Codes of errors, which programs go by: every one that this command gives itself, and what it means. Never
//! renamed. What a server refuses has the server's codes.

/// Code and meaning, in the order of the reference page.
pub const CODES: &[(&str, &str)] = &[
    ("api_unusable", "`docmill serve` cannot begin to answer"),
    ("bad_ask", "A variable about the model that writes answers is wrong"),
    (
        "bad_categories",
        "A category of `--category` or `--classify` cannot be used, or the file cannot be read",
    ),
    ("bad_log_filter", "`--log` is no filter"),
    ("bad_origin", "`--origin` cannot be part of a document's place"),
    ("bad_search", "A search, or its filter, asks for what is not allowed"),
    ("bad_server", "`--server` is not the address of a server"),
    ("bad_tenant", "`--tenant` is not a name"),
    ("bad_variable", "A variable of the environment is wrong"),
    ("batch_closed", "The batch that a submission was handing in to takes nothing more"),
    ("bench_failed", "Requests of a measurement failed"),
    ("bench_other", "A measured server is not what it was said to be"),
    ("command_failed", "The command of `docmill profile` cannot be started"),
    (
        "connection_broken",
        "The connection to the server broke; whether the last request was done is not known",
    ),
    ("data_dir_busy", "Another docmill writes to the data directory"),
    ("data_dir_damaged", "The data directory's file is damaged"),
    ("data_dir_empty", "Nothing was ingested into the data directory yet"),
    ("data_dir_newer", "A newer docmill wrote the data directory"),
    ("data_dir_older", "An older docmill wrote the data directory, and this one does not read it"),
    ("data_dir_unusable", "The data directory cannot be made, read or written"),
    ("disk_full", "There is not enough free space to go on"),
    ("export_failed", "The export could not be written"),
    ("extractor_missing", "The program that reads documents cannot be started"),
    ("index_mismatch", "The data directory's index was made with other models"),
    ("internal", "Something that must not happen"),
    ("io", "A file or the output cannot be read or written"),
    ("key_unreadable", "The API key is missing from its file, or is no key"),
    ("keys_needed", "`docmill serve` was to answer others than this machine, and there are no keys"),
    ("listen_unusable", "The address of `--listen` cannot be used"),
    ("memory_low", "There is not enough free memory to go on"),
    ("metrics_unwritable", "The file of `--metrics` cannot be written"),
    ("model_failed", "The embedding model failed"),
    ("model_missing", "The embedding model is not installed, or cannot be loaded"),
    ("no_process", "There is no process that `docmill profile` was to follow"),
    ("no_such_path", "A path that was named is not there"),
    ("not_docmill", "What answers at the address is no docmill, or another version"),
    ("not_in_time", "It took longer than `--timeout`; it goes on at the server"),
    ("passwords_unreadable", "The file of `--passwords-file` cannot be read, or holds no passwords"),
    ("sandbox_missing", "Kernel or container lack a piece of the sandbox that extractors work in"),
    ("server_unreachable", "Nobody answers at the address"),
    ("state_dir_unusable", "The directory of journals of submissions cannot be used"),
    ("submit_running", "The same submission runs already"),
    ("sync_refused", "`--sync` would remove more than it may, or not everything could be looked at"),
    ("too_deep", "More concepts stand between two than are looked at"),
    ("unknown_concept", "No document mentions this concept"),
    ("unknown_document", "There is no such document"),
    ("watch_refused", "A directory of `--watch` cannot be watched"),
];

/// Whether it is one of ours.
pub fn is_known(code: &str) -> bool {
    CODES.iter().any(|(known, _)| *known == code)
}
