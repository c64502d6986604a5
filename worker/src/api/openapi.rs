//! The description of the API: operations from the table of routes, schemas from the types that are sent.

use docmill_core::search::{FILTER_BYTES_MAX, FILTER_VALUES_MAX, QUERY_BYTES_MAX};
use serde_json::{Map, Value, json};
use utoipa::openapi::ComponentsBuilder;

use super::answers::{REFUSAL, reference, refusal, responses};
use super::auth::Scope;
use super::router::{Access, INTERNAL, Operation, PUBLIC};
use super::{
    ask, audits, batches, chat, concepts, dead_letters, documents, events, export, fleet, graph_memory,
    indexes, keys_api, pages, parameters, prefixes, problem, scaling, search, stores, upload,
};

/// The description as JSON, ending with a line end.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

fn document() -> Value {
    let components = asking(ComponentsBuilder::new())
        .schema_from::<problem::Problem>()
        .schema_from::<upload::AcceptedDocument>()
        .schema_from::<upload::Accepted>()
        .schema_from::<batches::NewBatch>()
        .schema_from::<batches::MoreDocuments>()
        .schema_from::<batches::BatchDocuments>()
        .schema_from::<batches::Batch>()
        .schema_from::<batches::Batches>()
        .schema_from::<batches::AcceptedBatch>()
        .schema_from::<batches::CancelledBatch>()
        .schema_from::<prefixes::NewPrefix>()
        .schema_from::<prefixes::AcceptedPrefix>()
        .schema_from::<documents::Reason>()
        .schema_from::<documents::Document>()
        .schema_from::<documents::Documents>()
        .schema_from::<dead_letters::DeadLetter>()
        .schema_from::<dead_letters::DeadLetters>()
        .schema_from::<dead_letters::ReplayRequest>()
        .schema_from::<dead_letters::Replayed>()
        .schema_from::<export::ExportedChunk>()
        .schema_from::<export::ExportedDocument>()
        .schema_from::<export::Export>()
        .schema_from::<indexes::NewIndex>()
        .schema_from::<indexes::Index>()
        .schema_from::<indexes::Indexes>()
        .schema_from::<stores::NewFill>()
        .schema_from::<stores::Fill>()
        .schema_from::<stores::Fills>()
        .schema_from::<audits::AuditFindings>()
        .schema_from::<audits::AuditRepair>()
        .schema_from::<audits::AuditLine>()
        .schema_from::<fleet::LaneView>()
        .schema_from::<fleet::Queues>()
        .schema_from::<fleet::WorkerView>()
        .schema_from::<fleet::Workers>()
        .schema_from::<graph_memory::GraphMemory>()
        .schema_from::<fleet::Observation>()
        .build();
    let mut components = serde_json::to_value(components).unwrap_or_default();
    components["schemas"][REFUSAL] = refusal();
    bound(&mut components["schemas"]);
    components["securitySchemes"] = json!({
        "key": {"type": "http", "scheme": "bearer",
            "description": "A key of `docmill-worker keys create`; its scopes say what it may do. Where `api.oidc` names \
                an issuer, also one of its tokens, with scopes as `docmill:read`."},
        "token": {"type": "apiKey", "in": "header", "name": "X-Docmill-Token",
            "description": "With neither keys nor an issuer: for changes, from this machine alone; a bearer is taken, too."},
        "operator": {"type": "http", "scheme": "bearer", "description": "The operator's, on its own port."}
    });
    let mut paths = Map::new();
    // Health and metrics are on both ports; the public ones are described.
    let internal = INTERNAL.iter().filter(|operation| operation.access == Access::Operator);
    for operation in PUBLIC.iter().chain(internal) {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "docmill", "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Hand in documents, see how far they are, deal with what failed, search and ask. Every error is a \
                Problem, but OpenAI's on the paths that its clients use. Paths below /internal are on a port of their own."
        },
        "paths": paths,
        "components": components
    })
}

