//! The description of the API: operations from the table of routes, schemas from the types that are sent.

use serde_json::{Map, Value, json};
use utoipa::openapi::ComponentsBuilder;

use super::router::{Access, INTERNAL, Operation, PUBLIC};
use super::{
    ask, audits, batches, chat, concepts, dead_letters, documents, events, export, fleet, graph_memory,
    indexes, keys_api, pages, prefixes, problem, scaling, search, stores, upload,
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

fn described(operation: &Operation) -> Value {
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    parameters.extend(operation.parameters.iter().map(|(name, place, meaning)| {
        json!({"name": name, "in": place, "description": meaning, "schema": {"type": "string"}})
    }));
    let (status, schema) = operation.answer;
    let mut answer = json!({"description": operation.summary});
    if let Some(schema) = schema {
        let lines = ["AuditLine", "Observation"].contains(&schema);
        let kind = if lines { "application/x-ndjson" } else { "application/json" };
        answer["content"] = json!({ kind: {"schema": reference(schema)} });
    }
    let mut described = json!({
        "summary": operation.summary,
        "responses": {
            status.to_string(): answer,
            "default": {
                "description": "What is wrong, what is allowed, what to do",
                "content": {"application/problem+json": {"schema": reference("Problem")}}
            }
        }
    });
    if operation.path.ends_with("/image") {
        pages::describe_image(&mut described);
    }
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    match operation.body {
        Some("form") => {
            let file = json!({"type": "array", "items": {"type": "string", "format": "binary"}});
            let uri = json!({"type": "string", "description": "Before its file: as the parameter `uri`"});
            described["requestBody"] = json!({"required": true, "content": {"multipart/form-data":
                {"schema": {"type": "object", "properties": {"uri": uri, "file": file}, "required": ["file"]}}}});
        }
        Some(schema) => {
            described["requestBody"] =
                json!({"required": true, "content": {"application/json": {"schema": reference(schema)}}});
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

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
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
}
