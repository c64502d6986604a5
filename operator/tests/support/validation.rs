//! The page of rules.

use std::fmt::Write as _;

use docmill_operator::plan::PLAN_RULES;
use docmill_operator::resource::rules::SCHEMA_RULES;

use super::{HOW, cell, schema};

/// `docs/reference/validation.md`.
pub fn page() -> String {
    let messages = schema::rules();
    let mut page = format!(
        "# What is refused of a pipeline\n\n<!-- Generated: {HOW} -->\n\n\
         Each rule has a number, with which its message begins. Numbers are never used again.\n\n\
         ## By the API server\n\n\
         These need nothing but the resource. They are CEL rules of its schema (`x-kubernetes-validations`), so\n\
         `kubectl apply` refuses at once, with the path of the field, and nothing is changed. Beside them the schema\n\
         bounds every number, list and text: `docs/reference/pipeline.md`.\n\n\
         | rule | fields | message | what to do |\n|---|---|---|---|\n"
    );
    for rule in SCHEMA_RULES {
        let messages = messages.get(rule.id).into_iter().flatten();
        let message = messages.map(String::as_str).collect::<Vec<_>>().join("; ");
        row(&mut page, [rule.id, rule.fields, &message, rule.advice]);
    }
    page.push_str(
        "\n## By the operator\n\n\
         These need the catalogue of instance types, or the cluster. The resource is stored, its condition `Stalled`\n\
         says within two seconds what is wrong, with the path of the field, and what runs is left as it is.\n\
         `kubectl docmill validate -f FILE` asks both kinds of rules before anything is applied.\n\n\
         | rule | fields | what is asked for | what to do |\n|---|---|---|---|\n",
    );
    for rule in PLAN_RULES {
        row(&mut page, [rule.id, rule.fields, rule.asks, rule.advice]);
    }
    page
}

fn row(page: &mut String, cells: [&str; 4]) {
    writeln!(page, "| {} |", cells.map(cell).join(" | ")).unwrap();
}