/// Searches, questions and what the dashboard shows.
fn asking(components: ComponentsBuilder) -> ComponentsBuilder {
    use docmill_core::search as core;

    use crate::ask as answers;
    use crate::concepts as graph;
    components
        .schema_from::<core::Mode>()
        .schema_from::<core::Snippet>()
        .schema_from::<core::HitDocument>()
        .schema_from::<core::ExplainedTerm>()
        .schema_from::<core::Explain>()
        .schema_from::<core::Hit>()
        .schema_from::<core::FacetCount>()
        .schema_from::<core::SearchAnswer>()
        .schema_from::<search::FilterBody>()
        .schema_from::<search::SearchBody>()
        .schema_from::<ask::AskBody>()
        .schema_from::<answers::SourceView>()
        .schema_from::<answers::FinalAnswer>()
        .schema_from::<chat::ChatRequest>()
        .schema_from::<chat::ChatCompletion>()
        .schema_from::<chat::EmbeddingsRequest>()
        .schema_from::<chat::EmbeddingsAnswer>()
        .schema_from::<chat::ModelsAnswer>()
        .schema_from::<graph::ConceptRow>()
        .schema_from::<graph::ConceptPage>()
        .schema_from::<graph::Neighbour>()
        .schema_from::<graph::Mentioning>()
        .schema_from::<graph::ConceptDetail>()
        .schema_from::<graph::PathStep>()
        .schema_from::<graph::SlowQuery>()
        .schema_from::<concepts::PathAnswer>()
        .schema_from::<concepts::SlowQueries>()
        .schema_from::<events::StageTime>()
        .schema_from::<events::CacheView>()
        .schema_from::<events::FailureCount>()
        .schema_from::<events::Overview>()
        .schema_from::<events::WorkItem>()
        .schema_from::<events::Work>()
        .schema_from::<pages::ManifestChunk>()
        .schema_from::<pages::ManifestView>()
        .schema_from::<pages::PageText>()
        .schema_from::<scaling::Scaling>()
        .schema_from::<keys_api::NewKeyBody>()
        .schema_from::<keys_api::KeyMade>()
        .schema_from::<keys_api::KeyView>()
        .schema_from::<keys_api::Keys>()
}

/// What bodies may hold, where their types do not say it: schema, place in it, and what is to be added there.
fn bounds() -> Vec<(&'static str, &'static str, Value)> {
    let most = |max: usize| json!({"maxItems": max});
    let names = |names: &[&str]| json!({"enum": names});
    // What may be absent may be null.
    let names_or_null = |names: [&str; 2]| json!({"enum": [names[0], names[1], null]});
    let number = |min: u64, max: u64| json!({"minimum": min, "maximum": max});
    let text = |max: usize| json!({"maxLength": max});
    vec![
        ("SearchBody", "/properties/query", json!({"minLength": 1, "maxLength": QUERY_BYTES_MAX})),
        ("SearchBody", "/properties/k", number(1, u64::from(search::K_MAX))),
        ("SearchBody", "/properties/facets", most(parameters::FACETS.len())),
        ("SearchBody", "/properties/facets/items", names(parameters::FACETS)),
        ("FilterBody", "/properties/documents", most(FILTER_VALUES_MAX)),
        ("FilterBody", "/properties/documents/items", json!({"format": "uuid"})),
        ("FilterBody", "/properties/categories", most(FILTER_VALUES_MAX)),
        ("FilterBody", "/properties/mediaTypes", most(FILTER_VALUES_MAX)),
        ("FilterBody", "/properties/languages", most(FILTER_VALUES_MAX)),
        ("FilterBody", "/properties/uriPrefix", text(FILTER_BYTES_MAX)),
        ("FilterBody", "/properties/committedFrom", json!({"format": "date-time"})),
        ("FilterBody", "/properties/committedBefore", json!({"format": "date-time"})),
        ("AskBody", "/properties/question", json!({"minLength": 1, "maxLength": QUERY_BYTES_MAX})),
        ("AskBody", "/properties/k", number(1, u64::from(crate::ask::K_MAX))),
        ("ChatRequest", "/properties/model", names(&[crate::ask::ASK_MODEL])),
        ("ChatRequest", "/properties/messages", json!({"minItems": 1})),
        ("EmbeddingsRequest", "/properties/model", names(&[crate::ask::EMBED_MODEL])),
        ("EmbeddingsRequest", "/properties/encoding_format", names_or_null(["float", "base64"])),
        ("NewKeyBody", "/properties/label", text(200)),
        ("NewKeyBody", "/properties/scopes", json!({"minItems": 1})),
        ("NewKeyBody", "/properties/scopes/items", names(&Scope::ALL.map(Scope::as_str))),
        ("NewKeyBody", "/properties/expiresDays", number(1, 3_650)),
        ("NewIndex", "/properties/embeddings", names_or_null(["builtin", "none"])),
        ("NewIndex", "/properties/concepts", names_or_null(["builtin", "none"])),
        ("NewFill", "/properties/store", names(&["text", "vectors", "graph"])),
        ("NewBatch", "/properties/name", text(200)),
        ("NewBatch", "/properties/uris", most(1_000)),
        ("MoreDocuments", "/properties/uris", most(1_000)),
        ("ReplayRequest", "/properties/documents", most(1_000)),
        ("ReplayRequest", "/properties/documents/items", json!({"format": "uuid"})),
    ]
}

fn bound(schemas: &mut Value) {
    for (schema, place, more) in bounds() {
        let target = schemas.get_mut(schema).and_then(|schema| schema.pointer_mut(place));
        if let (Some(Value::Object(target)), Value::Object(more)) = (target, more) {
            target.extend(more);
        }
    }
}

