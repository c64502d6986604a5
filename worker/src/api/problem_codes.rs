//! Codes of problems, which programs go by: every one that the API gives, its status, and what it means. Never
//! renamed. The reference page is made of this.

use axum::http::StatusCode;

/// Code, status and meaning, in the order of the reference page.
pub const PROBLEM_CODES: &[(&str, StatusCode, &str)] = &[
    ("answer_incomplete", StatusCode::BAD_GATEWAY, "The model ended before the end of its answer"),
    ("audit_busy", StatusCode::TOO_MANY_REQUESTS, "As many audits run as may"),
    ("audit_failed", StatusCode::SERVICE_UNAVAILABLE, "A store or the ledger did not answer the audit"),
    ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "A body of JSON is larger than such a request needs"),
    ("body_too_slow", StatusCode::REQUEST_TIMEOUT, "A body of JSON was not there in time"),
    ("busy", StatusCode::TOO_MANY_REQUESTS, "As many questions or streams are in work as may"),
    ("bytes_quota", StatusCode::TOO_MANY_REQUESTS, "The tenant uploaded as many bytes today as it may"),
    ("documents_quota", StatusCode::TOO_MANY_REQUESTS, "As many documents of the tenant wait as may"),
    ("drawing_busy", StatusCode::SERVICE_UNAVAILABLE, "As many pages wait to be drawn as may"),
    ("exports_busy", StatusCode::TOO_MANY_REQUESTS, "As many exports run as may"),
    ("graph_unavailable", StatusCode::SERVICE_UNAVAILABLE, "The concept graph's server does not answer"),
    (
        "idempotency_key_reused",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The Idempotency-Key came with another request before",
    ),
    ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The ledger is damaged"),
    (
        "invalid",
        StatusCode::UNPROCESSABLE_ENTITY,
        "A parameter, a header or the body says what is not allowed",
    ),
    (
        "issuer_unavailable",
        StatusCode::SERVICE_UNAVAILABLE,
        "The issuer of tokens does not answer, and its key is not known",
    ),
    ("key_needed", StatusCode::UNAUTHORIZED, "No good key was shown"),
    ("kind_unknown", StatusCode::NOT_FOUND, "`/ingest/{kind}` names a kind of document that is not read"),
    ("ledger_unavailable", StatusCode::SERVICE_UNAVAILABLE, "The ledger does not answer"),
    ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "The path takes other methods"),
    ("model_timeout", StatusCode::GATEWAY_TIMEOUT, "The model that writes answers was silent for too long"),
    (
        "model_unavailable",
        StatusCode::BAD_GATEWAY,
        "The model that writes answers does not answer, or refuses to",
    ),
    ("model_unknown", StatusCode::NOT_FOUND, "No model has this name"),
    ("no_index", StatusCode::CONFLICT, "The tenant has no index yet"),
    ("no_object_store", StatusCode::NOT_IMPLEMENTED, "There is nowhere to keep uploads"),
    ("no_page_image", StatusCode::NOT_FOUND, "There is no picture of the page, only its text"),
    ("no_such_path", StatusCode::NOT_FOUND, "No operation has this path"),
    ("not_a_form", StatusCode::UNSUPPORTED_MEDIA_TYPE, "An upload is not `multipart/form-data`"),
    ("not_found", StatusCode::NOT_FOUND, "It is not there, or is somebody else's"),
    ("not_here", StatusCode::NOT_IMPLEMENTED, "This is not done on one machine"),
    ("not_this_machine", StatusCode::FORBIDDEN, "While there are no keys, only this machine is answered"),
    ("object_missing", StatusCode::UNPROCESSABLE_ENTITY, "The object that is named is not there"),
    (
        "object_store_unavailable",
        StatusCode::SERVICE_UNAVAILABLE,
        "The object store does not take or give objects",
    ),
    ("queue_full", StatusCode::TOO_MANY_REQUESTS, "As many documents wait as may"),
    ("queue_unavailable", StatusCode::SERVICE_UNAVAILABLE, "The queue does not answer"),
    ("restart_needed", StatusCode::UNAUTHORIZED, "Keys were made after this process began without"),
    ("scope_needed", StatusCode::FORBIDDEN, "The key may not do this"),
    ("search_unavailable", StatusCode::SERVICE_UNAVAILABLE, "The search did not end in time"),
    ("source_refused", StatusCode::UNPROCESSABLE_ENTITY, "The URI is none that this tenant may name"),
    (
        "stream_lost",
        StatusCode::GONE,
        "The stream that is to go on is not known here, or was somebody else's",
    ),
    ("tenant_needed", StatusCode::FORBIDDEN, "The token names no tenant, or none that can be one"),
    ("token_needed", StatusCode::UNAUTHORIZED, "The API's or the operator's token was not shown"),
    ("token_refused", StatusCode::UNAUTHORIZED, "The token is not a good one of the issuer"),
    (
        "too_deep",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The way between two concepts leads through more than is looked at",
    ),
    ("too_large", StatusCode::PAYLOAD_TOO_LARGE, "The file is larger than an upload may be"),
    ("upload_interrupted", StatusCode::BAD_REQUEST, "The upload ended before its end"),
];

/// Whether the code is one of the table's, with this status.
pub(super) fn is_known(code: &str, status: StatusCode) -> bool {
    PROBLEM_CODES.iter().any(|(known, of, _)| *known == code && *of == status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_distinct() {
        assert!(PROBLEM_CODES.is_sorted_by(|one, next| one.0 < next.0));
    }
}