/// A body that does something.
fn example_of(schema: &str) -> Option<Value> {
    Some(match schema {
        "SearchBody" => json!({"query": "falling barometer", "k": 5, "facets": ["language"],
            "filter": {"languages": ["en"]}}),
        "AskBody" => json!({"question": "What did the barometer do?", "k": 4}),
        "ChatRequest" => json!({"model": "docmill", "messages":
            [{"role": "user", "content": "What did the barometer do?"}]}),
        "EmbeddingsRequest" => json!({"model": "docmill-embed", "input": ["The barometer fell."]}),
        "NewBatch" => json!({"name": "letters", "uris": ["s3://bucket/letters/1.pdf"]}),
        "MoreDocuments" => json!({"uris": ["s3://bucket/letters/2.pdf"]}),
        "NewPrefix" => json!({"prefix": "s3://bucket/letters"}),
        "ReplayRequest" => json!({"code": "limit_time"}),
        "NewKeyBody" => json!({"label": "reporting", "scopes": ["read"], "expiresDays": 90}),
        "NewIndex" => json!({"embeddings": "builtin", "concepts": "none"}),
        "NewFill" => json!({"store": "vectors"}),
        "Scaling" => json!({"desired": 3, "replicas": 2, "metric": 30, "reasons":
            [{"code": "Backlog", "message": "30 documents wait"}]}),
        _ => return None,
    })
}

fn described(operation: &Operation) -> Value {
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut told: Vec<Value> = in_path.map(|name| parameters::in_path(operation.path, name)).collect();
    told.extend(operation.parameters.iter().map(parameters::Parameter::described));
    let mut described = json!({"summary": operation.summary, "responses": responses(operation)});
    if !told.is_empty() {
        described["parameters"] = told.into();
    }
    match operation.body {
        Some("form") => {
            let file = json!({"type": "array", "items": {"type": "string", "format": "binary"}});
            let uri = json!({"type": "string", "description": "Before its file: as the parameter `uri`"});
            described["requestBody"] = json!({"required": true, "content": {"multipart/form-data":
                {"schema": {"type": "object", "properties": {"uri": uri, "file": file}, "required": ["file"]}}}});
        }
        Some(schema) => {
            let mut content = json!({"schema": reference(schema)});
            if let Some(example) = example_of(schema) {
                content["example"] = example;
            }
            described["requestBody"] = json!({"required": true, "content": {"application/json": content}});
        }
        None => {}
    }
    match operation.access {
        Access::Open => {}
        Access::Scope(scope) => {
            described["security"] = json!([{"key": []}, {"token": []}]);
            described["x-scope"] = scope.as_str().into();
        }
        Access::Operator => described["security"] = json!([{"operator": []}]),
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_up_to_date() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/openapi.json");
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(file, text()).unwrap();
        }
        assert!(
            std::fs::read_to_string(file).unwrap_or_default() == text(),
            "docs/reference/openapi.json is old: run `UPDATE_REFERENCE=1 cargo test --workspace api::openapi`"
        );
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = document();
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn every_bound_is_of_something_that_is_there() {
        let document = document();
        for (schema, place, more) in bounds() {
            let found = document["components"]["schemas"][schema].pointer(place).unwrap();
            for (name, value) in more.as_object().unwrap() {
                assert_eq!(&found[name], value, "{schema}{place}");
            }
        }
    }

    fn reads<T: serde::de::DeserializeOwned>(schema: &str) {
        let example = example_of(schema).unwrap();
        assert!(serde_json::from_value::<T>(example).is_ok(), "{schema}");
    }

    #[test]
    fn every_body_has_an_example_that_is_understood() {
        for body in PUBLIC.iter().chain(INTERNAL).filter_map(|operation| operation.body) {
            assert!(body == "form" || example_of(body).is_some(), "{body}");
        }
        reads::<search::SearchBody>("SearchBody");
        reads::<ask::AskBody>("AskBody");
        reads::<chat::ChatRequest>("ChatRequest");
        reads::<chat::EmbeddingsRequest>("EmbeddingsRequest");
        reads::<batches::NewBatch>("NewBatch");
        reads::<batches::MoreDocuments>("MoreDocuments");
        reads::<prefixes::NewPrefix>("NewPrefix");
        reads::<dead_letters::ReplayRequest>("ReplayRequest");
        reads::<keys_api::NewKeyBody>("NewKeyBody");
        reads::<indexes::NewIndex>("NewIndex");
        reads::<stores::NewFill>("NewFill");
        reads::<scaling::Scaling>("Scaling");
        assert!(docmill_core::failure::FailureCode::parse("limit_time").is_some());
    }
}
